//! Clocks that are set between two processes.

use super::*;
use crate::domain::policy::ConditionCode;

/// Later by so many seconds, or earlier.
fn shifted(at: Timestamp, seconds: i64) -> Timestamp {
    Timestamp::from_millis(at.as_millis() + seconds * 1000)
}

/// What was decided every ten seconds after a restart on a clock that was set by so many seconds.
fn decided_after(document: &Value, set_by: i64, before: fn(&mut Scene), load: f64) -> Vec<Option<u32>> {
    let mut scene = Scene::with(document.clone());
    before(&mut scene);
    scene.wait(2);
    let there = shifted(scene.now, set_by);
    scene.restart_on(ScalingConfig::default(), scene.now, there);
    let decided = (0..80).map(|_| {
        scene.push(load);
        scene.run(10);
        let decision = scene.standing().policy.and_then(|policy| policy.decision);
        decision.and_then(|decision| decision.decided).map(Capacity::units)
    });
    decided.collect()
}

/// Every time in what a policy remembers decides something here: wishes, moves, a breach, and since when nothing was wanted.
#[test]
fn decisions_do_not_depend_on_a_clock_that_was_set_between_two_processes() {
    let metrics = json!({"queue": {"source": {"type": "push"}}});
    let target = json!([{"name": "queue", "type": "target", "metric": "queue", "perUnit": 100}]);
    let steps = json!([{"below": 250, "change": -1}]);
    let step = json!([{"name": "step", "type": "step", "metric": "queue", "forSeconds": 300, "steps": steps}]);
    let high_before: fn(&mut Scene) = |scene| {
        scene.capacity = units(9);
        scene.wait(60);
        scene.push(900.0);
        scene.run(100);
        scene.push(200.0);
        scene.run(10);
    };
    let idle_before: fn(&mut Scene) = |scene| {
        scene.push(0.0);
        scene.run(200);
    };
    for (document, before, load, why) in [
        (
            json!({"min": 1, "max": 20, "metrics": metrics, "rules": target,
                   "behavior": {"down": {"stabilizationSeconds": 400}}, "job": {"stepSize": 9}}),
            high_before,
            200.0,
            "wishes",
        ),
        (
            json!({"min": 1, "max": 20, "metrics": metrics, "rules": target, "job": {"stepSize": 9},
                   "behavior": {"down": {"stabilizationSeconds": 0, "maxUnits": 2, "periodSeconds": 400}}}),
            high_before,
            200.0,
            "moves",
        ),
        (
            json!({"min": 1, "max": 20, "metrics": metrics, "rules": step,
                   "behavior": {"down": {"stabilizationSeconds": 0}}}),
            high_before,
            200.0,
            "a breach",
        ),
        (
            json!({"min": 2, "max": 20, "metrics": metrics, "rules": target, "idle": {"afterSeconds": 600}}),
            idle_before,
            0.0,
            "idleness",
        ),
    ] {
        let without = decided_after(&document, 0, before, load);
        assert!(without.windows(2).any(|pair| pair[0] != pair[1]), "{why}: something happens: {without:?}");
        for set_by in [7_200, -7_200, 400_000] {
            assert_eq!(decided_after(&document, set_by, before, load), without, "{why}, set by {set_by} s");
        }
    }
}

/// A pause after a failure, and the time after a person's cancel.
#[test]
fn pauses_last_as_long_on_a_clock_that_was_set() {
    for set_by in [0, 7_200, -7_200] {
        let mut scene = Scene::with(by_queue());
        scene.push(900.0);
        scene.cancel();
        scene.wait(300);
        let there = shifted(scene.now, set_by);
        scene.restart_on(ScalingConfig::default(), scene.now, there);
        scene.wait(5);
        for (seconds, is_paused) in [(0, true), (590, true), (602, false)] {
            scene.now = there + Duration::from_secs(seconds);
            scene.push(900.0);
            scene.wait(1);
            let policy = scene.standing().policy.expect("a policy");
            let codes: Vec<_> = policy.conditions.iter().map(|condition| condition.code).collect();
            let found = (codes.contains(&ConditionCode::CanceledByPerson), scene.target().is_some());
            assert_eq!(found, (is_paused, !is_paused), "set by {set_by} s, {seconds} s later");
        }
    }
}

/// The machine was started anew with a clock that is two hours behind, which nothing can tell: what was remembered counts as
/// of now, and no new value is taken for an old one.
#[test]
fn a_clock_that_is_set_back_unnoticed_stops_nothing_for_long() {
    for (down, before, after, why) in [
        (json!({"stabilizationSeconds": 300}), 9, 2, "wishes"),
        (json!({"stabilizationSeconds": 0, "maxUnits": 2, "periodSeconds": 300}), 7, 5, "moves"),
    ] {
        let mut document = by_queue();
        (document["behavior"], document["job"]) = (json!({"down": down}), json!({"stepSize": 9, "cooldownSeconds": 0}));
        let mut scene = Scene::with(document);
        scene.capacity = units(9);
        scene.wait(60);
        scene.push(900.0);
        scene.run(5);
        scene.push(200.0);
        scene.run(10);
        let back = shifted(scene.now, -7_200);
        scene.now = back;
        scene.restart_on(ScalingConfig::default(), back, back);
        scene.wait(5);
        scene.push(200.0);
        scene.wait(2);
        let decision = |scene: &Scene| scene.standing().policy.and_then(|policy| policy.decision).expect("a decision");
        assert_eq!((decision(&scene).wanted, decision(&scene).decided), (Some(units(2)), Some(units(before))), "{why}");
        scene.now = back + Duration::from_secs(310);
        scene.push(200.0);
        scene.wait(2);
        assert_eq!(decision(&scene).decided, Some(units(after)), "{why}: no later than after the wait");
    }
}

/// The same for pauses: none is longer than it can be.
#[test]
fn no_pause_is_longer_than_it_can_be_on_a_clock_that_was_set_back() {
    let mut scene = Scene::with(by_queue());
    scene.push(900.0);
    scene.cancel();
    scene.wait(2);
    let back = shifted(scene.now, -7_200);
    scene.now = back;
    scene.restart_on(ScalingConfig::default(), back, back);
    scene.wait(5);
    scene.push(900.0);
    scene.wait(2);
    assert_eq!(scene.target(), None);
    scene.now = back + Duration::from_secs(901);
    scene.push(900.0);
    scene.wait(2);
    assert_eq!(scene.target(), Some(9));
}

/// Claims and holds end at the times that their callers were told.
#[test]
fn claims_and_holds_end_at_the_times_of_the_day_that_were_told() {
    for (set_by, stands) in [(0, true), (7_200, false), (-7_200, true)] {
        let mut scene = Scene::with(by_queue());
        scene.ask(hold(HoldKind::Direction(Direction::Up)));
        scene.ask(PolicyChangeRequest::Claim(claim(1, 2, 3600)));
        scene.wait(2);
        let there = shifted(scene.now, set_by);
        scene.restart_on(ScalingConfig::default(), scene.now, there);
        scene.wait(2);
        let standing = scene.standing();
        assert_eq!((standing.hold.is_some(), standing.claims.len() == 1), (stands, stands), "set by {set_by} s");
        let until = NOW + Duration::from_secs(3600);
        assert!(standing.claims.iter().all(|view| view.claim.until == until));
    }
}
