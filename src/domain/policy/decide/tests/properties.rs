//! What holds after every decision.

use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn decisions_keep_the_bounds_are_repeatable_and_survive_a_restart(
        events in prop::collection::vec((0_u64..400, prop::option::of(0_u32..3000), 0_u8..6), 1..30),
        min in 0_u32..4, more in 0_u32..12, file in 0_u32..20, idle in any::<bool>(),
        stabilization in 0_u64..600, max_units in prop::option::of(0_u32..4),
    ) {
        let mut world = World::new(policy(min, min + more, vec![target_rule("queue", OnMissing::Hold)]), 3);
        world.policy.idle_after = idle.then_some(Duration::from_mins(5));
        let period = Duration::from_mins(10);
        let smoothing = Smoothing { stabilization: Duration::from_secs(stabilization), max_units, max_percent: None, period };
        world.policy.behavior = Behavior { up: smoothing, down: smoothing };
        world.file_bounds = Bounds { min: Capacity::ZERO, max: units(file) };
        let mut second = 0;
        for (pause, value, event) in events {
            second += pause;
            if let Some(value) = value {
                world.push(second, "queue", f64::from(value));
            }
            match event {
                0 => world.finish(second),
                1 => world.fail(second, ErrorCode::NoProgress, None),
                2 => world.claims.push(claim(2, ClaimKind::Extra, second, second + 300)),
                _ => {}
            }
            let missing = world.metrics.get(&name("queue")).is_none_or(|series| {
                series.newest().is_none_or(|newest| at(second).since(newest.at) > Duration::from_mins(5))
            });
            let before = world.clone();
            let outcome = world.go(second);
            prop_assert_eq!(&before.look(second), &outcome, "repeatable");
            let stored = serde_json::to_string(&before.state).expect("JSON");
            let restarted = World { state: serde_json::from_str(&stored).expect("a state"), ..before.clone() };
            prop_assert_eq!(&restarted.look(second), &outcome, "the same after a restart");
            let decided = decision(&outcome).decided.expect("a number").units();
            prop_assert!(decided <= file.min(min + more));
            prop_assert!(decided >= min.min(file) || (idle && decided == 0), "{decided} below {min}");
            if missing {
                let there = act::target(before.own_job, units(before.capacity.expect("a capacity"))).units();
                let asked = there.saturating_sub(before.state.extra).min(min + more).min(file);
                prop_assert!(decided >= asked, "{decided} after {there}");
            }
            prop_assert!(outcome.wake_at.is_none_or(|wake_at| wake_at > at(second)));
        }
    }
}
