//! Asks every source when its time has come, and gives what each metric makes of the answers.
//!
//! It has no task of its own and no channel: [`Sources::next`] makes the requests, so that a reader who does not take
//! observations causes no more of them, and dropping it ends all. While nothing is due it sets no timer but that of the next
//! source, and without sources none. To read an answer of the largest size takes some milliseconds, for which the thread
//! does nothing else; a thread of its own would cost more at usual sizes than it would save.
//!
//! Whether a host may be asked at all is decided where policies are accepted, by [`problems_of`](super::problems_of): it
//! depends on who wrote the policy, which is not known here.

use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::LocalBoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::clock::Clock;
use crate::domain::policy::{MetricSpec, Missing, Name, NoValue};
use crate::domain::{Alias, Timestamp};
use crate::metrics::{Metrics, SourceOutcome};

use super::puller::{Answer, Failure, Fetch};
use super::reading::{Content, Reader};
use super::request::{Form, Request};
use super::schedule::{FeedId, Schedule};

/// What one metric made of one answer, or of its absence.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// The resource whose policy has the metric.
    pub resource: Alias,
    /// The metric.
    pub metric: Name,
    /// When the source was asked, by the gateway's clock; earlier if the source says that the value is older. A value was
    /// observed no earlier than this.
    pub at: Timestamp,
    /// A finite number, or why there is none.
    pub result: Result<f64, NoValue>,
}

/// The pulled metrics of all policies.
pub struct Sources<F> {
    fetch: Rc<F>,
    clock: Clock,
    metrics: Arc<Metrics>,
    wants: BTreeMap<Alias, BTreeMap<Name, Want>>,
    schedule: Schedule,
    running: FuturesUnordered<LocalBoxFuture<'static, Finished>>,
    ready: VecDeque<Observation>,
    timer: Option<Pin<Box<Sleep>>>,
}

struct Want {
    reader: Reader,
    /// `None` if the source can never be asked.
    feed: Option<FeedId>,
}

struct Finished {
    feed: FeedId,
    form: Form,
    asked: Timestamp,
    result: Result<Answer, Failure>,
}

impl<F: Fetch> Sources<F> {
    /// No metrics yet.
    pub fn new(fetch: F, clock: Clock, metrics: Arc<Metrics>) -> Self {
        Self {
            fetch: Rc::new(fetch),
            clock,
            metrics,
            wants: BTreeMap::new(),
            schedule: Schedule::new(Instant::now()),
            running: FuturesUnordered::new(),
            ready: VecDeque::new(),
            timer: None,
        }
    }

    /// Pulls `metrics` for `resource` from now on, and no others. Metrics that were the same before go on undisturbed. Of a
    /// source that can never be asked, this is observed once.
    pub fn set(&mut self, resource: &Alias, metrics: &BTreeMap<Name, MetricSpec>) {
        let mut before = self.wants.remove(resource).unwrap_or_default();
        let mut wants = BTreeMap::new();
        for (name, spec) in metrics {
            let kept = before.get(name).is_some_and(|want| want.reader.spec() == spec);
            let want = if kept { before.remove(name) } else { None };
            // One that changed begins anew: what was observed of the former one is not its value.
            if want.is_none() {
                self.ready.retain(|seen| seen.resource != *resource || seen.metric != *name);
            }
            let old = if want.is_none() { before.remove(name) } else { None };
            self.unwatch(resource, name, old);
            wants.extend(want.or_else(|| self.want(resource, name, spec)).map(|want| (name.clone(), want)));
        }
        for (name, want) in before {
            self.unwatch(resource, &name, Some(want));
        }
        self.ready.retain(|seen| seen.resource != *resource || metrics.contains_key(&seen.metric));
        if !wants.is_empty() {
            self.wants.insert(resource.clone(), wants);
        }
    }

    /// Pulls nothing for `resource` any more.
    pub fn remove(&mut self, resource: &Alias) {
        self.set(resource, &BTreeMap::new());
    }

    /// The next observation; waits for as long as there is none. Requests are made only while this is awaited. Nothing is
    /// lost if it is dropped before it is ready.
    pub async fn next(&mut self) -> Observation {
        std::future::poll_fn(|context| self.poll_next(context)).await
    }

    fn want(&mut self, resource: &Alias, name: &Name, spec: &MetricSpec) -> Option<Want> {
        let watcher = (resource.clone(), name.clone());
        let feed = match Request::of(&spec.source) {
            Ok(None) => return None,
            Ok(Some(request)) => Some(self.schedule.watch(request, watcher, spec.interval, Instant::now())),
            Err(error) => {
                let (resource, metric) = watcher;
                self.ready.push_back(Observation { resource, metric, at: self.clock.now(), result: Err(error) });
                None
            }
        };
        Some(Want { reader: Reader::new(spec.clone()), feed })
    }

    fn unwatch(&mut self, resource: &Alias, name: &Name, want: Option<Want>) {
        if let Some(feed) = want.and_then(|want| want.feed) {
            self.schedule.unwatch(feed, &(resource.clone(), name.clone()));
        }
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Observation> {
        loop {
            if let Some(observation) = self.ready.pop_front() {
                return Poll::Ready(observation);
            }
            let (requests, wake_at) = self.schedule.start(Instant::now());
            for (feed, request) in requests {
                self.running.push(Box::pin(self.ask(feed, request)));
            }
            if let Poll::Ready(Some(finished)) = self.running.poll_next_unpin(context) {
                self.on_finished(finished);
                continue;
            }
            let Some(wake_at) = wake_at else {
                self.timer = None;
                return Poll::Pending;
            };
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(wake_at)));
            if timer.deadline() != wake_at {
                timer.as_mut().reset(wake_at);
            }
            if timer.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
        }
    }

    fn ask(&self, feed: FeedId, request: Request) -> impl Future<Output = Finished> + use<F> {
        let (fetch, metrics) = (Rc::clone(&self.fetch), Arc::clone(&self.metrics));
        let asked = self.clock.now();
        async move {
            let timer = metrics.sources.begin();
            let result = fetch.fetch(&request).await;
            timer.end(match &result {
                Ok(Answer { status: 200, .. }) => SourceOutcome::Ok,
                Ok(_) => SourceOutcome::ErrorAnswer,
                Err(failure) => failure.outcome,
            });
            Finished { feed, form: request.form(), asked, result }
        }
    }

    fn on_finished(&mut self, finished: Finished) {
        let Finished { feed, form, asked, result } = finished;
        let watchers = self.schedule.finish(feed, !is_there(&result), Instant::now());
        if watchers.is_empty() {
            return;
        }
        let content = match &result {
            Ok(answer) => Content::of(answer, form),
            Err(failure) => Err(NoValue { reason: Missing::SourceFailed, detail: failure.detail.clone() }),
        };
        let clock = self.clock;
        for (resource, metric) in watchers {
            let Some(want) = self.wants.get_mut(&resource).and_then(|wants| wants.get_mut(&metric)) else { continue };
            let read = match &content {
                Ok(content) => want.reader.read(content, asked, |stamp| clock.from_wall(stamp)),
                Err(error) => Some(Err(error.clone())),
            };
            let Some(read) = read else { continue };
            let (at, result) = read.map_or_else(|error| (asked, Err(error)), |(at, value)| (at, Ok(value)));
            self.ready.push_back(Observation { resource, metric, at, result });
        }
    }
}

/// Whether a source is there, so that it is asked again as often as before. An answer without a value is an answer: the next
/// one may have a value.
fn is_there(result: &Result<Answer, Failure>) -> bool {
    matches!(result, Ok(Answer { status: 200 | 204, .. }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_that_answers_without_a_value_is_there() {
        let answer = |status| {
            let (content_type, location_host) = (None, None);
            Ok(Answer { status, body: Vec::new(), content_type, location_host, is_whole: true })
        };
        for (status, expected) in [(200, true), (204, true), (302, false), (404, false), (500, false)] {
            assert_eq!(is_there(&answer(status)), expected, "{status}");
        }
        let refused = Failure { outcome: SourceOutcome::NoAnswer, detail: "refused".to_owned() };
        assert!(!is_there(&Err(refused)));
    }
}
