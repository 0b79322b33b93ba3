//! The handshake of a connection with TLS.
//!
//! The client is unknown until it is over: it must never hold anything for longer than a limit, or be in the log unless the
//! operator has asked for that. Once it is over, everything is as it is without TLS.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use actix_http::error::DispatchError;
use actix_web::rt::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::Tls;
use crate::api::connections::HEAD_TIMEOUT;

/// Longest time for a handshake: what there is for the head of a request.
const HANDSHAKE_TIMEOUT: Duration = HEAD_TIMEOUT;
/// Bytes that are encrypted and wait to be sent. The HTTP library has a buffer of its own, and this one need not be large.
const ENCRYPTED_BYTES: usize = 16 * 1024;
/// The answer to a client that speaks HTTP here. Rejected: a redirection to the right address, because the key could be read
/// on the way the next time, too.
const SPEAK_TLS: &str = "This gateway speaks HTTPS only: its address begins with https://.\n";

impl Tls {
    /// Makes a connection with TLS of `socket`, if that is what its caller wants.
    ///
    /// # Errors
    /// If it is not.
    pub async fn shake_hands(&self, socket: TcpStream) -> Result<TlsStream<TcpStream>, DispatchError> {
        let peer = socket.peer_addr().ok();
        let shaken = timeout(HANDSHAKE_TIMEOUT, shake_hands(&self.acceptor, socket)).await;
        let shaken = shaken.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        let mut stream = shaken.inspect_err(|error| log_failure(error, peer)).map_err(DispatchError::Io)?;
        stream.get_mut().1.set_buffer_limit(Some(ENCRYPTED_BYTES));
        acknowledge(&stream);
        Ok(stream)
    }
}

async fn shake_hands(acceptor: &TlsAcceptor, socket: TcpStream) -> io::Result<TlsStream<TcpStream>> {
    let mut first = [0];
    socket.peek(&mut first).await?;
    // A handshake begins with a byte that is no letter, a request with its method.
    if first[0].is_ascii_uppercase() {
        refuse_http(&socket).await?;
        return Err(io::Error::other("it speaks HTTP without TLS"));
    }
    acceptor.accept(socket).await
}

fn log_failure(error: &io::Error, peer: Option<SocketAddr>) {
    let peer = peer.map(tracing::field::display);
    tracing::debug!(peer, error = error as &dyn std::error::Error, "no connection with TLS");
}

/// Acknowledges the end of the handshake, to which there is nothing to answer. Clients whose system holds back small pieces
/// until the last one was acknowledged would send their first request 40 ms later.
#[cfg(target_os = "linux")]
fn acknowledge(stream: &TlsStream<TcpStream>) {
    if let Err(error) = socket2::SockRef::from(stream.get_ref().0).set_tcp_quickack(true) {
        tracing::debug!(error = &error as &dyn std::error::Error, "the handshake is acknowledged later");
    }
}

/// Other systems acknowledge when they do.
#[cfg(not(target_os = "linux"))]
fn acknowledge(_: &TlsStream<TcpStream>) {}

/// Tells a client that speaks HTTP what is expected here.
async fn refuse_http(socket: &TcpStream) -> io::Result<()> {
    // An answer may be lost if what was sent is not read.
    let _ = socket.try_read(&mut [0; 4096]);
    let length = SPEAK_TLS.len();
    let answer = format!(
        "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Content-Length: {length}\r\n\r\n{SPEAK_TLS}"
    );
    socket.writable().await?;
    // It is so short that nothing of it is left over.
    socket.try_write(answer.as_bytes()).map(|_| ())
}
