use std::future::{pending, ready as at_once};

use serde_json::{Value, json};
use uuid::Uuid;

use crate::cli::client::stub::{Reply, Stub, Then, event, job, problem, ready, succeeded};
use crate::cli::exit::Exit;
use crate::cli::jobs::JobsArgs;
use crate::cli::output::capture::Captured;
use crate::cli::testing;

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

/// Job `number` in this version, running.
fn version(number: u128, version: u64) -> Value {
    json!({"id": id(number), "version": version})
}

fn over(number: u128) -> Value {
    let mut job = succeeded();
    job["id"] = json!(id(number));
    job
}

/// The jobs with these changes, as the gateway lists them.
fn list(jobs: &[Value]) -> Reply {
    let jobs: Vec<Value> = jobs.iter().cloned().map(job).collect();
    Reply::Json(200, json!({"jobs": jobs, "nextPageToken": null}))
}

/// A stream with these events, which then breaks.
fn stream(resumed: bool, events: &[Value]) -> Reply {
    let events: String = (1..).zip(events).map(|(id, changes)| event(id, changes.clone())).collect();
    Reply::Stream(ready(resumed) + &events, Then::Break)
}

/// What a watch shows that ends because the gateway refuses to go on.
async fn watched(arguments: &[&str], mut replies: Vec<Reply>) -> (Captured, Vec<String>) {
    replies.push(problem(410, "gone"));
    let stub = Stub::start(replies).await;
    let url = stub.url();
    let run = async |args: JobsArgs, output: &mut _| args.run(pending(), output).await;
    let (exit, captured) = testing::captured(&[&["--watch", "--server", &url], arguments].concat(), run).await;
    assert_eq!(exit, Exit::Refused, "{}", captured.err());
    (captured, stub.lines())
}

/// Job and version of each line of JSON.
fn versions(captured: &Captured) -> Vec<(u128, u64)> {
    let parsed =
        captured.out().lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")).collect::<Vec<_>>();
    let version = |job: &Value| {
        let id: Uuid = job["id"].as_str().and_then(|id| id.parse().ok()).expect("an id");
        (id.as_u128(), job["version"].as_u64().expect("a version"))
    };
    parsed.iter().map(version).collect()
}

#[actix_web::test]
async fn jobs_are_listed_once_the_stream_stands_and_then_followed() {
    let waiting = json!({"reason": "turn", "detail": "In the queue.", "until": "2026-01-31T12:15:00Z"});
    let queued = json!({"id": id(3), "state": "queued", "version": 1, "steps": [], "waitingFor": waiting});
    let steps = json!([{"index": 1, "op": "add", "units": 1, "fromCapacity": 1, "toCapacity": 2, "outcome": "pending",
        "sentAt": "2026-01-31T12:05:00.000Z", "resolvedAt": null}]);
    let mut started = version(3, 2);
    started["steps"] = steps;
    // What the list knows already comes as well.
    let events = [version(1, 6), version(1, 7), queued, over(1), started];
    let (captured, lines) = watched(&[], vec![stream(false, &events), list(&[version(2, 7), version(1, 7)])]).await;
    let filter = "state=running&state=queued";
    assert_eq!(lines, ["GET /v1/events", &format!("GET /v1/jobs?pageSize=200&{filter}"), "GET /v1/events"]);
    let (one, two, three) = (id(1), id(2), id(3));
    let expected = format!(
        "\
12:01:02Z  worker  {one}  running, 2 → 5, 1/4 steps; waiting for the cooldown until 12:05:00Z
12:01:02Z  worker  {two}  running, 2 → 5, 1/4 steps; waiting for the cooldown until 12:05:00Z
12:01:02Z  worker  {three}  queued, 2 → 5, 1/4 steps; waiting for its turn, until 12:15:00Z at the latest
12:16:00Z  worker  {one}  succeeded at capacity 5 after 4 steps in 15m 59s
12:05:00Z  worker  {three}  add 1: 1 → 2 sent
12:01:02Z  worker  {three}  waiting for the cooldown until 12:05:00Z
"
    );
    assert_eq!(captured.out(), expected);
}

#[actix_web::test]
async fn json_is_a_job_per_line() {
    let events = [version(1, 8), version(2, 3), over(1), version(2, 4)];
    let replies = vec![stream(false, &events), list(&[version(1, 7)]), stream(true, &[version(2, 5)])];
    let (captured, lines) = watched(&["--json"], replies).await;
    assert_eq!(versions(&captured), [(1, 7), (1, 8), (2, 3), (1, 30), (2, 4), (2, 5)]);
    assert_eq!(lines.len(), 4, "a stream that is resumed needs no list: {lines:?}");
    let first = captured.out().lines().next().map(serde_json::from_str::<Value>);
    assert_eq!(first.expect("a line").expect("JSON"), job(version(1, 7)));
}

#[actix_web::test]
async fn after_a_gap_jobs_are_listed_again_and_those_that_are_missing_looked_after() {
    let (captured, lines) = watched(
        &["--json"],
        vec![
            stream(false, &[]),
            list(&[version(3, 7), version(2, 7), version(1, 7)]),
            // Of job 1, everything is told twice: by the look at it, and by the stream.
            stream(false, &[version(1, 8), over(1), version(3, 8), version(3, 9)]),
            list(&[version(3, 8)]),
            Reply::Json(200, job(over(1))),
            problem(404, "job_not_found"),
        ],
    )
    .await;
    assert_eq!(versions(&captured), [(1, 7), (2, 7), (3, 7), (3, 8), (1, 30), (3, 9)]);
    assert_eq!(lines[4..6], [format!("GET /v1/jobs/{}", id(1)), format!("GET /v1/jobs/{}", id(2))]);
    let told = captured.err();
    assert!(told.contains(&format!("job {} is over, and the gateway does not keep it any more", id(2))), "{told}");
}

#[actix_web::test]
async fn a_list_that_cannot_be_had_is_an_absence() {
    let (captured, lines) = watched(
        &["--json"],
        vec![
            stream(false, &[]),
            list(&[version(1, 7)]),
            stream(false, &[version(1, 8)]),
            Reply::Lost,
            stream(false, &[]),
            list(&[version(1, 9)]),
        ],
    )
    .await;
    // Version 8 was told by a stream that was given up; the list makes up for it.
    assert_eq!(versions(&captured), [(1, 7), (1, 9)]);
    assert_eq!(lines.iter().filter(|line| line.starts_with("GET /v1/events")).count(), 4);
    let told = captured.err();
    assert_eq!(told.matches("The jobs are not affected. Trying again for up to 5m.").count(), 1, "{told}");
    assert!(told.contains("scalegate: the gateway is back\n"), "{told}");
}

#[actix_web::test]
async fn filters_choose_what_is_shown() {
    let queued = |version: u64| json!({"id": id(1), "state": "queued", "version": version, "waitingFor": null});
    let events = [queued(2), version(1, 3), version(2, 1), over(1)];
    let replies = vec![stream(false, &events), list(&[queued(1)])];
    let (captured, lines) = watched(&["--resource", "web-1.eu", "--state", "queued"], replies).await;
    assert_eq!(lines[0], "GET /v1/events?resource=web%2D1%2Eeu");
    assert_eq!(lines[1], "GET /v1/jobs?pageSize=200&resource=web%2D1%2Eeu&state=queued");
    let told: Vec<String> = captured.out().lines().map(str::to_owned).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[1].ends_with("  running now"), "{told:?}");
}

#[actix_web::test]
async fn a_gateway_that_was_never_there_is_not_waited_for() {
    let stub = Stub::start(vec![Reply::Lost]).await;
    let url = stub.url();
    let run = async |args: JobsArgs, output: &mut _| args.run(pending(), output).await;
    let (exit, captured) = testing::captured(&["--watch", "--server", &url], run).await;
    assert_eq!((exit, stub.seen().len()), (Exit::Unreachable, 1), "{}", captured.err());
    assert!(!captured.err().contains("Trying again"), "{}", captured.err());
}

#[actix_web::test]
async fn to_be_told_to_stop_is_its_end() {
    let stub = Stub::start(vec![]).await;
    let url = stub.url();
    let run = async |args: JobsArgs, output: &mut _| args.run(at_once(()), output).await;
    let (exit, captured) = testing::captured(&["--watch", "--server", &url], run).await;
    assert_eq!((exit, captured.err()), (Exit::Done, String::new()));
}

#[actix_web::test]
async fn a_closed_output_ends_it() {
    let stub = Stub::start(vec![stream(false, &[]), list(&[version(1, 7)])]).await;
    let url = stub.url();
    let run = async |args: JobsArgs, output: &mut crate::cli::output::Output| {
        output.close();
        args.run(pending(), output).await
    };
    let (exit, captured) = testing::captured(&["--watch", "--server", &url], run).await;
    assert_eq!((exit, captured.err()), (Exit::Done, String::new()));
}

#[actix_web::test]
async fn nonsense_is_refused() {
    for arguments in [
        &["--watch", "0198c3f2-7a00-7000-8000-000000000001"][..],
        &["--watch", "--wait"],
        &["--watch", "--cancel"],
        &["--watch", "--limit", "3"],
    ] {
        let refused = testing::parse::<JobsArgs>(arguments).expect_err("nonsense");
        assert_eq!(refused.exit_code(), Exit::Usage as i32, "{arguments:?}");
        assert!(refused.to_string().contains("--watch"), "{refused}");
    }
    let captured = Captured::default();
    let finished: JobsArgs = testing::parse(&["--watch", "--state", "failed"]).expect("checked later");
    assert_eq!(finished.run(pending(), &mut captured.output()).await, Exit::Usage);
    assert_eq!(captured.err(), "scalegate: --watch shows unfinished jobs, and a job that is failed is over\n");
}
