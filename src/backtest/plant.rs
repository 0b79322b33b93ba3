//! The modelled resource: one change at a time, each with its time, and a cooldown after each was sent.

use std::time::Duration;

use crate::domain::{Capacity, Move, Op, Settings, StepDurations, Timestamp};

/// Learned durations are rounded up to it. Values are a minute apart in most recordings, so that less makes no
/// difference, and the grid of the limit would be too fine.
const GRAIN: Duration = Duration::from_mins(1);

/// How the resource is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlantSpec {
    /// How long units that are added take until they are ready.
    pub provisioning: Duration,
    /// How long units that are removed are still paid for.
    pub removal: Duration,
    /// Most units in one change, at least 1.
    pub step_size: u32,
    /// Least time from one change to the next.
    pub cooldown: Duration,
}

/// Values of a [`PlantSpec`] that a caller gives. They replace the expected ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlantOverrides {
    /// See [`PlantSpec::provisioning`].
    pub provisioning: Option<Duration>,
    /// See [`PlantSpec::removal`].
    pub removal: Option<Duration>,
    /// See [`PlantSpec::step_size`].
    pub step_size: Option<u32>,
    /// See [`PlantSpec::cooldown`].
    pub cooldown: Option<Duration>,
}

impl PlantSpec {
    /// The resource whose jobs have these `settings`. A change takes the median of the known `durations`. While too few are
    /// known, units that are added take `expected_change`, and units that are removed take no time.
    pub fn expected(settings: &Settings, durations: &StepDurations, expected_change: Duration) -> Self {
        let learned = |op| durations.summary(op).map(|summary| in_grains(summary.p50));
        Self {
            provisioning: learned(Op::Add).unwrap_or(expected_change),
            removal: learned(Op::Remove).unwrap_or_default(),
            step_size: settings.step_size,
            cooldown: settings.cooldown,
        }
    }

    /// The same with the values of `overrides`.
    #[must_use]
    pub fn with(self, overrides: &PlantOverrides) -> Self {
        Self {
            provisioning: overrides.provisioning.unwrap_or(self.provisioning),
            removal: overrides.removal.unwrap_or(self.removal),
            step_size: overrides.step_size.unwrap_or(self.step_size),
            cooldown: overrides.cooldown.unwrap_or(self.cooldown),
        }
    }

    /// How long a change takes.
    pub fn time_of_change(&self, op: Op) -> Duration {
        match op {
            Op::Add => self.provisioning,
            Op::Remove => self.removal,
        }
    }

    /// The time from sending a change until the next one can be sent.
    pub fn time_to_next(&self, op: Op) -> Duration {
        self.time_of_change(op).max(self.cooldown)
    }
}

fn in_grains(duration: Duration) -> Duration {
    let grains = duration.as_millis().div_ceil(GRAIN.as_millis());
    GRAIN * u32::try_from(grains).unwrap_or(u32::MAX)
}

/// The units of a resource from a moment on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// When it begins.
    pub at: Timestamp,
    /// Units that do their work: without those that are being provisioned or removed.
    pub ready: u32,
    /// Units that are paid for: with those.
    pub paid: u32,
}

/// A change that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// When it was sent.
    pub at: Timestamp,
    /// The change of capacity that it asked for.
    pub movement: Move,
    /// When it was over.
    pub ready_at: Timestamp,
}

/// See the module's documentation.
#[derive(Clone, Debug)]
pub struct Plant {
    spec: PlantSpec,
    capacity: Capacity,
    under_way: Option<Change>,
    sent_at: Option<Timestamp>,
}

impl Plant {
    /// A resource at rest.
    pub fn new(spec: PlantSpec, capacity: Capacity) -> Self {
        Self { spec, capacity, under_way: None, sent_at: None }
    }

    /// The capacity that a reading shows: that to which the change under way leads, if there is one.
    pub fn capacity(&self) -> Capacity {
        self.capacity
    }

    /// The change that is not over yet.
    pub fn under_way(&self) -> Option<&Change> {
        self.under_way.as_ref()
    }

    /// The units at `at`.
    pub fn level(&self, at: Timestamp) -> Level {
        let units = self.capacity.units();
        match self.under_way.map(|change| change.movement) {
            Some(Move { op: Op::Add, from, .. }) => Level { at, ready: from.units(), paid: units },
            Some(Move { op: Op::Remove, from, .. }) => Level { at, ready: units, paid: from.units() },
            None => Level { at, ready: units, paid: units },
        }
    }

    /// When the next change can be sent, as far as the cooldown goes.
    pub fn cooled_at(&self) -> Option<Timestamp> {
        self.sent_at.map(|at| at + self.spec.cooldown)
    }

    /// Ends the change under way if it is over at `now`, and returns it.
    pub fn finish(&mut self, now: Timestamp) -> Option<Change> {
        self.under_way.take_if(|change| change.ready_at <= now)
    }

    /// Sends the next change toward `target` if one is left and can be sent at `now`.
    pub fn send(&mut self, target: Capacity, now: Timestamp) -> Option<Change> {
        if self.under_way.is_some() || self.cooled_at().is_some_and(|at| now < at) {
            return None;
        }
        let movement = Move::toward(self.capacity, target, self.spec.step_size)?;
        let change = Change { at: now, movement, ready_at: now + self.spec.time_of_change(movement.op) };
        (self.capacity, self.under_way, self.sent_at) = (movement.to, Some(change), Some(now));
        Some(change)
    }
}
