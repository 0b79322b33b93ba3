//! Fetches one answer over HTTP, by way of awc.
//!
//! It must never follow a redirect, since where it leads was not checked; never read more than it has a
//! limit for, whatever the headers claim; and never wait longer than its timeout. Each request has a connection of its
//! own. Rejected: to keep connections, because at usual intervals servers have closed them by the next request, which
//! then fails, and awc can take a late answer for that to the next request.

use std::sync::Arc;
use std::time::Duration;

use actix_web::error::{ParseError, PayloadError};
use actix_web::http::header::{self, HeaderMap, HeaderName};
use actix_web::web::Bytes;
use awc::error::{ConnectError, SendRequestError};
use awc::{Client, Connector};
use futures_util::{Stream, StreamExt as _};
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::OnceCell;
use tokio::time::timeout;
use url::{Host, Url};

use crate::metrics::SourceOutcome;
use crate::printable::one_line;

use super::request::Request;
use super::secrets::Secrets;
use super::tls;

/// Longest time from the look-up of a name to the end of an answer.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait for a connection, and again for its handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Largest answer that is read.
pub const MAX_ANSWER_BYTES: usize = 1024 * 1024;
/// How much of a host's name is shown.
const MAX_HOST_CHARS: usize = 100;

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
    plain: Client,
    /// Given, or else those of the machine, which are read when they are first needed.
    roots: Option<RootCertStore>,
    secure: OnceCell<Client>,
}

impl Puller {
    /// Sends `secrets` where requests name them. Must be made and used on one thread, within a `LocalSet`.
    pub fn new(secrets: Secrets) -> Self {
        Self { secrets, timeout: REQUEST_TIMEOUT, plain: client(None), roots: None, secure: OnceCell::new() }
    }

    /// Trusts `roots` alone, instead of what this machine trusts.
    #[must_use]
    pub fn trusting(self, roots: RootCertStore) -> Self {
        Self { roots: Some(roots), ..self }
    }

    /// Waits at most `timeout`.
    #[must_use]
    pub fn waiting(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    async fn client(&self, url: &Url) -> Result<&Client, Failure> {
        if url.scheme() != "https" {
            return Ok(&self.plain);
        }
        let make = || async {
            let roots = match self.roots.clone() {
                Some(roots) => roots,
                None => tokio::task::spawn_blocking(tls::system_roots).await.map_err(|error| error.to_string())?,
            };
            Ok(client(Some(tls::client_config(roots)?)))
        };
        self.secure.get_or_try_init(make).await.map_err(|why: String| no_answer(why))
    }

    async fn exchange(&self, request: &Request) -> Result<Answer, Failure> {
        let url = request.url();
        let mut sending = self.client(url).await?.get(url.as_str()).force_close().no_decompress();
        sending = sending.insert_header((header::ACCEPT, request.accept()));
        sending = sending.insert_header((header::ACCEPT_ENCODING, "identity"));
        for (name, secret) in request.headers() {
            let value = self.secrets.value(secret).ok_or_else(|| no_answer(format!("there is no secret {secret}")))?;
            sending = sending.insert_header((name.as_str(), value));
        }
        let mut response = sending.send().await.map_err(explain)?;
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let body = read_body(&headers, &mut response).await;
        Ok(Answer {
            status,
            content_type: text_of(&headers, &header::CONTENT_TYPE),
            location_host: text_of(&headers, &header::LOCATION).map(|location| host_of(url, &location)),
            body: if status == 200 { body? } else { body.unwrap_or_default() },
            is_whole: headers.contains_key(header::CONTENT_LENGTH),
        })
    }
}

impl Fetch for Puller {
    async fn fetch(&self, request: &Request) -> Result<Answer, Failure> {
        let seconds = self.timeout.as_secs_f64();
        let answer = timeout(self.timeout, self.exchange(request)).await;
        answer.unwrap_or_else(|_| Err(no_answer(format!("no whole answer within {seconds} s"))))
    }
}

fn client(tls: Option<Arc<ClientConfig>>) -> Client {
    // No limit on connections: how many there are is decided where requests are made.
    let connector = Connector::new().timeout(CONNECT_TIMEOUT).handshake_timeout(CONNECT_TIMEOUT).limit(0);
    let connector = match tls {
        Some(config) => connector.rustls_0_23(config),
        None => connector,
    };
    Client::builder()
        .connector(connector)
        .disable_timeout()
        .disable_redirects()
        .add_default_header((header::USER_AGENT, concat!("scalegate/", env!("CARGO_PKG_VERSION"))))
        .finish()
}

async fn read_body(
    headers: &HeaderMap,
    chunks: &mut (impl Stream<Item = Result<Bytes, PayloadError>> + Unpin),
) -> Result<Vec<u8>, Failure> {
    let encoding =
        text_of(headers, &header::CONTENT_ENCODING).filter(|encoding| !encoding.eq_ignore_ascii_case("identity"));
    if encoding.is_some() {
        return Err(bad_answer("the answer is compressed, which was not asked for"));
    }
    let too_large = || bad_answer(format!("the answer is larger than {MAX_ANSWER_BYTES} bytes"));
    let claimed = text_of(headers, &header::CONTENT_LENGTH).and_then(|length| length.parse::<usize>().ok());
    if claimed.is_some_and(|length| length > MAX_ANSWER_BYTES) {
        return Err(too_large());
    }
    let mut body = Vec::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| no_answer(one_line(format!("the answer broke off: {error}"))))?;
        if body.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    // awc takes the end of the connection for that of the body.
    if claimed.is_some_and(|length| length != body.len()) {
        return Err(no_answer("the answer broke off"));
    }
    Ok(body)
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

/// awc reports a connection that was closed before an answer as one that could not be made, with
/// [`ConnectError::Disconnected`].
fn explain(error: SendRequestError) -> Failure {
    let tls = match &error {
        SendRequestError::Connect(ConnectError::Io(error)) | SendRequestError::Send(error) => tls::in_words(error),
        _ => None,
    };
    if let Some(detail) = tls {
        return no_answer(one_line(detail));
    }
    no_answer(one_line(match error {
        SendRequestError::Connect(ConnectError::Disconnected) => {
            "the connection was closed without an answer".to_owned()
        }
        SendRequestError::Connect(ConnectError::Timeout) => {
            format!("no connection within {} s", CONNECT_TIMEOUT.as_secs())
        }
        SendRequestError::Connect(ConnectError::Resolver(_) | ConnectError::NoRecords) => {
            "its name is not known".to_owned()
        }
        SendRequestError::Connect(error) => format!("cannot connect: {error}"),
        SendRequestError::Response(ParseError::Io(error)) | SendRequestError::Send(error) => {
            format!("the connection failed: {error}")
        }
        SendRequestError::Response(error) => return bad_answer(one_line(format!("the answer is not HTTP: {error}"))),
        other => other.to_string(),
    }))
}
