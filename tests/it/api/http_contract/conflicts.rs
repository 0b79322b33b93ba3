//! Submissions that are refused: other jobs, limits and bounds are in their way.

use super::{LONG_COOLDOWN, Scene, parsed, seconds};
use crate::support::gateway::Raw;
use scalegate::api::view::Resource;
use scalegate::domain::StateName;
use serde_json::{Value, json};
use tempfile::TempDir;

#[actix_web::test]
async fn conflicts_are_refused_queued_or_superseded() {
    let scene = Scene::start(&[&LONG_COOLDOWN[..], &["--max-queue-length", "2"]].concat());
    let first = scene.cooling_job("worker").await;
    let other = |target: u32, on_conflict: &str| {
        let body = json!({"resource": "worker", "targetCapacity": target, "onConflict": on_conflict});
        Raw::post("/v1/jobs", body.to_string())
    };
    for body in [
        json!({"resource": "worker", "targetCapacity": 7}),
        json!({"resource": "worker", "delta": 6}),
        json!({"resource": "worker", "targetCapacity": 7, "onConflict": "reject"}),
    ] {
        for route in ["/v1/jobs", "/v1/plans"] {
            let problem = scene.gateway.refuses(&Raw::post(route, body.to_string()), 409, "resource_busy").await;
            let link = problem.job.expect("the other job");
            assert_eq!((link.id, link.href), (first.id, format!("/v1/jobs/{}", first.id)));
            assert!(problem.detail.contains(&first.id.to_string()) && problem.detail.contains("onConflict"));
        }
    }

    let second = scene.gateway.raw(&other(5, "queue")).await.job();
    let third = scene.gateway.raw(&other(6, "queue")).await.job();
    assert_eq!((second.state, third.state), (StateName::Queued, StateName::Queued));
    assert_eq!(third.waiting_for.expect("it waits").reason, "turn");
    let full = scene.gateway.raw(&other(4, "queue")).await;
    assert_eq!((full.status, full.problem().code.as_str()), (429, "queue_full"));
    assert!(seconds(&full, "retry-after") > 0);
    for route in ["/v1/jobs", "/v1/plans"] {
        let body = json!({"resource": "worker", "targetCapacity": 4, "onConflict": "queue"}).to_string();
        scene.gateway.refuses(&Raw::post(route, body), 429, "queue_full").await;
    }
    // Another resource has a queue of its own.
    assert_eq!(scene.cooling_job("other").await.state, StateName::Running);

    let last = scene.gateway.raw(&other(2, "supersede")).await;
    assert_eq!(last.status, 202);
    let last = scene.gateway.finish(last.job().id).await;
    assert_eq!(last.state, StateName::Succeeded);
    for id in [first.id, second.id, third.id] {
        let job = scene.gateway.job(id).await;
        assert_eq!((job.state, job.superseded_by), (StateName::Superseded, Some(last.id)));
    }
}

#[actix_web::test]
async fn unfinished_jobs_are_limited() {
    let scene = Scene::start(&[&LONG_COOLDOWN[..], &["--max-active-jobs", "2"]].concat());
    let first = scene.cooling_job("a").await;
    scene.cooling_job("b").await;
    let third = json!({"resource": "c", "targetCapacity": 2});
    for route in ["/v1/jobs", "/v1/plans"] {
        let full = scene.gateway.raw(&Raw::post(route, third.to_string())).await;
        assert!(seconds(&full, "retry-after") > 0);
        scene.gateway.refuses(&Raw::post(route, third.to_string()), 503, "too_many_jobs").await;
    }
    // Joining one takes no room, and an end makes some.
    let joined = scene.gateway.post("/v1/jobs", &json!({"resource": "a", "targetCapacity": 8})).await;
    assert_eq!(joined.status, 200);
    assert_eq!(scene.gateway.post(&format!("/v1/jobs/{}/cancel", first.id), &Value::Null).await.status, 200);
    scene.gateway.submit(&third).await;
}

#[actix_web::test]
async fn resources_have_bounds_and_may_have_to_be_listed() {
    let files = TempDir::new().expect("a directory");
    let file = files.path().join("scalegate.toml");
    std::fs::write(&file, "only_listed = true\n[resources.worker]\nmin = 1\nmax = 6\ncooldown = \"2m\"\n")
        .expect("written");
    let scene = Scene::start(&["--config", file.to_str().expect("text")]);
    for route in ["/v1/jobs", "/v1/plans"] {
        for target in [0, 7, 1_000_000] {
            let body = json!({"resource": "worker", "targetCapacity": target}).to_string();
            let problem = scene.gateway.refuses(&Raw::post(route, body), 422, "out_of_bounds").await;
            assert_eq!(problem.errors[0].pointer, "/targetCapacity");
            assert!(problem.detail.contains("1 to 6"), "{problem:?}");
        }
        let body = json!({"resource": "other", "targetCapacity": 2}).to_string();
        let problem = scene.gateway.refuses(&Raw::post(route, body), 404, "resource_not_found").await;
        assert!(problem.detail.contains("other"), "{problem:?}");
    }
    let delta = json!({"resource": "worker", "delta": 9}).to_string();
    let problem = scene.gateway.refuses(&Raw::post("/v1/plans", delta.clone()), 422, "out_of_bounds").await;
    assert_eq!(problem.errors[0].pointer, "/delta");
    scene.gateway.refuses(&Raw::get("/v1/resources/other"), 404, "resource_not_found").await;
    assert_eq!(scene.sidecar.changes(), []);

    // As a job, a delta meets the bounds when it meets its first reading.
    let job = scene.gateway.submit(&serde_json::from_str(&delta).expect("JSON")).await;
    let job = scene.gateway.finish(job.id).await;
    assert_eq!((job.state, job.error.expect("an error").code.as_str()), (StateName::Failed, "out_of_bounds"));
    let worker: Resource = parsed(&scene.gateway.get("/v1/resources/worker").await);
    assert_eq!((worker.bounds.min, worker.bounds.max, worker.settings.cooldown_seconds), (1, 6, 120.0));
}

#[actix_web::test]
async fn too_many_steps_are_refused_as_a_plan() {
    let scene = Scene::start(&LONG_COOLDOWN);
    let body = json!({"resource": "worker", "targetCapacity": 5000}).to_string();
    let problem = scene.gateway.refuses(&Raw::post("/v1/plans", body), 422, "out_of_bounds").await;
    assert_eq!(problem.errors[0].pointer, "/stepSize");
}
