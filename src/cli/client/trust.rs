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
            .with_custom_certificate_verifier(Arc::new(Verifier { accepted: self.accepted(&provider)?, provider }));
        let mut config = config.with_no_client_auth();
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        Ok(Arc::new(config))
    }

    fn accepted(&self, provider: &Arc<CryptoProvider>) -> Result<Accepted, Failure> {
        let (roots, given) = match self {
            Self::System => (system()?, Vec::new()),
            Self::File { path, source } => in_file(path).map_err(|why| Failure::Usage(format!("{source}: {why}")))?,
            Self::Any => return Ok(Accepted::Any),
        };
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider)).build();
        let authorities =
            verifier.map_err(|error| Failure::Usage(format!("no authority could be trusted: {error}")))?;
        Ok(Accepted::Vouched { authorities, given })
    }
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

/// Which certificates of servers are accepted.
#[derive(Debug)]
enum Accepted {
    /// Those that an authority vouches for, and these very ones.
    ///
    /// `openssl req -x509` makes a certificate that says of itself that it is an authority's, and the library refuses that for a
    /// server. It says so only after it has looked at the dates of the certificate, which therefore hold; the name is still to
    /// be compared.
    Vouched { authorities: Arc<WebPkiServerVerifier>, given: Vec<CertificateDer<'static>> },
    /// Any.
    Any,
}

/// Verifies that the server has the key of its certificate, and that the certificate is accepted.
#[derive(Debug)]
struct Verifier {
    accepted: Accepted,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Accepted::Vouched { authorities, given } = &self.accepted else {
            return Ok(ServerCertVerified::assertion());
        };
        match authorities.verify_server_cert(certificate, intermediates, name, ocsp, now) {
            Err(rustls::Error::InvalidCertificate(error))
                if is_of_authority(&error) && given.iter().any(|given| given == certificate) =>
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
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
