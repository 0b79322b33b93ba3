//! What each stage makes of the number.

use super::*;
use crate::domain::policy::Beyond;

#[test]
fn the_highest_wish_wins_and_the_decision_explains_itself() {
    let rules = vec![
        target_rule("queue", OnMissing::Hold),
        target_rule("rps", OnMissing::Hold),
        window("office", 0, 32_400, Some(10), None, Ready::Before),
    ];
    let mut world = World::new(policy(1, 20, rules), 3);
    world.push(0, "queue", 812.0);
    world.push(0, "rps", 30.0);
    let outcome = world.go(2);
    let said = decision(&outcome);
    assert_eq!((said.wanted, said.decided, said.limited_by), (Some(units(9)), Some(units(10)), Some(Limiter::Windows)));
    assert_eq!((outcome.act, said.action), (submit(10), Action::Submitted));
    assert_eq!(said.detail, "From 3 to 10: office needs 10 until 17:00 UTC; queue alone would need 9.");
    let names: Vec<&str> = said.rules.iter().map(|rule| rule.name.as_str()).collect();
    assert_eq!(names, ["queue", "rps", "office"]);
    assert_eq!(said.otherwise_if.len(), 4);
    assert_eq!(said.otherwise_if[0].at, Beyond::Above(900.0));
    assert_eq!(outcome.wake_at, Some(at(300) + Duration::from_millis(1)), "when the values are too old");
    assert_eq!(world.look(3).act, Act::Nothing, "the job is under way");
}

#[test]
fn without_rules_that_recommend_a_policy_wants_its_least_capacity() {
    let mut world = World::new(policy(2, 20, vec![window("w", 10, 20, Some(10), None, Ready::After)]), 5);
    assert_eq!(world.decided(0), 2);
    world.own_job = None;
    assert_eq!((world.decided(10), world.decided(19), world.decided(20)), (10, 10, 2), "half open");
}

#[test]
fn with_recommending_rules_of_which_none_has_an_opinion_it_wants_what_there_is() {
    let mut world = World::new(policy(1, 20, vec![target_rule("queue", OnMissing::Ignore)]), 5);
    let outcome = world.go(0);
    assert_eq!((decision(&outcome).wanted, outcome.act), (Some(units(5)), Act::Nothing));
    assert_eq!(decision(&outcome).detail, "Stays at 5: no rule has an opinion.");
}

#[test]
fn a_missing_metric_neither_scales_to_the_minimum_nor_hides_behind_others() {
    let mut world = World::new(by_queue(), 9);
    world.policy.rules.push(target_rule("rps", OnMissing::Hold));
    world.push(0, "rps", 100.0);
    assert_eq!(world.decided(0), 9, "queue never had a value");
    world.push(0, "queue", f64::NAN);
    assert_eq!(world.decided(1), 9, "not a number");
    world.push(2, "queue", 200.0);
    assert_eq!(world.decided(2), 2);
    let fallback = OnMissing::Capacity { capacity: units(3), after: Duration::from_mins(2) };
    let mut long = World::new(policy(1, 20, vec![target_rule("queue", fallback)]), 20);
    let numbers: Vec<u32> = (0..8).map(|round| long.decided(round * 60)).collect();
    assert_eq!(numbers, [20, 20, 3, 3, 3, 3, 3, 3], "not at the maximum for hours, and no flipping");
}

#[test]
fn a_restart_does_not_forget_that_a_value_was_refuted() {
    let mut world = World::new(by_queue(), 9);
    world.push(0, "queue", 100.0);
    world
        .metrics
        .get_mut(&name("queue"))
        .expect("a series")
        .fail(at(1), crate::domain::policy::Missing::Invalid.into());
    assert_eq!(world.decided(1), 9);
    world.metrics.clear();
    world.push(0, "queue", 100.0);
    assert_eq!(world.decided(2), 9, "the failure is not among the samples");
    world.push(3, "queue", 100.0);
    assert_eq!(world.decided(3), 1);
}

#[test]
fn stabilisation_and_limits_survive_a_restart() {
    let mut world = World::new(by_queue(), 10);
    world.policy.behavior.down = Smoothing {
        stabilization: Duration::from_mins(5),
        max_units: Some(2),
        max_percent: None,
        period: Duration::from_mins(10),
    };
    for (second, expected) in [(0, 10), (299, 10), (300, 8), (500, 8), (899, 8), (900, 6)] {
        world.push(second, "queue", 100.0);
        assert_eq!(world.decided(second), expected, "after {second} s");
        let stored = serde_json::to_string(&world.state).expect("JSON");
        assert_eq!(serde_json::from_str::<PolicyState>(&stored).expect("a state"), world.state);
        world.state = serde_json::from_str(&stored).expect("a state");
    }
    assert_eq!(decision(&world.look(901)).limited_by, Some(Limiter::Behavior));
    assert_eq!(world.look(901).wake_at, Some(at(1200) + Duration::from_millis(1)));
}

#[test]
fn idle_goes_to_zero_and_back_at_once_and_never_on_a_missing_metric() {
    let mut world = World::new(policy(2, 20, vec![target_rule("queue", OnMissing::Hold)]), 4);
    world.policy.idle_after = Some(Duration::from_mins(15));
    for (second, value, expected, why) in [
        (0, Some(0.0), 2, "not to 0 yet"),
        (240, Some(0.0), 2, "still not"),
        (480, Some(0.0), 2, "still not"),
        (720, Some(0.0), 2, "still not"),
        (899, Some(0.0), 2, "one second less"),
        (900, Some(0.0), 0, "although min is higher"),
        (1300, None, 0, "a missing metric does not wake it"),
        (1301, Some(1.0), 2, "any load brings it to min"),
    ] {
        if let Some(value) = value {
            world.push(second, "queue", value);
        }
        assert_eq!(world.decided(second), expected, "{why}");
        world.finish(second);
    }
    let mut silent = World::new(policy(2, 20, vec![target_rule("queue", OnMissing::Hold)]), 4);
    silent.policy.idle_after = Some(Duration::from_secs(1));
    silent.push(0, "queue", 0.0);
    silent.decided(0);
    assert_eq!(silent.decided(301), 2, "a missing metric prevents it");
    silent.claims.push(claim(1, ClaimKind::AtLeast, 0, 900));
    silent.push(302, "queue", 0.0);
    silent.decided(302);
    assert_eq!(silent.decided(400), 2, "so does a claim");
}

#[test]
fn claims_are_a_floor_or_come_on_top_and_end_by_themselves() {
    let mut world = World::new(by_queue(), 3);
    world.push(0, "queue", 300.0);
    world.claims = vec![claim(5, ClaimKind::AtLeast, 0, 100), claim(2, ClaimKind::Extra, 0, 200)];
    assert_eq!(world.decided(0), 5);
    world.claims.push(claim(4, ClaimKind::Extra, 50, 200));
    assert_eq!(world.look(0).wake_at, Some(at(50)));
    assert_eq!((world.decided(50), world.decided(100), world.decided(200)), (9, 9, 3));
    assert_eq!(decision(&world.look(60)).limited_by, Some(Limiter::Claims));
}

#[test]
fn extra_units_are_no_part_of_what_there_is() {
    let mut world = World::new(policy(1, 20, vec![target_rule("queue", OnMissing::Ignore)]), 3);
    world.claims = vec![claim(4, ClaimKind::Extra, 0, 100)];
    assert_eq!(world.decided(0), 7);
    assert_eq!(world.decided(1), 7, "not once more on top of the target");
    world.finish(2);
    assert_eq!((world.decided(3), world.decided(100)), (7, 3), "nor on top of the capacity; then it is given back");
}

#[test]
fn a_window_with_a_date_counts_before_others_and_max_wins_where_they_contradict() {
    let rules =
        vec![window("low", 0, 100, None, Some(4), Ready::Before), window("high", 0, 100, Some(8), None, Ready::Before)];
    let outcome = World::new(policy(1, 20, rules), 6).look(0);
    assert_eq!(decision(&outcome).decided, Some(units(4)));
    assert_eq!(
        codes(&outcome),
        [ConditionCode::MetricMissing, ConditionCode::MetricMissing, ConditionCode::WindowsContradict]
    );
}

#[test]
fn adjoining_windows_have_no_dip_between_them() {
    let rules = vec![
        window("one", 0, 3600, Some(8), None, Ready::Before),
        window("two", 3600, 7200, Some(8), None, Ready::Before),
    ];
    let mut world = World::new(policy(1, 20, rules), 8);
    for second in [0, 3000, 3599, 3600, 3601, 7199] {
        assert_eq!(world.decided(second), 8, "after {second} s");
    }
}

#[test]
fn a_climb_begins_in_time_for_its_window() {
    // Three steps of five minutes each.
    let mut world = World::new(policy(1, 20, vec![window("nine", 3600, 7200, Some(4), None, Ready::Before)]), 1);
    let mut second = 0;
    let mut first = None;
    while second < 3600 {
        let outcome = world.go(second);
        if outcome.act != Act::Nothing && first.is_none() {
            first = Some(second);
        }
        let wake = outcome.wake_at.expect("the window is ahead");
        second = wake.since(NOW).as_secs().max(second + 1);
    }
    assert_eq!(first, Some(3600 - 900), "exactly when it has to");
    assert_eq!(world.own_job.map(|job| job.target), Some(units(4)));
}

#[test]
fn no_fall_is_sent_whose_cooldown_would_make_a_window_late() {
    let rules = vec![target_rule("queue", OnMissing::Hold), window("nine", 3600, 7200, Some(4), None, Ready::Before)];
    for (second, expected, why) in [(2000, 1, "there is time to fall and climb"), (3200, 4, "there is none")] {
        let mut world = World::new(policy(1, 20, rules.clone()), 4);
        world.push(second, "queue", 50.0);
        let outcome = world.go(second);
        let decided = decision(&outcome).decided.map(Capacity::units);
        assert!(decided >= Some(expected) && (second == 2000) == (decided < Some(4)), "{why}: {decided:?}");
    }
}
