//! Policies that look ahead, on load with a daily pattern.

use super::*;

const DAY: u64 = 1440;

/// Quiet nights, working days that begin faster than units can be added, and some noise that is the same in every run.
fn daily(minute: u64) -> f64 {
    let hour = (minute % DAY) as f64 / 60.0;
    let busy = ((hour - 8.0).clamp(0.0, 1.0) - (hour - 18.0).clamp(0.0, 1.0)) * 1700.0;
    let noise = (minute.wrapping_mul(2_654_435_761) % 97) as f64 / 97.0 - 0.5;
    (150.0 + busy) * (1.0 + 0.06 * noise)
}

/// One unit for each 100 of the load, or for what of it `share` says, and if asked for, a forecast beside it.
fn by_share(share: f64, quantile: Option<f64>) -> Policy {
    let mut rules = vec![json!({"name": "now", "type": "target", "metric": "load", "perUnit": 100.0 * share})];
    rules.extend(quantile.map(
        |quantile| json!({"name": "ahead", "type": "forecast", "metric": "load", "perUnit": 100, "quantile": quantile}),
    ));
    policy(json!({"min": 1, "max": 20, "metrics": {"load": {"source": {"type": "push"}}}, "rules": rules,
                  "job": {"expectedChangeSeconds": 300}}))
}

fn run(policy: &Policy, recording: &Recording, span: Span) -> (Run, Score) {
    let recordings = Recordings::from([("load".parse().expect("a name"), recording.clone())]);
    let setup = Setup { learn_from: at(0), ..setup(plant(1, 5, 5, 0), 5, span) };
    let run = play(policy, &recordings, &setup);
    let demand = Demand { recording, per_unit: 100.0, max_age: minutes(5) };
    let score = score(&run, &demand.needs(span), span);
    (run, score)
}

/// Two days are learned, two are judged.
#[test]
fn who_looks_ahead_serves_more_for_less() {
    let recording = recording((0..4 * DAY).map(daily));
    let span = Span { from: at(2 * DAY), to: at(4 * DAY) };
    let ahead = run(&by_share(1.0, Some(0.8)), &recording, span).1;
    let reactive = [0.6, 0.7, 0.8, 0.9, 1.0].map(|share| run(&by_share(share, None), &recording, span).1);
    let as_good = reactive.iter().filter(|score| score.unmet_unit_hours <= ahead.unmet_unit_hours);
    let cheapest = as_good.map(|score| score.unit_hours).fold(f64::INFINITY, f64::min);
    assert!(ahead.unit_hours <= 0.9 * cheapest, "{ahead:?} beside {reactive:?}");
    let as_cheap = reactive.iter().filter(|score| score.unit_hours <= ahead.unit_hours);
    let least_unmet = as_cheap.map(|score| score.unmet_unit_hours).fold(f64::INFINITY, f64::min);
    assert!(ahead.unmet_unit_hours <= 0.5 * least_unmet, "{ahead:?} beside {reactive:?}");
}

/// Another load after a moment changes nothing before it.
#[test]
fn who_looks_ahead_does_not_look_into_the_recording() {
    let known = 2 * DAY + 700;
    let one = recording((0..3 * DAY).map(daily));
    let other = recording((0..3 * DAY).map(|minute| if minute <= known { daily(minute) } else { 40.0 }));
    let span = Span { from: at(2 * DAY), to: at(3 * DAY) };
    let before = |recording: &Recording| {
        let (run, _) = run(&by_share(1.0, Some(0.8)), recording, span);
        run.changes.into_iter().filter(|change| change.at <= at(known)).collect::<Vec<_>>()
    };
    let changes = before(&one);
    assert!(changes.len() > 5);
    assert_eq!(changes, before(&other));
}

/// With nothing learned, and with load that has no pattern, it does what the other rules say.
#[test]
fn without_a_pattern_a_forecast_changes_nothing() {
    let span = Span { from: at(0), to: at(DAY) };
    let young = recording((0..DAY).map(daily));
    assert_eq!(run(&by_share(1.0, Some(0.9)), &young, span).0, run(&by_share(1.0, None), &young, span).0);
    let mut load = 900.0_f64;
    let mut seed = 11_u64;
    let walk = recording((0..6 * DAY).map(|_| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        load = (load + 24.0 * ((seed >> 33) as f64 / f64::from(u32::MAX >> 1) - 0.5)).clamp(0.0, 2000.0);
        load
    }));
    let span = Span { from: at(4 * DAY), to: at(6 * DAY) };
    let (ahead, alone) = (run(&by_share(1.0, Some(0.9)), &walk, span).1, run(&by_share(1.0, None), &walk, span).1);
    assert!(ahead.unit_hours <= 1.02 * alone.unit_hours, "{ahead:?} beside {alone:?}");
}
