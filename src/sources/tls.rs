//! HTTPS to sources: whose certificates are accepted, and in which words others are refused.
//!
//! The authorities that this machine trusts. There is no way to accept any certificate: a source that is not the one
//! meant decides how much capacity there is.

use std::io;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::{CertificateError, ClientConfig, RootCertStore};

/// The authorities that this machine trusts, as far as they can be read. Reads files.
pub(super) fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

/// What connections are made with.
///
/// # Errors
/// If there are no authorities, in words.
pub(super) fn client_config(roots: RootCertStore) -> Result<Arc<ClientConfig>, String> {
    if roots.is_empty() {
        return Err("this machine has no list of authorities to trust: install one, such as ca-certificates".to_owned());
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder =
        builder.with_safe_default_protocol_versions().map_err(|error| format!("cannot speak TLS: {error}"))?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// What is wrong with the TLS of a connection, if that is what `error` is about.
pub(super) fn in_words(error: &io::Error) -> Option<String> {
    let inner = error.get_ref()?;
    let error = inner.downcast_ref::<rustls::Error>().or_else(|| inner.source()?.downcast_ref())?;
    Some(match error {
        rustls::Error::InvalidCertificate(why) => {
            format!("its certificate is not accepted: {}", certificate_in_words(why))
        }
        rustls::Error::InvalidMessage(_) => "it does not speak TLS".to_owned(),
        other => format!("TLS failed: {other}"),
    })
}

fn certificate_in_words(error: &CertificateError) -> String {
    match error {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "it is of an authority that this machine does not trust".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "it is for another name".to_owned()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "it has expired".to_owned(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => "it is not valid yet".to_owned(),
        other => rustls::Error::InvalidCertificate(other.clone()).to_string(),
    }
}
