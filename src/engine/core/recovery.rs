//! How a process carries on where another one stopped.
//!
//! There may be a million lanes, everybody waits for the last of them, and nearly all of the time goes into fetching memory
//! that was not looked at for a while. So each lane is put together and begins in one go, nothing is sorted by name, and the
//! timers become a tree all at once.

use std::collections::HashMap;
use std::sync::Arc;

use super::{AfterCommit, Core, KeyEntry, LaneSlot};
use crate::domain::{Alias, Job, Lane, LaneRecord, Ledger, Outcome, Policy, Timestamp, Turn};
use crate::store::{Batch, Snapshot, UsedKey};

impl Core {
    /// Carries on from `snapshot` at `now`. The same snapshot leads to the same effects in the same order.
    pub fn recover(policy: Arc<Policy>, snapshot: &Snapshot, now: Timestamp) -> Self {
        let mut core = Self::new(policy, snapshot.next_event);
        for UsedKey { key, resource, fingerprint, answered_at } in snapshot.keys.iter().cloned() {
            core.insert_key(key, KeyEntry { resource, fingerprint, answered_at });
        }
        let unfinished = snapshot.jobs.iter().map(|event| &event.job).filter(|job| job.ended().is_none());
        let mut jobs = HashMap::with_capacity(snapshot.lanes.len());
        for job in unfinished {
            core.add_unfinished(job);
            let of_resource = jobs.entry(job.resource.clone()).or_insert_with(|| Vec::with_capacity(1));
            of_resource.push(Arc::clone(job));
        }
        core.lanes.reserve(jobs.len().max(snapshot.lanes.len()));
        let mut begun = Vec::new();
        for record in &snapshot.lanes {
            // A lane and its jobs share one and the same name.
            let found = jobs.remove_entry(&record.resource);
            let (resource, jobs) = found.unwrap_or_else(|| (record.resource.clone(), Vec::new()));
            begun.extend(core.begin(Lane::restore(LaneRecord { resource, ..record.clone() }, jobs), now));
        }
        for (resource, jobs) in in_order(jobs) {
            let record = LaneRecord { resource, ledger: Ledger::default(), change: None };
            begun.extend(core.begin(Lane::restore(record, jobs), now));
        }
        for (resource, outcome) in begun {
            core.ask_for(&resource, outcome, Batch::default(), AfterCommit::default());
        }
        let timers = core.lanes.iter().filter_map(|(resource, slot)| Some((slot.timer?, resource.clone())));
        core.timers = timers.collect();
        core
    }

    /// Takes in a lane and lets it begin; what it asks for, if anything.
    fn begin(&mut self, mut lane: Lane, now: Timestamp) -> Option<(Alias, Outcome)> {
        let resource = lane.resource().clone();
        let mut turn = Turn::new(now, self.bounds_of(&resource), !self.draining, &mut self.next_call);
        lane.recover(&mut turn);
        let outcome = turn.outcome;
        let timer = lane.wake_at();
        self.lanes.insert(resource.clone(), Box::new(LaneSlot { lane, timer }));
        (!outcome.is_empty()).then_some((resource, outcome))
    }
}

/// The resources in the order of their first jobs.
fn in_order(jobs: HashMap<Alias, Vec<Arc<Job>>>) -> impl Iterator<Item = (Alias, Vec<Arc<Job>>)> {
    let mut found: Vec<_> = jobs.into_iter().map(|(name, jobs)| (jobs.first().map(|job| job.id), name, jobs)).collect();
    found.sort_unstable_by_key(|(first, ..)| *first);
    found.into_iter().map(|(_, name, jobs)| (name, jobs))
}
