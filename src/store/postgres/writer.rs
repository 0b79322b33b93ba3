//! The task that writes.
//!
//! One task with one connection, so that units become durable in the order in which they were handed over; group commit: what
//! has queued up meanwhile goes into the next transaction together. A group that the database refuses is written unit by unit,
//! so that each fails for itself.
//!
//! A connection that breaks costs no unit: if the commit was not sent, or is found not to have happened, the group is sent again.
//! Where that cannot be told in time, its units fail, and the next adoption of their lanes tells.
//!
//! What was observed waits for what is at hand and is written in pieces, one between two groups; sooner if a unit about the same
//! resource comes.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};

use super::admissions::Ask;
use super::adopt::{self, Taken};
use super::connections::Connections;
use super::error::Fault;
use super::group::{self, Admitted, Fate, Tried};
use super::prune::{self, Counted};
use super::replica::{self, Identity, ReplicaFacts};
use super::requests::Own;
use crate::domain::{Alias, EventId, LeaseTerms, Retention, Timestamp};
use crate::store::epochs::Epochs;
use crate::store::recordings::Recordings;
use crate::store::requests::{Gathered, Request};
use crate::store::{Observations, Observer, Pruned, StoreError, Unit, Which};

/// How long a group is tried while no connection lasts.
const PATIENCE: Duration = Duration::from_secs(10);
/// Pause between two attempts.
const PAUSE: Duration = Duration::from_millis(100);
/// For how long after an attempt that took all its time the next ones are not begun.
const FAIL_FAST: Duration = Duration::from_secs(1);

/// The task's own.
pub(super) struct Writer {
    pub connections: Connections,
    pub identity: Identity,
    pub terms: LeaseTerms,
    pub facts: ReplicaFacts,
    pub observer: Observer,
    pub admissions: mpsc::UnboundedSender<Ask>,
    /// Changes when a reservation is used up or given back.
    pub resolved: Arc<watch::Sender<()>>,
    pub state: State,
}

/// What the task remembers.
#[derive(Default)]
pub(super) struct State {
    epochs: Epochs,
    recordings: Recordings,
    /// The number of the last transaction under the present id.
    number: i64,
    counted: Counted,
    /// Since when nothing is tried any more, and why.
    failed: Option<(Instant, StoreError)>,
}

impl Writer {
    pub async fn run(mut self, mut inbox: mpsc::UnboundedReceiver<Request<Own>>) {
        let mut held_back = None;
        loop {
            let next = match held_back.take() {
                Some(request) => Some(request),
                None => self.next(&mut inbox).await,
            };
            // A caller may be gone by the time of its answer.
            match next {
                Some(Request::Commit(group)) => {
                    let (gathered, other) = Gathered::new(group, &mut inbox);
                    held_back = other;
                    let about: HashSet<Alias> =
                        gathered.units().flat_map(|unit| &unit.lanes).map(|lane| lane.resource.clone()).collect();
                    self.record_all(|resource| about.contains(resource)).await;
                    self.commit(gathered).await;
                    self.record_some().await;
                }
                Some(Request::Record(batch, reply)) => self.state.recordings.add(batch, reply),
                Some(Request::Own(Own::Adopt(which, reply))) => drop(reply.send(self.adopt(&which).await)),
                Some(Request::Prune(retention, now, reply)) => drop(reply.send(self.prune(retention, now).await)),
                Some(Request::Own(Own::Lost(replica))) => self.on_lost(&replica).await,
                Some(Request::Own(Own::Close(reply))) => {
                    inbox.close();
                    self.close().await;
                    let _ = reply.send(());
                    return;
                }
                None => return self.close().await,
            }
        }
    }

    /// What was observed is written, and all lanes are free.
    async fn close(&mut self) {
        self.record_all(|_| true).await;
        if let Err(fault) = replica::leave(&self.connections, &self.identity).await {
            let error = fault.explain(&self.connections.at);
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "other replicas take over once the lease has ended"
            );
        }
    }

    /// The next request. As long as there is none, what was observed is written.
    async fn next(&mut self, inbox: &mut mpsc::UnboundedReceiver<Request<Own>>) -> Option<Request<Own>> {
        while !self.state.recordings.is_empty() {
            match inbox.try_recv() {
                Err(mpsc::error::TryRecvError::Empty) => self.record_some().await,
                Ok(request) => return Some(request),
                Err(mpsc::error::TryRecvError::Disconnected) => return None,
            }
        }
        inbox.recv().await
    }

    // ---- observations -----------------------------------------------------------------------------------------------

    /// Writes of what was observed what is about these resources, and all that came before it.
    async fn record_all(&mut self, is_about: impl Fn(&Alias) -> bool) {
        while self.state.recordings.has_any(&is_about) {
            self.record_some().await;
        }
    }

    /// Writes some of what was observed, if there is anything.
    async fn record_some(&mut self) {
        if let Some(piece) = self.state.recordings.take_some() {
            let written = self.record(piece).await;
            self.state.recordings.settle(written);
        }
    }

    async fn record(&mut self, mut observations: Vec<Observations>) -> Result<(), StoreError> {
        observations.retain(|part| self.state.epochs.owns(&part.resource, part.epoch));
        if observations.is_empty() {
            return Ok(());
        }
        self.fail_fast()?;
        let recorded = group::record(&self.connections, &self.identity.replica(), observations).await;
        self.observer.recorded(recorded).map_err(|fault| self.explain(fault))
    }

    // ---- units ------------------------------------------------------------------------------------------------------

    async fn commit(&mut self, gathered: Gathered) {
        let (units, waiting) = gathered.into_units();
        let results = self.results(&units.iter().collect::<Vec<_>>()).await;
        self.resolved.send_replace(());
        waiting.answer(results);
    }

    /// Writes those of `units` that come from the owners of their lanes: together, or else one by one.
    async fn results(&mut self, units: &[&Unit]) -> Vec<Result<EventId, StoreError>> {
        match self.write(units).await {
            Ok(results) => results,
            Err(_) if units.len() > 1 => {
                let mut results = Vec::new();
                for unit in units {
                    let mut result = Box::pin(self.results(std::slice::from_ref(unit))).await;
                    results.push(result.pop().unwrap_or(Err(StoreError::NotOwned)));
                }
                results
            }
            Err(fault) => {
                let error = self.explain(fault);
                self.settle(units, Err(error), Duration::ZERO)
            }
        }
    }

    /// Writes `units` in one transaction.
    ///
    /// # Errors
    /// If the database refused a statement. Nothing is written then.
    async fn write(&mut self, units: &[&Unit]) -> Result<Vec<Result<EventId, StoreError>>, Fault> {
        let is_owned: Vec<bool> = units.iter().map(|unit| self.state.epochs.admit(unit)).collect();
        let owned: Vec<&Unit> =
            units.iter().zip(&is_owned).filter(|(_, owned)| **owned).map(|(unit, _)| *unit).collect();
        let begun = Instant::now();
        let outcome = if owned.is_empty() { Ok(Vec::new()) } else { self.try_until(&owned, begun + PATIENCE).await? };
        let mut written = self.settle(&owned, outcome, begun.elapsed()).into_iter();
        let refused: Vec<&Unit> =
            units.iter().zip(&is_owned).filter(|(_, owned)| !**owned).map(|(unit, _)| *unit).collect();
        self.give_back(&refused);
        let result = |owned: bool| if owned { written.next() } else { None };
        Ok(is_owned.into_iter().map(result).map(|found| found.unwrap_or(Err(StoreError::NotOwned))).collect())
    }

    /// Tries to write `units` until it is known what became of them, or it is time to give up.
    ///
    /// # Errors
    /// If the database refused a statement.
    async fn try_until(&mut self, units: &[&Unit], give_up_at: Instant) -> Result<Result<Admitted, StoreError>, Fault> {
        if let Err(error) = self.fail_fast() {
            return Ok(Err(error));
        }
        loop {
            self.state.number += 1;
            let (replica, number) = (self.identity.replica(), self.state.number);
            let fault = match group::write(&self.connections, &replica, number, units).await {
                Tried::Durable(admitted) => return Ok(Ok(admitted)),
                Tried::Refused(fault) => return Err(fault),
                Tried::Dead => {
                    // Under the new id it owns no lane, but what is about none can be written.
                    self.on_lost(&replica).await;
                    Fault::Slow
                }
                Tried::NotSent(fault) => fault,
                Tried::Unknown(admitted, fault) => {
                    match group::read_back(&self.connections, &replica, number, give_up_at).await {
                        Fate::Committed => return Ok(Ok(admitted)),
                        Fate::NotCommitted => fault,
                        Fate::Unknown => return Ok(Err(self.explain(fault))),
                    }
                }
            };
            if Instant::now() >= give_up_at {
                let error = self.explain(fault);
                self.state.failed = Some((Instant::now(), error.consequence()));
                return Ok(Err(error));
            }
            sleep(PAUSE).await;
        }
    }

    /// Notes what became of `units` before any caller hears of it.
    fn settle(
        &mut self,
        units: &[&Unit],
        outcome: Result<Admitted, StoreError>,
        took: Duration,
    ) -> Vec<Result<EventId, StoreError>> {
        if units.is_empty() {
            return Vec::new();
        }
        let has_failed = outcome.is_err();
        let results: Vec<Result<EventId, StoreError>> = match outcome {
            Ok(admitted) => admitted.into_iter().map(|event| event.ok_or(StoreError::NotOwned)).collect(),
            // The first one is told what failed, the others that something has.
            Err(error) => {
                let consequence = error.consequence();
                let others = (1..units.len()).map(|_| Err(consequence.consequence()));
                std::iter::once(Err(error)).chain(others).collect()
            }
        };
        let durable = units.iter().zip(&results).filter(|(_, result)| result.is_ok()).map(|(unit, _)| *unit);
        self.observer.committed(durable, took, !has_failed);
        let mut lost = Vec::new();
        for (unit, result) in units.iter().zip(&results) {
            if result.is_ok() {
                self.state.epochs.release(unit);
            } else {
                self.state.epochs.evict(unit);
                lost.push(*unit);
            }
        }
        self.give_back(&lost);
        results
    }

    fn give_back(&self, units: &[&Unit]) {
        for reservation in units.iter().filter_map(|unit| unit.reservation) {
            // If the task is gone, so is this replica.
            let _ = self.admissions.send(Ask::GiveBack(reservation));
        }
    }

    // ---- lanes ------------------------------------------------------------------------------------------------------

    async fn adopt(&mut self, which: &Which) -> Result<Taken, StoreError> {
        self.record_all(|resource| match which {
            Which::All => true,
            Which::These(resources) => resources.contains(resource),
        })
        .await;
        self.state.epochs.revoke(which);
        let replica = self.identity.replica();
        let taken = self.connections.run(async |db| adopt::take(db, &replica, which).await).await;
        match self.observer.opened(taken).map_err(|fault| self.explain(fault))? {
            Some(taken) => {
                self.state.failed = None;
                for (resource, epoch) in taken.epochs() {
                    self.state.epochs.adopted(resource, *epoch);
                }
                Ok(taken)
            }
            None => {
                self.on_lost(&replica).await;
                Err(StoreError::NotOwned)
            }
        }
    }

    /// The replica was taken for dead under this id: it owns no lane any more, and goes on under another id.
    async fn on_lost(&mut self, replica: &str) {
        self.identity.on_lost(replica);
        if self.identity.replica() != replica {
            return;
        }
        self.state.epochs.revoke(&Which::All);
        match replica::register(&self.connections, &self.identity, self.terms, &self.facts).await {
            Ok(()) => {
                self.state.number = 0;
                self.resolved.send_replace(());
                tracing::info!(
                    before = replica,
                    now = self.identity.replica(),
                    "this replica goes on under another id"
                );
            }
            Err(fault) => {
                let error = fault.explain(&self.connections.at);
                tracing::warn!(error = &error as &dyn std::error::Error, "this replica has no lease");
            }
        }
    }

    async fn prune(&mut self, retention: Retention, now: Timestamp) -> Result<Pruned, StoreError> {
        self.fail_fast()?;
        let mut counted = self.state.counted;
        let pruned = self.connections.run(async |db| prune::remove_old(db, retention, now, &mut counted).await).await;
        let pruned = self.observer.pruned(pruned).map_err(|fault| self.explain(fault))?;
        self.state.counted = counted;
        Ok(pruned)
    }

    // ---- failures ---------------------------------------------------------------------------------------------------

    /// Fails soon after an attempt that took all its time: what waits behind it should not wait as long again.
    fn fail_fast(&self) -> Result<(), StoreError> {
        match &self.state.failed {
            Some((at, error)) if at.elapsed() < FAIL_FAST => Err(error.consequence()),
            _ => Ok(()),
        }
    }

    fn explain(&self, fault: Fault) -> StoreError {
        fault.explain(&self.connections.at).into()
    }
}
