//! Sources of metrics over real sockets: whatever a server does, its metric has a finite number or a reason, in time.
//!
//! Each server follows a script, byte by byte, and says what it was asked.

mod node_exporter;
mod prometheus;
mod server;
mod tls;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use scalegate::clock::Clock;
use scalegate::domain::policy::{MetricSpec, Missing, Source};
use scalegate::metrics::{Metrics, Scrape};
use scalegate::sources::{MAX_ANSWER_BYTES, Observation, Puller, Secrets, Sources};
use server::{End, Server};

/// How long requests may take here, and how much longer a busy machine may need.
const TIMEOUT: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_secs(20);

fn spec(source: Source) -> MetricSpec {
    let interval = Duration::from_millis(100);
    MetricSpec { source, interval, max_age: Duration::from_secs(3), window: Duration::ZERO, allow_negative: false }
}

fn http(url: String, headers: &[(&str, &str)]) -> Source {
    let headers = headers.iter().map(|(name, secret)| ((*name).to_owned(), (*secret).to_owned())).collect();
    Source::Http { url, pointer: "/a".into(), headers }
}

fn secrets() -> Secrets {
    let mut secrets = Secrets::default();
    secrets.insert("token", "Bearer hunter2").expect("a secret");
    secrets
}

/// The first observation of `source`, and what was counted until then.
async fn observe_with(puller: Puller, source: Source) -> (Observation, String) {
    let metrics = Arc::new(Metrics::new().expect("consistent"));
    let mut sources = Sources::new(puller, Clock::start(), Arc::clone(&metrics));
    let specs = BTreeMap::from([("a".parse().expect("a name"), spec(source))]);
    sources.set(&"worker".parse().expect("an alias"), &specs);
    let observation = tokio::time::timeout(PATIENCE, sources.next()).await.expect("an observation");
    (observation, metrics.render(Scrape::default()).expect("writable"))
}

async fn observe(source: Source) -> Result<f64, (Missing, String)> {
    let (observation, _) = observe_with(Puller::new(secrets()).waiting(TIMEOUT), source).await;
    observation.result.map_err(|error| (error.reason, error.detail))
}

/// An answer with `body`, whose length is told.
fn answer(status: &str, headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

#[actix_web::test]
async fn every_way_in_which_a_source_can_answer_or_fail_has_its_meaning() {
    use Missing::{Invalid, SourceFailed};
    let ok = |body: &str| answer("200 OK", "", body);
    let raw = |text: &str| text.as_bytes().to_vec();
    let huge = format!("{{\"a\":1{}}}", " ".repeat(MAX_ANSWER_BYTES));
    let largest = format!("{{\"a\":1{}}}", " ".repeat(MAX_ANSWER_BYTES - 7));
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let moved = "Location: http://evil.example:1/secret?token=x\r\n";
    let too_large = format!("the answer is larger than {MAX_ANSWER_BYTES} bytes");
    let compressed = "the answer is compressed, which was not asked for";
    for (what, bytes, end, expected) in [
        ("a number", ok("{\"a\":812}"), End::Close, Ok(812.0)),
        ("a number without its length", raw("HTTP/1.0 200 OK\r\n\r\n{\"a\":812}"), End::Close, Ok(812.0)),
        ("a number in chunks", raw(&format!("{chunked}4\r\n{{\"a\"\r\n3\r\n:8}}\r\n0\r\n\r\n")), End::Stay, Ok(8.0)),
        ("a number without length and chunks", raw("HTTP/1.1 200 OK\r\n\r\n{\"a\":812}"), End::Close, Ok(812.0)),
        (
            "a number after a hint",
            raw("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.0 200 OK\r\n\r\n{\"a\":812}"),
            End::Close,
            Ok(812.0),
        ),
        ("the largest answer", ok(&largest), End::Close, Ok(1.0)),
        ("a string", ok("{\"a\":\"812\"}"), End::Close, Err((Invalid, "there is a string at /a"))),
        ("null", ok("{\"a\":null}"), End::Close, Err((Invalid, "there is null at /a"))),
        (
            "HTML",
            answer("200 OK", "Content-Type: text/html\r\n", "<html>1</html>"),
            End::Close,
            Err((Invalid, "the answer is HTML or XML instead of JSON")),
        ),
        ("nothing", ok(""), End::Close, Err((Invalid, "the answer is empty"))),
        (
            "no content",
            raw("HTTP/1.1 204 No Content\r\n\r\n"),
            End::Close,
            Err((Invalid, "the answer is empty, with status 204")),
        ),
        (
            "a redirect",
            answer("302 Found", moved, ""),
            End::Close,
            Err((SourceFailed, "status 302 redirects to evil.example, which is not followed")),
        ),
        ("an error", answer("500 Oops", "", "{\"a\":1}"), End::Close, Err((SourceFailed, "status 500"))),
        ("no access", answer("401 No", "", ""), End::Close, Err((SourceFailed, "status 401"))),
        ("a huge answer", ok(&huge), End::Close, Err((SourceFailed, too_large.as_str()))),
        ("an endless answer", raw("HTTP/1.0 200 OK\r\n\r\n"), End::Endless, Err((SourceFailed, too_large.as_str()))),
        ("an endless error", raw("HTTP/1.0 500 Oops\r\n\r\n"), End::Endless, Err((SourceFailed, "status 500"))),
        (
            "a compressed answer",
            answer("200 OK", "Content-Encoding: gzip\r\n", "\u{1f}"),
            End::Close,
            Err((SourceFailed, compressed)),
        ),
        ("no answer", raw(""), End::Close, Err((SourceFailed, "the connection was closed without an answer"))),
        ("no answer in time", raw(""), End::Stay, Err((SourceFailed, "no whole answer within 3 s"))),
        (
            "half an answer",
            raw("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{\"a\":"),
            End::Stay,
            Err((SourceFailed, "no whole answer within 3 s")),
        ),
        (
            "one byte at a time",
            raw("HTTP/1.0 200 OK\r\n\r\n"),
            End::Drip,
            Err((SourceFailed, "no whole answer within 3 s")),
        ),
    ] {
        let server = Server::start(bytes, end).await;
        let begun = Instant::now();
        let seen = observe(http(server.url("/stats"), &[])).await;
        let expected = expected.map_err(|(reason, detail): (_, &str)| (reason, detail.to_owned()));
        assert_eq!(seen, expected, "{what}");
        assert!(begun.elapsed() < TIMEOUT * 3, "{what} took {:?}", begun.elapsed());
        assert_eq!(server.requests().len(), 1, "{what}");
    }
}

/// Their words are those of the client and of the system.
#[actix_web::test]
async fn what_breaks_off_or_is_not_there_is_a_failure() {
    for (what, bytes) in [
        ("a chunk that ends early", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n{\"a\":1}"),
        ("an end without the last chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\n{\"a\":1}\r\n"),
        ("an end within the last chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\n{\"a\":1}\r\n0"),
        ("a length that is not kept", "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{\"a\":1}"),
        ("no HTTP", "220 smtp.example ESMTP\r\n"),
    ] {
        let server = Server::start(bytes.as_bytes().to_vec(), End::Close).await;
        let (reason, detail) = observe(http(server.url("/"), &[])).await.expect_err(what);
        assert_eq!(reason, Missing::SourceFailed, "{what}: {detail}");
    }
    let gone = Server::start(Vec::new(), End::Close).await.stop().await;
    let (reason, detail) = observe(http(gone, &[])).await.expect_err("gone");
    assert!(reason == Missing::SourceFailed && detail.starts_with("cannot connect"), "{detail}");
    let (reason, detail) = observe(http("http://no-such-host.invalid/".into(), &[])).await.expect_err("no name");
    assert_eq!((reason, detail.as_str()), (Missing::SourceFailed, "its name is not known"));
}

#[actix_web::test]
async fn a_request_says_what_it_wants_and_sends_named_secrets() {
    let server = Server::start(answer("200 OK", "", "{\"a\":1}"), End::Close).await;
    let (observation, counted) =
        observe_with(Puller::new(secrets()), http(server.url("/x?y=1"), &[("Authorization", "token")])).await;
    assert_eq!(observation.result, Ok(1.0));
    let request = server.requests().remove(0).to_lowercase();
    assert!(request.starts_with("get /x?y=1 http/1.1\r\n"), "{request}");
    for line in ["authorization: bearer hunter2", "accept-encoding: identity", "connection: close"] {
        assert!(request.contains(&format!("\r\n{line}\r\n")), "no {line} in {request}");
    }
    assert!(request.contains("user-agent: scalegate/"), "{request}");
    assert!(counted.contains("scalegate_source_requests_total{outcome=\"ok\"} 1\n"), "{counted}");
    let unknown = observe(http(server.url("/"), &[("Authorization", "other")])).await;
    assert_eq!(unknown, Err((Missing::SourceFailed, "there is no secret other".into())));
    assert_eq!(server.requests().len(), 1, "nothing is sent without it");
}

#[actix_web::test]
async fn failures_are_counted_by_kind() {
    for (bytes, outcome) in [(answer("503 Busy", "", ""), "error_answer"), (Vec::new(), "no_answer")] {
        let server = Server::start(bytes, End::Close).await;
        let (_, counted) = observe_with(Puller::new(secrets()), http(server.url("/"), &[])).await;
        assert!(
            counted.contains(&format!("scalegate_source_requests_total{{outcome=\"{outcome}\"}} 1\n")),
            "{counted}"
        );
    }
}
