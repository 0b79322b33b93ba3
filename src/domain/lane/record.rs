//! What of a lane survives a restart.

use super::super::alias::Alias;
use super::super::change_state::{Change, ChangeState};
use super::super::settings::Settings;
use super::super::step_durations::StepDurations;
use super::super::time::Timestamp;

/// The part of a lane, besides its jobs, that must survive a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneRecord {
    /// The resource.
    pub resource: Alias,
    /// What earlier changes mean for later ones.
    pub change_state: ChangeState,
    /// The unresolved change.
    pub change: Option<Change>,
    /// How long its steps took.
    pub step_durations: StepDurations,
}

impl LaneRecord {
    /// The lane of a `resource` of which nothing is remembered.
    pub fn new(resource: Alias) -> Self {
        Self { resource, change_state: ChangeState::default(), change: None, step_durations: StepDurations::default() }
    }

    /// Fits it to a store that was restored at `at`: between the backup and that moment, changes may have been sent that are not
    /// recorded. Jobs of the resource have these `settings`. What was sent after the restore is recorded, and stays as it is.
    pub fn suppose_unknown_change(&mut self, at: Timestamp, settings: &Settings) {
        self.change_state.suppose_unknown_change(at, settings);
        if let Some(change) = &mut self.change {
            change.suppose_unknown(at, settings);
        }
    }
}
