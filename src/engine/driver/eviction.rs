//! What happens when the store refuses a unit: its lanes are given up, and adopted again once the store works.
//!
//! It must never decide what became of a refused unit: only the store knows, so the lanes are read again exactly as after a
//! crash.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::{Done, Engine, storage_unavailable};
use crate::domain::{Alias, EventId, JobEvent, JobId, Timestamp};
use crate::sidecar::Sidecar;
use crate::store::{Adoption, Store, StoreError, StoreReader, Which};

/// Pause before each attempt to get a failed store to work again, also before the first: a store that can be read but not
/// written would otherwise fail again at once, and again.
const STORE_RETRY: Duration = Duration::from_secs(1);

/// Lanes that were adopted, and what was missed of their jobs.
pub(super) struct Readopted {
    adoption: Adoption,
    ended: Vec<JobEvent>,
    gone: Vec<JobId>,
    last_event: EventId,
}

impl<S: Sidecar> Engine<S> {
    pub(super) fn on_refused(&mut self, error: &StoreError) {
        match error {
            // No attempt will ever succeed: it takes a new process.
            StoreError::Closed => panic!("the thread of the store is gone"),
            StoreError::NotOwned | StoreError::Congested => {}
            _ if self.outage.is_none() => {
                report_failure(error);
                self.outage = Some(storage_unavailable(error));
                self.retry_soon();
            }
            _ => {}
        }
    }

    /// Takes over the lanes that were evicted, or that a request is the first one for.
    pub(super) fn on_adopted(&mut self, which: Vec<Alias>, adopted: Result<Readopted, StoreError>, now: Timestamp) {
        self.adopting.retain(|resource| !which.contains(resource));
        let Readopted { adoption, ended, gone, last_event } = match adopted {
            Ok(adopted) => adopted,
            Err(StoreError::Closed) => panic!("the thread of the store is gone"),
            Err(error) => return self.on_adoption_failed(&which, &error),
        };
        let evicted: Vec<&Alias> = which.iter().filter(|resource| self.evicted.contains_key(*resource)).collect();
        if !evicted.is_empty() {
            let missed = adoption.lanes.iter().filter(|lane| evicted.contains(&&lane.record.resource));
            let missed = missed.flat_map(|lane| &lane.jobs).chain(&ended);
            self.projections.show_missed(missed, &self.clock);
            self.projections.table.remove(&gone);
            self.projections.feed.reloaded(last_event + 1);
        }
        if self.outage.take().is_some() {
            tracing::warn!(lanes = evicted.len(), "the store works again: carrying on from it");
        }
        for lane in adoption.lanes {
            self.evicted.remove(&lane.record.resource);
            self.core.adopt(lane, now);
        }
        self.core.adopt_groups(adoption.groups, &which, now);
    }

    pub(super) fn on_adoption_failed(&mut self, which: &[Alias], error: &StoreError) {
        let outage = storage_unavailable(error);
        match &self.outage {
            None => report_failure(error),
            Some(before) if *before != outage => {
                tracing::error!(error = error as &dyn std::error::Error, "the store still fails, in another way");
            }
            Some(_) => {}
        }
        self.outage = Some(outage);
        which.iter().for_each(|resource| self.core.on_adoption_failed(resource));
        self.retry_soon();
    }

    /// Has the lanes adopted again that are evicted by then, and the store opened again if it failed.
    pub(super) fn retry_soon(&mut self) {
        if !std::mem::replace(&mut self.is_retrying, true) {
            self.tasks.spawn_local(async {
                sleep(STORE_RETRY).await;
                Done::RetryDue
            });
        }
    }

    pub(super) fn adopt(&mut self, mut which: Vec<Alias>) {
        which.retain(|resource| self.adopting.insert(resource.clone()));
        let (store, reader) = (Arc::clone(&self.store), Arc::clone(&self.reader));
        let jobs = which.iter().filter_map(|resource| self.evicted.get(resource)).flatten().copied().collect();
        self.tasks.spawn_local(async move {
            let adopted = readopt(&*store, &*reader, &which, jobs).await;
            Done::Adopted { which, adopted }
        });
    }

    /// Calls of a lane that is evicted are given up, with their connections: as far as the sidecar can tell, the process died.
    pub(super) fn evict(&mut self, resource: Alias, jobs: BTreeSet<JobId>) {
        let read = self.reads.remove(&resource).map(|(_, read)| read);
        read.into_iter().chain(self.changes.remove(&resource)).for_each(|call| call.abort());
        self.evicted.entry(resource).or_default().extend(jobs);
        self.retry_soon();
    }
}

/// Adopts lanes again, and reads what became of `jobs` of theirs that are not unfinished any more.
async fn readopt(
    store: &dyn Store,
    reader: &dyn StoreReader,
    which: &[Alias],
    jobs: BTreeSet<JobId>,
) -> Result<Readopted, StoreError> {
    let adoption = store.adopt(Which::These(which.to_vec())).await?;
    let unfinished: BTreeSet<JobId> =
        adoption.lanes.iter().flat_map(|lane| &lane.jobs).map(|event| event.job.id).collect();
    let (mut ended, mut gone) = (Vec::new(), Vec::new());
    for id in jobs.difference(&unfinished) {
        match reader.job(*id).await? {
            Some(event) => ended.push(event),
            None => gone.push(*id),
        }
    }
    let last_event = reader.last_event().await?;
    Ok(Readopted { adoption, ended, gone, last_event })
}

fn report_failure(error: &StoreError) {
    tracing::error!(
        error = error as &dyn std::error::Error,
        "the store failed: no job is accepted or moved on until it works again"
    );
}
