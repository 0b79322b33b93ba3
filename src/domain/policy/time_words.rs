//! Times and durations as the sentences of policies name them.

use std::time::Duration;

use jiff::tz::TimeZone;

use super::super::time::Timestamp;

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
