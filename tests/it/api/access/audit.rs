//! Each caller who tries to change something is recorded.

use std::path::Path;
use std::time::{Duration, Instant};

use scalegate::access::Token;
use scalegate::sim::sidecar::Behaviour;
use serde_json::{Value, json};

use super::scene::{Scene, UNLIMITED, with_key};
use crate::support::gateway::{PATIENCE, Raw, run_to_its_end, serve};
use crate::support::sidecar::Sidecar;

fn summary(entry: &Value) -> (&str, &str, Option<&str>, Option<&str>) {
    let text = |field: &'static str| entry[field].as_str();
    (
        text("action").expect("an action"),
        text("outcome").expect("an outcome"),
        text("code"),
        entry["actor"]["name"].as_str(),
    )
}

/// The actor that the owner of `key` is.
fn owner(key: &Token, name: &str) -> Value {
    json!({"kind": "key", "key": key.id().as_str(), "name": name, "revision": null})
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
    assert_eq!(accepted["actor"], owner(&scaler, "scale"));
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
        assert_eq!(submitted["submittedBy"], owner(&one, "scale"));
        assert_eq!(submitted["canceledBy"], json!(null));
        let canceled = scene.ask(&Raw::new("POST", &format!("{path}/cancel")), &other).await.json();
        assert_eq!(canceled["canceledBy"], owner(&other, "admin"));
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

/// A stranger can neither fill the disk nor push out what others did, and nothing that was left out goes without a
/// word.
#[actix_web::test]
async fn attempts_of_strangers_are_sampled_and_the_rest_is_counted() {
    let scene = Scene::start(&UNLIMITED);
    let reader = scene.key_with("read").await;
    let submit = Raw::post("/v1/jobs", json!({"resource": "worker", "targetCapacity": 3}).to_string());
    scene.ask(&submit, &reader).await;
    let cancel = Raw::new("POST", "/v1/jobs/01980000-0000-7000-8000-000000000000/cancel");
    let wrong = Token::generate().expect("randomness");
    let attempts = [
        submit.clone(),
        with_key(&submit, wrong.expose()),
        submit.clone().header("Origin", "https://evil.test"),
        with_key(&submit, scene.admin.expose()).header("Origin", "https://evil.test"),
    ];
    let mut refused = 0;
    for attempt in attempts.iter().cycle().take(40) {
        refused += usize::from(scene.gateway.raw(attempt).await.status >= 400);
    }
    for _ in 0..7 {
        refused += usize::from(scene.gateway.raw(&cancel).await.status == 401);
    }
    assert_eq!(refused, 47);
    let is_of_stranger = |entry: &&Value| entry["actor"] == json!(null);
    let entries = scene.audit().await;
    assert_eq!(entries.iter().filter(is_of_stranger).count(), 10, "{entries:#?}");
    let log = scene.gateway.log();
    let lines = log.iter().filter(|line| line["message"] == "audit" && line["key"] == json!(null)).count();
    assert_eq!(lines, 10, "the log is a disk as well");
    let begun = log
        .iter()
        .filter(|line| line["message"].as_str().is_some_and(|text| text.contains("more of them are counted")));
    assert_eq!(begun.count(), 1);

    let scene = scene.stop_and_start(&UNLIMITED);
    let entries = scene.audit().await;
    let omitted: Vec<_> = entries.iter().filter(|entry| entry["outcome"] == "omitted").collect();
    let told: Vec<_> = omitted.iter().map(|entry| (entry["action"].as_str(), entry["attempts"].as_u64())).collect();
    assert_eq!(told, [(Some("cancel_job"), Some(7)), (Some("submit_job"), Some(30))]);
    assert!(omitted.iter().all(|entry| entry["address"] == json!(null) && entry["code"] == json!(null)));
    let of_reader = entries.iter().find(|entry| entry["actor"]["name"] == "read").expect("it is still there");
    assert_eq!((&of_reader["code"], &of_reader["attempts"]), (&json!("insufficient_scope"), &json!(1)));
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

/// The lines of the file, as soon as there are so many.
async fn lines(path: &Path, many: usize) -> Vec<Value> {
    let begun = Instant::now();
    loop {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        if text.ends_with('\n') && text.lines().count() >= many {
            return text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        }
        assert!(begun.elapsed() < PATIENCE, "only this is there: {text}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The file has what the API shows, line by line; a file that is in the way holds up nothing.
#[actix_web::test]
async fn the_audit_log_has_a_line_for_each_attempt() {
    let elsewhere = tempfile::tempdir().expect("a directory");
    let path = elsewhere.path().join("audit.log");
    let text = path.to_str().expect("plain");
    let scene = Scene::start(&[&UNLIMITED[..], &["--audit-log", text]].concat());
    let scaler = scene.key_with("scale").await;
    let submit = |resource: &str| Raw::post("/v1/jobs", json!({"resource": resource, "targetCapacity": 1}).to_string());
    assert_eq!(scene.ask(&submit("worker"), &scaler).await.status, 202);
    assert_eq!(scene.gateway.raw(&submit("worker")).await.status, 401);
    let mut shown = scene.audit().await;
    shown.reverse();
    assert_eq!(lines(&path, 3).await, shown);

    let rotated = elsewhere.path().join("audit.log.1");
    std::fs::rename(&path, &rotated).expect("renamed");
    assert_eq!(scene.ask(&submit("after"), &scaler).await.status, 202);
    let after = lines(&path, 1).await;
    assert_eq!((after.len(), &after[0]["resource"]), (1, &json!("after")));
    assert_eq!(lines(&rotated, 3).await, shown, "what was renamed is left alone");

    std::fs::remove_file(&path).and_then(|()| std::fs::create_dir(&path)).expect("in the way");
    let metrics = async || scene.get("/metrics", &scene.admin).await.text().into_owned();
    for resource in ["first", "second", "third"] {
        assert_eq!(scene.ask(&submit(resource), &scaler).await.status, 202);
    }
    let begun = Instant::now();
    while !metrics().await.contains("scalegate_audit_log_failing 1\n") {
        assert!(begun.elapsed() < PATIENCE, "nothing says that it fails");
    }
    let said = |log: &[Value]| {
        let is_told = |line: &&Value| line["message"].as_str().is_some_and(|text| text.contains("audit log cannot be"));
        log.iter().filter(is_told).count()
    };
    assert_eq!(said(&scene.gateway.log_with(|log| said(log) > 0)), 1);
    std::fs::remove_dir(&path).expect("removed");
    let late = lines(&path, 3).await;
    let resources: Vec<_> = late.iter().map(|line| &line["resource"]).collect();
    assert_eq!(resources, ["first", "second", "third"]);
    assert!(metrics().await.contains("scalegate_audit_log_lost_total 0\n"));
}

#[actix_web::test]
async fn an_audit_log_that_is_a_link_is_refused() {
    let scene = Scene::start(&[]);
    let elsewhere = tempfile::tempdir().expect("a directory");
    let (data, path) = (elsewhere.path().join("data"), elsewhere.path().join("audit.log"));
    std::os::unix::fs::symlink("/dev/null", &path).expect("linked");
    let more = ["--audit-log", path.to_str().expect("plain")];
    let refused = run_to_its_end(&mut serve(&data, scene.sidecar.address(), &more));
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("the audit log") && said.contains("cannot be opened: it is a link"), "{said}");
}

/// Also one that is not there yet, and by whatever path.
#[actix_web::test]
async fn an_audit_log_that_is_a_file_of_the_store_is_refused() {
    let sidecar = Sidecar::start(Behaviour::default());
    let elsewhere = tempfile::tempdir().expect("a directory");
    let (data, link) = (elsewhere.path().join("data"), elsewhere.path().join("link"));
    std::os::unix::fs::symlink(&data, &link).expect("linked");
    let names = [
        "scalegate.db",
        "scalegate.db-wal",
        "scalegate.db-journal",
        "scalegate.lock",
        "scalegate.key-changes",
        "scalegate.reserve",
    ];
    for path in names.map(|name| data.join(name)).into_iter().chain([link.join("scalegate.db-shm")]) {
        let more = ["--audit-log", path.to_str().expect("plain")];
        let refused = run_to_its_end(&mut serve(&data, sidecar.address(), &more));
        let said = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(1), "{said}");
        assert!(said.contains("is a file of the store") && said.contains("/audit.log"), "{said}");
    }
    assert!(!data.join("scalegate.db-journal").exists());
}
