//! The real binary as a process, and a client for it.

use std::borrow::Cow;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use actix_web::http::header::HeaderMap;
use scalegate::access::Token;
use scalegate::api::Problem;
use scalegate::api::view::JobView;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Longest wait for anything in a test; far more than it takes.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A `scalegate serve`, ready or not. Killed when dropped.
pub struct Process {
    child: Child,
    log: mpsc::Receiver<Value>,
    /// Reads the log, until it ends.
    reader: Option<JoinHandle<()>>,
    /// Whether it does.
    reads: Arc<(Mutex<bool>, Condvar)>,
}

/// A running gateway that is ready. Killed when dropped.
pub struct Gateway {
    process: Process,
    pub address: SocketAddr,
    /// What it logged until it was ready.
    pub starting: Vec<Value>,
    /// The API key that requests are sent with.
    pub key: Option<String>,
}

/// An answer.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Response {
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    #[track_caller]
    pub fn job(&self) -> JobView {
        assert!(matches!(self.status, 200 | 202), "{}: {}", self.status, String::from_utf8_lossy(&self.body));
        serde_json::from_slice(&self.body).expect("a job")
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// The binary under test, with an environment of its own.
pub fn scalegate() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_scalegate"));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("SCALEGATE_") || text.starts_with("OTEL_") {
            command.env_remove(name);
        }
    }
    command
}

/// A gateway on a free port of the loopback address with its data in `data_dir`, not started.
pub fn serve(data_dir: &Path, sidecar: SocketAddr, more: &[&str]) -> Command {
    serve_at("127.0.0.1:0", data_dir, sidecar, more)
}

/// The same on another address.
pub fn serve_at(listen: &str, data_dir: &Path, sidecar: SocketAddr, more: &[&str]) -> Command {
    let mut command = scalegate();
    command.args(["serve", "--listen", listen, "--sidecar-url", &format!("http://{sidecar}")]);
    // As in the image: what is free goes back to the system at once.
    command.arg("--data-dir").arg(data_dir).args(more).env("MIMALLOC_PURGE_DELAY", "0");
    command
}

/// Runs a command that must end by itself.
pub fn run_to_its_end(command: &mut Command) -> Output {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
    let begin = Instant::now();
    while child.try_wait().expect("it can be waited for").is_none() {
        if begin.elapsed() > PATIENCE {
            child.kill().expect("it can be killed");
            panic!("it started");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.wait_with_output().expect("it ended")
}

impl Process {
    /// Starts the binary on a free port with its data in `data_dir`.
    pub fn start(data_dir: &Path, sidecar: SocketAddr, more: &[&str]) -> Self {
        Self::start_with(serve(data_dir, sidecar, more))
    }

    /// Runs `command`, which is to start a gateway.
    pub fn start_with(mut command: Command) -> Self {
        let mut child =
            command.args(["--log-format", "json"]).stderr(Stdio::piped()).spawn().expect("the binary starts");
        let stderr = BufReader::new(child.stderr.take().expect("piped"));
        let (lines, log) = mpsc::channel();
        let reads = Arc::new((Mutex::new(true), Condvar::new()));
        let may_read = Arc::clone(&reads);
        let reader = std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let (reads, changed) = &*may_read;
                drop(changed.wait_while(reads.lock().expect("no panic"), |reads| !*reads).expect("no panic"));
                let line = serde_json::from_str(&line).unwrap_or(Value::String(line));
                if lines.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, log, reader: Some(reader), reads }
    }

    /// Whether the test reads what it logs from now on, beyond a line or two.
    pub fn read_log(&self, reads: bool) {
        *self.reads.0.lock().expect("no panic") = reads;
        self.reads.1.notify_all();
    }

    /// Waits until it is ready, but no longer than `patience`: its address. What it logs meanwhile is added to `seen`.
    pub fn address_within(&self, patience: Duration, seen: &mut Vec<Value>) -> Option<SocketAddr> {
        let begin = Instant::now();
        while let Ok(line) = self.log.recv_timeout(patience.saturating_sub(begin.elapsed())) {
            let address = line["address"].as_str().map(|address| address.parse().expect("an address"));
            seen.push(line);
            if address.is_some() {
                return address;
            }
        }
        None
    }

    /// `kill -9`. Returns what was left of its log. Fails if it had ended by itself.
    pub fn kill(mut self) -> Vec<Value> {
        let ended = self.child.try_wait().expect("it can be waited for");
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it is gone");
        // Now that it is gone, its log has an end.
        let log: Vec<Value> = self.log.iter().collect();
        assert_eq!(ended, None, "it ended by itself: {log:#?}");
        log
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Gateway {
    /// Starts the binary on a free port with its data in `data_dir`, and waits until it is ready.
    pub fn start(data_dir: &Path, sidecar: SocketAddr, more: &[&str]) -> Self {
        Self::start_with(serve(data_dir, sidecar, more))
    }

    /// Runs `command`, and waits until the gateway that it starts is ready.
    pub fn start_with(command: Command) -> Self {
        let (process, mut starting) = (Process::start_with(command), Vec::new());
        let ready = process.address_within(PATIENCE, &mut starting);
        let address = ready.unwrap_or_else(|| panic!("it does not become ready: {starting:#?}"));
        Self { process, address, starting, key: None }
    }

    /// Starts the binary with an API key that may do everything, as often as it likes. All requests have it from now
    /// on.
    pub fn start_with_key(data_dir: &Path, sidecar: SocketAddr, more: &[&str]) -> Self {
        let key = Token::generate().expect("randomness");
        let mut command = serve(data_dir, sidecar, &[more, &["--max-request-rate", "0"]].concat());
        command.env("SCALEGATE_ADMIN_KEY", key.expose());
        Self { key: Some(key.expose().to_owned()), ..Self::start_with(command) }
    }

    pub fn pid(&self) -> u32 {
        self.process.child.id()
    }

    /// `kill -9`.
    pub fn kill(self) {
        self.process.kill();
    }

    /// Sends a signal.
    pub fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.pid().to_string()]).status().expect("kill runs");
        assert!(sent.success());
    }

    /// Whether the test reads what it logs from now on, beyond a line or two.
    pub fn read_log(&self, reads: bool) {
        self.process.read_log(reads);
    }

    /// Waits for the process to end; its exit code, and how long it took. Its log is read then, if it was not before.
    pub fn wait(&mut self) -> (Option<i32>, Duration) {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.process.child.try_wait().expect("it can be waited for") {
                let took = begin.elapsed();
                // It may be gone before its last words were read.
                self.process.read_log(true);
                if let Some(reader) = self.process.reader.take() {
                    reader.join().expect("the log can be read");
                }
                return (status.code(), took);
            }
            assert!(begin.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The log so far, or since the last time. What was said a moment ago may not be in it.
    pub fn log(&self) -> Vec<Value> {
        self.process.log.try_iter().collect()
    }

    /// The log since the last time, as soon as there is `enough` in it.
    #[track_caller]
    pub fn log_with(&self, enough: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let (begin, mut log) = (Instant::now(), self.log());
        while !enough(&log) {
            let left = PATIENCE.saturating_sub(begin.elapsed());
            match self.process.log.recv_timeout(left) {
                Ok(line) => log.push(line),
                Err(error) => panic!("{error}, and this is not enough: {log:#?}"),
            }
        }
        log
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn signed(&self, request: awc::ClientRequest) -> awc::ClientRequest {
        match &self.key {
            Some(key) => request.bearer_auth(key),
            None => request,
        }
    }

    pub async fn get(&self, path: &str) -> Response {
        send(self.signed(awc::Client::default().get(self.url(path))), None).await
    }

    pub async fn get_with(&self, path: &str, header: (&str, &str)) -> Response {
        send(self.signed(awc::Client::default().get(self.url(path))).insert_header(header), None).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Response {
        self.post_with(path, body, &[]).await
    }

    pub async fn post_with(&self, path: &str, body: &Value, headers: &[(&str, &str)]) -> Response {
        let mut request = self.signed(awc::Client::default().post(self.url(path))).content_type("application/json");
        for header in headers {
            request = request.insert_header(*header);
        }
        send(request, Some(body.to_string().into_bytes())).await
    }

    /// Submits a job that must be accepted.
    /// Puts what must be taken.
    pub async fn must_put(&self, path: &str, body: &Value) -> Response {
        let response = self.raw(&Raw::put(path, body.to_string())).await;
        assert!(matches!(response.status, 200 | 201), "{path}: {} {}", response.status, response.text());
        response
    }

    pub async fn submit(&self, body: &Value) -> JobView {
        let response = self.post("/v1/jobs", body).await;
        assert_eq!(response.status, 202, "{}", String::from_utf8_lossy(&response.body));
        response.job()
    }

    pub async fn job(&self, id: uuid::Uuid) -> JobView {
        self.get(&format!("/v1/jobs/{id}")).await.job()
    }

    /// Polls until the job is as wanted.
    pub async fn wait_for(&self, id: uuid::Uuid, wanted: impl Fn(&JobView) -> bool) -> JobView {
        let begin = Instant::now();
        loop {
            let job = self.job(id).await;
            if wanted(&job) {
                return job;
            }
            assert!(!job.state.is_over(), "it is over before: {job:#?}");
            assert!(begin.elapsed() < PATIENCE, "it takes too long: {job:#?}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Waits until the job is over.
    pub async fn finish(&self, id: uuid::Uuid) -> JobView {
        let begin = Instant::now();
        loop {
            let job = self.get_with(&format!("/v1/jobs/{id}"), ("Prefer", "wait=10")).await.job();
            if job.state.is_over() {
                return job;
            }
            assert!(begin.elapsed() < PATIENCE, "it takes too long: {job:#?}");
        }
    }
}

pub async fn send(request: awc::ClientRequest, body: Option<Vec<u8>>) -> Response {
    try_send(request, body).await.expect("an answer")
}

/// Sends a request to a gateway that may be gone, or may go before the answer is complete.
pub async fn try_send(request: awc::ClientRequest, body: Option<Vec<u8>>) -> Result<Response, String> {
    let request = request.timeout(PATIENCE).force_close();
    let mut response = match body {
        Some(body) => request.send_body(body).await,
        None => request.send().await,
    }
    .map_err(|error| error.to_string())?;
    let body = response.body().limit(64 << 20).await.map_err(|error| error.to_string())?.to_vec();
    Ok(Response { status: response.status().as_u16(), headers: response.headers().clone(), body })
}

// ---- requests of any shape, and what every answer must have ---------------------------------------------------

/// A request in all its parts, sent byte by byte as it is: no client in between makes it better than it was meant.
#[derive(Clone, Debug)]
pub struct Raw {
    method: String,
    target: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

impl Raw {
    pub fn new(method: &str, target: &str) -> Self {
        Self { method: method.into(), target: target.into(), headers: Vec::new(), body: Vec::new() }
    }

    pub fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// A POST with this body, declared as JSON.
    pub fn post(target: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::with_json("POST", target, body)
    }

    /// A PUT with this body, declared as JSON.
    pub fn put(target: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::with_json("PUT", target, body)
    }

    /// A request with this body, declared as JSON.
    pub fn with_json(method: &str, target: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::new(method, target).header("Content-Type", "application/json").body(body)
    }

    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.into(), value.as_ref().to_vec()));
        self
    }

    /// A body with its length.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        let length = self.body.len().to_string();
        self.header("Content-Length", length)
    }

    /// A body in chunks of at most `size` bytes.
    pub fn chunked(mut self, body: &[u8], size: usize) -> Self {
        for chunk in body.chunks(size) {
            self.body.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            self.body.extend_from_slice(chunk);
            self.body.extend_from_slice(b"\r\n");
        }
        self.body.extend_from_slice(b"0\r\n\r\n");
        self.header("Transfer-Encoding", "chunked")
    }

    /// The head as it goes over the wire.
    pub fn head(&self) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\nHost: localhost\r\n", self.method, self.target).into_bytes();
        for (name, value) in &self.headers {
            head.extend_from_slice(&[name.as_bytes(), b": ", value, b"\r\n"].concat());
        }
        head.extend_from_slice(b"\r\n");
        head
    }
}

/// Reads one answer. Fails if the connection ends before.
pub async fn read_answer(stream: &mut (impl AsyncRead + Unpin), has_body: bool) -> Response {
    let answer = tokio::time::timeout(PATIENCE, try_read_answer(stream, has_body)).await.expect("an answer in time");
    answer.expect("a whole answer")
}

async fn try_read_answer(stream: &mut (impl AsyncRead + Unpin), has_body: bool) -> std::io::Result<Response> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let (status, headers, length) = parse_head(&head);
    let mut body = vec![0; if has_body { length } else { 0 }];
    stream.read_exact(&mut body).await?;
    Ok(Response { status, headers, body })
}

/// Takes one answer, with the body it announces, off the front of what was received.
#[track_caller]
pub fn take_answer(received: &mut &[u8]) -> Response {
    let end = received.windows(4).position(|window| window == b"\r\n\r\n").expect("a whole head") + 4;
    let (status, headers, length) = parse_head(&received[..end]);
    assert!(received.len() >= end + length, "the body is not whole");
    let body = received[end..end + length].to_vec();
    *received = &received[end + length..];
    Response { status, headers, body }
}

/// The status, the headers, and the length they announce.
#[track_caller]
fn parse_head(head: &[u8]) -> (u16, HeaderMap, usize) {
    let head = std::str::from_utf8(head).expect("the head is ASCII");
    let mut lines = head.trim_end().split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|status| status.parse().ok());
    let mut headers = HeaderMap::new();
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        headers.append(name.parse().expect("a header name"), value.parse().expect("a header value"));
    }
    let length = headers.get("content-length").and_then(|value| value.to_str().ok()?.parse().ok());
    (status.expect("a status"), headers, length.unwrap_or(0))
}

impl Gateway {
    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("the gateway takes connections")
    }

    /// Sends a request as it is, over a connection of its own.
    pub async fn raw(&self, request: &Raw) -> Response {
        let mut stream = self.connect().await;
        // An answer may come before the body is sent, and then the rest of it has no reader.
        let _ = stream.write_all(&[request.head(), request.body.clone()].concat()).await;
        read_answer(&mut stream, request.method != "HEAD").await
    }

    /// Sends a request that must be refused with this problem.
    pub async fn refuses(&self, request: &Raw, status: u16, code: &str) -> Problem {
        let response = self.raw(request).await;
        let said = format!("{request:?} -> {} {}", response.status, String::from_utf8_lossy(&response.body));
        assert_eq!(response.status, status, "{said}");
        let problem = response.problem();
        assert_eq!(problem.code.as_str(), code, "{said}");
        assert_documented(&request.method, &request.target, status, code);
        problem
    }
}

impl Response {
    /// The problem document, which must be complete.
    #[track_caller]
    pub fn problem(&self) -> Problem {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let problem: Problem = serde_json::from_slice(&self.body).expect("a problem document");
        assert_eq!(problem.status, self.status);
        assert_eq!(problem.r#type, format!("urn:scalegate:problem:{}", problem.code.as_str()));
        let id = self.header("x-request-id").expect("a request id");
        assert_eq!(problem.instance, format!("urn:uuid:{id}"));
        assert!(!uuid::Uuid::parse_str(id).expect("a UUID").is_nil());
        assert!(!problem.title.is_empty() && problem.detail.ends_with(['.', '?']), "{problem:?}");
        problem
    }
}

/// Fails if the OpenAPI document has this operation without this error.
#[track_caller]
pub fn assert_documented(method: &str, target: &str, status: u16, code: &str) {
    let document = serde_json::to_value(scalegate::api::openapi::document()).expect("a document");
    let path = target.split('?').next().unwrap_or_default();
    let fits = |template: &str| {
        let (template, path) = (template.split('/'), path.split('/'));
        template.clone().count() == path.clone().count()
            && template
                .zip(path)
                .all(|(expected, given)| (expected.starts_with('{') && !given.is_empty()) || expected == given)
    };
    let (_, item) = match document["paths"].as_object().expect("paths").iter().find(|(template, _)| fits(template)) {
        Some(found) => found,
        None => return,
    };
    let operation = &item[method.to_lowercase()];
    if operation.is_object() {
        let shared = operation["responses"][status.to_string()]["$ref"].as_str().unwrap_or_default();
        let response = document.pointer(shared.trim_start_matches('#')).unwrap_or(&Value::Null);
        let examples = &response["content"]["application/problem+json"]["examples"];
        assert!(examples[code].is_object(), "{method} {path} answers {status} {code}, which is not documented");
    }
}
