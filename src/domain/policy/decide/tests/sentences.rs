//! What decisions say, read as a person reads them at night.

use super::*;
use crate::domain::policy::{Band, Direction, Follow, NoValue, StepRule, Threshold, ThresholdChange, Utilization};

fn rule(kind: RuleKind) -> Vec<Rule> {
    vec![Rule { name: name("load"), kind }]
}

/// A resource at capacity 3 whose metric has this value, after `change`.
fn told(rules: Vec<Rule>, value: Option<f64>, change: fn(&mut World)) -> String {
    let mut world = World::new(policy(1, 20, rules), 3);
    world.policy.metrics.remove(&name("rps"));
    if let Some(value) = value {
        world.push(0, "queue", value);
    }
    change(&mut world);
    decision(&world.look(0)).detail.clone()
}

fn by_load(value: f64, change: fn(&mut World)) -> String {
    told(vec![target_rule("queue", OnMissing::Hold)], Some(value), change)
}

#[test]
fn a_sentence_says_what_happens_and_why() {
    for (told, expected) in [
        (by_load(812.0, |_| {}), "From 3 to 9: 812 at 100 per unit needs 9 (rule queue)."),
        (by_load(300.0, |_| {}), "Stays at 3: 300 at 100 per unit needs 3 (rule queue)."),
        (
            by_load(500.0, |world| world.own_job = Some(own_job(5))),
            "On the way to 5, now 3: 500 at 100 per unit needs 5 (rule queue).",
        ),
        (
            by_load(700.0, |world| world.own_job = Some(own_job(5))),
            "To 7 and no longer to 5, now 3: 700 at 100 per unit needs 7 (rule queue).",
        ),
        (
            by_load(812.0, |world| world.policy.mode = Mode::Advise),
            "Would go from 3 to 9: 812 at 100 per unit needs 9 (rule queue).",
        ),
        (
            by_load(812.0, |world| world.claims = vec![claim(12, ClaimKind::AtLeast, 0, 3600)]),
            "From 3 to 12: claims ask for at least 12 until 09:00 UTC; queue alone would need 9.",
        ),
        (
            by_load(812.0, |world| world.policy.max = units(6)),
            "From 3 to 6: max 6 of the policy; queue alone would need 9.",
        ),
        (
            by_load(100.0, |world| {
                world.policy.behavior.down.stabilization = Duration::from_mins(5);
            }),
            "Stays at 3: down only as far as all wishes of the last 300 s agree, not before 08:05 UTC; queue alone \
             would need 1.",
        ),
        (
            by_load(900.0, |world| {
                let period = Duration::from_mins(10);
                world.policy.behavior.up = Smoothing { max_units: Some(2), period, ..FREE };
            }),
            "From 3 to 5: at most 2 more within 600 s, until 08:10 UTC; queue alone would need 9.",
        ),
        (
            by_load(900.0, |world| {
                let period = Duration::from_mins(10);
                world.policy.behavior.up = Smoothing { max_units: Some(0), period, ..FREE };
            }),
            "Stays at 3: the policy allows no rise; queue alone would need 9.",
        ),
    ] {
        assert_eq!(told, expected);
    }
}

/// What keeps a policy from acting is told with what it would do otherwise.
#[test]
fn a_sentence_never_tells_of_a_change_that_is_not_sent() {
    for (told, expected) in [
        (
            by_load(812.0, |world| world.others_job = Some(Uuid::nil())),
            "Stays at 3 instead of 9: 812 at 100 per unit needs 9 (rule queue). Nothing is sent: Job \
             00000000-0000-0000-0000-000000000000 of a caller is unfinished. To keep the policy away for longer, make a hold.",
        ),
        (
            by_load(812.0, |world| world.status = "FAILED"),
            "Stays at 3 instead of 9: 812 at 100 per unit needs 9 (rule queue). Nothing is sent: The status of the resource \
             is FAILED; nothing is sent until a reading differs.",
        ),
        (
            by_load(812.0, |world| world.fail(0, ErrorCode::NoProgress, None)),
            "Stays at 3 instead of 9: 812 at 100 per unit needs 9 (rule queue). Nothing is sent: A job failed on the way up \
             (no_progress); the next one begins after 08:01 UTC.",
        ),
        (
            by_load(812.0, |world| world.fail(0, ErrorCode::SidecarRejected, Some(5))),
            "Stays at 3 instead of 4: the platform refused 5; it is asked again after 09:00 UTC; queue alone would need 9. \
             Nothing is sent: A job failed on the way up (sidecar_rejected); the next one begins after 08:01 UTC.",
        ),
        (
            by_load(812.0, |world| {
                world.state.on_job_ended(Op::Add, JobEnd::CanceledByPerson, NOW);
                world.own_job = Some(own_job(2));
            }),
            "Stays at 3 and ends the job to 2: 812 at 100 per unit needs 9 (rule queue). No more is sent: A person canceled \
             a job on the way up; the next one that way begins after 08:15 UTC.",
        ),
        (
            by_load(812.0, |world| world.hold = Some(hold(HoldKind::Direction(Direction::Up), 3600))),
            "Stays at 3: no rise by a hold until 09:00 UTC; queue alone would need 9.",
        ),
        (
            by_load(812.0, |world| {
                world.hold = Some(hold(HoldKind::Direction(Direction::Both), 3600));
                world.own_job = Some(own_job(9));
            }),
            "Stays at 3 and ends the job to 9: no change by a hold until 09:00 UTC; queue alone would need 9.",
        ),
        (
            by_load(812.0, |world| {
                world.policy.mode = Mode::Advise;
                world.own_job = Some(own_job(9));
            }),
            "Ends the job to 9, now 3, since the mode is advise; would decide 9: 812 at 100 per unit needs 9 (rule queue).",
        ),
        (by_load(812.0, |world| world.capacity = None), "Nothing is decided: there is no usable reading yet."),
    ] {
        assert_eq!(told, expected);
    }
}

#[test]
fn each_kind_of_rule_says_why_in_words() {
    let metric = || name("queue");
    let on_missing = OnMissing::Hold;
    let band = || rule(RuleKind::Band(Band { metric: metric(), high: 100.0, low: 50.0, on_missing }));
    let cpu =
        || rule(RuleKind::Utilization(Utilization { metric: metric(), target: 60.0, tolerance: 0.1, on_missing }));
    let steps = vec![ThresholdChange { threshold: Threshold::Above(0.5), change: 2 }];
    let breach_time = Duration::ZERO;
    let step = || rule(RuleKind::Step(StepRule { metric: metric(), breach_time, steps: steps.clone(), on_missing }));
    let follow =
        |offset| rule(RuleKind::Follow(Follow { resource: "api".parse().expect("an alias"), ratio: 0.5, offset }));
    let queue = |on_missing| vec![target_rule("queue", on_missing)];
    let after = |seconds| OnMissing::Capacity { capacity: units(7), after: Duration::from_secs(seconds) };
    let nothing: fn(&mut World) = |_| {};
    for (told, expected) in [
        (told(band(), Some(420.0), nothing), "From 3 to 5: 420 at 100 per unit at most needs 5 (rule load)."),
        (told(band(), Some(60.0), nothing), "From 3 to 1: 60 at 50 per unit at least keeps 1 busy (rule load)."),
        (told(band(), Some(200.0), nothing), "Stays at 3: 200 keeps 3 between 50 and 100 per unit (rule load)."),
        (told(cpu(), Some(90.0), nothing), "From 3 to 5: 90 on 3 units instead of 60 needs 5 (rule load)."),
        (told(cpu(), Some(61.0), nothing), "Stays at 3: 61 is close enough to 60 (rule load)."),
        (told(step(), Some(0.7), nothing), "From 3 to 5: 0.7 is above 0.5, so 3 + 2 (rule load)."),
        (told(step(), Some(0.3), nothing), "Stays at 3: no rule has an opinion."),
        (told(follow(0), None, nothing), "Stays at 3: the target of api is not known, so not below 3 (rule load)."),
        (
            told(queue(OnMissing::Hold), None, nothing),
            "Stays at 3: queue has no value yet, so not below 3 (rule queue).",
        ),
        (told(queue(OnMissing::Ignore), None, nothing), "Stays at 3: no rule has an opinion."),
        (
            told(queue(OnMissing::Hold), Some(300.0), |world| {
                let series = world.metrics.get_mut(&name("queue")).expect("a series");
                series.fail(at(0), NoValue::invalid("the answer is empty, with status 204"));
            }),
            "Stays at 3: queue has no usable value (the answer is empty, with status 204), so not below 3 (rule queue).",
        ),
        (
            told(
                rule(RuleKind::Target(Target { metric: metric(), per_unit: 1e308, on_missing })),
                Some(1.5e308),
                nothing,
            ),
            "From 3 to 2: 1.5e308 at 1e308 per unit needs 2 (rule load).",
        ),
        (
            told(queue(after(0)), None, nothing),
            "From 3 to 7: queue has no value yet, for 0 s or longer, so 7 as the policy says (rule queue).",
        ),
        (told(Vec::new(), None, nothing), "From 3 to 1: no rule asks for more than the policy's min, 1."),
    ] {
        assert_eq!(told, expected);
    }
}

#[test]
fn windows_say_from_when_and_until_when_they_ask() {
    let queue = || target_rule("queue", OnMissing::Hold);
    let told = |window: Rule, value: f64| told(vec![queue(), window], Some(value), |_| {});
    for (told, expected) in [
        (
            told(window("office", 0, 32_400, Some(10), None, Ready::Before), 812.0),
            "From 3 to 10: office needs 10 until 17:00 UTC; queue alone would need 9.",
        ),
        (
            told(window("night", 0, 32_400, None, Some(2), Ready::Before), 812.0),
            "From 3 to 2: night allows 2 until 17:00 UTC; queue alone would need 9.",
        ),
        (
            told(window("office", 2100, 32_400, Some(10), None, Ready::Before), 100.0),
            "From 3 to 4: office needs 4 now to have 10 at 08:35 UTC; queue alone would need 1.",
        ),
        (
            told(window("office", 900, 32_400, Some(3), None, Ready::Before), 100.0),
            "From 3 to 2: not below 2 now, or office would be late for 08:15 UTC; queue alone would need 1.",
        ),
    ] {
        assert_eq!(told, expected);
    }
}

/// Steps of one take five minutes each: from 3 to 10 takes 35 minutes.
#[test]
fn a_window_that_cannot_be_reached_in_time_is_not_promised() {
    let queue = || target_rule("queue", OnMissing::Hold);
    let told = |opens, closes, load: f64, change: fn(&mut World)| {
        told(vec![queue(), window("nine", opens, closes, Some(10), None, Ready::Before)], Some(load), change)
    };
    let nothing: fn(&mut World) = |_| {};
    for (told, expected) in [
        (
            told(1200, 9000, 100.0, nothing),
            "From 3 to 7: nine needs 7 now but is late: it will have 10 at about 08:35 UTC, not at 08:20 UTC; queue alone \
             would need 1.",
        ),
        (
            told(1200, 2101, 100.0, nothing),
            "From 3 to 7: nine needs 7 now but is late: it will have 10 at about 08:35 UTC, not at 08:20 UTC; queue alone \
             would need 1.",
        ),
        (
            told(1200, 2100, 100.0, nothing),
            "From 3 to 7: nine needs 7 now but is late: it will have 10 neither at 08:20 UTC nor before it closes at 08:35 \
             UTC; queue alone would need 1.",
        ),
        (
            told(1200, 9000, 100.0, |world| {
                world.own_job = Some(own_job(7));
                (world.in_flight, world.next_change_at) = (Some(units(4)), Some(at(300)));
            }),
            "To 8 and no longer to 7, now 3: nine needs 8 now but is late: it will have 10 at about 08:35 UTC, not at 08:20 \
             UTC; queue alone would need 1.",
        ),
    ] {
        assert_eq!(told, expected);
    }
}

/// An entry of the ledger that stands for many equal decisions says what the last of them said.
#[test]
fn equal_decisions_say_what_is_so_now() {
    let mut world = World::new(by_queue(), 3);
    world.push(0, "queue", 500.0);
    world.own_job = Some(own_job(5));
    let mut first = decision(&world.look(0)).clone();
    world.finish(1);
    world.push(2, "queue", 480.0);
    let second = decision(&world.look(2)).clone();
    assert!(first.is_like(&second));
    first.absorb(second);
    assert_eq!(first.detail, "Stays at 5: 480 at 100 per unit needs 5 (rule queue).");
    assert_eq!((first.capacity, first.count, first.at), (Some(units(5)), 2, NOW));
}
