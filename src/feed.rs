//! Tells those who watch what has changed.
//!
//! Everything told is durable before. The engine never waits for a listener: each channel holds a bounded
//! number of changes, and a listener that falls behind by more is told that it missed some. What it missed is in the
//! store's log. Rejected: one channel for all listeners, because thousands who watch one job each would all be woken by each other one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use dashmap::DashMap;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

use crate::domain::policy::{Decision, PolicyNews};
use crate::domain::{Alias, EventId, HistoryEntry, JobId};
use crate::table::Published;

/// Changes that a listener to one job may be behind: several steps of it.
const JOB_BACKLOG: usize = 32;
/// Changes that a listener to everything may be behind: one version each of thousands of jobs that wake at once.
const BACKLOG: usize = 4096;

/// Least time between two roll calls. A connection that was closed is noticed at the second thing written to it.
const ROLL_CALL_PAUSE: Duration = Duration::from_secs(1);

/// What a listener hears.
#[derive(Clone)]
pub enum News {
    /// A job changed.
    Job(Published),
    /// Something happened to a resource.
    History(Arc<(Alias, HistoryEntry)>),
    /// A policy decided.
    Decision(Arc<Decision>),
    /// A policy was put or deleted.
    Policy(Arc<PolicyNews>),
    /// Jobs may have changed without a word: ask the log.
    Reloaded,
    /// Streams are used up: each stream writes to its caller now, which shows whether the caller is still connected.
    RollCall,
}

/// See the module's documentation.
pub struct Feed {
    /// The latest version of a job that was told; everything up to it can be read from the log.
    latest: AtomicU64,
    all: broadcast::Sender<News>,
    /// Jobs that have listeners. An entry lives as long as its listeners do.
    jobs: DashMap<JobId, broadcast::Sender<News>>,
    roll_called_at: Mutex<Option<Instant>>,
}

impl Feed {
    /// A feed that will tell of `next_event` and what follows.
    pub fn new(next_event: EventId) -> Self {
        let latest = AtomicU64::new(next_event.saturating_sub(1));
        Self { latest, all: broadcast::channel(BACKLOG).0, jobs: DashMap::new(), roll_called_at: Mutex::default() }
    }

    /// The id of the latest version of any job that readers see.
    pub fn latest(&self) -> EventId {
        self.latest.load(Ordering::Acquire)
    }

    /// Hears of everything from now on.
    pub fn listen(&self) -> Listener {
        Listener { receiver: self.all.subscribe(), job: None }
    }

    /// Hears of job `id` from now on.
    pub fn listen_to(self: &Arc<Self>, id: JobId) -> Listener {
        let receiver = self.jobs.entry(id).or_insert_with(|| broadcast::channel(JOB_BACKLOG).0).subscribe();
        Listener { receiver, job: Some((Arc::clone(self), id)) }
    }

    /// Number of listeners: to everything, and to single jobs.
    #[cfg(test)]
    fn listeners(&self) -> (usize, usize) {
        (self.all.receiver_count(), self.jobs.iter().map(|entry| entry.receiver_count()).sum())
    }

    /// Tells of a job in a new version, which is in the table already. If versions before it were not told, since their commit
    /// seemed to fail, listeners read them from the log first: ids have no gaps.
    pub fn publish(&self, job: Published) {
        let latest = self.latest.fetch_max(job.event(), Ordering::AcqRel);
        if job.event() > latest + 1 {
            self.tell_all(&News::Reloaded);
        }
        // Without listeners there is nothing to send.
        if let Some(sender) = self.jobs.get(&job.job().id) {
            drop(sender.send(News::Job(job.clone())));
        }
        drop(self.all.send(News::Job(job)));
    }

    /// Tells of something that happened to a resource.
    pub fn tell(&self, resource: Alias, entry: HistoryEntry) {
        if self.all.receiver_count() > 0 {
            drop(self.all.send(News::History(Arc::new((resource, entry)))));
        }
    }

    /// Tells of a decision of a policy.
    pub fn tell_decision(&self, decision: Decision) {
        if self.all.receiver_count() > 0 {
            drop(self.all.send(News::Decision(Arc::new(decision))));
        }
    }

    /// Tells of a policy that was put or deleted.
    pub fn tell_policy(&self, news: PolicyNews) {
        if self.all.receiver_count() > 0 {
            drop(self.all.send(News::Policy(Arc::new(news))));
        }
    }

    /// Lanes were read anew; the next version of a job will be `next_event`.
    pub fn reloaded(&self, next_event: EventId) {
        self.latest.fetch_max(next_event.saturating_sub(1), Ordering::AcqRel);
        self.tell_all(&News::Reloaded);
    }

    /// Has all listeners find out for whom they still listen, but not too often.
    pub fn call_the_roll(&self) {
        let mut called_at = self.roll_called_at.lock().unwrap_or_else(PoisonError::into_inner);
        if called_at.is_none_or(|at| at.elapsed() >= ROLL_CALL_PAUSE) {
            *called_at = Some(Instant::now());
            self.tell_all(&News::RollCall);
        }
    }

    fn tell_all(&self, news: &News) {
        self.jobs.iter().for_each(|sender| drop(sender.send(news.clone())));
        drop(self.all.send(news.clone()));
    }
}

/// A listener's end of a channel.
pub struct Listener {
    receiver: broadcast::Receiver<News>,
    /// Whom it listens to, if not to everything.
    job: Option<(Arc<Feed>, JobId)>,
}

impl Listener {
    /// The next news.
    ///
    /// # Errors
    /// If the listener fell behind, or the feed is gone.
    pub async fn recv(&mut self) -> Result<News, RecvError> {
        self.receiver.recv().await
    }

    /// Ends when there is news of `resource`, or of what may concern it.
    pub async fn hear_of(&mut self, resource: &Alias) {
        loop {
            match self.recv().await {
                Ok(News::Job(published)) if published.job().resource != *resource => {}
                Ok(News::History(news)) if news.0 != *resource => {}
                Ok(News::Decision(decision)) if decision.resource != *resource => {}
                Ok(News::Policy(news)) if news.resource != *resource => {}
                Ok(News::RollCall) => {}
                Ok(_) | Err(_) => return,
            }
        }
    }

    /// The next news, if it is there already.
    ///
    /// # Errors
    /// If it is not, the listener fell behind, or the feed is gone.
    pub fn try_recv(&mut self) -> Result<News, TryRecvError> {
        self.receiver.try_recv()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let Some((feed, id)) = self.job.take() else { return };
        // Under the same lock as `listen_to` adds receivers, so that the last one out is the last one.
        feed.jobs.remove_if(&id, |_, sender| {
            // A receiver of another channel, which is dropped instead of this one.
            self.receiver = feed.all.subscribe();
            sender.receiver_count() == 0
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Capacity, Goal, Job, JobEvent, JobRequest, Settings, Timestamp};
    use crate::table::JobTable;

    fn published(id: u128, event: EventId) -> Published {
        let request = JobRequest::for_worker(Goal::Target(Capacity::ZERO));
        let job = Job::accept(JobId::from_u128(id), request, Settings::DEFAULT, Timestamp::from_millis(0));
        JobTable::default().publish(JobEvent { id: event, job: Arc::new(job) })
    }

    fn heard(listener: &mut Listener) -> Vec<Option<EventId>> {
        let news = std::iter::from_fn(|| listener.try_recv().ok());
        let of = |news| match news {
            News::Job(published) => Some(published.event()),
            News::History(_) | News::Decision(_) | News::Policy(_) | News::Reloaded | News::RollCall => None,
        };
        news.map(of).collect()
    }

    #[test]
    fn listeners_hear_of_their_job_only_and_leave_nothing_behind() {
        let feed = Arc::new(Feed::new(100));
        assert_eq!(feed.latest(), 99);
        let (mut one, mut all) = (feed.listen_to(JobId::from_u128(1)), feed.listen());
        assert_eq!(feed.listeners(), (1, 1));
        for (id, event) in [(2, 100), (1, 101)] {
            feed.publish(published(id, event));
        }
        feed.reloaded(103);
        assert_eq!(feed.latest(), 102);
        assert_eq!(heard(&mut one), [Some(101), None]);
        assert_eq!(heard(&mut all), [Some(100), Some(101), None]);
        let another = feed.listen_to(JobId::from_u128(1));
        drop(one);
        assert_eq!(feed.listeners(), (1, 1));
        drop(another);
        assert!(feed.jobs.is_empty());
    }

    #[test]
    fn before_a_version_that_follows_untold_ones_listeners_are_sent_to_the_log() {
        let feed = Arc::new(Feed::new(100));
        let mut listener = feed.listen_to(JobId::from_u128(1));
        feed.publish(published(1, 100));
        feed.publish(published(1, 103));
        feed.publish(published(1, 102));
        assert_eq!(heard(&mut listener), [Some(100), None, Some(103), Some(102)]);
        assert_eq!(feed.latest(), 103);
    }

    #[test]
    fn a_slow_listener_is_not_waited_for() {
        let feed = Arc::new(Feed::new(1));
        let mut slow = feed.listen_to(JobId::from_u128(1));
        for event in 0..JOB_BACKLOG as u64 + 1 {
            feed.publish(published(1, event));
        }
        assert!(matches!(slow.try_recv(), Err(TryRecvError::Lagged(_))));
    }
}
