//! How a process carries on where another one stopped.
//!
//! There may be a million lanes, and everybody waits for the last of them: nothing here sorts them or puts them into a tree
//! one by one.

use std::collections::HashMap;
use std::sync::Arc;

use super::{AfterCommit, Core, KeyEntry, LaneSlot};
use crate::domain::{Alias, Job, Lane, LaneRecord, Policy, Timestamp};
use crate::store::{Batch, Snapshot, UsedKey};

impl Core {
    /// Carries on from `snapshot` at `now`. The same snapshot leads to the same effects in the same order.
    pub fn recover(policy: Arc<Policy>, snapshot: &Snapshot, now: Timestamp) -> Self {
        let mut core = Self::new(policy, snapshot.next_event);
        for UsedKey { key, resource, fingerprint, answered_at } in snapshot.keys.iter().cloned() {
            core.insert_key(key, KeyEntry { resource, fingerprint, answered_at });
        }
        let unfinished = snapshot.jobs.iter().map(|event| &event.job).filter(|job| job.ended().is_none());
        let lanes = by_resource(&snapshot.lanes, unfinished.inspect(|job| core.add_unfinished(job)));
        let resources: Vec<Alias> = lanes.iter().map(|(record, _)| record.resource.clone()).collect();
        let slots = lanes.into_iter().map(|(record, jobs)| LaneSlot { lane: Lane::restore(record, jobs), timer: None });
        core.lanes = resources.iter().cloned().zip(slots.map(Box::new)).collect();
        for resource in &resources {
            let outcome = core.run(resource, now, |lane, turn| lane.recover(turn));
            core.ask_for(resource, outcome, Batch::default(), AfterCommit::default());
        }
        core.set_all_timers();
        core
    }

    fn set_all_timers(&mut self) {
        let timers = self.lanes.iter_mut().filter_map(|(resource, slot)| {
            slot.timer = slot.lane.wake_at();
            Some((slot.timer?, resource.clone()))
        });
        self.timers = timers.collect();
    }
}

/// The lanes with their jobs, in the order in which these were submitted.
fn by_resource<'a>(
    lanes: &[LaneRecord],
    jobs: impl Iterator<Item = &'a Arc<Job>>,
) -> Vec<(LaneRecord, Vec<Arc<Job>>)> {
    let mut found: Vec<(LaneRecord, Vec<Arc<Job>>)> = lanes.iter().map(|lane| (lane.clone(), Vec::new())).collect();
    let mut places: HashMap<Alias, usize> =
        lanes.iter().enumerate().map(|(place, lane)| (lane.resource.clone(), place)).collect();
    for job in jobs {
        let place = *places.entry(job.resource.clone()).or_insert_with(|| {
            found.push((Lane::new(job.resource.clone()).record(), Vec::new()));
            found.len() - 1
        });
        let (lane, of_it) = &mut found[place];
        // A lane and its jobs share one and the same name.
        lane.resource = job.resource.clone();
        of_it.push(Arc::clone(job));
    }
    found
}
