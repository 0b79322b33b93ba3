use std::fs;

use serde_json::Value;

use super::check::CheckArgs;
use crate::cli::exit::Exit;
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
    let (exit, out, _) = check("policy.json", "{}", &["--json"]).await;
    let report: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((exit, &report["errors"][0]["pointer"]), (Exit::Failed, &"/min".into()));
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
