//! The thread that writes.
//!
//! One writer, and group commit: what has queued up while the disk was busy goes into the next transaction together,
//! and fails together. After a failed commit what is on the disk is uncertain: the file is opened anew before anything
//! else is written, and no unit about a lane of the failed group is written before the lane is adopted again.
//!
//! What was observed ([`Recordings`]) waits for what is at hand and is written in pieces, one between two groups; sooner if a
//! unit about the same resource comes. Rejected: waiting until nothing is at hand, which may never be.
//!
//! Rejected: handing blocking calls to a thread pool, because the order of commits would be lost, on which the engine relies.

use std::collections::HashSet;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TryRecvError;

use super::SqliteError;
use super::lane_reader::LaneReader;
use super::store::{Failure, Own, Shared, StoreInbox, lock};
use crate::domain::{Alias, EventId, Retention, Timestamp};
use crate::store::recordings::Recordings;
use crate::store::requests::{Gathered, Request};
use crate::store::{AdmissionRecords, Excess, KeyChange, Observations, Observer, Pruned, StoreError, Unit, Which};

/// Pause between two attempts to open a failed store anew.
const REOPEN_PAUSE: Duration = Duration::from_secs(1);

/// What the writing thread writes to. Calls block.
pub trait Journal: Send + 'static {
    /// Makes `units` durable, all of them or none. Their jobs become the versions `first_event` and following.
    ///
    /// # Errors
    /// If they may not be durable.
    fn commit(&mut self, units: &[Unit], first_event: EventId) -> Result<(), SqliteError>;

    /// Makes units that are urgent durable after a commit has found the disk full, all of them or none.
    /// The store is not usable again by that.
    ///
    /// # Errors
    /// If they may not be durable.
    fn commit_urgently(&mut self, units: &[Unit]) -> Result<(), SqliteError>;

    /// Whether there is so much room on the disk that some of it is left for what may be lost.
    fn has_spare_room(&mut self) -> bool;

    /// Writes what was observed, all of it or nothing, so that it survives the end of the process.
    ///
    /// # Errors
    /// If it may not have been written. The store is not usable then.
    fn record(&mut self, observations: &[Observations]) -> Result<(), SqliteError>;

    /// Makes a store usable again after an error, at the first call also one that was just opened.
    ///
    /// # Errors
    /// If the store cannot be read or written, or makes no sense.
    fn reopen(&mut self) -> Result<Opened, SqliteError>;

    /// The way to its lanes.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn lane_reader(&self) -> Result<LaneReader, SqliteError>;

    /// See [`crate::store::Store::prune`]. Of the finished jobs, those of `excess` go first.
    ///
    /// # Errors
    /// As there.
    fn prune(&mut self, retention: Retention, now: Timestamp, excess: Option<&Excess>) -> Result<Pruned, SqliteError>;
}

/// What the writing thread has to know of what is in the store.
#[derive(Debug)]
pub struct Opened {
    /// The id of the next version of a job.
    pub next_event: EventId,
    /// What admissions are decided by.
    pub admissions: AdmissionRecords,
}

impl StoreInbox {
    /// Starts the thread that writes to `journal`, and tells `observer` what it does.
    ///
    /// # Errors
    /// If the system refuses one more thread.
    pub fn start<J: Journal>(self, journal: J, observer: Observer) -> std::io::Result<JoinHandle<()>> {
        let (shared, recordings) = (self.shared, Recordings::default());
        let writer = Writer { journal, shared, observer, next_event: 0, is_open: false, recordings };
        std::thread::Builder::new().name("store".into()).spawn(move || writer.run(self.requests))
    }
}

/// The thread's own.
struct Writer<J> {
    journal: J,
    shared: Arc<Shared>,
    observer: Observer,
    next_event: EventId,
    /// Whether it was ever opened, and was not found unusable since by what was observed.
    is_open: bool,
    recordings: Recordings,
}

impl<J: Journal> Writer<J> {
    fn run(mut self, mut inbox: mpsc::UnboundedReceiver<Request<Own>>) {
        let mut held_back = None;
        while let Some(request) = held_back.take().or_else(|| self.next(&mut inbox)) {
            // A caller may be gone by the time of its answer.
            match request {
                Request::Commit(group) => {
                    let (gathered, other) = Gathered::new(group, &mut inbox);
                    held_back = other;
                    let about: HashSet<&Alias> =
                        gathered.units().flat_map(|unit| &unit.lanes).map(|lane| &lane.resource).collect();
                    self.record_all(|resource| about.contains(resource));
                    self.commit(gathered);
                    self.record_some();
                }
                Request::Record(batch, reply) => self.recordings.add(batch, reply),
                Request::Own(Own::Adopt(which, reply)) => {
                    // What cannot be written at present may still be once the store is open again.
                    if lock(&self.shared.failure).is_none() {
                        self.record_all(|resource| match &which {
                            Which::All => true,
                            Which::These(resources) => resources.contains(resource),
                        });
                    }
                    lock(&self.shared.epochs).revoke(&which);
                    drop(reply.send(self.open(true)));
                }
                Request::Prune(retention, now, reply) => drop(reply.send(self.prune(retention, now))),
                Request::Own(Own::Close) => break,
            }
        }
        self.record_all(|_| true);
    }

    /// The next request. As long as there is none, what was observed is written.
    fn next(&mut self, inbox: &mut mpsc::UnboundedReceiver<Request<Own>>) -> Option<Request<Own>> {
        while !self.recordings.is_empty() {
            match inbox.try_recv() {
                Err(TryRecvError::Empty) => self.record_some(),
                Ok(request) => return Some(request),
                Err(TryRecvError::Disconnected) => return None,
            }
        }
        inbox.blocking_recv()
    }

    /// Writes of what was observed what is about these resources, and all that came before it.
    fn record_all(&mut self, is_about: impl Fn(&Alias) -> bool) {
        while self.recordings.has_any(&is_about) {
            self.record_some();
        }
    }

    /// Writes some of what was observed, if there is anything.
    fn record_some(&mut self) {
        if let Some(piece) = self.recordings.take_some() {
            let written = self.record(piece);
            self.recordings.settle(written);
        }
    }

    /// Writes those of `observations` that come from the owners of their lanes. No failure takes a lane from its owner: the
    /// store is only opened anew before anything else is written.
    fn record(&mut self, mut observations: Vec<Observations>) -> Result<(), StoreError> {
        {
            let epochs = lock(&self.shared.epochs);
            observations.retain(|part| epochs.owns(&part.resource, part.epoch));
        }
        if observations.is_empty() {
            return Ok(());
        }
        self.open(false)?;
        if !self.journal.has_spare_room() {
            return Err(StoreError::Scarce);
        }
        let recorded = self.observer.recorded(self.journal.record(&observations));
        self.is_open = recorded.is_ok();
        Ok(recorded?)
    }

    /// Opens the store if it is not, or not any more. Not `at_once` means: not soon after an attempt that failed.
    fn open(&mut self, at_once: bool) -> Result<(), StoreError> {
        match &*lock(&self.shared.failure) {
            None if self.is_open => return Ok(()),
            Some(Failure { error, at, .. }) if !at_once && at.elapsed() < REOPEN_PAUSE => {
                return Err(error.consequence());
            }
            _ => {}
        }
        let opened = self.observer.opened(self.journal.reopen()).and_then(|opened| {
            if self.shared.lanes.get().is_none() {
                // The only one who sets it.
                let _ = self.shared.lanes.set(self.journal.lane_reader()?);
            }
            Ok(opened)
        });
        let Opened { next_event, admissions } = opened.map_err(|error| self.fail(error))?;
        self.next_event = next_event;
        self.is_open = true;
        lock(&self.shared.admissions).restore(admissions);
        *lock(&self.shared.failure) = None;
        Ok(())
    }

    /// Nothing is written from now on, because of this; what its caller is told.
    fn fail(&self, error: SqliteError) -> StoreError {
        let is_full = error.says_full();
        let error = StoreError::from(error);
        *lock(&self.shared.failure) = Some(Failure { error: error.consequence(), at: Instant::now(), is_full });
        error
    }

    fn commit(&mut self, gathered: Gathered) {
        let (units, waiting) = gathered.into_units();
        waiting.answer(self.results(units));
    }

    /// Commits those of `units` that come from the owners of their lanes.
    fn results(&mut self, units: Vec<Unit>) -> Vec<Result<EventId, StoreError>> {
        let is_owned: Vec<bool> = {
            let mut epochs = lock(&self.shared.epochs);
            units.iter().map(|unit| epochs.admit(unit)).collect()
        };
        let (mut owned, mut refused) = (Vec::new(), Vec::new());
        for (unit, is_owned) in units.into_iter().zip(&is_owned) {
            if *is_owned { &mut owned } else { &mut refused }.push(unit);
        }
        let mut outcome = if owned.is_empty() { Ok(self.next_event) } else { self.write(&owned) };
        let are_urgent_durable = outcome.is_err() && self.write_urgent(&owned);
        let (is_committed, next_event) = (outcome.is_ok(), self.next_event);
        let is_durable = |unit: &Unit| is_committed || are_urgent_durable && is_urgent(unit);
        self.settle(&owned, &refused, is_durable);
        let mut owned = owned.iter();
        let result = |is_owned: bool| match (&mut outcome, if is_owned { owned.next() } else { None }) {
            (_, None) => Err(StoreError::NotOwned),
            (Ok(next), Some(unit)) => {
                let first = *next;
                *next += unit.jobs.len() as EventId;
                Ok(first)
            }
            (Err(_), Some(unit)) if is_durable(unit) => Ok(next_event),
            // The first one is told what failed, the others that something has.
            (Err(error), Some(_)) => {
                let consequence = error.consequence();
                Err(std::mem::replace(error, consequence))
            }
        };
        is_owned.into_iter().map(result).collect()
    }

    /// The id that the first job of `units` has got.
    fn write(&mut self, units: &[Unit]) -> Result<EventId, StoreError> {
        self.open(false)?;
        let (begun, first_event) = (Instant::now(), self.next_event);
        let committed = self.journal.commit(units, first_event);
        self.observer.committed(units.iter(), begun.elapsed(), committed.is_ok());
        committed.map_err(|error| self.fail(error))?;
        self.next_event += units.iter().map(|unit| unit.jobs.len() as EventId).sum::<EventId>();
        Ok(first_event)
    }

    /// Writes those of `units` that are urgent, if the disk is full; whether there were any, and they are durable.
    fn write_urgent(&mut self, units: &[Unit]) -> bool {
        let urgent: Vec<Unit> = units.iter().filter(|unit| is_urgent(unit)).cloned().collect();
        if urgent.is_empty() || !lock(&self.shared.failure).as_ref().is_some_and(|failure| failure.is_full) {
            return false;
        }
        let begun = Instant::now();
        let committed = self.journal.commit_urgently(&urgent);
        self.observer.committed(urgent.iter(), begun.elapsed(), committed.is_ok());
        committed.inspect_err(|error| tracing::debug!(%error, "nor is there room for a change of API keys")).is_ok()
    }

    /// Notes what became of units before any caller hears of it.
    fn settle(&self, owned: &[Unit], refused: &[Unit], is_durable: impl Fn(&Unit) -> bool) {
        let mut epochs = lock(&self.shared.epochs);
        let mut admissions = lock(&self.shared.admissions);
        for unit in owned {
            if is_durable(unit) {
                epochs.release(unit);
                admissions.committed(unit);
            } else {
                epochs.evict(unit);
            }
        }
        let not_used = refused.iter().chain(owned.iter().filter(|unit| !is_durable(unit)));
        not_used.filter_map(|unit| unit.reservation).for_each(|reservation| admissions.give_back(reservation));
        drop((epochs, admissions));
        self.shared.resolved.send_replace(());
    }

    fn prune(&mut self, retention: Retention, now: Timestamp) -> Result<Pruned, StoreError> {
        self.open(false)?;
        let excess = lock(&self.shared.admissions).excess(retention);
        let pruned = self.observer.pruned(self.journal.prune(retention, now, excess.as_ref()))?;
        let mut admissions = lock(&self.shared.admissions);
        admissions.pruned(&pruned.jobs);
        admissions.forget(now);
        Ok(pruned)
    }
}

/// Whether `unit` is written although the disk is full: it changes which API keys are good, which only those may ask
/// for whose key is an admin's, and nothing else. That a key was used is no such change.
fn is_urgent(unit: &Unit) -> bool {
    let changes_keys = unit.keys.iter().any(|change| !matches!(change, KeyChange::Used { .. }));
    let Unit { lanes, jobs, groups, policies, entries, history, keys: _, audit: _, reservation: _ } = unit;
    let is_else_empty = lanes.is_empty() && jobs.is_empty() && policies.is_empty() && entries.is_empty();
    changes_keys && is_else_empty && groups.is_empty() && history.is_empty()
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
