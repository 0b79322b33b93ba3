//! The load of a made-up service: what it is at a time of the day, and what was recorded of the days before.

use std::time::Duration;

use crate::domain::Timestamp;
use crate::domain::policy::Sample;

/// What one unit serves, in requests per second.
pub(super) const PER_UNIT: f64 = 100.0;
/// How many days before the one that is played are in the store: a pattern takes two, and with a week it is known how much a day
/// differs from the others.
const DAYS_BEFORE: u32 = 7;
const DAY: Duration = Duration::from_hours(24);
/// The distance of samples of the days before, that of the bins of a pattern.
const STEP: Duration = Duration::from_mins(5);

/// Requests per second on an even day, at hours of the day. In between they change smoothly.
const SHAPE: [(f64, f64); 14] = [
    (0.0, 90.0),
    (4.0, 70.0),
    (6.5, 120.0),
    (7.75, 220.0),
    (9.0, 1020.0),
    (10.5, 1000.0),
    (12.0, 520.0),
    (13.25, 380.0),
    (15.0, 560.0),
    (16.5, 500.0),
    (18.5, 260.0),
    (20.0, 240.0),
    (22.0, 150.0),
    (24.0, 90.0),
];

/// Requests per second, so long after the beginning of a day. `day` is its number; no two are quite the same.
pub(super) fn load(day: i64, since_midnight: Duration) -> f64 {
    let hour = since_midnight.as_secs_f64() / 3600.0 % 24.0;
    let level = 1.0 + 0.03 * (day as f64 * 2.4).sin();
    let wiggle = 1.0 + 0.02 * (hour * 23.0 + day as f64).sin();
    (shape(hour) * level * wiggle).round()
}

fn shape(hour: f64) -> f64 {
    let next = SHAPE.iter().position(|(at, _)| hour < *at).unwrap_or(SHAPE.len() - 1).max(1);
    let ((from, before), (to, after)) = (SHAPE[next - 1], SHAPE[next]);
    let share = (hour - from) / (to - from);
    before + (after - before) * share * share * (3.0 - 2.0 * share)
}

/// What was recorded of the week before `begin`, which is so long after a midnight: oldest first.
pub(super) fn days_before(begin: Timestamp, since_midnight: Duration) -> Vec<Sample> {
    let midnight = begin - since_midnight;
    let first = midnight - DAY * DAYS_BEFORE;
    let samples = (0u32..).map(|number| first + STEP * number).take_while(|at| *at < begin);
    samples
        .map(|at| {
            let since = at.since(first);
            let day = (since.as_secs() / DAY.as_secs()) as i64 - i64::from(DAYS_BEFORE);
            Sample { at, value: load(day, Duration::from_secs(since.as_secs() % DAY.as_secs())) }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    #[test]
    fn the_morning_is_the_peak() {
        let most = (0..288).map(|bin| load(0, STEP * bin)).fold(0.0, f64::max);
        let at_nine = load(0, HOUR * 9);
        assert!(at_nine > 0.95 * most && most < 12.0 * PER_UNIT && load(0, HOUR * 5) < PER_UNIT, "{at_nine} {most}");
    }

    #[test]
    fn the_days_before_end_where_the_day_begins() {
        let begin = Timestamp::from_millis(1_769_860_800_000);
        let samples = days_before(begin, HOUR * 5);
        let (first, last) = (samples[0], samples[samples.len() - 1]);
        assert_eq!((first.at, last.at), (begin - HOUR * (5 + 24 * DAYS_BEFORE), begin - STEP));
        assert_eq!(last.value, load(0, HOUR * 5 - STEP));
        assert!(samples.is_sorted_by(|one, next| one.at < next.at));
    }
}
