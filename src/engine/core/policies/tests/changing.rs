//! Policies that decide while their resource changes.

use super::*;
use crate::domain::policy::ConditionCode;
use crate::domain::{Ending, ErrorCode, Move};

/// As [`by_queue`], with four units a step.
fn in_fours() -> Value {
    let mut document = by_queue();
    document["job"] = json!({"stepSize": 4});
    document
}

impl Scene {
    /// The change that is asked of the sidecar, if one is.
    pub(super) fn change(&self) -> Option<Move> {
        self.calls.iter().find_map(|(_, call)| match call {
            Call::Change(change) => Some(*change),
            Call::Read => None,
        })
    }

    fn conditions(&self) -> Vec<ConditionCode> {
        let policy = self.standing().policy.expect("a policy");
        policy.conditions.iter().map(|condition| condition.code).collect()
    }
}

/// The load changes while the first change of a job is on its way to the disk: one that leads beyond the new target is not
/// sent, and the next one leads to that target.
#[test]
fn an_intent_beyond_the_new_target_is_withdrawn() {
    for (capacity, first, then, sent, why) in [
        (3, 900.0, 800.0, (3, 7), "up: it leads to the new target as well"),
        (3, 900.0, 500.0, (3, 5), "up: it would lead beyond it"),
        (3, 900.0, 100.0, (3, 1), "up: the new target is below what there is"),
        (9, 100.0, 200.0, (9, 5), "down: it leads to the new target as well"),
        (9, 100.0, 700.0, (9, 7), "down: it would lead beyond it"),
        (9, 100.0, 1200.0, (9, 12), "down: the new target is above what there is"),
    ] {
        let mut scene = Scene::with(in_fours());
        scene.capacity = units(capacity);
        scene.wait(60);
        scene.push(first);
        scene.holds_commits = true;
        scene.answer_calls();
        assert!(scene.held.iter().any(|unit| !unit.jobs.is_empty()), "{why}: the intent is under way");
        scene.wait(1);
        scene.push(then);
        scene.wait(1);
        assert_eq!(scene.target().map(|target| f64::from(target) * 100.0), Some(then), "{why}");
        assert_eq!(scene.change(), None, "{why}: nothing is sent before it is on the disk");
        scene.release_commits();
        if scene.change().is_none() {
            scene.answer_calls();
        }
        let change = scene.change().map(|change| (change.from, change.to));
        assert_eq!(change, Some((units(sent.0), units(sent.1))), "{why}");
    }
}

/// A resource that is stuck in MODIFYING, whether before the first change of the job or after it, under a metric that has
/// another value every second.
#[test]
fn a_metric_that_wiggles_keeps_no_job_from_its_active_timeout() {
    for is_stuck_at_once in [true, false] {
        let mut document = by_queue();
        document["job"] = json!({"activeTimeoutSeconds": 300, "settleSeconds": 30});
        let mut scene = Scene::with(document);
        scene.push(900.0);
        if !is_stuck_at_once {
            scene.answer_calls();
            assert_eq!(scene.change().map(|change| change.to), Some(units(4)));
        }
        scene.status = "MODIFYING";
        let (job, begin) = (scene.job().expect("a job").id, scene.now);
        let mut seconds = 0;
        while let Some(found) = scene.job().filter(|found| found.id == job) {
            assert!(seconds <= 305, "{is_stuck_at_once}: {:?} after {seconds} s", found.waiting);
            scene.run(1);
            seconds = scene.now.since(begin).as_secs();
            scene.push(if seconds.is_multiple_of(2) { 900.0 } else { 800.0 });
        }
        assert!(seconds >= 300, "{is_stuck_at_once}: not after {seconds} s");
        let ended = scene.units.iter().flat_map(|unit| &unit.jobs).rfind(|version| version.id == job);
        let ended = ended.expect("a version");
        assert!(ended.retargets.count > 200, "{is_stuck_at_once}: {}", ended.retargets.count);
        let code = |ending: &Ending| if let Ending::Failed(error) = ending { Some(error.code) } else { None };
        assert_eq!(ended.ended().and_then(code), Some(ErrorCode::ActiveTimeout), "{is_stuck_at_once}");
        scene.wait(2);
        assert!(scene.conditions().contains(&ConditionCode::BackOff), "{is_stuck_at_once}");
    }
}

/// After a success the sidecar shows for a while what there was before it, with or without a timestamp.
#[test]
fn a_lagging_reading_after_a_success_changes_no_wish() {
    for is_stamped in [true, false] {
        let mut scene = Scene::with(json!({
            "min": 1, "max": 20, "metrics": {"queue": {"source": {"type": "push"}}},
            "rules": [{"name": "cpu", "type": "utilization", "metric": "queue", "target": 60}],
            "behavior": {"down": {"stabilizationSeconds": 0}}, "job": {"stepSize": 4, "pollIntervalSeconds": 5},
        }));
        let before = scene.now;
        scene.push(90.0);
        assert_eq!(scene.target(), Some(5), "3 units at 90 instead of 60");
        scene.run(10);
        assert_eq!((scene.capacity, scene.target()), (units(5), None), "it succeeded");
        scene.lagging = Some((units(3), is_stamped.then_some(before)));
        for second in 0..60 {
            scene.push(if second < 30 { 60.0 } else { 59.0 });
            scene.run(1);
            let decision = scene.standing().policy.and_then(|policy| policy.decision).expect("a decision");
            let found = (decision.capacity, decision.decided, scene.target());
            assert_eq!(found, (Some(units(5)), Some(units(5)), None), "{is_stamped}, after {second} s");
        }
    }
}

/// A job that ends by its deadline leaves a change behind of which nothing is known; the policy goes on.
#[test]
fn a_change_that_outlives_its_job_does_not_stop_the_policy() {
    let mut document = by_queue();
    document["job"] = json!({"deadlineSeconds": 20, "pollIntervalSeconds": 5, "settleSeconds": 30});
    let mut scene = Scene::with(document);
    scene.push(900.0);
    let first = scene.job().expect("a job").id;
    scene.answer_calls();
    scene.answer_calls();
    (scene.capacity, scene.status) = (units(3), "MODIFYING");
    scene.run(25);
    assert_eq!(scene.target(), None, "it ended by its deadline");
    scene.run(70);
    scene.push(900.0);
    scene.run(2);
    let job = scene.job().expect("another job after the pause");
    assert_ne!(job.id, first);
}

/// A hold that begins while a change is under way stops what leads on from where that may lead.
#[test]
fn a_request_under_a_hold_is_judged_against_the_change_under_way() {
    let mut scene = Scene::with(in_fours());
    scene.push(700.0);
    scene.answer_calls();
    assert_eq!(scene.change().map(|change| (change.from, change.to)), Some((units(3), units(7))));
    scene.ask(hold(HoldKind::Direction(Direction::Down)));
    for (target, is_held) in [(5, true), (2, true), (7, false), (9, false)] {
        let request = JobRequest::for_worker(Goal::Target(units(target)));
        assert_eq!(scene.core.hold_against(&request).is_some(), is_held, "{target}");
    }
}

#[test]
fn a_job_of_more_than_a_hundred_steps_is_superseded_by_a_new_one() {
    let mut document = by_queue();
    document["job"] = json!({"cooldownSeconds": 0, "settleSeconds": 0, "pollIntervalSeconds": 1});
    (document["max"], document["metrics"]["queue"]["maxAgeSeconds"]) = (json!(1000), json!(86_400));
    let mut scene = Scene::with(document);
    scene.push(100_000.0);
    let first = scene.job().expect("a job").id;
    while scene.job().is_some_and(|job| job.steps.len() <= 100) {
        scene.run(1);
    }
    assert_eq!(scene.job().map(|job| job.id), Some(first), "a job goes on as long as its target stays");
    scene.push(99_000.0);
    scene.run(2);
    let second = scene.job().expect("a job");
    assert_ne!(second.id, first);
    assert_eq!((second.target, second.is_worn_out()), (Some(units(990)), false));
    let ended = scene.units.iter().flat_map(|unit| &unit.jobs).rfind(|job| job.id == first).expect("a version");
    assert_eq!(ended.superseded_by(), Some(second.id));
    assert!(!scene.conditions().contains(&ConditionCode::BackOff), "that is no failure");
    let decision = scene.standing().policy.and_then(|policy| policy.decision).expect("a decision");
    assert_eq!(decision.decided, Some(units(990)));
}

/// A person cancels the job while its change is under way: there is no other job before that is over, and none that way after.
#[test]
fn a_canceled_job_is_not_replaced_while_its_change_is_under_way() {
    let mut scene = Scene::with(in_fours());
    scene.push(900.0);
    scene.answer_calls();
    assert!(scene.change().is_some(), "a change is on its way");
    scene.cancel();
    scene.wait(5);
    assert_eq!(scene.unfinished(), [(Some(units(9)), true)], "it is about to end, and there is no other");
    assert!(scene.conditions().contains(&ConditionCode::JobEnding));
    scene.run(120);
    assert_eq!((scene.capacity, scene.unfinished()), (units(7), Vec::new()));
    assert!(scene.conditions().contains(&ConditionCode::CanceledByPerson));
}
