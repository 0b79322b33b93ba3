//! One stream of server-sent events: a reader of the feed that can begin in the past.
//!
//! It listens first and reads the log after that, up to what the feed had told by then: between the two nothing can be
//! missed, and what comes twice is known by its id. It must never hold up the feed: a reader that falls behind by more than a
//! channel holds is cut off, with a word, and may come back to read what it missed from the log.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use actix_web::web::{self, Bytes};
use futures_util::{Stream, stream};
use serde::Serialize;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, sleep_until};

use super::ApiState;
use super::caller::Caller;
use super::problem::{ApiError, Code};
use super::timeline::TimelineEntry;
use super::view::{DecisionView, render_job};
use crate::access::Permit;
use crate::domain::policy::{Mode, PolicyNews};
use crate::domain::{AbridgedJob, Alias, EventId, JobId};
use crate::feed::{Listener, News};
use crate::store::{EventFilter, LogPage, StoreReader, begins_after};
use crate::table::Published;

/// Pause between two signs of life. Proxies and load balancers give up on a connection after 30 s or more of silence.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Versions read from the log at a time: about a hundred kilobytes, as they are there.
const LOG_PAGE: usize = 50;
/// Bytes gathered into one chunk before it is handed on.
const CHUNK: usize = 64 * 1024;
/// How long a client should wait before it connects again, in milliseconds.
const RETRY_MILLIS: u32 = 2000;

/// How a stream begins.
pub enum StreamStart {
    /// With what comes out of this.
    Stream(Box<Follower>),
    /// Not at all: the job is over, and the caller knows how.
    AlreadyComplete,
}

/// See the module's documentation.
pub struct Follower {
    state: web::Data<ApiState>,
    caller: Caller,
    filter: EventFilter,
    listener: Listener,
    stopping: watch::Receiver<bool>,
    /// The last version that was written or need not be.
    last: EventId,
    /// What was read from the log and is not written yet.
    logged: VecDeque<(EventId, AbridgedJob)>,
    /// Jobs of this part of the log that are over.
    looked_up: HashMap<JobId, Published>,
    /// What is to be written next.
    chunk: Vec<u8>,
    /// When to give a sign of life, if there is nothing else to write.
    beat_at: Instant,
    stage: Stage,
    _permit: OwnedSemaphorePermit,
    _own_permit: Option<Permit>,
}

/// What comes after the chunk at hand.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The log, up to this version.
    Log { until: EventId },
    /// What the feed tells.
    Feed,
    /// Nothing.
    Over,
}

/// Why a stream ends although more is to come.
#[derive(Clone, Copy)]
enum StreamEnd {
    TooSlow,
    Gone,
    Stopping,
    Storage,
    Unauthorized,
}

impl Follower {
    /// Begins to follow for `caller` what `filter` asks for: after version `after`, if it is known what came after it, or else with the
    /// present state.
    ///
    /// # Errors
    /// If there are too many streams, the job does not exist or the caller may not see it, or the log cannot be read.
    pub async fn open(
        state: web::Data<ApiState>,
        caller: Caller,
        filter: EventFilter,
        after: Option<EventId>,
    ) -> Result<StreamStart, ApiError> {
        let own_permit = state.guard.open_stream(&caller).inspect_err(|_| state.feed.call_the_roll())?;
        let permit = Arc::clone(&state.streams).try_acquire_owned().map_err(|_| {
            // Some may be held for callers who have hung up, which shows only when something is written to them.
            state.feed.call_the_roll();
            ApiError::new(Code::TooManyStreams, "No more streams can be opened now. Poll instead, or try again later.")
        })?;
        let (listener, job) = match &filter {
            EventFilter::Job(id) => {
                // It is looked at after listening began, so that no change can be missed between the two.
                let listener = state.feed.listen_to(*id);
                (listener, Some(state.job_for(&caller, *id).await?))
            }
            EventFilter::Resources(_) => (state.feed.listen(), None),
        };
        let latest = state.feed.latest();
        let newest = job.as_ref().map_or(latest, Published::event);
        let is_over = job.as_ref().is_some_and(|job| job.job().ended().is_some());
        // No client was told of anything later than that: it is the id of another store.
        let after = after.filter(|after| *after <= latest);
        if is_over && after.is_some_and(|after| newest <= after) {
            return Ok(StreamStart::AlreadyComplete);
        }
        let after = match after {
            Some(after) if newest <= after || is_known_after(&state, &caller, &filter, after, latest).await? => {
                Some(after)
            }
            _ => None,
        };
        let stopping = state.stopping.clone();
        let stage = match after {
            Some(after) if after < newest => Stage::Log { until: latest },
            _ => Stage::Feed,
        };
        let mut follower = Self {
            state,
            caller,
            filter,
            listener,
            stopping,
            last: latest,
            logged: VecDeque::new(),
            looked_up: HashMap::new(),
            chunk: Vec::new(),
            beat_at: Instant::now(),
            stage,
            _permit: permit,
            _own_permit: own_permit,
        };
        follower.begin(after, job.as_ref());
        Ok(StreamStart::Stream(Box::new(follower)))
    }

    fn begin(&mut self, after: Option<EventId>, job: Option<&Published>) {
        self.chunk.extend_from_slice(format!("retry: {RETRY_MILLIS}\n\n").as_bytes());
        match (after, job) {
            (Some(after), _) => {
                self.last = after;
                self.write("ready", None, br#"{"resumed":true}"#);
            }
            (None, Some(job)) => {
                self.write("ready", None, br#"{"resumed":false}"#);
                self.write_job(job);
            }
            (None, None) => self.write("ready", Some(self.last), br#"{"resumed":false}"#),
        }
    }

    /// The stream as it goes over the wire.
    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes, Infallible>> {
        stream::unfold(Box::new(self), |mut follower| async move {
            let chunk = follower.next_chunk().await?;
            Some((Ok(chunk), follower))
        })
    }

    async fn next_chunk(&mut self) -> Option<Bytes> {
        while self.chunk.is_empty() {
            match self.stage {
                Stage::Log { until } if self.last >= until => self.stage = Stage::Feed,
                Stage::Log { until } => self.read_log(until).await,
                Stage::Feed => self.listen().await,
                Stage::Over => return None,
            }
        }
        // Asked right before anything is told: an admin who revokes a key can rely on it.
        if self.state.guard.still_admits(&self.caller).await.is_err() {
            self.chunk.clear();
            self.end(StreamEnd::Unauthorized);
        }
        self.beat_at = Instant::now() + HEARTBEAT;
        Some(std::mem::take(&mut self.chunk).into())
    }

    /// Writes some of what is in the log. Each version of a job is rendered with all its steps, which takes a while for a
    /// long one: others who are served by this thread have their turn in between.
    async fn read_log(&mut self, until: EventId) {
        if self.logged.is_empty() {
            match self.log_page(until).await {
                Ok(page) if begins_after(page.oldest, self.last, until) => return self.end(StreamEnd::Gone),
                Ok(page) if page.versions.is_empty() => self.last = page.until,
                Ok(page) => {
                    self.looked_up.clear();
                    self.logged = page.versions.into();
                }
                Err(_) => return self.end(StreamEnd::Storage),
            }
        }
        while self.stage != Stage::Over
            && self.chunk.len() < CHUNK
            && let Some((id, version)) = self.logged.pop_front()
        {
            self.write_logged(id, version).await;
        }
        tokio::task::yield_now().await;
    }

    async fn log_page(&self, until: EventId) -> Result<LogPage, ApiError> {
        let (filter, after) = (self.filter.clone(), self.last);
        let read = async move |reader: Arc<dyn StoreReader>| reader.versions(&filter, after, until, LOG_PAGE).await;
        self.state.read(&self.caller, "log of changes", read).await
    }

    async fn write_logged(&mut self, id: EventId, version: AbridgedJob) {
        let Ok(shown) = self.look_up(version.job.id).await else { return self.end(StreamEnd::Storage) };
        match shown.and_then(|shown| Some((version.complete(shown.job())?, shown))) {
            Some((job, shown)) => {
                let body = if id == shown.event() { shown.rendered(render_job) } else { render_job(&job) };
                self.write("job", Some(id), &body);
                self.last = id;
                self.note_end(job.ended().is_some());
            }
            // It was there when the stream began. Told as if it had never been, it would stay for ever where it is shown.
            None => self.end(StreamEnd::Gone),
        }
    }

    /// The job with this `id` as it is now. Looked up once for a page of the log, if it is over.
    async fn look_up(&mut self, id: JobId) -> Result<Option<Published>, ApiError> {
        if let Some(known) = self.looked_up.get(&id) {
            return Ok(Some(known.clone()));
        }
        let found = self.state.find_job(&self.caller, id).await?;
        if let Some(over) = found.as_ref().filter(|found| found.is_over()) {
            self.looked_up.insert(id, over.clone());
        }
        Ok(found)
    }

    /// Waits for something to write.
    async fn listen(&mut self) {
        tokio::select! {
            heard = self.listener.recv() => self.hear(heard),
            () = sleep_until(self.beat_at) => self.show_life(),
            () = async { drop(self.stopping.wait_for(|stopping| *stopping).await) } => self.end(StreamEnd::Stopping),
        }
        // What is there already goes into the same chunk.
        while self.stage == Stage::Feed && self.chunk.len() < CHUNK {
            match self.listener.try_recv() {
                Ok(news) => self.hear(Ok(news)),
                Err(TryRecvError::Lagged(missed)) => self.hear(Err(RecvError::Lagged(missed))),
                Err(TryRecvError::Empty | TryRecvError::Closed) => return,
            }
        }
    }

    fn hear(&mut self, heard: Result<News, RecvError>) {
        match heard {
            Ok(News::Job(published)) if published.event() > self.last && self.wants(&published.job().resource) => {
                self.write_job(&published);
            }
            Ok(News::History(news)) if self.wants(&news.0) => {
                let (resource, entry) = &*news;
                let entry = TimelineEvent { resource: resource.as_str().to_owned(), entry: TimelineEntry::from(entry) };
                // Only maps with keys that are not text can fail to become JSON, and there are none.
                self.write("timeline", None, &serde_json::to_vec(&entry).unwrap_or_default());
            }
            Ok(News::Decision(decision)) if self.wants(&decision.resource) => {
                let decision = DecisionView::from(&*decision);
                self.write("decision", None, &serde_json::to_vec(&decision).unwrap_or_default());
            }
            Ok(News::Policy(news)) if self.wants(&news.resource) => {
                let event = PolicyEvent::from(&*news);
                self.write("policy", None, &serde_json::to_vec(&event).unwrap_or_default());
            }
            Ok(News::RollCall) => self.show_life(),
            Ok(News::Reloaded) => self.stage = Stage::Log { until: self.state.feed.latest() },
            Ok(News::Job(_) | News::History(_) | News::Decision(_) | News::Policy(_)) => {}
            Err(RecvError::Lagged(_)) => self.end(StreamEnd::TooSlow),
            Err(RecvError::Closed) => self.end(StreamEnd::Stopping),
        }
    }

    fn show_life(&mut self) {
        self.chunk.extend_from_slice(b": heartbeat\n\n");
    }

    /// Whether the stream is about `resource`. What is heard of a single job is about no other.
    fn wants(&self, resource: &Alias) -> bool {
        match &self.filter {
            EventFilter::Resources(wanted) => wanted.includes(resource),
            EventFilter::Job(_) => true,
        }
    }

    fn write_job(&mut self, published: &Published) {
        self.write("job", Some(published.event()), &published.rendered(render_job));
        self.last = published.event();
        self.note_end(published.job().ended().is_some());
    }

    fn note_end(&mut self, job_is_over: bool) {
        if job_is_over && matches!(self.filter, EventFilter::Job(_)) {
            self.stage = Stage::Over;
        }
    }

    fn end(&mut self, why: StreamEnd) {
        let (reason, detail) = match why {
            StreamEnd::TooSlow => ("too_slow", "Changes came faster than they were read."),
            StreamEnd::Gone => ("gone", "Some of what follows is no longer kept."),
            StreamEnd::Stopping => ("stopping", "The gateway is stopping."),
            StreamEnd::Storage => ("storage", "The log of changes cannot be read at present."),
            StreamEnd::Unauthorized => ("unauthorized", "The key that the stream was opened with is no longer good."),
        };
        let detail = format!("{detail} Connect again with Last-Event-ID to miss nothing.");
        self.write("end", None, serde_json::json!({"reason": reason, "detail": detail}).to_string().as_bytes());
        self.stage = Stage::Over;
    }

    /// Writes an event. `data` is JSON on one line, as it is always rendered.
    fn write(&mut self, event: &str, id: Option<EventId>, data: &[u8]) {
        if let Some(id) = id {
            self.chunk.extend_from_slice(format!("id: {id}\n").as_bytes());
        }
        self.chunk.extend_from_slice(format!("event: {event}\ndata: ").as_bytes());
        self.chunk.extend_from_slice(data);
        self.chunk.extend_from_slice(b"\n\n");
    }
}

/// Something that happened to a resource, as streams tell it.
#[derive(Serialize)]
struct TimelineEvent {
    resource: String,
    entry: TimelineEntry,
}

/// A policy that was put or deleted, as streams tell it.
#[derive(Serialize)]
struct PolicyEvent<'a> {
    resource: &'a str,
    revision: Option<u64>,
    mode: Option<Mode>,
}

impl<'a> From<&'a PolicyNews> for PolicyEvent<'a> {
    fn from(news: &'a PolicyNews) -> Self {
        let (revision, mode) = news.in_force.unzip();
        Self { resource: news.resource.as_str(), revision, mode }
    }
}

/// Whether everything that came after `after` can be told: it is in the log, and all the jobs are still kept.
async fn is_known_after(
    state: &ApiState,
    caller: &Caller,
    filter: &EventFilter,
    after: EventId,
    latest: EventId,
) -> Result<bool, ApiError> {
    let filter = filter.clone();
    let read = async move |reader: Arc<dyn StoreReader>| reader.has_all_after(&filter, after, latest).await;
    state.read(caller, "log of changes", read).await
}
