//! Points in time as the durable records hold them: UTC milliseconds.
//!
//! Nothing here reads a clock: every decision takes `now` as an argument, so that hours of scaling can be replayed in
//! milliseconds. Plain integers rather than a calendar type, because deadlines are only compared, added to and stored.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A point in time: milliseconds since 1970-01-01T00:00:00Z.
///
/// Arithmetic saturates: a deadline too far away to be represented is never reached, which is what is meant by it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The point `millis` milliseconds after the epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// The time from `earlier` to `self`, or zero if `earlier` is in fact later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.as_millis().saturating_sub(earlier.as_millis())).unwrap_or(0))
    }

    /// The same moment by a clock that shows `there` when the one that this is by shows `here`.
    #[must_use]
    pub fn on_another_clock(self, here: Self, there: Self) -> Self {
        Self::from_millis(self.as_millis().saturating_add(there.as_millis().saturating_sub(here.as_millis())))
    }
}

fn whole_millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self::from_millis(self.as_millis().saturating_add(whole_millis(duration)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        Self::from_millis(self.as_millis().saturating_sub(whole_millis(duration)))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Timestamp({})", self.as_millis())
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339, UTC, with milliseconds: `2026-01-31T12:00:00.000Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.as_millis()) {
            Ok(timestamp) => write!(f, "{timestamp:.3}"),
            Err(_) => write!(f, "{} ms", self.as_millis()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_utc_with_milliseconds() {
        assert_eq!(Timestamp::from_millis(0).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(Timestamp::from_millis(1_769_860_800_007).to_string(), "2026-01-31T12:00:00.007Z");
    }

    #[test]
    fn arithmetic_saturates_and_never_goes_negative() {
        let early = Timestamp::from_millis(10);
        let late = Timestamp::from_millis(25);
        assert_eq!(late.since(early), Duration::from_millis(15));
        assert_eq!(early.since(late), Duration::ZERO);
        assert_eq!(Timestamp::from_millis(i64::MAX) + Duration::from_secs(1), Timestamp::from_millis(i64::MAX));
        assert_eq!(late - Duration::from_millis(5), Timestamp::from_millis(20));
    }

    #[test]
    fn every_point_in_time_is_stored_as_its_milliseconds_and_kept_in_order() {
        let all = [i64::MIN, -1_800_000_000_000, -1, 0, 1, 1_800_000_000_000, i64::MAX];
        for millis in all {
            let at = Timestamp::from_millis(millis);
            assert_eq!(at.as_millis(), millis);
            let written = serde_json::to_string(&at).expect("JSON");
            assert_eq!(written, millis.to_string());
            assert_eq!(serde_json::from_str::<Timestamp>(&written).expect("a timestamp"), at);
        }
        assert!(all.map(Timestamp::from_millis).is_sorted());
    }

    #[test]
    fn ages_are_the_same_on_every_clock() {
        let at = Timestamp::from_millis;
        assert_eq!(at(90).on_another_clock(at(100), at(1000)), at(990));
        assert_eq!(at(90).on_another_clock(at(100), at(40)), at(30));
    }
}
