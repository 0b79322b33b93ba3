//! The past of a metric, by the minute.

use std::collections::VecDeque;
use std::time::Duration;

use super::super::time::Timestamp;

/// Minutes of 35 days: five weeks, of which each day of the week is seen five times.
const MOST_MINUTES: usize = 35 * 24 * 60;
const MINUTE_MILLIS: i64 = 60_000;

/// The means of a metric by the minute, of at most 35 days. Minutes in which no value counts are unknown.
#[derive(Clone, Debug)]
pub struct History {
    /// How long a value counts.
    max_age: Duration,
    /// The number of the first minute.
    first: i64,
    /// Not a number where nothing is known.
    values: VecDeque<f32>,
    newest: Option<Newest>,
}

#[derive(Clone, Copy, Debug)]
struct Newest {
    at: Timestamp,
    value: f32,
    /// Values in its minute.
    count: u16,
}

impl History {
    /// A history without values, of which each will count until the next, for `max_age` at most.
    pub fn new(max_age: Duration) -> Self {
        Self { max_age, first: 0, values: VecDeque::new(), newest: None }
    }

    /// Adds a value that is not older than those before it; others are left out, as are those below 0 or not finite.
    pub fn note(&mut self, at: Timestamp, value: f64) {
        if !value.is_finite() || value < 0.0 || self.newest.is_some_and(|newest| at < newest.at) {
            return;
        }
        let (minute, value) = (at.as_millis().div_euclid(MINUTE_MILLIS), value as f32);
        if self.values.is_empty() {
            self.first = minute;
        }
        let next = self.first + self.values.len() as i64;
        let count = match (self.newest, self.values.back_mut()) {
            (Some(newest), Some(mean)) if minute < next => {
                let count = newest.count.saturating_add(1);
                *mean += (value - *mean) / f32::from(count);
                count
            }
            _ => {
                self.fill_until(minute);
                self.values.push_back(value);
                1
            }
        };
        self.newest = Some(Newest { at, value, count });
        self.trim();
    }

    /// Goes on with the newest value for as long as it counts, up to `minute`.
    fn fill_until(&mut self, minute: i64) {
        let Some(newest) = self.newest else { return };
        let oldest = minute - MOST_MINUTES as i64;
        if self.first + (self.values.len() as i64) < oldest {
            self.values.clear();
            self.first = oldest;
        }
        let over = (newest.at + self.max_age).as_millis();
        for minute in self.first + self.values.len() as i64..minute {
            self.values.push_back(if minute * MINUTE_MILLIS <= over { newest.value } else { f32::NAN });
        }
    }

    fn trim(&mut self) {
        let surplus = self.values.len().saturating_sub(MOST_MINUTES);
        self.values.drain(..surplus);
        self.first += surplus as i64;
    }

    /// The known minutes before `through`, with their beginnings.
    pub(super) fn before(&self, through: Timestamp) -> impl Iterator<Item = (Timestamp, f32)> + '_ {
        let minutes = (self.first..).zip(&self.values);
        let known = minutes.filter(|(_, value)| value.is_finite());
        known
            .map(|(minute, value)| (Timestamp::from_millis(minute * MINUTE_MILLIS), *value))
            .take_while(move |(at, _)| *at < through)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    fn known(history: &History) -> Vec<(i64, f32)> {
        history.before(at(i64::MAX / 1000)).map(|(at, value)| (at.as_millis() / MINUTE_MILLIS, value)).collect()
    }

    #[test]
    fn a_value_counts_until_the_next_one_but_not_longer_than_its_age() {
        let mut history = History::new(Duration::from_secs(180));
        for (seconds, value) in [(0, 1.0), (30, 3.0), (60, 5.0), (600, 7.0)] {
            history.note(at(seconds), value);
        }
        assert_eq!(known(&history), [(0, 2.0), (1, 5.0), (2, 5.0), (3, 5.0), (4, 5.0), (10, 7.0)]);
    }

    #[test]
    fn what_is_no_load_is_left_out() {
        let mut history = History::new(Duration::from_secs(60));
        for (seconds, value) in [(60, f64::NAN), (60, 4.0), (0, 9.0), (120, -1.0), (120, f64::INFINITY)] {
            history.note(at(seconds), value);
        }
        assert_eq!(known(&history), [(1, 4.0)]);
    }

    #[test]
    fn it_keeps_the_newest_35_days() {
        let mut history = History::new(Duration::from_secs(60));
        for minute in 0..MOST_MINUTES as i64 + 10 {
            history.note(at(minute * 60), minute as f64);
        }
        assert_eq!(history.values.len(), MOST_MINUTES);
        assert_eq!(known(&history).first(), Some(&(10, 10.0)));
        history.note(at(1_000_000_000_000), 1.0);
        assert!(history.values.len() <= MOST_MINUTES + 1, "a leap of the clock is no allocation");
        assert_eq!(known(&history).len(), 1);
    }
}
