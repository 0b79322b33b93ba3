//! Where connections come in: each gets a place, shakes hands if there is TLS, and is handed to the HTTP library.
//!
//! The library's own server is not used, because it knows no limits but the number of all connections: it has no deadline
//! for the head of a second request, and connections of strangers keep out those of the machine itself.

use std::fmt::Debug;
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_http::error::DispatchError;
use actix_http::{HttpService, Request};
use actix_service::{IntoServiceFactory, ServiceFactoryExt as _, fn_service, map_config};
use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::{AppConfig, Response, Server, ServiceFactory};
use actix_web::rt::net::TcpStream;

use super::connections::{AdmitError, Connection, Connections, KEEP_ALIVE, Socket, Transport};
use super::{ConnectionLimits, Tls};
use crate::access::Permits;
use crate::metrics::ConnectionMetrics;

/// Threads that serve requests. Handlers only look things up or wait; two keep a slow one from being felt.
const WORKERS: usize = 2;
/// Longest wait for the other side to take leave.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Threads that read the store for each thread that serves requests. Readers of lists wait for one another in any case; a
/// thread for each of them would keep memory of its own for a while.
const STORE_READERS: usize = 4;
/// Connections beyond those that there is room for, in each thread: they are refused, or another one is about to end.
const DOORSTEP: usize = 16;
/// The answer to a client for which there is no room, unless it speaks TLS.
const NO_ROOM: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 5\r\n\
    Content-Type: text/plain; charset=utf-8\r\nContent-Length: 35\r\n\r\nThere are too many connections now.";

/// Serves what `app` makes on `listener`, with TLS if there is some, within `connection_limits`; on
/// stopping, requests have `grace` to be answered.
///
/// # Errors
/// If the system refuses what it takes.
pub(super) fn serve<F, I, S, B>(
    listener: TcpListener,
    tls: Option<Tls>,
    app: F,
    connection_limits: ConnectionLimits,
    metrics: Arc<ConnectionMetrics>,
    grace: Duration,
) -> std::io::Result<Server>
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
        .worker_max_blocking_threads(STORE_READERS)
        .max_concurrent_connections(connection_limits.connections / WORKERS + DOORSTEP)
        .shutdown_timeout(grace.as_secs().max(1))
        .disable_signals();
    let stopping = builder.graceful_shutdown_signal();
    let addresses = Arc::new(Permits::new(connection_limits.connections_per_address));
    let builder = builder.listen("http", listener, move || {
        let connections = Connections::new(&connection_limits, WORKERS, Arc::clone(&addresses), Arc::clone(&metrics));
        let (tls, stops) = (tls.clone(), stopping.clone());
        let welcome = fn_service(move |stream: TcpStream| {
            let (connections, tls, stops) = (Rc::clone(&connections), tls.clone(), stops.clone());
            async move {
                let peer = stream.peer_addr().ok();
                let connection = connections
                    .admit(peer.map(|peer| peer.ip()))
                    .map_err(|refused| refuse(&stream, tls.is_some(), refused))?;
                tokio::select! {
                    transport = shake_hands(stream, tls) => Ok((Socket::new(transport?, connection), peer)),
                    () = connection.ended() => Err(DispatchError::DisconnectTimeout),
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
            // The connection itself has a deadline for the head of each request.
            .client_request_timeout(Duration::ZERO)
            .client_disconnect_timeout(DISCONNECT_TIMEOUT)
            .on_connect_ext(|socket: &Socket, data| drop(data.insert::<Connection>(socket.connection().clone())))
            .h1(map_config(app, |()| AppConfig::default()));
        welcome.and_then(http)
    })?;
    Ok(builder.run())
}

async fn shake_hands(stream: TcpStream, tls: Option<Tls>) -> Result<Transport, DispatchError> {
    // An answer may go out in several pieces, none of which is to wait until the one before was acknowledged.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(error = &error as &dyn std::error::Error, "answers may come a moment later");
    }
    match tls {
        Some(tls) => tls.shake_hands(stream).await.map(|stream| Transport::Tls(Box::new(stream))),
        None => Ok(Transport::Plain(stream)),
    }
}

/// Tells a caller that there is no room, as far as it listens.
fn refuse(stream: &TcpStream, is_tls: bool, refused: AdmitError) -> DispatchError {
    tracing::debug!(peer = ?stream.peer_addr().ok(), ?refused, "a connection was refused");
    if !is_tls {
        // Short enough for the buffer of a new connection.
        let _ = stream.try_write(NO_ROOM);
    }
    DispatchError::DisconnectTimeout
}
