//! Windows that begin when a cron expression matches the local time.
//!
//! An expression has five fields: minute, hour, day of month, month, day of week. Sunday is 0 or 7, Monday to Friday are 1
//! to 5, never Quartz's 2 to 6. If both days are restricted, either of them suffices. The library parses the fields; what
//! it accepts beyond them (seconds, years, nicknames, `L`, `W`, `#`, `?`, names in the wrong field, empty items) is
//! refused, because other programs read it differently or not at all.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use croner::parser::{CronParser, Seconds, Year};
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use strum::VariantArray;

use super::super::super::time::Timestamp;
use super::Occurrence;
use super::local::{first_instant, instant, only_offset, second_instant};
use super::recurring::Recurring;

/// Longest cron expression, in characters. Every minute of an hour, listed one by one, is 170.
pub const MAX_CRON_CHARS: usize = 256;

/// For a time from each local time that a cron expression matches. Occurrences that overlap are one window.
#[derive(Clone, Debug, PartialEq)]
pub struct CronWindow {
    /// The zone of the local times.
    pub zone: TimeZone,
    /// When it opens.
    pub cron: CronExpression,
    /// For how long; above zero and at most [`MAX_RECURRING_WINDOW`](super::MAX_RECURRING_WINDOW).
    pub length: Duration,
    /// Dates on which it does not open.
    pub except: BTreeSet<Date>,
}

/// A cron expression of five fields, as it was written. Two are equal if their texts are.
#[derive(Clone)]
pub struct CronExpression {
    text: Arc<str>,
    minutes: Vec<i8>,
    hours: Vec<i8>,
    days: Vec<i8>,
    months: Vec<i8>,
    weekdays: Vec<i8>,
    any_day: bool,
    any_weekday: bool,
    counts_repeated: bool,
}

/// A field of a cron expression, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, VariantArray)]
#[allow(missing_docs)]
pub enum CronField {
    Minute,
    Hour,
    DayOfMonth,
    Month,
    DayOfWeek,
}

/// Why a text is not a [`CronExpression`], as a fragment that follows the name of the field that holds it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCron {
    /// It is too long.
    #[error("must have {MAX_CRON_CHARS} characters at most")]
    Length,
    /// It has another number of fields.
    #[error("must have five fields (minute, hour, day of month, month, day of week), not {0}")]
    Fields(usize),
    /// A field is wrong.
    #[error("has {text:?} as {field}: expected {}, ranges (1-5), steps (*/2), lists (1,3) or *", field.values())]
    Field {
        /// Which one.
        field: CronField,
        /// Its text.
        text: String,
    },
}

impl CronField {
    fn values(self) -> &'static str {
        match self {
            Self::Minute => "0 to 59",
            Self::Hour => "0 to 23",
            Self::DayOfMonth => "1 to 31",
            Self::Month => "1 to 12 or JAN to DEC",
            Self::DayOfWeek => "0 (Sunday) to 7 (Sunday) or SUN to SAT",
        }
    }

    fn names(self) -> &'static [&'static str] {
        match self {
            Self::Minute | Self::Hour | Self::DayOfMonth => &[],
            Self::Month => &["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"],
            Self::DayOfWeek => &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"],
        }
    }

    /// Whether `text` has the shape of this field: what the library accepts beyond it has not.
    fn has_shape(self, text: &str) -> bool {
        let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let named = |text: &str| self.names().iter().any(|name| name.eq_ignore_ascii_case(text));
        text.split(',').all(|item| {
            let (range, step) = item.split_once('/').map_or((item, None), |(range, step)| (range, Some(step)));
            let mut bounds = range.splitn(2, '-');
            step.is_none_or(number) && (range == "*" || bounds.all(|bound| number(bound) || named(bound)))
        })
    }

    /// The values of this field alone in an expression, if `text` is one.
    fn parse(self, text: &str) -> Option<Vec<i8>> {
        let mut fields = ["*"; 5];
        *fields.get_mut(self as usize)? = text;
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let pattern = parser.parse(&fields.join(" ")).ok()?.pattern;
        let component = match self {
            Self::Minute => pattern.minutes,
            Self::Hour => pattern.hours,
            Self::DayOfMonth => pattern.days,
            Self::Month => pattern.months,
            Self::DayOfWeek => pattern.days_of_week,
        };
        component.values().into_iter().map(|value| i8::try_from(value).ok()).collect()
    }
}

impl fmt::Display for CronField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::DayOfMonth => "day of month",
            Self::Month => "month",
            Self::DayOfWeek => "day of week",
        })
    }
}

impl FromStr for CronExpression {
    type Err = InvalidCron;

    fn from_str(text: &str) -> Result<Self, InvalidCron> {
        if text.chars().count() > MAX_CRON_CHARS {
            return Err(InvalidCron::Length);
        }
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields[..] else { return Err(InvalidCron::Fields(fields.len())) };
        let parse = |field: CronField, text: &str| {
            let values = if field.has_shape(text) { field.parse(text) } else { None };
            values.ok_or_else(|| InvalidCron::Field { field, text: text.to_owned() })
        };
        Ok(Self {
            text: text.into(),
            minutes: parse(CronField::Minute, minute)?,
            hours: parse(CronField::Hour, hour)?,
            days: parse(CronField::DayOfMonth, day)?,
            months: parse(CronField::Month, month)?,
            weekdays: parse(CronField::DayOfWeek, weekday)?,
            any_day: day == "*",
            any_weekday: weekday == "*",
            counts_repeated: minute.contains(['*', '/']) || hour.contains(['*', '/']),
        })
    }
}

impl CronExpression {
    /// The expression as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it matches times of `date`.
    fn matches(&self, date: Date) -> bool {
        let day = self.days.contains(&date.day());
        let weekday = self.weekdays.contains(&date.weekday().to_sunday_zero_offset());
        let either = match (self.any_day, self.any_weekday) {
            (true, _) => weekday,
            (false, true) => day,
            (false, false) => day || weekday,
        };
        either && self.months.contains(&date.month())
    }

    /// The local times of `date` that it matches, if it matches the date.
    fn times_of(&self, date: Date) -> impl Iterator<Item = DateTime> + '_ {
        self.hours.iter().flat_map(move |hour| self.minutes.iter().map(move |minute| date.at(*hour, *minute, 0, 0)))
    }

    /// The instants of those times.
    fn instants_of(&self, date: Date, zone: &TimeZone) -> Vec<Timestamp> {
        let times = self.times_of(date);
        if let Some(offset) = only_offset(zone, date) {
            return times.filter_map(|time| instant(time, offset)).collect();
        }
        let second = |time| if self.counts_repeated { second_instant(zone, time) } else { None };
        let all: BTreeSet<_> = times.flat_map(|time| [first_instant(zone, time), second(time)]).flatten().collect();
        all.into_iter().collect()
    }
}

impl PartialEq for CronExpression {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for CronExpression {}

impl fmt::Debug for CronExpression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for CronExpression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Recurring for CronWindow {
    fn zone(&self) -> &TimeZone {
        &self.zone
    }

    fn may_open_in_month_of(&self, date: Date) -> bool {
        self.cron.months.contains(&date.month())
    }

    fn occurrences_on(&self, date: Date) -> Vec<Occurrence> {
        if !self.cron.matches(date) || self.except.contains(&date) {
            return Vec::new();
        }
        let instants = self.cron.instants_of(date, &self.zone).into_iter();
        instants.filter_map(|opens| Occurrence::new(opens, opens + self.length)).collect()
    }

    fn longest(&self) -> Duration {
        self.length
    }
}
