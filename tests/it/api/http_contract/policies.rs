//! Policies from the outside: put, fed with a metric, explained, held, claimed from, and still there after a kill.

use std::time::Duration;

use super::{LONG_COOLDOWN, SHORT_COOLDOWN, Scene};
use crate::support::gateway::{Gateway, Raw, Response};
use scalegate::api::view::JobView;
use serde_json::{Value, json};

const POLICY: &str = "/v1/resources/worker/policy";

/// One unit for each 100 of a pushed metric, down at once.
fn by_queue() -> Value {
    json!({"min": 1, "max": 20, "metrics": {"queue": {"source": {"type": "push"}}},
           "rules": [{"name": "queue", "type": "target", "metric": "queue", "perUnit": 100}],
           "behavior": {"down": {"stabilizationSeconds": 0}},
           "job": {"pollIntervalSeconds": 0.1, "stepSize": 10}})
}

impl Gateway {
    async fn put(&self, path: &str, body: &Value) -> Response {
        self.raw(&Raw::put(path, body.to_string())).await
    }

    async fn push(&self, value: f64) {
        let answer = self.post("/v1/resources/worker/metrics/queue", &json!({"value": value})).await;
        assert_eq!((answer.status, answer.json()), (202, json!({"accepted": 1, "ignored": 0})));
    }

    /// The last decision, once it is so.
    pub(super) async fn decision(&self, is_so: impl Fn(&Value) -> bool) -> Value {
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        loop {
            let answer = self.get("/v1/resources/worker/decisions?pageSize=1").await.json();
            let last = answer["decisions"][0].clone();
            if is_so(&last) {
                return last;
            }
            assert!(std::time::Instant::now() < deadline, "{last}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(super) async fn capacity(&self, units: u64) {
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        loop {
            let resource = self.get("/v1/resources/worker").await.json();
            if resource["capacity"] == json!(units) && resource["status"] == json!("ACTIVE") {
                return;
            }
            assert!(std::time::Instant::now() < deadline, "{resource}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[actix_web::test]
async fn a_pushed_metric_scales_and_the_ledger_says_why() {
    let scene = Scene::start(&SHORT_COOLDOWN);
    let put = scene.gateway.put(POLICY, &by_queue()).await;
    assert_eq!((put.status, put.header("etag")), (201, Some("\"1\"")), "{}", put.text());
    scene.gateway.push(512.0).await;
    let decision = scene.gateway.decision(|last| last["decided"] == json!(6)).await;
    assert_eq!((&decision["wanted"], &decision["limitedBy"]), (&json!(6), &Value::Null));
    assert_eq!(decision["metrics"]["queue"]["value"], json!(512.0));
    let alternatives =
        json!([{"rule": "queue", "above": 600.0, "wants": 7}, {"rule": "queue", "atMost": 500.0, "wants": 5}]);
    assert_eq!(decision["otherwiseIf"], alternatives);
    scene.gateway.capacity(6).await;
    scene.gateway.push(150.0).await;
    scene.gateway.capacity(2).await;
    let jobs = scene.gateway.get("/v1/jobs").await.json();
    let by = &jobs["jobs"][0]["submittedBy"];
    assert_eq!((&by["kind"], &by["revision"]), (&json!("policy"), &json!(1)));
}

#[actix_web::test]
async fn what_get_gives_can_be_put_again() {
    let scene = Scene::start(&SHORT_COOLDOWN);
    scene.gateway.put(POLICY, &by_queue()).await;
    let got = scene.gateway.get(POLICY).await;
    let again = scene.gateway.put(POLICY, &got.json()).await;
    assert_eq!((again.status, again.header("etag")), (200, Some("\"1\"")), "nothing has changed");
    assert_eq!(again.json(), got.json());
    let revisions = scene.gateway.get("/v1/resources/worker/policy/revisions").await.json();
    assert_eq!(revisions["revisions"].as_array().map(Vec::len), Some(1));
    let listed = scene.gateway.get("/v1/policies").await.json();
    assert_eq!(
        (&listed["policies"][0]["resource"], &listed["policies"][0]["mode"]),
        (&json!("worker"), &json!("active"))
    );
}

#[actix_web::test]
async fn etags_guard_against_lost_updates() {
    let scene = Scene::start(&SHORT_COOLDOWN);
    let mut wider = by_queue();
    wider["max"] = json!(30);
    let put = |body: &Value, header: &str, tag: &str| Raw::put(POLICY, body.to_string()).header(header, tag);
    scene.gateway.refuses(&put(&by_queue(), "If-Match", "\"1\""), 412, "precondition_failed").await;
    assert_eq!(scene.gateway.raw(&put(&by_queue(), "If-None-Match", "*")).await.status, 201);
    scene.gateway.refuses(&put(&wider, "If-None-Match", "*"), 412, "precondition_failed").await;
    scene.gateway.refuses(&put(&wider, "If-Match", "7"), 422, "validation_failed").await;
    let changed = scene.gateway.raw(&put(&wider, "If-Match", "\"1\"")).await;
    assert_eq!((changed.status, changed.header("etag")), (200, Some("\"2\"")));
    assert_eq!(scene.gateway.raw(&Raw::new("DELETE", POLICY)).await.status, 204);
    scene.gateway.refuses(&Raw::get(POLICY), 404, "policy_not_found").await;
}

#[actix_web::test]
async fn everything_wrong_is_told_at_once() {
    let scene = Scene::start(&SHORT_COOLDOWN);
    let body = json!({"min": 5, "max": "20", "metrics": {"queue": {"source": {"type": "push"}, "colour": 1}},
                      "rules": [{"name": "queue", "type": "target", "metric": "queu", "perUnit": 0}]});
    let problem = scene.gateway.refuses(&Raw::put(POLICY, body.to_string()), 422, "validation_failed").await;
    let pointers: Vec<&str> = problem.errors.iter().map(|error| error.pointer.as_str()).collect();
    for pointer in ["/max", "/metrics/queue/colour", "/rules/0/metric", "/rules/0/perUnit"] {
        assert!(pointers.contains(&pointer), "{pointer}: {pointers:?}");
    }
    let http = json!({"min": 1, "max": 2, "metrics": {"q": {"source": {"type": "http", "url": "http://10.0.0.1/x", "pointer": "/a"}}},
                      "rules": [{"name": "q", "type": "target", "metric": "q", "perUnit": 1}]});
    let problem = scene.gateway.refuses(&Raw::put(POLICY, http.to_string()), 422, "validation_failed").await;
    assert_eq!(problem.errors[0].pointer, "/metrics/q/source/url", "no host may be asked unless the operator says so");
}

#[actix_web::test]
async fn values_that_make_no_sense_are_refused() {
    let scene = Scene::start(&SHORT_COOLDOWN);
    let path = "/v1/resources/worker/metrics/queue";
    scene.gateway.refuses(&Raw::post(path, r#"{"value": 1}"#), 404, "policy_not_found").await;
    scene.gateway.put(POLICY, &by_queue()).await;
    scene
        .gateway
        .refuses(&Raw::post("/v1/resources/worker/metrics/queu", r#"{"value": 1}"#), 404, "metric_not_found")
        .await;
    for body in [
        r#"{}"#,
        r#"{"value": "1"}"#,
        r#"{"value": null}"#,
        r#"{"value": -1}"#,
        r#"{"value": 1e999}"#,
        r#"{"value": 1, "samples": []}"#,
        r#"{"samples": []}"#,
        r#"{"samples": [{"at": "2126-01-01T00:00:00Z", "value": 1}]}"#,
        r#"{"samples": [{"at": "now", "value": 1}]}"#,
    ] {
        scene.gateway.refuses(&Raw::post(path, body), 422, "validation_failed").await;
    }
    for (path, body, pointer) in [
        ("/v1/resources/worker/metrics", r#"{"queue": 1, "queue": 2}"#, "/queue"),
        (path, r#"{"value": 1, "value": 2}"#, "/value"),
        (path, r#"{"samples": [{"at": "2026-01-01T00:00:00Z", "value": 1, "value": 2}]}"#, "/samples/0/value"),
    ] {
        let problem = scene.gateway.refuses(&Raw::post(path, body), 422, "validation_failed").await;
        let errors: Vec<_> =
            problem.errors.iter().map(|error| (error.pointer.as_str(), error.detail.as_str())).collect();
        assert_eq!(errors, [(pointer, "is given twice")], "{body}");
    }
}

#[actix_web::test]
async fn a_hold_refuses_jobs_and_a_claim_wakes_a_resource() {
    let scene = Scene::start(&SHORT_COOLDOWN);
    let claims = "/v1/resources/worker/claims";
    scene.gateway.refuses(&Raw::post(claims, r#"{"units": 4, "forSeconds": 60}"#), 409, "no_policy").await;
    scene.gateway.put(POLICY, &by_queue()).await;
    scene.gateway.push(100.0).await;
    let hold = scene.gateway.put("/v1/resources/worker/hold", &json!({"forSeconds": 60, "reason": "migration"})).await;
    assert_eq!((hold.status, &hold.json()["direction"]), (200, &json!("both")));
    let job = Raw::post("/v1/jobs", r#"{"resource": "worker", "targetCapacity": 9}"#);
    let problem = scene.gateway.refuses(&job, 409, "resource_held").await;
    assert!(problem.detail.contains("migration"), "{}", problem.detail);
    assert_eq!(scene.gateway.raw(&Raw::new("DELETE", "/v1/resources/worker/hold")).await.status, 204);
    let pin = scene.gateway.put("/v1/resources/worker/hold", &json!({"forSeconds": 60, "capacity": 25})).await.json();
    let note = "The capacity lies outside the bounds of the policy, 1 to 20. The hold comes after them: the policy keeps 25 until it ends.";
    assert_eq!(pin["note"], json!(note));
    assert_eq!(scene.gateway.get("/v1/resources/worker/hold").await.json(), pin);
    assert_eq!(scene.gateway.raw(&Raw::new("DELETE", "/v1/resources/worker/hold")).await.status, 204);
    let claim = Raw::post(claims, r#"{"units": 4, "forSeconds": 60, "owner": "import"}"#).header("Prefer", "wait=20");
    let claimed = scene.gateway.raw(&claim).await;
    assert_eq!((claimed.status, &claimed.json()["satisfied"]), (201, &json!(true)), "{}", claimed.text());
    scene.gateway.capacity(4).await;
    let path = claimed.header("location").expect("a location").to_owned();
    assert_eq!(scene.gateway.raw(&Raw::new("DELETE", &path)).await.status, 204);
    scene.gateway.capacity(1).await;
}

#[actix_web::test]
async fn a_kill_loses_no_policy_no_claim_and_no_hold() {
    let scene = Scene::start(&SHORT_COOLDOWN);
    scene.gateway.put(POLICY, &by_queue()).await;
    let claim = scene.gateway.post("/v1/resources/worker/claims", &json!({"units": 3, "forSeconds": 600})).await.json();
    let hold =
        scene.gateway.put("/v1/resources/worker/hold", &json!({"forSeconds": 600, "direction": "down"})).await.json();
    let policy = scene.gateway.get(POLICY).await.json();
    let scene = scene.restarted(&SHORT_COOLDOWN);
    assert_eq!(scene.gateway.get(POLICY).await.json(), policy);
    assert_eq!(scene.gateway.get("/v1/resources/worker/hold").await.json(), hold);
    let claims = scene.gateway.get("/v1/resources/worker/claims").await.json();
    assert_eq!(claims["claims"][0]["id"], claim["id"]);
    scene.gateway.capacity(3).await;
}

#[actix_web::test]
async fn an_evaluation_shows_what_a_policy_would_do_and_does_nothing() {
    let scene = Scene::start(&SHORT_COOLDOWN);
    let path = "/v1/resources/worker/policy/evaluate";
    for nothing in [Raw::new("POST", path), Raw::post(path, ""), Raw::post(path, " \n"), Raw::post(path, "{}")] {
        scene.gateway.refuses(&nothing, 404, "policy_not_found").await;
    }
    for undeclared in [Raw::new("POST", path).body("{}"), Raw::new("POST", path).chunked(b"{}", 8)] {
        scene.gateway.refuses(&undeclared, 415, "unsupported_media_type").await;
    }
    let first = json!({"policy": by_queue(), "metrics": {"queue": 512}, "capacity": 2});
    let answer = scene.gateway.post(path, &first).await.json();
    assert_eq!((&answer["capacity"], &answer["status"], &answer["decided"]), (&json!(2), &json!("ACTIVE"), &json!(6)));
    scene.gateway.put(POLICY, &by_queue()).await;
    scene.gateway.push(100.0).await;
    scene.gateway.decision(|last| last["decided"] == json!(1)).await;
    let in_force = scene.gateway.raw(&Raw::new("POST", path)).await;
    assert_eq!(
        (in_force.status, &in_force.json()["decided"]),
        (200, &json!(1)),
        "an empty body is the policy in force"
    );
    let answer = scene.gateway.post(path, &json!({"metrics": {"queue": 1234}})).await.json();
    assert_eq!((&answer["decided"], &answer["action"]), (&json!(13), &json!("submitted")));
    let mut other = by_queue();
    other["rules"][0]["perUnit"] = json!(50);
    let answer = scene.gateway.post(path, &json!({"policy": other, "metrics": {"queue": 500}})).await.json();
    assert_eq!(answer["decided"], json!(10));
    other["max"] = json!(0);
    let problem =
        scene.gateway.refuses(&Raw::post(path, json!({"policy": other}).to_string()), 422, "validation_failed").await;
    assert_eq!(problem.errors[0].pointer, "/policy/max");
    // What would be refused if it was put is refused with the same words.
    let pulled = json!({"min": 1, "max": 2, "metrics": {"q": {"source": {"type": "http", "url": "http://10.0.0.1/x", "pointer": "/a"}}},
                        "rules": [{"name": "q", "type": "target", "metric": "q", "perUnit": 1}]});
    let follows = json!({"min": 1, "max": 2, "rules": [{"name": "own", "type": "follow", "resource": "worker"}]});
    for document in [pulled, follows] {
        let put = scene.gateway.refuses(&Raw::put(POLICY, document.to_string()), 422, "validation_failed").await;
        let tried = Raw::post(path, json!({"policy": document}).to_string());
        let tried = scene.gateway.refuses(&tried, 422, "validation_failed").await;
        assert_eq!(tried.errors[0].pointer, format!("/policy{}", put.errors[0].pointer));
        assert_eq!(tried.errors[0].detail, put.errors[0].detail);
    }
    for (body, pointer) in [
        (r#"{"metrics": {"queue": 1, "queue": 2}}"#, "/metrics/queue"),
        (r#"{"policy": {"min": 1, "min": 2}}"#, "/policy/min"),
        (r#"{"capacity": 1000001}"#, "/capacity"),
        (r#"{"status": " "}"#, "/status"),
    ] {
        let problem = scene.gateway.refuses(&Raw::post(path, body), 422, "validation_failed").await;
        assert_eq!(problem.errors[0].pointer, pointer, "{body}");
    }
    assert_eq!(scene.sidecar.changes().len(), 0);
}

#[actix_web::test]
async fn who_submits_a_job_is_told_that_the_policy_waits_as_often_as_it_asks() {
    let scene = Scene::start(&LONG_COOLDOWN);
    let body = json!({"resource": "worker", "targetCapacity": 8});
    let submit =
        async |scene: &Scene, key: &str| scene.gateway.post_with("/v1/jobs", &body, &[("Idempotency-Key", key)]).await;
    let first = submit(&scene, "one").await;
    assert_eq!((first.status, &first.json()["note"]), (202, &Value::Null), "there is no policy");
    scene.gateway.put(POLICY, &by_queue()).await;
    let note = "The policy of worker submits nothing until this job is over. To keep it away for longer, make a hold.";
    let assert_told = async |scene: &Scene| {
        for (key, status) in [("one", 202), ("two", 200)] {
            let told = submit(scene, key).await;
            assert_eq!((told.status, &told.json()["note"]), (status, &json!(note)), "{key}");
        }
    };
    assert_told(&scene).await;
    let scene = scene.restarted(&LONG_COOLDOWN);
    assert_told(&scene).await;
    let path = first.header("location").expect("a location");
    assert_eq!(scene.gateway.get(path).await.json()["note"], Value::Null, "a poll is not an answer to a wish");
    scene.gateway.post(&format!("{path}/cancel"), &Value::Null).await;
    scene.gateway.wait_for(first.job().id, |job| job.finished_at.is_some()).await;
    let again = submit(&scene, "one").await;
    assert_eq!((again.header("idempotency-replayed"), &again.json()["note"]), (Some("true"), &Value::Null));
}

#[actix_web::test]
async fn who_cancels_the_job_of_a_policy_is_told_what_that_keeps_it_from() {
    let scene = Scene::start(&LONG_COOLDOWN);
    let mut policy = by_queue();
    policy["job"]["stepSize"] = json!(1);
    scene.gateway.put(POLICY, &policy).await;
    scene.gateway.push(900.0).await;
    let decision = scene.gateway.decision(|last| last["jobId"].is_string()).await;
    let id = decision["jobId"].as_str().and_then(|id| id.parse().ok()).expect("an id");
    let cools = |job: &JobView| job.waiting_for.as_ref().is_some_and(|waiting| waiting.reason == "cooldown");
    scene.gateway.wait_for(id, cools).await;
    let canceled = scene.gateway.post(&format!("/v1/jobs/{id}/cancel"), &Value::Null).await;
    let note = canceled.job().note.expect("a note");
    assert!(note.starts_with("The policy of worker submits nothing on the way up until "), "{note}");
    assert!(note.ends_with(" UTC. To keep it away for longer, make a hold."), "{note}");
    let kept =
        scene.gateway.decision(|last| last["detail"].as_str().is_some_and(|it| it.contains("canceled a job"))).await;
    let until = note.split(" until ").nth(1).and_then(|rest| rest.split('.').next()).expect("a time");
    assert!(kept["detail"].as_str().is_some_and(|detail| detail.contains(until)), "{note} {kept}");
}

#[actix_web::test]
async fn an_expression_is_checked_when_it_is_put_and_scales() {
    let scene = Scene::start(&SHORT_COOLDOWN);
    let by_formula = |formula: &str| {
        let mut policy = by_queue();
        policy["rules"] = json!([{"name": "own", "type": "expression", "expression": formula}]);
        policy
    };
    let bracketed = format!("{}1{}", "(".repeat(500), ")".repeat(500));
    for wrong in ["capacity * metrics.queue", "metrics.queu", "status", "1 +", &bracketed] {
        let refused = scene.gateway.put(POLICY, &by_formula(wrong)).await;
        assert_eq!(refused.status, 422, "{wrong}: {}", refused.text());
        assert_eq!(refused.json()["errors"][0]["pointer"], "/rules/0/expression", "{wrong}");
    }
    let put = scene.gateway.put(POLICY, &by_formula("metrics.queue > 1000.0 ? capacity + 2 : null")).await;
    assert_eq!(put.status, 201, "{}", put.text());
    scene.gateway.push(512.0).await;
    let is_on_value = |last: &Value| last["metrics"]["queue"]["value"] == json!(512.0) && last["decided"].is_u64();
    let quiet = scene.gateway.decision(is_on_value).await;
    assert_eq!((&quiet["rules"][0]["wants"], &quiet["action"]), (&Value::Null, &json!("none")));
    let before = quiet["capacity"].as_u64().expect("a capacity");
    scene.gateway.push(1200.0).await;
    scene.gateway.capacity(before + 2).await;
}

#[actix_web::test]
async fn the_outlook_plans_the_capacity_from_windows_and_claims() {
    let scene = Scene::start(&SHORT_COOLDOWN);
    let now = jiff::Timestamp::now();
    let time = |minutes: i64| format!("{:.3}", now + jiff::SignedDuration::from_mins(minutes));
    let mut policy = by_queue();
    policy["rules"] = json!([policy["rules"][0], {"name": "launch", "type": "schedule", "min": 9, "at": time(60), "until": time(120)}]);
    assert_eq!(scene.gateway.put(POLICY, &policy).await.status, 201);
    scene.gateway.push(100.0).await;
    scene.gateway.capacity(1).await;
    let claim = json!({"units": 4, "from": time(20), "until": time(40)});
    assert_eq!(scene.gateway.post("/v1/resources/worker/claims", &claim).await.status, 201);
    let outlook = scene.gateway.get("/v1/resources/worker/outlook?hours=1.5").await.json();
    let planned = outlook["planned"].as_array().expect("a plan");
    let capacities: Vec<u64> = planned.iter().filter_map(|point| point["capacity"].as_u64()).collect();
    assert_eq!(capacities, [1, 4, 1, 9], "{outlook}");
    let at = |index: usize| planned[index]["at"].as_str().expect("a time").to_owned();
    assert!(at(1) > time(20) && at(2) > time(40) && at(3) <= time(60), "{outlook}");
    let later = scene.gateway.get(&format!("/v1/resources/worker/outlook?hours=1&from={}", time(30))).await.json();
    assert_eq!(later["planned"][0], json!({"at": time(30), "capacity": 4}), "{later}");
}
