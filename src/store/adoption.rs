//! What the owner of lanes takes over.

use super::epoch::Epoch;
use super::policy::PolicyRecord;
use crate::domain::{Alias, Group, JobEvent, LaneRecord, Timestamp};

/// The lanes to be adopted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// All that have a record, an unfinished job, or something else that is in force: a policy or its state, claims, a hold.
    All,
    /// Those of these resources, whether there is anything about them or not.
    These(Vec<Alias>),
}

/// What an owner needs to carry on with lanes where another one stopped.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Adoption {
    /// The lanes: first those with a record, by name, then those with jobs, in the order of their first jobs, then the
    /// others, by name; or in the order in which they were asked for.
    pub lanes: Vec<AdoptedLane>,
    /// The unfinished groups with a member among these lanes, in order of submission.
    pub groups: Vec<AdoptedGroup>,
    /// When the store was restored from a backup, if it was: nothing in it tells what was done since the backup and
    /// before this.
    pub restored_at: Option<Timestamp>,
}

/// A lane that belongs to the caller it was given to, until a unit about it is refused or another caller adopts it.
#[derive(Clone, Debug, PartialEq)]
pub struct AdoptedLane {
    /// Identifies the adoption.
    pub epoch: Epoch,
    /// What is remembered of the lane.
    pub record: LaneRecord,
    /// Its unfinished jobs, in order of submission, each with the id of its present version; 0 if that is older than
    /// the log.
    pub jobs: Vec<JobEvent>,
    /// What is kept about its policy, if there is anything.
    pub policy: Option<Box<PolicyRecord>>,
}

/// A group that is not over.
#[derive(Clone, Debug, PartialEq)]
pub struct AdoptedGroup {
    /// The group.
    pub group: Group,
    /// Its jobs, also those that are over, in order of submission, as in [`AdoptedLane::jobs`].
    pub jobs: Vec<JobEvent>,
}

impl Adoption {
    /// Carries what is finished over to a clock that shows `there` when the one so far shows `here`: how long ago it
    /// was stays the same. What jobs show of their past stays as it was shown.
    pub fn carry_over(&mut self, here: Timestamp, there: Timestamp) {
        for lane in &mut self.lanes {
            lane.record.change_state.carry_over(here, there);
            if let Some(policy) = &mut lane.policy {
                policy.carry_over(here, there);
            }
        }
        self.restored_at = self.restored_at.map(|at| at.on_another_clock(here, there));
    }
}
