//! The metric that says how many units are needed, and the load that one unit carries.

use crate::domain::policy::{Name, Policy, RuleKind};

/// The demand: units are needed for the value of a metric.
#[derive(Clone, Debug, PartialEq)]
pub struct DemandSpec {
    /// The load of the whole resource.
    pub metric: Name,
    /// Load that one unit carries, above 0.
    pub per_unit: f64,
}

impl DemandSpec {
    /// By the first `target` or `band` rule of `policy`, and without one by its first `forecast` rule: each says how much load
    /// one unit carries. The rules that react come first:
    /// they have the last word on capacity.
    pub fn by_rules(policy: &Policy) -> Option<Self> {
        let spec = |metric: &Name, per_unit| Some(Self { metric: metric.clone(), per_unit });
        let reacting = policy.rules.iter().find_map(|rule| match &rule.kind {
            RuleKind::Target(target) => spec(&target.metric, target.per_unit),
            RuleKind::Band(band) => spec(&band.metric, band.high),
            _ => None,
        });
        reacting.or_else(|| {
            policy.rules.iter().find_map(|rule| match &rule.kind {
                RuleKind::Forecast(forecast) => spec(&forecast.metric, forecast.per_unit),
                _ => None,
            })
        })
    }
}
