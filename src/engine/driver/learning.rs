//! Learning the patterns of metrics, away from the thread of the engine and one at a time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::{Done, Engine};
use crate::domain::Alias;
use crate::domain::forecast::{History, Learned, learn};
use crate::domain::policy::Assignment;
use crate::sidecar::Sidecar;
use crate::store::{MINUTE_RETENTION, StoreReader, minutes};

/// What is kept is by the minute: a value stands for its minute at least.
const MINUTE: Duration = Duration::from_mins(1);

impl<S: Sidecar> Engine<S> {
    /// Has a pattern learned from what is kept of the metric.
    pub(super) fn learn(&mut self, resource: Alias, assignment: Assignment) {
        let (reader, turn) = (Arc::clone(&self.reader), Arc::clone(&self.learning));
        self.tasks.spawn_local(async move {
            let rule = assignment.rule.clone();
            let learned = learned(&*reader, &resource, assignment, &turn).await;
            Done::Learned { resource, rule, learned }
        });
    }
}

async fn learned(
    reader: &dyn StoreReader,
    resource: &Alias,
    assignment: Assignment,
    turn: &Semaphore,
) -> Option<Learned> {
    let _turn = turn.acquire().await.ok()?;
    let Assignment { rule, metric, max_age, lesson } = assignment;
    let rows = minutes(reader, resource, &metric, lesson.through - MINUTE_RETENTION, lesson.through).await;
    let rows = rows.inspect_err(|error| {
        tracing::warn!(error = error as &dyn std::error::Error, %resource, %rule, "the history of a metric cannot be read");
    });
    let rows = rows.ok()?;
    let learned = tokio::task::spawn_blocking(move || {
        let mut history = History::new(max_age.max(MINUTE));
        rows.iter().for_each(|row| history.note(row.at, row.value));
        learn(&history, &lesson)
    });
    learned.await.ok()
}
