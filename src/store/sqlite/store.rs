//! The store in an SQLite file, as the rest of the process sees it: what it hands over to the thread that writes, and
//! what it shares with that.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use async_trait::async_trait;
use futures_util::FutureExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};

use super::SqliteError;
use super::lane_reader::LaneReader;
use crate::domain::{EventId, Retention, Timestamp};
use crate::store::epochs::Epochs;
use crate::store::{
    Admissions, Adoption, Commit, NoRoom, Observations, Pruned, Recording, ReservationId, Reserved, Store, StoreError,
    Unit, Which, Wish,
};

/// Most commits of units without lanes that wait at a time: several full groups, and some megabytes if the disk hangs.
pub(super) const MAX_WITHOUT_LANES: usize = 4096;

/// What is asked of the thread.
pub(super) enum Request {
    Commit(Group),
    Adopt(Which, oneshot::Sender<Result<(), StoreError>>),
    Record(Vec<Observations>, oneshot::Sender<Result<(), StoreError>>),
    Prune(Retention, Timestamp, oneshot::Sender<Result<Pruned, StoreError>>),
    Close,
}

/// The units of one call.
pub(super) struct Group {
    pub units: Vec<Unit>,
    pub reply: oneshot::Sender<Vec<Result<EventId, StoreError>>>,
    /// A caller that gives up waiting leaves the commit in the queue; its permit is held until that is done.
    pub permit: Option<OwnedSemaphorePermit>,
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
///
/// The queue is not bounded here but by those who feed it: of each resource, the engine has one intent on its way at
/// the most, and what follows from one reading, and of all of them one batch of observations; it takes no requests while
/// the disk is stuck; units without lanes need a permit.
pub struct SqliteStore {
    requests: mpsc::UnboundedSender<Request>,
    shared: Arc<Shared>,
    permits: Arc<Semaphore>,
}

/// What was asked of a writing thread that is still to be started.
pub struct StoreInbox {
    pub(super) requests: mpsc::UnboundedReceiver<Request>,
    pub(super) shared: Arc<Shared>,
}

impl SqliteStore {
    /// A store whose thread is still to be started with what is asked meanwhile.
    pub fn channel() -> (Self, StoreInbox) {
        let (requests, inbox) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared::default());
        let permits = Arc::new(Semaphore::new(MAX_WITHOUT_LANES));
        (Self { requests, shared: Arc::clone(&shared), permits }, StoreInbox { requests: inbox, shared })
    }

    /// Ends the thread once it has done what it was asked for.
    pub fn close(&self) {
        // If it is gone, there is nothing to end.
        let _ = self.requests.send(Request::Close);
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

    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Request,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(request(reply)).map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }
}

#[async_trait]
impl Store for SqliteStore {
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
        // If the thread is gone, so is the other end of the answer.
        let _ = self.requests.send(Request::Commit(Group { units, reply, permit }));
        async move { answer.await.unwrap_or_else(|_| all(|| StoreError::Closed)) }.boxed()
    }

    fn record(&self, batch: Vec<Observations>) -> Recording {
        let (reply, answer) = oneshot::channel();
        // If the thread is gone, so is the other end of the answer.
        let _ = self.requests.send(Request::Record(batch, reply));
        async move { answer.await.unwrap_or(Err(StoreError::Closed)) }.boxed()
    }

    async fn adopt(&self, which: Which) -> Result<Adoption, StoreError> {
        // The writing thread takes the lanes from their owners between two commits: what it wrote before is read, and
        // what comes later is refused. It also sees to it that the file is sound.
        let taken = which.clone();
        self.ask(|reply| Request::Adopt(taken, reply)).await?;
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
        self.ask(|reply| Request::Prune(retention, now, reply)).await
    }
}
