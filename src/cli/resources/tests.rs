use serde_json::{Value, json};

use super::ResourcesArgs;
use crate::api::openapi::examples::{example_listed_resource, example_resource};
use crate::cli::client::stub::{Reply, Stub, job, problem};
use crate::cli::exit::Exit;
use crate::cli::output::Output;
use crate::cli::output::capture::Captured;
use crate::cli::testing;

async fn resources(replies: Vec<Reply>, arguments: &[&str]) -> (Exit, Captured, Vec<String>) {
    let stub = Stub::start(replies).await;
    let url = stub.url();
    let run = async |args: ResourcesArgs, output: &mut Output| args.run(output).await;
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
