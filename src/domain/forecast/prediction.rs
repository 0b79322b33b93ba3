//! A prediction that was made elsewhere.

use super::super::time::Timestamp;
use super::expected::Expected;

/// Most points of a prediction: 50 hours of five minutes, which is more than a rule looks ahead, or six days of quarters of an
/// hour. The body of a request has room for them, however they are written.
pub const MAX_POINTS: usize = 600;

/// The values that a caller expects of a metric, each from its time until the next.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prediction {
    points: Vec<(Timestamp, f64)>,
    received_at: Option<Timestamp>,
}

impl Prediction {
    /// The prediction with these points, in any order; of those with one time the last counts.
    pub fn new(mut points: Vec<(Timestamp, f64)>) -> Self {
        points.reverse();
        points.sort_by_key(|(at, _)| *at);
        points.dedup_by_key(|(at, _)| *at);
        Self { points, received_at: None }
    }

    /// The same, received at `at`.
    #[must_use]
    pub fn received(self, at: Timestamp) -> Self {
        Self { received_at: Some(at), ..self }
    }

    /// When it was received; `None` if that was not noted.
    pub fn received_at(&self) -> Option<Timestamp> {
        self.received_at
    }

    /// The points, in order of time.
    pub fn points(&self) -> &[(Timestamp, f64)] {
        &self.points
    }

    /// What is left of it at `now`: the points from the one on that holds then. The last two stay together, because the first of
    /// them says how long the other one holds. Of what has ended nothing is left.
    pub fn rest(mut self, now: Timestamp) -> Self {
        if self.end().is_none_or(|end| end <= now) {
            return Self::default();
        }
        let holding = self.points.partition_point(|(at, _)| *at <= now).saturating_sub(1);
        self.points.drain(..holding.min(self.points.len().saturating_sub(2)));
        self
    }

    /// When it ends: the last value holds as long as the one before it did, and a single one does not hold.
    pub fn end(&self) -> Option<Timestamp> {
        match self.points.as_slice() {
            [.., (before, _), (last, _)] => Some(*last + last.since(*before)),
            [(only, _)] => Some(*only),
            [] => None,
        }
    }

    /// What is expected at `at`; `None` before the first point and after the end.
    pub fn expect(&self, at: Timestamp) -> Option<Expected> {
        if self.end().is_none_or(|end| end <= at) {
            return None;
        }
        let after = self.points.partition_point(|(point, _)| *point <= at);
        let value = self.points.get(after.checked_sub(1)?)?.1;
        Some(Expected { middle: value, upper: value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_holds_until_the_next_and_the_last_one_as_long_as_the_one_before() {
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1000);
        let prediction = Prediction::new(vec![(at(60), 2.0), (at(0), 1.0), (at(60), 3.0), (at(90), 4.0)]);
        let expected = [-1, 0, 59, 60, 89, 90, 119, 120].map(|seconds| prediction.expect(at(seconds)).map(|e| e.upper));
        assert_eq!(expected, [None, Some(1.0), Some(1.0), Some(3.0), Some(3.0), Some(4.0), Some(4.0), None]);
        assert_eq!(Prediction::new(vec![(at(5), 1.0)]).expect(at(5)), None);
    }

    #[test]
    fn what_is_left_says_the_same_of_all_that_is_to_come() {
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1000);
        let whole = Prediction::new(vec![(at(0), 1.0), (at(60), 2.0), (at(90), 3.0)]);
        for (now, left) in [(-1, 3), (0, 3), (59, 3), (60, 2), (90, 2), (119, 2), (120, 0), (500, 0)] {
            let rest = whole.clone().rest(at(now));
            assert_eq!(rest.points().len(), left, "{now}");
            for later in now..200 {
                assert_eq!(rest.expect(at(later)), whole.expect(at(later)), "{later} as of {now}");
            }
        }
        assert_eq!(Prediction::default().rest(at(0)), Prediction::default());
        assert_eq!(Prediction::new(vec![(at(5), 1.0)]).rest(at(0)).points().len(), 1);
    }
}
