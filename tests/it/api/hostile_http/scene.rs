//! A gateway to be attacked, and what is to be answered to whom.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use scalegate::domain::StateName;
use scalegate::sim::sidecar::Behaviour;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::gateway::{Gateway, PATIENCE, Response, take_answer};
use crate::support::sidecar::Sidecar;

/// A gateway that has nothing to do, and is not to be given anything to do.
pub struct Scene {
    pub gateway: Gateway,
    sidecar: Sidecar,
    _dir: TempDir,
}

impl Scene {
    pub fn start() -> Self {
        let behaviour = Behaviour { provisioning: Duration::from_millis(100), ..Behaviour::default() };
        let (sidecar, dir) = (Sidecar::start(behaviour), TempDir::new().expect("a directory"));
        let settings = ["--cooldown", "100ms", "--settle", "100ms", "--poll-interval", "50ms"];
        Self { gateway: Gateway::start_with_key(dir.path(), sidecar.address(), &settings), sidecar, _dir: dir }
    }

    /// The bytes of requests, with the key in each of them that names this machine.
    pub fn signed(&self, bytes: &[u8]) -> Vec<u8> {
        let key = self.gateway.key.as_deref().expect("a key");
        let signed = format!("{HOST}Authorization: Bearer {key}\r\n");
        let mut rest = bytes;
        let mut all = Vec::new();
        while let Some(at) = rest.windows(HOST.len()).position(|window| window == HOST.as_bytes()) {
            all.extend_from_slice(&rest[..at]);
            all.extend_from_slice(signed.as_bytes());
            rest = &rest[at + HOST.len()..];
        }
        all.extend_from_slice(rest);
        all
    }

    /// A whole request that makes a job, with the key already, to be hidden in another one's body.
    pub fn hidden_job(&self) -> String {
        let (length, key) = (GHOST.len(), self.gateway.key.as_deref().expect("a key"));
        format!(
            "POST /v1/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{GHOST}"
        )
    }

    /// Nothing was accepted or changed, the log has neither errors nor panics, and a job is carried out as ever.
    pub async fn assert_unharmed(self) {
        assert_eq!(self.gateway.get("/v1/jobs").await.json(), json!({"jobs": [], "nextPageToken": null}));
        assert_eq!(self.sidecar.changes().len(), 0);
        let job = self.gateway.submit(&json!({"resource": "worker", "targetCapacity": 2})).await;
        assert_eq!(self.gateway.finish(job.id).await.state, StateName::Succeeded);
        assert_eq!(errors(&self.gateway.log()), [] as [&Value; 0]);
    }

    /// Sends these bytes and nothing more, and takes what is answered until the connection ends.
    pub async fn converse(&self, bytes: &[u8]) -> Vec<Response> {
        let mut stream = self.gateway.connect().await;
        // The answer may come, and the connection end, before everything is sent.
        let _ = stream.write_all(&self.signed(bytes)).await;
        let _ = stream.shutdown().await;
        answers(&mut stream).await
    }

    /// Sends bytes that are not HTTP, and takes what is answered until the gateway ends the connection by itself.
    pub async fn provoke(&self, bytes: &[u8]) -> Vec<Response> {
        let mut stream = self.gateway.connect().await;
        let _ = stream.write_all(&self.signed(bytes)).await;
        answers(&mut stream).await
    }

    /// Sends these bytes, which must be answered like this.
    pub async fn assert_answers(&self, name: &str, bytes: impl AsRef<[u8]>, expected: &[Answer]) -> Vec<Response> {
        let answered = match expected.last() {
            Some(NotHttp(_)) => self.provoke(bytes.as_ref()).await,
            _ => self.converse(bytes.as_ref()).await,
        };
        assert_answers(name, &answered, expected);
        answered
    }

    /// A request of another client is answered.
    pub async fn assert_serves(&self) {
        let begin = Instant::now();
        assert_eq!(self.gateway.get("/livez").await.status, 200);
        assert!(begin.elapsed() < PATIENCE / 2, "others wait for {:?}", begin.elapsed());
    }
}

/// What must not be in a log. That a client's bytes are not HTTP is for the library to report.
pub fn errors(log: &[Value]) -> Vec<&Value> {
    let is_ours = |line: &&Value| !line["message"].as_str().is_some_and(|text| text.starts_with("stream error"));
    log.iter().filter(|line| line["level"] == "ERROR" || line.is_string()).filter(is_ours).collect()
}

/// All answers until the connection ends, which it must.
pub async fn answers(stream: &mut TcpStream) -> Vec<Response> {
    let mut received = Vec::new();
    match tokio::time::timeout(PATIENCE, stream.read_to_end(&mut received)).await.expect("the connection ends") {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("{error}"),
        Ok(_) | Err(_) => {}
    }
    let (mut rest, mut answers) = (received.as_slice(), Vec::new());
    while !rest.is_empty() {
        answers.push(take_answer(&mut rest));
    }
    answers
}

/// What is to be answered to a request.
#[derive(Clone, Copy, Debug)]
pub enum Answer {
    /// A status and whatever belongs to it.
    Plain(u16),
    /// A problem document.
    Problem(u16, &'static str),
    /// A bare status, because this is not HTTP; the last answer, after which the gateway ends the connection.
    NotHttp(u16),
}

use Answer::{NotHttp, Plain, Problem};

#[track_caller]
pub fn assert_answers(name: &str, answers: &[Response], expected: &[Answer]) {
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    let told = expected.iter().map(|answer| match answer {
        Plain(status) | Problem(status, _) | NotHttp(status) => *status,
    });
    assert_eq!(statuses, told.collect::<Vec<u16>>(), "{name}: {answers:?}");
    for (answer, expected) in answers.iter().zip(expected) {
        match expected {
            Plain(_) => {}
            Problem(_, code) => assert_eq!(answer.problem().code.as_str(), *code, "{name}"),
            NotHttp(_) => assert!(answer.body.is_empty(), "{name}: {answer:?}"),
        }
    }
}

/// A wish that must never come true.
pub const GHOST: &str = r#"{"resource": "ghost", "targetCapacity": 5}"#;
pub const HOST: &str = "Host: localhost\r\n";
pub const PROBE: &str = "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// The head of a plan, which changes nothing, with these headers on top.
pub fn plan(headers: &str) -> String {
    format!("POST /v1/plans HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{headers}\r\n\r\n")
}
