//! What is warned of, and what is not.

use serde_json::{Value, json};
use strum::VariantArray as _;

use super::super::{WarningCode, warnings};
use super::reading::{full, least, read};
use crate::domain::{Bounds, Capacity, ResourceConfig, ScalingConfig, Timestamp};

/// 2026-11-29, a Sunday.
const NOW: Timestamp = Timestamp::from_millis(1_795_910_400_000);

fn config() -> ResourceConfig {
    ScalingConfig::default().unlisted()
}

fn told(document: Value) -> Vec<(WarningCode, String)> {
    let policy = read(document.clone()).unwrap_or_else(|problems| panic!("{document}: {problems:?}"));
    let all = warnings(&policy, &config(), NOW).into_iter();
    all.map(|warning| (warning.code, warning.pointer)).collect()
}

/// A policy from `min` to 20 on metric `q` with these rules.
fn ruled(min: u32, rules: Value) -> Value {
    json!({"min": min, "max": 20, "metrics": {"q": {"source": {"type": "push"}}}, "rules": rules})
}

fn target() -> Value {
    json!({"name": "t", "type": "target", "metric": "q", "perUnit": 10})
}

fn band(low: f64) -> Value {
    json!([{"name": "b", "type": "band", "metric": "q", "high": 100, "low": low}])
}

fn steps(steps: Value) -> Value {
    json!([{"name": "s", "type": "step", "metric": "q", "steps": steps}])
}

fn daily(name: &str, from: &str, to: &str, bounds: Value) -> Value {
    let mut window = json!({"name": name, "type": "schedule", "timeZone": "UTC", "from": from, "to": to,
                            "days": ["MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"]});
    for (name, bound) in bounds.as_object().expect("bounds") {
        window[name] = bound.clone();
    }
    window
}

fn cron(cron: &str) -> Value {
    json!({"name": "c", "type": "schedule", "timeZone": "UTC", "cron": cron, "forSeconds": 60, "min": 5})
}

fn with(mut document: Value, name: &str, value: Value) -> Value {
    document[name] = value;
    document
}

#[test]
fn each_warning_is_given_where_it_is_true_and_nowhere_else() {
    use WarningCode::*;
    let q = |rules| ruled(1, rules);
    let once = |name: &str, bounds: Value| {
        let mut window = json!({"name": name, "type": "schedule", "at": "2026-12-01T08:00:00Z",
                                "until": "2026-12-01T20:00:00Z"});
        for (name, bound) in bounds.as_object().expect("bounds") {
            window[name] = bound.clone();
        }
        window
    };
    let past = json!({"name": "p", "type": "schedule", "at": "2026-11-01T08:00:00Z", "until": "2026-11-02T08:00:00Z", "min": 5});
    let pulled =
        |age: u32| json!({"q": {"source": {"type": "http", "url": "http://a", "pointer": ""}, "maxAgeSeconds": age}});
    let scraped = |metric: &str, label: &str| {
        let source = json!({"type": "scrape", "url": "http://a", "metric": metric, "labels": {label: "x"}});
        json!({"q": {"source": source, "maxAgeSeconds": 600}})
    };
    let pushed = |age: u32| json!({"q": {"source": {"type": "push"}, "maxAgeSeconds": age}});
    let follow = |offset: i32| json!([{"name": "f", "type": "follow", "resource": "api", "offset": offset}]);
    let idle = json!({"afterSeconds": 60});
    let fallback = |capacity: u32| {
        let mut rule = target();
        rule["onMissing"] = json!({"capacity": capacity, "afterSeconds": 60});
        json!([rule])
    };
    let formula = |text: &str| json!([target(), {"name": "x", "type": "expression", "expression": text}]);
    for (document, expected) in [
        (q(json!([target()])), vec![]),
        (q(formula("metrics.q > 5.0 ? capacity + 1 : null")), vec![]),
        (q(formula("now.getHours() < 8 ? 2 : 5")), vec![]),
        (q(formula("capacity + 1")), vec![(ExpressionWithoutMetric, "/rules/1/expression")]),
        (q(formula("status == 'ACTIVE' ? target : 3")), vec![(ExpressionWithoutMetric, "/rules/1/expression")]),
        (ruled(1, json!([{"name": "x", "type": "expression", "expression": "metrics.q"}])), vec![]),
        (q(band(50.0)), vec![]),
        (q(band(50.1)), vec![(BandWithoutGap, "/rules/0/low")]),
        (q(band(100.0)), vec![(BandWithoutGap, "/rules/0/low")]),
        (ruled(9, band(90.0)), vec![]),
        (ruled(9, band(90.1)), vec![(BandWithoutGap, "/rules/0/low")]),
        (q(steps(json!([{"above": 5, "change": 1}, {"below": 5, "change": -1}]))), vec![]),
        (
            q(steps(json!([{"above": 5, "change": 1}, {"below": 6, "change": -1}]))),
            vec![(ThresholdsOverlap, "/rules/0/steps")],
        ),
        (q(steps(json!([{"above": 5, "change": 1}]))), vec![(NeverFalls, "/rules")]),
        (q(steps(json!([{"below": 5, "change": -1}]))), vec![(NeverRises, "/rules")]),
        (q(json!([target(), cron("0 0 29 2 *")])), vec![]),
        (q(json!([target(), cron("0 0 30 2 *")])), vec![(WindowNeverOccurs, "/rules/1")]),
        (q(json!([target(), past])), vec![(WindowIsOver, "/rules/1")]),
        (
            q(json!([target(), daily("d", "09:00", "17:00", json!({"min": 1}))])),
            vec![(WindowWithoutEffect, "/rules/1")],
        ),
        (q(json!([target(), daily("d", "09:00", "17:00", json!({"min": 1, "max": 9}))])), vec![]),
        (q(json!([target(), once("d", json!({"min": 1}))])), vec![]),
        (
            q(json!([
                target(),
                daily("a", "09:00", "17:00", json!({"min": 10})),
                daily("b", "16:00", "18:00", json!({"max": 5}))
            ])),
            vec![(WindowsContradict, "/rules/1/min")],
        ),
        (
            q(json!([
                target(),
                daily("a", "09:00", "17:00", json!({"min": 10})),
                daily("b", "17:00", "09:00", json!({"max": 5}))
            ])),
            vec![],
        ),
        (
            // Both are open already and are not closed and opened again.
            q(json!([
                target(),
                daily("a", "00:00", "24:00", json!({"min": 10})),
                daily("b", "00:00", "24:00", json!({"max": 5}))
            ])),
            vec![(WindowsContradict, "/rules/1/min")],
        ),
        (q(json!([target(), daily("a", "00:00", "24:00", json!({"min": 10})), once("b", json!({"max": 5}))])), vec![]),
        (
            q(json!([target(), once("a", json!({"min": 10})), once("b", json!({"max": 5}))])),
            vec![(WindowsContradict, "/rules/1/min")],
        ),
        (
            with(q(json!([target()])), "behavior", json!({"down": {"stabilizationSeconds": 299}})),
            vec![(StabilizationShorterThanCooldown, "/behavior/down/stabilizationSeconds")],
        ),
        (
            with(q(json!([target()])), "job", json!({"cooldownSeconds": 301})),
            vec![
                (AgeShorterThanCooldown, "/metrics/q/maxAgeSeconds"),
                (StabilizationShorterThanCooldown, "/behavior/down/stabilizationSeconds"),
            ],
        ),
        (
            with(q(json!([target()])), "metrics", pushed(299)),
            vec![(AgeShorterThanCooldown, "/metrics/q/maxAgeSeconds")],
        ),
        (with(q(json!([target()])), "metrics", pulled(30)), vec![]),
        (with(q(json!([target()])), "metrics", pulled(29)), vec![(AgeShorterThanInterval, "/metrics/q/maxAgeSeconds")]),
        (with(q(json!([target()])), "metrics", scraped("_jobs:waiting_2", "queue_1")), vec![]),
        (
            with(q(json!([target()])), "metrics", scraped("a b", "1x")),
            vec![(UncommonName, "/metrics/q/source/metric"), (UncommonName, "/metrics/q/source/labels/1x")],
        ),
        (
            with(q(json!([target()])), "metrics", scraped("2_jobs", "a:b")),
            vec![(UncommonName, "/metrics/q/source/metric"), (UncommonName, "/metrics/q/source/labels/a:b")],
        ),
        (q(follow(0)), vec![(MetricUnused, "/metrics/q")]),
        (with(q(json!([target()])), "min", json!(20)), vec![(BoundsLeaveNoRoom, "/max")]),
        (with(q(json!([target()])), "idle", idle.clone()), vec![]),
        (with(with(q(follow(1)), "idle", idle.clone()), "metrics", json!({})), vec![(IdleCannotHappen, "/idle")]),
        (
            with(with(q(json!([daily("d", "09:00", "17:00", json!({"min": 5}))])), "idle", idle), "metrics", json!({})),
            vec![(IdleCannotHappen, "/idle")],
        ),
        (q(fallback(20)), vec![]),
        (q(fallback(21)), vec![(FallbackOutsideBounds, "/rules/0/onMissing/capacity")]),
    ] {
        let expected: Vec<(WarningCode, String)> =
            expected.into_iter().map(|(code, pointer)| (code, pointer.to_owned())).collect();
        assert_eq!(told(document.clone()), expected, "{document}");
    }
}

#[test]
fn a_resource_that_may_not_reach_zero_never_becomes_idle() {
    let policy = read(with(ruled(1, json!([target()])), "idle", json!({"afterSeconds": 60}))).expect("valid");
    let bounds = Bounds { min: Capacity::new(1).expect("small"), max: Capacity::MAX };
    let all = warnings(&policy, &ResourceConfig { bounds, ..config() }, NOW);
    assert_eq!(all.iter().map(|warning| warning.code).collect::<Vec<_>>(), [WarningCode::IdleCannotHappen]);
}

#[test]
fn a_policy_with_everything_in_it_is_warned_of_little() {
    let codes: std::collections::BTreeSet<WarningCode> = told(full()).into_iter().map(|(code, _)| code).collect();
    assert_eq!(codes.into_iter().collect::<Vec<_>>(), [WarningCode::MetricUnused, WarningCode::IdleCannotHappen]);
    assert_eq!(told(least()), []);
}

#[test]
fn the_page_explains_every_warning() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/policies.md")).expect("the page");
    for code in WarningCode::VARIANTS {
        let name = super::super::scalars::name_of(code);
        assert!(page.contains(&format!("| `{name}` |")), "{name}");
    }
}
