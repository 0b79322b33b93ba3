//! Which certificates of a gateway are accepted.
//!
//! The authorities that this machine trusts, unless a file says otherwise. Rejected: a list of authorities in the
//! program, because it grows old with the program, and none can be taken off it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::Failure;

/// What streams of events and everything else is spoken in.
const PROTOCOL: &[u8] = b"http/1.1";

/// Who is believed to be a gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// A certificate of an authority that this machine trusts.
    System,
    /// A certificate of an authority in this file, or a certificate that is itself in it.
    File {
        /// PEM.
        path: PathBuf,
        /// What gave the file, for messages.
        source: &'static str,
    },
    /// Any certificate. For requests without secrets to a gateway on this machine.
    Any,
}

impl Trust {
    /// What connections are made with.
    ///
    /// # Errors
    /// If there are no authorities to trust.
    pub fn tls(&self) -> Result<Arc<ClientConfig>, Failure> {
        let provider = Arc::new(ring::default_provider());
        let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| Failure::Usage(format!("cannot speak TLS: {error}")))?
            .dangerous()
            .with_custom_certificate_verifier(self.verifier(provider)?);
        let mut config = config.with_no_client_auth();
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        Ok(Arc::new(config))
    }

    fn verifier(&self, provider: Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, Failure> {
        match self {
            Self::System => Ok(by_authorities(system()?, provider)?),
            Self::File { path, source } => {
                let (roots, given) = in_file(path).map_err(|why| Failure::Usage(format!("{source}: {why}")))?;
                Ok(Arc::new(InFile { by_authorities: by_authorities(roots, provider)?, given }))
            }
            Self::Any => Ok(Arc::new(AnyCertificate(provider))),
        }
    }
}

fn by_authorities(roots: RootCertStore, provider: Arc<CryptoProvider>) -> Result<Arc<WebPkiServerVerifier>, Failure> {
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
    verifier.map_err(|error| Failure::Usage(format!("no authority could be trusted: {error}")))
}

/// The authorities that this machine trusts, as far as they can be read.
fn system() -> Result<RootCertStore, Failure> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        let detail = "this machine has no list of authorities to trust: install one (Debian calls it ca-certificates), or give \
                      a file with the gateway's authority by --ca-file";
        return Err(Failure::Usage(detail.to_owned()));
    }
    Ok(roots)
}

/// The authorities in the file at `path`, and all certificates in it.
fn in_file(path: &Path) -> Result<(RootCertStore, Vec<CertificateDer<'static>>), String> {
    let shown = path.display();
    let failed = |error: &dyn std::fmt::Display| format!("cannot read {shown}: {error}");
    let certificates = CertificateDer::pem_file_iter(path).map_err(|error| failed(&error))?;
    let (mut roots, mut given) = (RootCertStore::empty(), Vec::new());
    for certificate in certificates {
        let certificate = certificate.map_err(|error| failed(&error))?;
        roots.add(certificate.clone()).map_err(|error| failed(&error))?;
        given.push(certificate);
    }
    if roots.is_empty() { Err(format!("there is no certificate in PEM in {shown}")) } else { Ok((roots, given)) }
}

/// Why a certificate is not accepted, in words for the user or the operator.
pub(super) fn in_words(error: &CertificateError) -> String {
    let text = rustls::Error::InvalidCertificate(error.clone()).to_string();
    let advice = match error {
        CertificateError::UnknownIssuer => "--ca-file says whose certificates to trust",
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "call the gateway by a name that its certificate has"
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "the gateway needs a new one",
        // Some programs make certificates for servers that say of themselves that they are those of authorities.
        error if is_of_authority(error) => {
            "it is that of an authority, which must not be a server's: give this very certificate by --ca-file, or make one \
             with basicConstraints=CA:FALSE"
        }
        _ => "the gateway needs another one",
    };
    format!("{text}: {advice}")
}

fn is_of_authority(error: &CertificateError) -> bool {
    matches!(error, CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity"))
}

/// Accepts what an authority in a file vouches for, and the very certificates in the file.
///
/// `openssl req -x509` makes a certificate that says of itself that it is an authority's, and the library refuses that for a
/// server. It says so only after it has looked at the dates of the certificate, which therefore hold; the name is still to be
/// compared.
#[derive(Debug)]
struct InFile {
    by_authorities: Arc<WebPkiServerVerifier>,
    /// All certificates in the file.
    given: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for InFile {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self.by_authorities.verify_server_cert(certificate, intermediates, name, ocsp, now) {
            Err(rustls::Error::InvalidCertificate(error))
                if is_of_authority(&error) && self.given.iter().any(|given| given == certificate) =>
            {
                verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.by_authorities.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.by_authorities.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.by_authorities.supported_verify_schemes()
    }
}

/// Verifies that the server has the key of its certificate, and nothing else.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
