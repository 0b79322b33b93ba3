//! Windows of time in which a policy has other bounds.
//!
//! A window recurs on local dates of a time zone, or is open once. Each occurrence is worked out as two instants, half
//! open: whether one holds is asked of these, and never derived by comparing the next beginning with the next end, which
//! keeps a window open for the days on which it does not occur. After an outage, only what holds now matters: nothing
//! here remembers what was asked before. Every query does a bounded amount of work, whatever the window.
//!
//! Local times become instants as `local` says. Rejected: the search of the cron library that parses expressions,
//! because it skips local times that do not exist when an expression has a `*` in it.

mod cron;
mod local;
mod recurring;
mod transition;
mod weekly;
mod zone;

#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use strum::{EnumMessage, VariantArray};
use utoipa::ToSchema;

use super::super::capacity::Capacity;
use super::super::time::Timestamp;

pub use cron::{CronExpression, CronField, CronWindow, InvalidCron, MAX_CRON_CHARS};
pub use transition::{Transition, transitions};
pub use weekly::{DayOfWeek, Weekly};
pub use zone::{UnknownZone, zone};

/// Longest window that recurs. Anything longer than a year is not a window but the bounds of the policy.
pub const MAX_RECURRING_WINDOW: Duration = Duration::from_hours(366 * 24);

/// A rule that changes the bounds of a policy while one of its windows is open.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    /// When it is open.
    pub when: When,
    /// Least capacity meanwhile, within the policy's bounds.
    pub min: Option<Capacity>,
    /// Largest capacity meanwhile, within the policy's bounds and not below `min`.
    pub max: Option<Capacity>,
    /// When a raised `min` is to be reached.
    pub ready: Ready,
}

/// When a raised least capacity is to be reached.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema, EnumMessage, VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[schema(as = WindowReady)]
pub enum Ready {
    /// At the beginning of the window: the climb starts before it.
    #[default]
    Before,
    /// Some time after: the climb starts at the beginning of the window.
    After,
}

/// When a window is open.
#[derive(Clone, Debug, PartialEq)]
pub enum When {
    /// On days of the week between two local times.
    Weekly(Weekly),
    /// For a time from each local time that a cron expression matches.
    Cron(CronWindow),
    /// Once, between two instants.
    Once(Occurrence),
}

/// One time that a window is open: from `opens` until just before `closes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Occurrence {
    /// Its beginning.
    pub opens: Timestamp,
    /// Its end, later than its beginning.
    pub closes: Timestamp,
}

impl Occurrence {
    /// From `opens` until `closes`, if there is any time between them.
    pub fn new(opens: Timestamp, closes: Timestamp) -> Option<Self> {
        (opens < closes).then_some(Self { opens, closes })
    }

    /// Whether it holds at `now`.
    pub fn holds_at(&self, now: Timestamp) -> bool {
        self.opens <= now && now < self.closes
    }
}

impl When {
    /// The occurrence that holds at `now`; of several, the one that ends last. The window may be open again at its end.
    pub fn open_at(&self, now: Timestamp) -> Option<Occurrence> {
        match self {
            Self::Weekly(weekly) => recurring::open_at(weekly, now),
            Self::Cron(cron) => recurring::open_at(cron, now),
            Self::Once(once) => once.holds_at(now).then_some(*once),
        }
    }

    /// The first occurrence that begins after `now`, whether the window is open or not; none if there is none in ten years.
    pub fn next_after(&self, now: Timestamp) -> Option<Occurrence> {
        self.opening_after(now).next()
    }

    /// Whether it will never be open again: nothing else tells a slip of the pen such as the 30th of February.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.open_at(now).is_none() && self.next_after(now).is_none()
    }

    /// The occurrences that begin after `now`, in the order of their beginnings.
    fn opening_after(&self, now: Timestamp) -> Box<dyn Iterator<Item = Occurrence> + '_> {
        match self {
            Self::Weekly(weekly) => Box::new(recurring::opening_after(weekly, now)),
            Self::Cron(cron) => Box::new(recurring::opening_after(cron, now)),
            Self::Once(once) => Box::new(Some(*once).filter(|once| once.opens > now).into_iter()),
        }
    }
}
