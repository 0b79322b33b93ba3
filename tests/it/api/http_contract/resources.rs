//! Plans, resources and health, with a sidecar and without one.

use std::time::Duration;

use super::{LONG_COOLDOWN, SHORT_COOLDOWN, Scene, parsed};
use crate::support::gateway::{Gateway, Raw};
use scalegate::api::view::{Plan, Resource};
use scalegate::domain::StateName;
use serde_json::{Value, json};
use tempfile::TempDir;

#[actix_web::test]
async fn plans_change_nothing() {
    let scene = Scene::start(&LONG_COOLDOWN);
    let body = json!({"resource": "worker", "targetCapacity": 4, "stepSize": 2, "cooldownSeconds": 300});
    let plan: Plan = parsed(&scene.gateway.post("/v1/plans", &body).await);
    assert_eq!((plan.start_capacity, plan.target_capacity, plan.joins), (1, 4, None));
    let steps: Vec<_> =
        plan.steps.iter().map(|s| (s.index, s.op.as_str(), s.units, s.from_capacity, s.to_capacity)).collect();
    assert_eq!(steps, [(1, "add", 2, 1, 3), (2, "add", 1, 3, 4)]);
    let apart = plan.steps[1].earliest_at.0.since(plan.steps[0].earliest_at.0);
    assert!(apart >= Duration::from_secs(300), "{apart:?}");
    assert!(plan.estimated_completion_at > plan.steps[1].earliest_at);
    assert_eq!((plan.settings.step_size, plan.settings.cooldown_seconds), (2, 300.0));

    let nothing: Plan =
        parsed(&scene.gateway.post("/v1/plans", &json!({"resource": "worker", "targetCapacity": 1})).await);
    assert_eq!(nothing.steps, []);
    let down: Plan = parsed(&scene.gateway.post("/v1/plans", &json!({"resource": "worker", "delta": -1})).await);
    assert_eq!((down.target_capacity, down.steps[0].op.as_str()), (0, "remove"));
    scene
        .gateway
        .refuses(&Raw::post("/v1/plans", r#"{"resource": "worker", "delta": -2}"#), 422, "out_of_bounds")
        .await;

    assert_eq!(scene.sidecar.changes().len(), 0, "the sidecar saw no change");
    assert_eq!(scene.gateway.get("/v1/jobs").await.json(), json!({"jobs": [], "nextPageToken": null}));
    let job = scene.cooling_job("worker").await;
    let joins: Plan =
        parsed(&scene.gateway.post("/v1/plans", &json!({"resource": "worker", "targetCapacity": 8})).await);
    assert_eq!(joins.joins, Some(job.id));
    assert_eq!(scene.sidecar.changes().len(), 1);
}

#[actix_web::test]
async fn resources_show_what_is_known() {
    let scene = Scene::start(&LONG_COOLDOWN);
    assert_eq!(scene.gateway.get("/v1/resources").await.json(), json!({"resources": [], "nextPageToken": null}));
    let idle: Resource = parsed(&scene.gateway.get("/v1/resources/worker").await);
    assert_eq!((idle.status.as_deref(), idle.capacity, idle.listed), (Some("ACTIVE"), Some(1), false));
    assert_eq!((idle.active_job, idle.queue.len(), idle.cooldown_remaining_seconds), (None, 0, 0.0));
    assert!(idle.last_observation.expect("a reading").observed_at.is_some());

    let job = scene.cooling_job("worker").await;
    let body = json!({"resource": "worker", "targetCapacity": 2, "onConflict": "queue"});
    let queued = scene.gateway.submit(&body).await;
    let busy: Resource = parsed(&scene.gateway.get("/v1/resources/worker").await);
    assert_eq!((busy.capacity, busy.active_job, busy.queue.as_slice()), (Some(2), Some(job.id), &[queued.id][..]));
    assert!((1.0..=600.0).contains(&busy.cooldown_remaining_seconds), "{busy:?}");
    let listed = scene.gateway.get("/v1/resources").await.json();
    assert_eq!(listed["resources"].as_array().expect("resources").len(), 1);
    assert_eq!(listed["resources"][0]["activeJob"], json!(job.id));
}

/// Until the next job succeeds, the resource says that its last one failed.
#[actix_web::test]
async fn the_last_outcome_is_that_of_the_last_job_that_succeeded_or_failed() {
    let scene = Scene::start(&SHORT_COOLDOWN);
    let none = scene.gateway.get("/v1/resources/worker").await.json();
    assert_eq!(none["lastOutcome"], Value::Null);
    let outcome = async || {
        let alone = scene.gateway.get("/v1/resources/worker").await.json();
        let listed = scene.gateway.get("/v1/resources").await.json();
        assert_eq!(listed["resources"][0]["lastOutcome"], alone["lastOutcome"]);
        alone["lastOutcome"].clone()
    };
    scene.sidecar.with(|model, _| model.behaviour_mut().status_override = Some("FAILED".into()));
    let failed = scene.gateway.submit(&json!({"resource": "worker", "targetCapacity": 2})).await;
    let failed = scene.gateway.finish(failed.id).await;
    let at = failed.finished_at.expect("a time").0.to_string();
    let expected = json!({"job": failed.id, "state": "failed", "errorCode": "resource_failed", "at": at});
    assert_eq!(outcome().await, expected);

    scene.sidecar.with(|model, _| model.behaviour_mut().status_override = None);
    let succeeded = scene.gateway.submit(&json!({"resource": "worker", "targetCapacity": 2})).await;
    scene.gateway.finish(succeeded.id).await;
    let last = outcome().await;
    assert_eq!(
        (&last["job"], &last["state"], &last["errorCode"]),
        (&json!(succeeded.id), &json!("succeeded"), &Value::Null)
    );
}

/// Without a sidecar there is no plan and no new reading, but there are jobs, and the gateway is ready.
#[actix_web::test]
async fn without_a_sidecar() {
    let no_sidecar = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("an address");
    let dir = TempDir::new().expect("a directory");
    let gateway = Gateway::start(dir.path(), no_sidecar, &LONG_COOLDOWN);
    let body = json!({"resource": "worker", "targetCapacity": 2});
    gateway.refuses(&Raw::post("/v1/plans", body.to_string()), 502, "sidecar_unreachable").await;
    gateway.refuses(&Raw::get("/v1/resources/worker"), 502, "sidecar_unreachable").await;
    let job = gateway.submit(&body).await;
    let job = gateway.wait_for(job.id, |job| job.waiting_for.as_ref().is_some_and(|w| w.reason == "sidecar")).await;
    assert_eq!((job.state, job.current_capacity), (StateName::Running, None));
    let resource: Resource = parsed(&gateway.get("/v1/resources/worker").await);
    assert!(resource.read_failure.is_some() && resource.capacity.is_none());
    let ready = gateway.get("/readyz").await;
    assert_eq!((ready.status, &ready.json()["sidecar"]["reachable"]), (200, &json!(false)));
}

/// The sidecar's own words are handed on.
#[actix_web::test]
async fn resources_the_sidecar_does_not_know() {
    let scene = Scene::start(&LONG_COOLDOWN);
    scene.sidecar.with(|model, _| model.behaviour_mut().known = Some([crate::support::sidecar::worker()].into()));
    let requests =
        [Raw::get("/v1/resources/wroker"), Raw::post("/v1/plans", r#"{"resource": "wroker", "targetCapacity": 2}"#)];
    for request in requests {
        let problem = scene.gateway.refuses(&request, 404, "resource_not_found").await;
        let said = problem.sidecar.expect("what the sidecar said");
        assert_eq!(said.status, 404);
        assert!(said.body.contains("wroker"), "{said:?}");
    }
}

#[actix_web::test]
async fn health() {
    let scene = Scene::start(&LONG_COOLDOWN);
    assert_eq!(scene.gateway.get("/livez").await.json(), json!({"status": "alive"}));
    let fresh = scene.gateway.get("/readyz").await.json();
    assert_eq!(
        (&fresh["status"], &fresh["unfinishedJobs"], &fresh["sidecar"]["reachable"]),
        (&json!("ready"), &json!(0), &Value::Null)
    );
    scene.cooling_job("worker").await;
    let busy = scene.gateway.get("/readyz").await.json();
    assert_eq!((&busy["unfinishedJobs"], &busy["sidecar"]["reachable"]), (&json!(1), &json!(true)));
    assert!(busy["sidecar"]["lastAnswerAt"].as_str().is_some_and(|time| time.ends_with('Z') && time.len() == 24));
}
