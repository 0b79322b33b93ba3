//! Windows on days of the week.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use strum::{EnumMessage, VariantArray};
use utoipa::ToSchema;

use super::Occurrence;
use super::local::first_instant;
use super::recurring::Recurring;

/// On days of the week between two local times.
#[derive(Clone, Debug, PartialEq)]
pub struct Weekly {
    /// The zone of the local times.
    pub zone: TimeZone,
    /// The days on which it opens; at least one.
    pub days: BTreeSet<DayOfWeek>,
    /// When it opens.
    pub from: Time,
    /// When it closes: on the next day if not after `from`. Equal to `from` it makes a whole day, which a document may
    /// only say as a `to` of 24:00.
    pub to: Time,
    /// Dates on which it does not open.
    pub except: BTreeSet<Date>,
}

/// A day of the week.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    ToSchema,
    EnumMessage,
    VariantArray,
)]
#[serde(rename_all = "UPPERCASE")]
pub enum DayOfWeek {
    /// The day is Monday.
    Mon,
    /// The day is Tuesday.
    Tue,
    /// The day is Wednesday.
    Wed,
    /// The day is Thursday.
    Thu,
    /// The day is Friday.
    Fri,
    /// The day is Saturday.
    Sat,
    /// The day is Sunday.
    Sun,
}

impl DayOfWeek {
    /// The day on which `date` falls.
    pub fn of(date: Date) -> Self {
        match date.weekday() {
            jiff::civil::Weekday::Monday => Self::Mon,
            jiff::civil::Weekday::Tuesday => Self::Tue,
            jiff::civil::Weekday::Wednesday => Self::Wed,
            jiff::civil::Weekday::Thursday => Self::Thu,
            jiff::civil::Weekday::Friday => Self::Fri,
            jiff::civil::Weekday::Saturday => Self::Sat,
            jiff::civil::Weekday::Sunday => Self::Sun,
        }
    }
}

impl Recurring for Weekly {
    fn zone(&self) -> &TimeZone {
        &self.zone
    }

    fn may_open_in_month_of(&self, _date: Date) -> bool {
        true
    }

    fn occurrences_on(&self, date: Date) -> Vec<Occurrence> {
        if !self.days.contains(&DayOfWeek::of(date)) || self.except.contains(&date) {
            return Vec::new();
        }
        self.occurrence_on(date).into_iter().collect()
    }

    fn longest(&self) -> Duration {
        // A day, and what the clocks may be put back in it.
        Duration::from_hours(48)
    }
}

impl Weekly {
    fn occurrence_on(&self, date: Date) -> Option<Occurrence> {
        let last = if self.to > self.from { date } else { date.tomorrow().ok()? };
        let opens = first_instant(&self.zone, date.to_datetime(self.from))?;
        let closes = first_instant(&self.zone, last.to_datetime(self.to))?;
        Occurrence::new(opens, closes)
    }
}
