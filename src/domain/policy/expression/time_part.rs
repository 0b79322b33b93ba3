//! What an expression can ask of the present time, by the names and the counting that CEL gives it.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::super::super::time::Timestamp;
use super::super::schedule::zone;

/// Reads a part of a time.
type Read = fn(DateTime) -> i64;

/// A part of a time in a zone.
#[derive(Clone, Debug)]
pub struct TimePart {
    function: &'static str,
    zone: TimeZone,
    read: Read,
}

const ALL: [(&str, Read); 10] = [
    ("getFullYear", |time| time.year().into()),
    ("getMonth", |time| i64::from(time.month()) - 1),
    ("getDate", |time| time.day().into()),
    ("getDayOfMonth", |time| i64::from(time.day()) - 1),
    ("getDayOfWeek", |time| time.date().weekday().to_sunday_zero_offset().into()),
    ("getDayOfYear", |time| i64::from(time.date().day_of_year()) - 1),
    ("getHours", |time| time.hour().into()),
    ("getMinutes", |time| time.minute().into()),
    ("getSeconds", |time| time.second().into()),
    ("getMilliseconds", |time| time.millisecond().into()),
];

impl TimePart {
    /// What `function` reads in a zone, or else in UTC; none if there is no such function.
    ///
    /// # Errors
    /// If there is no such zone, as a fragment.
    pub fn new(function: &str, zone_name: Option<&str>) -> Result<Option<Self>, String> {
        let Some((function, read)) = ALL.into_iter().find(|(name, _)| *name == function) else { return Ok(None) };
        let zone = zone_name.map_or(Ok(TimeZone::UTC), |name| {
            zone(name).map_err(|unknown| format!("has {function}() in a time zone that {unknown}"))
        })?;
        Ok(Some(Self { function, zone, read }))
    }

    /// The name of the variable that stands for it. No variable of an expression can have it.
    pub fn variable(&self) -> String {
        format!("{} {}", self.function, self.zone.iana_name().unwrap_or("UTC"))
    }

    /// Its value at `now`.
    pub fn of(&self, now: Timestamp) -> i64 {
        let now = jiff::Timestamp::from_millisecond(now.as_millis()).unwrap_or_default();
        (self.read)(self.zone.to_datetime(now))
    }
}
