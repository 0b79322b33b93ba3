//! The HTTP contract, over sockets against the real binary: what callers can rely on when they do everything right, or are
//! refused for a reason that is not in their request.

use std::time::{Duration, Instant};

use crate::support::gateway::{Gateway, Raw, Response};
use crate::support::sidecar::Sidecar;
use scalegate::api::view::{JobView, Plan, Resource};
use scalegate::domain::StateName;
use scalegate::sim::sidecar::{Behaviour, RecordKind};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A job with these settings and more than one step to go waits in its first cooldown for as long as a test lasts.
const LONG_COOLDOWN: [&str; 6] = ["--cooldown", "10m", "--settle", "500ms", "--poll-interval", "100ms"];
const SHORT_COOLDOWN: [&str; 6] = ["--cooldown", "600ms", "--settle", "300ms", "--poll-interval", "50ms"];

struct Scene {
    gateway: Gateway,
    sidecar: Sidecar,
    dir: TempDir,
}

impl Scene {
    fn start(more: &[&str]) -> Self {
        let behaviour = Behaviour { provisioning: Duration::from_millis(200), ..Behaviour::default() };
        let (sidecar, dir) = (Sidecar::start(behaviour), TempDir::new().expect("a directory"));
        let gateway = Gateway::start(dir.path(), sidecar.address(), more);
        Self { gateway, sidecar, dir }
    }

    fn restarted(self, more: &[&str]) -> Self {
        let Self { gateway, sidecar, dir } = self;
        gateway.kill();
        let gateway = Gateway::start(dir.path(), sidecar.address(), more);
        Self { gateway, sidecar, dir }
    }

    /// A job that is cooling down and will be for long.
    async fn cooling_job(&self, resource: &str) -> JobView {
        let id = self.gateway.submit(&json!({"resource": resource, "targetCapacity": 8})).await.id;
        let cools = |job: &JobView| job.waiting_for.as_ref().is_some_and(|waiting| waiting.reason == "cooldown");
        self.gateway.wait_for(id, cools).await
    }

    fn changes(&self) -> usize {
        let is_change = |kind| matches!(kind, RecordKind::Add | RecordKind::Remove);
        self.sidecar.with(|model, now| model.records(now).iter().filter(|record| is_change(record.kind)).count())
    }
}

fn seconds(response: &Response, header: &str) -> u64 {
    response.header(header).unwrap_or_else(|| panic!("no {header}: {response:?}")).parse().expect("a whole number")
}

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
        "canceledBy createdAt currentCapacity deadlineAt delta endingAs error externalChanges finishedAt id labels \
        progress reason resource settings startCapacity startedAt state steps submittedBy supersededBy targetCapacity updatedAt version \
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

fn parsed<T: serde::de::DeserializeOwned>(response: &Response) -> T {
    assert_eq!(response.status, 200, "{}", String::from_utf8_lossy(&response.body));
    serde_json::from_slice(&response.body).unwrap_or_else(|error| panic!("{error}: {:?}", response.json()))
}

#[actix_web::test]
async fn too_many_steps_are_refused_as_a_plan() {
    let scene = Scene::start(&LONG_COOLDOWN);
    let body = json!({"resource": "worker", "targetCapacity": 5000}).to_string();
    let problem = scene.gateway.refuses(&Raw::post("/v1/plans", body), 422, "out_of_bounds").await;
    assert_eq!(problem.errors[0].pointer, "/stepSize");
}

#[actix_web::test]
async fn unchanged_jobs_are_not_sent_again() {
    let scene = Scene::start(&LONG_COOLDOWN);
    let job = scene.cooling_job("worker").await;
    let path = format!("/v1/jobs/{}", job.id);
    let tag = scene.gateway.get(&path).await.header("etag").expect("a tag").to_owned();
    for known in [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".to_owned()] {
        let unchanged = scene.gateway.get_with(&path, ("If-None-Match", &known)).await;
        assert_eq!((unchanged.status, unchanged.body.len()), (304, 0), "{known}");
        assert_eq!(unchanged.header("etag"), Some(tag.as_str()));
        assert!(unchanged.header("retry-after").is_some(), "whoever polls like this is told when to, too");
    }
    for other in ["\"v1\"", "\"\"", "garbage", "v1", "\"v1", ",,,"] {
        let changed = scene.gateway.get_with(&path, ("If-None-Match", other)).await;
        assert_eq!((changed.status, changed.job().id), (200, job.id), "{other}");
    }
    let odd = Raw::get(&path).header("If-None-Match", b"\xff\"");
    assert_eq!(scene.gateway.raw(&odd).await.status, 200, "what cannot be read matches nothing");
    scene.gateway.post(&format!("{path}/cancel"), &Value::Null).await;
    let changed = scene.gateway.get_with(&path, ("If-None-Match", &tag)).await;
    assert_eq!((changed.status, changed.job().state), (200, StateName::Canceled));
    assert_ne!(changed.header("etag"), Some(tag.as_str()));
    let unchanged =
        Raw::get(&path).header("If-None-Match", changed.header("etag").expect("a tag")).header("Prefer", "wait=30");
    let unchanged = scene.gateway.raw(&unchanged).await;
    assert_eq!(unchanged.status, 304, "a job that is over changes no more");
    assert_eq!(unchanged.header("retry-after"), None);
}

#[actix_web::test]
async fn answers_can_be_held_back() {
    let scene = Scene::start(&LONG_COOLDOWN);
    let job = scene.cooling_job("worker").await;
    let path = format!("/v1/jobs/{}", job.id);
    // Until the time is up.
    let begin = Instant::now();
    let waited = scene.gateway.get_with(&path, ("Prefer", "wait=1")).await;
    assert!((1.0..5.0).contains(&begin.elapsed().as_secs_f64()), "{:?}", begin.elapsed());
    assert_eq!((waited.status, waited.header("preference-applied")), (200, Some("wait=1")));
    assert_eq!(waited.job().state, StateName::Running);
    // Not at all, for what is no wish to wait.
    for prefer in ["wait=soon", "respond-async", "wait=-1", ""] {
        let begin = Instant::now();
        let answer = scene.gateway.get_with(&path, ("Prefer", prefer)).await;
        assert_eq!((answer.status, answer.header("preference-applied")), (200, None));
        assert!(begin.elapsed() < Duration::from_secs(1));
    }
    // Until the job is over, however many wait for it.
    let begin = Instant::now();
    let ends = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        scene.gateway.post(&format!("{path}/cancel"), &Value::Null).await
    };
    let wait = || scene.gateway.get_with(&path, ("Prefer", "wait=30"));
    let (one, other, canceled) = tokio::join!(wait(), wait(), ends);
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    assert_eq!(canceled.status, 200);
    for answer in [one, other] {
        assert_eq!((answer.job().state, answer.header("retry-after")), (StateName::Canceled, None));
        assert_eq!(answer.header("preference-applied"), Some("wait=30"));
    }
    // No longer than a minute is granted; a job that is over needs none of it.
    let over = scene.gateway.get_with(&path, ("Prefer", "wait=3600")).await;
    assert_eq!(over.header("preference-applied"), Some("wait=60"));
    scene
        .gateway
        .refuses(
            &Raw::get(&format!("/v1/jobs/{}", uuid::Uuid::nil())).header("Prefer", "wait=30"),
            404,
            "job_not_found",
        )
        .await;
}

#[actix_web::test]
async fn the_same_key_gets_the_same_answer() {
    let scene = Scene::start(&LONG_COOLDOWN);
    let body = json!({"resource": "worker", "targetCapacity": 8});
    let first = scene.gateway.post_with("/v1/jobs", &body, &[("Idempotency-Key", "scale-up")]).await;
    assert_eq!((first.status, first.header("idempotency-replayed")), (202, None));
    let cools = |job: &JobView| job.waiting_for.as_ref().is_some_and(|waiting| waiting.reason == "cooldown");
    scene.gateway.wait_for(first.job().id, cools).await;

    let assert_replayed = async |scene: &Scene| {
        // The same in other words: quoted, and with white space.
        let words = format!("  {}  ", body.to_string().replace(',', " , "));
        for (key, body) in [("scale-up", body.to_string()), ("\"scale-up\"", words)] {
            let again = scene.gateway.raw(&Raw::post("/v1/jobs", body).header("Idempotency-Key", key)).await;
            assert_eq!((again.status, again.header("idempotency-replayed")), (202, Some("true")));
            assert_eq!(again.header("location"), first.header("location"));
            let now = scene.gateway.job(first.job().id).await;
            assert_eq!(again.job(), now, "as it is now");
        }
        for other in
            [json!({"resource": "worker", "targetCapacity": 7}), json!({"resource": "other", "targetCapacity": 8})]
        {
            let request = Raw::post("/v1/jobs", other.to_string()).header("Idempotency-Key", "scale-up");
            scene.gateway.refuses(&request, 422, "idempotency_key_reused").await;
        }
    };
    assert_replayed(&scene).await;
    // An answer that was "join that job" is kept as such.
    let joined = scene.gateway.post_with("/v1/jobs", &body, &[("Idempotency-Key", "me too")]).await;
    assert_eq!((joined.status, joined.header("idempotency-replayed")), (200, None));

    let scene = scene.restarted(&LONG_COOLDOWN);
    assert_replayed(&scene).await;
    let again = scene.gateway.post_with("/v1/jobs", &body, &[("Idempotency-Key", "me too")]).await;
    assert_eq!((again.status, again.header("idempotency-replayed")), (200, Some("true")));
    assert_eq!(again.body, joined.body);
    // Even when the job is over, the key means the answer that was given.
    scene.gateway.post(&format!("{}/cancel", first.header("location").expect("a location")), &Value::Null).await;
    assert_replayed(&scene).await;
    assert_eq!(scene.gateway.get("/v1/jobs").await.json()["jobs"].as_array().expect("jobs").len(), 1);
}

#[actix_web::test]
async fn concurrent_duplicates_make_one_job() {
    let scene = Scene::start(&LONG_COOLDOWN);
    let keyed = json!({"resource": "keyed", "targetCapacity": 8});
    let keyed = futures_util::future::join_all(
        (0..20).map(|_| scene.gateway.post_with("/v1/jobs", &keyed, &[("Idempotency-Key", "one")])),
    )
    .await;
    let plain = json!({"resource": "plain", "targetCapacity": 8});
    let plain = futures_util::future::join_all((0..20).map(|_| scene.gateway.post("/v1/jobs", &plain))).await;
    for (answers, replayed) in [(&keyed, true), (&plain, false)] {
        let id = answers[0].job().id;
        assert!(answers.iter().all(|answer| answer.job().id == id));
        let first = |answer: &&Response| answer.status == 202 && answer.header("idempotency-replayed").is_none();
        assert_eq!(answers.iter().filter(first).count(), 1);
        if replayed {
            assert!(answers.iter().all(|answer| answer.body == answers[0].body && answer.status == 202));
        }
    }
    // The same key at once for two different things: one of them wins, all others are told.
    let targets: Vec<Value> = (2..22).map(|n| json!({"resource": "contested", "targetCapacity": n})).collect();
    let contested = futures_util::future::join_all(
        targets.iter().map(|body| scene.gateway.post_with("/v1/jobs", body, &[("Idempotency-Key", "two")])),
    )
    .await;
    assert_eq!(contested.iter().filter(|answer| answer.status == 202).count(), 1);
    let reused =
        |answer: &&Response| answer.status == 422 && answer.problem().code.as_str() == "idempotency_key_reused";
    assert_eq!(contested.iter().filter(reused).count(), 19);
    assert_eq!(scene.gateway.get("/v1/jobs").await.json()["jobs"].as_array().expect("jobs").len(), 3);
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
    scene.gateway.wait_for(job.id, |_| scene.changes() == 2).await;
    for _ in 0..3 {
        let canceled = scene.gateway.post(&cancel, &Value::Null).await;
        assert_eq!((canceled.status, canceled.job().state), (200, StateName::Running));
        assert_eq!(canceled.job().ending_as, Some(StateName::Canceled));
        assert!(seconds(&canceled, "retry-after") > 0);
    }
    let job = scene.gateway.finish(job.id).await;
    assert_eq!((job.state, job.steps[0].outcome.as_str(), scene.changes()), (StateName::Canceled, "confirmed", 2));
    scene.gateway.refuses(&Raw::new("POST", &cancel), 409, "job_finished").await;

    let done = scene.gateway.submit(&json!({"resource": "done", "targetCapacity": 1})).await;
    assert_eq!(scene.gateway.finish(done.id).await.state, StateName::Succeeded);
    let request = Raw::new("POST", &format!("/v1/jobs/{}/cancel", done.id));
    let problem = scene.gateway.refuses(&request, 409, "job_finished").await;
    assert!(problem.detail.contains("succeeded"), "{problem:?}");
}

#[actix_web::test]
async fn lists_are_paged_filtered_and_stable() {
    let scene = Scene::start(&LONG_COOLDOWN);
    let mut ids = Vec::new();
    for n in 0..12 {
        let resource = if n % 3 == 0 { "even" } else { "odd" };
        let body = json!({"resource": resource, "targetCapacity": 10 + n, "onConflict": "queue"});
        ids.insert(0, scene.gateway.submit(&body).await.id.to_string());
    }
    let list = async |query: &str| {
        let page = scene.gateway.get(&format!("/v1/jobs?{query}")).await;
        assert_eq!(page.status, 200, "{query}");
        let page = page.json();
        let ids =
            page["jobs"].as_array().expect("jobs").iter().map(|job| job["id"].as_str().expect("an id").to_owned());
        (ids.collect::<Vec<String>>(), page["nextPageToken"].as_str().map(str::to_owned))
    };
    assert_eq!(list("").await, (ids.clone(), None), "newest first");
    assert_eq!(list("pageSize=12").await, (ids.clone(), None));
    let by_resource = |name: &str| format!("resource={name}");
    assert_eq!(list(&by_resource("even")).await.0, ids.iter().rev().step_by(3).rev().cloned().collect::<Vec<_>>());
    assert_eq!(list(&by_resource("nobody")).await, (vec![], None));
    assert_eq!(list("state=running").await.0.len(), 2);
    assert_eq!(list("state=queued").await.0.len(), 10);
    assert_eq!(list("state=queued&resource=even").await.0.len(), 3);
    assert_eq!(list("state=queued&state=running").await.0, ids);
    assert_eq!(list("state=succeeded&state=failed&state=canceled&state=superseded").await.0, [] as [String; 0]);
    scene.gateway.post(&format!("/v1/jobs/{}/cancel", ids[3]), &Value::Null).await;
    assert_eq!(list("state=canceled").await.0, ids[3..4]);

    // Page by page, while jobs are added and end: each of the first is there, and none twice.
    let (mut pages, mut query) = (Vec::new(), "pageSize=5".to_owned());
    for n in 0.. {
        let (page, next) = list(&query).await;
        assert!(page.len() <= 5);
        pages.extend(page);
        scene.gateway.submit(&json!({"resource": format!("new-{n}"), "targetCapacity": 1})).await;
        let _ = scene.gateway.post(&format!("/v1/jobs/{}/cancel", ids[4 + n]), &Value::Null).await;
        match next {
            Some(token) => query = format!("pageSize=5&pageToken={token}"),
            None => break,
        }
    }
    assert_eq!(pages, ids);
    let polled = scene.gateway.get(&format!("/v1/jobs/{}", ids[0])).await.json();
    let listed = scene.gateway.get("/v1/jobs?pageSize=200").await.json();
    let same =
        listed["jobs"].as_array().expect("jobs").iter().find(|job| job["id"] == polled["id"]).expect("it is listed");
    assert_eq!(*same, polled, "a job looks the same everywhere");
}

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

    assert_eq!(scene.changes(), 0, "the sidecar saw no change");
    assert_eq!(scene.gateway.get("/v1/jobs").await.json(), json!({"jobs": [], "nextPageToken": null}));
    let job = scene.cooling_job("worker").await;
    let joins: Plan =
        parsed(&scene.gateway.post("/v1/plans", &json!({"resource": "worker", "targetCapacity": 8})).await);
    assert_eq!(joins.joins, Some(job.id));
    assert_eq!(scene.changes(), 1);
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

/// Without a sidecar there is no plan and no new reading, but there are jobs, and the gateway is ready.
#[actix_web::test]
async fn without_a_sidecar() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("an address");
    let dir = TempDir::new().expect("a directory");
    let gateway = Gateway::start(dir.path(), nobody, &LONG_COOLDOWN);
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

/// `HEAD` says what `GET` would, without a body, and the connection stays usable.
#[actix_web::test]
async fn head_is_get_without_a_body() {
    use tokio::io::AsyncWriteExt as _;
    let scene = Scene::start(&LONG_COOLDOWN);
    let job = scene.cooling_job("worker").await;
    let path = format!("/v1/jobs/{}", job.id);
    let mut stream = scene.gateway.connect().await;
    for _ in 0..2 {
        stream.write_all(&Raw::new("HEAD", &path).head()).await.expect("sent");
        let head = crate::support::gateway::read_answer(&mut stream, false).await;
        stream.write_all(&Raw::get(&path).head()).await.expect("sent");
        let get = crate::support::gateway::read_answer(&mut stream, true).await;
        assert_eq!((head.status, get.status), (200, 200));
        assert_eq!(head.header("content-length"), Some(get.body.len().to_string().as_str()));
        assert_eq!(head.header("etag"), get.header("etag"));
        assert_ne!(head.header("x-request-id"), get.header("x-request-id"));
    }
}
