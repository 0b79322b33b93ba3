mod ahead;

use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::domain::policy::{Name, Policy, Sample};
use crate::domain::{Bounds, Op, Settings, StepDurations};
use crate::policy::Document;

const BEGIN: Timestamp = Timestamp::from_millis(1_800_000_000_000);

fn minutes(minutes: u64) -> Duration {
    Duration::from_mins(minutes)
}

fn at(minute: u64) -> Timestamp {
    BEGIN + minutes(minute)
}

fn units(units: u32) -> Capacity {
    Capacity::try_from(units).expect("a small number")
}

/// A value each minute.
fn recording(values: impl IntoIterator<Item = f64>) -> Recording {
    let rows = values.into_iter().enumerate().map(|(nth, value)| Sample { at: at(nth as u64), value });
    Recording::new(rows.collect()).expect("in order")
}

fn plant(step_size: u32, cooldown: u64, provisioning: u64, removal: u64) -> PlantSpec {
    let [cooldown, provisioning, removal] = [cooldown, provisioning, removal].map(minutes);
    PlantSpec { provisioning, removal, step_size, cooldown }
}

fn policy(document: Value) -> Policy {
    Document::from(document).policy().expect("a policy")
}

/// One unit for each 100.
fn by_load() -> Policy {
    policy(json!({"min": 1, "max": 20, "metrics": {"load": {"source": {"type": "push"}}},
                  "rules": [{"name": "load", "type": "target", "metric": "load", "perUnit": 100}]}))
}

fn needs(recording: &Recording, span: Span) -> Vec<Need> {
    Demand { recording, per_unit: 100.0, max_age: minutes(5) }.needs(span)
}

fn setup(plant: PlantSpec, capacity: u32, span: Span) -> Setup {
    Setup {
        resource: "worker".parse().expect("an alias"),
        plant,
        capacity: units(capacity),
        learn_from: span.from,
        span,
        allowance: Allowance::default(),
    }
}

fn try_out(policy: &Policy, recording: &Recording, plant: PlantSpec, capacity: u32, to: u64) -> Run {
    let recordings = Recordings::from([("load".parse().expect("a name"), recording.clone())]);
    let span = Span { from: BEGIN, to: at(to) };
    play(policy, &recordings, &setup(plant, capacity, span))
}

/// What was sent: in which minute and to which capacity.
fn sent(run: &Run) -> Vec<(u64, u32)> {
    let minute = |at: Timestamp| at.since(BEGIN).as_secs() / 60;
    run.changes.iter().map(|change| (minute(change.at), change.movement.to.units())).collect()
}

#[test]
fn a_policy_climbs_as_its_resource_lets_it() {
    let recording = recording([150.0; 10].into_iter().chain([450.0; 30]).chain([150.0; 30]));
    let run = try_out(&by_load(), &recording, plant(1, 5, 3, 1), 2, 70);
    // Down 5 minutes after the load has gone: the highest wish of that time counts.
    assert_eq!(sent(&run), [(10, 3), (15, 4), (20, 5), (45, 4), (50, 3), (55, 2)]);
    let ready: Vec<_> = run.levels.iter().map(|level| (level.at.since(BEGIN).as_secs() / 60, level.ready)).collect();
    assert_eq!(&ready[..5], [(0, 2), (10, 2), (13, 3), (15, 3), (18, 4)]);
}

#[test]
fn a_slow_change_is_waited_for_and_a_missing_metric_lowers_nothing() {
    let recording = recording([450.0; 40]);
    let run = try_out(&by_load(), &recording, plant(1, 5, 12, 1), 2, 200);
    assert_eq!(sent(&run), [(0, 3), (12, 4), (24, 5)]);
}

#[test]
fn what_is_unmet_and_paid_is_counted_where_the_demand_is_known() {
    let span = Span { from: BEGIN, to: at(60) };
    let load = recording([300.0; 30]);
    let needs = needs(&load, span);
    let mut run = fixed(units(2), span);
    run.levels.push(Level { at: at(15), ready: 2, paid: 4 });
    run.levels.push(Level { at: at(20), ready: 4, paid: 4 });
    let score = score(&run, &needs, span);
    // Known for 29 minutes and the 5 that a value counts for.
    assert_eq!(score.unmet_unit_hours, 20.0 / 60.0);
    assert_eq!(score.unit_hours, (15.0 * 2.0 + 19.0 * 4.0) / 60.0);
    assert_eq!(score.unmet_share, 20.0 / (34.0 * 3.0));
    assert_eq!(score.under_provisioned_share, 20.0 / 34.0);
    assert_eq!((score.peak, score.changes), (4, 0));
}

#[test]
fn rows_are_in_the_order_of_time() {
    let rows = [5, 6, 6].map(|minute| Sample { at: at(minute), value: 1.0 });
    assert_eq!(Recording::new(rows.to_vec()), Err(OutOfOrder { row: 3 }));
}

#[test]
fn values_before_the_beginning_are_known_without_anything_being_done() {
    let recording = recording([900.0; 20]);
    let recordings = Recordings::from([("load".parse().expect("a name"), recording)]);
    let span = Span { from: at(10) + Duration::from_secs(30), to: at(11) };
    let setup = |learn_from| Setup { learn_from, ..setup(plant(1, 5, 1, 1), 2, span) };
    let run = play(&by_load(), &recordings, &setup(BEGIN));
    assert_eq!(run.changes.first().map(|change| change.at), Some(at(10) + Duration::from_secs(30)));
    assert!(play(&by_load(), &recordings, &setup(at(11))).changes.is_empty(), "nothing is known yet");
}

/// The best of all plans that change at minutes, by trying each.
fn best(
    needs: &[Need],
    spec: PlantSpec,
    bounds: Bounds,
    span: Span,
    run: &Run,
    free_at: u64,
    capacity: u32,
) -> (u64, u64) {
    let millis = |hours: f64| (hours * 3_600_000.0).round() as u64;
    let scored = score(run, needs, span);
    let mut best = (millis(scored.unmet_unit_hours), millis(scored.unit_hours));
    for minute in free_at..span.to.since(BEGIN).as_secs() / 60 {
        for to in bounds.min.units()..=bounds.max.units() {
            if to == capacity || to.abs_diff(capacity) > spec.step_size {
                continue;
            }
            let mut plant = Plant::new(spec, units(capacity));
            let change = plant.send(units(to), at(minute)).expect("it is free");
            let mut with = run.clone();
            with.levels.push(plant.level(change.at));
            plant.finish(change.ready_at);
            with.levels.push(plant.level(change.ready_at));
            let next = minute + spec.time_to_next(change.movement.op).as_secs() / 60;
            best = best.min(self::best(needs, spec, bounds, span, &with, next, to));
        }
    }
    best
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// No plan misses less, or as little for less.
    #[test]
    fn no_plan_is_better_than_the_limit(
        loads in prop::collection::vec(0..4_u32, 7),
        (step_size, cooldown, provisioning, removal) in (1..3_u32, 1..4_u64, 0..4_u64, 0..3_u64),
        start in 1..4_u32,
    ) {
        let span = Span { from: BEGIN, to: at(loads.len() as u64) };
        let load = recording(loads.iter().map(|load| f64::from(*load) * 100.0));
        let (needs, spec) = (needs(&load, span), plant(step_size, cooldown, provisioning, removal));
        let bounds = Bounds { min: units(1), max: units(3) };
        let Limit::Plan(plan) = limit(&needs, bounds, minutes(1), &setup(spec, start, span)) else {
            return Err(TestCaseError::fail("it is small"));
        };
        let scored = score(&plan, &needs, span);
        let millis = |hours: f64| (hours * 3_600_000.0).round() as u64;
        let found = (millis(scored.unmet_unit_hours), millis(scored.unit_hours));
        let expected = best(&needs, spec, bounds, span, &fixed(units(start), span), 0, start);
        prop_assert_eq!(found, expected, "{:?}", plan);
        // It is a plan that the resource lets be.
        for pair in plan.changes.windows(2) {
            prop_assert!(pair[1].at >= pair[0].at + spec.time_to_next(pair[0].movement.op));
            prop_assert!(pair[1].movement.units <= spec.step_size);
        }
    }

    /// The changes up to a moment do not depend on the rows after it.
    #[test]
    fn no_run_looks_ahead(
        loads in prop::collection::vec(0.0..1500.0_f64, 40..80),
        cut in 5..40_u64,
        other in prop::collection::vec(0.0..1500.0_f64, 40),
    ) {
        let until = |run: &Run| run.changes.iter().filter(|change| change.at < at(cut)).copied().collect::<Vec<_>>();
        let spec = plant(2, 5, 3, 1);
        let whole = try_out(&by_load(), &recording(loads.clone()), spec, 3, 80);
        let cut_off = try_out(&by_load(), &recording(loads[..cut as usize].to_vec()), spec, 3, cut);
        prop_assert_eq!(until(&whole), cut_off.changes);
        let changed = loads[..cut as usize].iter().copied().chain(other);
        prop_assert_eq!(until(&whole), until(&try_out(&by_load(), &recording(changed), spec, 3, 80)));
    }
}

#[test]
fn a_limit_that_is_too_large_is_a_bound() {
    let span = Span { from: BEGIN, to: at(10) };
    let load = recording([250.0; 10]);
    let spec = PlantSpec { provisioning: Duration::ZERO, cooldown: Duration::ZERO, ..plant(1, 0, 0, 0) };
    let bounds = Bounds { min: units(1), max: units(20) };
    let found = limit(&needs(&load, span), bounds, minutes(1), &setup(spec, 1, span));
    assert_eq!(found, Limit::Bound { unit_hours: 0.5 }, "changes that take no time have no grid");
    let many = Bounds { min: units(1), max: Capacity::MAX };
    let found = limit(&needs(&load, span), many, minutes(1), &setup(plant(1000, 5, 5, 0), 1, span));
    assert_eq!(found, Limit::Bound { unit_hours: 0.5 });
}

#[test]
fn a_plan_that_takes_too_much_memory_is_a_bound() {
    let span = Span { from: BEGIN, to: at(10) };
    let load = recording([250.0; 10]);
    let with = |most_choices| {
        let allowance = Allowance { most_choices, ..Allowance::default() };
        let setup = Setup { allowance, ..setup(plant(1, 5, 5, 0), 1, span) };
        limit(&needs(&load, span), Bounds { min: units(1), max: units(20) }, minutes(1), &setup)
    };
    // Ten points, and twenty capacities.
    assert!(matches!(with(200), Limit::Plan(_)));
    assert_eq!(with(199), Limit::Bound { unit_hours: 0.5 });
}

#[test]
fn a_backtest_that_is_to_stop_ends_early() {
    let span = Span { from: BEGIN, to: at(60) };
    let load = recording([250.0; 60]);
    let setup = setup(plant(1, 5, 5, 0), 1, span);
    setup.allowance.stop.clone().request();
    let recordings = Recordings::from([("load".parse().expect("a name"), load.clone())]);
    assert!(play(&by_load(), &recordings, &setup).changes.is_empty());
    let bounds = Bounds { min: units(1), max: units(20) };
    let Limit::Plan(plan) = limit(&needs(&load, span), bounds, minutes(1), &setup) else { panic!("it is small") };
    assert!(plan.changes.is_empty(), "{plan:?}");
}

#[test]
fn a_resource_is_expected_to_change_as_half_of_its_last_changes_did() {
    let (settings, expected) = (Settings::DEFAULT, Duration::from_secs(70));
    let mut durations = StepDurations::default();
    let spec = |durations: &StepDurations| {
        let spec = PlantSpec::expected(&settings, durations, expected);
        (spec.provisioning.as_secs(), spec.removal.as_secs())
    };
    assert_eq!(spec(&durations), (70, 0), "as the policy says, and at once");
    for seconds in [61, 130, 90, 500, 90] {
        durations.note(Op::Add, Duration::from_secs(seconds));
    }
    assert_eq!(spec(&durations), (120, 0), "in whole minutes");
    for _ in 0..5 {
        durations.note(Op::Remove, Duration::from_millis(200));
    }
    assert_eq!(spec(&durations), (120, 60));
    let known = PlantOverrides { removal: Some(minutes(3)), step_size: Some(7), ..PlantOverrides::default() };
    let with = PlantSpec::expected(&settings, &durations, expected).with(&known);
    assert_eq!(with, PlantSpec { step_size: 7, ..plant(1, 5, 2, 3) });
}

#[test]
fn the_demand_is_by_a_rule_that_reacts_and_else_by_one_that_looks_ahead() {
    let demand = |rules: serde_json::Value| {
        let metrics = serde_json::json!({"load": {"source": {"type": "push"}}, "rps": {"source": {"type": "push"}}});
        let document = serde_json::json!({"min": 1, "max": 9, "metrics": metrics, "rules": rules});
        let policy = crate::policy::Document::from(document).policy().expect("a policy");
        DemandSpec::by_rules(&policy).map(|demand| (demand.metric.to_string(), demand.per_unit))
    };
    let ahead = serde_json::json!({"name": "ahead", "type": "forecast", "metric": "rps", "perUnit": 50});
    let band = serde_json::json!({"name": "band", "type": "band", "metric": "load", "low": 3, "high": 7});
    let other = serde_json::json!({"name": "other", "type": "follow", "resource": "api"});
    assert_eq!(demand(serde_json::json!([other, ahead])), Some(("rps".to_owned(), 50.0)));
    assert_eq!(demand(serde_json::json!([ahead, band])), Some(("load".to_owned(), 7.0)));
    assert_eq!(demand(serde_json::json!([other])), None);
}

fn terms(from: Option<u64>, to: Option<u64>) -> Terms {
    Terms {
        resource: "worker".parse().expect("an alias"),
        demand: DemandSpec::by_rules(&by_load()).expect("a target rule"),
        plant: plant(1, 5, 5, 0),
        capacity: None,
        learn_from: None,
        from: from.map(at),
        to: to.map(at),
        allowance: Allowance::default(),
    }
}

#[test]
fn what_a_trial_is_not_told_it_takes_from_the_recording() {
    let recordings = || Recordings::from([("load".parse().expect("a name"), recording([350.0; 30]))]);
    let trial = |terms| Trial::new(by_load(), Vec::new(), recordings(), terms);
    let whole = trial(terms(None, None)).expect("a trial");
    let setup = whole.setup();
    assert_eq!((setup.span, setup.learn_from), (Span { from: at(0), to: at(29) }, at(0)));
    assert_eq!(setup.capacity, units(4), "what is needed then");
    assert!(whole.remarks().is_empty());
    let part = trial(terms(Some(10), Some(20))).expect("a trial");
    assert_eq!((part.setup().span.from, part.setup().learn_from), (at(10), at(0)), "what came before is known");
    let span = |from, to| Span { from: at(from), to: at(to) };
    assert_eq!(trial(terms(Some(20), Some(20))).err(), Some(NoTrial::NoTime(span(20, 20))));
    let metric: Name = "load".parse().expect("a name");
    // The last value counts for five minutes.
    assert!(trial(terms(Some(33), Some(50))).is_ok());
    let nothing = NoTrial::NothingKnown { metric: metric.clone(), span: span(34, 50) };
    assert_eq!(trial(terms(Some(34), Some(50))).err(), Some(nothing));
    let none = Trial::new(by_load(), Vec::new(), Recordings::new(), terms(None, None));
    assert_eq!(none.err(), Some(NoTrial::NoRecording(metric)));
}
