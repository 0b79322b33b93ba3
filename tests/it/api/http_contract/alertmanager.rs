//! Alerts of a Prometheus Alertmanager, which become claims. That a real one sends what is taken for one here is tried by
//! `.ci/prometheus`.

use super::{LONG_COOLDOWN, Scene};
use crate::support::gateway::{Gateway, Raw};
use serde_json::{Value, json};

const HOOK: &str = "/v1/hooks/alertmanager";
const CLAIMS: &str = "/v1/resources/worker/claims";

fn policy() -> Value {
    json!({"min": 1, "max": 9, "metrics": {"queue": {"source": {"type": "push"}}},
           "rules": [{"name": "queue", "type": "target", "metric": "queue", "perUnit": 100}]})
}

/// An alert as Alertmanager sends it, with all that is ignored here.
fn alert(name: &str, status: &str, labels: Value) -> Value {
    json!({"status": status, "labels": labels, "annotations": {"summary": "Jobs wait.", "runbook_url": "http://x"},
        "startsAt": "2026-01-31T12:00:00.123456789Z", "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus:9090/graph?g0.expr=1", "fingerprint": name})
}

fn wants(units: &str) -> Value {
    json!({"alertname": "QueueLong", "scalegate_resource": "worker", "scalegate_units": units})
}

fn notification(alerts: &[Value]) -> Value {
    json!({"version": "4", "groupKey": "{}:{}", "truncatedAlerts": 0, "status": "firing", "receiver": "scalegate",
        "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {}, "externalURL": "http://alertmanager:9093",
        "of a later release": true, "alerts": alerts})
}

impl Gateway {
    /// What came of each alert.
    async fn told_of(&self, alerts: &[Value]) -> Vec<Value> {
        let answer = self.post(HOOK, &notification(alerts)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["alerts"].as_array().expect("results").clone()
    }

    async fn claims(&self) -> Vec<Value> {
        self.get(CLAIMS).await.json()["claims"].as_array().expect("claims").clone()
    }
}

fn outcomes(results: &[Value]) -> Vec<&str> {
    results.iter().map(|result| result["outcome"].as_str().expect("an outcome")).collect()
}

#[actix_web::test]
async fn a_firing_alert_is_a_claim_until_it_is_resolved() {
    let scene = Scene::start(&LONG_COOLDOWN);
    scene.gateway.must_put("/v1/resources/worker/policy", &policy()).await;
    let made = scene.gateway.told_of(&[alert("a", "firing", wants("5"))]).await;
    let claims = scene.gateway.claims().await;
    assert_eq!(outcomes(&made), ["claimed"]);
    let claim = &claims[0];
    assert_eq!((&claim["id"], &claim["units"], &claim["kind"]), (&made[0]["claim"], &json!(5), &json!("atLeast")));
    assert_eq!((&claim["owner"], &claim["reason"]), (&json!("QueueLong"), &json!("Jobs wait.")));
    let again = scene.gateway.told_of(&[alert("a", "firing", wants("5"))]).await;
    assert_eq!((outcomes(&again), &again[0]["claim"]), (vec!["renewed"], &made[0]["claim"]));
    // It is there after a kill, and the next notification finds it.
    let scene = scene.restarted(&LONG_COOLDOWN);
    let again = scene.gateway.told_of(&[alert("a", "firing", wants("5"))]).await;
    assert_eq!((outcomes(&again), &again[0]["claim"]), (vec!["renewed"], &made[0]["claim"]));
    let ended = alert("a", "resolved", wants("5"));
    assert_eq!(outcomes(&scene.gateway.told_of(std::slice::from_ref(&ended)).await), ["ended"]);
    assert_eq!(scene.gateway.claims().await, Vec::<Value>::new());
    assert_eq!(outcomes(&scene.gateway.told_of(&[ended]).await), ["unchanged"]);
    let late = scene.gateway.told_of(&[alert("a", "firing", wants("5"))]).await;
    assert_eq!(outcomes(&late), ["skipped"]);
    assert!(late[0]["detail"].as_str().is_some_and(|detail| detail.contains("resolved")), "{late:?}");
}

#[actix_web::test]
async fn an_alert_that_is_not_good_is_skipped_and_the_others_are_obeyed() {
    let scene = Scene::start(&LONG_COOLDOWN);
    scene.gateway.must_put("/v1/resources/worker/policy", &policy()).await;
    let elsewhere = json!({"scalegate_resource": "wroker", "scalegate_units": "1"});
    let results = scene
        .gateway
        .told_of(&[
            alert("a", "firing", json!({"alertname": "Watchdog"})),
            alert("b", "firing", wants("many")),
            alert("c", "firing", wants("10")),
            alert("d", "firing", elsewhere.clone()),
            alert("e", "resolved", elsewhere),
            alert("f", "firing", wants("5")),
        ])
        .await;
    assert_eq!(outcomes(&results), ["skipped", "skipped", "skipped", "skipped", "unchanged", "claimed"]);
    for (result, words) in results.iter().zip([
        "The label scalegate_resource is missing.",
        "The label scalegate_units must be a whole number between 1 and 1000000.",
        "units must be at most 9, the largest capacity of the policy.",
        "It takes a policy that acts: put one for the resource, with the mode active. Did you mean \"worker\"?",
    ]) {
        assert_eq!(result["detail"], json!(words), "{result}");
    }
    assert_eq!(results[3]["code"], json!("no_policy"));
    let is_told = |line: &Value, name: &str| line["message"] == "an alert was skipped" && line["fingerprint"] == name;
    scene
        .gateway
        .log_with(|lines| ["a", "b", "c", "d"].iter().all(|name| lines.iter().any(|line| is_told(line, name))));
}

#[actix_web::test]
async fn notifications_have_limits() {
    let scene = Scene::start(&LONG_COOLDOWN);
    scene.gateway.must_put("/v1/resources/worker/policy", &policy()).await;
    let small = |number: usize| json!({"status": "firing", "labels": wants("1"), "startsAt": "2026-01-31T12:00:00Z", "fingerprint": number.to_string()});
    let many: Vec<Value> = (0..250).map(small).collect();
    let answer = scene.gateway.post(HOOK, &notification(&many)).await;
    assert_eq!((answer.status, &answer.json()["unheard"]), (200, &json!(50)), "{}", answer.text());
    let results = answer.json()["alerts"].as_array().expect("results").clone();
    let with = |outcome: &str| results.iter().filter(|result| result["outcome"] == outcome).count();
    // Without keys, all callers together have the room of the resource.
    assert_eq!((results.len(), with("claimed"), with("skipped")), (200, 100, 100));
    assert_eq!(results[199]["code"], json!("too_many_claims"));
    let huge = Raw::post(HOOK, notification(&[alert(&"x".repeat(70_000), "firing", wants("1"))]).to_string());
    scene.gateway.refuses(&huge, 413, "body_too_large").await;
    let uncounted = Raw::post(HOOK, r#"{"alerts": [], "truncatedAlerts": 9223372036854775808}"#);
    scene.gateway.refuses(&uncounted, 422, "validation_failed").await;
    for truncated in ["212.0", "212", "null"] {
        let body = format!(r#"{{"alerts": [], "truncatedAlerts": {truncated}}}"#);
        assert_eq!(scene.gateway.raw(&Raw::post(HOOK, body)).await.status, 200, "{truncated}");
    }
    for (body, status, code) in [("[]", 422, "validation_failed"), ("{", 400, "malformed_request")] {
        scene.gateway.refuses(&Raw::post(HOOK, body), status, code).await;
    }
    assert_eq!(outcomes(&scene.gateway.told_of(&[]).await), [""; 0]);
}
