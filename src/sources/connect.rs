//! Connections to sources, plain or over TLS, each for one request.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::OnceCell;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use url::{Host, Url};

use super::tls;

/// Longest wait for a connection, the look-up of the name included, and again for its handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What requests and answers go over.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Stream for T {}

/// Makes connections, and knows whom to trust.
#[derive(Default)]
pub(super) struct Connector {
    /// Given, or else those of the machine, which are read when they are first needed.
    roots: Option<RootCertStore>,
    config: OnceCell<Arc<ClientConfig>>,
}

impl Connector {
    /// Trusts `roots` alone, instead of what this machine trusts.
    pub fn trusting(roots: RootCertStore) -> Self {
        Self { roots: Some(roots), config: OnceCell::new() }
    }

    /// A connection to the host and port of `url`.
    ///
    /// # Errors
    /// Why there is none, as a clause.
    pub async fn connect(&self, url: &Url) -> Result<Box<dyn Stream>, String> {
        // Before anything is sent, since without it the handshake cannot be made.
        let config = if url.scheme() == "https" { Some(self.config().await?) } else { None };
        let seconds = CONNECT_TIMEOUT.as_secs();
        let late = |_| format!("no connection within {seconds} s");
        let connection = timeout(CONNECT_TIMEOUT, connect_plain(url)).await.map_err(late)??;
        let Some(config) = config else { return Ok(Box::new(connection)) };
        let name = ServerName::try_from(plain_host(url)).map_err(|_| "its name is none for TLS".to_owned())?;
        let handshake = TlsConnector::from(config).connect(name, connection);
        let late = |_| format!("no handshake within {seconds} s");
        match timeout(CONNECT_TIMEOUT, handshake).await.map_err(late)? {
            Ok(connection) => Ok(Box::new(connection)),
            Err(error) => Err(tls::in_words(&error).unwrap_or_else(|| format!("the connection failed: {error}"))),
        }
    }

    async fn config(&self) -> Result<Arc<ClientConfig>, String> {
        let make = || async {
            let roots = match self.roots.clone() {
                Some(roots) => roots,
                None => tokio::task::spawn_blocking(tls::system_roots).await.map_err(|error| error.to_string())?,
            };
            tls::client_config(roots)
        };
        self.config.get_or_try_init(make).await.cloned()
    }
}

async fn connect_plain(url: &Url) -> Result<TcpStream, String> {
    let port = url.port_or_known_default().unwrap_or_default();
    let unknown = |_: io::Error| "its name is not known".to_owned();
    let addresses: Vec<SocketAddr> = match url.host() {
        Some(Host::Ipv4(address)) => vec![(address, port).into()],
        Some(Host::Ipv6(address)) => vec![(address, port).into()],
        Some(Host::Domain(name)) => lookup_host((name, port)).await.map_err(unknown)?.collect(),
        None => Vec::new(),
    };
    TcpStream::connect(&addresses[..]).await.map_err(|error| format!("cannot connect: {error}"))
}

/// The host of `url`; an address in version 6 without its brackets.
fn plain_host(url: &Url) -> String {
    match url.host() {
        Some(Host::Ipv6(address)) => address.to_string(),
        other => other.map(|host| host.to_string()).unwrap_or_default(),
    }
}
