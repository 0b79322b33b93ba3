//! How fast counters grow, from two readings.
//!
//! Each series is compared with itself, and only then do several become one number: a series that ends must not look
//! like a counter that was set back. A counter that went down was set back, and how far it had come is not known; then
//! this interval has no value at all, because the rest of a sum would look like less load. A series that is new has to
//! wait for its second reading.
//!
//! Rejected: to count a counter that was set back from 0, as Prometheus does. Its rate is then too low for the very
//! interval in which a worker was restarted.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::Timestamp;

/// The counters of one metric at its last reading.
#[derive(Clone, Debug)]
pub struct Rate {
    least_gap: Duration,
    most_gap: Duration,
    before: Option<(Timestamp, BTreeMap<String, f64>)>,
}

impl Rate {
    /// Compares readings that are at least `least_gap` apart: over less, one event more or less is a large difference.
    /// After more than `most_gap` it begins anew, because an average of the distant past says nothing about now.
    pub fn new(least_gap: Duration, most_gap: Duration) -> Self {
        Self { least_gap, most_gap, before: None }
    }

    /// The increases by the second up to `at`, when the `counters` of some series were read; `None` as long as they cannot
    /// be told. Of counters that are not finite numbers they are not finite either.
    pub fn next(&mut self, at: Timestamp, counters: BTreeMap<String, f64>) -> Option<Vec<f64>> {
        let Some((read_at, before)) = &self.before else {
            self.before = Some((at, counters));
            return None;
        };
        let gap = at.since(*read_at);
        if gap.is_zero() || gap < self.least_gap {
            return None;
        }
        let increases: Vec<f64> = counters
            .iter()
            .filter_map(|(series, value)| before.get(series).map(|before| (value - before) / gap.as_secs_f64()))
            .collect();
        self.before = Some((at, counters));
        let is_usable = gap <= self.most_gap && !increases.is_empty() && !increases.iter().any(|rate| *rate < 0.0);
        is_usable.then_some(increases)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// One letter for each series.
    fn counters(values: &[(char, f64)]) -> BTreeMap<String, f64> {
        values.iter().map(|(series, value)| (series.to_string(), *value)).collect()
    }

    /// The second of a reading, the counters, and the rates.
    type Reading<'a> = (u64, &'a [(char, f64)], Option<&'a [f64]>);

    /// What each reading gives.
    #[track_caller]
    fn assert_rates(story: &[Reading<'_>]) {
        let mut rate = Rate::new(SECOND * 5, SECOND * 60);
        for (second, values, expected) in story {
            let at = Timestamp::from_millis(0) + SECOND * u32::try_from(*second).expect("a small number");
            assert_eq!(rate.next(at, counters(values)).as_deref(), *expected, "at {second} s");
        }
    }

    #[test]
    fn the_first_reading_gives_no_rate() {
        assert_rates(&[
            (0, &[('a', 1000.0)], None),
            (10, &[('a', 1050.0)], Some(&[5.0])),
            (30, &[('a', 1050.0)], Some(&[0.0])),
        ]);
    }

    #[test]
    fn a_counter_that_was_set_back_gives_no_value_for_one_interval() {
        assert_rates(&[
            (0, &[('a', 1000.0), ('b', 10.0)], None),
            (10, &[('a', 20.0), ('b', 20.0)], None),
            (20, &[('a', 70.0), ('b', 40.0)], Some(&[5.0, 2.0])),
        ]);
    }

    #[test]
    fn series_come_and_go_without_a_jump_of_the_others() {
        assert_rates(&[
            (0, &[('a', 1000.0), ('b', 900.0)], None),
            (10, &[('a', 1010.0)], Some(&[1.0])),
            (20, &[('a', 1020.0), ('b', 990.0), ('c', 5000.0)], Some(&[1.0])),
            (30, &[('a', 1030.0), ('b', 1000.0), ('c', 5010.0)], Some(&[1.0, 1.0, 1.0])),
            (40, &[('d', 1.0)], None),
            (50, &[], None),
            (60, &[('d', 2.0)], None),
        ]);
    }

    #[test]
    fn readings_too_close_or_too_far_apart_are_not_compared() {
        assert_rates(&[
            (0, &[('a', 0.0)], None),
            (0, &[('a', 9.0)], None),
            (4, &[('a', 9.0)], None),
            (5, &[('a', 10.0)], Some(&[2.0])),
            (3, &[('a', 99.0)], None),
            (66, &[('a', 100.0)], None),
            (76, &[('a', 120.0)], Some(&[2.0])),
        ]);
    }

    #[test]
    fn a_counter_that_is_no_number_has_a_rate_that_is_none() {
        let mut rate = Rate::new(SECOND, SECOND * 60);
        rate.next(Timestamp::from_millis(0), counters(&[('a', 1.0)]));
        let rates = rate.next(Timestamp::from_millis(1000), counters(&[('a', f64::NAN)])).expect("a rate");
        assert!(rates[0].is_nan());
    }
}
