//! Whoever tries to change something is recorded.

use scalegate::access::Token;
use serde_json::{Value, json};

use crate::scene::{Scene, UNLIMITED, with_key};
use crate::support::gateway::Raw;

fn summary(entry: &Value) -> (&str, &str, Option<&str>, Option<&str>) {
    let text = |field: &'static str| entry[field].as_str();
    (
        text("action").expect("an action"),
        text("outcome").expect("an outcome"),
        text("code"),
        entry["actor"]["name"].as_str(),
    )
}

#[actix_web::test]
async fn what_was_accepted_and_what_was_refused_is_kept_in_order() {
    let scene = Scene::start(&UNLIMITED);
    let (reader, scaler) = (scene.key_with("read").await, scene.key_with("scale").await);
    let submit =
        |target: u32| Raw::post("/v1/jobs", json!({"resource": "worker", "targetCapacity": target}).to_string());
    let job = scene.ask(&submit(3), &scaler).await;
    let request_id = job.header("x-request-id").expect("an id").to_owned();
    let job = job.job().id.to_string();
    scene.ask(&submit(3), &scaler).await;
    scene.ask(&submit(8), &scaler).await;
    scene.ask(&submit(8), &reader).await;
    scene.gateway.raw(&submit(8)).await;
    scene.gateway.raw(&with_key(&submit(8), Token::generate().expect("randomness").expose())).await;
    scene.ask(&Raw::new("POST", &format!("/v1/jobs/{job}/cancel")), &scaler).await;
    scene.revoke(&scaler).await;
    scene.ask(&Raw::new("POST", &format!("/v1/jobs/{job}/cancel")), &scaler).await;
    scene.ask(&Raw::post("/v1/jobs", "{"), &scene.admin).await;
    // Looking changes nothing.
    scene.ask(&Raw::post("/v1/plans", r#"{"resource": "worker", "targetCapacity": 3}"#), &reader).await;
    let entries = scene.audit().await;
    let seen: Vec<_> = entries.iter().map(summary).collect();
    assert_eq!(
        seen,
        [
            ("submit_job", "refused", Some("malformed_request"), Some("configured")),
            ("cancel_job", "refused", Some("key_revoked"), Some("scale")),
            ("revoke_key", "accepted", None, Some("configured")),
            ("cancel_job", "accepted", None, Some("scale")),
            ("submit_job", "refused", Some("invalid_key"), None),
            ("submit_job", "refused", Some("authentication_required"), None),
            ("submit_job", "refused", Some("insufficient_scope"), Some("read")),
            ("submit_job", "refused", Some("resource_busy"), Some("scale")),
            ("submit_job", "unchanged", None, Some("scale")),
            ("submit_job", "accepted", None, Some("scale")),
            ("create_key", "accepted", None, Some("configured")),
            ("create_key", "accepted", None, Some("configured")),
        ]
    );
    let accepted = &entries[9];
    assert_eq!((&accepted["resource"], &accepted["job"]), (&json!("worker"), &json!(job)));
    assert_eq!((&accepted["requestId"], &accepted["address"]), (&json!(request_id), &json!("127.0.0.1")));
    assert_eq!(accepted["actor"], json!({"key": scaler.id().as_str(), "name": "scale"}));
    assert_eq!(entries[2]["key"], json!(scaler.id().as_str()));
    assert_eq!(entries[7]["resource"], "worker", "what was understood before it was refused");

    // The log has the same, a line each.
    let audited = |log: &[Value]| log.iter().filter(|line| line["message"] == "audit").count();
    let log = scene.gateway.log_with(|log| audited(log) >= entries.len());
    let lines: Vec<&Value> = log.iter().filter(|line| line["message"] == "audit").collect();
    assert_eq!(lines.len(), entries.len());
    assert_eq!(
        (&lines[2]["outcome"], &lines[2]["key_name"], &lines[2]["job"]),
        (&json!("accepted"), &json!("scale"), &json!(job))
    );

    // And it outlives the process, a page at a time.
    let scene = scene.restart(&UNLIMITED);
    assert_eq!(scene.audit().await, entries);
    let mut paged = Vec::new();
    let mut path = "/v1/audit?pageSize=5".to_owned();
    loop {
        let page = scene.get(&path, &scene.admin).await.json();
        paged.extend(page["entries"].as_array().expect("entries").clone());
        match page["nextPageToken"].as_str() {
            Some(token) => path = format!("/v1/audit?pageSize=5&pageToken={token}"),
            None => break,
        }
    }
    assert_eq!(paged, entries);
}

/// A job says who submitted it and who canceled it.
#[actix_web::test]
async fn jobs_know_who_asked_for_them() {
    let scene = Scene::start(&UNLIMITED);
    let (one, other) = (scene.key_with("scale").await, scene.key_with("admin").await);
    let job = scene.submit(json!({"resource": "worker", "targetCapacity": 3}), &one).await;
    let queued = scene.submit(json!({"resource": "worker", "targetCapacity": 5, "onConflict": "queue"}), &one).await;
    for id in [job, queued] {
        let path = format!("/v1/jobs/{id}");
        let submitted = scene.get(&path, &one).await.json();
        assert_eq!(submitted["submittedBy"], json!({"key": one.id().as_str(), "name": "scale"}));
        assert_eq!(submitted["canceledBy"], json!(null));
        let canceled = scene.ask(&Raw::new("POST", &format!("{path}/cancel")), &other).await.json();
        assert_eq!(canceled["canceledBy"], json!({"key": other.id().as_str(), "name": "admin"}));
    }
}

/// Requests beyond the limit are in the log alone, or the limit would protect nothing.
#[actix_web::test]
async fn a_flood_is_not_written_down() {
    let scene = Scene::start(&["--max-request-rate", "2"]);
    let noisy = scene.key_with("scale").await;
    let submit = Raw::post("/v1/jobs", "{");
    let mut floods = 0;
    for _ in 0..12 {
        floods += usize::from(scene.ask(&submit, &noisy).await.status == 429);
    }
    assert!(floods > 0, "twelve requests took six seconds");
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    let entries = scene.audit().await;
    assert!(entries.iter().all(|entry| entry["code"] != "rate_limited"), "{entries:?}");
    let log = scene.gateway.log();
    let logged = log.iter().filter(|line| line["code"] == "rate_limited").count();
    assert_eq!(logged, floods);
}

/// A caller's own id for his request is in the log, if it is one.
#[actix_web::test]
async fn ids_of_callers_are_checked_and_kept_apart() {
    let scene = Scene::start(&UNLIMITED);
    for (given, kept) in [
        (&b"deploy-7.b_2"[..], Some("deploy-7.b_2")),
        (b"sg_0123456789abcdefghijabcdefghijabcdefghijab04WgJO", None),
        (b"two words", None),
        (b"a\"b", None),
        (b"", None),
        (&[b'x'; 65], None),
        (b"caf\xc3\xa9", None),
    ] {
        let request = Raw::post("/v1/jobs", "{").header("X-Request-Id", given);
        let answer = scene.ask(&request, &scene.admin).await;
        let id = answer.header("x-request-id").expect("an id").to_owned();
        assert!(uuid::Uuid::parse_str(&id).is_ok(), "the gateway's own: {id}");
        let is_audit = |line: &Value| line["message"] == "audit";
        let log = scene.gateway.log_with(|log| log.iter().any(is_audit));
        let line = log.iter().find(|line| is_audit(line)).expect("a line");
        assert_eq!(line["span"]["id"], json!(id));
        assert_eq!(line["span"]["caller_id"].as_str(), kept, "{line}");
    }
}
