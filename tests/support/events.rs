//! A client for streams of server-sent events.

use std::net::SocketAddr;
use std::time::Duration;

use actix_web::http::header::HeaderMap;
use futures_util::StreamExt as _;
use serde_json::Value;
use tokio::time::timeout;

use super::gateway::PATIENCE;

/// An event, or a comment under the name ":".
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub id: Option<u64>,
    pub name: String,
    pub data: Value,
}

impl Event {
    /// The version of the job it tells of.
    #[track_caller]
    pub fn version(&self) -> u64 {
        assert_eq!(self.name, "job", "{self:?}");
        self.data["version"].as_u64().expect("a version")
    }
}

/// An open stream.
pub struct Events {
    response: awc::ClientResponse,
    /// What arrived and is not handed out yet.
    received: Vec<u8>,
    ended: bool,
}

/// Asks for a stream; the answer, whatever it is.
pub async fn ask(address: SocketAddr, path: &str, last: Option<u64>) -> awc::ClientResponse {
    try_ask(address, path, last, None).await.expect("an answer")
}

/// Asks a gateway that may be gone.
async fn try_ask(address: SocketAddr, path: &str, last: Option<u64>, key: Option<&str>) -> Option<awc::ClientResponse> {
    let url = format!("http://{address}{path}");
    let mut request = awc::Client::builder().timeout(PATIENCE).finish().get(url).force_close();
    if let Some(id) = last {
        request = request.insert_header(("Last-Event-ID", id.to_string()));
    }
    if let Some(key) = key {
        request = request.bearer_auth(key);
    }
    // The body has all the time in the world.
    Some(request.send().await.ok()?.timeout(Duration::from_hours(1)))
}

impl Events {
    /// Opens a stream, after the event `last`.
    pub async fn open(address: SocketAddr, path: &str, last: Option<u64>) -> Self {
        Self::try_open(address, path, last).await.expect("an answer")
    }

    /// Opens a stream of a gateway that may be gone.
    pub async fn try_open(address: SocketAddr, path: &str, last: Option<u64>) -> Option<Self> {
        Some(Self::of(try_ask(address, path, last, None).await?))
    }

    /// Opens a stream with an API key.
    pub async fn open_with_key(address: SocketAddr, path: &str, key: &str) -> Self {
        Self::of(try_ask(address, path, None, Some(key)).await.expect("an answer"))
    }

    fn of(response: awc::ClientResponse) -> Self {
        assert_eq!(response.status(), 200);
        Self { response, received: Vec::new(), ended: false }
    }

    pub fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// The next event; `None` if the stream has ended, be it in the middle of an event.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            while let Some(length) = self.received.windows(2).position(|pair| pair == b"\n\n") {
                let frame: Vec<u8> = self.received.drain(..length + 2).collect();
                if let Some(event) = parse(std::str::from_utf8(&frame).expect("UTF-8").trim_end()) {
                    return Some(event);
                }
            }
            if self.ended {
                return None;
            }
            match timeout(PATIENCE, self.response.next()).await.expect("something in time") {
                Some(Ok(chunk)) => self.received.extend_from_slice(&chunk),
                Some(Err(_)) | None => self.ended = true,
            }
        }
    }

    /// The next event, which must be of this kind.
    pub async fn expect(&mut self, name: &str) -> Event {
        let event = self.next().await.unwrap_or_else(|| panic!("the stream ends instead of {name}"));
        assert_eq!(event.name, name, "{event:?}");
        event
    }

    /// Everything until the stream ends.
    pub async fn rest(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            events.push(event);
        }
        events
    }
}

/// Nothing, for a frame that only sets the time to retry.
fn parse(frame: &str) -> Option<Event> {
    let mut event = Event { id: None, name: String::new(), data: Value::Null };
    for line in frame.lines() {
        match line.split_once(": ") {
            Some(("", comment)) => (event.name, event.data) = (":".into(), comment.into()),
            Some(("id", id)) => event.id = Some(id.parse().expect("a number")),
            Some(("event", name)) => event.name = name.into(),
            Some(("data", data)) => event.data = serde_json::from_str(data).expect("JSON on one line"),
            Some(("retry", millis)) => assert_eq!(millis.parse(), Ok(2000)),
            _ => panic!("{line:?} is not known here"),
        }
    }
    (!event.name.is_empty()).then_some(event)
}
