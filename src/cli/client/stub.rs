//! A gateway for tests that answers as it is told, over a raw socket: it can also lose answers, and go away.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;

use actix_web::rt;
use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::{Client, ServerUrl, Trust};
use crate::access::Token;
use crate::api::openapi::examples::example_job;
use crate::api::view::JobView;

/// What a stub does with a request.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Answers with this status and body.
    Json(u16, Value),
    /// Answers with this status, headers and body.
    Full(u16, Vec<(&'static str, String)>, String),
    /// Closes the connection without an answer.
    Lost,
    /// Answers with these bytes of a stream of events, and then ends it, breaks it off, or keeps it open and silent.
    Stream(String, Then),
}

/// What becomes of a stream after what was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// It ends as it should.
    End,
    /// The connection is closed in the middle of the body.
    Break,
    /// Nothing more comes, not even a heartbeat.
    Hold,
}

/// A request as it came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// `GET /v1/jobs`
    pub line: String,
    /// Headers with names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl Seen {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// A port that no other test is given, whether there is a listener or not.
pub struct Port {
    address: SocketAddr,
    _taken: Socket,
}

impl Port {
    /// A free one at this loopback address, or `None` if there is no such address.
    pub fn at(ip: IpAddr) -> Option<Self> {
        let taken = bound(SocketAddr::new(ip, 0)).ok()?;
        let address = taken.local_addr().ok()?.as_socket()?;
        Some(Self { address, _taken: taken })
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn listen(&self) -> std::io::Result<TcpListener> {
        let socket = bound(self.address)?;
        socket.listen(128)?;
        socket.set_nonblocking(true)?;
        TcpListener::from_std(socket.into())
    }
}

/// Several sockets of the same user can be bound like this to the same address. Only one of them listens.
fn bound(address: SocketAddr) -> std::io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// A gateway that gives its replies in order, the last one again and again.
pub struct Stub {
    port: Port,
    seen: Rc<RefCell<Vec<Seen>>>,
    serving: rt::task::JoinHandle<()>,
}

impl Stub {
    /// Starts one on a free port.
    pub async fn start(replies: Vec<Reply>) -> Self {
        Self::start_at(Port::at(Ipv4Addr::LOCALHOST.into()).expect("a free port"), replies).await
    }

    /// Starts one at `port`.
    pub async fn start_at(port: Port, replies: Vec<Reply>) -> Self {
        let listener = port.listen().expect("no other listener");
        let seen = Rc::new(RefCell::new(Vec::new()));
        let serving = rt::spawn(serve(listener, replies.into(), Rc::clone(&seen)));
        Self { port, seen, serving }
    }

    /// Listens no more.
    pub async fn stop(self) -> Port {
        self.serving.abort();
        let _ = self.serving.await;
        self.port
    }

    /// Its URL.
    pub fn url(&self) -> String {
        self.port.url()
    }

    /// A client of it.
    pub fn client(&self) -> Client {
        Client::new(self.url().parse::<ServerUrl>().expect("a URL"))
    }

    /// A client of it that has this key.
    pub fn client_with(&self, key: &Token) -> Client {
        let server: ServerUrl = self.url().parse().expect("a URL");
        Client::connect(server, Some(key), &Trust::System).expect("it speaks plain HTTP")
    }

    /// The requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.borrow().clone()
    }

    /// The first lines of the requests so far.
    pub fn lines(&self) -> Vec<String> {
        self.seen.borrow().iter().map(|seen| seen.line.clone()).collect()
    }
}

/// Requests are numbered, and the next one is received, before the reply is under way: a stream may stay open.
async fn serve(listener: TcpListener, mut replies: VecDeque<Reply>, seen: Rc<RefCell<Vec<Seen>>>) {
    // Aborted with this function.
    let mut open = tokio::task::JoinSet::new();
    while let Ok((mut stream, _)) = listener.accept().await {
        let Some(request) = receive(&mut stream).await else { continue };
        seen.borrow_mut().push(request);
        let next = if replies.len() > 1 { replies.pop_front() } else { replies.front().cloned() };
        open.spawn_local(reply(stream, next.unwrap_or(Reply::Lost)));
    }
}

async fn reply(mut stream: TcpStream, reply: Reply) {
    let (status, headers, body) = match reply {
        Reply::Json(status, body) => (status, Vec::new(), body.to_string()),
        Reply::Full(status, headers, body) => (status, headers, body),
        Reply::Stream(text, then) => return stream_events(stream, text, then).await,
        Reply::Lost => return,
    };
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    // An answer without content has no length either.
    let length = if status == 204 { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    let answer = format!("HTTP/1.1 {status} Whatever\r\nConnection: close\r\n{length}{headers}\r\n{body}");
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}

async fn stream_events(mut stream: TcpStream, text: String, then: Then) {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunk = if text.is_empty() { String::new() } else { format!("{:x}\r\n{text}\r\n", text.len()) };
    let end = if then == Then::End { "0\r\n\r\n" } else { "" };
    let _ = stream.write_all(format!("{head}{chunk}{end}").as_bytes()).await;
    if then == Then::Hold {
        // Until the client goes away.
        let _ = stream.read(&mut [0]).await;
    }
    let _ = stream.shutdown().await;
}

async fn receive(stream: &mut TcpStream) -> Option<Seen> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let mut lines = head.lines();
            let line = lines.next()?.trim_end_matches(" HTTP/1.1").to_owned();
            let headers: Vec<(String, String)> = lines
                .filter_map(|line| line.split_once(": "))
                .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
                .collect();
            let seen = Seen { line, headers, body: body.to_owned() };
            if body.len() >= seen.header("content-length").map_or(0, |length| length.parse().expect("a length")) {
                return Some(seen);
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

/// The first frames of a stream.
pub fn ready(resumed: bool) -> String {
    format!("retry: 1\n\nevent: ready\ndata: {}\n\n", json!({"resumed": resumed}))
}

/// The frame that tells of the example job with `changes`.
pub fn event(id: u64, changes: Value) -> String {
    format!("event: job\nid: {id}\ndata: {}\n\n", job(changes))
}

/// A stream that tells of the example job with each of these changes, and ends when it is over.
pub fn events(changes: impl IntoIterator<Item = Value>) -> Reply {
    let events: String = (1..).zip(changes).map(|(id, changes)| event(id, changes)).collect();
    Reply::Stream(ready(false) + &events, Then::End)
}

/// The example job of the OpenAPI document, with `changes` to its top level.
pub fn job(changes: Value) -> Value {
    let mut job = example_job();
    for (name, value) in changes.as_object().expect("an object") {
        job[name] = value.clone();
    }
    job
}

/// The same as a client sees it.
pub fn job_view(changes: Value) -> JobView {
    serde_json::from_value(job(changes)).expect("a job")
}

/// The changes that make the job one that has succeeded.
pub fn succeeded() -> Value {
    json!({
        "state": "succeeded", "currentCapacity": 5, "waitingFor": null, "version": 30,
        "progress": {"completedSteps": 4, "totalSteps": 4, "percent": 100, "estimatedCompletionAt": null},
        "updatedAt": "2026-01-31T12:16:00.000Z", "finishedAt": "2026-01-31T12:16:00.000Z"
    })
}

/// The changes that make the job one that has failed.
pub fn failed() -> Value {
    json!({
        "state": "failed", "waitingFor": null, "version": 9, "finishedAt": "2026-01-31T12:03:00.000Z",
        "error": {"code": "sidecar_rejected", "message": "The sidecar refused add 1 with status 400.",
                  "sidecar": {"status": 400, "body": "quota exceeded"}}
    })
}

/// The changes that make the job one that was canceled.
pub fn canceled() -> Value {
    json!({"state": "canceled", "waitingFor": null, "version": 9, "finishedAt": "2026-01-31T12:03:00.000Z"})
}

/// The problem document of a busy resource.
pub fn busy() -> Reply {
    let document = json!({
        "type": "urn:scalegate:problem:resource_busy", "title": "The resource has an unfinished job", "status": 409,
        "detail": "Job 0198c3f2-7a00-7000-8000-000000000001 is scaling \"worker\" to 8.",
        "instance": "urn:uuid:1b4e28ba-2fa1-41d2-883f-0016d3cca427", "code": "resource_busy",
        "job": {"id": "0198c3f2-7a00-7000-8000-000000000001", "href": "/v1/jobs/0198c3f2-7a00-7000-8000-000000000001"}
    });
    Reply::Json(409, document)
}

/// A problem document with nothing in particular.
pub fn problem(status: u16, code: &str) -> Reply {
    Reply::Json(status, document(status, code))
}

/// The same, with a wish to be asked again after so many seconds.
pub fn problem_for(status: u16, code: &str, seconds: u64) -> Reply {
    Reply::Full(status, vec![("Retry-After", seconds.to_string())], document(status, code).to_string())
}

fn document(status: u16, code: &str) -> Value {
    json!({"type": format!("urn:scalegate:problem:{code}"), "title": "A title", "status": status,
        "detail": "A detail.", "instance": "urn:uuid:0", "code": code})
}
