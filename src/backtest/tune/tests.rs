use std::time::Duration;

use serde_json::{Value, json};

use super::super::{Allowance, Demand, DemandSpec, PlantSpec, Recording, Recordings, Setup};
use super::*;
use crate::domain::Timestamp;
use crate::domain::policy::{Name, RuleKind, Sample};
use crate::policy::{Document, canonical};

const DAY: usize = 288;

/// The end of a bin of five minutes. The first one begins on Monday, 2027-01-04T00:00:00Z.
fn at(bin: usize) -> Timestamp {
    Timestamp::from_millis(1_799_020_800_000 + bin as i64 * 300_000)
}

fn policy(document: Value) -> Policy {
    Document::from(document).policy().expect("a policy")
}

fn with_rules(rules: &Value) -> Policy {
    policy(json!({"min": 1, "max": 10, "metrics": {"load": {"source": {"type": "push"}, "maxAgeSeconds": 600}},
                  "rules": rules, "job": {"stepSize": 1, "cooldownSeconds": 600, "expectedChangeSeconds": 900}}))
}

/// One unit for each `per_unit`.
fn target(per_unit: u32) -> Policy {
    with_rules(&json!([{"name": "load", "type": "target", "metric": "load", "perUnit": per_unit}]))
}

/// A number from 0 to below 1, the same one in every run.
fn chance(bin: usize) -> f64 {
    let mixed = (bin as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    ((mixed ^ (mixed >> 32)) % 1000) as f64 / 1000.0
}

/// Quiet nights, and 750 from nine to five: too steep for one unit in a quarter of an hour.
fn office_hours(bin: usize) -> f64 {
    let level = if (108..204).contains(&(bin % DAY)) { 700.0 } else { 150.0 };
    level + 50.0 * chance(bin)
}

/// A walk by chance: the best guess is that all stays as it is.
fn no_pattern(bin: usize) -> f64 {
    let walk = (0..=bin / 6).fold(400.0_f64, |level, nth| {
        let next = level + 160.0 * (chance(nth * 7) - 0.5);
        if (100.0..750.0).contains(&next) { next } else { level }
    });
    walk + 20.0 * chance(bin)
}

/// Loads of so many days, of which one unit carries 100.
fn tuned(given: &Policy, days: usize, load: impl Fn(usize) -> f64, most_unmet: f64) -> Result<Tuned, NoTrial> {
    let rows = (0..days * DAY).map(|bin| Sample { at: at(bin), value: load(bin) }).collect();
    let recording = Recording::new(rows).expect("in order");
    let metric: Name = "load".parse().expect("a name");
    let recordings = Recordings::from([(metric.clone(), recording)]);
    let demand = Demand { recording: &recordings[&metric], per_unit: 100.0, max_age: Duration::from_mins(10) };
    let plant = PlantSpec {
        provisioning: Duration::from_mins(15),
        removal: Duration::ZERO,
        step_size: 1,
        cooldown: Duration::from_mins(10),
    };
    let setup = Setup {
        resource: "worker".parse().expect("an alias"),
        plant,
        capacity: given.min,
        learn_from: at(0),
        span: Span { from: at(0), to: at(days * DAY) },
        allowance: Allowance::default(),
    };
    tune(given, &DemandSpec { metric, per_unit: 100.0 }, &recordings, &demand, &setup, most_unmet)
}

fn unmet(tried: &Tried) -> f64 {
    tried.chosen_on.unmet_share
}

fn cost(tried: &Tried) -> f64 {
    tried.chosen_on.unit_hours
}

#[test]
fn a_daily_pattern_is_met_for_less_than_as_given() {
    let tuned = tuned(&target(50), 6, office_hours, 0.02).expect("a choice");
    let (given, proposed) = (&tuned.given.tried, &tuned.proposed.tried);
    assert!(unmet(given) > 0.02, "a rule that reacts is late, whatever it costs: {given:?}");
    assert!(unmet(proposed) <= 0.02 && tuned.meets(&proposed.chosen_on), "{proposed:?}");
    assert!(cost(proposed) < 0.8 * cost(given), "{proposed:?} {given:?}");
    assert!(proposed.settings.quantile.is_some(), "{proposed:?}");
    assert!(tuned.proposed.held_out.unmet_share <= 0.02, "the last days are like the others: {:?}", tuned.proposed);
    // It is the cheapest of those that leave little enough unmet, or nearly.
    let others = tuned.tried.iter().filter(|tried| unmet(tried) <= 0.02);
    assert!(others.clone().count() > 5);
    assert!(others.map(cost).fold(f64::INFINITY, f64::min) >= 0.95 * cost(proposed));
    // The curve goes down, and has the choice on it.
    let curve: Vec<&Tried> = tuned.curve.iter().map(|shown| &shown.tried).collect();
    assert!(
        curve.windows(2).all(|pair| unmet(pair[0]) <= unmet(pair[1]) && cost(pair[0]) > cost(pair[1])),
        "{curve:?}"
    );
    assert!(curve.contains(&proposed) && curve.len() <= MOST_POINTS);
    assert!(tuned.tried.len() <= 200, "the search is bounded");
    let again = Document::from_json(&canonical(&tuned.policy).to_string()).expect("a document").policy();
    assert_eq!(again, Ok(tuned.policy), "what is proposed can be put");
}

#[test]
fn without_a_pattern_no_forecast_is_proposed() {
    let tuned = tuned(&target(50), 6, no_pattern, 0.02).expect("a choice");
    assert!(tuned.tried.iter().any(|tried| tried.settings.quantile.is_some()), "it was tried");
    let proposed = &tuned.proposed.tried;
    assert_eq!(proposed.settings.quantile, None, "{proposed:?}");
    assert!(!tuned.policy.rules.iter().any(|rule| matches!(rule.kind, RuleKind::Forecast(_))));
    assert!(unmet(proposed) <= 0.02 && cost(proposed) < cost(&tuned.given.tried), "{proposed:?}");
}

#[test]
fn where_nothing_is_good_enough_the_nearest_is_shown() {
    let tuned = tuned(&target(50), 2, office_hours, 0.001).expect("a choice");
    assert!(!tuned.forecasts_tried, "two days are too short for it");
    let proposed = &tuned.proposed.tried;
    assert!(!tuned.meets(&proposed.chosen_on), "{proposed:?}");
    let least = tuned.tried.iter().map(unmet).fold(f64::INFINITY, f64::min);
    assert_eq!(unmet(proposed), least);
    let cheapest = tuned.tried.iter().filter(|tried| unmet(tried) == least).map(cost).fold(f64::INFINITY, f64::min);
    assert_eq!(cost(proposed), cheapest);
}

#[test]
fn what_is_held_out_does_not_change_the_choice() {
    let quiet = tuned(&target(50), 3, office_hours, 0.05).expect("a choice");
    let held_from = 2 * DAY;
    assert_eq!(quiet.parts.held_out.from, at(held_from));
    let wild = |bin| if bin < held_from { office_hours(bin) } else { 100.0 + 800.0 * chance(bin / 6) };
    let wild = tuned(&target(50), 3, wild, 0.05).expect("a choice");
    assert_eq!((&wild.tried, &wild.proposed.tried), (&quiet.tried, &quiet.proposed.tried));
    assert_eq!(wild.policy, quiet.policy);
    assert_ne!(wild.proposed.held_out, quiet.proposed.held_out);
    let sent = |tuned: &Tuned| tuned.proposed.run.within(tuned.parts.held_out).changes.len();
    assert_eq!(wild.proposed.held_out.changes, sent(&wild), "only its own part is judged");
}

#[test]
fn a_forecast_needs_two_days_and_a_day_to_choose_on() {
    let days = |days: f64| at((days * DAY as f64) as usize);
    let parts = |from: f64, to: f64| Parts::of(Span { from: days(from), to: days(to) }, days(0.0));
    let span = |from: f64, to: f64| Span { from: days(from), to: days(to) };
    let learned = Parts { chosen_on: span(2.0, 4.0), held_out: span(4.0, 6.0), is_learned: true };
    assert_eq!(parts(0.0, 6.0), learned);
    let too_short = Parts { chosen_on: span(0.0, 2.75), held_out: span(2.75, 4.125), is_learned: false };
    assert_eq!(parts(0.0, 4.125), too_short);
    assert!(parts(0.0, 4.5).is_learned);
    let known_before = Parts { chosen_on: span(3.0, 5.0), held_out: span(5.0, 6.0), is_learned: true };
    assert_eq!(parts(3.0, 6.0), known_before);
    assert_eq!(parts(0.0, 300.0).chosen_on, span(172.0, 200.0), "a long time is no longer search");
}

#[test]
fn a_part_of_which_nothing_is_known_is_refused() {
    let rows = (0..DAY).map(|bin| Sample { at: at(bin), value: 1.0 }).collect();
    let recording = Recording::new(rows).expect("in order");
    let demand = Demand { recording: &recording, per_unit: 100.0, max_age: Duration::from_mins(10) };
    let setup = Setup {
        resource: "worker".parse().expect("an alias"),
        plant: PlantSpec {
            provisioning: Duration::ZERO,
            removal: Duration::ZERO,
            step_size: 1,
            cooldown: Duration::from_mins(5),
        },
        capacity: Capacity::ZERO,
        learn_from: at(0),
        span: Span { from: at(0), to: at(3 * DAY) },
        allowance: Allowance::default(),
    };
    let metric: Name = "load".parse().expect("a name");
    let spec = DemandSpec { metric: metric.clone(), per_unit: 100.0 };
    let refused = tune(&target(100), &spec, &Recordings::new(), &demand, &setup, 0.01);
    let span = Span { from: at(2 * DAY), to: at(3 * DAY) };
    assert_eq!(refused.err(), Some(NoTrial::NothingKnown { metric, span }));
}

#[test]
fn every_member_is_a_valid_policy_and_keeps_what_is_not_varied() {
    let office = json!({"name": "office", "type": "schedule", "timeZone": "Europe/Berlin", "days": ["MON"],
                        "from": "09:00", "to": "17:00", "min": 4});
    let ahead = |name: &str| json!({"name": name, "type": "forecast", "metric": "load", "perUnit": 100});
    let target = json!({"name": "load", "type": "target", "metric": "load", "perUnit": 120});
    let band = json!({"name": "band", "type": "band", "metric": "load", "low": 30, "high": 90});
    let by_formula = json!({"name": "own", "type": "expression", "expression": "metrics.load / 100.0"});
    for (rules, kept, may_go_without) in [
        (json!([target, office]), 1, true),
        (json!([office, band]), 1, true),
        (json!([ahead("before"), office, target]), 1, true),
        (json!([ahead("alone"), office]), 1, false),
        (json!([by_formula, office]), 2, true),
    ] {
        let given = with_rules(&rules);
        let spec = DemandSpec { metric: "load".parse().expect("a name"), per_unit: 100.0 };
        let family = Family::of(&given, &spec);
        assert_eq!((family.may_forecast(), family.may_go_without()), (true, may_go_without), "{rules}");
        let grids = [false, true].map(|forecasts| family.grid(forecasts));
        let mut members: Vec<Member> =
            grids.into_iter().flatten().filter(|it| may_go_without || it.forecasts()).collect();
        for width in [Width::Wide, Width::Narrow] {
            members.extend(members.clone().iter().flat_map(|member| family.neighbours(*member, width)));
        }
        for member in members {
            let policy = family.policy(member);
            let again = Document::from_json(&canonical(&policy).to_string()).expect("a document").policy();
            assert_eq!(again.as_ref(), Ok(&policy), "{member:?}");
            assert_eq!((policy.min, policy.max, &policy.job), (given.min, given.max, &given.job));
            let same = policy.rules.iter().filter(|rule| given.rules.contains(rule));
            assert!(same.count() >= kept, "{policy:?}");
            let settings = family.settings(&policy);
            assert_eq!(settings.quantile.is_some(), member.forecasts());
            let zones = policy.rules.iter().filter_map(|rule| match &rule.kind {
                RuleKind::Forecast(forecast) if rule.name.as_str() == "forecast" => forecast.zone.iana_name(),
                _ => None,
            });
            assert!(zones.into_iter().all(|zone| zone == "Europe/Berlin"), "the clock of the schedule");
        }
    }
}
