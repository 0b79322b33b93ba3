//! Connections with TLS: the handshake, and the HTTP server behind it.
//!
//! Who connects is unknown until the handshake is over: it must never hold anything for longer than a limit, be told of in
//! the log unless somebody asks for that, or keep the process from stopping. Once it is over, everything is as it is
//! without TLS.

use std::fmt::Debug;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use actix_http::error::DispatchError;
use actix_http::{HttpService, Request};
use actix_service::{IntoServiceFactory, ServiceFactoryExt as _, fn_service, map_config};
use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::{AppConfig, Response, Server, ServiceFactory};
use actix_web::rt::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::Tls;
use crate::api::server::{HEADER_TIMEOUT, KEEP_ALIVE, WORKERS};

/// Longest time for a handshake: what there is for the headers of the first request, which come after it.
const HANDSHAKE_TIMEOUT: Duration = HEADER_TIMEOUT;
/// Longest wait for the other side to take leave, as without TLS.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// What somebody reads who speaks HTTP here. Sending him to the right address lost: the next time, too, everybody on the way
/// could read his key.
const SPEAK_TLS: &str = "This gateway speaks HTTPS only: its address begins with https://.\n";

impl Tls {
    /// Serves what `app` makes on `listener`, as [`HttpServer`](crate::api::HttpServer) does without TLS.
    ///
    /// # Errors
    /// If the system refuses what it takes.
    pub fn serve<F, I, S, B>(
        self,
        listener: TcpListener,
        app: F,
        connections_per_worker: usize,
        grace_seconds: u64,
    ) -> io::Result<Server>
    where
        F: Fn() -> I + Clone + Send + 'static,
        I: IntoServiceFactory<S, Request>,
        S: ServiceFactory<Request, Config = AppConfig, Error = Error> + 'static,
        S::InitError: Debug,
        S::Response: Into<Response<B>> + 'static,
        B: MessageBody + 'static,
    {
        let builder = Server::build()
            .workers(WORKERS)
            .max_concurrent_connections(connections_per_worker)
            .shutdown_timeout(grace_seconds)
            .disable_signals();
        let stopping = builder.graceful_shutdown_signal();
        let builder = builder.listen("https", listener, move || {
            let (acceptor, stops) = (self.acceptor.clone(), stopping.clone());
            let handshake = fn_service(move |socket: TcpStream| {
                let (acceptor, stops) = (acceptor.clone(), stops.clone());
                async move {
                    let peer = socket.peer_addr().ok();
                    tokio::select! {
                        stream = shake_hands(acceptor, socket, peer) => Ok((stream?, peer)),
                        () = stops.notified() => Err(DispatchError::DisconnectTimeout),
                    }
                }
            });
            let app = app().into_factory().map_err(|error: Error| error.error_response());
            let stopping = stopping.clone();
            let http = HttpService::build()
                .graceful_shutdown_signal(move || {
                    let stopping = stopping.clone();
                    async move { stopping.notified().await }
                })
                .keep_alive(KEEP_ALIVE)
                .client_request_timeout(HEADER_TIMEOUT)
                .client_disconnect_timeout(DISCONNECT_TIMEOUT)
                .h1(map_config(app, |()| AppConfig::default()));
            handshake.and_then(http)
        })?;
        Ok(builder.run())
    }
}

/// Makes a connection with TLS of `socket`, if that is what whoever is there wants.
async fn shake_hands(
    acceptor: TlsAcceptor,
    socket: TcpStream,
    peer: Option<SocketAddr>,
) -> Result<TlsStream<TcpStream>, DispatchError> {
    let shaken = async {
        let mut first = [0];
        socket.peek(&mut first).await?;
        // A handshake begins with a byte that is no letter, a request with its method.
        if first[0].is_ascii_uppercase() {
            refuse_http(&socket).await?;
            return Err(io::Error::other("it speaks HTTP without TLS"));
        }
        acceptor.accept(socket).await
    };
    let shaken = timeout(HANDSHAKE_TIMEOUT, shaken).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    shaken.inspect(acknowledge).map_err(|error| {
        let peer = peer.map(tracing::field::display);
        tracing::debug!(peer, error = &error as &dyn std::error::Error, "no connection with TLS");
        DispatchError::Io(error)
    })
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

/// Says what is expected here to somebody who speaks HTTP.
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
