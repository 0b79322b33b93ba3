//! How the values of a metric are told in steps, whichever store keeps them: which steps those are, and what becomes of the
//! values in each.

use std::time::Duration;

use super::read::{MAX_POINTS, Point, Series};
use crate::domain::Timestamp;

pub(super) const SECOND_MILLIS: i64 = 1000;
pub(super) const MINUTE_MILLIS: i64 = 60 * SECOND_MILLIS;

/// What is asked for, in milliseconds.
pub(super) struct Span {
    pub from: i64,
    pub to: i64,
    pub step: i64,
}

impl Span {
    pub fn new(from: Timestamp, to: Timestamp, step: Duration) -> Self {
        let (from, to) = (from.as_millis(), to.as_millis().max(from.as_millis()));
        // The first step may begin before `from`, so that there is one more.
        let least = div_ceil(to.saturating_sub(from), MAX_POINTS as i64 - 1);
        let step = i64::try_from(step.as_millis()).unwrap_or(i64::MAX / 4).max(least).max(1);
        let unit = if step > MINUTE_MILLIS { MINUTE_MILLIS } else { SECOND_MILLIS };
        let step = div_ceil(step, unit).saturating_mul(unit);
        Self { from: from.div_euclid(step).saturating_mul(step), to, step }
    }
}

/// The quotient, rounded up.
pub(super) fn div_ceil(dividend: i64, divisor: i64) -> i64 {
    dividend.div_euclid(divisor) + i64::from(dividend.rem_euclid(divisor) > 0)
}

/// Values that are told as one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Values {
    pub sum: f64,
    pub most: f64,
    pub count: u64,
}

impl Values {
    pub fn of(value: f64) -> Self {
        Self { sum: value, most: value, count: 1 }
    }

    /// These and `other` ones. Finite, however large they are.
    pub fn and(self, other: Self) -> Self {
        let sum = (self.sum + other.sum).clamp(f64::MIN, f64::MAX);
        Self { sum, most: self.most.max(other.most), count: self.count + other.count }
    }
}

/// Points in the making.
pub(super) struct Points<'a> {
    span: &'a Span,
    steps: Vec<(i64, Values)>,
}

impl<'a> Points<'a> {
    pub fn new(span: &'a Span) -> Self {
        Self { span, steps: Vec::new() }
    }

    /// Adds values, none of which are before earlier ones, if they are asked for.
    pub fn add(&mut self, at: Timestamp, values: Values) {
        let at = at.as_millis();
        if !(self.span.from..self.span.to).contains(&at) {
            return;
        }
        let step = at.div_euclid(self.span.step);
        match self.steps.last_mut().filter(|(last, _)| *last == step) {
            Some((_, last)) => *last = last.and(values),
            None => self.steps.push((step, values)),
        }
    }

    pub fn finish(self) -> Series {
        let step = self.span.step;
        let point = |(number, Values { sum, most, count }): (i64, Values)| Point {
            at: Timestamp::from_millis(number.saturating_mul(step)),
            mean: (sum / count as f64).min(most),
            max: most,
            count,
        };
        Series { step: Duration::from_millis(step.unsigned_abs()), points: self.steps.into_iter().map(point).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds asked for, and what comes of them: the beginning, and the step.
    #[test]
    fn a_step_is_as_long_as_it_has_to_be() {
        for (from, to, step, expected) in [
            (0, 10, 1, (0, 1)),
            (7, 10, 5, (5, 5)),
            (0, 4999, 1, (0, 1)),
            (0, 5000, 1, (0, 2)),
            (-7, 10, 0, (-7, 1)),
            (100, 1000, 61, (0, 120)),
            (0, 35 * 86_400, 60, (0, 660)),
            (10, 5, 60, (0, 60)),
        ] {
            let at = |seconds: i64| Timestamp::from_millis(seconds * 1000);
            let span = Span::new(at(from), at(to), Duration::from_secs(step));
            assert_eq!((span.from / 1000, span.step / 1000), expected, "{from} to {to} by {step}");
            assert!(div_ceil(span.to - span.from, span.step) <= MAX_POINTS as i64);
        }
        let all = Span::new(Timestamp::from_millis(i64::MIN), Timestamp::from_millis(i64::MAX), Duration::MAX);
        assert!(all.step > 0 && all.from <= all.to);
    }

    #[test]
    fn values_stay_finite() {
        let large = Values::of(f64::MAX).and(Values::of(f64::MAX));
        assert_eq!((large.sum, large.most, large.count), (f64::MAX, f64::MAX, 2));
        assert_eq!(large.and(Values::of(f64::MIN)).and(Values::of(f64::MIN)).sum, f64::MIN);
    }
}
