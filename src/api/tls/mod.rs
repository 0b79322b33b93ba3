//! HTTPS, for those who have no proxy in front of the gateway.
//!
//! A [`pair`] is what two files in PEM hold; [`certificates`] is the one in use and takes a new one while the gateway
//! runs; [`handshake`] makes connections of it. Nothing here may ever tell what is in the file of the key, not even a part
//! of a line that makes no sense; wait for anything but a client; or stop serving because of a change of the
//! files.
//!
//! Rejected: the HTTP library's own listener for TLS, because it offers HTTP/2 as soon as any crate asks for that feature, and with it
//! another way to time out, to be limited and to be flooded, of which nothing here is tested; a thread of it takes no
//! connections while 256 handshakes are pending, which cost an attacker little; and it hides why a handshake failed.
//! Rejected: OpenSSL, because it would be the only library that has to be installed.

mod certificates;
mod handshake;
mod pair;
mod validity;

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::server::NoServerSessionStorage;
use tokio_rustls::TlsAcceptor;

use crate::config::TlsFiles;
use certificates::Certificates;

pub use pair::PairError;

/// Why HTTPS cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The files.
    #[error("cannot serve HTTPS")]
    Pair(#[from] PairError),
    /// The library.
    #[error("cannot set up TLS")]
    Library(#[from] rustls::Error),
}

/// What HTTPS is served with.
#[derive(Clone)]
pub struct Tls {
    acceptor: TlsAcceptor,
}

impl Tls {
    /// Serves with what is in `files`, now and whenever they change.
    ///
    /// # Errors
    /// If they cannot be used as they are now.
    pub fn open(files: &TlsFiles) -> Result<Self, TlsError> {
        let certificates = Arc::new(Certificates::open(files.clone())?);
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(certificates);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // No session is resumed: its client would be shown no certificate, so that the operator could not say when the last
        // client has seen that it was replaced. A handshake costs a signature more for it.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)) })
    }
}
