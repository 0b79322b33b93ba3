//! Bytes that are nearly a request, or more than one.

use tokio::io::AsyncWriteExt as _;

use super::scene::Answer::{NotHttp, Plain, Problem};
use super::scene::{GHOST, PROBE, Scene, answers, assert_answers, plan};
use crate::support::gateway::{Response, assert_documented, read_answer};

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
    // A body where none belongs is no request: the answer does not wait for it, and the connection ends.
    let hidden = scene.hidden_job();
    let with_body =
        format!("GET /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{hidden}{PROBE}", hidden.len());
    scene.assert_answers("a GET with a body", with_body, &[Plain(200)]).await;
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

/// Requests that are HTTP, in forms that no client uses, and some that are not.
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
        ("a host of another server", "Host: elsewhere.example:9\r\n".into(), Problem(421, "wrong_host")),
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
    // A client that asks first whether to send the body is told to, or gets its answer at once.
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
    // One among them that is not HTTP: those before it are answered, those after it belong to no client.
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

/// Each request is answered as what it is, whatever follows it while its answer is not there yet.
#[actix_web::test]
async fn a_request_is_not_answered_as_the_next_one() {
    let scene = Scene::start();
    let list = "GET /v1/jobs HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for next in [
        "HEAD /livez HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        "GET /livez HTTP/1.0\r\nHost: localhost\r\n\r\n",
    ] {
        let mut stream = scene.gateway.connect().await;
        stream.write_all(&scene.signed([list, next].concat().as_bytes())).await.expect("sent");
        let first = read_answer(&mut stream, true).await;
        assert!(first.json()["jobs"].is_array() && first.header("connection").is_none(), "before {next:?}: {first:?}");
        assert_eq!(read_answer(&mut stream, !next.starts_with("HEAD")).await.status, 200);
    }
    scene.assert_unharmed().await;
}
