use super::*;
use serde_json::{Value, json};
use strum::VariantArray as _;

use crate::domain::{Setting, SettingRange};

fn parse(body: Value) -> Result<JobRequest, Vec<String>> {
    let submission: Submission = serde_json::from_value(body).map_err(|error| vec![error.to_string()])?;
    submission.parse().map_err(|error| {
        let document = error.document(uuid::Uuid::nil());
        document.errors.into_iter().map(|error| error.pointer).collect()
    })
}

#[test]
fn parses_everything_it_documents() {
    let request = parse(json!({
        "resource": "worker", "targetCapacity": 5, "stepSize": 2, "cooldownSeconds": 0.5,
        "activeTimeoutSeconds": 900, "pollIntervalSeconds": 30, "settleSeconds": 90.25, "deadlineSeconds": 7200,
        "onConflict": "supersede", "reason": "queue depth 812", "labels": {"team": "data"}
    }))
    .expect("the documented example");
    assert_eq!(request.goal, Goal::Target(Capacity::new(5).expect("small")));
    assert_eq!(request.on_conflict, OnConflict::Supersede);
    assert_eq!(request.overrides.cooldown, Some(Duration::from_millis(500)));
    assert_eq!(request.overrides.settle, Some(Duration::from_millis(90_250)));
    let least = parse(json!({"resource": "worker", "delta": -2, "reason": null})).expect("the least");
    assert_eq!(least.goal, Goal::Delta(-2));
    assert_eq!(least.overrides, SettingsOverrides::default());
}

/// Numbers that are the same number are the same request, whatever their form.
#[test]
fn whole_numbers_have_several_forms() {
    for (body, goal) in [
        (r#"{"resource": "w", "targetCapacity": 5.0}"#, Goal::Target(Capacity::new(5).expect("small"))),
        (r#"{"resource": "w", "targetCapacity": 1e3}"#, Goal::Target(Capacity::new(1000).expect("small"))),
        (r#"{"resource": "w", "targetCapacity": -0.0}"#, Goal::Target(Capacity::ZERO)),
        (r#"{"resource": "w", "delta": -20e-1, "targetCapacity": null}"#, Goal::Delta(-2)),
    ] {
        assert_eq!(parse(serde_json::from_str(body).expect("JSON")).expect(body).goal, goal);
    }
    for number in ["5.5", "1e-3", "1e300", "9007199254740994.0", "18446744073709551615", "\"5\"", "true"] {
        let body = format!(r#"{{"resource": "w", "targetCapacity": {number}}}"#);
        assert!(parse(serde_json::from_str(&body).expect("JSON")).is_err(), "{number}");
    }
}

/// What is outside a range by a hair is outside, although durations are rounded.
#[test]
fn durations_are_not_rounded_into_their_ranges() {
    for setting in Setting::VARIANTS {
        let SettingRange::Durations(least, most) = setting.range() else { continue };
        let (field, least, most) = (setting.field(), least.as_secs_f64(), most.as_secs_f64());
        let with = |seconds: f64| parse(json!({"resource": "w", "targetCapacity": 1, &field: seconds}));
        for fine in [least, least.next_up(), 0.57, 1.0004, 1.0006, most.next_down(), most] {
            assert!(with(fine).is_ok(), "{field} {fine}");
        }
        for beyond in [-1e300, -1.0, least.next_down(), least - 0.0004, most + 0.0004, most.next_up(), 1e18, 1e300] {
            assert_eq!(with(beyond), Err(vec![format!("/{field}")]), "{beyond}");
        }
    }
    let cooldown = |seconds| {
        let request = parse(json!({"resource": "w", "targetCapacity": 1, "cooldownSeconds": seconds}));
        request.expect("valid").overrides.cooldown
    };
    assert_eq!(cooldown(0.57), Some(Duration::from_millis(570)));
    assert_eq!((cooldown(1.0004), cooldown(1.0006)), (Some(Duration::from_secs(1)), Some(Duration::from_millis(1001))));
}

#[test]
fn points_at_everything_that_is_wrong() {
    let long = "x".repeat(501);
    for (body, pointers) in [
        (json!({}), vec!["/resource", "/targetCapacity"]),
        (json!({"resource": "worker"}), vec!["/targetCapacity"]),
        (json!({"resource": "../x", "targetCapacity": -1}), vec!["/resource", "/targetCapacity"]),
        (json!({"resource": "w", "targetCapacity": 1, "delta": 1}), vec!["/delta"]),
        (json!({"resource": "w", "delta": 0}), vec!["/delta"]),
        (json!({"resource": "w", "delta": i64::MIN}), vec!["/delta"]),
        (json!({"resource": "w", "targetCapacity": 1_000_001}), vec!["/targetCapacity"]),
        (json!({"resource": "w", "targetCapacity": 1, "stepSize": 0}), vec!["/stepSize"]),
        (json!({"resource": "w", "targetCapacity": 1, "stepSize": -3}), vec!["/stepSize"]),
        (json!({"resource": "w", "targetCapacity": 1, "stepSize": 1_000_001}), vec!["/stepSize"]),
        (json!({"resource": "w", "targetCapacity": 1, "stepSize": i64::MAX}), vec!["/stepSize"]),
        (
            json!({"resource": "w", "targetCapacity": 1, "cooldownSeconds": -1, "settleSeconds": 1e300,
                   "pollIntervalSeconds": 0, "activeTimeoutSeconds": 86401, "deadlineSeconds": 0}),
            vec![
                "/cooldownSeconds",
                "/activeTimeoutSeconds",
                "/pollIntervalSeconds",
                "/settleSeconds",
                "/deadlineSeconds",
            ],
        ),
        (json!({"resource": "w", "targetCapacity": 1, "reason": long}), vec!["/reason"]),
        (json!({"resource": "w", "targetCapacity": 1, "reason": "a\nb"}), vec!["/reason"]),
        // Few enough characters, and too many bytes.
        (json!({"resource": "w", "targetCapacity": 1, "reason": "ä".repeat(251)}), vec!["/reason"]),
        (json!({"resource": "w", "targetCapacity": 1, "labels": {"ä".repeat(32): "x"}}), vec!["/labels"]),
        (json!({"resource": "w", "targetCapacity": 1, "labels": {"a": "\u{1f600}".repeat(64)}}), vec!["/labels/a"]),
        (json!({"resource": "w", "targetCapacity": 1, "labels": {"": "x"}}), vec!["/labels/"]),
        (json!({"resource": "w", "targetCapacity": 1, "labels": {"a/b~c": "\u{0}"}}), vec!["/labels/a~1b~0c"]),
    ] {
        assert_eq!(parse(body.clone()), Err(pointers.into_iter().map(String::from).collect()), "{body}");
    }
}
