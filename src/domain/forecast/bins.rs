//! Time in bins of five minutes of local time.
//!
//! People's days follow the local clock: in the night in which it changes, a pattern in UTC would be an hour off. A bin
//! that exists twice is one bin with the values of both; one that does not exist has none.

use std::time::Duration;

use jiff::tz::TimeZone;

use super::super::time::Timestamp;

/// The length of a bin: as fine as capacity can follow where changes take minutes.
pub const BIN: Duration = Duration::from_mins(5);
/// Bins of a day.
pub(super) const PER_DAY: usize = 288;
/// Bins of an hour.
pub(super) const PER_HOUR: usize = 12;

/// The number of the local bin at `at`, counted from the local midnight of 1970-01-01.
pub(super) fn local_bin(zone: &TimeZone, at: Timestamp) -> i64 {
    let seconds = at.as_millis().div_euclid(1000);
    let offset = jiff::Timestamp::from_second(seconds).map_or(0, |at| zone.to_offset(at).seconds());
    (seconds + i64::from(offset)).div_euclid(300)
}

/// The last midnight of `zone` at or before `now`; in the night in which the clock changes, an hour beside it.
pub fn midnight(zone: &TimeZone, now: Timestamp) -> Timestamp {
    const BIN_MILLIS: i64 = BIN.as_millis() as i64;
    let bin = now.as_millis().div_euclid(BIN_MILLIS) - slot_of(local_bin(zone, now)) as i64;
    Timestamp::from_millis(bin.saturating_mul(BIN_MILLIS))
}

/// The day of a bin.
pub(super) const fn day_of(bin: i64) -> i64 {
    bin.div_euclid(PER_DAY as i64)
}

/// The place of a bin in its day.
pub(super) const fn slot_of(bin: i64) -> usize {
    bin.rem_euclid(PER_DAY as i64) as usize
}

/// The day of the week, 0 for Monday.
pub(super) const fn weekday(day: i64) -> i64 {
    // 1970-01-01 was a Thursday.
    (day + 3).rem_euclid(7)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::from_millis(text.parse::<jiff::Timestamp>().expect("a time").as_millisecond())
    }

    #[test]
    fn bins_follow_the_local_clock() {
        let zone = crate::domain::policy::zone("Europe/Berlin").expect("a zone");
        for (time, slot, day) in [
            ("2026-10-24T22:00:00Z", 0, 6),
            ("2026-10-25T00:30:00Z", 30, 6),
            ("2026-10-25T01:30:00Z", 30, 6),
            ("2026-10-25T02:00:00Z", 36, 6),
            ("2026-03-29T00:59:59Z", 23, 6),
            ("2026-03-29T01:00:00Z", 36, 6),
            ("2026-03-29T22:04:59Z", 0, 0),
        ] {
            let bin = local_bin(&zone, at(time));
            assert_eq!((slot_of(bin), weekday(day_of(bin))), (slot, day), "{time}");
        }
    }
}
