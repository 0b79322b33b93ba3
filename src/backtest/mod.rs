//! Backtests: what a policy would have done with a recorded metric, and what that would have cost.
//!
//! [`play`] runs the function that decides live, in virtual time, against a modelled [`Plant`]: a resource whose changes
//! take as long as they are said to, and whose readings are exact and at once. Beside it stand plans that need no policy: a
//! [`fixed`] capacity, and the [`limit`], which knows the future. [`score`] judges all of them alike.
//!
//! [`Trial::tune`] searches the policy that is the cheapest of those that miss little enough.
//!
//! [`Trial`] is what callers make of a policy and recordings: it has the defaults of what they leave out.
//!
//! A run never looks ahead: at each moment it uses the rows up to that moment. Nothing here does I/O or reads a clock.
//!
//! Rejected: the engine and the simulated sidecar, because months of minutes would take hours, and what they add (lost
//! answers, crashes, readings that lag) is not in a recorded metric.

mod allowance;
mod compare;
mod demand_spec;
mod limit;
mod no_trial;
mod plant;
mod play;
mod recording;
mod score;
mod trial;
mod tune;

pub use allowance::{Allowance, Stop};
pub use compare::{Comparison, Judged, compare};
pub use demand_spec::DemandSpec;
pub use limit::{Limit, limit};
pub use no_trial::NoTrial;
pub use plant::{Change, Level, Plant, PlantOverrides, PlantSpec};
pub use play::{Recordings, Setup, play};
pub use recording::{Demand, Need, OutOfOrder, Recording};
pub use score::{Score, Stretch, score, stretches};
pub use trial::{Terms, Trial};
pub use tune::{LoadSetting, Parts, Shown, Tried, Tuned, TunedSettings};

use crate::domain::{Capacity, Timestamp};

/// The time of a backtest, half-open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Its beginning.
    pub from: Timestamp,
    /// Its end.
    pub to: Timestamp,
}

/// How a resource went: its levels in order, the first one at the beginning, and its changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// What was ready and what was paid, from each moment on.
    pub levels: Vec<Level>,
    /// The changes that were sent.
    pub changes: Vec<Change>,
}

impl Run {
    /// The part of it within `span`.
    #[must_use]
    pub fn within(&self, span: Span) -> Self {
        let before = self.levels.iter().rposition(|level| level.at <= span.from).unwrap_or(0);
        let levels = self.levels.iter().skip(before).filter(|level| level.at < span.to);
        let changes = self.changes.iter().filter(|change| span.from <= change.at && change.at < span.to);
        Self { levels: levels.copied().collect(), changes: changes.copied().collect() }
    }
}

/// A resource that stays at one capacity.
pub fn fixed(capacity: Capacity, span: Span) -> Run {
    let units = capacity.units();
    Run { levels: vec![Level { at: span.from, ready: units, paid: units }], changes: Vec::new() }
}

#[cfg(test)]
mod tests;
