//! What is needed, before there are values.

use crate::domain::policy::{Name, Policy, RuleKind};

/// The metric that says what is needed.
#[derive(Clone, Debug, PartialEq)]
pub struct DemandSpec {
    /// The load of the whole resource.
    pub metric: Name,
    /// Load that one unit carries, above 0.
    pub per_unit: f64,
}

impl DemandSpec {
    /// By the first rule of `policy` that says how much load one unit carries.
    pub fn by_rules(policy: &Policy) -> Option<Self> {
        policy.rules.iter().find_map(|rule| match &rule.kind {
            RuleKind::Target(target) => Some(Self { metric: target.metric.clone(), per_unit: target.per_unit }),
            RuleKind::Band(band) => Some(Self { metric: band.metric.clone(), per_unit: band.high }),
            _ => None,
        })
    }
}
