//! Resources that follow each other in a circle: each would wait for the target of the one before.
//!
//! Callers cannot make one, but the configuration file can. None of its policies acts then.

use std::collections::BTreeMap;

use super::super::Core;
use super::InForce;
use crate::domain::Alias;
use crate::domain::policy::{ConditionCode, Policy, Trigger};
use crate::engine::policy_requests::PolicyRefusal;
use crate::policy::followed;

impl Core {
    /// Fails if resources would follow each other in a circle with `policy` for `resource`.
    pub(super) fn check_circle(&self, resource: &Alias, policy: &Policy) -> Result<(), PolicyRefusal> {
        match self.circle(resource, policy) {
            Some(circle) => Err(PolicyRefusal::FollowsItself { circle }),
            None => Ok(()),
        }
    }

    /// The circle in which resources would follow each other through `resource` with `policy`, from it and back to it.
    pub(super) fn circle(&self, resource: &Alias, policy: &Policy) -> Option<Vec<Alias>> {
        // Each with one that follows it. None is looked at twice: resources can follow each other in very many ways.
        let mut followers: BTreeMap<Alias, Alias> = BTreeMap::new();
        let mut open = Vec::new();
        let mut note = |follower: &Alias, policy: &Policy, open: &mut Vec<Alias>| {
            for followed in followed(policy) {
                followers.entry(followed.clone()).or_insert_with(|| {
                    open.push(followed.clone());
                    follower.clone()
                });
            }
        };
        note(resource, policy, &mut open);
        while let Some(next) = open.pop().filter(|next| next != resource) {
            if let Some(in_force) = self.standings.in_force(&next) {
                note(&next, &in_force.policy, &mut open);
            }
        }
        let mut circle = vec![resource.clone()];
        let mut last = followers.get(resource)?;
        while last != resource {
            circle.push(last.clone());
            last = followers.get(last)?;
        }
        circle.push(resource.clone());
        circle.reverse();
        Some(circle)
    }

    /// Has the policies decide anew that follow each other in a circle, which may be over.
    pub(super) fn trigger_circles(&mut self) {
        let in_circle =
            |in_force: &InForce| in_force.conditions.iter().any(|it| it.code == ConditionCode::FollowsItself);
        let all = self.standings.with_policies(None).filter(|(_, in_force)| in_circle(in_force));
        let members: Vec<Alias> = all.map(|(resource, _)| resource.clone()).collect();
        members.iter().for_each(|member| self.standings.trigger(member, Trigger::Followed));
    }
}
