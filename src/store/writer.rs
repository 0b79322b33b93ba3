//! The thread that writes.
//!
//! One writer, and group commit: whatever has queued up while the disk was busy goes into the next transaction
//! together. Handing blocking calls to a thread pool instead would lose the order of commits, on which the engine
//! relies.

use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::{Batch, Journal, KeyedAnswer, Pruned, Snapshot, StoreError};
use crate::domain::{Retention, Timestamp};

/// Most batches in one transaction: enough that the cost of syncing no longer matters, few enough that the first one
/// does not wait for long.
const MAX_GROUP: usize = 512;

/// Most commits of [`StoreClient`]s that wait at a time: several full groups, and some megabytes if the disk hangs.
const MAX_OF_CLIENTS: usize = 4096;

/// What became of one [`StoreWriter::commit`]; they come in the order of the commits. A failure may also be that of a commit by
/// a [`StoreClient`], after which nothing is written either before [`StoreWriter::load`].
pub type Acknowledgement = Result<(), StoreError>;

enum Request {
    Commit(Batch, Report),
    Load(oneshot::Sender<Result<Snapshot, StoreError>>),
    Answer(String, oneshot::Sender<Result<Option<KeyedAnswer>, StoreError>>),
    Prune(Retention, Timestamp, oneshot::Sender<Result<Pruned, StoreError>>),
}

/// Who hears of what became of a commit.
enum Report {
    /// Whoever has the acknowledgements.
    ToAll,
    /// The caller of [`StoreClient::commit`], whose permit is held until then.
    ToOne { reply: oneshot::Sender<Acknowledgement>, _permit: OwnedSemaphorePermit },
}

/// A handle to the writing thread. Once the last one is dropped, the thread does what it was asked for and ends.
///
/// The queue is not bounded here but by those who feed it: of each resource, the engine has one intent on its way at the most, and
/// what follows from one reading; it takes no requests while the disk is stuck; clients have so many permits.
#[derive(Clone)]
pub struct StoreWriter {
    requests: mpsc::UnboundedSender<Request>,
}

impl StoreWriter {
    /// A handle to a thread that is still to be started with what is asked meanwhile.
    pub fn channel() -> (Self, StoreInbox) {
        let (requests, inbox) = mpsc::unbounded_channel();
        (Self { requests }, StoreInbox(inbox))
    }

    /// Asks for `batch` to be made durable.
    ///
    /// # Errors
    /// If the thread is gone.
    pub fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        self.requests.send(Request::Commit(batch, Report::ToAll)).map_err(|_| StoreError::Closed)
    }

    /// A handle that does not keep the thread, and that commits things of its own.
    pub fn client(&self) -> StoreClient {
        StoreClient { requests: self.requests.downgrade(), permits: Arc::new(Semaphore::new(MAX_OF_CLIENTS)) }
    }

    /// See [`Journal::load`].
    ///
    /// # Errors
    /// As there, and if the thread is gone.
    pub async fn load(&self) -> Result<Snapshot, StoreError> {
        self.ask(Request::Load).await
    }

    /// See [`Journal::answer`].
    ///
    /// # Errors
    /// As there, and if the thread is gone.
    pub async fn answer(&self, key: String) -> Result<Option<KeyedAnswer>, StoreError> {
        self.ask(|reply| Request::Answer(key, reply)).await
    }

    /// See [`Journal::prune`].
    ///
    /// # Errors
    /// As there, and if the thread is gone.
    pub async fn prune(&self, retention: Retention, now: Timestamp) -> Result<Pruned, StoreError> {
        self.ask(|reply| Request::Prune(retention, now, reply)).await
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

/// What was asked of a writing thread that is still to be started.
pub struct StoreInbox(mpsc::UnboundedReceiver<Request>);

impl StoreInbox {
    /// Starts the thread that writes to `journal`; tells what became of commits.
    ///
    /// # Errors
    /// If the system refuses one more thread.
    pub fn start<J: Journal>(
        self,
        journal: J,
    ) -> std::io::Result<(mpsc::UnboundedReceiver<Acknowledgement>, JoinHandle<()>)> {
        let (acknowledge, acknowledgements) = mpsc::unbounded_channel();
        let thread =
            std::thread::Builder::new().name("store".into()).spawn(move || run(journal, self.0, &acknowledge))?;
        Ok((acknowledgements, thread))
    }
}

/// A handle to the writing thread for those whose commits have nothing to do with the engine's: they may come before or
/// after any of those, and go into the same transactions. The thread ends without regard to it.
#[derive(Clone)]
pub struct StoreClient {
    requests: mpsc::WeakUnboundedSender<Request>,
    /// A caller that gives up waiting leaves the commit in the queue; its permit is held until that is done.
    permits: Arc<Semaphore>,
}

impl StoreClient {
    /// Makes `batch` durable, however long that takes.
    ///
    /// # Errors
    /// If it may not be; with [`StoreError::Congested`] it is not.
    pub async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        let (reply, answer) = oneshot::channel();
        let permit = Arc::clone(&self.permits).try_acquire_owned().map_err(|_| StoreError::Congested)?;
        let requests = self.requests.upgrade().ok_or(StoreError::Closed)?;
        requests
            .send(Request::Commit(batch, Report::ToOne { reply, _permit: permit }))
            .map_err(|_| StoreError::Closed)?;
        // The answer is not waited for with a handle that keeps the thread.
        drop(requests);
        answer.await.map_err(|_| StoreError::Closed)?
    }
}

fn run<J: Journal>(
    mut journal: J,
    mut inbox: mpsc::UnboundedReceiver<Request>,
    acknowledge: &mpsc::UnboundedSender<Acknowledgement>,
) {
    let mut held_back = None;
    // After a failed commit what is on the disk is uncertain, and later batches may rest on the failed one: nothing more
    // is written until everything was read again.
    let mut failure: Option<StoreError> = None;
    while let Some(request) = held_back.take().or_else(|| inbox.blocking_recv()) {
        // Whoever asked may be gone by the time of the answer; there is nobody left to tell then.
        match (request, &failure) {
            (Request::Commit(_, report), Some(failure)) => report.tell(Err(failure.consequence()), acknowledge),
            (Request::Commit(batch, report), None) => {
                let (mut batches, mut reports) = (vec![batch], vec![report]);
                held_back = gather(&mut batches, &mut reports, &mut inbox);
                failure = commit(&mut journal, &batches, reports, acknowledge);
            }
            (Request::Load(reply), _) => {
                let loaded = journal.load();
                failure = loaded.as_ref().err().map(StoreError::consequence);
                drop(reply.send(loaded));
            }
            (Request::Answer(key, reply), _) => drop(reply.send(journal.answer(&key))),
            (Request::Prune(_, _, reply), Some(failure)) => drop(reply.send(Err(failure.consequence()))),
            (Request::Prune(retention, now, reply), None) => drop(reply.send(journal.prune(retention, now))),
        }
    }
}

impl Report {
    /// Whoever is to hear it may be gone.
    fn tell(self, outcome: Acknowledgement, acknowledge: &mpsc::UnboundedSender<Acknowledgement>) {
        match self {
            Self::ToAll => drop(acknowledge.send(outcome)),
            Self::ToOne { reply, .. } => {
                // The engine is the one who reads everything again, and has perhaps nothing to write for a minute.
                if let Err(failure) = &outcome {
                    drop(acknowledge.send(Err(failure.consequence())));
                }
                drop(reply.send(outcome));
            }
        }
    }
}

/// Adds to the group the commits that are waiting already; returns the first request that is something else.
fn gather(
    batches: &mut Vec<Batch>,
    reports: &mut Vec<Report>,
    inbox: &mut mpsc::UnboundedReceiver<Request>,
) -> Option<Request> {
    while batches.len() < MAX_GROUP {
        match inbox.try_recv() {
            Ok(Request::Commit(batch, report)) => {
                batches.push(batch);
                reports.push(report);
            }
            Ok(other) => return Some(other),
            Err(_) => break,
        }
    }
    None
}

/// The consequence of its failure for later commits, if it failed. Every batch is reported on; of a failed group, the first report
/// has the failure itself.
fn commit<J: Journal>(
    journal: &mut J,
    group: &[Batch],
    reports: Vec<Report>,
    acknowledge: &mpsc::UnboundedSender<Acknowledgement>,
) -> Option<StoreError> {
    let result = journal.commit(group);
    let consequence = result.as_ref().err().map(StoreError::consequence);
    let mut first = Some(result);
    for report in reports {
        let rest = consequence.as_ref().map_or(Ok(()), |failure| Err(failure.consequence()));
        report.tell(first.take().unwrap_or(rest), acknowledge);
    }
    consequence
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
