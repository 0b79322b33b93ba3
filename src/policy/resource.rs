//! What a policy must be for the resource that it is put on.

use std::collections::BTreeSet;

use super::problem::Problem;
use crate::domain::policy::{Policy, RuleKind};
use crate::domain::{Alias, ResourceConfig};

/// What is wrong with `policy` on `resource`, for which the operator has laid down `config`. Only for a policy that is new:
/// one that was accepted before the operator's bounds became tighter is kept within them by those who carry it out.
pub fn problems_for(policy: &Policy, resource: &Alias, config: &ResourceConfig) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut add = |pointer: String, detail: String| problems.push(Problem { pointer, detail });
    let bounds = config.bounds;
    for (field, given) in [("/min", policy.min), ("/max", policy.max)] {
        if !bounds.contains(given) {
            let detail =
                format!("must be between {} and {}: the operator has set these bounds", bounds.min, bounds.max);
            add(field.to_owned(), detail);
        }
    }
    for (index, rule) in policy.rules.iter().enumerate() {
        if matches!(&rule.kind, RuleKind::Follow(follow) if follow.resource == *resource) {
            add(format!("/rules/{index}/resource"), "must be another resource than the policy's own".to_owned());
        }
    }
    for invalid in config.setting_limits.problems(&policy.job) {
        add(format!("/job/{}", invalid.setting.field()), invalid.detail);
    }
    problems
}

/// The resources that `policy` follows, for those who know all policies and refuse circles.
pub fn followed(policy: &Policy) -> BTreeSet<&Alias> {
    let followed = policy.rules.iter().filter_map(|rule| match &rule.kind {
        RuleKind::Follow(follow) => Some(&follow.resource),
        _ => None,
    });
    followed.collect()
}
