//! Fetches one answer over HTTP, by way of hyper.
//!
//! It must never follow a redirect, since where it leads was not checked; never read more than it has a
//! limit for, whatever the headers claim; never wait longer than its timeout; and never take the part of an answer that
//! came before the connection broke for the whole. Each request has a connection of its own.
//!
//! Rejected: to keep connections, because at usual intervals servers have closed them by the next request, which then
//! fails. Rejected: awc, with which the sidecar is asked. It takes the end of the connection for that of an answer in
//! chunks, so that the sum of the series that came before would count as the sum of all; and it takes an answer with neither
//! a length nor chunks for an empty one.

use std::error::Error as _;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper_util::rt::TokioIo;
use rustls::RootCertStore;
use tokio::time::timeout;
use url::{Host, Position, Url};

use crate::metrics::SourceOutcome;
use crate::printable::one_line;

use super::connect::Connector;
use super::request::{REQUEST_TIMEOUT, Request};
use super::secrets::Secrets;
use super::tls;

/// Largest answer that is read.
pub const MAX_ANSWER_BYTES: usize = 1024 * 1024;
/// Most bytes of an answer that wait to be looked at, which is the largest head. Several times what servers send.
const MAX_BUFFER_BYTES: usize = 64 * 1024;
/// How much of a host's name is shown.
const MAX_HOST_CHARS: usize = 100;
const USER_AGENT: &str = concat!("scalegate/", env!("CARGO_PKG_VERSION"));

/// An answer to a request, whatever its status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its `Content-Type`.
    pub content_type: Option<String>,
    /// The host that it redirects to.
    pub location_host: Option<String>,
    /// The body; of other statuses than 200, what could be read of it.
    pub body: Vec<u8>,
    /// Whether the end of the body is certain, rather than where the connection happened to end.
    pub is_whole: bool,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What it counts as.
    pub outcome: SourceOutcome,
    /// In words, as a clause.
    pub detail: String,
}

/// The calls to sources. Their futures need not be `Send`: the engine runs on one thread.
pub trait Fetch: 'static {
    /// Makes `request`. It ends by itself.
    fn fetch(&self, request: &Request) -> impl Future<Output = Result<Answer, Failure>>;
}

/// Sources over HTTP and HTTPS.
pub struct Puller {
    secrets: Secrets,
    timeout: Duration,
    connector: Connector,
}

impl Puller {
    /// Sends `secrets` where requests name them.
    pub fn new(secrets: Secrets) -> Self {
        Self { secrets, timeout: REQUEST_TIMEOUT, connector: Connector::default() }
    }

    /// Trusts `roots` alone, instead of what this machine trusts.
    #[must_use]
    pub fn trusting(self, roots: RootCertStore) -> Self {
        Self { connector: Connector::trusting(roots), ..self }
    }

    /// Waits at most `timeout`.
    #[must_use]
    pub fn waiting(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    async fn exchange(&self, request: &Request) -> Result<Answer, Failure> {
        let sent = self.message(request)?;
        let stream = self.connector.connect(request.url()).await.map_err(|why| no_answer(one_line(why)))?;
        let handshake = http1::Builder::new().max_buf_size(MAX_BUFFER_BYTES).handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(|error| explain(&error))?;
        let conversation = async {
            let response = sender.send_request(sent).await.map_err(|error| explain(&error))?;
            read(request.url(), response).await
        };
        tokio::select! {
            answer = conversation => answer,
            never = carry(connection) => never,
        }
    }

    /// `request` as it is sent. Without one of its secrets, nothing is.
    fn message(&self, request: &Request) -> Result<hyper::Request<String>, Failure> {
        let url = request.url();
        let mut message = hyper::Request::get(&url[Position::BeforePath..Position::AfterQuery])
            .header(header::HOST, url.authority())
            .header(header::USER_AGENT, USER_AGENT)
            .header(header::ACCEPT, request.accept())
            .header(header::ACCEPT_ENCODING, "identity")
            .header(header::CONNECTION, "close");
        for (name, secret) in request.headers() {
            let value = self.secrets.value(secret).ok_or_else(|| no_answer(format!("there is no secret {secret}")))?;
            let unfit = |_| no_answer(format!("the secret {secret} is no value of a header"));
            let mut value = HeaderValue::from_str(value).map_err(unfit)?;
            value.set_sensitive(true);
            message = message.header(name.as_str(), value);
        }
        message.body(String::new()).map_err(|error| no_answer(one_line(format!("it cannot be asked: {error}"))))
    }
}

impl Fetch for Puller {
    async fn fetch(&self, request: &Request) -> Result<Answer, Failure> {
        let seconds = self.timeout.as_secs_f64();
        let answer = timeout(self.timeout, self.exchange(request)).await;
        answer.unwrap_or_else(|_| Err(no_answer(format!("no whole answer within {seconds} s"))))
    }
}

/// Moves what is sent and received. It never ends: what went wrong is told to the one who waits for the answer.
async fn carry<T>(connection: impl Future<Output = hyper::Result<()>>) -> T {
    let _ = connection.await;
    std::future::pending().await
}

async fn read(url: &Url, response: hyper::Response<Incoming>) -> Result<Answer, Failure> {
    let (head, body) = response.into_parts();
    let status = head.status.as_u16();
    let body = read_body(&head.headers, body).await;
    Ok(Answer {
        status,
        content_type: text_of(&head.headers, &header::CONTENT_TYPE),
        location_host: text_of(&head.headers, &header::LOCATION).map(|location| host_of(url, &location)),
        body: if status == 200 { body? } else { body.unwrap_or_default() },
        is_whole: tells_its_end(&head.headers),
    })
}

/// Whether the end of a body with `headers` is told by them or by its last chunk. If so, hyper has seen it.
fn tells_its_end(headers: &HeaderMap) -> bool {
    match headers.get_all(header::TRANSFER_ENCODING).iter().next_back() {
        Some(encodings) => encodings.as_bytes().to_ascii_lowercase().trim_ascii_end().ends_with(b"chunked"),
        None => headers.contains_key(header::CONTENT_LENGTH),
    }
}

async fn read_body(headers: &HeaderMap, mut body: Incoming) -> Result<Vec<u8>, Failure> {
    let encoding =
        text_of(headers, &header::CONTENT_ENCODING).filter(|encoding| !encoding.eq_ignore_ascii_case("identity"));
    if encoding.is_some() {
        return Err(bad_answer("the answer is compressed, which was not asked for"));
    }
    let too_large = || bad_answer(format!("the answer is larger than {MAX_ANSWER_BYTES} bytes"));
    if body.size_hint().lower() > MAX_ANSWER_BYTES as u64 {
        return Err(too_large());
    }
    let mut read = Vec::new();
    while let Some(frame) = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let frame = frame.map_err(|error| match error.is_incomplete_message() {
            true => no_answer("the answer broke off"),
            false => no_answer(one_line(format!("the answer broke off: {}", cause(&error)))),
        })?;
        // Other frames are trailers, which say nothing here.
        let Ok(chunk) = frame.into_data() else { continue };
        if read.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(too_large());
        }
        read.extend_from_slice(&chunk);
    }
    Ok(read)
}

fn text_of(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// The host of `location`, which an answer from `url` gives. Its path may contain what only the source should see.
fn host_of(url: &Url, location: &str) -> String {
    let host = url.join(location).ok().and_then(|target| target.host().map(|host: Host<&str>| host.to_string()));
    one_line(host.unwrap_or_else(|| "nowhere".to_owned())).chars().take(MAX_HOST_CHARS).collect()
}

fn no_answer(detail: impl Into<String>) -> Failure {
    Failure { outcome: SourceOutcome::NoAnswer, detail: detail.into() }
}

fn bad_answer(detail: impl Into<String>) -> Failure {
    Failure { outcome: SourceOutcome::ErrorAnswer, detail: detail.into() }
}

/// Why there is not even the head of an answer.
fn explain(error: &hyper::Error) -> Failure {
    if error.is_parse() {
        return bad_answer(one_line(format!("the answer is not HTTP: {error}")));
    }
    if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
        return no_answer("the connection was closed without an answer");
    }
    let io_error = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    let detail = io_error.and_then(tls::in_words).unwrap_or_else(|| format!("the connection failed: {}", cause(error)));
    no_answer(one_line(detail))
}

/// The innermost reason that there is.
fn cause(error: &hyper::Error) -> String {
    error.source().map_or_else(|| error.to_string(), ToString::to_string)
}
