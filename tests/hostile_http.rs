//! Hostile clients against the real binary, over raw connections: bytes that are nearly HTTP, requests that try to hide
//! another one, clients that are slow, deaf or gone, and thousands of them. They have an API key, or nothing they send would
//! get far.
//!
//! Each gets at most one answer to each request: a problem document where it asked in HTTP, a bare 400, 408 or 431 and
//! the end of the connection where it did not. Nothing is answered with 5xx, nothing panics or hangs, no job comes to be,
//! and others are served meanwhile. Bad input within well-formed requests is in `http_input.rs`.

mod support;

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use scalegate::api::view::StateView;
use scalegate::simulator::Behaviour;
use serde_json::{Value, json};
use support::gateway::{Gateway, PATIENCE, Raw, Response, assert_documented, read_answer, take_answer};
use support::sidecar::Sidecar;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A gateway that has nothing to do, and is not to be given anything to do.
struct Scene {
    gateway: Gateway,
    sidecar: Sidecar,
    _dir: TempDir,
}

impl Scene {
    fn start() -> Self {
        let behaviour = Behaviour { provisioning: Duration::from_millis(100), ..Behaviour::default() };
        let (sidecar, dir) = (Sidecar::start(behaviour), TempDir::new().expect("a directory"));
        let settings = ["--cooldown", "100ms", "--settle", "100ms", "--poll-interval", "50ms"];
        Self { gateway: Gateway::start_with_key(dir.path(), sidecar.address(), &settings), sidecar, _dir: dir }
    }

    /// The bytes of requests, with the key in each of them that names this machine.
    fn signed(&self, bytes: &[u8]) -> Vec<u8> {
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
    fn hidden_job(&self) -> String {
        let (length, key) = (GHOST.len(), self.gateway.key.as_deref().expect("a key"));
        format!(
            "POST /v1/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{GHOST}"
        )
    }

    /// Nothing was accepted or changed, the log has neither errors nor panics, and a job is carried out as ever.
    async fn assert_unharmed(self) {
        assert_eq!(self.gateway.get("/v1/jobs").await.json(), json!({"jobs": [], "nextPageToken": null}));
        assert_eq!(self.sidecar.changes().len(), 0);
        let job = self.gateway.submit(&json!({"resource": "worker", "targetCapacity": 2})).await;
        assert_eq!(self.gateway.finish(job.id).await.state, StateView::Succeeded);
        assert_eq!(errors(&self.gateway.log()), [] as [&Value; 0]);
    }

    /// Sends these bytes and nothing more, and takes what is answered until the connection ends.
    async fn converse(&self, bytes: &[u8]) -> Vec<Response> {
        let mut stream = self.gateway.connect().await;
        // The answer may come, and the connection end, before everything is sent.
        let _ = stream.write_all(&self.signed(bytes)).await;
        let _ = stream.shutdown().await;
        answers(&mut stream).await
    }

    /// Sends bytes that are not HTTP, and takes what is answered until the gateway ends the connection by itself.
    async fn provoke(&self, bytes: &[u8]) -> Vec<Response> {
        let mut stream = self.gateway.connect().await;
        let _ = stream.write_all(&self.signed(bytes)).await;
        answers(&mut stream).await
    }

    /// Sends these bytes, which must be answered like this.
    async fn assert_answers(&self, name: &str, bytes: impl AsRef<[u8]>, expected: &[Answer]) -> Vec<Response> {
        let answered = match expected.last() {
            Some(NotHttp(_)) => self.provoke(bytes.as_ref()).await,
            _ => self.converse(bytes.as_ref()).await,
        };
        assert_answers(name, &answered, expected);
        answered
    }

    /// A request of somebody else is answered.
    async fn assert_serves(&self) {
        let begin = Instant::now();
        assert_eq!(self.gateway.get("/livez").await.status, 200);
        assert!(begin.elapsed() < PATIENCE / 2, "others wait for {:?}", begin.elapsed());
    }
}

/// What must not be in a log. That somebody's bytes are not HTTP is for the library to report.
fn errors(log: &[Value]) -> Vec<&Value> {
    let is_ours = |line: &&Value| !line["message"].as_str().is_some_and(|text| text.starts_with("stream error"));
    log.iter().filter(|line| line["level"] == "ERROR" || line.is_string()).filter(is_ours).collect()
}

/// All answers until the connection ends, which it must.
async fn answers(stream: &mut TcpStream) -> Vec<Response> {
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
enum Answer {
    /// A status and whatever belongs to it.
    Plain(u16),
    /// A problem document.
    Problem(u16, &'static str),
    /// A bare status, because this is not HTTP; the last answer, after which the gateway ends the connection.
    NotHttp(u16),
}

use Answer::{NotHttp, Plain, Problem};

#[track_caller]
fn assert_answers(name: &str, answers: &[Response], expected: &[Answer]) {
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
const GHOST: &str = r#"{"resource": "ghost", "targetCapacity": 5}"#;
const HOST: &str = "Host: localhost\r\n";
const PROBE: &str = "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// The head of a plan, which changes nothing, with these headers on top.
fn plan(headers: &str) -> String {
    format!("POST /v1/plans HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{headers}\r\n\r\n")
}

/// Requests about whose end two readers could differ. A proxy in front that read one differently would let through what
/// it never saw; here the connection ends, and what was hidden is not carried out.
#[actix_web::test]
async fn requests_of_ambiguous_length() {
    let scene = Scene::start();
    let length = GHOST.len();
    for headers in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Content-Length: 0\r\nTransfer-Encoding: chunked",
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 0",
        "Content-Length: 5, 5",
        "Content-Length: +5",
        "Content-Length: -5",
        "Content-Length: 0x5",
        "Content-Length: 5 5",
        "Content-Length: 5;",
        "Content-Length: 5.0",
        "Content-Length: \u{0665}",
        "Content-Length:",
        "Content-Length: 18446744073709551616",
        "Content-Length : 5",
        "Content-Length\t: 5",
        "Content-Length:\r\n 5",
        "X-A: a\r\n b\r\nContent-Length: 5",
        " Content-Length: 5",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding: chunked;a=b",
        "Transfer-Encoding: \u{b}chunked",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding:\r\n chunked",
        "Transfer-Encoding\r\n: chunked",
        "Transfer-Encoding: chunked\rX: y",
        "Transfer-Encoding: chunked\0",
        "X: y\rTransfer-Encoding: chunked",
        "X: \0\r\nContent-Length: 5",
        "\0: y\r\nContent-Length: 5",
        ": y\r\nContent-Length: 5",
        "X\r\nContent-Length: 5",
    ] {
        let request = format!("{}0\r\n\r\n{}{PROBE}", plan(headers), scene.hidden_job());
        scene.assert_answers(&format!("{headers:?}"), request, &[NotHttp(400)]).await;
    }
    // HTTP 1.0 does not know chunks, and without them needs a length.
    for headers in ["Transfer-Encoding: chunked", "X: y"] {
        let request = format!("{}0\r\n\r\n{}", plan(headers).replace("HTTP/1.1", "HTTP/1.0"), scene.hidden_job());
        scene.assert_answers(headers, request, &[NotHttp(400)]).await;
    }
    // The length alone decides: a body that is cut short by it is refused, and what follows has to be a request.
    let cut = format!("{}{GHOST}{PROBE}", plan("Content-Length: 5"));
    let expected = [Problem(400, "malformed_request"), NotHttp(400)];
    scene.assert_answers("a body longer than its length", cut, &expected).await;
    let whole = format!("{}{GHOST}{PROBE}", plan(&format!("Content-Length: 000{length}")));
    scene.assert_answers("a length with zeros", whole, &[Plain(200), Plain(200)]).await;
    // A body where none belongs is a body, not a request.
    let hidden = scene.hidden_job();
    let with_body =
        format!("GET /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{hidden}{PROBE}", hidden.len());
    scene.assert_answers("a GET with a body", with_body, &[Plain(200), Plain(200)]).await;
    // A body shorter than its length never becomes a request, however much of it there is.
    let short = format!("{}{GHOST}", plan(&format!("Content-Length: {}", length + 1)));
    let answered = scene.converse(short.as_bytes()).await;
    assert!(answered.iter().all(|answer| answer.status == 400), "{answered:?}");
    scene.assert_unharmed().await;
}

#[actix_web::test]
async fn chunks_of_every_kind() {
    let scene = Scene::start();
    let size = format!("{:x}", GHOST.len());
    let end = "0\r\n\r\n";
    let refused = &[Problem(400, "malformed_request"), NotHttp(400)][..];
    let fine = &[Plain(200), Plain(200)][..];
    for (body, expected) in [
        (format!("{size}\r\n{GHOST}\r\n{end}"), fine),
        (format!("000{size}\r\n{GHOST}\r\n{end}"), fine),
        (format!("{}\r\n{GHOST}\r\n{end}", size.to_uppercase()), fine),
        (format!("{size};a=\"b\"\r\n{GHOST}\r\n{end}"), fine),
        (format!("{size}\r\n{GHOST}\r\n0\r\nX-Trailer: y\r\n\r\n"), fine),
        (format!("+{size}\r\n{GHOST}\r\n{end}"), refused),
        (format!("-{size}\r\n{GHOST}\r\n{end}"), refused),
        (format!("0x{size}\r\n{GHOST}\r\n{end}"), refused),
        (format!("{size}\n{GHOST}\r\n{end}"), refused),
        (format!("{size};a\n{GHOST}\r\n{end}"), refused),
        (format!("{size}\r{GHOST}\r\n{end}"), refused),
        (format!("\r\n{GHOST}\r\n{end}"), refused),
        (format!(";a=b\r\n{GHOST}\r\n{end}"), refused),
        (format!("{size}_\r\n{GHOST}\r\n{end}"), refused),
        (format!("{size}\r\n{GHOST}{end}"), refused),
        (format!("{size}\r\n{GHOST}x\r\n{end}"), refused),
        (format!("20\r\n{GHOST}\r\n{end}"), refused),
        (format!("ffffffffffffffffff\r\n{GHOST}\r\n{end}"), refused),
        (format!("1{:0>32}\r\n{GHOST}\r\n{end}", 0), refused),
    ] {
        let request = format!("{}{body}{PROBE}", plan("Transfer-Encoding: chunked"));
        let answered = scene.converse(request.as_bytes()).await;
        // After a broken chunk the connection ends, with or without a word on what comes after it.
        let expected = if answered.len() == 1 { &expected[..1] } else { expected };
        assert_answers(&format!("{body:?}"), &answered, expected);
        assert!(answered.len() == 2 || answered[0].status == 400, "{body:?}");
    }
    scene.assert_unharmed().await;
}

/// Requests that are HTTP, in forms nobody uses, and some that are not.
#[actix_web::test]
async fn request_lines() {
    let scene = Scene::start();
    let not_found = &[Problem(404, "not_found")][..];
    let not_allowed = &[Problem(405, "method_not_allowed")][..];
    let not_http = &[NotHttp(400)][..];
    let wrong_host = &[Problem(421, "wrong_host")][..];
    let long_method = "A".repeat(10_000);
    let longest_target = format!("/v1/resources/{}", "a".repeat(60_000));
    let too_long_target = format!("/v1/resources/{}", "a".repeat(66_000));
    let long_query = format!("/v1/jobs?resource={}", "a".repeat(60_000));
    let long_name = format!("/v1/jobs?{}=1", "a".repeat(60_000));
    let many_parameters = format!("/v1/jobs?{}", "a=1&".repeat(10_000));
    for (method, target, expected) in [
        // Methods.
        ("PRI", "/livez", not_allowed),
        ("get", "/livez", not_allowed),
        (&long_method, "/livez", not_allowed),
        ("TRACE", "/v1/jobs", not_allowed),
        ("CONNECT", "/v1/jobs", not_allowed),
        ("CONNECT", "example.com:443", wrong_host),
        ("CONNECT", "localhost:443", not_found),
        ("OPTIONS", "*", not_found),
        ("OPTIONS", "/v1/jobs", not_allowed),
        ("G\u{c4}T", "/livez", not_http),
        ("", "/livez", not_http),
        ("GET\0", "/livez", not_http),
        ("GET(", "/livez", not_http),
        // Targets.
        ("GET", "http://localhost/livez", &[Plain(200)]),
        ("GET", "http://elsewhere.example/livez", wrong_host),
        ("GET", "http://elsewhere.example/nowhere", wrong_host),
        ("GET", "http://", not_http),
        ("GET", "*", not_found),
        ("GET", "livez", wrong_host),
        ("GET", "", not_http),
        ("GET", "?", not_http),
        ("GET", "/livez\0", not_http),
        ("GET", "/livez\u{7f}", not_http),
        ("GET", "/livez\x1b[2J", not_http),
        ("GET", "/v1/resources/w\u{e9}", not_http),
        ("GET", "/v1%2Fjobs", not_found),
        ("GET", "/v1/jobs%2F", not_found),
        ("GET", "/v1/./jobs", not_found),
        ("GET", "/v1/resources/../jobs", not_found),
        ("GET", "/v1/resources/%2e%2e%2fjobs", &[Problem(422, "validation_failed")]),
        ("GET", "/v1/resources/a%252Fb", &[Problem(422, "validation_failed")]),
        ("GET", "/v1/resources/%252e%252e", &[Problem(422, "validation_failed")]),
        ("GET", "/v1/resources/%c0%af", &[Problem(422, "validation_failed")]),
        ("GET", "/v1/resources/%ed%a0%80", &[Problem(422, "validation_failed")]),
        ("GET", "/v1/resources/%zz", &[Problem(422, "validation_failed")]),
        ("GET", "/v1/jobs/%00", &[Problem(404, "job_not_found")]),
        ("GET", "/v1/jobs/%ff%fe", &[Problem(404, "job_not_found")]),
        ("GET", "/v1/jobs?resource=%ff", &[Problem(422, "validation_failed")]),
        ("GET", "/v1/jobs?%ff=%00", &[Problem(422, "validation_failed")]),
        ("GET", "/v1/jobs?resource=%u0041", &[Problem(422, "validation_failed")]),
        ("GET", &longest_target, &[Problem(422, "validation_failed")]),
        ("GET", &too_long_target, not_http),
        ("GET", &long_query, &[Problem(422, "validation_failed")]),
        ("GET", &long_name, &[Problem(422, "validation_failed")]),
        ("GET", &many_parameters, &[Problem(422, "validation_failed")]),
    ] {
        let request = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let name: String = request.chars().take(80).collect();
        let answered = scene.assert_answers(&name, request, expected).await;
        // Neither does an answer repeat everything, nor is it larger than what was asked.
        assert!(answered.iter().all(|answer| answer.body.len() < 10_000 || answer.status == 200), "{name}");
        if let (Some(Problem(status, code)), "GET") = (expected.first(), method) {
            assert_documented(method, target, *status, code);
        }
    }
    // What comes before HTTP/1.1 or after it.
    for line in
        ["GET /livez", "GET /livez HTTP/2.0", "GET /livez HTTP/1.2", "GET /livez http/1.1", "GET /livez HTTP/1.1 x"]
    {
        let request = format!("{line}\r\nHost: localhost\r\n\r\n");
        scene.assert_answers(line, request, not_http).await;
    }
    scene.assert_unharmed().await;
}

#[actix_web::test]
async fn headers() {
    let scene = Scene::start();
    let many = |count| "A: b\r\n".repeat(count);
    let large = |size| format!("A: {}\r\n", "b".repeat(size));
    let host = "Host: localhost\r\n";
    for (name, headers, expected) in [
        ("no host", String::new(), NotHttp(400)),
        ("two hosts", format!("{host}{host}"), NotHttp(400)),
        ("an empty host", "Host:\r\n".into(), Problem(400, "malformed_request")),
        ("an odd host", "Host: a b/c?d@[::\r\n".into(), Problem(400, "malformed_request")),
        ("a host of somebody else", "Host: elsewhere.example:9\r\n".into(), Problem(421, "wrong_host")),
        ("94 headers and the key", format!("{host}{}", many(94)), Plain(200)),
        ("more headers", format!("{host}{}", many(95)), NotHttp(431)),
        ("very many headers", format!("{host}{}", many(10_000)), NotHttp(431)),
        ("a large header", format!("{host}{}", large(100_000)), Plain(200)),
        ("too large a header", format!("{host}{}", large(140_000)), NotHttp(431)),
        ("a control character", format!("{host}A: \x08\r\n"), NotHttp(400)),
        ("a name that is none", format!("{host}A(b): c\r\n"), NotHttp(400)),
        ("a name that is not ASCII", format!("{host}\u{c4}: c\r\n"), NotHttp(400)),
        ("a header without a colon", format!("{host}broken\r\n"), NotHttp(400)),
    ] {
        let request = format!("GET /livez HTTP/1.1\r\n{headers}\r\n");
        let answered = match expected {
            NotHttp(_) => scene.provoke(request.as_bytes()).await,
            _ => scene.converse(request.as_bytes()).await,
        };
        // Where more was sent than is read, the answer may be lost with the connection.
        let is_lost = answered.is_empty() && headers.len() > 8192;
        assert!(is_lost || !answered.is_empty(), "{name}");
        if !is_lost {
            assert_answers(name, &answered, &[expected]);
        }
    }
    scene.assert_unharmed().await;
}

/// Headers that mean something, with values that mean nothing: they are ignored or refused, never misunderstood.
#[actix_web::test]
async fn headers_that_mean_something() {
    let scene = Scene::start();
    let unknown = format!("/v1/jobs/{}", uuid::Uuid::now_v7());
    let huge = "9".repeat(400);
    for (method, target, header, expected) in [
        ("GET", "/livez", "Range: bytes=0-1", Plain(200)),
        ("GET", "/livez", "Range: bytes=-,,99999999999999999999-", Plain(200)),
        (
            "GET",
            "/livez",
            "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk",
            Plain(200),
        ),
        ("GET", "/livez", "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13", Plain(200)),
        ("GET", "/livez", "Connection: keep-alive, close, \u{7}", NotHttp(400)),
        ("GET", "/livez", "Accept: text/html;q=x, */*;q=-1", Plain(200)),
        ("GET", "/livez", "Expect: the unexpected", Plain(200)),
        ("GET", &unknown, "Prefer: wait=99999999999999999999", Problem(404, "job_not_found")),
        ("GET", &unknown, "Prefer: wait=-1, wait=\", ;;=,wait", Problem(404, "job_not_found")),
        ("GET", &unknown, "If-None-Match: \"\", W/, \"unterminated", Problem(404, "job_not_found")),
        (
            "POST",
            "/v1/jobs",
            "Content-Type: application/json;\r\nIdempotency-Key: a\tb",
            Problem(422, "validation_failed"),
        ),
        ("POST", "/v1/jobs", "Content-Type: application/json\r\nIdempotency-Key:", Problem(422, "validation_failed")),
        (
            "POST",
            "/v1/jobs",
            "Content-Type: application/json\r\nContent-Encoding: gzip",
            Problem(415, "unsupported_media_type"),
        ),
        (
            "POST",
            "/v1/jobs",
            "Content-Type: application/json\r\nContent-Encoding: identity, br",
            Problem(415, "unsupported_media_type"),
        ),
        (
            "POST",
            "/v1/jobs",
            "Content-Type: application/json\r\nContent-Encoding:",
            Problem(415, "unsupported_media_type"),
        ),
        (
            "POST",
            "/v1/jobs",
            "Content-Type: text/plain\r\nContent-Encoding: identity",
            Problem(415, "unsupported_media_type"),
        ),
        ("POST", "/v1/plans", "Content-Type: application/json\r\nContent-Encoding: Identity", Plain(200)),
        ("POST", "/v1/plans", &format!("Content-Type: application/json\r\nX: {huge}"), Plain(200)),
    ] {
        let body = if method == "POST" { GHOST } else { "" };
        let length = body.len();
        let request = format!(
            "{method} {target} HTTP/1.1\r\nHost: localhost\r\n{header}\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        scene.assert_answers(header, request, &[expected]).await;
        if let Problem(status, code) = expected {
            assert_documented(method, target, status, code);
        }
    }
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    scene.assert_answers("HTTP/2", preface, &[NotHttp(400)]).await;
    // Whoever asks first whether to send the body is told to, or gets his answer at once.
    let expecting = |length: usize| plan(&format!("Expect: 100-continue\r\nContent-Length: {length}"));
    let mut stream = scene.gateway.connect().await;
    stream.write_all(&scene.signed(expecting(GHOST.len()).as_bytes())).await.expect("sent");
    assert_eq!(read_answer(&mut stream, false).await.status, 100);
    stream.write_all(GHOST.as_bytes()).await.expect("sent");
    stream.shutdown().await.expect("half-closed");
    assert_answers("Expect", &answers(&mut stream).await, &[Plain(200)]);
    let expected = [Plain(100), Problem(413, "body_too_large")];
    scene.assert_answers("Expect", expecting(1 << 20), &expected).await;
    scene.assert_unharmed().await;
}

#[actix_web::test]
async fn json_of_every_kind() {
    let scene = Scene::start();
    let utf_16 = |text: &str, write: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(write).collect::<Vec<u8>>();
    let with = |field: &str| format!(r#"{{"resource": "ghost", {field}}}"#).into_bytes();
    let digits = "9".repeat(10_000);
    let long_name = "n".repeat(60_000);
    let (malformed, senseless) = (Problem(400, "malformed_request"), Problem(422, "validation_failed"));
    for (body, expected) in [
        (vec![b'['; 100_000], Problem(413, "body_too_large")),
        (vec![b'['; 65_000], senseless),
        (r#"{"a":"#.repeat(10_000).into_bytes(), senseless),
        (with(&format!(r#""targetCapacity": {digits}"#)), senseless),
        (with(&format!(r#""targetCapacity": -{digits}"#)), senseless),
        (with(&format!(r#""targetCapacity": 0.5{digits}"#)), senseless),
        (with(&format!(r#""targetCapacity": 1e{digits}"#)), senseless),
        (with(r#""targetCapacity": 1e400"#), senseless),
        (with(r#""targetCapacity": 5, "cooldownSeconds": 1e400"#), senseless),
        (with(r#""targetCapacity": -0"#), Plain(200)),
        (with(r#""targetCapacity": 5.0"#), Plain(200)),
        (with(r#""targetCapacity": 5.000000000000001"#), senseless),
        (with(r#""delta": 9007199254740993.0"#), senseless),
        (with(&format!(r#""targetCapacity": 5, "{long_name}": 1"#)), senseless),
        (with(&format!(r#""targetCapacity": 5, "onConflict": "{long_name}""#)), senseless),
        (with(&format!(r#""targetCapacity": 5, "labels": {{"{long_name}": "x"}}"#)), senseless),
        (with(r#""targetCapacity": 5, "targetCapacity": 6"#), senseless),
        (with(r#""targetCapacity": 5, "target\u0043apacity": 6"#), senseless),
        (with(r#""target\u0043apacity": 5"#), Plain(200)),
        (with(r#""targetCapacity": 5, "reason": "\ud800""#), senseless),
        (with(r#""targetCapacity": 5, "labels": {"\udc00": "x"}"#), senseless),
        (with(r#""targetCapacity": 5, "reason": "\ud83d\ude00""#), Plain(200)),
        (with(r#""targetCapacity": 5, "reason": "\u0000""#), senseless),
        (with(r#""targetCapacity": 5 /* five */"#), malformed),
        (utf_16(GHOST, u16::to_le_bytes), malformed),
        (utf_16(GHOST, u16::to_be_bytes), malformed),
        (utf_16(&format!("\u{feff}{GHOST}"), u16::to_be_bytes), malformed),
        ([GHOST.as_bytes(), b"\0"].concat(), malformed),
        ([b"\x1e", GHOST.as_bytes()].concat(), malformed),
        (b"{\"resource\": \"\xc0\xaf\", \"targetCapacity\": 5}".to_vec(), malformed),
        (b"{\"resource\": \"ghost\", \"targetCapacity\": 5, \"reason\": \"\xed\xa0\x80\"}".to_vec(), malformed),
        (b"{\"resource\": \"ghost\", \"targetCapacity\": 5, \"reason\": \"\xf4\x90\x80\x80\"}".to_vec(), malformed),
    ] {
        let name = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
        let request = [plan(&format!("Content-Length: {}", body.len())).into_bytes(), body].concat();
        let answered = scene.assert_answers(&name, request, &[expected]).await;
        assert!(answered[0].body.len() < 4000, "{name}: the answer repeats too much");
    }
    scene.assert_unharmed().await;
}

#[actix_web::test]
async fn pipelined_requests() {
    const REQUESTS: usize = 200;
    let scene = Scene::start();
    let ids: Vec<String> = (0..REQUESTS).map(|_| uuid::Uuid::now_v7().to_string()).collect();
    let requests: Vec<String> =
        ids.iter().map(|id| format!("GET /v1/jobs/{id} HTTP/1.1\r\nHost: localhost\r\n\r\n")).collect();
    let assert_in_order = |answered: &[Response]| {
        for (answer, id) in answered.iter().zip(&ids) {
            assert!(answer.problem().detail.contains(id), "{answer:?} instead of one about {id}");
        }
    };
    let answered = scene.converse(requests.concat().as_bytes()).await;
    assert_eq!(answered.len(), REQUESTS);
    assert_in_order(&answered);
    // One among them that is not HTTP: those before it are answered, those after it are nobody's.
    let middle = REQUESTS / 2;
    let broken = [requests[..middle].concat(), "garbage\r\n\r\n".to_owned(), requests[middle..].concat()].concat();
    let answered = scene.provoke(broken.as_bytes()).await;
    let (last, before) = answered.split_last().expect("answers");
    assert_eq!(before.len(), middle);
    assert_in_order(before);
    assert_answers("garbage", std::slice::from_ref(last), &[NotHttp(400)]);
    // A body in between, and one that is refused before it is read.
    let refused =
        format!("POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{GHOST}", GHOST.len());
    let mixed =
        [PROBE.to_owned(), plan(&format!("Content-Length: {}", GHOST.len())), GHOST.to_owned(), refused].concat();
    let expected = [Plain(200), Plain(200), Problem(415, "unsupported_media_type")];
    scene.assert_answers("bodies", mixed, &expected).await;
    scene.assert_unharmed().await;
}

/// Clients that take forever to say what they want. All are sent away in the end, and others are served meanwhile.
#[actix_web::test]
async fn slow_requests() {
    const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
    let scene = Scene::start();
    let trickle = async |begin: &str, drop_of_it: &str| {
        let mut stream = scene.gateway.connect().await;
        stream.write_all(begin.as_bytes()).await.expect("sent");
        let start = Instant::now();
        while !is_over(&stream) {
            assert!(start.elapsed() < PATIENCE, "{begin:?} is waited for for ever");
            let _ = stream.try_write(drop_of_it.as_bytes());
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        assert!(start.elapsed() >= HEADER_TIMEOUT.mul_f64(0.9), "{begin:?}: only {:?}", start.elapsed());
        let answered = answers(&mut stream).await;
        assert_answers(begin, &answered, &[NotHttp(408)][..answered.len()]);
    };
    let others = async {
        let begin = Instant::now();
        while begin.elapsed() < HEADER_TIMEOUT {
            scene.assert_serves().await;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::join!(
        trickle("", ""),
        trickle("G", ""),
        trickle("GET /", "x"),
        trickle("GET /livez HTTP/1.1\r\nHost: localhost\r\n", "A: b\r\n"),
        trickle("GET /livez HTTP/1.1\r\nA: ", "b"),
        trickle("\r\n", "\r\n"),
        others,
    );
    scene.assert_unharmed().await;
}

/// Whether there is something to read, be it the end.
fn is_over(stream: &TcpStream) -> bool {
    stream.readable().now_or_never().is_some()
}

/// Clients that ask for much and read nothing: what the gateway holds for each is bounded, others are served, and after a
/// while the gateway gives them up.
#[actix_web::test]
async fn clients_that_never_read() {
    const CLIENTS: usize = 100;
    let scene = Scene::start();
    let before = memory(scene.gateway.pid());
    let requests = "GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(200);
    let mut deaf = Vec::new();
    for _ in 0..CLIENTS {
        let mut stream = scene.gateway.connect().await;
        stream.write_all(requests.as_bytes()).await.expect("sent");
        deaf.push(stream);
    }
    // Each has been given as much as fits on the way to it.
    for stream in &deaf {
        stream.readable().await.expect("an answer");
        scene.assert_serves().await;
    }
    let grown = memory(scene.gateway.pid()).saturating_sub(before);
    println!("{CLIENTS} clients that do not read: {} KiB each", grown / CLIENTS / 1024);
    assert!(grown / CLIENTS < 8 << 20, "{grown} bytes for {CLIENTS} clients");
    assert!(open_files(scene.gateway.pid()) > CLIENTS.max(FILES_OF_ITS_OWN), "they are gone already");
    // Not for ever, though they stay where they are.
    assert_forgotten(&scene.gateway).await;
    drop(deaf);
    scene.assert_unharmed().await;
}

/// Clients that are gone before they have said or heard everything.
#[actix_web::test]
async fn clients_that_go_away() {
    let scene = Scene::start();
    let whole = scene.hidden_job();
    for cut in [0, 1, 20, whole.len() - GHOST.len(), whole.len() - 1] {
        let mut stream = scene.gateway.connect().await;
        stream.write_all(&whole.as_bytes()[..cut]).await.expect("sent");
        stream.set_zero_linger().expect("it will be reset");
    }
    // Many questions at once, and nobody there to hear the answers.
    for _ in 0..2 * FILES_OF_ITS_OWN {
        let mut stream = scene.gateway.connect().await;
        stream.write_all(PROBE.repeat(50).as_bytes()).await.expect("sent");
        stream.set_zero_linger().expect("it will be reset");
    }
    // Nothing more to say is not yet nothing more to hear.
    let request = format!("{}{GHOST}", plan(&format!("Content-Length: {}", GHOST.len())));
    scene.assert_answers("half-closed", request, &[Plain(200)]).await;
    assert_forgotten(&scene.gateway).await;
    scene.assert_unharmed().await;
}

/// Thousands of clients that come and go, and thousands that stay and say nothing.
#[actix_web::test]
async fn very_many_connections() {
    let scene = Scene::start();
    let count = most_connections().min(3000);
    for n in 0..count {
        let mut stream = scene.gateway.connect().await;
        match n % 3 {
            0 => stream.write_all(&PROBE.as_bytes()[..10]).await.expect("sent"),
            1 => stream.set_zero_linger().expect("it will be reset"),
            _ => {}
        }
    }
    scene.assert_serves().await;
    assert_forgotten(&scene.gateway).await;

    let before = memory(scene.gateway.pid());
    let mut idle = Vec::new();
    for _ in 0..count {
        let mut stream = scene.gateway.connect().await;
        stream.write_all(PROBE.as_bytes()).await.expect("sent");
        assert_eq!(read_answer(&mut stream, true).await.status, 200);
        idle.push(stream);
    }
    assert!(open_files(scene.gateway.pid()) >= count, "they are not all open");
    let grown = memory(scene.gateway.pid()).saturating_sub(before);
    println!("{count} idle connections: {} KiB each", grown / count / 1024);
    assert!(grown / count < 64 << 10, "{grown} bytes for {count} connections");
    scene.assert_serves().await;
    drop(idle);
    assert_forgotten(&scene.gateway).await;
    scene.assert_unharmed().await;
}

/// Most files a gateway has open without any client.
const FILES_OF_ITS_OWN: usize = 50;

/// Waits until the gateway has no more files open than it needs for itself: what clients left behind is gone.
async fn assert_forgotten(gateway: &Gateway) {
    let begin = Instant::now();
    while open_files(gateway.pid()) > FILES_OF_ITS_OWN {
        assert!(begin.elapsed() < PATIENCE, "{} files are still open", open_files(gateway.pid()));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn open_files(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).expect("Linux").count()
}

/// How many connections this process and the gateway, which has the same limits, can have open.
fn most_connections() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").expect("Linux");
    let line = limits.lines().find(|line| line.starts_with("Max open files")).expect("a limit");
    let most: usize = line.split_whitespace().nth(3).and_then(|most| most.parse().ok()).unwrap_or(usize::MAX);
    // Other tests of this program need some too.
    most.saturating_sub(most / 4 + 100)
}

/// The memory a process uses, in bytes.
fn memory(pid: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS")).expect("its memory");
    line.split_whitespace().nth(1).and_then(|size| size.parse::<usize>().ok()).expect("a number") * 1024
}

/// A header name of 64 KiB ends the connection and nothing else. The HTTP library panics over it, in the task of that one
/// connection: the only panic that can be provoked from outside, and the reason why the log is not looked at here.
#[actix_web::test]
async fn very_long_header_names() {
    let scene = Scene::start();
    for _ in 0..2 * FILES_OF_ITS_OWN {
        let request = format!("GET /livez HTTP/1.1\r\nHost: localhost\r\n{}: y\r\n\r\n", "n".repeat(70_000));
        let answered = scene.converse(request.as_bytes()).await;
        assert!(answered.is_empty() || answered[0].status < 500, "{answered:?}");
    }
    for _ in 0..20 {
        let response = scene.gateway.raw(&Raw::get("/livez")).await;
        assert_eq!(response.status, 200);
    }
    assert_forgotten(&scene.gateway).await;
}
