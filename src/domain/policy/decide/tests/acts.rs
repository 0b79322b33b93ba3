//! What is done, what keeps the policy from it, and what is kept of decisions.

use super::*;
use crate::domain::policy::{Direction, Utilization};

#[test]
fn a_hold_blocks_its_direction_and_a_pin_sets_the_number() {
    for (kind, load, job, expected, act, why) in [
        (HoldKind::Direction(Direction::Both), 900.0, None, 5, Act::Nothing, "both, up"),
        (HoldKind::Direction(Direction::Both), 100.0, None, 5, Act::Nothing, "both, down"),
        (HoldKind::Direction(Direction::Up), 900.0, None, 5, Act::Nothing, "up"),
        (HoldKind::Direction(Direction::Up), 100.0, None, 1, submit(1), "down is free"),
        (HoldKind::Direction(Direction::Down), 100.0, None, 5, Act::Nothing, "down"),
        (HoldKind::Direction(Direction::Up), 900.0, Some(9), 5, Act::Cancel { job: Uuid::nil() }, "its job ends"),
        (HoldKind::Capacity(units(7)), 900.0, None, 7, submit(7), "a pin"),
        (
            HoldKind::Capacity(units(7)),
            900.0,
            Some(9),
            7,
            Act::Retarget { job: Uuid::nil(), target: units(7) },
            "a pin leads the job",
        ),
    ] {
        let mut world = World::new(by_queue(), 5);
        world.own_job = job.map(own_job);
        world.push(0, "queue", load);
        world.hold = Some(hold(kind, 60));
        let outcome = world.go(0);
        assert_eq!((decision(&outcome).decided, outcome.act), (Some(units(expected)), act), "{why}");
        assert_eq!(outcome.wake_at, Some(at(60)), "it ends by itself");
    }
}

/// A change is under way when a hold begins: it may have taken effect already, and may never. What is decided is a change in
/// the held direction from neither place.
#[test]
fn a_hold_is_judged_against_what_there_is_and_what_a_change_leads_to() {
    let (cancel, nothing) = (Act::Cancel { job: Uuid::nil() }, Act::Nothing);
    let retarget = |target| Act::Retarget { job: Uuid::nil(), target: units(target) };
    for (direction, in_flight, load, job, act, why) in [
        (Direction::Down, 7, 600.0, Some(7), nothing, "6 is a fall once 7 is there"),
        (Direction::Down, 7, 600.0, Some(6), cancel, "its job would fall to 6 once 7 is there"),
        (Direction::Down, 7, 900.0, Some(7), retarget(9), "up is free"),
        (Direction::Down, 3, 200.0, Some(2), cancel, "its job would fall on"),
        (Direction::Up, 3, 400.0, Some(3), nothing, "4 is a rise once 3 is there"),
        (Direction::Up, 3, 400.0, Some(4), cancel, "its job would rise to 4 once 3 is there"),
        (Direction::Up, 3, 200.0, Some(3), retarget(2), "down is free"),
        (Direction::Up, 7, 900.0, None, nothing, "7 may never be there"),
        (Direction::Up, 7, 400.0, None, submit(4), "down from both"),
        (Direction::Both, 7, 500.0, Some(5), cancel, "its job would go back to 5 once 7 is there"),
        (Direction::Both, 7, 700.0, Some(7), cancel, "7 may never be there"),
        (Direction::Both, 7, 500.0, None, nothing, "nothing new"),
    ] {
        let mut world = World::new(by_queue(), 5);
        (world.own_job, world.in_flight) = (job.map(own_job), Some(units(in_flight)));
        world.push(0, "queue", load);
        world.hold = Some(hold(HoldKind::Direction(direction), 60));
        assert_eq!(world.look(0).act, act, "{direction:?}, 5 to {in_flight}, {job:?}: {why}");
    }
}

/// The same for a direction that is paused after a failure.
#[test]
fn a_paused_direction_is_judged_against_what_a_change_leads_to_as_well() {
    for (op, in_flight, load, job, act, why) in [
        (Op::Add, 3, 400.0, Some(3), Act::Nothing, "4 is a rise once 3 is there"),
        (Op::Add, 3, 200.0, Some(3), Act::Retarget { job: Uuid::nil(), target: units(2) }, "down is free"),
        (Op::Remove, 7, 600.0, Some(7), Act::Nothing, "6 is a fall once 7 is there"),
        (Op::Add, 7, 900.0, None, Act::Nothing, "nothing new"),
    ] {
        let mut world = World::new(by_queue(), 5);
        (world.own_job, world.in_flight) = (job.map(own_job), Some(units(in_flight)));
        world.push(0, "queue", load);
        world.state.on_job_ended(op, JobEnd::CanceledByPerson, NOW);
        assert_eq!(world.look(0).act, act, "{op:?}, 5 to {in_flight}: {why}");
    }
}

#[test]
fn a_worn_out_job_gives_way_to_a_new_one_when_the_target_changes() {
    let mut world = World::new(by_queue(), 5);
    world.own_job = Some(OwnJob { is_worn_out: true, ..own_job(9) });
    world.push(0, "queue", 900.0);
    assert_eq!(world.look(0).act, Act::Nothing, "it still does what is wanted");
    world.push(1, "queue", 700.0);
    let outcome = world.look(1);
    assert_eq!((outcome.act, decision(&outcome).action), (submit(7), Action::Submitted));
}

#[test]
fn a_policy_in_a_circle_changes_nothing_and_says_so() {
    let mut world = World::new(by_queue(), 3);
    world.circle = ["worker", "api", "worker"].map(|alias| alias.parse().expect("an alias")).to_vec();
    world.push(0, "queue", 900.0);
    for job in [None, Some(own_job(5))] {
        world.own_job = job;
        let outcome = world.look(0);
        assert_eq!((outcome.act, codes(&outcome)[0]), (Act::Nothing, ConditionCode::FollowsItself));
        let detail = &decision(&outcome).detail;
        assert!(detail.contains("follow each other in a circle (worker, api, worker)"), "{detail}");
    }
}

#[test]
fn the_end_of_a_hold_and_of_a_persons_job_make_what_there_is_a_wish() {
    for held in [true, false] {
        let mut world = World::new(by_queue(), 8);
        world.policy.behavior.down.stabilization = Duration::from_mins(5);
        world.push(0, "queue", 100.0);
        world.go(0);
        if held {
            world.hold = Some(hold(HoldKind::Direction(Direction::Both), 600));
        } else {
            world.others_job = Some(Uuid::nil());
        }
        world.go(1);
        world.push(600, "queue", 100.0);
        let during = world.go(599);
        assert_eq!(during.act, Act::Nothing, "{held}");
        world.others_job = None;
        assert_eq!(world.decided(600), 8, "{held}: not at once");
        world.push(899, "queue", 100.0);
        assert_eq!((world.decided(899), world.decided(900)), (8, 1), "{held}");
    }
}

#[test]
fn the_bounds_of_policy_and_configuration_hold_on_every_path() {
    let mut world = World::new(by_queue(), 3);
    world.push(0, "queue", 2_147_483_648.0 / 0.1);
    assert_eq!(decision(&world.look(0)).limited_by, Some(Limiter::Bounds));
    assert_eq!(world.look(0).act, submit(20));
    world.file_bounds = Bounds { min: units(0), max: units(8) };
    assert_eq!(decision(&world.look(0)).limited_by, Some(Limiter::File));
    assert_eq!(world.look(0).act, submit(8));
    world.policy.mode = Mode::Advise;
    world.capacity = Some(30);
    let advice = world.look(0);
    assert_eq!((advice.act, decision(&advice).action), (Act::Nothing, Action::Advised), "advice changes nothing");
    world.file_bounds = Bounds::NONE;
    let advice = world.look(0);
    assert_eq!(decision(&advice).limited_by, Some(Limiter::Bounds));
    assert_eq!((advice.act, decision(&advice).action), (Act::Nothing, Action::Advised), "with each bound");
}

#[test]
fn failures_pause_their_direction_alone_ever_longer_until_one_succeeds() {
    let mut world = World::new(by_queue(), 3);
    let mut second = 0;
    for pause in [60, 120, 240, 480, 960, 1920, 3600, 3600] {
        world.push(second, "queue", 900.0);
        assert_eq!(world.go(second).act, submit(9));
        world.fail(second, ErrorCode::NoProgress, None);
        let outcome = world.look(second);
        assert_eq!((outcome.act, codes(&outcome).contains(&ConditionCode::BackOff)), (Act::Nothing, true));
        assert!(decision(&outcome).detail.contains("Nothing is sent: "), "{}", decision(&outcome).detail);
        world.push(second + pause - 1, "queue", 900.0);
        assert_eq!(world.look(second + pause - 1).act, Act::Nothing, "after {pause} s");
        second += pause;
    }
    world.push(second - 1, "queue", 100.0);
    world.fail(second - 1, ErrorCode::NoProgress, None);
    assert_eq!(world.look(second - 1).act, submit(1), "the other direction goes on");
    world.push(second, "queue", 900.0);
    world.state.on_job_ended(Op::Add, JobEnd::Succeeded, at(second));
    assert_eq!(world.look(second).act, submit(9));
}

#[test]
fn a_refused_capacity_is_a_limit_for_longer_than_the_pause() {
    let mut world = World::new(by_queue(), 3);
    world.push(0, "queue", 900.0);
    world.go(0);
    world.fail(0, ErrorCode::SidecarRejected, Some(5));
    let outcome = world.look(1);
    let said = decision(&outcome);
    assert_eq!((said.decided, said.limited_by, outcome.act), (Some(units(4)), Some(Limiter::Platform), Act::Nothing));
    assert_eq!(codes(&outcome)[..2], [ConditionCode::BackOff, ConditionCode::CapacityRefused]);
    assert_eq!(outcome.wake_at, Some(at(60)));
    assert_eq!(world.look(60).act, submit(4), "what is free below it is used");
    world.go(60);
    (world.own_job, world.capacity) = (None, Some(4));
    world.state.on_job_ended(Op::Add, JobEnd::Succeeded, at(120));
    world.push(3599, "queue", 900.0);
    assert_eq!(world.look(3599).act, Act::Nothing, "a success below it does not end it");
    assert_eq!(world.look(3600).act, submit(9), "an hour later the platform is asked again");
    let renewed = world.state.adapt(&world.policy, &world.policy);
    assert_eq!(World { state: renewed, ..world }.look(1).act, submit(9), "or until the policy changes");
}

/// Its change would be followed by one of the next job, which the policy would have to take back.
#[test]
fn no_job_is_submitted_while_the_one_before_is_about_to_end() {
    let mut world = World::new(by_queue(), 3);
    world.push(0, "queue", 900.0);
    world.go(0);
    (world.ending_job, world.own_job) = (world.own_job.map(|job| job.id), None);
    let outcome = world.go(1);
    assert_eq!((outcome.act, codes(&outcome)[0]), (Act::Nothing, ConditionCode::JobEnding));
    // What its change leads to is no other program's doing.
    (world.ending_job, world.capacity) = (None, Some(4));
    world.push(2, "queue", 100.0);
    assert_eq!(world.go(2).act, submit(1));
}

#[test]
fn a_capacity_that_another_program_set_stays_as_long_as_a_wish() {
    let mut world = World::new(by_queue(), 1);
    world.policy.behavior.down.stabilization = Duration::from_mins(5);
    world.push(0, "queue", 100.0);
    assert_eq!(world.go(0).act, Act::Nothing);
    world.capacity = Some(9);
    world.push(400, "queue", 100.0);
    assert_eq!(world.go(400).act, Act::Nothing, "nothing wanted fewer than 9 for five minutes");
    world.push(700, "queue", 100.0);
    assert_eq!(world.go(700).act, submit(1));
    // What the policy's own job did is no other program's doing.
    (world.capacity, world.own_job) = (Some(1), None);
    world.push(701, "queue", 400.0);
    assert_eq!(world.go(701).act, submit(4));
}

#[test]
fn a_failed_resource_and_a_persons_job_are_left_alone() {
    let mut world = World::new(by_queue(), 3);
    world.push(0, "queue", 900.0);
    world.status = "FAILED";
    let outcome = world.look(0);
    assert_eq!((outcome.act, codes(&outcome)[0]), (Act::Nothing, ConditionCode::ResourceFailed));
    world.status = "ACTIVE";
    world.others_job = Some(Uuid::nil());
    let outcome = world.look(0);
    assert_eq!((outcome.act, codes(&outcome)[0]), (Act::Nothing, ConditionCode::OthersJob));
    world.others_job = None;
    assert_eq!(world.look(0).act, submit(9));
    world.capacity = None;
    let outcome = world.look(0);
    assert_eq!((outcome.act, decision(&outcome).decided), (Act::Nothing, None));
}

#[test]
fn a_persons_cancel_keeps_the_policy_from_that_direction_for_fifteen_minutes() {
    let mut world = World::new(by_queue(), 3);
    world.state.on_job_ended(Op::Add, JobEnd::CanceledByPerson, NOW);
    world.push(899, "queue", 900.0);
    let outcome = world.look(899);
    assert_eq!((outcome.act, codes(&outcome)[0]), (Act::Nothing, ConditionCode::CanceledByPerson));
    assert_eq!((outcome.wake_at, world.look(900).act), (Some(at(900)), submit(9)));
    world.push(899, "queue", 100.0);
    assert_eq!(world.look(899).act, submit(1));
}

#[test]
fn a_job_is_retargeted_and_canceled_only_when_the_policy_stops_acting() {
    let mut world = World::new(by_queue(), 3);
    world.push(0, "queue", 900.0);
    world.go(0);
    let job = world.own_job.expect("a job").id;
    world.push(1, "queue", 500.0);
    assert_eq!(world.go(1).act, Act::Retarget { job, target: units(5) });
    for mode in [Mode::Advise, Mode::Off] {
        world.policy.mode = mode;
        assert_eq!(world.look(2).act, Act::Cancel { job });
    }
    assert_eq!(world.look(2).decision, None, "off decides nothing");
}

#[test]
fn advice_stands_until_it_is_followed() {
    let mut world = World::new(by_queue(), 3);
    world.policy.mode = Mode::Advise;
    world.policy.behavior.up = Smoothing { max_units: Some(2), period: Duration::from_mins(10), ..FREE };
    world.push(0, "queue", 900.0);
    assert_eq!((world.decided(0), world.decided(100)), (5, 5), "advice uses up no limit");
    assert_eq!(world.own_job, None);
}

#[test]
fn equal_decisions_are_one_with_a_count() {
    let mut world = World::new(by_queue(), 9);
    world.push(0, "queue", 812.0);
    let mut first = decision(&world.go(0)).clone();
    world.push(5, "queue", 850.0);
    let second = decision(&world.go(5)).clone();
    assert!(first.is_like(&second));
    first.absorb(second.clone());
    assert_eq!((first.count, first.at, first.last_at), (2, NOW, at(5)));
    assert_eq!(first.last_metrics, Some(second.metrics));
    assert_eq!((&first.detail, &first.rules), (&second.detail, &second.rules), "no old value stands there for hours");
    world.push(6, "queue", 912.0);
    assert!(!first.is_like(decision(&world.go(6))), "another wish");
    let mut waiting = World::new(by_queue(), 3);
    waiting.push(0, "queue", 812.0);
    waiting.others_job = Some(Uuid::nil());
    let blocked = decision(&waiting.look(0)).clone();
    (waiting.others_job, waiting.ending_job) = (None, Some(Uuid::nil()));
    assert!(!blocked.is_like(decision(&waiting.look(0))), "something else keeps it from acting");
    assert!(!first.is_like(decision(&World::new(by_queue(), 9).look(400))), "the metric is missing");
}

#[test]
fn replacing_a_policy_keeps_wishes_and_the_rules_that_did_not_change() {
    let kind = RuleKind::Utilization(Utilization {
        metric: name("queue"),
        target: 60.0,
        tolerance: 0.1,
        on_missing: OnMissing::Hold,
    });
    let old = policy(1, 20, vec![Rule { name: name("cpu"), kind }]);
    let mut world = World::new(old.clone(), 4);
    world.push(0, "queue", 90.0);
    assert_eq!(world.decided(0), 6);
    let more =
        Policy { rules: [old.rules.clone(), vec![target_rule("rps", OnMissing::Ignore)]].concat(), ..old.clone() };
    world.last_effect_at = Some(at(1));
    let kept = World { state: world.state.adapt(&old, &more), policy: more, ..world.clone() };
    assert_eq!(decision(&kept.look(2)).rules[0].says, Says::Wants(Some(units(6))));
    let mut changed = old.clone();
    if let RuleKind::Utilization(rule) = &mut changed.rules[0].kind {
        rule.target = 61.0;
    }
    let new = World { state: world.state.adapt(&old, &changed), policy: changed, ..world };
    assert_eq!(decision(&new.look(2)).rules[0].says, Says::Wants(None));
}

#[test]
fn an_idle_gateway_is_woken_by_nothing_but_its_timers() {
    let mut world = World::new(policy(1, 20, vec![window("over", 0, 10, Some(2), None, Ready::Before)]), 1);
    world.policy.metrics.clear();
    assert_eq!(world.look(20).wake_at, None);
}
