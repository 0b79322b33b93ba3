//! The sidecar over HTTP, by way of awc.

use std::time::Duration;

use awc::error::{ConnectError, SendRequestError};
use awc::{Client, ClientRequest, Connector};
use futures_util::StreamExt as _;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::answer::{interpret_change, interpret_reading};
use super::{RawReading, Sidecar};
use crate::domain::{Alias, ChangeAnswer, Move, Op, ReadFailure};

/// Longest wait for an answer, the platform guide's advice. The sidecar asks the platform, which may take its time.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest wait for a connection; the sidecar is on the same machine.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Largest answer read; real ones have some hundred bytes.
const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// Most connections at a time. A request beyond waits for its turn, so there is a limit to what the sidecar must bear.
const MAX_CONNECTIONS: usize = 256;
/// What may stand in a path segment as it is (RFC 3986, unreserved).
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The sidecar at a base URL.
pub struct HttpSidecar {
    base_url: String,
    timeout: Duration,
    /// Keeps connections.
    reads: Client,
    /// Opens a connection for each request: one that was used before may have been closed by the other side, and then it
    /// cannot be told whether the request was seen.
    changes: Client,
}

impl HttpSidecar {
    /// The sidecar at `base_url` (`http://host:port`), whose answers are waited for at most `timeout`. Must be made on
    /// the thread that uses it.
    pub fn new(base_url: impl Into<String>, timeout: Duration) -> Self {
        let client = || {
            let connector = Connector::new().timeout(CONNECT_TIMEOUT).limit(MAX_CONNECTIONS);
            Client::builder()
                .connector(connector)
                .timeout(timeout)
                .disable_redirects()
                .add_default_header(("User-Agent", concat!("scalegate/", env!("CARGO_PKG_VERSION"))))
                .finish()
        };
        Self { base_url: base_url.into(), timeout, reads: client(), changes: client() }
    }

    fn url(&self, resource: &Alias, action: &str) -> String {
        let resource = utf8_percent_encode(resource.as_str(), ESCAPED);
        format!("{}/resource/{resource}/capacity{action}", self.base_url)
    }
}

impl Sidecar for HttpSidecar {
    async fn read(&self, resource: &Alias) -> Result<RawReading, ReadFailure> {
        let request = self.reads.get(self.url(resource, ""));
        let answer = match exchange(request, None, self.timeout).await {
            Ok(answer) => answer,
            Err(failure) => return Err(ReadFailure { not_found: false, detail: failure.detail, answer: None }),
        };
        interpret_reading(answer.status, &answer.body)
    }

    async fn change(&self, resource: &Alias, change: Move) -> ChangeAnswer {
        let (action, field) = match change.op {
            Op::Add => ("/add", "capacityToBeAdded"),
            Op::Remove => ("/remove", "capacityToBeRemoved"),
        };
        let request = self.changes.post(self.url(resource, action)).force_close();
        match exchange(request, Some(json!({ field: change.units })), self.timeout).await {
            Ok(answer) => interpret_change(answer.status, &answer.body),
            Err(Failure { sent: false, detail }) => ChangeAnswer::NotSent { detail },
            Err(Failure { sent: true, detail }) => ChangeAnswer::Unknown { detail, answer: None },
        }
    }
}

struct Answer {
    status: u16,
    /// The body, or in its place why it could not be read. The status stands either way.
    body: Vec<u8>,
}

struct Failure {
    /// Whether anything may have been sent.
    sent: bool,
    detail: String,
}

async fn exchange(request: ClientRequest, body: Option<Value>, timeout: Duration) -> Result<Answer, Failure> {
    let sending = match body {
        Some(body) => request.send_json(&body),
        None => request.send(),
    };
    let mut response = sending.await.map_err(|error| explain(error, timeout))?;
    let status = response.status().as_u16();
    let body = tokio::time::timeout(timeout, async {
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
    Ok(Answer { status, body: body.unwrap_or_else(String::into_bytes) })
}

/// awc also reports a connection that was closed *after* the request was sent as a failure to connect, with
/// [`ConnectError::Disconnected`]; only the other kinds mean that nothing was sent.
fn explain(error: SendRequestError, timeout: Duration) -> Failure {
    let (sent, detail) = match error {
        SendRequestError::Connect(ConnectError::Disconnected) => (true, "connection closed without an answer".into()),
        SendRequestError::Connect(ConnectError::Timeout) => {
            (false, format!("no connection to the sidecar within {} s", CONNECT_TIMEOUT.as_secs_f64()))
        }
        SendRequestError::Connect(
            error @ (ConnectError::Io(_)
            | ConnectError::Resolver(_)
            | ConnectError::NoRecords
            | ConnectError::Unresolved
            | ConnectError::SslIsNotSupported),
        ) => (false, format!("cannot connect to the sidecar: {error}")),
        SendRequestError::Url(error) => (false, format!("the sidecar's URL is wrong: {error}")),
        SendRequestError::Timeout => (true, format!("no answer within {} s", timeout.as_secs_f64())),
        SendRequestError::Send(error) => (true, format!("connection failed: {error}")),
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
