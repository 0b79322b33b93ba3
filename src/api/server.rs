//! The HTTP server around the routes.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{ServerHandle, ServiceRequest, ServiceResponse};
use actix_web::http::header::HeaderMap;
use actix_web::middleware::{Condition, from_fn};
use actix_web::web;
use actix_web::{App, Error};
use socket2::{Domain, Socket, Type};
use tracing::Span;
use tracing_actix_web::{RequestId, RootSpanBuilder, TracingLogger};

use super::browsers::{self, BrowserRules};
use super::demonstration::tell_clock;
use super::finish::finish;
use super::guard::guard;
use super::measure::measure;
use super::routes::{no_route, path_of};
use super::tls::Tls;
use super::traced::traced;
use super::{ApiState, docs, documented, listener, panel};

/// Longest time a client may leave what was sent to it unread, or its machine may be silent while something is on the way.
/// Without it, one that asks for much and reads nothing would be kept for ever, together with what it asked for.
#[cfg(target_os = "linux")]
const UNREAD_TIMEOUT: Duration = Duration::from_secs(30);

/// Bytes the system takes of an answer before they can be sent. By itself it would take some megabytes for each client that
/// reads nothing; what is on its way is not in it, so that none that reads is slower for it.
#[cfg(target_os = "linux")]
const UNSENT_BYTES: u32 = 64 * 1024;

/// Most connections that wait to be taken. After a restart, all clients that followed something come back in the same second; with
/// the 128 of the standard library some would have to try for seconds. The system has a limit of its own (`somaxconn`).
const BACKLOG: i32 = 4096;

/// Where the metrics are.
const METRICS: &str = "/metrics";

/// Takes `address`, so that what is printed about it is true before the first request comes.
///
/// # Errors
/// If it cannot be had.
pub fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // Or connections of the process before would keep the address for a while.
    socket.set_reuse_address(true)?;
    // Connections inherit it.
    #[cfg(target_os = "linux")]
    {
        socket.set_tcp_user_timeout(Some(UNREAD_TIMEOUT))?;
        socket.set_tcp_notsent_lowat(UNSENT_BYTES)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// A running server.
pub struct HttpServer {
    handle: ServerHandle,
    running: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl HttpServer {
    /// Serves on `listener`, with `tls` if there is some, and browsers as `browsers` say; on stopping, requests have `grace` to be
    /// answered. With `open_metrics` the metrics need no key.
    ///
    /// # Errors
    /// If the system refuses what it takes.
    pub fn start(
        listener: TcpListener,
        tls: Option<Tls>,
        state: ApiState,
        browsers: BrowserRules,
        open_metrics: bool,
        grace: Duration,
    ) -> std::io::Result<Self> {
        let (tracing, connection_limits) = (state.traces.is_on(), state.connection_limits);
        let is_demonstration = state.clock.speed().is_some();
        let connections = Arc::clone(&state.metrics.connections);
        let state = web::Data::new(state);
        let routes = super::routes();
        let routes = web::Data::new(if open_metrics { routes.opened(METRICS) } else { routes });
        let meters = web::Data::new(state.metrics.requests.of_routes(routes.patterns()));
        let browser_rules = web::Data::new(browsers);
        let app = move || {
            App::new()
                .app_data(state.clone())
                .app_data(routes.clone())
                .app_data(browser_rules.clone())
                .app_data(meters.clone())
                .configure(documented)
                .configure(undocumented)
                .default_service(web::to(no_route))
                // Outwards from here: the last one named sees a request first.
                .wrap(from_fn(guard))
                .wrap(Condition::new(browser_rules.has_origins(), browser_rules.cors()))
                .wrap(from_fn(browsers::enforce))
                .wrap(from_fn(finish))
                .wrap(Condition::new(is_demonstration, from_fn(tell_clock)))
                .wrap(Condition::new(tracing, from_fn(traced)))
                .wrap(TracingLogger::<RequestSpan>::new())
                .wrap(from_fn(measure))
        };
        let server = listener::serve(listener, tls, app, connection_limits, connections, grace)?;
        let handle = server.handle();
        Ok(Self { handle, running: tokio::spawn(server) })
    }

    /// Takes no more connections and waits for the requests under way.
    pub async fn stop(self) {
        self.handle.stop(true).await;
        if let Ok(Err(error)) = self.running.await {
            tracing::warn!(error = &error as &dyn std::error::Error, "the HTTP server ended badly");
        }
    }
}

/// Pages for people, and the document itself.
fn undocumented(config: &mut web::ServiceConfig) {
    config
        .route(docs::DOCUMENT, web::get().to(docs::document))
        .route("/", web::get().to(panel::page))
        .route("/panel/{file:.*}", web::get().to(panel::file))
        .route("/docs", web::get().to(docs::to_page))
        .route("/docs/{page:.*}", web::get().to(docs::file));
}

/// Longest id that a caller can give its request, in characters.
const MAX_CALLER_ID_CHARS: usize = 64;

/// The id that the caller gave its request, for finding it in the log. It is not the request's id: two callers can choose the same
/// one. What could be mistaken for something else in a log is left out, and so is a key sent in the wrong place.
fn caller_id(headers: &HeaderMap) -> Option<&str> {
    let id = headers.get("x-request-id")?.to_str().ok()?;
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    ((1..=MAX_CALLER_ID_CHARS).contains(&id.len()) && id.bytes().all(fits))
        .then_some(id)
        .filter(|id| !id.starts_with(crate::access::PREFIX))
}

/// The span around a request: what is needed to find it again, and no more.
struct RequestSpan;

impl RootSpanBuilder for RequestSpan {
    fn on_request_start(request: &ServiceRequest) -> Span {
        use actix_web::HttpMessage as _;
        let id = request.extensions().get::<RequestId>().copied();
        let id = id.map_or_else(String::new, |id| id.to_string());
        let caller_id = caller_id(request.headers());
        // The id of its trace, if it gets a span of its own.
        let trace = tracing::field::Empty;
        tracing::info_span!("request", id, method = %request.method(), path = path_of(request.request()), caller_id, trace)
    }

    fn on_request_end<B: MessageBody>(span: Span, outcome: &Result<ServiceResponse<B>, Error>) {
        let status = match outcome {
            Ok(response) => response.status(),
            Err(error) => error.as_response_error().status_code(),
        };
        let _entered = span.enter();
        if status.is_server_error() {
            tracing::warn!(status = status.as_u16(), "answered with an error");
        } else {
            tracing::debug!(status = status.as_u16(), "answered");
        }
    }
}
