//! How far expectations are off, and how much of a deviation from the pattern lasts.
//!
//! Both are learned from expectations of past days. Each of these uses only values from before its day: with the values of
//! the day itself, the errors would be too small.

use super::bins::{PER_DAY, PER_HOUR, slot_of};
use super::days::Days;
use super::profile::Shape;
use super::trust::Accuracy;

/// How many bins ahead errors are looked at; in between they are interpolated.
pub(super) const LEADS: [u16; 15] = [1, 2, 3, 4, 6, 8, 12, 18, 24, 36, 48, 72, 96, 144, 288];
/// How many days errors are learned from: two weeks, each day of the week twice.
const JUDGED_DAYS: i64 = 14;
/// Bins of the mean deviation that may be noise, and of the one that is the level of the day.
pub(super) const SHORT: i64 = 2;
pub(super) const LONG: i64 = PER_HOUR as i64;
/// A deviation of more than this many of the usual ones is not of the kind that was learned: it lasts.
const USUAL: f32 = 3.0;
/// Hours around the one that errors are for: alone it has too few of them.
const HOURS_AROUND: usize = 2;
/// With fewer errors than this, nothing is known.
const LEAST_ERRORS: u32 = 100;

/// How much of a deviation is left after a lead.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Lasting {
    /// Of the newest deviation less that of the last hour.
    pub short: f32,
    /// Of the mean of the last hour.
    pub long: f32,
}

/// The errors of one shape.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Errors {
    /// For each of [`LEADS`].
    pub lasting: Vec<Lasting>,
    /// For each hour of the day and each of [`LEADS`], up to where values stay with the probability that was asked for.
    pub upper: Vec<f32>,
    /// The largest deviation of an hour that is usual.
    pub usual: f32,
    /// The mean error at the lead that is judged, in roots.
    pub error: f32,
    /// The same in the unit of the metric, with what came of the guess that all stays as it is.
    pub accuracy: Accuracy,
}

/// A moment of the past from which expectations are tried.
struct Origin {
    /// The bin.
    bin: i64,
    /// The day that the profile is of.
    day: i64,
    short: f32,
    long: f32,
}

/// Profiles of the judged days, as they could be known before each.
struct Profiles {
    first_day: i64,
    /// Of each day, its profile and that of the next day.
    of_days: Vec<Vec<f32>>,
}

impl Profiles {
    fn new(days: &Days, shape: Shape, first_day: i64) -> Self {
        let of_day = |day| [shape.profile(days, day, day), shape.profile(days, day, day + 1)].concat();
        Self { first_day, of_days: (first_day..days.end_day()).map(of_day).collect() }
    }

    /// The value at `bin` of the profile that was known before `day`; for bins before that day, of the profile of the day before.
    fn at(&self, day: i64, bin: i64) -> f32 {
        let day = if bin < day * PER_DAY as i64 { day - 1 } else { day };
        let of_day = usize::try_from(day - self.first_day).ok().and_then(|nth| self.of_days.get(nth));
        let index = usize::try_from(bin - day * PER_DAY as i64).ok();
        of_day.zip(index).and_then(|(profile, index)| profile.get(index)).copied().unwrap_or(f32::NAN)
    }
}

impl Errors {
    /// Tries `shape` on the last days. `lead` is the number of bins ahead that is judged. None if too little is known.
    pub fn learn(days: &Days, shape: Shape, quantile: f64, lead: u16) -> Option<Self> {
        let first_day = (days.end_day() - JUDGED_DAYS).max(days.first_day() + 1);
        let profiles = Profiles::new(days, shape, first_day);
        let origins = origins(days, &profiles, first_day);
        let judged = nearest_lead(lead);
        let mut learned = Self {
            lasting: Vec::with_capacity(LEADS.len()),
            upper: vec![0.0; 24 * LEADS.len()],
            usual: USUAL * root_mean_square(origins.iter().map(|origin| origin.long)),
            error: f32::NAN,
            accuracy: Accuracy { error: 0.0, naive_error: 0.0, coverage: quantile },
        };
        for (nth, lead) in LEADS.into_iter().enumerate() {
            let lasting = lasting(days, &profiles, &origins, lead);
            let mut by_hour = vec![Vec::new(); 24];
            let (mut error, mut count) = (0.0, 0_u32);
            let (mut off, mut naive_off) = (0.0, 0.0);
            for origin in &origins {
                let at = origin.bin + i64::from(lead);
                let deviation = lasting.short * (origin.short - origin.long) + lasting.long * origin.long;
                let expected = profiles.at(origin.day, at) + deviation;
                let (mean, minute) = (days.mean(at) - expected, days.minute(at) - expected);
                if minute.is_finite() {
                    by_hour[slot_of(at) / PER_HOUR].push(minute);
                }
                let (came, before) = (days.mean(at), days.mean(origin.bin));
                if mean.is_finite() && before.is_finite() {
                    (error, count) = (error + mean.abs(), count + 1);
                    off += (square(came) - square(expected)).abs();
                    naive_off += (square(came) - square(before)).abs();
                }
            }
            if nth == judged {
                if count < LEAST_ERRORS {
                    return None;
                }
                learned.error = error / count as f32;
                let mean = |sum: f64| sum / f64::from(count);
                learned.accuracy = Accuracy { error: mean(off), naive_error: mean(naive_off), ..learned.accuracy };
            }
            for (hour, upper) in (0..24).map(|hour| (hour, quantile_around(&by_hour, hour, quantile))) {
                learned.upper[hour * LEADS.len() + nth] = upper;
            }
            learned.lasting.push(lasting);
        }
        Some(learned)
    }
}

/// The value with this root.
pub(super) fn square(root: f32) -> f64 {
    f64::from(root.max(0.0)).powi(2)
}

/// The longest of [`LEADS`] that is not longer than `lead`.
fn nearest_lead(lead: u16) -> usize {
    LEADS.iter().rposition(|one| *one <= lead).unwrap_or(0)
}

fn origins(days: &Days, profiles: &Profiles, first_day: i64) -> Vec<Origin> {
    let bins = first_day * PER_DAY as i64..days.end_day() * PER_DAY as i64;
    let origin = |bin: i64| {
        let day = super::bins::day_of(bin);
        let mean = |count| mean_deviation(count, |back| days.mean(bin - back) - profiles.at(day, bin - back));
        let (short, long) = (mean(SHORT)?, mean(LONG)?);
        Some(Origin { bin, day, short, long })
    };
    bins.filter_map(origin).collect()
}

/// The mean of the newest `count` deviations; unknown ones are left out.
pub(super) fn mean_deviation(count: i64, deviation: impl Fn(i64) -> f32) -> Option<f32> {
    let known = (0..count).map(deviation).filter(|deviation| deviation.is_finite());
    let (sum, count) = known.fold((0.0, 0.0), |(sum, count), deviation| (sum + deviation, count + 1.0));
    (count > 0.0).then(|| sum / count)
}

fn root_mean_square(values: impl Iterator<Item = f32>) -> f32 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value * value, count + 1.0));
    if count > 0.0 { (sum / count).sqrt() } else { 0.0 }
}

/// The share of a deviation that is left after `lead`: a least-squares fit, damped toward 0, within 0 and 1.
fn lasting(days: &Days, profiles: &Profiles, origins: &[Origin], lead: u16) -> Lasting {
    /// Lowers the fitted shares, most of all where there are few observations.
    const DAMPING: f64 = 1.02;
    let (mut ss, mut sl, mut ll, mut sy, mut ly) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for origin in origins {
        let at = origin.bin + i64::from(lead);
        let left = f64::from(days.mean(at) - profiles.at(origin.day, at));
        if left.is_finite() {
            let (short, long) = (f64::from(origin.short - origin.long), f64::from(origin.long));
            (ss, sl, ll) = (ss + short * short, sl + short * long, ll + long * long);
            (sy, ly) = (sy + short * left, ly + long * left);
        }
    }
    let (ss, ll) = (ss * DAMPING, ll * DAMPING);
    let determinant = ss * ll - sl * sl;
    if determinant <= 0.0 {
        return Lasting::default();
    }
    let within = |part: f64| (part / determinant).clamp(0.0, 1.0) as f32;
    Lasting { short: within(sy * ll - ly * sl), long: within(ly * ss - sy * sl) }
}

/// The `quantile` of the errors of an hour and those around it; 0 if there are none.
fn quantile_around(by_hour: &[Vec<f32>], hour: usize, quantile: f64) -> f32 {
    let hours = (0..=2 * HOURS_AROUND).map(|nth| (hour + 24 + nth - HOURS_AROUND) % 24);
    let mut errors: Vec<f32> = hours.flat_map(|hour| by_hour[hour].iter().copied()).collect();
    if errors.is_empty() {
        return 0.0;
    }
    let rank = ((errors.len() as f64 * quantile) as usize).min(errors.len() - 1);
    *errors.select_nth_unstable_by(rank, f32::total_cmp).1
}
