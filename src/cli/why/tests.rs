use serde_json::{Value, json};

use super::WhyArgs;
use super::story::Story;
use crate::api::openapi::examples::{
    example_decision, example_hold, example_outlook, example_policy, example_resource, example_resource_policy,
};
use crate::api::view::DecisionView;
use crate::cli::client::stub::{Reply, Stub, problem};
use crate::cli::exit::Exit;
use crate::cli::output::capture::Captured;
use crate::cli::testing;
use crate::domain::Timestamp;

/// 2026-01-31T12:04:00Z
const NOW: Timestamp = Timestamp::from_millis(1_769_861_040_000);

/// The example decision with `changes` to its top level.
fn decision(changes: Value) -> Value {
    let mut decision = example_decision();
    for (name, value) in changes.as_object().expect("an object") {
        decision[name] = value.clone();
    }
    decision
}

fn page(decisions: &[Value]) -> Reply {
    Reply::Json(200, json!({"decisions": decisions, "nextPageToken": null}))
}

async fn why(replies: Vec<Reply>, arguments: &[&str]) -> (Exit, Captured, Vec<String>) {
    let stub = Stub::start(replies).await;
    let url = stub.url();
    let (exit, captured) = testing::captured(&[arguments, &["--server", &url]].concat(), WhyArgs::run).await;
    (exit, captured, stub.lines())
}

/// The example resource, held and with the example policy.
fn resource() -> Value {
    let mut resource = example_resource();
    (resource["hold"], resource["policy"]) = (example_hold(), example_resource_policy());
    resource
}

/// What is told of the example decision with `changes`, taken by the policy that is in force.
fn told(changes: Value) -> String {
    let story = Story {
        decision: serde_json::from_value(decision(changes)).expect("a decision"),
        policy: Some(serde_json::from_value(example_policy()).expect("a policy")),
        resource: Some(serde_json::from_value(resource()).expect("a resource")),
        outlook: Some(serde_json::from_value(example_outlook()).expect("an outlook")),
    };
    story.lines(NOW).join("\n")
}

#[test]
fn a_decision_is_told_with_everything_that_explains_it() {
    let expected = "\
From 3 to 10: office needs 10 until 17:00; queue alone would need 9.
  resource   worker at capacity 3, ACTIVE
  target     3
  decided    10, because of windows of schedules
  action     submitted job 0198c3f2-7a00-7000-8000-000000000001
  when       12:00:00Z (3m 59s ago), after news of a metric
  policy     revision 7, mode active
  hold       no change until 16:00:00Z (in 3h 56m): database migration
Conditions now
  back_off  A job failed on the way down (sidecar_rejected); the next one begins after 12:04.
Metrics
  queue  812, 0s old
Rules
  queue   wants 9: 812 at 100 per unit needs 9
  office  at least 10: until 17:00 Europe/Berlin
Stages
  rules    9
  windows  10: min 10 by office
Otherwise if
  queue above 900    queue wants 10
  queue at most 800  queue wants 8
Ahead
  14:00:00Z (in 1h 56m)  the claim of at least 8 ends
  16:00:00Z (in 3h 56m)  office closes (min 10)";
    assert_eq!(told(json!({})), expected);
}

#[test]
fn what_is_missing_is_told_with_the_reason_and_never_as_a_number() {
    let value = json!({"state": "missing", "value": 4812, "observedAt": "2026-01-31T11:50:00Z", "ageSeconds": 600.5});
    let never = json!({"state": "missing", "value": null, "observedAt": null, "ageSeconds": null, "reason": "never"});
    for (reason, words) in [
        ("stale", "  queue  missing: the newest value is too old (the newest value: 4812, 10m old)\n"),
        ("invalid", "  queue  missing: what came is no number that makes sense (the newest value: 4812, 10m old)\n"),
        ("several_series", "  queue  missing: several series came where one is meant (the newest"),
        ("source_failed", "  queue  missing: the source cannot be read (the newest"),
    ] {
        let mut state = value.clone();
        state["reason"] = reason.into();
        let text = told(json!({"metrics": {"queue": state}}));
        assert!(text.contains(words), "{text}");
    }
    let nothing = json!({"metrics": {"queue": never}, "capacity": null, "status": null, "target": null, "decided": null,
        "wanted": null, "limitedBy": null, "stages": [], "otherwiseIf": [], "action": "none", "jobId": null,
        "rules": [{"name": "queue", "wants": null, "min": null, "max": null, "detail": "queue is missing"}]});
    let text = told(nothing);
    for line in [
        "\n  queue  missing: there never was a value\n",
        "\n  resource   worker, of which there is no usable reading\n",
        "\n  target     -\n  decided    -\n  action     none: nothing was decided\n",
        "\n  queue  nothing: queue is missing\n",
    ] {
        assert!(text.contains(line), "{line}{text}");
    }
    assert!(!text.contains("Stages") && !text.contains("Otherwise"), "{text}");
}

/// That nothing was done does not mean that nothing goes on.
#[test]
fn a_job_on_its_way_is_told_where_nothing_was_done() {
    for (target, decided, action) in [
        (9, 9, "none: the job to 9 is on its way"),
        (9, 12, "none: the job to 9 is on its way"),
        (3, 3, "none: nothing is to change"),
        (3, 9, "none: the policy is kept from acting"),
    ] {
        let text = told(json!({"action": "none", "jobId": null, "capacity": 3, "target": target, "decided": decided}));
        assert!(text.contains(&format!("\n  action     {action}\n")), "{action}{text}");
    }
}

#[test]
fn equal_decisions_are_told_once_with_the_first_values_and_the_last() {
    let last = json!({"queue": {"state": "fresh", "value": 830.5, "observedAt": "2026-01-31T12:02:58Z", "ageSeconds": 2.0,
        "reason": null}});
    let text = told(json!({"count": 12, "lastAt": "2026-01-31T12:03:00Z", "lastMetrics": last, "action": "advised",
        "jobId": null}));
    for line in [
        "\n  again      12 times in a row, the last time 12:03:00Z (1m ago)\n",
        "\n  queue  812, 0s old; the last time 830.5, 2s old\n",
        "\n  action     none, because the mode is advise\n",
    ] {
        assert!(text.contains(line), "{line}{text}");
    }
}

/// At night the first question is whether anything keeps the policy from acting, and the second one until when.
#[test]
fn what_keeps_the_policy_from_acting_now_is_told_with_its_end() {
    let mut resource = resource();
    resource["readFailure"] = json!("connection refused");
    resource["policy"]["conditions"] = json!([
        {"code": "canceled_by_person", "direction": "add", "until": "2026-01-31T12:12:30Z", "detail": "A person canceled it."},
        {"code": "source_refused", "direction": null, "until": null, "detail": "A source is not asked."},
        {"code": "held", "direction": null, "until": "2026-01-31T16:00:00Z", "detail": "A hold is in force."},
    ]);
    let story = Story {
        decision: serde_json::from_value(decision(json!({}))).expect("a decision"),
        policy: None,
        resource: Some(serde_json::from_value(resource).expect("a resource")),
        outlook: None,
    };
    let text = story.lines(NOW).join("\n");
    let expected = "\n  reading    fails: connection refused\nConditions now\n  \
        canceled_by_person  A person canceled it. It ends in 8m 30s.\n  \
        source_refused      A source is not asked.\nMetrics\n";
    assert!(text.contains(expected), "{text}");
}

/// The metric of a rule may be another one by now.
#[test]
fn a_newer_policy_is_named_and_not_taken_for_the_one_that_decided() {
    let text = told(json!({"policyRevision": 6}));
    let line =
        "\n  policy     revision 6, mode active; revision 7 is in force since 09:30:00Z (2h 34m ago), mode active\n";
    assert!(text.contains(line), "{text}");
    assert!(text.contains("\n  the metric of queue above 900    queue wants 10\n"), "{text}");
}

#[actix_web::test]
async fn the_last_decision_is_asked_for_with_the_policy_and_the_outlook() {
    let answers = [example_policy(), resource(), example_outlook()].map(|body| Reply::Json(200, body));
    let replies = [vec![page(&[decision(json!({}))])], answers.to_vec()].concat();
    let (exit, captured, lines) = why(replies, &["worker"]).await;
    assert_eq!(exit, Exit::Done, "{}", captured.err());
    assert!(captured.out().starts_with("From 3 to 10: office needs 10"), "{}", captured.out());
    let expected = ["/decisions?pageSize=1", "/policy", "", "/outlook?hours=48"];
    assert_eq!(lines, expected.map(|what| format!("GET /v1/resources/worker{what}")));
}

#[actix_web::test]
async fn a_decision_outlives_its_policy() {
    let absent = ["policy_not_found", "resource_not_found", "policy_not_found"].map(|code| problem(404, code));
    let replies = [vec![page(&[decision(json!({}))])], absent.to_vec()].concat();
    let (exit, captured, lines) = why(replies, &["worker"]).await;
    assert_eq!((exit, lines.len()), (Exit::Done, 4), "{}", captured.err());
    assert!(!captured.out().contains("hold") && !captured.out().contains("Ahead"), "{}", captured.out());
    assert!(captured.out().contains("revision 7, mode active; there is none any more\n"), "{}", captured.out());
}

#[actix_web::test]
async fn json_is_the_decision_and_nothing_else() {
    let (exit, captured, lines) = why(vec![page(&[decision(json!({}))])], &["worker", "--json"]).await;
    assert_eq!((exit, lines.len(), captured.out().lines().count()), (Exit::Done, 1, 1));
    let printed: DecisionView = serde_json::from_str(&captured.out()).expect("a decision");
    assert_eq!(printed, serde_json::from_value(decision(json!({}))).expect("a decision"));
}

#[actix_web::test]
async fn without_a_decision_it_says_whether_there_is_a_policy() {
    let (exit, captured, _) = why(vec![page(&[]), Reply::Json(200, example_policy())], &["worker"]).await;
    let words = "scalegate: the policy of worker has decided nothing so far; its mode is active\n";
    assert_eq!((exit, captured.out().as_str(), captured.err().as_str()), (Exit::Done, "", words));
    let (exit, captured, _) = why(vec![page(&[]), problem(404, "policy_not_found")], &["worker"]).await;
    assert_eq!(exit, Exit::Refused);
    assert_eq!(captured.err(), "scalegate: A title (404 policy_not_found)\n  A detail.\n");
}
