//! The store's side of a machine: commits that land or fail, who owns a lane, reservations.
//!
//! It must never be kinder than the real store: a unit about a lane that the process does not own any more never lands.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::{Event, Machine, Surroundings};
use crate::domain::{Alias, EventId, JobEvent, JobId};
use crate::engine::ReplyTo;
use crate::store::{Observations, RecordChange, Unit, Wish};

/// How long after a failed commit its lanes are adopted again.
const STORE_RETRY: Duration = Duration::from_secs(1);

/// How a commit fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitFailure {
    /// Nothing of it is on the disk.
    NotWritten,
    /// All of it is on the disk, but the store could not tell.
    Written,
}

impl<S: Surroundings> Machine<S> {
    pub(super) fn end_commit(&mut self, unit: Unit) {
        self.commits_under_way -= 1;
        let is_refused = self.is_broken || !self.owns(&unit);
        let failure = if is_refused { Some(CommitFailure::NotWritten) } else { self.commit_failures.pop_front() };
        // The real store writes nothing more before it is opened again, whatever lane it is about.
        self.is_broken |= failure.is_some() && !is_refused;
        let versions = match failure {
            None | Some(CommitFailure::Written) => {
                self.admissions.committed(&unit);
                self.write(unit.clone())
            }
            Some(CommitFailure::NotWritten) => {
                unit.reservation.into_iter().for_each(|reservation| self.admissions.give_back(reservation));
                self.next_version..self.next_version
            }
        };
        let clock = self.clock();
        for lane in unit.lanes.iter().filter(|lane| failure.is_some() || lane.record == RecordChange::Remove) {
            if self.owned.get(&lane.resource) == Some(&lane.epoch) {
                self.owned.remove(&lane.resource);
            }
        }
        match failure {
            None if self.commits_early => {}
            None => {
                self.core.on_committed(Some(versions.start), clock);
                if self.sends_withdrawn {
                    self.send_if_withdrawn(&unit);
                }
            }
            Some(_) => {
                self.surroundings.commit_failed(self.now, versions);
                self.core.on_committed(None, clock);
            }
        }
        self.reserve_again();
    }

    /// Hands over what was observed. A process that dies before it is on the disk loses it.
    pub fn record(&mut self, batch: Vec<Observations>) {
        self.disk_busy_until = self.disk_busy_until.max(self.now + self.commit_takes);
        self.schedule(self.disk_busy_until.since(self.now), Event::Recorded(batch));
    }

    /// A broken store writes none of it, and tells no one.
    pub(super) fn end_record(&mut self, batch: Vec<Observations>) {
        let is_owned = |part: &Observations| self.owned.get(&part.resource) == Some(&part.epoch);
        let owned: Vec<_> = batch.into_iter().filter(is_owned).collect();
        if !self.is_broken {
            owned.into_iter().for_each(|part| self.disk.record(part));
        }
        self.core.on_recorded();
    }

    pub(super) fn owns(&self, unit: &Unit) -> bool {
        unit.covers_policies() && unit.lanes.iter().all(|lane| self.owned.get(&lane.resource) == Some(&lane.epoch))
    }

    /// Writes the unit; the versions of jobs in it.
    pub(super) fn write(&mut self, mut unit: Unit) -> Range<EventId> {
        if let Some(corrupt) = self.disk.corrupt {
            corrupt(&mut unit);
        }
        let first_event = self.next_version;
        self.next_version += unit.jobs.len() as EventId;
        for (id, job) in (first_event..).zip(&unit.jobs) {
            self.surroundings.written(self.now, &JobEvent { id, job: Arc::clone(job) }, &self.disk);
        }
        self.disk.write(unit, first_event);
        first_event..self.next_version
    }

    /// Calls of a lane that is evicted are given up. A change on its way arrives all the same.
    pub(super) fn evict(&mut self, resource: Alias, jobs: BTreeSet<JobId>) {
        let (calls, rest) =
            std::mem::take(&mut self.events).into_iter().partition(|(_, event)| event.is_call_of(&resource));
        self.events = rest;
        let calls: BTreeMap<_, Event> = calls;
        for event in calls.into_values() {
            if let Event::Dispatched(resource, _, change) = event {
                self.surroundings.change(self.now, &resource, change, &self.disk);
            }
        }
        if self.evicted.is_empty() {
            self.schedule(STORE_RETRY, Event::RetryDue);
        }
        self.evicted.entry(resource).or_default().extend(jobs);
    }

    pub(super) fn adopt_evicted(&mut self) {
        for (resource, jobs) in std::mem::take(&mut self.evicted) {
            self.surroundings.read_again(self.now, &jobs, &self.disk);
            self.adopt(resource);
        }
    }

    pub(super) fn adopt(&mut self, resource: Alias) {
        self.is_broken = false;
        self.last_epoch += 1;
        self.owned.insert(resource.clone(), self.last_epoch);
        self.core.adopt(self.disk.adopt(&resource, self.last_epoch), self.clock());
        let groups = self.disk.adopt_groups(|member| *member == resource);
        self.core.adopt_groups(groups, &[resource], self.clock());
    }

    /// Has those decided that waited for another request.
    pub(super) fn reserve_again(&mut self) {
        for (to, wish) in std::mem::take(&mut self.reserving) {
            self.reserve(to, wish);
        }
    }

    pub(super) fn reserve(&mut self, to: ReplyTo, wish: Wish) {
        if self.is_broken {
            return self.core.on_reserved(to, None, self.clock());
        }
        match self.admissions.reserve(&wish) {
            Some(decided) => self.core.on_reserved(to, Some(decided), self.clock()),
            None => self.reserving.push((to, wish)),
        }
    }

    /// How many versions of jobs are in the commits under way.
    pub(super) fn versions_under_way(&self) -> EventId {
        let units = self.events.values().filter_map(|event| match event {
            Event::Committed(unit) => Some(unit.jobs.len() as EventId),
            _ => None,
        });
        units.sum()
    }
}
