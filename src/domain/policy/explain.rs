//! Decisions as sentences.

use std::time::Duration;

use jiff::tz::TimeZone;

use super::super::time::Timestamp;
use super::condition::Condition;
use super::decision::{Decision, Says};

/// `600 s`.
pub fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}

/// The time in UTC: `17:00 UTC`, with what is needed of the date and the seconds.
pub fn clock(at: Timestamp, now: Timestamp) -> String {
    local(at, &TimeZone::UTC, now)
}

/// The time in a zone: `17:00 Europe/Berlin`, with what is needed of the date and the seconds.
pub fn local(at: Timestamp, zone: &TimeZone, now: Timestamp) -> String {
    let zoned = |at: Timestamp| Some(zone.to_datetime(jiff::Timestamp::from_millisecond(at.as_millis()).ok()?));
    let Some(there) = zoned(at) else { return at.to_string() };
    let is_today = zoned(now).is_some_and(|today| today.date() == there.date());
    let date = if is_today { String::new() } else { format!("{} ", there.date()) };
    let time = if there.second() == 0 {
        format!("{:02}:{:02}", there.hour(), there.minute())
    } else {
        format!("{:02}:{:02}:{:02}", there.hour(), there.minute(), there.second())
    };
    let zone = zone.iana_name().unwrap_or("UTC");
    format!("{date}{time} {zone}")
}

/// "From 3 to 10: min 10 by office until 17:00 Europe/Berlin; queue alone would need 9." `blocked_by` keeps the policy from
/// acting on it.
pub fn sentence(decision: &Decision, blocked_by: Option<&Condition>) -> String {
    let (Some(from), Some(decided), Some(wanted)) = (decision.target, decision.decided, decision.wanted) else {
        return decision.detail.clone();
    };
    let lead = if from == decided { format!("Stays at {decided}") } else { format!("From {from} to {decided}") };
    let top = decision.rules.iter().find(|rule| rule.says == Says::Wants(Some(wanted)));
    let last = decision.stages.iter().skip(1).last().and_then(|stage| stage.detail.as_deref());
    let reason = match (last, top) {
        (Some(last), Some(top)) if wanted != decided => format!("{last}; {} alone would need {wanted}", top.name),
        (Some(last), None) if wanted != decided => format!("{last}; without it {wanted}"),
        (Some(last), _) => last.to_owned(),
        (None, Some(top)) => format!("{} needs {wanted} ({})", top.name, top.detail),
        (None, None) => "no rule has an opinion".to_owned(),
    };
    let block = blocked_by.map_or(String::new(), |condition| format!(" Nothing is sent: {}", condition.detail));
    format!("{lead}: {reason}.{block}")
}
