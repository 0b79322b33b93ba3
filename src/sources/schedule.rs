//! Which sources are to be asked when: equal requests once, so many at a time, not too many of one host.
//!
//! Pure: the time is an argument, and it asks nothing itself. A host that never answers holds at most
//! [`MAX_REQUESTS_PER_HOST`] of the places for requests; even many such hosts only delay others, and are asked less often.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::Alias;
use crate::domain::policy::Name;

use super::pace::Pace;
use super::request::Request;

/// Most requests at a time.
pub const MAX_REQUESTS: usize = 32;
/// Most of them to one host and port.
pub const MAX_REQUESTS_PER_HOST: usize = 4;

/// A source that is asked. Never used for another one.
pub type FeedId = u64;
/// A metric of a resource.
pub type Watcher = (Alias, Name);

/// One request, and the metrics that wait for its answers.
#[derive(Debug)]
struct Feed {
    request: Request,
    /// Each with how often it wants an answer.
    watchers: BTreeMap<Watcher, Duration>,
    pace: Pace,
    /// In a row.
    failures: u32,
    /// When it is asked next; `None` while it is being asked.
    due: Option<Instant>,
}

/// A request on its way.
#[derive(Debug)]
struct Running {
    host: String,
    begun: Instant,
}

/// All sources.
#[derive(Debug)]
pub struct Schedule {
    origin: Instant,
    feeds: BTreeMap<FeedId, Feed>,
    by_request: HashMap<Request, FeedId>,
    next_id: FeedId,
    /// When each source is to be asked that is not being asked.
    due: BTreeSet<(Instant, FeedId)>,
    /// Also those that are wanted no more.
    running: HashMap<FeedId, Running>,
    /// How many of them, by host.
    places: HashMap<String, usize>,
}

impl Schedule {
    /// No sources. `origin` is any time before all others.
    pub fn new(origin: Instant) -> Self {
        Self {
            origin,
            feeds: BTreeMap::new(),
            by_request: HashMap::new(),
            next_id: 0,
            due: BTreeSet::new(),
            running: HashMap::new(),
            places: HashMap::new(),
        }
    }

    /// Has `request` made for one more `watcher`, soon and then every `interval`.
    pub fn watch(&mut self, request: Request, watcher: Watcher, interval: Duration, now: Instant) -> FeedId {
        let id = self.by_request.get(&request).copied().unwrap_or_else(|| self.add(request, interval, now));
        if let Some(feed) = self.feeds.get_mut(&id) {
            feed.watchers.insert(watcher, interval);
            feed.pace.interval = feed.pace.interval.min(interval);
            // A source that does not answer is not asked sooner because more want it to.
            let soon = feed.pace.first(now);
            if let Some(due) = feed.due.filter(|due| *due > soon && feed.failures == 0) {
                self.due.remove(&(due, id));
                self.due.insert((soon, id));
                feed.due = Some(soon);
            }
        }
        id
    }

    fn add(&mut self, request: Request, interval: Duration, now: Instant) -> FeedId {
        let id = self.next_id;
        self.next_id += 1;
        let mut hasher = DefaultHasher::new();
        request.hash(&mut hasher);
        let pace = Pace { origin: self.origin, hash: hasher.finish(), interval };
        let due = pace.first(now);
        self.by_request.insert(request.clone(), id);
        self.due.insert((due, id));
        self.feeds.insert(id, Feed { request, watchers: BTreeMap::new(), pace, failures: 0, due: Some(due) });
        id
    }

    /// `watcher` wants no answers of source `id` any more.
    pub fn unwatch(&mut self, id: FeedId, watcher: &Watcher) {
        let Some(feed) = self.feeds.get_mut(&id) else { return };
        feed.watchers.remove(watcher);
        match feed.watchers.values().min() {
            Some(interval) => feed.pace.interval = *interval,
            None => {
                self.by_request.remove(&feed.request);
                if let Some(due) = feed.due {
                    self.due.remove(&(due, id));
                }
                self.feeds.remove(&id);
            }
        }
    }

    /// The requests to make `now`: all that are due and have a place. And when the next one is due that has; `None` if there
    /// is none before another one ends.
    pub fn start(&mut self, now: Instant) -> (Vec<(FeedId, Request)>, Option<Instant>) {
        let mut starting = Vec::new();
        let mut next = None;
        for (at, id) in &self.due {
            if self.running.len() >= MAX_REQUESTS {
                break;
            }
            let Some(feed) = self.feeds.get_mut(id) else { continue };
            let host = feed.request.authority();
            let taken = self.places.get(&host).copied().unwrap_or_default();
            if taken >= MAX_REQUESTS_PER_HOST {
                continue;
            }
            if *at > now {
                next = Some(*at);
                break;
            }
            feed.due = None;
            self.places.insert(host.clone(), taken + 1);
            self.running.insert(*id, Running { host, begun: now });
            starting.push((*at, *id, feed.request.clone()));
        }
        for (at, id, _) in &starting {
            self.due.remove(&(*at, *id));
        }
        (starting.into_iter().map(|(_, id, request)| (id, request)).collect(), next)
    }

    /// The request of source `id` is over, and the source `failed` or not. Who waits for its answer.
    pub fn finish(&mut self, id: FeedId, failed: bool, now: Instant) -> Vec<Watcher> {
        let Some(Running { host, begun }) = self.running.remove(&id) else { return Vec::new() };
        match self.places.get_mut(&host) {
            Some(taken) if *taken > 1 => *taken -= 1,
            Some(_) | None => {
                self.places.remove(&host);
            }
        }
        let Some(feed) = self.feeds.get_mut(&id) else { return Vec::new() };
        feed.failures = if failed { feed.failures.saturating_add(1) } else { 0 };
        let due = feed.pace.again(begun, feed.failures, now);
        feed.due = Some(due);
        self.due.insert((due, id));
        feed.watchers.keys().cloned().collect()
    }
}

#[cfg(test)]
mod tests;
