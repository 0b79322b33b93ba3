//! A job from its submission to its end: what is answered, what joins it, and how it is canceled.

use std::time::Duration;

use super::{LONG_COOLDOWN, SHORT_COOLDOWN, Scene, seconds};
use crate::support::gateway::Raw;
use scalegate::domain::StateName;
use serde_json::{Value, json};

#[actix_web::test]
async fn a_job_is_accepted_polled_and_done() {
    let scene = Scene::start(&SHORT_COOLDOWN);
    let body =
        json!({"resource": "worker", "targetCapacity": 3, "reason": "queue depth 812", "labels": {"team": "data"}});
    let accepted = scene.gateway.post("/v1/jobs", &body).await;
    assert_eq!(accepted.status, 202);
    assert_eq!(accepted.header("content-type"), Some("application/json"));
    let job = accepted.job();
    let location = format!("/v1/jobs/{}", job.id);
    assert_eq!(accepted.header("location"), Some(location.as_str()));
    assert!((1..=30).contains(&seconds(&accepted, "retry-after")));
    assert_eq!(accepted.header("idempotency-replayed"), None);
    assert!(uuid::Uuid::parse_str(accepted.header("x-request-id").expect("an id")).is_ok());
    assert_eq!((job.state, job.target_capacity, job.version), (StateName::Running, Some(3), 1));
    assert_eq!((job.reason.as_deref(), job.labels["team"].as_str()), (Some("queue depth 812"), "data"));
    assert_eq!(job.settings.cooldown_seconds, 0.6);

    let polled = scene.gateway.get(&location).await;
    assert_eq!(polled.status, 200);
    assert!((1..=30).contains(&seconds(&polled, "retry-after")));

    let job = scene.gateway.finish(job.id).await;
    assert_eq!((job.state, job.start_capacity, job.current_capacity), (StateName::Succeeded, Some(1), Some(3)));
    assert_eq!((job.progress.percent, job.progress.completed_steps, job.progress.total_steps), (100, 2, Some(2)));
    assert!(job.waiting_for.is_none() && job.error.is_none() && job.finished_at.is_some());
    let over = scene.gateway.get(&location).await;
    assert_eq!((over.status, over.header("retry-after")), (200, None));
}

#[actix_web::test]
async fn a_delta_becomes_a_target() {
    let scene = Scene::start(&SHORT_COOLDOWN);
    let job = scene.gateway.submit(&json!({"resource": "worker", "delta": 2})).await;
    assert_eq!((job.delta, job.target_capacity), (Some(2), None));
    let job = scene.gateway.finish(job.id).await;
    assert_eq!((job.delta, job.target_capacity, scene.sidecar.capacity()), (Some(2), Some(3), 3));
}

/// Every field of an answer is there, with `null` for what has no value.
#[actix_web::test]
async fn a_job_has_all_its_fields() {
    let scene = Scene::start(&LONG_COOLDOWN);
    let response = scene.gateway.post("/v1/jobs", &json!({"resource": "worker", "targetCapacity": 3})).await;
    let mut names: Vec<String> = response.json().as_object().expect("an object").keys().cloned().collect();
    names.sort();
    assert_eq!(
        names.join(" "),
        "canceledBy createdAt currentCapacity deadlineAt delta endingAs error externalChanges finishedAt groupId id labels note \
        progress reason resource retargetCount retargets settings startCapacity startedAt state steps submittedBy supersededBy targetCapacity updatedAt version \
        waitingFor"
    );
}

#[actix_web::test]
async fn the_same_target_joins_the_unfinished_job() {
    let scene = Scene::start(&LONG_COOLDOWN);
    let job = scene.cooling_job("worker").await;
    for on_conflict in ["reject", "queue", "supersede"] {
        let body = json!({"resource": "worker", "targetCapacity": 8, "onConflict": on_conflict, "reason": "another"});
        let joined = scene.gateway.post("/v1/jobs", &body).await;
        assert_eq!((joined.status, joined.job().id), (200, job.id));
        assert_eq!(joined.job().reason, None, "the job stays what it was");
        assert_eq!(joined.header("location"), Some(format!("/v1/jobs/{}", job.id).as_str()));
        assert!(seconds(&joined, "retry-after") > 0);
    }
    assert_eq!(scene.gateway.get("/v1/jobs").await.json()["jobs"].as_array().expect("jobs").len(), 1);
}

#[actix_web::test]
async fn canceling() {
    let scene = Scene::start(&LONG_COOLDOWN);
    let job = scene.cooling_job("worker").await;
    let cancel = format!("/v1/jobs/{}/cancel", job.id);
    let canceled = scene.gateway.post(&cancel, &Value::Null).await;
    assert_eq!((canceled.status, canceled.job().state), (200, StateName::Canceled));
    assert_eq!(canceled.header("retry-after"), None);
    let problem = scene.gateway.refuses(&Raw::new("POST", &cancel), 409, "job_finished").await;
    assert_eq!(problem.job.as_ref().map(|link| link.id), Some(job.id));
    assert!(problem.detail.contains("canceled"), "{problem:?}");

    // While its change is on its way a job cannot end. It can be canceled as often as one likes.
    scene.sidecar.with(|model, _| {
        model.behaviour_mut().faults.slow_for = Duration::from_secs(1);
        model.script_change(scalegate::sim::sidecar::Fault::Slow);
    });
    let job = scene.gateway.submit(&json!({"resource": "slow", "targetCapacity": 3})).await;
    let cancel = format!("/v1/jobs/{}/cancel", job.id);
    scene.gateway.wait_for(job.id, |_| scene.sidecar.changes().len() == 2).await;
    for _ in 0..3 {
        let canceled = scene.gateway.post(&cancel, &Value::Null).await;
        assert_eq!((canceled.status, canceled.job().state), (200, StateName::Running));
        assert_eq!(canceled.job().ending_as, Some(StateName::Canceled));
        assert!(seconds(&canceled, "retry-after") > 0);
    }
    let job = scene.gateway.finish(job.id).await;
    assert_eq!(
        (job.state, job.steps[0].outcome.as_str(), scene.sidecar.changes().len()),
        (StateName::Canceled, "confirmed", 2)
    );
    scene.gateway.refuses(&Raw::new("POST", &cancel), 409, "job_finished").await;

    let done = scene.gateway.submit(&json!({"resource": "done", "targetCapacity": 1})).await;
    assert_eq!(scene.gateway.finish(done.id).await.state, StateName::Succeeded);
    let request = Raw::new("POST", &format!("/v1/jobs/{}/cancel", done.id));
    let problem = scene.gateway.refuses(&request, 409, "job_finished").await;
    assert!(problem.detail.contains("succeeded"), "{problem:?}");
}
