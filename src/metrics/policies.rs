//! What policies decide.

use prometheus::{IntCounterVec, Registry, register_int_counter_vec_with_registry};
use strum::VariantArray as _;

use crate::domain::policy::Action;

/// Counts decisions. Resources are no labels: what a policy decided last is measured for each scrape.
pub struct PolicyMetrics {
    decisions: IntCounterVec,
}

impl PolicyMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let decisions = register_int_counter_vec_with_registry!(
            "scalegate_policy_decisions_total",
            "Decisions of policies, those that repeat the one before included, by action: submitted, retargeted or canceled: a \
             job of the policy; none: nothing had to be done, or could be; advised: only said, in the mode advise.",
            &["action"],
            registry
        )?;
        // From zero, so that the first one already shows as an increase.
        for action in Action::VARIANTS {
            decisions.with_label_values(&[action.as_str()]);
        }
        Ok(Self { decisions })
    }

    /// A policy decided, and this was done.
    pub fn decided(&self, action: Action) {
        self.decisions.with_label_values(&[action.as_str()]).inc();
    }
}
