//! The real binary as a process, and a client for it.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use actix_web::http::header::HeaderMap;
use scalegate::api::view::JobView;
use serde_json::Value;

/// Longest wait for anything in a test; far more than it takes.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A running `scalegate serve`. Killed when dropped.
pub struct Gateway {
    child: Child,
    pub address: SocketAddr,
    log: mpsc::Receiver<Value>,
}

/// An answer.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Response {
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
        if name.to_string_lossy().starts_with("SCALEGATE_") {
            command.env_remove(name);
        }
    }
    command
}

impl Gateway {
    /// Starts the binary on a free port with its data in `data_dir`, and waits until it is ready.
    pub fn start(data_dir: &Path, sidecar: SocketAddr, more: &[&str]) -> Self {
        let mut child = scalegate()
            .args(["serve", "--listen", "127.0.0.1:0", "--log-format", "json"])
            .args(["--sidecar-url", &format!("http://{sidecar}")])
            .arg("--data-dir")
            .arg(data_dir)
            .args(more)
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let stderr = BufReader::new(child.stderr.take().expect("piped"));
        let (lines, log) = mpsc::channel();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let line = serde_json::from_str(&line).unwrap_or(Value::String(line));
                if lines.send(line).is_err() {
                    return;
                }
            }
        });
        let mut seen = Vec::new();
        let address = loop {
            let line = log.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("it does not become ready: {seen:#?}"));
            match line["address"].as_str() {
                Some(address) => break address.parse().expect("an address"),
                None => seen.push(line),
            }
        };
        Self { child, address, log }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it is gone");
    }

    /// Sends a signal.
    pub fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.pid().to_string()]).status().expect("kill runs");
        assert!(sent.success());
    }

    /// Waits for the process to end; its exit code, and how long it took.
    pub fn wait(&mut self) -> (Option<i32>, Duration) {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("it can be waited for") {
                return (status.code(), begin.elapsed());
            }
            assert!(begin.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The log so far, or since the last time.
    pub fn log(&self) -> Vec<Value> {
        self.log.try_iter().collect()
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub async fn get(&self, path: &str) -> Response {
        send(awc::Client::default().get(self.url(path)), None).await
    }

    pub async fn get_with(&self, path: &str, header: (&str, &str)) -> Response {
        send(awc::Client::default().get(self.url(path)).insert_header(header), None).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Response {
        self.post_with(path, body, &[]).await
    }

    pub async fn post_with(&self, path: &str, body: &Value, headers: &[(&str, &str)]) -> Response {
        let mut request = awc::Client::default().post(self.url(path)).content_type("application/json");
        for header in headers {
            request = request.insert_header(*header);
        }
        send(request, Some(body.to_string().into_bytes())).await
    }

    /// Submits a job that must be accepted.
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

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub async fn send(request: awc::ClientRequest, body: Option<Vec<u8>>) -> Response {
    let request = request.timeout(PATIENCE).force_close();
    let mut response = match body {
        Some(body) => request.send_body(body).await,
        None => request.send().await,
    }
    .expect("an answer");
    let body = response.body().limit(64 << 20).await.expect("a body").to_vec();
    Response { status: response.status().as_u16(), headers: response.headers().clone(), body }
}
