use std::ffi::OsString;
use std::time::Duration;

use actix_web::http::StatusCode;
use serde_json::json;

use super::stub::{Port, Reply, Stub, Then, busy, event, job, problem, problem_for, ready, succeeded};
use super::{Client, Failure, ListQuery, ServerUrl};
use crate::access::Token;
use crate::api::Submission;
use crate::cli::command_line::CommandLine;
use crate::cli::exit::Exit;

const PAUSES: [Duration; 2] = [Duration::from_millis(1); 2];

fn submission() -> Submission {
    Submission { resource: "worker".into(), target_capacity: Some(5), ..Submission::default() }
}

/// How a submission to a gateway with these replies ends, how often it was sent, and how often a retry was told.
async fn submit(replies: Vec<Reply>) -> (Result<bool, Failure>, usize, usize) {
    let stub = Stub::start(replies).await;
    let client = stub.client().with_submit_pauses(&PAUSES);
    let mut retries = 0;
    let submitted = client.submit(&submission(), "the-key", |_| retries += 1).await;
    let seen = stub.seen();
    for request in &seen {
        assert_eq!(request.line, "POST /v1/jobs");
        assert_eq!(request.header("idempotency-key"), Some("the-key"));
        assert_eq!(request.header("content-type"), Some("application/json"));
        assert_eq!(request.body, r#"{"resource":"worker","targetCapacity":5}"#);
    }
    (submitted.map(|submitted| submitted.joined), seen.len(), retries)
}

#[actix_web::test]
async fn a_lost_answer_is_asked_for_again_under_the_same_key() {
    let (submitted, sent, retries) = submit(vec![Reply::Lost, Reply::Lost, Reply::Json(202, job(json!({})))]).await;
    assert_eq!((submitted.ok(), sent, retries), (Some(false), 3, 2));
}

#[actix_web::test]
async fn a_gateway_that_cannot_just_now_is_asked_again() {
    let (submitted, sent, _) = submit(vec![problem(503, "overloaded"), Reply::Json(200, job(json!({})))]).await;
    assert_eq!((submitted.ok(), sent), (Some(true), 2));
}

#[actix_web::test]
async fn a_refusal_is_final() {
    for (reply, exit) in [
        (busy(), Exit::Refused),
        (problem(429, "queue_full"), Exit::Refused),
        (problem(500, "internal_error"), Exit::Unreachable),
    ] {
        let (submitted, sent, _) = submit(vec![reply]).await;
        assert_eq!((submitted.map_err(|failure| failure.exit()), sent), (Err(exit), 1));
    }
}

#[actix_web::test]
async fn an_undecided_submission_tells_how_to_repeat_it() {
    let (submitted, sent, _) = submit(vec![Reply::Lost, problem(503, "overloaded")]).await;
    let failure = submitted.expect_err("it never worked");
    assert_eq!((sent, failure.exit()), (3, Exit::Unreachable));
    let command = CommandLine::new(["scalegate", "scale", "worker", "5"].map(OsString::from));
    let told = failure.with_next(&command, "");
    assert!(told.starts_with("A title (503 overloaded)"), "{told}");
    assert!(told.ends_with(": scalegate scale worker 5 --idempotency-key the-key"), "{told}");
    // Nothing that may have been accepted, nothing to repeat with care.
    let (submitted, _, _) = submit(vec![problem(503, "overloaded")]).await;
    let told = submitted.expect_err("it never worked").with_next(&command, "");
    assert!(!told.contains("idempotency"), "{told}");
}

#[actix_web::test]
async fn a_refused_connection_is_no_undecided_submission() {
    let port = Stub::start(vec![]).await.stop().await;
    let server: ServerUrl = port.url().parse().expect("a URL");
    let client = Client::new(server).with_submit_pauses(&PAUSES);
    let mut retries = 0;
    let failure = client.submit(&submission(), "k", |_| retries += 1).await.expect_err("no listener");
    assert!(matches!(failure, Failure::NotConnected { .. }), "{failure:?}");
    assert!(failure.to_string().contains("Connection refused"), "{failure}");
    assert_eq!((retries, failure.exit()), (2, Exit::Unreachable));
}

#[actix_web::test]
async fn ipv6_addresses_work() {
    let Some(port) = Port::at(std::net::Ipv6Addr::LOCALHOST.into()) else { return };
    let stub = Stub::start_at(port, vec![Reply::Json(200, job(json!({})))]).await;
    let job = stub.client().job(uuid::Uuid::nil()).await.expect("a job");
    assert_eq!(job.resource, "worker");
}

#[actix_web::test]
async fn another_server_is_not_taken_for_a_gateway() {
    for (reply, exit, words) in [
        (Reply::Json(200, json!({"hello": "world"})), Exit::Unreachable, "does not look like a gateway"),
        (Reply::Full(301, vec![("Location", "/".into())], String::new()), Exit::Unreachable, "status 301: (no body)"),
        (Reply::Full(403, vec![], "go away".into()), Exit::Refused, "status 403: go away"),
        (
            Reply::Json(401, json!({"code": "from_the_future", "title": "No key", "detail": "Send one."})),
            Exit::Refused,
            "status 401: No key: Send one.",
        ),
    ] {
        let stub = Stub::start(vec![reply]).await;
        let failure = stub.client().job(uuid::Uuid::nil()).await.expect_err("no job");
        assert_eq!(failure.exit(), exit, "{failure}");
        assert!(failure.to_string().contains(words), "{failure}");
    }
}

#[test]
fn problems_are_told_line_by_line() {
    let told = |document: serde_json::Value| {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        Failure::of_answer(status, document.to_string().as_bytes(), None).to_string()
    };
    let mut document = json!({
        "type": "t", "title": "The request does not make sense", "status": 422, "instance": "i",
        "detail": "stepSize must be at least 1; is wrong.", "code": "validation_failed",
        "errors": [{"pointer": "/stepSize", "detail": "must be at least 1"}, {"pointer": "", "detail": "is wrong"}]
    });
    assert_eq!(
        told(document.clone()),
        "The request does not make sense (422 validation_failed)\n  stepSize: must be at least 1\n  is wrong"
    );
    document["code"] = json!("out_of_bounds");
    document["detail"] = json!("The target is too large.");
    document["errors"] = json!([{"pointer": "/targetCapacity", "detail": "The target is too large."}]);
    document["sidecar"] = json!({"status": 400, "body": " no \n"});
    assert_eq!(
        told(document),
        "The request does not make sense (422 out_of_bounds)\n  The target is too large.\n  The sidecar said (400): no"
    );
}

#[actix_web::test]
async fn the_key_goes_with_every_request_and_without_one_nothing_does() {
    let token = Token::generate().expect("randomness");
    let replies = || {
        vec![
            Reply::Json(202, job(json!({}))),
            Reply::Json(200, job(json!({}))),
            Reply::Json(200, job(json!({}))),
            Reply::Json(200, json!({"jobs": [], "nextPageToken": null})),
            Reply::Stream(ready(false) + &event(1, succeeded()), Then::End),
        ]
    };
    let expected = format!("Bearer {}", token.expose());
    for (key, expected) in [(Some(&token), Some(expected.as_str())), (None, None)] {
        let stub = Stub::start(replies()).await;
        let client = key.map_or_else(|| stub.client(), |key| stub.client_with(key));
        client.submit(&submission(), "k", |_| {}).await.expect("accepted");
        client.job(uuid::Uuid::nil()).await.expect("a job");
        client.cancel(uuid::Uuid::nil()).await.expect("a job");
        client.list(&ListQuery::default()).await.expect("a list");
        client.job_events(uuid::Uuid::nil(), Duration::ZERO).next().await.expect("an event");
        let seen = stub.seen();
        assert_eq!(seen.len(), 5);
        assert!(seen.iter().all(|seen| seen.header("authorization") == expected), "{seen:?}");
    }
}

#[actix_web::test]
async fn what_was_one_too_many_in_its_second_is_sent_again_whatever_it_is() {
    let too_fast = || problem_for(429, "rate_limited", 0);
    let done = || Reply::Json(200, job(json!({})));
    let stub = Stub::start(vec![too_fast(), too_fast(), done(), too_fast(), done(), too_fast(), done()]).await;
    let client = stub.client();
    client.cancel(uuid::Uuid::nil()).await.expect("canceled in the end");
    client.job(uuid::Uuid::nil()).await.expect("a job in the end");
    client.submit(&submission(), "the-key", |failure| panic!("{failure}")).await.expect("accepted in the end");
    let counts = ["POST /v1/jobs/00000000-0000-0000-0000-000000000000/cancel", "POST /v1/jobs"]
        .map(|line| stub.lines().iter().filter(|seen| *seen == line).count());
    assert_eq!((counts, stub.lines().len()), ([3, 2], 7));
    let last = stub.seen().pop().expect("a request");
    assert_eq!((last.header("idempotency-key"), last.body.is_empty()), (Some("the-key"), false), "sent as it was");
}

#[actix_web::test]
async fn the_gateway_says_how_long_to_wait_and_is_not_asked_for_ever() {
    let stub = Stub::start(vec![problem_for(429, "rate_limited", 1), Reply::Json(200, job(json!({})))]).await;
    let begin = std::time::Instant::now();
    stub.client().job(uuid::Uuid::nil()).await.expect("a job in the end");
    assert!((1000..4000).contains(&begin.elapsed().as_millis()), "{:?}", begin.elapsed());
    let stub = Stub::start(vec![problem_for(429, "rate_limited", 0)]).await;
    let failure = stub.client().cancel(uuid::Uuid::nil()).await.expect_err("never");
    assert_eq!((failure.exit(), stub.lines().len()), (Exit::Refused, 4));
    assert!(failure.to_string().contains("--max-request-rate"), "{failure}");
    // What is refused for another reason would be refused again.
    let stub = Stub::start(vec![problem_for(429, "too_many_jobs_of_key", 0)]).await;
    let client = stub.client().with_submit_pauses(&PAUSES);
    client.submit(&submission(), "k", |_| {}).await.expect_err("refused");
    assert_eq!(stub.lines().len(), 1);
}

#[actix_web::test]
async fn who_is_not_let_in_is_told_what_to_do() {
    let token = Token::generate().expect("randomness");
    for (status, code, words) in [
        (401, "authentication_required", "Set SCALEGATE_KEY to a key, or give a file with one by --key-file"),
        (401, "key_revoked", "Put another key into SCALEGATE_KEY or the file given by --key-file"),
        (401, "key_expired", "Put another key into SCALEGATE_KEY or the file given by --key-file"),
        (401, "invalid_key", "Put another key into SCALEGATE_KEY or the file given by --key-file"),
        (403, "insufficient_scope", "Put a key with that scope into SCALEGATE_KEY"),
        (403, "resource_forbidden", "`scalegate keys list`"),
    ] {
        let stub = Stub::start(vec![problem(status, code)]).await;
        let client = stub.client_with(&token).with_submit_pauses(&PAUSES);
        let failure = client.submit(&submission(), "k", |_| {}).await.expect_err("refused");
        let told = format!("{failure} {failure:?}");
        assert_eq!((failure.exit(), stub.lines().len()), (Exit::Refused, 1), "{told}");
        assert!(told.contains(words) && told.contains("A detail."), "{told}");
        assert!(!told.contains(&token.expose()[14..]), "{told}");
    }
}
