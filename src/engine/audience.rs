//! Everybody who is shown what has become durable: readers, those who watch, and those who count.
//!
//! None of them can hold up the engine or fail it, and nothing is ever decided by what they are shown.

use std::sync::Arc;

use crate::clock::Clock;
use crate::domain::{Alias, HistoryEntry, JobEvent};
use crate::feed::Feed;
use crate::metrics::Metrics;
use crate::store::Snapshot;
use crate::table::{JobTable, Published};
use crate::telemetry::Traces;

/// See the module's documentation.
#[derive(Clone)]
pub struct Audience {
    /// Where readers see the jobs.
    pub table: Arc<JobTable>,
    /// Where those who watch hear of changes.
    pub feed: Arc<Feed>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Where the spans of jobs go.
    pub traces: Traces,
}

impl Audience {
    /// Shows a job in a new version. Nobody else shows jobs at the same time.
    pub(super) fn show(&self, event: JobEvent, clock: &Clock) {
        let shown = self.note(event, clock);
        self.feed.publish(shown);
    }

    /// Tells of something that happened to a resource.
    pub(super) fn tell(&self, resource: Alias, entry: HistoryEntry) {
        self.feed.tell(resource, entry);
    }

    /// Shows what is in a store that was read anew. What became durable without having been shown counts like everything
    /// else; those who watch read it from the log.
    pub(super) fn show_anew(&self, snapshot: &Snapshot, clock: &Clock) {
        for event in &snapshot.jobs {
            self.note(event.clone(), clock);
        }
        self.table.reset(&snapshot.jobs);
        self.feed.reloaded(snapshot.next_event);
    }

    fn note(&self, event: JobEvent, clock: &Clock) -> Published {
        let before = self.table.get(event.job.id);
        let shown = self.table.publish(event);
        let before = before.as_ref().map(|before| &**before.job());
        self.metrics.jobs.published(before, shown.job());
        if before.is_none_or(|before| before.ended().is_none()) {
            self.traces.job_published(shown.job(), clock);
        }
        shown
    }
}
