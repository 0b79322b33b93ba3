//! The store in an SQLite file, as the rest of the process sees it: what it hands over to the thread that writes, and
//! what it shares with that.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use async_trait::async_trait;
use tokio::sync::{mpsc, watch};

use super::SqliteError;
use super::lane_reader::LaneReader;
use crate::domain::{Retention, Timestamp};
use crate::store::epochs::Epochs;
use crate::store::requests::{Reply, Request, Requests};
use crate::store::{
    Admissions, Adoption, Commit, NoRoom, Observations, Pruned, Recording, ReservationId, Reserved, Store, StoreError,
    Unit, Which, Wish,
};

/// What only this store is asked for.
pub(super) enum Own {
    Adopt(Which, Reply<()>),
    Close,
}

/// What the thread shares with its callers.
#[derive(Default)]
pub(super) struct Shared {
    pub epochs: Mutex<Epochs>,
    pub admissions: Mutex<Admissions>,
    /// Changes when a reservation is used up or given back.
    pub resolved: watch::Sender<()>,
    pub failure: Mutex<Option<Failure>>,
    pub lanes: OnceLock<LaneReader>,
}

/// Why nothing is written at present.
pub(super) struct Failure {
    pub error: StoreError,
    pub at: Instant,
    /// Whether the disk is full.
    pub is_full: bool,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// See the module's documentation.
pub struct SqliteStore {
    requests: Requests<Own>,
    shared: Arc<Shared>,
}

/// What was asked of a writing thread that is still to be started.
pub struct StoreInbox {
    pub(super) requests: mpsc::UnboundedReceiver<Request<Own>>,
    pub(super) shared: Arc<Shared>,
}

impl SqliteStore {
    /// A store whose thread is still to be started with what is asked meanwhile.
    pub fn channel() -> (Self, StoreInbox) {
        let (requests, inbox) = Requests::channel();
        let shared = Arc::new(Shared::default());
        (Self { requests, shared: Arc::clone(&shared) }, StoreInbox { requests: inbox, shared })
    }

    /// Ends the thread once it has done what it was asked for.
    pub fn close(&self) {
        // If it is gone, there is nothing to end.
        let _ = self.requests.tell(Own::Close);
    }

    /// Reads on a thread on which nothing else waits.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&LaneReader) -> Result<T, SqliteError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let shared = Arc::clone(&self.shared);
        let reading = tokio::task::spawn_blocking(move || Ok(read(shared.lanes.get().ok_or(StoreError::Closed)?)?));
        reading.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
    }
}

#[async_trait]
impl Store for SqliteStore {
    fn commit(&self, units: Vec<Unit>) -> Commit {
        self.requests.commit(units)
    }

    fn record(&self, batch: Vec<Observations>) -> Recording {
        self.requests.record(batch)
    }

    async fn adopt(&self, which: Which) -> Result<Adoption, StoreError> {
        // The writing thread takes the lanes from their owners between two commits: what it wrote before is read, and
        // what comes later is refused. It also sees to it that the file is sound.
        let taken = which.clone();
        self.requests.ask(|reply| Own::Adopt(taken, reply)).await?;
        let shared = Arc::clone(&self.shared);
        self.read(move |lanes| lanes.adopt(&which, |resource| lock(&shared.epochs).begin(resource))).await
    }

    async fn reserve(&self, wish: Wish) -> Result<Result<Reserved, NoRoom>, StoreError> {
        let mut resolved = self.shared.resolved.subscribe();
        loop {
            let decided = lock(&self.shared.admissions).reserve(&wish);
            if let Some(decided) = decided {
                return Ok(decided);
            }
            resolved.changed().await.map_err(|_| StoreError::Closed)?;
        }
    }

    fn give_back(&self, reservation: ReservationId) {
        lock(&self.shared.admissions).give_back(reservation);
        self.shared.resolved.send_replace(());
    }

    async fn prune(&self, retention: Retention, now: Timestamp) -> Result<Pruned, StoreError> {
        self.requests.prune(retention, now).await
    }
}
