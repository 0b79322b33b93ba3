//! Windows of time in which a policy has other bounds.
//!
//! A window is a list of half-open spans of instants, each worked out from local times in a time zone. Whether one holds
//! is asked of the spans, never worked out from the next start and the next end.

use std::collections::BTreeSet;

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use strum::{EnumMessage, VariantArray};
use utoipa::ToSchema;

use super::super::capacity::Capacity;
use super::super::time::Timestamp;

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
    /// Once, between two instants.
    Once {
        /// Its beginning.
        at: Timestamp,
        /// Its end, later than `at`.
        until: Timestamp,
    },
}

/// On days of the week between two local times.
#[derive(Clone, Debug, PartialEq)]
pub struct Weekly {
    /// The zone of the local times.
    pub zone: TimeZone,
    /// The days on which it opens; at least one.
    pub days: BTreeSet<u8>,
    /// When it opens.
    pub from: Time,
    /// When it closes: on the next day if not after `from`; never equal to it.
    pub to: Time,
    /// Dates on which it does not open.
    pub except: BTreeSet<Date>,
}
