//! The store in a PostgreSQL database, as the rest of the process sees it: what it hands over to the tasks that write.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt as _;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::time::timeout;

use super::address::Address;
use super::admissions::{Admissions, Ask, Decided};
use super::connections::Connections;
use super::error::PostgresError;
use super::replica::{self, Identity, Keeper, ReplicaFacts};
use super::schema;
use super::worker::Worker;
use super::writer::{Group, Request, State, Writer};
use crate::domain::{Lease, LeaseTerms, Retention, Timestamp};
use crate::store::{
    Adoption, Commit, NoRoom, Observations, Observer, Pruned, Recording, ReservationId, Reserved, Store, StoreError,
    Unit, Which, Wish,
};

/// Most commits of units without lanes that wait at a time: several full groups.
const MAX_WITHOUT_LANES: usize = 4096;
/// Longest time for one piece of work of the writer: an adoption reads all that there is.
const PATIENCE: Duration = Duration::from_secs(30);
/// Longest time for an admission, for which a request waits.
const ADMISSION_PATIENCE: Duration = Duration::from_secs(5);
/// Time from one look to the next at whether another replica's request with the same idempotency key is over.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// See the module's documentation.
///
/// The queue is not bounded here but by those who feed it, as that of the store in a file; units without lanes need a permit.
pub struct PostgresStore {
    /// Carries the tasks as long as this lives.
    _worker: Worker,
    requests: mpsc::UnboundedSender<Request>,
    admissions: mpsc::UnboundedSender<Ask>,
    resolved: Arc<watch::Sender<()>>,
    permits: Arc<Semaphore>,
    identity: Identity,
    free: watch::Receiver<u64>,
    at: String,
}

impl PostgresStore {
    /// Opens the store at `address`, makes its tables if need be, and registers this replica there, whose lease has these
    /// `terms`; tells `observer` what it does.
    ///
    /// # Errors
    /// If the database cannot be reached or used.
    pub async fn open(
        address: &Address,
        terms: LeaseTerms,
        facts: ReplicaFacts,
        observer: Observer,
    ) -> Result<Self, PostgresError> {
        let worker = Worker::start("store").map_err(|error| PostgresError::Address(error.to_string()))?;
        let connections = Connections::new(address, 1, PATIENCE)?;
        let of_admissions = Connections::new(address, 1, ADMISSION_PATIENCE)?;
        let of_keeper = Connections::new(address, 1, replica::patience(terms))?;
        let identity = Identity::new(terms);
        let begin = {
            let (connections, identity, facts) = (connections.clone(), identity.clone(), facts.clone());
            async move {
                schema::migrate(&connections).await?;
                let registered = replica::register(&connections, &identity, terms, &facts).await;
                registered.map_err(|fault| fault.explain(&connections.at))
            }
        };
        let closed = |_| PostgresError::Slow { at: address.to_string() };
        worker.run(begin).await.map_err(closed)??;

        let (requests, inbox) = mpsc::unbounded_channel();
        let (admissions, asked) = mpsc::unbounded_channel();
        let (resolved, (free_sender, free)) = (Arc::new(watch::Sender::default()), watch::channel(0));
        worker.begin(Admissions::new(of_admissions, identity.clone()).run(asked));
        let keeper = Keeper {
            connections: of_keeper,
            identity: identity.clone(),
            terms,
            writer: requests.downgrade(),
            free: free_sender,
        };
        worker.begin(keeper.run());
        let writer = Writer {
            connections,
            identity: identity.clone(),
            terms,
            facts,
            observer,
            admissions: admissions.clone(),
            resolved: Arc::clone(&resolved),
            state: State::default(),
        };
        worker.begin(writer.run(inbox));
        let permits = Arc::new(Semaphore::new(MAX_WITHOUT_LANES));
        Ok(Self { _worker: worker, requests, admissions, resolved, permits, identity, free, at: address.to_string() })
    }

    /// Does what it was asked for, gives all lanes up to the other replicas, and asks the database nothing more.
    pub async fn close(&self) {
        let (reply, done) = oneshot::channel();
        // If the task is gone, there is nothing to end.
        if self.requests.send(Request::Close(reply)).is_ok() {
            let _ = done.await;
        }
    }

    /// What this replica knows about its lease.
    pub fn lease(&self) -> Lease {
        self.identity.lease()
    }

    /// The id by which the database knows this replica at present.
    pub fn replica(&self) -> String {
        self.identity.replica()
    }

    /// Changes when lanes are free that [`Store::adopt`] with [`Which::All`] would take over.
    pub fn free_lanes(&self) -> watch::Receiver<u64> {
        self.free.clone()
    }

    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Request,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(request(reply)).map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }
}

/// An answer that is waited for. If it comes and nobody takes it, the place that it grants is given back.
struct Pending<'a> {
    answer: oneshot::Receiver<Result<Decided, StoreError>>,
    admissions: &'a mpsc::UnboundedSender<Ask>,
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.answer.close();
        if let Ok(Ok(Some(Ok(Reserved::Granted(reservation))))) = self.answer.try_recv() {
            // If the task is gone, so is this replica, and its reservations with it.
            let _ = self.admissions.send(Ask::GiveBack(reservation));
        }
    }
}

#[async_trait]
impl Store for PostgresStore {
    fn commit(&self, units: Vec<Unit>) -> Commit {
        let (count, (reply, answer)) = (units.len(), oneshot::channel());
        let all = move |error: fn() -> StoreError| (0..count).map(|_| Err(error())).collect::<Vec<_>>();
        let permit = match units.iter().all(|unit| unit.lanes.is_empty()) {
            true => match Arc::clone(&self.permits).try_acquire_owned() {
                Ok(permit) => Some(permit),
                Err(_) => return std::future::ready(all(|| StoreError::Congested)).boxed(),
            },
            false => None,
        };
        // If the task is gone, so is the other end of the answer.
        let _ = self.requests.send(Request::Commit(Group { units, reply, permit }));
        async move { answer.await.unwrap_or_else(|_| all(|| StoreError::Closed)) }.boxed()
    }

    fn record(&self, batch: Vec<Observations>) -> Recording {
        let (reply, answer) = oneshot::channel();
        // If the task is gone, so is the other end of the answer.
        let _ = self.requests.send(Request::Record(batch, reply));
        async move { answer.await.unwrap_or(Err(StoreError::Closed)) }.boxed()
    }

    /// Of lanes that are asked for by name, those that belong to another replica are left out.
    async fn adopt(&self, which: Which) -> Result<Adoption, StoreError> {
        let wanted = which.clone();
        let taken = self.ask(|reply| Request::Adopt(wanted, reply)).await?;
        Ok(taken.read(&which).map_err(|fault| fault.explain(&self.at))?)
    }

    async fn reserve(&self, wish: Wish) -> Result<Result<Reserved, NoRoom>, StoreError> {
        let mut resolved = self.resolved.subscribe();
        loop {
            let (reply, answer) = oneshot::channel();
            self.admissions.send(Ask::Reserve(Box::new(wish.clone()), reply)).map_err(|_| StoreError::Closed)?;
            let mut pending = Pending { answer, admissions: &self.admissions };
            if let Some(decided) = (&mut pending.answer).await.map_err(|_| StoreError::Closed)?? {
                return Ok(decided);
            }
            // The other request may be one to another replica, of which nothing is heard here.
            if let Ok(Err(_)) = timeout(LOOK_AGAIN, resolved.changed()).await {
                return Err(StoreError::Closed);
            }
        }
    }

    fn give_back(&self, reservation: ReservationId) {
        // If the task is gone, so is this replica, and its reservations with it.
        let _ = self.admissions.send(Ask::GiveBack(reservation));
        self.resolved.send_replace(());
    }

    async fn prune(&self, retention: Retention, now: Timestamp) -> Result<Pruned, StoreError> {
        self.ask(|reply| Request::Prune(retention, now, reply)).await
    }
}
