//! The work of the store.

use std::time::Duration;

use prometheus::{Histogram, IntCounterVec, Registry};
use prometheus::{histogram_opts, register_histogram_with_registry, register_int_counter_vec_with_registry};

use super::buckets;

/// From a disk that hardly has to do anything to one that is in trouble.
const COMMIT_SECONDS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Up to the most that the store's thread takes together.
const BATCHES: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

/// What is asked of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreOperation {
    /// Make changes durable.
    Commit,
    /// Read everything.
    Load,
    /// Remove what is no longer kept.
    Prune,
    /// Keep what policies observe.
    Record,
}

impl StoreOperation {
    const ALL: [Self; 4] = [Self::Commit, Self::Load, Self::Prune, Self::Record];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Commit => "commit",
            Self::Load => "load",
            Self::Prune => "prune",
            Self::Record => "record",
        }
    }
}

/// Times commits and counts failures.
pub struct CommitMetrics {
    durations: Histogram,
    batches: Histogram,
    failures: IntCounterVec,
}

impl CommitMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let durations = register_histogram_with_registry!(
            histogram_opts!(
                "scalegate_store_commit_duration_seconds",
                "Time to get a group of changes onto the disk, synced, including attempts that failed. Every answer to a \
                 submission and every step waits for one.",
                buckets(&COMMIT_SECONDS)
            ),
            registry
        )?;
        let batches = register_histogram_with_registry!(
            histogram_opts!(
                "scalegate_store_commit_batches",
                "Batches written together in one commit. More than a few means that the disk is slower than the work.",
                buckets(&BATCHES)
            ),
            registry
        )?;
        let failures = register_int_counter_vec_with_registry!(
            "scalegate_store_failures_total",
            "Operations of the store that failed, by operation. After a failed commit nothing is accepted or moved on until \
             a load succeeds; it is tried every second.",
            &["operation"],
            registry
        )?;
        for operation in StoreOperation::ALL {
            failures.with_label_values(&[operation.as_str()]);
        }
        Ok(Self { durations, batches, failures })
    }

    /// A commit of so many batches took so long.
    pub fn committed(&self, batches: usize, took: Duration) {
        self.durations.observe(took.as_secs_f64());
        self.batches.observe(batches as f64);
    }

    /// Something did not work.
    pub fn failed(&self, operation: StoreOperation) {
        self.failures.with_label_values(&[operation.as_str()]).inc();
    }
}
