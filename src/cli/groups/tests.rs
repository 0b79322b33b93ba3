use serde_json::{Value, json};

use super::GroupsArgs;
use crate::api::openapi::examples::{example_canceled_group, example_group};
use crate::cli::client::stub::{Reply, Stub, problem};
use crate::cli::exit::Exit;
use crate::cli::output::Output;
use crate::cli::output::capture::Captured;
use crate::cli::testing;

const ID: &str = "0198c3f2-7a00-7000-8000-000000000007";

async fn groups(stub: &Stub, arguments: &[&str]) -> (Exit, Captured) {
    let url = stub.url();
    let run = async |args: GroupsArgs, output: &mut Output| args.run(std::future::pending(), output).await;
    testing::captured(&[arguments, &["--server", &url]].concat(), run).await
}

#[actix_web::test]
async fn lists_as_many_as_asked_for_in_as_many_pages_as_it_takes() {
    let page = |token: Value| Reply::Json(200, json!({"groups": [example_group()], "nextPageToken": token}));
    let stub = Stub::start(vec![page("1f".into()), page(Value::Null)]).await;
    let (exit, captured) = groups(&stub, &["--resource", "db", "--state", "running", "--limit", "2"]).await;
    assert_eq!(exit, Exit::Done, "{}", captured.err());
    let lines: Vec<String> = captured.out().lines().map(str::to_owned).collect();
    assert!(lines[0].starts_with("ID") && lines.len() == 3, "{lines:?}");
    assert!(lines[1].starts_with(&format!("{ID}  running  2")) && lines[1].ends_with("db, worker"), "{lines:?}");
    let query = "resource=db&state=running";
    let expected =
        [format!("GET /v1/groups?pageSize=2&{query}"), format!("GET /v1/groups?pageSize=1&{query}&pageToken=1f")];
    assert_eq!(stub.lines(), expected);
    let empty = Stub::start(vec![Reply::Json(200, json!({"groups": [], "nextPageToken": null}))]).await;
    assert_eq!(groups(&empty, &[]).await.1.err(), "scalegate: no groups yet\n");
}

#[actix_web::test]
async fn a_group_is_shown_with_its_members_by_stage() {
    let stub = Stub::start(vec![Reply::Json(200, example_group())]).await;
    let (exit, captured) = groups(&stub, &[ID]).await;
    assert_eq!(exit, Exit::Done, "{}", captured.err());
    let out = captured.out();
    assert!(out.contains("stage 1: db 2 → 3, running, cooldown"), "{out}");
    assert!(out.contains("stage 2: worker ? → 2, queued, waiting for its stage, job 00000009"), "{out}");
    assert_eq!(stub.lines(), [format!("GET /v1/groups/{ID}")]);
}

#[actix_web::test]
async fn cancels_and_takes_a_group_that_is_canceled_for_good() {
    let stub = Stub::start(vec![Reply::Json(200, example_group())]).await;
    let (exit, captured) = groups(&stub, &[ID, "--cancel"]).await;
    assert_eq!(exit, Exit::Done);
    assert!(captured.out().contains("will end as canceled"), "{}", captured.out());
    assert_eq!(stub.lines(), [format!("POST /v1/groups/{ID}/cancel")]);
    let over = problem(409, "group_finished");
    let canceled = Stub::start(vec![over.clone(), Reply::Json(200, example_canceled_group())]).await;
    assert_eq!(groups(&canceled, &[ID, "--cancel"]).await.0, Exit::Done);
    let mut done = example_canceled_group();
    done["state"] = "succeeded".into();
    let succeeded = Stub::start(vec![over, Reply::Json(200, done)]).await;
    assert_eq!(groups(&succeeded, &[ID, "--cancel"]).await.0, Exit::Refused);
}
