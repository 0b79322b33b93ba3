//! The store in a PostgreSQL database, as the rest of the process sees it: what it hands over to the tasks that write.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use super::address::Address;
use super::admissions::{Admissions, Ask, Decided};
use super::connections::Connections;
use super::error::PostgresError;
use super::replica::{self, Identity, Keeper, ReplicaFacts};
use super::requests::Own;
use super::schema;
use super::worker::Worker;
use super::writer::{State, Writer};
use crate::domain::{Lease, LeaseTerms, Retention, Timestamp};
use crate::store::requests::Requests;
use crate::store::{
    Adoption, Commit, NoRoom, Observations, Observer, Pruned, Recording, ReservationId, Reserved, Store, StoreError,
    Unit, Which, Wish,
};

/// Longest time for one piece of work of the writer: an adoption reads all that there is.
const PATIENCE: Duration = Duration::from_secs(30);
/// Longest time for an admission, for which a request waits.
const ADMISSION_PATIENCE: Duration = Duration::from_secs(5);
/// Time from one look to the next at whether another replica's request with the same idempotency key is over.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// See the module's documentation.
pub struct PostgresStore {
    /// Carries the tasks as long as this lives.
    _worker: Worker,
    requests: Requests<Own>,
    admissions: mpsc::UnboundedSender<Ask>,
    resolved: Arc<watch::Sender<()>>,
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

        let (requests, inbox) = Requests::channel();
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
        Ok(Self { _worker: worker, requests, admissions, resolved, identity, free, at: address.to_string() })
    }

    /// Does what it was asked for, gives all lanes up to the other replicas, and asks the database nothing more.
    pub async fn close(&self) {
        let (reply, done) = oneshot::channel();
        // If the task is gone, there is nothing to end.
        if self.requests.tell(Own::Close(reply)) {
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
}

/// An answer that a caller waits for. If the caller is gone when it comes, the place that it grants is given back.
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
        self.requests.commit(units)
    }

    fn record(&self, batch: Vec<Observations>) -> Recording {
        self.requests.record(batch)
    }

    /// Of lanes that are asked for by name, those that belong to another replica are left out.
    async fn adopt(&self, which: Which) -> Result<Adoption, StoreError> {
        let wanted = which.clone();
        let taken = self.requests.ask(|reply| Own::Adopt(wanted, reply)).await?;
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
        self.requests.prune(retention, now).await
    }
}
