use std::time::Duration;

use serde_json::{Value, json};

use super::overdue::Overdue;
use super::{Failure, Screen, follow, follow_with};
use crate::api::view::JobView;
use crate::cli::client::stub::{Reply, Stub, Then, event, events, job_view, problem, ready, succeeded};
use crate::cli::output::capture::Captured;
use crate::domain::StateName;

const PATIENCE: Duration = Duration::from_secs(20);

fn step(index: u32, outcome: &str) -> Value {
    let resolved = (outcome != "pending").then(|| format!("2026-01-31T12:0{index}:30.000Z"));
    json!({"index": index, "op": "add", "units": 1, "fromCapacity": index, "toCapacity": index + 1,
           "sentAt": format!("2026-01-31T12:0{index}:00.000Z"), "resolvedAt": resolved, "outcome": outcome})
}

fn wait(reason: &str, detail: &str) -> Value {
    json!({"reason": reason, "until": "2026-01-31T12:15:00.000Z", "detail": detail})
}

async fn followed(stub: &Stub, first: JobView, patience: Duration) -> (Result<JobView, Failure>, Captured) {
    let captured = Captured::default();
    let mut output = captured.output();
    let mut screen = Screen::live(&mut output);
    let ended = follow(&stub.client(), first, patience, &mut screen).await;
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
    let changes =
        [sent, active("1"), active("2"), cooling, failing("Refused."), failing("Refused."), failing("500."), over];
    let versioned = (8..).zip(changes).map(|(version, mut change)| {
        change["version"] = json!(version);
        change
    });
    let stub = Stub::start(vec![events(versioned)]).await;
    let (ended, captured) = followed(&stub, job_view(queued), PATIENCE).await;
    assert_eq!(ended.expect("it ended").state, StateName::Succeeded);
    let expected = "\
12:01:02Z  waiting for its turn, until 12:15:00Z at the latest
12:01:00Z  add 1: 1 → 2 sent
12:01:30Z  add 1: 1 → 2 confirmed
12:02:59Z  waiting for the resource to become ready, until 12:15:00Z at the latest
12:02:59Z  changed by others: 2 → 3
12:03:59Z  waiting for the cooldown until 12:15:00Z
12:04:30Z  add 1: 4 → 5 has an unknown outcome
12:05:59Z  waiting for a reading from the sidecar, until 12:15:00Z at the latest: Refused.
12:05:59Z  waiting for a reading from the sidecar, until 12:15:00Z at the latest: 500.
12:16:00Z  succeeded: worker at capacity 5 after 4 steps in 15m 59s
";
    assert_eq!(captured.out(), expected);
    assert_eq!(captured.err(), "");
}

/// The first event of a stream that begins anew is the job as it is, known or not; and no connection lasts for ever.
#[actix_web::test]
async fn what_is_known_is_not_shown_again() {
    let sent = json!({"version": 8, "steps": [step(1, "pending")], "waitingFor": wait("change", "Sent.")});
    let stub = Stub::start(vec![
        Reply::Stream(ready(false) + &event(1, json!({})) + &event(2, sent.clone()), Then::Break),
        Reply::Stream(ready(true), Then::End),
        Reply::Stream(ready(false) + &event(2, sent), Then::Break),
        Reply::Stream(ready(true) + &event(3, succeeded()), Then::End),
    ])
    .await;
    let (ended, captured) = followed(&stub, job_view(json!({})), PATIENCE).await;
    assert_eq!(ended.expect("it ended").state, StateName::Succeeded);
    let positions: Vec<Option<String>> =
        stub.seen().iter().map(|seen| seen.header("last-event-id").map(str::to_owned)).collect();
    assert_eq!(positions, [None, Some("2".into()), Some("2".into()), Some("2".into())]);
    let expected = "\
12:00:31Z  add 1: 1 → 2 confirmed
12:01:02Z  waiting for the cooldown until 12:05:00Z
12:01:00Z  add 1: 1 → 2 sent
12:00:31Z  add 1: 1 → 2 confirmed
12:16:00Z  succeeded: worker at capacity 5 after 4 steps in 15m 59s
";
    assert_eq!(captured.out(), expected);
    assert_eq!(captured.err(), "");
}

#[actix_web::test]
async fn a_job_that_is_over_is_not_asked_for() {
    let stub = Stub::start(vec![]).await;
    let (ended, captured) = followed(&stub, job_view(succeeded()), PATIENCE).await;
    assert!(ended.is_ok() && stub.seen().is_empty());
    assert_eq!(captured.out().lines().count(), 2, "{}", captured.out());
}

#[actix_web::test]
async fn a_restart_of_the_gateway_is_told_once_and_survived() {
    let stub = Stub::start(vec![]).await;
    let client = stub.client();
    let port = stub.stop().await;
    let captured = Captured::default();
    let mut output = captured.output();
    let mut screen = Screen::live(&mut output);
    let back = async {
        tokio::time::sleep(Duration::from_millis(600)).await;
        let replies = vec![Reply::Lost, problem(503, "not_ready"), events([json!({}), succeeded()])];
        Stub::start_at(port, replies).await
    };
    let (ended, _stub) = tokio::join!(follow(&client, job_view(json!({})), PATIENCE, &mut screen), back);
    drop(screen);
    assert_eq!(ended.expect("it came back").state, StateName::Succeeded);
    assert_eq!(captured.err().matches("cannot reach the gateway").count(), 1, "{}", captured.err());
    assert!(captured.err().ends_with("scalegate: the gateway is back\n"), "{}", captured.err());
}

#[actix_web::test]
async fn patience_ends() {
    let stub = Stub::start(vec![Reply::Lost]).await;
    let started = std::time::Instant::now();
    let (ended, captured) = followed(&stub, job_view(json!({})), Duration::from_millis(300)).await;
    assert!(matches!(ended, Err(Failure::NoAnswer { .. })), "{ended:?}");
    assert!((300..5000).contains(&started.elapsed().as_millis()));
    assert!(stub.seen().len() >= 2, "it tried again");
    assert!(captured.err().contains("Trying again"), "{}", captured.err());
}

#[actix_web::test]
async fn a_job_that_is_gone_is_not_waited_for() {
    let stub = Stub::start(vec![problem(404, "job_not_found")]).await;
    let (ended, _) = followed(&stub, job_view(json!({})), PATIENCE).await;
    assert!(matches!(ended, Err(Failure::Problem { .. })), "{ended:?}");
    assert_eq!(stub.seen().len(), 1);
}

#[actix_web::test]
async fn a_wait_that_is_overdue_is_looked_into_while_the_job_is_followed() {
    let overdue = json!({"waitingFor": {"reason": "cooldown", "until": "2026-01-31T12:05:00.000Z", "detail": "."}});
    let replies = vec![
        Reply::Stream(ready(false), Then::Hold),
        problem(503, "not_ready"),
        // The job is over then, and the stream silent until it is opened anew.
        events([succeeded()]),
    ];
    let stub = Stub::start(replies).await;
    let client = stub.client().with_silence(Duration::from_secs(1));
    let captured = Captured::default();
    let mut output = captured.output();
    let mut screen = Screen::live(&mut output);
    let late = Overdue::after(Duration::from_millis(100));
    let ended = follow_with(&client, job_view(overdue), PATIENCE, late, &mut screen).await;
    drop(screen);
    assert_eq!(ended.map(|job| job.state).ok(), Some(StateName::Succeeded));
    assert_eq!(stub.lines()[1], "GET /readyz", "{:?}", stub.lines());
    let told = captured.err();
    assert!(told.contains("scalegate: The wait is overdue: A title (503 not_ready)"), "{told}");
}
