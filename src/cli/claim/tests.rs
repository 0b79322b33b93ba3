use serde_json::{Value, json};

use super::ClaimArgs;
use crate::api::openapi::examples::example_claim;
use crate::cli::client::stub::{Reply, Stub, problem};
use crate::cli::exit::Exit;
use crate::cli::output::capture::Captured;
use crate::cli::testing;

const ID: &str = "0198c3f2-7a00-7000-8000-000000000009";

/// The example claim, satisfied or not.
fn view(satisfied: bool) -> Value {
    let mut claim = example_claim();
    claim["satisfied"] = satisfied.into();
    claim["until"] = json!("2199-01-31T16:00:00.000Z");
    claim
}

fn claimed(satisfied: bool) -> Reply {
    Reply::Json(201, view(satisfied))
}

async fn claim(replies: Vec<Reply>, arguments: &[&str]) -> (Exit, Captured, Stub) {
    let stub = Stub::start(replies).await;
    let url = stub.url();
    let (exit, captured) = testing::captured(&[arguments, &["--server", &url]].concat(), ClaimArgs::run).await;
    (exit, captured, stub)
}

#[actix_web::test]
async fn what_is_claimed_is_sent_and_told_with_its_id() {
    for (arguments, sent) in [
        ("worker 8 --for 2h", json!({"units": 8, "forSeconds": 7200.0})),
        (
            "worker 3 --for 90s --extra --owner import --reason why",
            json!({"units": 3, "forSeconds": 90.0, "kind": "extra", "owner": "import", "reason": "why"}),
        ),
    ] {
        let (exit, captured, stub) = claim(vec![claimed(false)], &arguments.split(' ').collect::<Vec<_>>()).await;
        assert_eq!(exit, Exit::Done, "{}", captured.err());
        let told = captured.out();
        assert_eq!(told, format!("Claimed: at least 8 of worker until 2199-01-31 16:00:00Z, claim {ID}\n"));
        assert_eq!(stub.lines(), ["POST /v1/resources/worker/claims"]);
        assert_eq!(serde_json::from_str::<Value>(&stub.seen()[0].body).expect("JSON"), sent);
    }
}

#[actix_web::test]
async fn a_lost_answer_does_not_make_a_second_claim() {
    let (exit, captured, stub) = claim(vec![Reply::Lost, claimed(false)], &["worker", "8", "--for", "2h"]).await;
    assert_eq!(exit, Exit::Done);
    assert!(captured.err().ends_with("the connection was closed\n  Trying again.\n"), "{}", captured.err());
    let keys: Vec<Option<String>> =
        stub.seen().iter().map(|seen| seen.header("idempotency-key").map(str::to_owned)).collect();
    assert!(keys.len() == 2 && keys[0].is_some() && keys[0] == keys[1], "{keys:?}");
    let arguments = ["worker", "8", "--for", "2h", "--idempotency-key", "nightly"];
    let (_, _, stub) = claim(vec![claimed(false)], &arguments).await;
    assert_eq!(stub.seen()[0].header("idempotency-key"), Some("nightly"));
    let (exit, _, stub) = claim(vec![problem(409, "no_policy")], &["worker", "8", "--for", "2h"]).await;
    assert_eq!((exit, stub.lines().len()), (Exit::Refused, 1), "a refusal is not asked for again");
}

/// Also across an absence of the gateway.
#[actix_web::test]
async fn the_wait_ends_when_the_units_are_there() {
    let replies = vec![claimed(false), Reply::Lost, Reply::Json(200, view(true))];
    let (exit, captured, stub) = claim(replies, &["worker", "8", "--for", "2h", "--wait"]).await;
    assert_eq!(exit, Exit::Done, "{}", captured.err());
    assert!(captured.out().ends_with("\nworker is ready with what is claimed.\n"), "{}", captured.out());
    assert!(captured.err().ends_with("\n  The claim stays. Trying again for up to 5m.\n"), "{}", captured.err());
    let look = format!("GET /v1/resources/worker/claims/{ID}");
    assert_eq!(stub.lines(), ["POST /v1/resources/worker/claims", &look, &look]);
    let (exit, _, stub) = claim(vec![claimed(true)], &["worker", "8", "--for", "2h", "--wait"]).await;
    assert_eq!((exit, stub.lines().len()), (Exit::Done, 1), "it was satisfied at once");
}

#[actix_web::test]
async fn a_claim_that_ends_unsatisfied_is_a_failure() {
    let gone = || problem(404, "claim_not_found");
    let arguments = ["worker", "8", "--for", "2h", "--wait"];
    let (exit, captured, _) = claim(vec![claimed(false), gone()], &arguments).await;
    let words = format!("scalegate: the claim {ID} ended before the units were there\n");
    assert_eq!((exit, captured.err()), (Exit::Failed, words));
    let (exit, ..) = claim(vec![claimed(false), problem(403, "resource_forbidden")], &arguments).await;
    assert_eq!(exit, Exit::Refused);
    let impatient = [&arguments[..], &["--patience", "0s"]].concat();
    let (exit, captured, stub) = claim(vec![claimed(false), Reply::Lost], &impatient).await;
    assert_eq!((exit, stub.lines().len()), (Exit::Unreachable, 2), "{}", captured.err());
}

#[actix_web::test]
async fn json_is_the_claim_and_nothing_else() {
    for (arguments, satisfied) in [(&["--json"][..], false), (&["--json", "--wait"], true)] {
        let replies = vec![claimed(false), Reply::Json(200, view(true))];
        let (exit, captured, _) = claim(replies, &[&["worker", "8", "--for", "2h"], arguments].concat()).await;
        assert_eq!(exit, Exit::Done, "{}", captured.err());
        assert_eq!(serde_json::from_str::<Value>(&captured.out()).expect("JSON"), view(satisfied));
    }
}

#[actix_web::test]
async fn a_claim_is_ended_by_its_id() {
    let (exit, captured, stub) =
        claim(vec![Reply::Full(204, Vec::new(), String::new())], &["worker", "--end", ID]).await;
    assert_eq!((exit, captured.out()), (Exit::Done, format!("The claim {ID} is ended.\n")), "{}", captured.err());
    assert_eq!(stub.lines(), [format!("DELETE /v1/resources/worker/claims/{ID}")]);
    let (exit, ..) = claim(vec![problem(404, "claim_not_found")], &["worker", "--end", ID]).await;
    assert_eq!(exit, Exit::Refused);
}

#[actix_web::test]
async fn claims_are_listed() {
    let list = |claims: &[Value]| Reply::Json(200, json!({"claims": claims}));
    let mut early = view(true);
    (early["from"], early["owner"]) = (json!("2026-01-31T12:00:00.000Z"), json!("import"));
    (early["reason"], early["kind"]) = (json!("before the sale"), json!("extra"));
    let (exit, captured, stub) = claim(vec![list(&[early.clone()])], &["worker", "--list"]).await;
    assert_eq!((exit, stub.lines()), (Exit::Done, vec!["GET /v1/resources/worker/claims".to_owned()]));
    let expected = format!(
        "CLAIM                                 UNITS    FROM                  UNTIL                 SATISFIED  OWNER   REASON\n\
         {ID}  8 extra  2026-01-31 12:00:00Z  2199-01-31 16:00:00Z  yes        import  before the sale\n"
    );
    assert_eq!(captured.out(), expected, "{}", captured.err());
    let (_, captured, _) = claim(vec![list(&[])], &["worker", "--list"]).await;
    assert_eq!(captured.out(), "No claims.\n");
    let (_, captured, _) = claim(vec![list(&[early.clone()])], &["worker", "--list", "--json"]).await;
    assert_eq!(serde_json::from_str::<Value>(&captured.out()).expect("JSON"), json!({"claims": [early]}));
}

#[test]
fn a_claim_needs_units_and_an_end() {
    for (arguments, words) in [
        (&["worker"][..], "UNITS"),
        (&["worker", "8"], "--for <DURATION>"),
        (&["worker", "0", "--for", "1h"], "0 is not in 1.."),
        (&["worker", "8", "--for", "2"], "write \"2s\" for seconds"),
        (&["worker", "8", "--for", "1h", "--end", ID], "cannot be used with"),
        (&["worker", "--end", "0198c3f2"], "the full id of a claim"),
        (&["worker", "8", "--for", "1h", "--list"], "cannot be used with"),
    ] {
        let error = testing::parse::<ClaimArgs>(arguments).expect_err("nonsense");
        assert_eq!(error.exit_code(), Exit::Usage as i32);
        assert!(error.to_string().contains(words), "{arguments:?}: {error}");
    }
}
