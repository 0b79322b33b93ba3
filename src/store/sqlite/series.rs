//! The values of a metric in steps, from samples as they came and from minutes.
//!
//! Each second or minute is read once and put into its step. What is not kept as it came is read by the minute, and so is
//! what is asked for in steps of minutes, but for the last minutes, which are not worked out yet.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::minutes::Values;
use super::samples;
use super::samples_clock::SamplesClock;
use crate::domain::policy::Name;
use crate::domain::{Alias, Timestamp};
use crate::store::{MAX_POINTS, Point, Series};

const SECOND_MILLIS: i64 = 1000;
const MINUTE_MILLIS: i64 = 60 * SECOND_MILLIS;

/// What is asked for, in milliseconds.
struct Span {
    from: i64,
    to: i64,
    step: i64,
}

impl Span {
    fn new(from: Timestamp, to: Timestamp, step: Duration) -> Self {
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
fn div_ceil(dividend: i64, divisor: i64) -> i64 {
    dividend.div_euclid(divisor) + i64::from(dividend.rem_euclid(divisor) > 0)
}

/// See [`crate::store::StoreReader::series`].
pub(super) fn read(
    db: &Connection,
    resource: &Alias,
    metric: &Name,
    from: Timestamp,
    to: Timestamp,
    step: Duration,
) -> rusqlite::Result<Series> {
    let span = Span::new(from, to, step);
    let mut points = Points::new(&span);
    let sql = "SELECT id, newest_ms FROM series WHERE resource = ?1 AND metric = ?2";
    let mut found = db.prepare_cached(sql)?;
    let found =
        found.query_row([resource.as_str(), metric.as_str()], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    if let Some((series, newest_ms)) = found {
        let clock = SamplesClock::read(db)?;
        let second = |millis: i64| clock.second(Timestamp::from_millis(millis)).0;
        let (first, end) = (second(span.from), second(span.to.min(newest_ms).saturating_add(SECOND_MILLIS)));
        let oldest: Option<i64> =
            db.prepare_cached("SELECT min(second) FROM samples_raw")?.query_row([], |row| row.get(0))?;
        // There may be none as it came.
        let oldest = oldest.unwrap_or(end);
        let first_open = clock.first_open_minute(series);
        // Of the minute that the oldest second is in, some may be gone.
        let minutes_end = if span.step < MINUTE_MILLIS { div_ceil(oldest, 60).min(first_open) } else { first_open };
        read_minutes(db, series, first, end, minutes_end, |minute, values| {
            points.add(clock.moment(minute.saturating_mul(60), 0), values);
        })?;
        // No second is looked for where there is none.
        let first = first.max(oldest).max(minutes_end.saturating_mul(60));
        for sample in samples::raw(db, clock, series, first..end)? {
            points.add(sample.at, Values::of(sample.value));
        }
    }
    Ok(points.finish())
}

/// The minutes of a series that begin at `first` or later and before `end`, both seconds, and are before `minutes_end`.
fn read_minutes(
    db: &Connection,
    series: i64,
    first: i64,
    end: i64,
    minutes_end: i64,
    mut take: impl FnMut(i64, Values),
) -> rusqlite::Result<()> {
    let mut statement = db.prepare_cached(
        "SELECT minute, sum, most, count FROM samples_minute \
         WHERE series = ?1 AND minute >= ?2 AND minute < ?3 ORDER BY minute",
    )?;
    let mut rows = statement.query(params![series, div_ceil(first, 60), div_ceil(end, 60).min(minutes_end)])?;
    while let Some(row) = rows.next()? {
        take(row.get(0)?, Values { sum: row.get(1)?, most: row.get(2)?, count: row.get(3)? });
    }
    Ok(())
}

/// Points in the making.
struct Points<'a> {
    span: &'a Span,
    steps: Vec<(i64, Values)>,
}

impl<'a> Points<'a> {
    fn new(span: &'a Span) -> Self {
        Self { span, steps: Vec::new() }
    }

    /// Adds values, none of which are before earlier ones, if they are asked for.
    fn add(&mut self, at: Timestamp, values: Values) {
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

    fn finish(self) -> Series {
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
