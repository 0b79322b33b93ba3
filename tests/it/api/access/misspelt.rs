//! What a misspelt alias was meant to be is told, and never with a name that the caller may not see.

use serde_json::json;

use super::scene::{Scene, UNLIMITED, verdict};
use crate::support::gateway::{Raw, Response};

const MEANT: &str = "Did you mean \"worker\"?";

/// Requests about `wroker` that are answered with 404 where only listed resources may be scaled.
fn requests() -> [Raw; 8] {
    let job = json!({"resource": "wroker", "targetCapacity": 2}).to_string();
    let at = |path: &str| format!("/v1/resources/wroker/{path}");
    [
        Raw::post("/v1/jobs", job.clone()),
        Raw::post("/v1/plans", job),
        Raw::get("/v1/resources/wroker"),
        Raw::get(&at("policy")),
        Raw::get(&at("hold")),
        Raw::get(&at("outlook")),
        Raw::put(&at("hold"), json!({"forSeconds": 60}).to_string()),
        Raw::post(&at("claims"), json!({"units": 2, "forSeconds": 60}).to_string()),
    ]
}

fn listed(dir: &tempfile::TempDir) -> Vec<String> {
    let path = dir.path().join("gate.toml");
    std::fs::write(&path, "only_listed = true\n[resources.worker]\n[resources.api]\n").expect("a file");
    let mut options = UNLIMITED.map(str::to_owned).to_vec();
    options.extend(["--config".to_owned(), path.to_str().expect("text").to_owned()]);
    options
}

fn detail(answer: &Response) -> String {
    answer.problem().detail
}

#[actix_web::test]
async fn a_resource_that_is_not_there_is_refused_with_the_one_that_was_meant() {
    let files = tempfile::TempDir::new().expect("a directory");
    let options = listed(&files);
    let scene = Scene::start(&options.iter().map(String::as_str).collect::<Vec<_>>());
    for request in requests() {
        let answer = scene.ask(&request, &scene.admin).await;
        assert_eq!(answer.status, 404, "{}", answer.text());
        assert!(detail(&answer).ends_with(MEANT), "{}", answer.text());
    }
    let far = scene.get("/v1/resources/database", &scene.admin).await;
    assert!(!detail(&far).contains("Did you mean"), "{}", far.text());
}

#[actix_web::test]
async fn a_key_is_told_of_no_resource_that_it_may_not_see() {
    let files = tempfile::TempDir::new().expect("a directory");
    let options = listed(&files);
    let scene = Scene::start(&options.iter().map(String::as_str).collect::<Vec<_>>());
    let of = |resources: &[&str]| scene.key(json!({"name": "k", "scope": "scale", "resources": resources}));
    let (only_misspelt, only_api, only_worker) =
        (of(&["wroker"]).await, of(&["api"]).await, of(&["worker", "api"]).await);
    let pusher = scene.key_with("push").await;
    for request in requests() {
        let answers = [scene.ask(&request, &only_misspelt).await, scene.ask(&request, &only_api).await];
        for (answer, status) in answers.iter().zip([404, 403]) {
            assert_eq!(answer.status, status, "{}", answer.text());
            assert!(!answer.text().contains("worker"), "{}", answer.text());
        }
        let own = scene.ask(&request, &only_worker).await;
        assert_eq!(verdict(&own), (403, Some("resource_forbidden")));
        assert!(detail(&own).ends_with(MEANT), "{}", own.text());
    }
    // One that may not look at anything.
    let push = Raw::post("/v1/resources/wroker/metrics/queue", json!({"value": 1}).to_string());
    let (pushed, by_admin) = (scene.ask(&push, &pusher).await, scene.ask(&push, &scene.admin).await);
    assert_eq!((pushed.status, by_admin.status), (404, 404), "{}", pushed.text());
    assert!(!pushed.text().contains("worker"), "{}", pushed.text());
    assert!(detail(&by_admin).ends_with(MEANT), "{}", by_admin.text());
}

#[actix_web::test]
async fn a_job_for_a_resource_that_was_never_seen_is_accepted_with_a_note() {
    let scene = Scene::start(&UNLIMITED);
    let first = scene.submit(json!({"resource": "worker", "targetCapacity": 1}), &scene.admin).await;
    let read = async || {
        let job = scene.get(&format!("/v1/jobs/{first}"), &scene.admin).await.json();
        job["currentCapacity"].is_number()
    };
    while !read().await {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let key = scene.key(json!({"name": "k", "scope": "scale", "resources": ["wrker"]})).await;
    let ask = async |resource: &str, key| {
        let body = json!({"resource": resource, "targetCapacity": 1}).to_string();
        let answer = scene.ask(&Raw::post("/v1/jobs", body), key).await;
        assert!([200, 202].contains(&answer.status), "{}", answer.text());
        answer.json()["note"].clone()
    };
    let told = "\"wroker\" was not known here before this job. Did you mean \"worker\"?";
    assert_eq!(ask("wroker", &scene.admin).await, json!(told));
    assert_eq!(ask("database", &scene.admin).await, json!(null));
    assert_eq!(ask("worker", &scene.admin).await, json!(null));
    assert_eq!(ask("wrker", &key).await, json!(null), "it may not see the other one");
}
