use std::ffi::OsString;
use std::future::pending;

use serde_json::{Value, json};

use super::ScaleArgs;
use crate::api::openapi::examples::example_plan;
use crate::cli::client::stub::{Reply, Stub, Then, busy, canceled, events, failed, job, problem, ready, succeeded};
use crate::cli::command_line::CommandLine;
use crate::cli::exit::Exit;
use crate::cli::output::Output;
use crate::cli::output::capture::Captured;
use crate::cli::testing;

fn parse(arguments: &[&str]) -> Result<ScaleArgs, clap::Error> {
    testing::parse(arguments)
}

async fn scale(stub: &Stub, arguments: &[&str]) -> (Exit, Captured) {
    let url = stub.url();
    let run = async |args: ScaleArgs, output: &mut Output| args.run(pending(), output).await;
    testing::captured(&[arguments, &["--server", &url]].concat(), run).await
}

#[actix_web::test]
async fn sends_what_was_asked_for_and_nothing_else() {
    let stub = Stub::start(vec![Reply::Json(202, job(json!({})))]).await;
    let all = "worker 5 --on-conflict supersede --step-size 2 --cooldown 1m --active-timeout 1h --poll-interval 250ms \
               --settle 0s --deadline 1d --reason why --label a=b --label c=d=e --idempotency-key k";
    let (exit, captured) = scale(&stub, &all.split_whitespace().collect::<Vec<_>>()).await;
    assert_eq!(exit, Exit::Done, "{}", captured.err());
    assert_eq!(captured.out(), "Submitted: worker to 5, job 0198c3f2-7a00-7000-8000-000000000001\n");
    for delta in ["+2", "-1"] {
        scale(&stub, &["worker", delta]).await;
    }
    let bodies: Vec<Value> =
        stub.seen().iter().map(|seen| serde_json::from_str(&seen.body).expect("a JSON body")).collect();
    let expected = json!({
        "resource": "worker", "targetCapacity": 5, "stepSize": 2, "cooldownSeconds": 60.0,
        "activeTimeoutSeconds": 3600.0, "pollIntervalSeconds": 0.25, "settleSeconds": 0.0, "deadlineSeconds": 86400.0,
        "onConflict": "supersede", "reason": "why", "labels": {"a": "b", "c": "d=e"}
    });
    assert_eq!(bodies[0], expected);
    assert_eq!(bodies[1], json!({"resource": "worker", "delta": 2}));
    assert_eq!(bodies[2], json!({"resource": "worker", "delta": -1}));
    let keys: Vec<String> =
        stub.seen().iter().map(|seen| seen.header("idempotency-key").expect("a key").to_owned()).collect();
    assert_eq!(keys[0], "k");
    assert_ne!(keys[1], keys[2], "each run is a wish of its own");
}

#[actix_web::test]
async fn what_the_policy_does_not_do_meanwhile_is_said() {
    let note = "The policy of worker submits nothing until this job is over.";
    let stub = Stub::start(vec![Reply::Json(202, job(json!({"note": note})))]).await;
    let (_, captured) = scale(&stub, &["worker", "5"]).await;
    let expected = format!("Submitted: worker to 5, job 0198c3f2-7a00-7000-8000-000000000001\n  {note}\n");
    assert_eq!(captured.out(), expected);
}

#[actix_web::test]
async fn a_lost_answer_does_not_make_a_second_job() {
    let stub = Stub::start(vec![Reply::Lost, Reply::Json(202, job(json!({})))]).await;
    let (exit, captured) = scale(&stub, &["worker", "5"]).await;
    assert_eq!(exit, Exit::Done);
    assert!(captured.err().contains("the connection was closed\n  Trying again."), "{}", captured.err());
    let seen = stub.seen();
    assert_eq!(seen.len(), 2);
    assert!(seen[0].header("idempotency-key").is_some());
    assert_eq!(seen[0].header("idempotency-key"), seen[1].header("idempotency-key"));
}

#[actix_web::test]
async fn the_exit_code_tells_what_became_of_the_job() {
    for (changes, exit, words) in [
        (succeeded(), Exit::Done, "12:16:00Z  succeeded: worker at capacity 5 after 4 steps in 15m 59s\n"),
        (failed(), Exit::Failed, "with status 400.\n  the sidecar said (400): quota exceeded\n"),
        (canceled(), Exit::JobStopped, "12:03:00Z  canceled at capacity 2\n"),
        (
            json!({"state": "superseded", "waitingFor": null, "version": 8}),
            Exit::JobStopped,
            "superseded at capacity 2\n",
        ),
    ] {
        let stub = Stub::start(vec![Reply::Json(202, job(json!({}))), events([changes])]).await;
        let (ended, captured) = scale(&stub, &["worker", "5", "--wait"]).await;
        assert_eq!(ended, exit);
        assert!(captured.out().starts_with("Submitted: worker to 5"), "{}", captured.out());
        assert!(captured.out().ends_with(words), "{}", captured.out());
        assert_eq!(stub.lines()[1], "GET /v1/jobs/0198c3f2-7a00-7000-8000-000000000001/events");
    }
}

#[actix_web::test]
async fn who_ends_the_following_is_told_how_to_go_on() {
    for json in [&[][..], &["--json"]] {
        let stub = Stub::start(vec![Reply::Json(202, job(json!({}))), Reply::Stream(ready(false), Then::Hold)]).await;
        let url = stub.url();
        let run = async |args: ScaleArgs, output: &mut Output| args.run(std::future::ready(()), output).await;
        let arguments = [&["worker", "5", "--wait", "--server", &url][..], json].concat();
        let (exit, captured) = testing::captured(&arguments, run).await;
        let id = "0198c3f2-7a00-7000-8000-000000000001";
        let expected = format!(
            "scalegate: The job goes on.\n  Follow it: scalegate jobs {id} --wait --server {url}\n  Cancel it: scalegate cancel \
             {id} --server {url}\n"
        );
        assert_eq!((exit, captured.err()), (Exit::Interrupted, expected));
    }
}

/// They cannot pass: asking again would only make the user wait.
#[actix_web::test]
async fn a_wrong_address_is_told_once_and_at_once() {
    let raw = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = raw.local_addr().expect("an address").port();
    // What a server with HTTPS says to a client without.
    let alert = std::thread::spawn(move || {
        use std::io::{Read as _, Write as _};
        let (mut client, _) = raw.accept().expect("a client");
        let _ = client.read(&mut [0; 1024]);
        client.write_all(b"\x15\x03\x03\x00\x02\x02\x46").expect("sent");
    });
    for (server, words) in [
        (format!("http://127.0.0.1:{port}"), "it does not speak HTTP; perhaps it is https://"),
        ("http://nobody.invalid:8080".to_owned(), "its name cannot be resolved: "),
    ] {
        let run = async |args: ScaleArgs, output: &mut Output| args.run(std::future::pending(), output).await;
        let (exit, captured) = testing::captured(&["worker", "5", "--server", &server], run).await;
        assert_eq!(exit, Exit::Unreachable);
        let err = captured.err();
        assert!(err.starts_with(&format!("scalegate: cannot reach the gateway at {server}: {words}")), "{err}");
        assert_eq!(err.lines().count(), 1, "{err}");
    }
    alert.join().expect("it ends");
}

#[actix_web::test]
async fn json_is_the_job_and_nothing_else() {
    for (arguments, expected) in
        [(&["worker", "5", "--json"][..], json!({})), (&["worker", "5", "--json", "--wait"], succeeded())]
    {
        let stub = Stub::start(vec![Reply::Json(202, job(json!({}))), events([succeeded()])]).await;
        let (exit, captured) = scale(&stub, arguments).await;
        assert_eq!(exit, Exit::Done);
        assert_eq!(serde_json::from_str::<Value>(&captured.out()).expect("JSON"), job(expected));
        assert_eq!(captured.out().lines().count(), 1);
    }
}

#[actix_web::test]
async fn refusals_are_shown_with_the_other_job() {
    let stub = Stub::start(vec![busy()]).await;
    let typed = ["scalegate", "scale", "worker", "5", "--server", &stub.url()].map(OsString::from);
    let run = async |mut args: ScaleArgs, output: &mut Output| {
        args.gateway.command = CommandLine::new(typed);
        args.run(pending(), output).await
    };
    let (exit, captured) = testing::captured(&["worker", "5", "--json", "--server", &stub.url()], run).await;
    assert_eq!((exit, captured.out()), (Exit::Refused, String::new()));
    let told = captured.err();
    assert!(
        told.starts_with("scalegate: The resource has an unfinished job (409 resource_busy)\n  Job 0198"),
        "{told}"
    );
    let server = stub.url();
    for next in [
        format!("To look at that job: scalegate jobs 0198c3f2-7a00-7000-8000-000000000001 --server {server}\n"),
        format!("To let this job wait for its turn: scalegate scale worker 5 --server {server} --on-conflict queue\n"),
        format!("To end the other one: scalegate scale worker 5 --server {server} --on-conflict supersede\n"),
    ] {
        assert!(told.contains(&next), "{told}");
    }
    let stub = Stub::start(vec![problem(500, "internal_error")]).await;
    assert_eq!(scale(&stub, &["worker", "5"]).await.0, Exit::Unreachable);
}

#[actix_web::test]
async fn plans_are_shown_and_nothing_is_submitted() {
    let mut plan = example_plan();
    plan["steps"][0]["earliestAt"] = json!("2000-01-01T00:00:00Z");
    plan["steps"][1]["earliestAt"] = json!("2199-01-01T00:00:00Z");
    let stub = Stub::start(vec![Reply::Json(200, plan)]).await;
    let (exit, captured) = scale(&stub, &["worker", "3", "--plan"]).await;
    assert_eq!(exit, Exit::Done, "{}", captured.err());
    assert_eq!(stub.lines(), ["POST /v1/plans"]);
    let lines: Vec<String> = captured.out().lines().map(str::to_owned).collect();
    assert!(lines[0].starts_with("worker: 1 → 3 in 2 steps"), "{lines:?}");
    assert_eq!(lines[1], "   1  add 1       1 → 2         now");
    assert!(lines[2].starts_with("   2  add 1       2 → 3         2199-01-01 00:00:00Z (in "), "{lines:?}");
    assert_eq!(lines.len(), 3);
}

/// There is nothing left to do after what the job before does.
#[actix_web::test]
async fn plans_that_join_a_job_name_it() {
    let mut plan = example_plan();
    plan["joins"] = json!("0198c3f2-7a00-7000-8000-000000000001");
    plan["startCapacity"] = plan["targetCapacity"].clone();
    plan["steps"] = json!([]);
    let stub = Stub::start(vec![Reply::Json(200, plan)]).await;
    let (exit, captured) = scale(&stub, &["worker", "3", "--plan"]).await;
    assert_eq!(exit, Exit::Done, "{}", captured.err());
    let expected = format!(
        "worker: an unfinished job does the same and would be joined. To look at it: scalegate jobs \
         0198c3f2-7a00-7000-8000-000000000001 --server {}\n",
        stub.url()
    );
    assert_eq!(captured.out(), expected);
}

#[actix_web::test]
async fn an_address_that_is_none_is_a_usage_error() {
    let args = parse(&["worker", "5", "--server", "gateway:8080"]).expect("checked later");
    let captured = Captured::default();
    assert_eq!(args.run(std::future::pending(), &mut captured.output()).await, Exit::Usage);
    assert!(
        captured.err().contains("--server: \"gateway:8080\" is not an https:// or http:// URL"),
        "{}",
        captured.err()
    );
}

#[test]
fn nonsense_is_refused_before_anything_is_sent() {
    for (arguments, words) in [
        (&["worker"][..], "<TARGET>"),
        (&["worker", "--wait"], "<TARGET>"),
        (&["worker", "five"], "write a capacity (5)"),
        (&["worker", "-1e3"], "write a capacity (5)"),
        (&["worker", "+0"], "changes nothing"),
        (&["../x", "5"], "begin with a letter or a digit"),
        (&["worker", "5", "--wiat"], "--wait"),
        (&["worker", "5", "--cooldown", "5"], "write \"5s\" for seconds"),
        (&["worker", "5", "--label", "team"], "key=value"),
        (&["worker", "5", "--on-conflict", "replace"], "supersede"),
        (&["worker", "5", "--idempotency-key", "a\u{e9}"], "printable ASCII"),
        (&["worker", "5", "--plan", "--wait"], "cannot be used with"),
    ] {
        let error = parse(arguments).expect_err("nonsense");
        assert_eq!(error.exit_code(), Exit::Usage as i32);
        assert!(error.to_string().contains(words), "{arguments:?}: {error}");
    }
    let twice = parse(&["worker", "5", "--label", "a=b", "--label", "a=c"]).expect("checked later");
    assert_eq!(twice.submission().map_err(|failure| failure.exit()), Err(Exit::Usage));
}
