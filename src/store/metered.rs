//! A journal whose commits are timed and whose failures are counted.

use std::sync::Arc;
use std::time::Instant;

use super::{Batch, Journal, KeyedAnswer, Pruned, Snapshot, StoreError};
use crate::domain::{Retention, Timestamp};
use crate::metrics::{Metrics, StoreOperation};

/// Passes everything on, unchanged.
pub struct MeteredJournal<J> {
    inner: J,
    metrics: Arc<Metrics>,
}

impl<J: Journal> MeteredJournal<J> {
    /// Measures the work of `inner`.
    pub fn new(inner: J, metrics: Arc<Metrics>) -> Self {
        Self { inner, metrics }
    }

    fn counted<T>(&self, operation: StoreOperation, result: Result<T, StoreError>) -> Result<T, StoreError> {
        if result.is_err() {
            self.metrics.commits.failed(operation);
        }
        result
    }
}

impl<J: Journal> Journal for MeteredJournal<J> {
    fn commit(&mut self, batches: &[Batch]) -> Result<(), StoreError> {
        let begun = Instant::now();
        let committed = self.inner.commit(batches);
        self.metrics.commits.committed(batches.len(), begun.elapsed());
        self.counted(StoreOperation::Commit, committed)
    }

    fn load(&mut self) -> Result<Snapshot, StoreError> {
        let loaded = self.inner.load();
        self.counted(StoreOperation::Load, loaded)
    }

    fn answer(&mut self, key: &str) -> Result<Option<KeyedAnswer>, StoreError> {
        let answer = self.inner.answer(key);
        self.counted(StoreOperation::Answer, answer)
    }

    fn prune(&mut self, retention: Retention, now: Timestamp) -> Result<Pruned, StoreError> {
        let removed = self.inner.prune(retention, now);
        self.counted(StoreOperation::Prune, removed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Scrape;

    /// Works until it is told not to.
    struct Fragile {
        broken: bool,
    }

    impl Fragile {
        fn or_broken<T>(&self, fine: T) -> Result<T, StoreError> {
            if self.broken { Err(StoreError::Slow) } else { Ok(fine) }
        }
    }

    impl Journal for Fragile {
        fn commit(&mut self, _: &[Batch]) -> Result<(), StoreError> {
            self.or_broken(())
        }

        fn load(&mut self) -> Result<Snapshot, StoreError> {
            self.or_broken(Snapshot::default())
        }

        fn answer(&mut self, _: &str) -> Result<Option<KeyedAnswer>, StoreError> {
            self.or_broken(None)
        }

        fn prune(&mut self, _: Retention, _: Timestamp) -> Result<Pruned, StoreError> {
            self.or_broken(Pruned::default())
        }
    }

    #[test]
    fn commits_and_failures_are_counted() {
        let metrics = Arc::new(Metrics::new().expect("consistent"));
        let mut journal = MeteredJournal::new(Fragile { broken: false }, Arc::clone(&metrics));
        for (broken, failures, commits, batches) in [(false, 0, 1, 3), (true, 1, 2, 6), (true, 2, 3, 9)] {
            journal.inner.broken = broken;
            let results = [
                journal.commit(&[Batch::default(), Batch::default(), Batch::default()]).is_err(),
                journal.load().is_err(),
                journal.answer("key").is_err(),
                journal.prune(Retention::DEFAULT, Timestamp::from_millis(0)).is_err(),
            ];
            assert_eq!(results, [broken; 4]);
            let text = metrics.render(Scrape::default()).expect("writable");
            for operation in ["commit", "load", "answer", "prune"] {
                let line = format!("scalegate_store_failures_total{{operation=\"{operation}\"}} {failures}\n");
                assert!(text.contains(&line), "no {line} in {text}");
            }
            assert!(text.contains(&format!("scalegate_store_commit_duration_seconds_count {commits}\n")), "{text}");
            assert!(text.contains(&format!("scalegate_store_commit_batches_sum {batches}\n")), "{text}");
        }
    }
}
