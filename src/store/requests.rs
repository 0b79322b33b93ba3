//! What the part of a store that writes is asked for: the queue in front of it, the same for every store.
//!
//! It must never know how a store writes, nor wait for it. What only one store is asked for, adoptions of lanes above all, is a
//! type of that store's own.
//!
//! The queue is not bounded here but by those who feed it: of each resource, the engine has one intent on its way at the most,
//! and what follows from one reading, and of all of them one batch of observations; it takes no requests while the store is
//! stuck; units without lanes need a permit.

use std::sync::Arc;

use futures_util::FutureExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::error::StoreError;
use super::policy::Observations;
use super::retention::Pruned;
use super::unit::Unit;
use super::{Commit, Recording};
use crate::domain::{EventId, Retention, Timestamp};

/// Most units in one transaction: enough that the cost of syncing no longer matters, few enough that the first one does
/// not wait for long.
pub(super) const MAX_GROUP: usize = 512;
/// Most commits of units without lanes that wait at a time: several full groups, and some megabytes if the store hangs.
pub(super) const MAX_WITHOUT_LANES: usize = 4096;

/// Where an answer goes. A caller may be gone by then.
pub(super) type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// The results of units, in their order.
type Results = Vec<Result<EventId, StoreError>>;

/// What is asked for.
pub(super) enum Request<Own> {
    Commit(Group),
    Record(Vec<Observations>, Reply<()>),
    Prune(Retention, Timestamp, Reply<Pruned>),
    /// What only this store is asked for.
    Own(Own),
}

/// The units of one call.
pub(super) struct Group {
    units: Vec<Unit>,
    reply: oneshot::Sender<Results>,
    /// A caller that gives up waiting leaves the commit in the queue; its permit is held until that is done.
    permit: Option<OwnedSemaphorePermit>,
}

/// The end of the queue at which requests are put in.
pub(super) struct Requests<Own> {
    queue: mpsc::UnboundedSender<Request<Own>>,
    permits: Arc<Semaphore>,
}

impl<Own: Send> Requests<Own> {
    /// A queue, and the end at which it is worked off.
    pub fn channel() -> (Self, mpsc::UnboundedReceiver<Request<Own>>) {
        let (queue, inbox) = mpsc::unbounded_channel();
        (Self { queue, permits: Arc::new(Semaphore::new(MAX_WITHOUT_LANES)) }, inbox)
    }

    /// A way into the queue that does not keep it open.
    pub fn downgrade(&self) -> mpsc::WeakUnboundedSender<Request<Own>> {
        self.queue.downgrade()
    }

    /// See [`Store::commit`](super::Store::commit).
    pub fn commit(&self, units: Vec<Unit>) -> Commit {
        let (count, (reply, answer)) = (units.len(), oneshot::channel());
        let all = move |error: fn() -> StoreError| (0..count).map(|_| Err(error())).collect::<Vec<_>>();
        let permit = match units.iter().all(|unit| unit.lanes.is_empty()) {
            true => match Arc::clone(&self.permits).try_acquire_owned() {
                Ok(permit) => Some(permit),
                Err(_) => return std::future::ready(all(|| StoreError::Congested)).boxed(),
            },
            false => None,
        };
        // If the queue is closed, so is the other end of the answer.
        let _ = self.queue.send(Request::Commit(Group { units, reply, permit }));
        async move { answer.await.unwrap_or_else(|_| all(|| StoreError::Closed)) }.boxed()
    }

    /// See [`Store::record`](super::Store::record).
    pub fn record(&self, batch: Vec<Observations>) -> Recording {
        let (reply, answer) = oneshot::channel();
        // If the queue is closed, so is the other end of the answer.
        let _ = self.queue.send(Request::Record(batch, reply));
        async move { answer.await.unwrap_or(Err(StoreError::Closed)) }.boxed()
    }

    /// See [`Store::prune`](super::Store::prune).
    pub async fn prune(&self, retention: Retention, now: Timestamp) -> Result<Pruned, StoreError> {
        self.ask_for(|reply| Request::Prune(retention, now, reply)).await
    }

    /// Asks for what only this store is asked for, and waits for the answer.
    ///
    /// # Errors
    /// That of the answer, or that the queue is closed.
    pub async fn ask<T>(&self, own: impl FnOnce(Reply<T>) -> Own) -> Result<T, StoreError> {
        self.ask_for(|reply| Request::Own(own(reply))).await
    }

    /// Asks for what only this store is asked for; whether the queue is open.
    pub fn tell(&self, own: Own) -> bool {
        self.queue.send(Request::Own(own)).is_ok()
    }

    async fn ask_for<T>(&self, request: impl FnOnce(Reply<T>) -> Request<Own>) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.queue.send(request(reply)).map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }
}

/// Groups that are written together.
pub(super) struct Gathered {
    groups: Vec<Group>,
}

impl Gathered {
    /// `first`, and the groups that wait in `inbox` already. Also the first request there that is something else.
    pub fn new<Own>(first: Group, inbox: &mut mpsc::UnboundedReceiver<Request<Own>>) -> (Self, Option<Request<Own>>) {
        let (mut count, mut groups) = (first.units.len(), vec![first]);
        while count < MAX_GROUP {
            match inbox.try_recv() {
                Ok(Request::Commit(group)) => {
                    count += group.units.len();
                    groups.push(group);
                }
                Ok(other) => return (Self { groups }, Some(other)),
                Err(_) => break,
            }
        }
        (Self { groups }, None)
    }

    /// The units of all groups, in their order.
    pub fn units(&self) -> impl Iterator<Item = &Unit> {
        self.groups.iter().flat_map(|group| &group.units)
    }

    /// The units, and who waits for their results.
    pub fn into_units(self) -> (Vec<Unit>, Waiting) {
        let (mut units, mut callers) = (Vec::new(), Vec::new());
        for Group { units: of_group, reply, permit } in self.groups {
            callers.push((reply, of_group.len(), permit));
            units.extend(of_group);
        }
        (units, Waiting { callers })
    }
}

/// Who waits for the results of gathered units.
pub(super) struct Waiting {
    callers: Vec<(oneshot::Sender<Results>, usize, Option<OwnedSemaphorePermit>)>,
}

impl Waiting {
    /// Tells each caller the results of its units; `results` are those of all, in their order.
    pub fn answer(self, results: Results) {
        let mut results = results.into_iter();
        for (reply, count, _permit) in self.callers {
            let of_group: Results = results.by_ref().take(count).collect();
            let _ = reply.send(of_group);
        }
    }
}
