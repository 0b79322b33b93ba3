use std::time::Duration;

use actix_web::http::StatusCode;
use serde_json::json;

use super::stub::{Reply, Stub, busy, job, problem};
use super::{Client, Failure, ServerUrl};
use crate::api::Submission;
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
    let told = failure.to_string();
    assert!(told.contains("A title (503 overloaded)") && told.contains("--idempotency-key the-key"), "{told}");
    // Nothing that may have been accepted, nothing to repeat with care.
    let (submitted, _, _) = submit(vec![problem(503, "overloaded")]).await;
    let told = submitted.expect_err("it never worked").to_string();
    assert!(!told.contains("idempotency"), "{told}");
}

#[actix_web::test]
async fn nobody_there_is_no_undecided_submission() {
    let address = Stub::start(vec![]).await.stop().await;
    let server: ServerUrl = format!("http://{address}").parse().expect("a URL");
    let client = Client::new(server).with_submit_pauses(&PAUSES);
    let mut retries = 0;
    let failure = client.submit(&submission(), "k", |_| retries += 1).await.expect_err("nobody is there");
    assert!(matches!(failure, Failure::NotConnected { .. }), "{failure:?}");
    assert!(failure.to_string().contains("Connection refused"), "{failure}");
    assert_eq!((retries, failure.exit()), (2, Exit::Unreachable));
}

#[actix_web::test]
async fn ipv6_addresses_work() {
    let address = std::net::SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, 0));
    if std::net::TcpListener::bind(address).is_err() {
        return;
    }
    let stub = Stub::start_at(address, vec![Reply::Json(200, job(json!({})))]).await;
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
