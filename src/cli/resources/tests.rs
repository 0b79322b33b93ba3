use std::future::pending;
use std::time::Duration;

use serde_json::{Value, json};

use super::ResourcesArgs;
use crate::api::openapi::examples::{example_listed_resource, example_resource};
use crate::cli::client::stub::{Reply, Stub, Then, job, problem, ready};
use crate::cli::exit::Exit;
use crate::cli::output::Output;
use crate::cli::output::capture::Captured;
use crate::cli::testing;

async fn resources(replies: Vec<Reply>, arguments: &[&str]) -> (Exit, Captured, Vec<String>) {
    let stub = Stub::start(replies).await;
    let url = stub.url();
    let run = async |args: ResourcesArgs, output: &mut Output| args.run(pending(), output).await;
    let (exit, captured) = testing::captured(&[arguments, &["--server", &url]].concat(), run).await;
    (exit, captured, stub.lines())
}

fn listed(changes: Value) -> Value {
    let mut resource = example_listed_resource();
    for (name, value) in changes.as_object().expect("an object") {
        resource[name] = value.clone();
    }
    resource
}

fn list(resources: &[Value]) -> Reply {
    Reply::Json(200, json!({"resources": resources, "nextPageToken": null}))
}

fn jobs(waiting: Value) -> Reply {
    Reply::Json(200, json!({"jobs": [job(json!({"waitingFor": waiting}))], "nextPageToken": null}))
}

#[actix_web::test]
async fn each_resource_has_a_row_with_what_to_know_first() {
    let idle = json!({"resource": "api", "activeJob": null, "cooldownRemainingSeconds": 0.0, "policy": null, "lastOutcome": null,
        "capacity": null, "status": null});
    let mut failed = listed(json!({"resource": "batch", "activeJob": null, "cooldownRemainingSeconds": 0.0}));
    failed["lastOutcome"]["at"] = json!("2026-01-31T11:20:00.000Z");
    let replies = vec![
        list(&[listed(idle), failed, listed(json!({}))]),
        jobs(json!({"reason": "turn", "detail": "", "until": "2026-01-31T12:05:00Z"})),
    ];
    let (exit, captured, asked) = resources(replies, &[]).await;
    assert_eq!(exit, Exit::Done, "{}", captured.err());
    let expected = "\
RESOURCE  STATUS    CAPACITY  TARGET  COOLDOWN  WHY
api       not read  not read  -       -
batch     ACTIVE    2         -       -         job 00000001 failed (active_timeout) at 2026-01-31 11:20:00Z
worker    ACTIVE    2         5       3m 58s    job 00000001: in the queue
";
    assert_eq!(captured.out(), expected);
    assert_eq!(asked, ["GET /v1/resources", "GET /v1/jobs?pageSize=200&state=running&state=queued"]);
}

#[actix_web::test]
async fn one_resource_is_told_of_in_full() {
    let replies = vec![
        Reply::Json(200, example_resource()),
        jobs(json!({"reason": "active", "detail": "", "until": "2026-01-31T12:05:00Z"})),
    ];
    let (exit, captured, _) = resources(replies, &["worker"]).await;
    assert_eq!(exit, Exit::Done, "{}", captured.err());
    let out = captured.out();
    for line in [
        "Resource worker\n",
        "  target     5\n",
        "  cooldown   3m 58s left\n",
        "  why        job 00000001: becoming ready\n",
        "  bounds     0 to 6\n",
    ] {
        assert!(out.contains(line), "{line} in {out}");
    }
}

#[actix_web::test]
async fn json_is_what_the_gateway_says_and_an_empty_list_says_so() {
    let (_, captured, _) = resources(vec![Reply::Json(200, example_resource())], &["worker", "--json"]).await;
    assert_eq!(serde_json::from_str::<Value>(&captured.out()).expect("JSON"), example_resource());
    let (exit, captured, _) = resources(vec![list(&[])], &[]).await;
    assert_eq!((exit, captured.out().as_str()), (Exit::Done, ""));
    assert!(captured.err().starts_with("scalegate: no resources yet"), "{}", captured.err());
    let (exit, _, _) = resources(vec![problem(404, "resource_not_found")], &["other"]).await;
    assert_eq!(exit, Exit::Refused);
}

/// A stream that tells of something and stays open.
fn stream() -> Reply {
    let news = "event: timeline\ndata: {}\n\nevent: of a later release\ndata: {}\n\n";
    Reply::Stream(ready(false) + news, Then::Hold)
}

fn no_jobs() -> Reply {
    Reply::Json(200, json!({"jobs": [], "nextPageToken": null}))
}

fn idle(changes: Value) -> Value {
    let mut idle = listed(json!({"activeJob": null, "policy": null, "lastOutcome": null}));
    for (name, value) in changes.as_object().expect("an object") {
        idle[name] = value.clone();
    }
    idle
}

/// What a watch shows that is told to stop once it has made so many requests.
async fn watched(replies: Vec<Reply>, arguments: &[&str], requests: usize) -> (Exit, Captured, Vec<String>) {
    let stub = Stub::start(replies).await;
    let url = stub.url();
    let run = async |args: ResourcesArgs, output: &mut Output| {
        let stop = async {
            while stub.lines().len() < requests {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            // So that the answer to the last one is shown.
            tokio::time::sleep(Duration::from_millis(200)).await;
        };
        args.run(stop, output).await
    };
    let (exit, captured) = testing::captured(&[arguments, &["--watch", "--server", &url]].concat(), run).await;
    (exit, captured, stub.lines())
}

#[actix_web::test]
async fn a_watched_resource_is_told_again_when_it_has_changed_and_not_when_time_has_passed() {
    let one = idle(json!({"resource": "api"}));
    let replies = vec![
        stream(),
        list(&[one.clone(), listed(json!({}))]),
        jobs(json!({"reason": "cooldown", "detail": "", "until": "2026-01-31T12:05:00Z"})),
        list(&[idle(json!({"capacity": 3, "cooldownRemainingSeconds": 1.0}))]),
        no_jobs(),
    ];
    let (exit, captured, asked) = watched(replies, &[], 5).await;
    assert_eq!(exit, Exit::Done, "{}", captured.err());
    let told: Vec<String> = captured.out().lines().map(|line| line[11..].to_owned()).collect();
    let expected = [
        "api  ACTIVE, capacity 2",
        "worker  ACTIVE, capacity 2; job 00000001 running, 2 → 5, 1/4 steps; waiting for the cooldown until 12:05:00Z",
        "worker  ACTIVE, capacity 3",
        "api  is no longer known",
    ];
    assert_eq!(told, expected);
    let jobs = "GET /v1/jobs?pageSize=200&state=running&state=queued";
    assert_eq!(asked, ["GET /v1/events", "GET /v1/resources", jobs, "GET /v1/resources", jobs]);
}

#[actix_web::test]
async fn one_resource_is_watched_as_json_also_through_an_absence() {
    let (one, other) = (idle(json!({})), idle(json!({"resource": "api"})));
    let again = idle(json!({"cooldownRemainingSeconds": 1.0}));
    let moved = idle(json!({"capacity": 4}));
    let broken = || Reply::Stream(ready(false), Then::Break);
    let replies = vec![
        broken(),
        list(&[other, one.clone()]),
        no_jobs(),
        broken(),
        Reply::Lost,
        broken(),
        list(&[again]),
        no_jobs(),
        Reply::Stream(ready(false), Then::Hold),
        list(std::slice::from_ref(&moved)),
        no_jobs(),
    ];
    let (exit, captured, asked) = watched(replies, &["worker", "--json"], 11).await;
    assert_eq!(exit, Exit::Done, "{}", captured.err());
    let told: Vec<Value> = captured.out().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let capacities: Vec<&Value> = told.iter().map(|resource| &resource["capacity"]).collect();
    assert_eq!((capacities, &told[0]["resource"]), (vec![&one["capacity"], &moved["capacity"]], &json!("worker")));
    assert_eq!(asked[0], "GET /v1/events?resource=worker");
    let told = captured.err();
    assert_eq!(told.matches("The resources are not affected. Trying again for up to 5m.").count(), 1, "{told}");
    assert!(told.contains("scalegate: the gateway is back\n"), "{told}");
}

#[actix_web::test]
async fn a_watch_ends_with_its_output_and_does_not_wait_for_a_gateway_that_was_never_there() {
    let stub = Stub::start(vec![stream(), list(&[]), no_jobs()]).await;
    let url = stub.url();
    let closed = async |args: ResourcesArgs, output: &mut Output| {
        output.close();
        args.run(pending(), output).await
    };
    let (exit, captured) = testing::captured(&["--watch", "--server", &url], closed).await;
    assert_eq!((exit, captured.err()), (Exit::Done, String::new()));
    let (exit, captured, asked) = resources(vec![Reply::Lost], &["--watch"]).await;
    assert_eq!((exit, asked.len()), (Exit::Unreachable, 1), "{}", captured.err());
}
