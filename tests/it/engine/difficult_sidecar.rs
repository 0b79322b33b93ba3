//! The real binary against a sidecar that does everything a sidecar is known to do, over real sockets: right end state,
//! no overshoot, a clear reason.

use std::time::Duration;

use crate::support::gateway::Gateway;
use crate::support::sidecar::{Sidecar, units};
use scalegate::api::view::JobView;
use scalegate::domain::{Bounds, StateName};
use scalegate::sim::sidecar::{Behaviour, Fault, TimestampMode};
use serde_json::{Value, json};
use tempfile::TempDir;

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const COOLDOWN: Duration = millis(800);

fn behaviour() -> Behaviour {
    Behaviour { provisioning: millis(300), ..Behaviour::default() }
}

/// A gateway and a sidecar of its own.
struct Stack {
    sidecar: Sidecar,
    gateway: Gateway,
    _data: TempDir,
}

impl Stack {
    fn start(behaviour: Behaviour) -> Self {
        let (sidecar, data) = (Sidecar::start(behaviour), TempDir::new().expect("a directory"));
        let settings =
            ["--cooldown", "800ms", "--settle", "1500ms", "--poll-interval", "100ms", "--active-timeout", "3s"];
        let gateway = Gateway::start(data.path(), sidecar.address(), &settings);
        Self { sidecar, gateway, _data: data }
    }

    async fn scale(&self, body: &Value) -> JobView {
        let id = self.gateway.submit(body).await.id;
        self.gateway.finish(id).await
    }

    async fn scale_to(&self, target: u32) -> JobView {
        self.scale(&json!({"resource": "worker", "targetCapacity": target})).await
    }

    #[track_caller]
    fn assert_reached(&self, job: &JobView, target: u32, changes: usize) {
        assert_eq!(job.state, StateName::Succeeded, "{job:#?}");
        assert_eq!((job.current_capacity, self.sidecar.capacity()), (Some(target), target));
        assert!(self.sidecar.largest_capacity() <= target.max(job.start_capacity.unwrap_or(0)), "it went too far");
        assert_eq!(self.sidecar.changes().len(), changes);
        self.sidecar.assert_cooldowns(COOLDOWN);
    }

    #[track_caller]
    fn assert_failed(&self, job: &JobView, code: &str, words: &str) {
        let error = job.error.as_ref().unwrap_or_else(|| panic!("it did not fail: {job:#?}"));
        assert_eq!(error.code, code);
        assert!(error.message.contains(words), "{}", error.message);
        self.sidecar.assert_cooldowns(COOLDOWN);
    }
}

#[actix_web::test]
async fn that_loses_an_answer() {
    let stack = Stack::start(behaviour());
    stack.sidecar.with(|model, _| model.script_change(Fault::AnswerLost));
    let job = stack.scale_to(3).await;
    stack.assert_reached(&job, 3, 2);
    assert_eq!(job.steps[0].outcome, "confirmed");
}

#[actix_web::test]
async fn that_loses_a_request() {
    let stack = Stack::start(behaviour());
    stack.sidecar.with(|model, _| model.script_change(Fault::RequestLost));
    let job = stack.scale_to(2).await;
    stack.assert_reached(&job, 2, 2);
    assert_eq!(job.steps[0].outcome, "not_applied");
}

#[actix_web::test]
async fn that_answers_500_after_applying_and_before() {
    for (fault, changes) in [(Fault::ErrorAfter, 2), (Fault::ErrorBefore, 3)] {
        let stack = Stack::start(behaviour());
        stack.sidecar.with(|model, _| model.script_change(fault));
        let job = stack.scale_to(3).await;
        stack.assert_reached(&job, 3, changes);
    }
}

#[actix_web::test]
async fn that_answers_with_garbage() {
    let stack = Stack::start(behaviour());
    stack.sidecar.with(|model, _| {
        model.script_read(Fault::Garbage);
        model.script_change(Fault::Garbage);
    });
    let job = stack.scale_to(3).await;
    stack.assert_reached(&job, 3, 2);
}

#[actix_web::test]
async fn whose_readings_are_old_and_say_so_or_not() {
    for timestamps in [TimestampMode::Honest, TimestampMode::Fresh, TimestampMode::Missing, TimestampMode::Zero] {
        let stack = Stack::start(Behaviour { read_lag: millis(1200), timestamps, ..behaviour() });
        // Without a cooldown nothing but the rules about readings stands between the job and an overshoot.
        let job = stack.scale(&json!({"resource": "worker", "targetCapacity": 3, "cooldownSeconds": 0})).await;
        assert_eq!(job.state, StateName::Succeeded, "{timestamps:?}: {job:#?}");
        assert_eq!((stack.sidecar.capacity(), stack.sidecar.largest_capacity()), (3, 3), "{timestamps:?}");
        assert_eq!(stack.sidecar.changes().len(), 2, "{timestamps:?}");
    }
}

#[actix_web::test]
async fn that_loses_the_answer_and_shows_old_readings() {
    for timestamps in [TimestampMode::Honest, TimestampMode::Fresh] {
        let stack = Stack::start(Behaviour { read_lag: millis(1000), timestamps, ..behaviour() });
        stack.sidecar.with(|model, _| model.script_change(Fault::AnswerLost));
        let job = stack.scale(&json!({"resource": "worker", "targetCapacity": 3, "cooldownSeconds": 0})).await;
        assert_eq!(job.state, StateName::Succeeded, "{timestamps:?}: {job:#?}");
        assert_eq!((stack.sidecar.capacity(), stack.sidecar.largest_capacity()), (3, 3), "{timestamps:?}");
    }
}

#[actix_web::test]
async fn that_shows_the_goal_while_modifying() {
    let stack = Stack::start(Behaviour { provisioning: millis(1500), ..behaviour() });
    let id = stack.gateway.submit(&json!({"resource": "worker", "targetCapacity": 2})).await.id;
    let waiting = stack.gateway.wait_for(id, |job| job.current_capacity == Some(2)).await;
    assert_eq!(waiting.state, StateName::Running, "it shows the goal, but is not ACTIVE");
    assert_eq!(waiting.waiting_for.map(|waiting| waiting.reason), Some("active".into()));
    let job = stack.gateway.finish(id).await;
    stack.assert_reached(&job, 2, 1);
    let took = job.finished_at.expect("over").0.since(job.steps[0].sent_at.expect("sent").0);
    assert!(took >= millis(1500), "{took:?}");
}

#[actix_web::test]
async fn that_sits_at_zero() {
    for status in ["PAUSED", "UNKNOWN"] {
        let at_zero = Behaviour { start_capacity: units(0), status_at_zero: status.into(), ..behaviour() };
        let stack = Stack::start(at_zero);
        let up = stack.scale_to(2).await;
        stack.assert_reached(&up, 2, 2);
        let down = stack.scale(&json!({"resource": "worker", "delta": -2, "stepSize": 2})).await;
        assert_eq!(down.state, StateName::Succeeded, "{status}: {down:#?}");
        assert_eq!(stack.sidecar.capacity(), 0);
        stack.sidecar.assert_cooldowns(COOLDOWN);
    }
}

#[actix_web::test]
async fn that_rejects_beyond_its_maximum() {
    let bounds = Bounds { min: units(0), max: units(2) };
    let stack = Stack::start(Behaviour { bounds, ..behaviour() });
    let job = stack.scale_to(4).await;
    stack.assert_failed(&job, "sidecar_rejected", "refused add 1 (2 -> 3)");
    let said = job.error.and_then(|error| error.sidecar).expect("the sidecar's words");
    assert_eq!(said.status, 400);
    assert!(said.body.contains("bad_request"), "{}", said.body);
    assert_eq!(stack.sidecar.capacity(), 2);
}

#[actix_web::test]
async fn that_never_becomes_active() {
    let stack = Stack::start(Behaviour { never_active: true, ..behaviour() });
    let job = stack.scale_to(3).await;
    stack.assert_failed(&job, "active_timeout", "MODIFYING");
    assert_eq!(stack.sidecar.changes().len(), 1);
}

#[actix_web::test]
async fn that_has_failed() {
    let stack = Stack::start(Behaviour { status_override: Some("failed".into()), ..behaviour() });
    let job = stack.scale_to(3).await;
    stack.assert_failed(&job, "resource_failed", "FAILED");
    assert_eq!(stack.sidecar.changes(), []);
}

#[actix_web::test]
async fn that_does_not_know_the_resource() {
    let known = Some(["api".parse().expect("an alias")].into());
    let stack = Stack::start(Behaviour { known, ..behaviour() });
    let job = stack.scale_to(3).await;
    stack.assert_failed(&job, "resource_not_found", "worker");
    assert_eq!(job.error.and_then(|error| error.sidecar).map(|said| said.status), Some(404));
}

#[actix_web::test]
async fn that_is_not_there() {
    let data = TempDir::new().expect("a directory");
    let no_sidecar = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port");
    let gateway = Gateway::start(data.path(), no_sidecar, &["--active-timeout", "1s", "--poll-interval", "100ms"]);
    let id = gateway.submit(&json!({"resource": "worker", "targetCapacity": 3})).await.id;
    let job = gateway.finish(id).await;
    let error = job.error.expect("it failed");
    assert_eq!(error.code, "sidecar_unreachable");
    assert!(error.message.contains("refused"), "{}", error.message);
}

#[actix_web::test]
async fn that_is_changed_by_another_program() {
    let stack = Stack::start(behaviour());
    let id = stack.gateway.submit(&json!({"resource": "worker", "targetCapacity": 3, "cooldownSeconds": 2.5})).await.id;
    let cooling = |job: &JobView| job.waiting_for.as_ref().is_some_and(|waiting| waiting.reason == "cooldown");
    stack.gateway.wait_for(id, cooling).await;
    stack.sidecar.with(|model, now| model.set_capacity(now, &crate::support::sidecar::worker(), units(5)));
    let job = stack.gateway.finish(id).await;
    assert_eq!(job.state, StateName::Succeeded, "{job:#?}");
    assert_eq!(stack.sidecar.capacity(), 3);
    let seen: Vec<_> = job.external_changes.iter().map(|change| (change.from_capacity, change.to_capacity)).collect();
    assert_eq!(seen, [(2, 5)]);
}
