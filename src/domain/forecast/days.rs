//! A history cut into local days.

use jiff::tz::TimeZone;

use super::super::time::Timestamp;
use super::bins::{PER_DAY, day_of, local_bin};
use super::history::History;

/// How far around a bin values are averaged for the shape of a day.
const SMOOTHED: i64 = 2;

/// The square roots of the values of a history, by the bin of local time; not a number where nothing is known.
///
/// Roots, because load varies more where there is more of it: the root of a count of independent arrivals varies alike
/// everywhere, and a burst in one night does not outweigh all days.
#[derive(Clone, Debug)]
pub(super) struct Days {
    /// The first bin.
    first: i64,
    means: Vec<f32>,
    /// One single minute of each bin: what a mean hides.
    minutes: Vec<f32>,
    smooth: Vec<f32>,
}

impl Days {
    /// All whole days that `history` touches before `through`.
    pub fn new(history: &History, through: Timestamp, zone: &TimeZone) -> Self {
        let mut days = Self { first: 0, means: Vec::new(), minutes: Vec::new(), smooth: Vec::new() };
        let mut counts: Vec<u16> = Vec::new();
        for (nth, (at, value)) in history.before(through).enumerate() {
            let bin = local_bin(zone, at);
            if days.means.is_empty() {
                days.first = day_of(bin) * PER_DAY as i64;
            }
            let Some(index) = usize::try_from(bin - days.first).ok() else { continue };
            while days.means.len() <= index {
                days.means.extend([0.0; PER_DAY]);
                days.minutes.extend([f32::NAN; PER_DAY]);
                counts.extend([0; PER_DAY]);
            }
            counts[index] += 1;
            days.means[index] += (value - days.means[index]) / f32::from(counts[index]);
            // Another minute in each bin, so that none of them stands for all.
            if days.minutes[index].is_nan() || (nth + index).is_multiple_of(5) {
                days.minutes[index] = value.sqrt();
            }
        }
        for (mean, count) in days.means.iter_mut().zip(&counts) {
            *mean = if *count > 0 { mean.sqrt() } else { f32::NAN };
        }
        days.smooth = (0..days.means.len()).map(|index| days.smoothed(index)).collect();
        days
    }

    /// The mean of what is around a bin, nearer ones counting more.
    fn smoothed(&self, index: usize) -> f32 {
        let (mut sum, mut weights) = (0.0, 0.0);
        for distance in -SMOOTHED..=SMOOTHED {
            let near = index.checked_add_signed(distance as isize).and_then(|near| self.means.get(near));
            if let Some(near) = near.filter(|near| near.is_finite()) {
                let weight = (SMOOTHED + 1 - distance.abs()) as f32;
                sum += weight * near;
                weights += weight;
            }
        }
        if weights > 0.0 { sum / weights } else { f32::NAN }
    }

    pub fn first_day(&self) -> i64 {
        day_of(self.first)
    }

    /// The day after the last one.
    pub fn end_day(&self) -> i64 {
        day_of(self.first + self.means.len() as i64)
    }

    fn index(&self, bin: i64) -> Option<usize> {
        usize::try_from(bin - self.first).ok()
    }

    /// The mean of a bin.
    pub fn mean(&self, bin: i64) -> f32 {
        self.index(bin).and_then(|index| self.means.get(index)).copied().unwrap_or(f32::NAN)
    }

    /// A single minute of a bin.
    pub fn minute(&self, bin: i64) -> f32 {
        self.index(bin).and_then(|index| self.minutes.get(index)).copied().unwrap_or(f32::NAN)
    }

    /// What is usual around a bin.
    pub fn smooth(&self, bin: i64) -> f32 {
        self.index(bin).and_then(|index| self.smooth.get(index)).copied().unwrap_or(f32::NAN)
    }

    /// How many bins are known.
    pub fn known(&self) -> usize {
        self.means.iter().filter(|mean| mean.is_finite()).count()
    }
}
