use std::time::Duration;

use serde_json::{Value, json};

use super::{Failure, LIVE, Pace, QUIET, Screen, follow};
use crate::api::view::{JobView, StateView};
use crate::cli::client::stub::{Reply, Stub, job, job_view, problem, succeeded};
use crate::cli::output::capture::Captured;

/// As often as possible.
const FAST: Pace = Pace { every: Duration::from_millis(1), patience: Duration::from_secs(20) };

fn step(index: u32, outcome: &str) -> Value {
    let resolved = (outcome != "pending").then(|| format!("2026-01-31T12:0{index}:30.000Z"));
    json!({"index": index, "op": "add", "units": 1, "fromCapacity": index, "toCapacity": index + 1,
           "sentAt": format!("2026-01-31T12:0{index}:00.000Z"), "resolvedAt": resolved, "outcome": outcome})
}

fn wait(reason: &str, detail: &str) -> Value {
    json!({"reason": reason, "until": "2026-01-31T12:15:00.000Z", "detail": detail})
}

async fn followed(stub: &Stub, first: JobView, pace: Pace) -> (Result<JobView, Failure>, Captured) {
    let captured = Captured::default();
    let mut output = captured.output();
    let mut screen = Screen::live(&mut output);
    let ended = follow(&stub.client(), first, pace, &mut screen).await;
    drop(screen);
    (ended, captured)
}

#[actix_web::test]
async fn each_change_is_one_plain_line() {
    let one = step(1, "confirmed");
    let at = |minute: u32| format!("2026-01-31T12:0{minute}:59.000Z");
    let queued = json!({"state": "queued", "steps": [], "waitingFor": wait("turn", "In the queue.")});
    let sent = json!({"steps": [step(1, "pending")], "waitingFor": wait("change", "Sent."), "updatedAt": at(1)});
    let active = |detail| json!({"steps": [one], "waitingFor": wait("active", detail), "updatedAt": at(2)});
    let cooling = json!({"steps": [one], "waitingFor": wait("cooldown", "."), "updatedAt": at(3),
        "externalChanges": [{"noticedAt": at(2), "fromCapacity": 2, "toCapacity": 3}]});
    let failing =
        |why| json!({"steps": [one, step(4, "unknown")], "waitingFor": wait("sidecar", why), "updatedAt": at(5)});
    let mut over = succeeded();
    over["steps"] = json!([one, step(4, "unknown")]);
    let replies =
        [sent, active("1"), active("2"), cooling, failing("Refused."), failing("Refused."), failing("500."), over];
    let stub = Stub::start(replies.map(|changes| Reply::Json(200, job(changes))).into()).await;
    let (ended, captured) = followed(&stub, job_view(queued), FAST).await;
    assert_eq!(ended.expect("it ended").state, StateView::Succeeded);
    let expected = "\
12:01:02Z  waiting for its turn, until 12:15:00Z at the latest
12:01:00Z  add 1: 1 → 2 sent
12:01:30Z  add 1: 1 → 2 confirmed
12:02:59Z  waiting for the resource to become ready, until 12:15:00Z at the latest
12:02:59Z  changed by somebody else: 2 → 3
12:03:59Z  waiting for cooldown until 12:15:00Z
12:04:30Z  add 1: 4 → 5 has an unknown outcome
12:05:59Z  waiting for a reading from the sidecar, until 12:15:00Z at the latest: Refused.
12:05:59Z  waiting for a reading from the sidecar, until 12:15:00Z at the latest: 500.
12:16:00Z  succeeded: worker at capacity 5 after 4 steps in 15m 59s
";
    assert_eq!(captured.out(), expected);
    assert_eq!(captured.err(), "");
}

#[actix_web::test]
async fn an_unchanged_job_is_not_sent_again_and_not_shown_again() {
    let tag = || vec![("ETag", "\"v7\"".to_owned())];
    let replies = vec![
        Reply::Full(200, tag(), job(json!({})).to_string()),
        Reply::Full(304, tag(), String::new()),
        Reply::Json(200, job(succeeded())),
    ];
    let stub = Stub::start(replies).await;
    let (ended, captured) = followed(&stub, job_view(json!({})), FAST).await;
    assert_eq!(ended.expect("it ended").state, StateView::Succeeded);
    let tags: Vec<Option<String>> =
        stub.seen().iter().map(|seen| seen.header("if-none-match").map(str::to_owned)).collect();
    assert_eq!(tags, [None, Some("\"v7\"".into()), Some("\"v7\"".into())]);
    assert_eq!(captured.out().lines().count(), 3, "{}", captured.out());
}

#[actix_web::test]
async fn the_gateway_is_asked_to_hold_its_answer_back() {
    for (every, prefer) in [(LIVE, Some("wait=1")), (QUIET, Some("wait=30")), (FAST.every, None)] {
        let stub = Stub::start(vec![Reply::Json(200, job(succeeded()))]).await;
        let pace = Pace { every, ..FAST };
        let (ended, _) = followed(&stub, job_view(json!({})), pace).await;
        assert!(ended.is_ok());
        assert_eq!(stub.seen()[0].header("prefer"), prefer);
    }
}

#[actix_web::test]
async fn a_restart_of_the_gateway_is_told_once_and_survived() {
    let stub = Stub::start(vec![]).await;
    let client = stub.client();
    let address = stub.stop().await;
    let captured = Captured::default();
    let mut output = captured.output();
    let mut screen = Screen::live(&mut output);
    let back = async {
        tokio::time::sleep(Duration::from_millis(600)).await;
        let replies = vec![Reply::Lost, problem(503, "not_ready"), Reply::Json(200, job(succeeded()))];
        Stub::start_at(address, replies).await
    };
    let (ended, _stub) = tokio::join!(follow(&client, job_view(json!({})), FAST, &mut screen), back);
    drop(screen);
    assert_eq!(ended.expect("it came back").state, StateView::Succeeded);
    assert_eq!(captured.err().matches("cannot reach the gateway").count(), 1, "{}", captured.err());
    assert!(captured.err().ends_with("scalegate: the gateway is back\n"), "{}", captured.err());
}

#[actix_web::test]
async fn patience_ends() {
    let stub = Stub::start(vec![Reply::Lost]).await;
    let pace = Pace { patience: Duration::from_millis(300), ..FAST };
    let started = std::time::Instant::now();
    let (ended, captured) = followed(&stub, job_view(json!({})), pace).await;
    assert!(matches!(ended, Err(Failure::NoAnswer { .. })), "{ended:?}");
    assert!((300..5000).contains(&started.elapsed().as_millis()));
    assert!(stub.seen().len() >= 2, "it tried again");
    assert!(captured.err().contains("Trying again"), "{}", captured.err());
}

#[actix_web::test]
async fn a_job_that_is_gone_is_not_waited_for() {
    let stub = Stub::start(vec![problem(404, "job_not_found")]).await;
    let (ended, _) = followed(&stub, job_view(json!({})), FAST).await;
    assert!(matches!(ended, Err(Failure::Problem { .. })), "{ended:?}");
    assert_eq!(stub.seen().len(), 1);
}
