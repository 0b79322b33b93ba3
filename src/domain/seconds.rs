//! Seconds as callers write them, as durations.

use std::time::Duration;

/// A duration, rounded to milliseconds. What is negative or too large becomes a duration outside every range.
pub fn rounded(seconds: f64) -> Duration {
    let millis = (seconds * 1000.0).round();
    if seconds >= 0.0 && millis <= 1e15 { Duration::from_millis(millis as u64) } else { Duration::MAX }
}

/// The same without rounding, as far as it matters: what lies beside a whole millisecond stays on its side of it. All
/// ranges begin and end at whole milliseconds.
pub fn unrounded(seconds: f64) -> Duration {
    let rounded = rounded(seconds);
    let hair = Duration::from_nanos(1);
    if seconds < rounded.as_millis() as f64 / 1000.0 {
        rounded.saturating_sub(hair)
    } else if seconds > rounded.as_millis() as f64 / 1000.0 {
        rounded.saturating_add(hair)
    } else {
        rounded
    }
}
