//! What the operator has laid down: default settings, bounds and limits.

use std::collections::BTreeMap;

use super::alias::Alias;
use super::settings::{Bounds, Settings};

/// The operator's rules, fixed for the life of the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Settings of a resource that is not listed.
    pub settings: Settings,
    /// Listed resources.
    pub resources: BTreeMap<Alias, ResourcePolicy>,
    /// Whether only listed resources may be scaled.
    pub only_listed: bool,
    /// How much work is accepted.
    pub limits: Limits,
}

/// The rules for one resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResourcePolicy {
    /// Where its capacity may be put.
    pub bounds: Bounds,
    /// What a job runs with unless it says otherwise.
    pub settings: Settings,
}

/// How much work the gateway accepts before it says no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Unfinished jobs on all resources together.
    pub active_jobs: usize,
    /// Jobs waiting for their turn on one resource.
    pub queue_length: usize,
}

impl Limits {
    /// 10,000 unfinished jobs is two orders of magnitude beyond the services of one deployment and a few megabytes of
    /// memory; more than 16 jobs waiting on one resource means that their submitters do not know of each other.
    pub const DEFAULT: Self = Self { active_jobs: 10_000, queue_length: 16 };
}

impl Policy {
    /// The rules for `alias`, or `None` if it may not be scaled here.
    pub fn resource(&self, alias: &Alias) -> Option<ResourcePolicy> {
        match self.resources.get(alias) {
            Some(listed) => Some(*listed),
            None if self.only_listed => None,
            None => Some(ResourcePolicy { bounds: Bounds::NONE, settings: self.settings }),
        }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self { settings: Settings::DEFAULT, resources: BTreeMap::new(), only_listed: false, limits: Limits::DEFAULT }
    }
}
