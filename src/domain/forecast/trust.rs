//! Whether expectations are worth anything: they are compared with what came.
//!
//! The measure is the guess that all stays as it is. It is what a policy without forecasts goes by, and it is hard to beat a
//! few minutes ahead; the comparison is at the distance that matters, the time that a climb takes.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::time::Timestamp;
use super::expected::Expected;

/// Expectations that are open at a time.
const MOST_OPEN: u32 = 16;
/// Least time between two expectations that are compared.
const APART: Duration = Duration::from_mins(15);
/// What came a day ago counts a quarter.
const HALF_AFTER: Duration = Duration::from_hours(12);
/// Verdicts in a row that change the trust.
const EQUAL_VERDICTS: u8 = 3;
/// Least time from one verdict to the next.
const VERDICT_EVERY: Duration = Duration::from_hours(1);
/// An expectation is better if its error is at most this share of the other.
const BETTER: f64 = 0.95;
/// How late a value may come that an expectation is compared with.
const LATE: Duration = Duration::from_mins(10);

/// What is remembered of expectations. The JSON takes up to 2 KiB.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trust {
    is_trusted: bool,
    /// Verdicts in a row against what is believed.
    contrary: u8,
    judged_at: Timestamp,
    /// The sums of errors, what counts less from hour to hour.
    error: f64,
    naive_error: f64,
    covered: f64,
    weight: f64,
    open: VecDeque<Open>,
}

/// An expectation whose time has not come.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Open {
    made_at: Timestamp,
    due_at: Timestamp,
    /// The value when it was made.
    value: f64,
    middle: f64,
    upper: f64,
}

/// How good expectations have been.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Accuracy {
    /// The mean error, in the unit of the metric.
    pub error: f64,
    /// The mean error of the guess that all stays as it is.
    pub naive_error: f64,
    /// The share of values that were at most what was provided for.
    pub coverage: f64,
}

impl Accuracy {
    /// Whether the expectations were clearly better than the guess that all stays as it is.
    pub fn is_better(&self) -> bool {
        self.error < BETTER * self.naive_error
    }
}

/// What is left of the weight of a comparison at the next one.
fn left() -> f64 {
    0.5_f64.powf(APART.as_secs_f64() / HALF_AFTER.as_secs_f64())
}

impl Trust {
    /// Trust in a pattern that was tried on the past: its accuracy counts like that of as many live ones as there
    /// can be, so that a quiet hour alone changes nothing.
    pub fn tried(accuracy: Accuracy, now: Timestamp) -> Self {
        let weight = 1.0 / (1.0 - left());
        let Accuracy { error, naive_error, coverage } = accuracy;
        Self {
            is_trusted: accuracy.is_better(),
            error: weight * error,
            naive_error: weight * naive_error,
            covered: weight * coverage,
            weight,
            ..Self::given(now)
        }
    }

    /// Trust in a prediction that a caller pushed: it counts until it proves wrong.
    pub fn given(now: Timestamp) -> Self {
        Self {
            is_trusted: true,
            contrary: 0,
            judged_at: now,
            error: 0.0,
            naive_error: 0.0,
            covered: 0.0,
            weight: 0.0,
            open: VecDeque::new(),
        }
    }

    /// Whether the expectations count.
    pub fn is_trusted(&self) -> bool {
        self.is_trusted
    }

    /// How good they have been; `None` before the first one could be compared.
    pub fn accuracy(&self) -> Option<Accuracy> {
        let mean = |sum: f64| sum / self.weight;
        (self.weight > 0.0).then(|| Accuracy {
            error: mean(self.error),
            naive_error: mean(self.naive_error),
            coverage: mean(self.covered),
        })
    }

    /// Compares what was expected for `now` with `value`, and notes what `expect` says of the time `lead` later.
    pub fn watch(
        &mut self,
        value: f64,
        now: Timestamp,
        lead: Duration,
        expect: impl FnOnce(Timestamp) -> Option<Expected>,
    ) {
        while let Some(due) = self.open.pop_front_if(|open| open.due_at <= now) {
            if now.since(due.due_at) <= LATE {
                self.compare(due, value);
            }
        }
        let apart = APART.max(lead / MOST_OPEN);
        if self.open.back().is_none_or(|newest| newest.made_at + apart <= now) && self.open.len() < MOST_OPEN as usize {
            let due_at = now + lead;
            let open =
                expect(due_at).map(|Expected { middle, upper }| Open { made_at: now, due_at, value, middle, upper });
            self.open.extend(open);
        }
        if self.judged_at + VERDICT_EVERY <= now && self.weight > 0.0 {
            self.judge(now);
        }
    }

    fn compare(&mut self, open: Open, value: f64) {
        let left = left();
        let add = |sum: &mut f64, new: f64| *sum = *sum * left + new;
        add(&mut self.error, (value - open.middle).abs());
        add(&mut self.naive_error, (value - open.value).abs());
        add(&mut self.covered, if value <= open.upper { 1.0 } else { 0.0 });
        add(&mut self.weight, 1.0);
    }

    fn judge(&mut self, now: Timestamp) {
        self.judged_at = now;
        if self.accuracy().is_some_and(|accuracy| accuracy.is_better()) == self.is_trusted {
            self.contrary = 0;
            return;
        }
        self.contrary += 1;
        if self.contrary >= EQUAL_VERDICTS {
            (self.is_trusted, self.contrary) = (!self.is_trusted, 0);
        }
    }

    /// Applies `change` to each point in time in it.
    pub fn change_times(&mut self, change: &mut impl FnMut(&mut Timestamp)) {
        change(&mut self.judged_at);
        self.open.iter_mut().flat_map(|open| [&mut open.made_at, &mut open.due_at]).for_each(change);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: u64) -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000) + Duration::from_mins(minutes)
    }

    /// A value that swings within a day, watched every five minutes by one who expects `expect` of it.
    fn watched(trust: &mut Trust, from: u64, minutes: u64, expect: impl Fn(f64) -> f64) {
        let value = |minute: u64| 100.0 + 50.0 * (minute as f64 / 1440.0 * std::f64::consts::TAU).sin();
        for minute in (from..from + minutes).step_by(5) {
            trust.watch(value(minute), at(minute), Duration::from_mins(100), |due| {
                let middle = expect(value(due.since(at(0)).as_secs() / 60));
                Some(Expected { middle, upper: middle + 1.0 })
            });
        }
    }

    #[test]
    fn trust_is_lost_and_earned_after_three_verdicts() {
        let mut trust = Trust::given(at(0));
        watched(&mut trust, 0, 24 * 60, |value| value);
        assert!(trust.is_trusted());
        let accuracy = trust.accuracy().expect("some");
        assert!(accuracy.error < 1e-9 && accuracy.naive_error > 5.0 && accuracy.coverage > 0.99, "{accuracy:?}");
        let mut lost_after = 24 * 60;
        while trust.is_trusted() {
            watched(&mut trust, lost_after, 60, |value| value * 3.0);
            lost_after += 60;
        }
        assert!((28 * 60..36 * 60).contains(&lost_after), "{lost_after}");
        let mut regained = lost_after;
        while !trust.is_trusted() && regained < 20 * 24 * 60 {
            watched(&mut trust, regained, 60, |value| value);
            regained += 60;
        }
        assert!(regained < 6 * 24 * 60, "{regained}");
    }

    #[test]
    fn a_guess_that_is_no_better_than_none_is_not_trusted() {
        let mut trust = Trust::given(at(0));
        watched(&mut trust, 0, 24 * 60, |_| 100.0);
        assert!(!trust.is_trusted());
    }

    /// At night nothing moves, and the guess that all stays as it is is right.
    #[test]
    fn a_quiet_night_takes_no_trust_away() {
        let mut trust = Trust::tried(Accuracy { error: 5.0, naive_error: 40.0, coverage: 0.7 }, at(0));
        for minute in (0..12 * 60).step_by(5) {
            trust
                .watch(100.0, at(minute), Duration::from_mins(100), |_| Some(Expected { middle: 101.0, upper: 102.0 }));
        }
        assert!(trust.is_trusted(), "{:?}", trust.accuracy());
        assert!(!Trust::tried(Accuracy { error: 5.0, naive_error: 5.1, coverage: 0.7 }, at(0)).is_trusted());
    }

    #[test]
    fn what_comes_too_late_is_not_compared() {
        let mut trust = Trust::given(at(0));
        watched(&mut trust, 0, 60, |value| value);
        watched(&mut trust, 5000, 5, |value| value);
        assert_eq!(trust.accuracy(), None);
    }

    #[test]
    fn its_memory_stays_small() {
        let mut trust = Trust::given(at(0));
        watched(&mut trust, 0, 2 * 24 * 60, |value| value);
        let text = serde_json::to_string(&trust).expect("JSON");
        assert!(text.len() < 2048, "{}", text.len());
        assert_eq!(serde_json::from_str::<Trust>(&text).expect("the same"), trust);
    }
}
