//! Local times as instants.
//!
//! A local time that does not exist, because the clocks went forward over it, is the first one that does. One that exists
//! twice, because they went back, is the first of the two, except where both are asked for.

use jiff::civil::{Date, DateTime};
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};

use super::super::super::time::Timestamp;

/// The local date at `at`; none for instants before or after the calendar.
pub(super) fn date_at(zone: &TimeZone, at: Timestamp) -> Option<Date> {
    let at = jiff::Timestamp::from_millisecond(at.as_millis()).ok()?;
    Some(zone.to_datetime(at).date())
}

/// The instant of a local time; none at the ends of the calendar.
pub(super) fn first_instant(zone: &TimeZone, local: DateTime) -> Option<Timestamp> {
    match zone.to_ambiguous_timestamp(local).offset() {
        AmbiguousOffset::Unambiguous { offset } | AmbiguousOffset::Fold { before: offset, .. } => {
            instant(local, offset)
        }
        AmbiguousOffset::Gap { after, .. } => {
            // Read with the new offset, the time lies before the clocks went forward, and no other change is between.
            let before_change = after.to_timestamp(local).ok()?;
            zone.following(before_change).next().map(|change| timestamp(change.timestamp()))
        }
    }
}

/// The second instant of a local time that exists twice.
pub(super) fn second_instant(zone: &TimeZone, local: DateTime) -> Option<Timestamp> {
    match zone.to_ambiguous_timestamp(local).offset() {
        AmbiguousOffset::Fold { after, .. } => instant(local, after),
        AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Gap { .. } => None,
    }
}

/// The offset of all local times of `date`, if the clocks are not changed on it or on a date beside it.
pub(super) fn only_offset(zone: &TimeZone, date: Date) -> Option<Offset> {
    let day_before = zone.to_ambiguous_timestamp(date.yesterday().ok()?.at(0, 0, 0, 0));
    let AmbiguousOffset::Unambiguous { offset } = day_before.offset() else { return None };
    let from = day_before.unambiguous().ok()?;
    let until = offset.to_timestamp(date.tomorrow().ok()?.at(23, 59, 59, 0)).ok()?;
    match zone.following(from).next() {
        Some(change) if change.timestamp() <= until => None,
        _ => Some(offset),
    }
}

/// The instant at which a clock that is `offset` ahead of UTC shows `local`.
pub(super) fn instant(local: DateTime, offset: Offset) -> Option<Timestamp> {
    offset.to_timestamp(local).ok().map(timestamp)
}

fn timestamp(at: jiff::Timestamp) -> Timestamp {
    Timestamp::from_millis(at.as_millisecond())
}
