//! A learned pattern, and what it expects.

use jiff::tz::TimeZone;

use super::super::time::Timestamp;
use super::bins::{BIN, PER_DAY, PER_HOUR, day_of, local_bin, slot_of};
use super::days::Days;
use super::errors::{Errors, LEADS, LONG, SHORT, mean_deviation, square};
use super::expected::Expected;
use super::lesson::Lesson;
use super::profile::Shape;
use super::trust::Accuracy;

/// Days that a pattern covers: each day of the week. Later ones are like these.
const COVERED_DAYS: i64 = 7;

/// The usual values of a metric over a week, and their errors. Some ten kilobytes.
#[derive(Clone, Debug, PartialEq)]
pub struct Pattern {
    zone: TimeZone,
    through: Timestamp,
    shape: Shape,
    first_day: i64,
    /// The square root of the usual value, for each bin of the covered days.
    profile: Vec<f32>,
    errors: Errors,
}

/// How far the metric is off the pattern now, in roots.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Deviation {
    short: f32,
    long: f32,
}

impl Pattern {
    pub(super) fn new(days: &Days, today: i64, shape: Shape, errors: Errors, lesson: &Lesson) -> Self {
        let covered = today..today + COVERED_DAYS;
        let profile = covered.flat_map(|day| shape.profile(days, today, day)).collect();
        Self { zone: lesson.zone.clone(), through: lesson.through, shape, first_day: today, profile, errors }
    }

    /// The end of the values that it was learned from.
    pub fn through(&self) -> Timestamp {
        self.through
    }

    /// Which days it takes a day to be like.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// How good it was over the days that it was tried on.
    pub fn accuracy(&self) -> Accuracy {
        self.errors.accuracy
    }

    fn usual(&self, bin: i64) -> f32 {
        let day = (day_of(bin) - self.first_day).rem_euclid(COVERED_DAYS);
        let index = day as usize * PER_DAY + slot_of(bin);
        self.profile.get(index).copied().unwrap_or(f32::NAN)
    }

    /// How far `samples`, oldest first, are off the pattern in the hour before `now`. `None` if nothing is known of it.
    pub fn deviation(
        &self,
        samples: impl DoubleEndedIterator<Item = (Timestamp, f64)> + Clone,
        now: Timestamp,
    ) -> Option<Deviation> {
        let means = bin_means(samples, now);
        let bin = local_bin(&self.zone, now);
        let deviation = |back: i64| {
            let mean = means.get(back as usize).copied().flatten();
            mean.map_or(f32::NAN, |mean| mean.sqrt() - self.usual(bin - 1 - back))
        };
        Some(Deviation { short: mean_deviation(SHORT, deviation)?, long: mean_deviation(LONG, deviation)? })
    }

    /// The value expected at `at`, given the deviation at `now`. `None` if no value of that time of the day was ever seen.
    pub fn expect(&self, at: Timestamp, now: Timestamp, deviation: Deviation) -> Option<Expected> {
        let bin = local_bin(&self.zone, at);
        let usual = self.usual(bin);
        // From the newest whole bin, as it was learned.
        let lead = at.since(now).as_secs_f64() / BIN.as_secs_f64() + 1.0;
        let (before, after, part) = between(lead as f32);
        let mix = |one: f32, other: f32| one + (other - one) * part;
        let lasting = &self.errors.lasting;
        let short = mix(lasting[before].short, lasting[after].short);
        let long = mix(lasting[before].long, lasting[after].long);
        let Deviation { short: newest, long: level } = deviation;
        let usual_level = level.clamp(-self.errors.usual, self.errors.usual);
        let middle = usual + short * (newest - level) + long * usual_level + (level - usual_level);
        let of_hour = &self.errors.upper[slot_of(bin) / PER_HOUR * LEADS.len()..];
        let upper = middle + mix(of_hour[before], of_hour[after]);
        middle.is_finite().then(|| Expected { middle: square(middle), upper: square(upper) })
    }
}

/// The means of the bins of five minutes before `now`, the newest first; a bin without samples goes on with the newest value
/// before it.
fn bin_means(
    samples: impl DoubleEndedIterator<Item = (Timestamp, f64)> + Clone,
    now: Timestamp,
) -> [Option<f32>; LONG as usize] {
    let mut means = [None; LONG as usize];
    let mut newest_first = samples.rev().peekable();
    let mut end = now;
    for mean in &mut means {
        let begin = end - BIN;
        let (mut sum, mut count) = (0.0, 0.0);
        while let Some((_, value)) = newest_first.next_if(|(at, _)| *at > begin) {
            (sum, count) = (sum + value.max(0.0), count + 1.0);
        }
        *mean = if count > 0.0 {
            Some((sum / count) as f32)
        } else {
            newest_first.peek().map(|(_, value)| value.max(0.0) as f32)
        };
        end = begin;
    }
    means
}

/// The two of [`LEADS`] around `lead`, and how far it is from the first to the second.
fn between(lead: f32) -> (usize, usize, f32) {
    let after = LEADS.iter().position(|one| f32::from(*one) >= lead).unwrap_or(LEADS.len() - 1);
    let before = after.saturating_sub(1);
    let (low, high) = (f32::from(LEADS[before]), f32::from(LEADS[after]));
    let part = if high > low { ((lead - low) / (high - low)).clamp(0.0, 1.0) } else { 0.0 };
    (before, after, part)
}
