//! The shape of a day: the usual value at each time of day.
//!
//! It is the weighted median of past days, so that one odd day among three, an outage or a burst, does not count. The
//! [`Shape`] gives the weights of the days. All shapes are tried on past days, and the best one is kept.

use super::bins::{PER_DAY, weekday};
use super::days::Days;

/// Which past days a day is expected to be like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// The newest ones.
    RecentDays,
    /// The newest ones of its kind: weekdays or weekend.
    KindOfDay,
    /// The same day of the weeks before.
    DayOfWeek,
    /// The newest ones, and above all the same day of the weeks before.
    Mixed,
}

impl Shape {
    pub(super) const ALL: [Self; 4] = [Self::RecentDays, Self::KindOfDay, Self::DayOfWeek, Self::Mixed];

    /// How many days it takes to learn it: a weekly one has been seen twice.
    pub(super) const fn least_days(self) -> i64 {
        match self {
            Self::RecentDays => 1,
            Self::KindOfDay => 8,
            Self::DayOfWeek | Self::Mixed => 14,
        }
    }

    /// How much the day `past` counts for `day`.
    fn weight(self, day: i64, past: i64) -> f32 {
        let half_after = |days: f32| 0.5_f32.powf((day - past) as f32 / days);
        let is_weekend = |day| weekday(day) >= 5;
        let is_same = weekday(day) == weekday(past);
        match self {
            Self::RecentDays => half_after(3.0),
            Self::KindOfDay if is_weekend(day) == is_weekend(past) => half_after(4.5),
            Self::DayOfWeek if is_same => half_after(14.0),
            Self::KindOfDay | Self::DayOfWeek => 0.0,
            Self::Mixed => 0.5 * half_after(3.0) + if is_same { half_after(14.0) } else { 0.0 },
        }
    }

    /// The profile of `day` as it could be known before the day `before`; not a number where nothing is known.
    pub(super) fn profile(self, days: &Days, before: i64, day: i64) -> Vec<f32> {
        let past = days.first_day()..before.min(days.end_day());
        let weights = past.map(|past| (past, self.weight(day, past)));
        let weights: Vec<(i64, f32)> = weights.filter(|(_, weight)| *weight > 0.0).collect();
        let mut values = Vec::with_capacity(weights.len());
        let slots = (0..PER_DAY as i64).map(|slot| {
            values.clear();
            let of_slot = weights.iter().map(|(past, weight)| (days.smooth(past * PER_DAY as i64 + slot), *weight));
            values.extend(of_slot.filter(|(value, _)| value.is_finite()));
            weighted_median(&mut values)
        });
        slots.collect()
    }
}

/// The median of values with weights, between the two in the middle.
fn weighted_median(values: &mut [(f32, f32)]) -> f32 {
    values.sort_unstable_by(|one, other| one.0.total_cmp(&other.0));
    let total: f32 = values.iter().map(|(_, weight)| weight).sum();
    let (mut below, mut last): (f32, Option<(f32, f32)>) = (0.0, None);
    for (value, weight) in values.iter() {
        let middle = (below + weight / 2.0) / total;
        below += weight;
        if middle >= 0.5 {
            return match last {
                Some((before, at)) if middle > at => before + (value - before) * (0.5 - at) / (middle - at),
                _ => *value,
            };
        }
        last = Some((*value, middle));
    }
    last.map_or(f32::NAN, |(value, _)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_ignores_the_odd_one() {
        for (values, expected) in [
            (vec![(4.0, 1.0)], 4.0),
            (vec![(4.0, 1.0), (6.0, 1.0)], 5.0),
            (vec![(0.0, 1.0), (6.0, 1.0), (5.0, 1.0)], 5.0),
            (vec![(0.0, 1.0), (6.0, 3.0)], 4.5),
            (vec![(1.0, 1.0), (2.0, 1.0), (100.0, 1.0), (3.0, 1.0), (0.0, 1.0)], 2.0),
        ] {
            let median = weighted_median(&mut values.clone());
            assert!((median - expected).abs() < 1e-5, "{values:?}: {median}");
        }
        assert!(weighted_median(&mut []).is_nan());
    }
}
