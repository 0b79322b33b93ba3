//! The operator binds what a key for scaling may ask for itself.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::scene::{Scene, UNLIMITED, verdict};
use crate::support::gateway::{PATIENCE, Raw, scalegate};

/// As the operator of `worker` has set them, and what is looser in general.
const CONFIG: &str = "max_step_size = 10\n[resources.worker]\ncooldown = \"1h\"\nsettle = \"2m\"\n\
                      min_cooldown = \"1h\"\nmax_step_size = 1\nmin_settle = \"2m\"\n";

/// A file with `text` that lasts as long as the scene.
fn config(scene_dir: &tempfile::TempDir, text: &str) -> String {
    let path = scene_dir.path().join("gate.toml");
    std::fs::write(&path, text).expect("a file");
    path.to_str().expect("a path in UTF-8").to_owned()
}

/// Waits until it holds.
async fn until(holds: impl AsyncFn() -> bool) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < PATIENCE, "in vain");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn pointers(errors: &Value) -> Vec<(String, String)> {
    let text = |error: &Value, field: &str| error[field].as_str().expect("text").to_owned();
    errors.as_array().expect("errors").iter().map(|error| (text(error, "pointer"), text(error, "detail"))).collect()
}

/// What asks for less care is refused field by field, as a job and as a plan, changes nothing, and is recorded.
#[actix_web::test]
async fn a_request_for_less_care_is_refused_with_the_bound() {
    let files = tempfile::TempDir::new().expect("a directory");
    let scene = Scene::start(&[&UNLIMITED[..], &["--config", &config(&files, CONFIG)]].concat());
    let key = scene.key_with("scale").await;
    let careless = json!({"resource": "worker", "targetCapacity": 900_000,
                          "stepSize": 1_000_000, "cooldownSeconds": 0, "settleSeconds": 119.999});
    for path in ["/v1/jobs", "/v1/plans"] {
        let refused = scene.ask(&Raw::post(path, careless.to_string()), &key).await;
        assert_eq!(verdict(&refused), (422, Some("validation_failed")), "{path}");
        let operator = |limit: &str| format!("here: the operator has set {limit}");
        assert_eq!(
            pointers(&refused.json()["errors"]),
            [
                ("/stepSize".to_owned(), format!("must be at most 1 {}", operator("max_step_size"))),
                ("/cooldownSeconds".to_owned(), format!("must be at least 3600 seconds {}", operator("min_cooldown"))),
                ("/settleSeconds".to_owned(), format!("must be at least 120 seconds {}", operator("min_settle"))),
            ],
        );
    }
    assert_eq!(scene.audit().await[0]["code"], "validation_failed");
    let other = json!({"resource": "other", "targetCapacity": 3, "stepSize": 11});
    assert_eq!(scene.ask(&Raw::post("/v1/jobs", other.to_string()), &key).await.status, 422, "the general bound");
    let careful = json!({"resource": "worker", "targetCapacity": 2, "stepSize": 1, "cooldownSeconds": 3600.5});
    assert_eq!(scene.ask(&Raw::post("/v1/plans", careful.to_string()), &key).await.status, 200);
    assert!(scene.sidecar.changes().is_empty());
}

#[actix_web::test]
async fn the_bounds_of_a_resource_are_shown() {
    let files = tempfile::TempDir::new().expect("a directory");
    let scene = Scene::start(&[&UNLIMITED[..], &["--config", &config(&files, CONFIG)]].concat());
    let limits = async |resource: &str| {
        scene.get(&format!("/v1/resources/{resource}"), &scene.admin).await.json()["settingLimits"].clone()
    };
    let worker = json!({"minCooldownSeconds": 3600.0, "maxStepSize": 1, "minSettleSeconds": 120.0});
    assert_eq!(limits("worker").await, worker);
    let general = json!({"minCooldownSeconds": 0.0, "maxStepSize": 10, "minSettleSeconds": 0.0});
    assert_eq!(limits("other").await, general);
    assert_eq!(scene.get("/v1/resources", &scene.admin).await.json()["resources"][0]["settingLimits"], worker);
}

/// A job that was accepted before the operator asked for more care keeps to it from the restart on, and the answer to
/// its idempotency key stays the same.
#[actix_web::test]
async fn a_bound_holds_for_jobs_that_are_there_already() {
    let scene = Scene::start(&UNLIMITED);
    let key = scene.key_with("scale").await;
    let careless = json!({"resource": "worker", "targetCapacity": 7, "stepSize": 2, "cooldownSeconds": 1800});
    let submission = Raw::post("/v1/jobs", careless.to_string()).header("Idempotency-Key", "once");
    let accepted = scene.ask(&submission, &key).await.job();
    let queued = json!({"resource": "worker", "targetCapacity": 3, "cooldownSeconds": 0, "onConflict": "queue"});
    let queued = scene.submit(queued, &key).await;
    until(async || !scene.sidecar.changes().is_empty()).await;
    let files = tempfile::TempDir::new().expect("a directory");
    let scene = scene.restart(&[&UNLIMITED[..], &["--config", &config(&files, CONFIG)]].concat());
    for id in [accepted.id.to_string(), queued] {
        // Shown as soon as it is on the disk.
        until(async || {
            let settings = scene.get(&format!("/v1/jobs/{id}"), &key).await.job().settings;
            (settings.step_size, settings.cooldown_seconds, settings.settle_seconds) == (1, 3600.0, 120.0)
        })
        .await;
    }
    let again = scene.ask(&submission, &key).await;
    assert_eq!((again.status, again.header("Idempotency-Replayed")), (202, Some("true")));
    let now = scene.get(&format!("/v1/jobs/{}", accepted.id), &key).await.job();
    assert_eq!(again.job(), now, "as it is now");
    let refused = scene.ask(&Raw::post("/v1/jobs", careless.to_string()), &key).await;
    assert_eq!(verdict(&refused), (422, Some("validation_failed")), "it would join, and is refused all the same");
    assert_eq!(scene.sidecar.changes().len(), 1);
}

#[test]
fn a_gateway_whose_own_settings_break_its_bounds_does_not_start() {
    let started = scalegate()
        .args(["serve", "--min-cooldown", "1h", "--step-size", "3"])
        .env("SCALEGATE_MAX_STEP_SIZE", "2")
        .output();
    let output = started.expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    for mistake in [
        "the default of --cooldown: \"5m\" contradicts --min-cooldown, \"1h\"; set cooldown to \"1h\", or min_cooldown to \"5m\"",
        "--step-size: 3 contradicts SCALEGATE_MAX_STEP_SIZE, 2; set step_size to 2, or max_step_size to 3",
    ] {
        assert!(said.contains(mistake), "{said}");
    }
}
