use serde_json::{Value, json};

use super::GroupArgs;
use crate::api::openapi::examples::{example_group, example_group_plan};
use crate::cli::client::stub::{Reply, Stub, Then};
use crate::cli::exit::Exit;
use crate::cli::output::Output;
use crate::cli::output::capture::Captured;
use crate::cli::testing;

const ID: &str = "0198c3f2-7a00-7000-8000-000000000007";

async fn group(stub: &Stub, arguments: &[&str]) -> (Exit, Captured) {
    let url = stub.url();
    let run = async |args: GroupArgs, output: &mut Output| args.run(std::future::pending(), output).await;
    testing::captured(&[arguments, &["--server", &url]].concat(), run).await
}

/// The example in this state, one version later.
fn changed(state: &str, error: Value) -> Value {
    let mut group = example_group();
    group["state"] = state.into();
    group["version"] = 10.into();
    group["error"] = error;
    group["members"][0]["currentCapacity"] = 3.into();
    group
}

fn event(group: &Value) -> String {
    format!("id: {}\nevent: group\ndata: {group}\n\n", group["version"])
}

#[actix_web::test]
async fn sends_what_was_asked_for_and_nothing_else() {
    let stub = Stub::start(vec![Reply::Json(202, example_group())]).await;
    let all = "db=3 api=+2 worker=-1 --stages db,api+worker --on-failure restore --on-conflict queue --step-size 2 --cooldown 1m \
               --reason why --label a=b --idempotency-key k";
    let (exit, captured) = group(&stub, &all.split_whitespace().collect::<Vec<_>>()).await;
    assert_eq!(exit, Exit::Done, "{}", captured.err());
    let expected = format!("Submitted: group {ID}\n  stage 1: db 2 → 3\n  stage 2: worker ? → 2\n");
    assert_eq!(captured.out(), expected);
    let seen = stub.seen();
    assert_eq!((seen[0].line.as_str(), seen[0].header("idempotency-key")), ("POST /v1/groups", Some("k")));
    let body: Value = serde_json::from_str(&seen[0].body).expect("a JSON body");
    let expected = json!({
        "targets": {"db": {"targetCapacity": 3}, "api": {"delta": 2}, "worker": {"delta": -1}},
        "stages": [["db"], ["api", "worker"]], "onFailure": "restore", "onConflict": "queue", "stepSize": 2,
        "cooldownSeconds": 60.0, "reason": "why", "labels": {"a": "b"}
    });
    assert_eq!(body, expected);
}

#[actix_web::test]
async fn the_exit_code_tells_what_became_of_the_group() {
    let failed = json!({"message": "Not all targets were reached: db failed: no."});
    for (state, error, exit, words) in [
        ("succeeded", Value::Null, Exit::Done, "succeeded\n"),
        ("failed", failed, Exit::Failed, "failed: Not all targets were reached: db failed: no.\n"),
        ("canceled", Value::Null, Exit::JobStopped, "canceled\n"),
    ] {
        let events = format!("event: ready\ndata: {{\"resumed\":false}}\n\n{}", event(&changed(state, error)));
        let stub = Stub::start(vec![Reply::Json(202, example_group()), Reply::Stream(events, Then::End)]).await;
        let (ended, captured) = group(&stub, &["db=3", "worker=2", "--wait"]).await;
        assert_eq!(ended, exit, "{}", captured.err());
        assert!(captured.out().contains("db 3 → 3, running, cooldown"), "{}", captured.out());
        assert!(captured.out().ends_with(words), "{}", captured.out());
        assert_eq!(stub.lines()[1], format!("GET /v1/groups/{ID}/events"));
    }
}

#[actix_web::test]
async fn who_ends_the_following_is_told_how_to_go_on() {
    let ready = "event: ready\ndata: {\"resumed\":false}\n\n".to_owned();
    let stub = Stub::start(vec![Reply::Json(202, example_group()), Reply::Stream(ready, Then::Hold)]).await;
    let url = stub.url();
    let run = async |args: GroupArgs, output: &mut Output| args.run(std::future::ready(()), output).await;
    let (exit, captured) = testing::captured(&["db=3", "--wait", "--json", "--server", &url], run).await;
    let expected = format!(
        "scalegate: The group goes on.\n  Follow it: scalegate groups {ID} --wait --server {url}\n  Cancel it: scalegate groups \
         {ID} --cancel --server {url}\n"
    );
    assert_eq!((exit, captured.err(), captured.out()), (Exit::Interrupted, expected, String::new()));
}

#[actix_web::test]
async fn a_plan_is_shown_stage_by_stage_and_submits_nothing() {
    let stub = Stub::start(vec![Reply::Json(200, example_group_plan())]).await;
    let (exit, captured) = group(&stub, &["db=3", "worker=3", "--stages", "db,worker", "--plan"]).await;
    assert_eq!(exit, Exit::Done, "{}", captured.err());
    let stages = "Stage 1, 10m from its beginning\n  db: 1 → 3 in 2 steps\nStage 2, 10m from its beginning\n  worker: 1 → 3 in 2 steps\n";
    assert!(captured.out().ends_with(stages), "{}", captured.out());
    assert_eq!(stub.lines(), ["POST /v1/groups/plan"]);
    let (_, captured) = group(&stub, &["db=3", "--plan", "--json"]).await;
    assert_eq!(serde_json::from_str::<Value>(&captured.out()).expect("JSON"), example_group_plan());
}

#[actix_web::test]
async fn what_makes_no_sense_is_refused_before_anything_is_sent() {
    for (arguments, words) in [
        (&[][..], "<RESOURCE=TARGET>"),
        (&["db"], "such as db=3"),
        (&["db=+0"], "changes nothing"),
        (&["../x=1"], "begin with a letter or a digit"),
        (&["db=1", "--stages", "db,+api"], "a comma between stages"),
        (&["db=1", "--on-failure", "panic"], "restore"),
        (&["db=1", "--plan", "--wait"], "cannot be used with"),
    ] {
        let error = testing::parse::<GroupArgs>(arguments).expect_err("nonsense");
        assert_eq!(error.exit_code(), Exit::Usage as i32);
        assert!(error.to_string().contains(words), "{arguments:?}: {error}");
    }
    let stub = Stub::start(vec![Reply::Lost]).await;
    for twice in [&["db=1", "db=2"][..], &["db=1", "--label", "a=b", "--label", "a=c"]] {
        assert_eq!(group(&stub, twice).await.0, Exit::Usage);
    }
    assert!(stub.lines().is_empty());
}
