//! The rules of scaling: no I/O, no clock, no async.

mod alias;
mod capacity;
mod policy;
mod settings;
mod time;

pub use alias::{Alias, InvalidAlias, MAX_ALIAS_LEN};
pub use capacity::{Capacity, CapacityOutOfRange, MAX_CAPACITY, Move, Op};
pub use policy::{Limits, Policy, ResourcePolicy};
pub use settings::{
    Bounds, InvalidSetting, MAX_DEADLINE, MAX_POLL_INTERVAL, MAX_WAIT, MIN_POLL_INTERVAL, Setting, Settings,
    SettingsOverrides,
};
pub use time::Timestamp;
