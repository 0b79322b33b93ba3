//! The sidecar over HTTP, by way of awc.

use std::cell::RefCell;
use std::time::Duration;

use actix_web::error::ParseError;
use awc::error::{ConnectError, SendRequestError};
use awc::{Client, ClientRequest, Connector};
use futures_util::StreamExt as _;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};

use super::answer::{interpret_change, interpret_grouped_change, interpret_reading};
use super::{RawReading, Sidecar};
use crate::domain::{Alias, ChangeAnswer, GroupedAnswer, MAX_DISPATCH, Move, Op, Origin, ReadFailure, SidecarAnswer};

/// Longest wait for an answer, the platform guide's advice. The sidecar asks the platform, which may take its time.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest wait for a connection to read over; the sidecar is on the same machine.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Largest answer read; real ones have some hundred bytes.
const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// No limit on connections: a limit would make resources wait for each other. The engine limits the calls: of each
/// resource it has at most one change, one reading and one look on their way, and of looks a limited number in all.
const UNLIMITED: usize = 0;
/// What may stand in a path segment as it is (RFC 3986, unreserved).
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The sidecar at a base URL.
pub struct HttpSidecar {
    base_url: String,
    timeout: Duration,
    /// Keeps connections.
    reads: Keeper,
    /// Opens a connection for each request: one that was used before may have been closed by the other side, and then
    /// it cannot be told whether the request was seen.
    changes: Client,
}

impl HttpSidecar {
    /// The sidecar at `base_url` (`http://host:port`), whose answers are waited for at most `timeout`. Must be made on
    /// the thread that uses it.
    pub fn new(base_url: impl Into<String>, timeout: Duration) -> Self {
        Self { base_url: base_url.into(), timeout, reads: Keeper::new(timeout), changes: client(MAX_DISPATCH, timeout) }
    }

    /// Asks whether a server answers at the base URL. What it answers does not count.
    ///
    /// # Errors
    /// Why nothing does.
    pub async fn knock(&self) -> Result<(), String> {
        let request = self.reads.client().get(&self.base_url);
        exchange(request, None, self.timeout).await.map(|_| ()).map_err(|failure| failure.detail)
    }

    fn url(&self, resource: &Alias, action: &str) -> String {
        let resource = utf8_percent_encode(resource.as_str(), ESCAPED);
        format!("{}/resource/{resource}/capacity{action}", self.base_url)
    }
}

impl Sidecar for HttpSidecar {
    async fn read(&self, resource: &Alias, origin: &Origin) -> Result<RawReading, ReadFailure> {
        let request = with_trace(self.reads.client().get(self.url(resource, "")), origin);
        match exchange(request, None, self.timeout).await {
            Ok(Answer { status, body }) => {
                if status < 200 {
                    self.reads.start_over();
                }
                match body {
                    Ok(body) => interpret_reading(status, &body),
                    Err(detail) if status == 200 => Err(ReadFailure {
                        not_found: false,
                        detail,
                        answer: Some(SidecarAnswer { status, body: String::new() }),
                    }),
                    Err(detail) => interpret_reading(status, detail.as_bytes()),
                }
            }
            Err(failure) => Err(ReadFailure { not_found: false, detail: failure.detail, answer: None }),
        }
    }

    async fn observe(&self, resource: &Alias, origin: &Origin) -> Result<RawReading, ReadFailure> {
        self.read(resource, origin).await
    }

    async fn change(&self, resource: &Alias, change: Move, origin: &Origin) -> ChangeAnswer {
        let (action, field) = words(change.op);
        let request = with_trace(self.changes.post(self.url(resource, action)).force_close(), origin);
        match exchange(request, Some(json!({ field: change.units })), self.timeout).await {
            Ok(Answer { status, body }) => interpret_change(status, &body.unwrap_or_else(String::into_bytes)),
            Err(Failure { sent: false, detail }) => ChangeAnswer::NotSent { detail },
            Err(Failure { sent: true, detail }) => ChangeAnswer::Unknown { detail, answer: None },
        }
    }

    async fn change_together(&self, changes: &[(Alias, Move)], origin: &Origin) -> GroupedAnswer {
        let Some((_, Move { op, .. })) = changes.first() else {
            return GroupedAnswer { answers: Vec::new(), has_path: true };
        };
        let (action, field) = words(*op);
        let parts = changes.iter().map(|(resource, change)| json!({"resourceAlias": resource, field: change.units}));
        let body = json!({"resources": parts.collect::<Vec<Value>>()});
        let url = format!("{}/resources/capacity{action}", self.base_url);
        let request = with_trace(self.changes.post(url).force_close(), origin);
        let failed = |answer: ChangeAnswer| GroupedAnswer { answers: vec![answer; changes.len()], has_path: true };
        match exchange(request, Some(body), self.timeout).await {
            Ok(Answer { status, body }) => {
                let resources: Vec<&Alias> = changes.iter().map(|(resource, _)| resource).collect();
                interpret_grouped_change(status, &body.unwrap_or_else(String::into_bytes), &resources)
            }
            Err(Failure { sent: false, detail }) => failed(ChangeAnswer::NotSent { detail }),
            Err(Failure { sent: true, detail }) => failed(ChangeAnswer::Unknown { detail, answer: None }),
        }
    }
}

/// The last segment of the path, and the field with the units.
fn words(op: Op) -> (&'static str, &'static str) {
    match op {
        Op::Add => ("/add", "capacityToBeAdded"),
        Op::Remove => ("/remove", "capacityToBeRemoved"),
    }
}

fn client(connect_timeout: Duration, timeout: Duration) -> Client {
    Client::builder()
        .connector(Connector::new().timeout(connect_timeout).limit(UNLIMITED))
        .timeout(timeout)
        .disable_redirects()
        .add_default_header(("User-Agent", concat!("scalegate/", env!("CARGO_PKG_VERSION"))))
        .finish()
}

/// A client that keeps its connections as long as each request on them has had its one answer.
struct Keeper {
    timeout: Duration,
    client: RefCell<Client>,
}

impl Keeper {
    fn new(timeout: Duration) -> Self {
        Self { timeout, client: RefCell::new(client(CONNECT_TIMEOUT, timeout)) }
    }

    fn client(&self) -> Client {
        self.client.borrow().clone()
    }

    /// Uses none of the connections again. awc takes an interim answer (1xx) for the answer and keeps the connection;
    /// the real one, when it comes, would be taken for the answer to the next request, and be older than that.
    fn start_over(&self) {
        self.client.replace(client(CONNECT_TIMEOUT, self.timeout));
    }
}

/// Tells the sidecar to which trace the request belongs.
fn with_trace(mut request: ClientRequest, origin: &Origin) -> ClientRequest {
    if let Some(trace) = &origin.trace {
        request = request.insert_header(("traceparent", trace.traceparent()));
        if let Some(state) = trace.tracestate() {
            request = request.insert_header(("tracestate", state));
        }
    }
    request
}

struct Answer {
    status: u16,
    /// The body, or why it could not be read. The status stands either way.
    body: Result<Vec<u8>, String>,
}

struct Failure {
    /// Whether anything may have been sent.
    sent: bool,
    detail: String,
}

/// Sends `request` and waits for the whole answer, head and body together at most `timeout`.
async fn exchange(request: ClientRequest, body: Option<Value>, timeout: Duration) -> Result<Answer, Failure> {
    let deadline = Instant::now() + timeout;
    let sending = match body {
        Some(body) => request.send_json(&body),
        None => request.send(),
    };
    let mut response = sending.await.map_err(|error| explain(error, timeout))?;
    let status = response.status().as_u16();
    let body = timeout_at(deadline, async {
        let mut body = Vec::new();
        while let Some(chunk) = response.next().await {
            let chunk = chunk.map_err(|error| format!("the answer broke off: {error}"))?;
            if body.len() + chunk.len() > MAX_ANSWER_BYTES {
                return Err(format!("the answer is larger than {MAX_ANSWER_BYTES} bytes"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    });
    let body = body.await.unwrap_or_else(|_| Err(format!("the answer took longer than {} s", timeout.as_secs_f64())));
    Ok(Answer { status, body })
}

/// awc also reports a connection that was closed *after* the request was sent as a failure to connect, with
/// [`ConnectError::Disconnected`]; only the other kinds mean that nothing was sent.
fn explain(error: SendRequestError, timeout: Duration) -> Failure {
    let (sent, detail) = match error {
        SendRequestError::Connect(ConnectError::Disconnected) => (true, "connection closed without an answer".into()),
        SendRequestError::Connect(ConnectError::Timeout) => (false, "no connection to the sidecar in time".into()),
        SendRequestError::Connect(
            error @ (ConnectError::Io(_)
            | ConnectError::Resolver(_)
            | ConnectError::NoRecords
            | ConnectError::Unresolved
            | ConnectError::SslIsNotSupported),
        ) => (false, format!("cannot connect to the sidecar: {error}")),
        SendRequestError::Url(error) => (false, format!("the sidecar's URL is wrong: {error}")),
        SendRequestError::Timeout => (true, format!("no answer within {} s", timeout.as_secs_f64())),
        SendRequestError::Send(error) | SendRequestError::Response(ParseError::Io(error)) => {
            (true, format!("connection failed: {error}"))
        }
        SendRequestError::Response(error) => (true, format!("the answer is not HTTP: {error}")),
        other => (true, other.to_string()),
    };
    Failure { sent, detail }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_stay_in_their_path_segment() {
        let sidecar = HttpSidecar::new("http://127.0.0.1:49750", REQUEST_TIMEOUT);
        let alias: Alias = "web-1.eu_west".parse().expect("an alias");
        assert_eq!(sidecar.url(&alias, "/add"), "http://127.0.0.1:49750/resource/web-1.eu_west/capacity/add");
    }
}
