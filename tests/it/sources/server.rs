//! A server that gives every request the same bytes.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// The first byte of a client that speaks TLS. A server that does not answers it as it answers anything.
const TLS_HANDSHAKE: u8 = 0x16;

/// What the server does after its bytes.
#[derive(Clone, Copy, Debug)]
pub enum End {
    /// It closes the connection.
    Close,
    /// It keeps the connection and says nothing more.
    Stay,
    /// It sends blanks without end.
    Endless,
    /// It sends a blank now and then, without end.
    Drip,
}

pub struct Server {
    address: SocketAddr,
    requests: Rc<RefCell<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Server {
    pub async fn start(bytes: Vec<u8>, end: End) -> Self {
        Self::start_with(bytes, end, None).await
    }

    pub async fn start_with(bytes: Vec<u8>, end: End, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let requests = Rc::<RefCell<Vec<String>>>::default();
        let seen = Rc::clone(&requests);
        let task = tokio::task::spawn_local(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let (bytes, seen, tls) = (bytes.clone(), Rc::clone(&seen), tls.clone());
                tokio::task::spawn_local(async move {
                    // A client that goes away ends it.
                    let _ = match tls {
                        None => serve(connection, &bytes, end, &seen).await,
                        Some(tls) => match tls.accept(connection).await {
                            Ok(connection) => serve(connection, &bytes, end, &seen).await,
                            Err(error) => Err(error),
                        },
                    };
                });
            }
        });
        Self { address, requests, task }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The heads of the requests.
    pub fn requests(&self) -> Vec<String> {
        self.requests.borrow().clone()
    }

    /// Its URL, at which there is nothing any more.
    pub async fn stop(self) -> String {
        self.task.abort();
        let url = self.url("/");
        assert!(self.task.await.is_err_and(|error| error.is_cancelled()));
        url
    }
}

async fn serve(
    mut connection: impl AsyncRead + AsyncWrite + Unpin,
    bytes: &[u8],
    end: End,
    seen: &RefCell<Vec<String>>,
) -> std::io::Result<()> {
    let mut head = vec![connection.read_u8().await?];
    if head == [TLS_HANDSHAKE] {
        let _ = connection.read(&mut [0; 4096]).await?;
    } else {
        while !head.ends_with(b"\r\n\r\n") {
            head.push(connection.read_u8().await?);
        }
        seen.borrow_mut().push(String::from_utf8_lossy(&head).into_owned());
    }
    connection.write_all(bytes).await?;
    connection.flush().await?;
    match end {
        End::Close => connection.shutdown().await,
        End::Stay => {
            let _ = connection.read_u8().await?;
            Ok(())
        }
        End::Endless => loop {
            connection.write_all(&[b' '; 4096]).await?;
        },
        End::Drip => loop {
            connection.write_all(b" ").await?;
            tokio::time::sleep(Duration::from_millis(50)).await;
        },
    }
}
