//! What is told of the work of a store: to the metrics, and to the file of the audit log if there is one.

use std::sync::Arc;
use std::time::Duration;

use super::Unit;
use crate::audit_file::AuditFile;
use crate::metrics::{Metrics, StoreOperation};

/// See the module's documentation.
pub struct Observer {
    metrics: Arc<Metrics>,
    audit: Option<AuditFile>,
}

impl Observer {
    /// Tells `metrics` of everything, and `audit` of the entries that became durable.
    pub fn new(metrics: Arc<Metrics>, audit: Option<AuditFile>) -> Self {
        Self { metrics, audit }
    }

    /// The store was opened, or could not be.
    pub(super) fn opened<T, E>(&self, opened: Result<T, E>) -> Result<T, E> {
        self.counted(StoreOperation::Load, opened)
    }

    /// Something was pruned, or could not be.
    pub(super) fn pruned<T, E>(&self, pruned: Result<T, E>) -> Result<T, E> {
        self.counted(StoreOperation::Prune, pruned)
    }

    /// Something was recorded, or could not be.
    pub(super) fn recorded<T, E>(&self, recorded: Result<T, E>) -> Result<T, E> {
        self.counted(StoreOperation::Record, recorded)
    }

    /// A commit of `units` took so long, and succeeded or not.
    pub(super) fn committed<'a>(
        &self,
        units: impl Iterator<Item = &'a Unit> + Clone,
        took: Duration,
        is_durable: bool,
    ) {
        self.metrics.commits.committed(units.clone().count(), took);
        if !is_durable {
            return self.metrics.commits.failed(StoreOperation::Commit);
        }
        if let Some(file) = &self.audit {
            units.flat_map(|unit| &unit.audit).for_each(|entry| file.append(entry));
        }
    }

    fn counted<T, E>(&self, operation: StoreOperation, result: Result<T, E>) -> Result<T, E> {
        result.inspect_err(|_| self.metrics.commits.failed(operation))
    }
}
