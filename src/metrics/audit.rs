//! The file of the record of attempts, besides the store's.

use prometheus::{IntCounter, IntGauge, Registry};
use prometheus::{register_int_counter_with_registry, register_int_gauge_with_registry};

/// Tells whether the file can be written.
pub struct AuditMetrics {
    failing: IntGauge,
    lost: IntCounter,
}

impl AuditMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        Ok(Self {
            failing: register_int_gauge_with_registry!(
                "scalegate_audit_log_failing",
                "1 while the file of --audit-log cannot be written. Scaling goes on, and the store keeps its own record.",
                registry
            )?,
            lost: register_int_counter_with_registry!(
                "scalegate_audit_log_lost_total",
                "Lines that are not in the file of --audit-log, because it could not be written for too long. GET /v1/audit has \
                 them.",
                registry
            )?,
        })
    }

    /// The file cannot be written, or can be again.
    pub fn set_failing(&self, is_failing: bool) {
        self.failing.set(i64::from(is_failing));
    }

    /// A line will not be in the file.
    pub fn lost(&self) {
        self.lost.inc();
    }

    /// How many lines are not in the file.
    pub fn lost_so_far(&self) -> u64 {
        self.lost.get()
    }
}
