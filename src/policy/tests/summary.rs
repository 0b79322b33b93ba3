//! Policies in sentences.

use serde_json::json;

use super::super::summary;
use super::reading::{full, least, read};

#[test]
fn the_documented_policy_in_sentences() {
    let policy = read(full()).expect("valid");
    assert_eq!(
        summary(&policy, "worker"),
        [
            "Keeps worker between 1 and 20.",
            "queue: one unit for every 100 of metric queue; while the metric is missing, the rule does not count.",
            "band: as few changes as keep metric queue between 50 and 100 per unit; while the metric is missing, capacity is \
             not lowered, and after 1 min it wants 4.",
            "cpu: as many units as bring metric cpu to 60, give or take 10 %; while the metric is missing, capacity is not \
             lowered.",
            "latency: while metric p99 has been for 2 min above 0.5 1 more, above 1 3 more, below 0.1 1 fewer; while the \
             metric is missing, capacity is not lowered.",
            "office: at least 10 from 09:00 to 17:00 Europe/Berlin on Monday to Friday, ready before it begins, except \
             2026-12-25.",
            "nightly: exactly 6 for 1 h 30 min from each time that \"30 2 * * *\" matches in UTC, ready before it begins.",
            "launch: at least 18 from 2026-12-01T08:00:00Z to 2026-12-01T20:00:00Z, ready before it begins.",
            "follow: 0.5 times the target of api plus 1.",
            "ahead: one unit for every 100 of metric rps that its past (days by the clock of Europe/Berlin) lets expect, in time \
             for it; in 90 % of cases this is enough; while the metric is missing, capacity is not lowered.",
            "own: what \"metrics.queue > 1000.0 && capacity < 8 ? capacity + 2 : null\" gives, rounded up; while it has no \
             result, capacity is not lowered.",
            "Of queue, band, cpu, latency, follow, ahead and own the highest counts.",
            "Rises at once.",
            "Falls to the highest wish of the last 5 min, by at most the larger of 2 units and 50 % in 10 min.",
            "Goes to 0 after 15 min without demand, even if the minimum is higher.",
            "Its jobs have a step size of 2, a cooldown of 5 min, an active timeout of 15 min, a poll interval of 30 s, a \
             settle of 1 min 30 s and a deadline of 1 h.",
            "Until it has learned how long a change takes, it expects 5 min.",
        ]
    );
}

#[test]
fn what_is_not_there_is_not_told() {
    let policy = read(least()).expect("valid");
    assert_eq!(
        summary(&policy, "the resource"),
        [
            "Keeps the resource between 0 and 5.",
            "q: one unit for every 10 of metric q; while the metric is missing, capacity is not lowered.",
            "Rises at once.",
            "Falls to the highest wish of the last 5 min.",
        ]
    );
}

#[test]
fn windows_and_modes_have_their_words() {
    let window = |days: serde_json::Value, from: &str, to: &str| json!({"name": "w", "type": "schedule", "timeZone": "UTC", "days": days, "from": from, "to": to, "max": 3});
    for (days, from, to, words) in [
        (json!(["SUN", "MON"]), "22:00", "06:00", "from 22:00 to 06:00 of the next day UTC on Monday and Sunday"),
        (
            json!(["SAT", "SUN", "MON", "TUE", "WED"]),
            "00:00",
            "24:00",
            "from 00:00 to 24:00 UTC on Monday to Wednesday, Saturday and Sunday",
        ),
        (
            json!(["MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"]),
            "08:00:30",
            "24:00",
            "from 08:00:30 to 00:00 UTC every day",
        ),
    ] {
        let document = json!({"mode": "off", "min": 3, "max": 3, "rules": [window(days, from, to)]});
        let sentences = summary(&read(document).expect("valid"), "worker");
        let expected = [
            "Keeps worker at 3.".to_owned(),
            "Is off: it neither decides nor changes anything.".to_owned(),
            format!("w: at most 3 {words}."),
            "No rule recommends a capacity, so it is 3 outside of windows.".to_owned(),
        ];
        assert_eq!(sentences, expected);
    }
}
