//! The policy of the demonstration: a band that reacts, a forecast that looks ahead, and a window.

use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::load::PER_UNIT;
use super::timetable::Timetable;

/// The metric.
pub(super) const METRIC: &str = "requests";
/// The rule that looks ahead.
pub(super) const AHEAD: &str = "ahead";
/// The window.
pub(super) const WINDOW: &str = "reports";
/// What the window needs.
pub(super) const WINDOW_MIN: u32 = 8;

/// The policy, with times of the day in `zone`.
pub(super) fn policy(zone: &TimeZone, timetable: &Timetable) -> Value {
    let zone = zone_name(zone);
    let (from, to) = timetable.window();
    let every_day = ["MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"];
    json!({
        "min": 2, "max": 14,
        "metrics": {METRIC: {"source": {"type": "push"}, "maxAgeSeconds": 1800}},
        "rules": [
            {"name": "load", "type": "band", "metric": METRIC, "high": PER_UNIT, "low": 60},
            {"name": AHEAD, "type": "forecast", "metric": METRIC, "perUnit": PER_UNIT, "timeZone": zone},
            {"name": WINDOW, "type": "schedule", "timeZone": zone, "days": every_day, "from": from, "to": to,
             "min": WINDOW_MIN},
        ],
        "behavior": {"down": {"stabilizationSeconds": 900}},
        "job": {"cooldownSeconds": 300, "expectedChangeSeconds": 270},
    })
}

/// The same without the forecast.
pub(super) fn without_forecast(mut policy: Value) -> Value {
    if let Some(rules) = policy["rules"].as_array_mut() {
        rules.retain(|rule| rule["name"] != AHEAD);
    }
    policy
}

/// The zone as policies name it.
pub(super) fn zone_name(zone: &TimeZone) -> &str {
    zone.iana_name().unwrap_or("UTC")
}
