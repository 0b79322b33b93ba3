use std::fs;

use serde_json::{Value, json};

use super::check::CheckArgs;
use super::delete::DeleteArgs;
use super::explain::ExplainArgs;
use super::get::GetArgs;
use super::put::PutArgs;
use crate::api::openapi::examples::{example_outlook, example_policy};
use crate::cli::client::stub::{Reply, Stub, problem};
use crate::cli::exit::Exit;
use crate::cli::output::Output;
use crate::cli::output::capture::Captured;
use crate::cli::testing::captured;

const VALID: &str = r#"{"min": 1, "max": 20, "metrics": {"queue": {"source": {"type": "push"}}}, "rules": [
    {"name": "queue", "type": "target", "metric": "queue", "perUnit": 100},
    {"name": "daily", "type": "schedule", "timeZone": "UTC", "days": ["MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"],
     "from": "09:00", "to": "17:00", "min": 10}]}"#;

async fn check(name: &str, text: &str, options: &[&str]) -> (Exit, String, String) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join(name);
    fs::write(&path, text).expect("written");
    let arguments: Vec<&str> = options.iter().copied().chain([path.to_str().expect("text")]).collect();
    let (exit, captured) = captured(&arguments, async |args: CheckArgs, output| args.run(output)).await;
    (exit, captured.out(), captured.err())
}

#[actix_web::test]
async fn a_valid_policy_is_told_in_sentences_with_what_its_schedules_do_next() {
    let (exit, out, err) = check("policy.json", VALID, &["--resource", "worker"]).await;
    assert_eq!((exit, err.as_str()), (Exit::Done, ""));
    assert!(out.starts_with("Keeps worker between 1 and 20.\nqueue: one unit for every 100 of metric queue"), "{out}");
    let rows: Vec<&str> = out.lines().skip_while(|line| !line.starts_with("NEXT")).skip(1).collect();
    assert_eq!(rows.len(), 20, "{out}");
    assert!(rows[0].contains("T09:00:00+00:00  daily") || rows[0].contains("T17:00:00+00:00  daily"), "{out}");
}

#[actix_web::test]
async fn mistakes_are_told_with_their_places() {
    let (exit, out, _) = check("policy.json", r#"{"min": 2, "max": 1, "rules": [], "colour": 1}"#, &[]).await;
    let expected =
        "error: /max must be at least min, which is 2\nerror: /rules must have 1 to 32 rules\nerror: /colour is";
    assert!(exit == Exit::Failed && out.starts_with(expected), "{out}");
    let (exit, out, _) = check("policy.json", "[]", &[]).await;
    assert_eq!((exit, out.as_str()), (Exit::Failed, "error: the document must be an object, not an array\n"));
    let following = r#"{"min": 0, "max": 9, "rules": [{"name": "f", "type": "follow", "resource": "api"}]}"#;
    let (exit, out, _) = check("policy.json", following, &["--resource", "api"]).await;
    let expected = "error: /rules/0/resource must be another resource than the policy's own\n";
    assert_eq!((exit, out.as_str()), (Exit::Failed, expected));
}

#[actix_web::test]
async fn json_is_one_line_with_everything() {
    let (exit, out, _) = check("policy.json", VALID, &["--json"]).await;
    let report: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((exit, out.lines().count(), &report["valid"]), (Exit::Done, 1, &Value::Bool(true)));
    assert_eq!(report["transitions"].as_array().map(Vec::len), Some(20), "{out}");
    assert_eq!((&report["policy"]["mode"], &report["warnings"]), (&"active".into(), &Value::Array(vec![])));
    for (name, text, pointer, detail) in [
        ("policy.json", "{}", "/min", "is required"),
        ("policy.json", "{\"min\": ", "", "is not JSON: EOF while parsing a value"),
        ("policy.toml", "min = ", "", "is not TOML: "),
    ] {
        let (exit, out, err) = check(name, text, &["--json"]).await;
        let report: Value = serde_json::from_str(&out).expect("JSON");
        assert_eq!((exit, err.as_str(), &report["valid"]), (Exit::Failed, "", &Value::Bool(false)), "{text}");
        assert_eq!(report["errors"][0]["pointer"], pointer, "{text}");
        assert!(report["errors"][0]["detail"].as_str().is_some_and(|said| said.starts_with(detail)), "{out}");
    }
}

#[actix_web::test]
async fn the_end_of_the_name_says_which_language_it_is() {
    let text = "min = 0\nmax = 9\n[[rules]]\nname = \"f\"\ntype = \"follow\"\nresource = \"api\"\n";
    let (exit, out, _) = check("policy.toml", text, &[]).await;
    assert!(exit == Exit::Done && out.contains("f: the target of api.\n"), "{out}");
    let (exit, _, err) = check("policy.json", text, &[]).await;
    assert!(exit == Exit::Failed && err.contains("is not JSON"), "{err}");
    let (exit, captured) = captured(&["/nowhere/policy.json"], async |args: CheckArgs, output| args.run(output)).await;
    assert!(exit == Exit::Usage && captured.err().contains("cannot read /nowhere/policy.json"), "{}", captured.err());
}

async fn at_gateway<A: clap::Args>(
    replies: Vec<Reply>,
    arguments: &[&str],
    run: impl AsyncFnOnce(A, &mut Output) -> Exit,
) -> (Exit, Captured, Stub) {
    let stub = Stub::start(replies).await;
    let url = stub.url();
    let (exit, captured) = captured(&[arguments, &["--server", &url]].concat(), run).await;
    (exit, captured, stub)
}

/// The example policy with a warning.
fn warned() -> Value {
    let mut policy = example_policy();
    policy["warnings"] = json!([{"code": "metric_unused", "pointer": "/metrics/queue", "detail": "No rule uses it."}]);
    policy
}

async fn put(name: &str, text: &str, replies: Vec<Reply>, options: &[&str]) -> (Exit, Captured, Stub) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join(name);
    fs::write(&path, text).expect("written");
    at_gateway(replies, &[&["worker", path.to_str().expect("text")], options].concat(), PutArgs::run).await
}

#[actix_web::test]
async fn a_policy_is_put_as_json_and_its_summary_and_warnings_are_told() {
    let (toml, json) = ("min = 1\nmax = 2\nrules = []\n", r#"{"max": 2, "rules": [], "min": 1}"#);
    for (name, text, options, tag) in
        [("p.json", json, &[][..], None), ("p.toml", toml, &["--if-revision", "6"][..], Some("\"6\""))]
    {
        let (exit, captured, stub) = put(name, text, vec![Reply::Json(200, warned())], options).await;
        let expected = "The policy of worker is in force as revision 7.\nwarning: /metrics/queue: No rule uses it.\n\
                        Keeps worker between 1 and 20.\n";
        assert_eq!((exit, captured.out().as_str()), (Exit::Done, expected), "{}", captured.err());
        let seen = &stub.seen()[0];
        assert_eq!((seen.line.as_str(), seen.header("if-match")), ("PUT /v1/resources/worker/policy", tag));
        let sent: Value = serde_json::from_str(&seen.body).expect("JSON");
        assert_eq!(sent, json!({"min": 1, "max": 2, "rules": []}));
    }
}

#[actix_web::test]
async fn what_a_gateway_refuses_is_told_with_every_place() {
    let refusal = json!({"type": "urn:scalegate:problem:validation_failed", "title": "It makes no sense", "status": 422,
        "detail": "Two mistakes.", "instance": "urn:uuid:0", "code": "validation_failed", "errors": [
        {"pointer": "/max", "detail": "must be at least min, which is 2"},
        {"pointer": "/rules/0/perUnit", "detail": "must be above 0"}]});
    let (exit, captured, _) = put("p.json", "{}", vec![Reply::Json(422, refusal)], &[]).await;
    let expected = "scalegate: It makes no sense (422 validation_failed)\n  max: must be at least min, which is 2\n  \
                    rules/0/perUnit: must be above 0\n";
    assert_eq!((exit, captured.out().as_str(), captured.err().as_str()), (Exit::Refused, "", expected));
    let (exit, ..) = put("p.json", "{}", vec![problem(412, "precondition_failed")], &["--if-revision", "6"]).await;
    assert_eq!(exit, Exit::Refused);
}

#[actix_web::test]
async fn what_is_no_document_is_not_sent() {
    for (name, text, words) in [
        ("p.json", "min = 0", "p.json is not JSON: "),
        ("p.toml", "{}", "p.toml is not TOML: "),
        ("p.toml", "min = nan", "error: /min must be a finite number"),
        ("p.json", r#"{"min": 1, "min": 2}"#, "error: /min is given twice"),
    ] {
        let (exit, captured, stub) = put(name, text, vec![Reply::Lost], &[]).await;
        assert_eq!((exit, stub.seen().len()), (Exit::Failed, 0), "{text}");
        assert!(captured.err().contains(words), "{}", captured.err());
    }
    let (exit, captured, stub) = at_gateway(vec![Reply::Lost], &["worker", "/nowhere/p.json"], PutArgs::run).await;
    assert_eq!((exit, stub.seen().len()), (Exit::Usage, 0));
    assert!(captured.err().contains("cannot read /nowhere/p.json"), "{}", captured.err());
}

/// What answers add is in the way of who keeps the document elsewhere.
#[actix_web::test]
async fn a_policy_is_printed_such_that_it_can_be_put_again() {
    let (exit, captured, stub) = at_gateway(vec![Reply::Json(200, warned())], &["worker"], GetArgs::run).await;
    assert_eq!((exit, stub.lines()), (Exit::Done, vec!["GET /v1/resources/worker/policy".to_owned()]));
    let text = captured.out();
    assert!(text.starts_with("{\n  \"mode\": \"active\",\n  \"min\": 1,\n"), "{text}");
    let mut expected = example_policy();
    let fields = expected.as_object_mut().expect("an object");
    for name in ["resource", "revision", "updatedAt", "updatedBy", "summary", "warnings"] {
        fields.remove(name).expect("an answer has it");
    }
    assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON"), expected);
    assert!(captured.err().starts_with("scalegate: this is revision 7\n"), "{}", captured.err());
    let (_, captured, _) = at_gateway(vec![Reply::Json(200, warned())], &["worker", "--json"], GetArgs::run).await;
    let printed: Value = serde_json::from_str(&captured.out()).expect("JSON");
    assert_eq!((printed, captured.out().lines().count(), captured.err().as_str()), (warned(), 1, ""));
    let newer = json!({"min": 0, "max": 1, "rules": [{"name": "x", "type": "oracle"}], "revision": 7});
    let (exit, captured, _) = at_gateway(vec![Reply::Json(200, newer.clone())], &["worker"], GetArgs::run).await;
    assert_eq!((exit, serde_json::from_str(&captured.out()).ok()), (Exit::Done, Some(newer)), "it is shown as it came");
}

#[actix_web::test]
async fn a_policy_is_explained_with_what_is_ahead() {
    let replies = vec![Reply::Json(200, warned()), Reply::Json(200, example_outlook())];
    let (exit, captured, stub) = at_gateway(replies, &["worker"], ExplainArgs::run).await;
    let expected = "\
warning: /metrics/queue: No rule uses it.
Keeps worker between 1 and 20.
NEXT                       SCHEDULE          MIN  MAX
2026-01-31T17:00:00+01:00  office    closes  10
PLANNED FROM          CAPACITY
2026-01-31 12:00:00Z  10
2026-01-31 16:01:00Z  9
";
    assert_eq!((exit, captured.out().as_str()), (Exit::Done, expected), "{}", captured.err());
    assert_eq!(stub.lines()[1], "GET /v1/resources/worker/outlook?hours=400");
}

#[actix_web::test]
async fn a_policy_is_deleted() {
    let gone = Reply::Full(204, Vec::new(), String::new());
    let (exit, captured, stub) = at_gateway(vec![gone], &["worker"], DeleteArgs::run).await;
    assert_eq!((exit, captured.out().as_str()), (Exit::Done, "The policy of worker is deleted.\n"));
    assert_eq!(stub.lines(), ["DELETE /v1/resources/worker/policy"]);
    let refused = vec![problem(404, "policy_not_found")];
    assert_eq!(at_gateway(refused, &["worker"], DeleteArgs::run).await.0, Exit::Refused);
}
