//! What the operator has laid down: default settings, bounds and limits.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::alias::Alias;
use super::policy::Policy;
use super::settings::{Bounds, SettingLimits, Settings};

/// The operator's rules, fixed for the life of the process.
#[derive(Clone, Debug, PartialEq)]
pub struct ScalingConfig {
    /// Settings of a resource that is not listed.
    pub settings: Settings,
    /// How little care the jobs of such a resource may take.
    pub setting_limits: SettingLimits,
    /// Listed resources.
    pub resources: BTreeMap<Alias, ResourceConfig>,
    /// The policies that the operator has laid down, of listed resources.
    pub policies: BTreeMap<Alias, Arc<Policy>>,
    /// Whether only listed resources may be scaled.
    pub only_listed: bool,
    /// How much work is accepted.
    pub limits: Limits,
    /// Whether changes of members of a group that are due together go to the sidecar in one request.
    pub grouped_calls: bool,
}

/// The rules for one resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResourceConfig {
    /// Where its capacity may be put.
    pub bounds: Bounds,
    /// What a job runs with unless it says otherwise.
    pub settings: Settings,
    /// How little care a job may take if it does.
    pub setting_limits: SettingLimits,
}

/// How much work the gateway accepts before it says no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Unfinished jobs on all resources together.
    pub active_jobs: usize,
    /// Unfinished jobs submitted with one API key.
    pub jobs_per_key: usize,
    /// Jobs waiting for their turn on one resource.
    pub queue_length: usize,
}

impl Limits {
    /// 10,000 unfinished jobs is two orders of magnitude beyond the services of one deployment and a few megabytes of
    /// memory; a tenth of them for one key leaves room for nine that are as busy; more than 16 jobs waiting on one resource means that their submitters do not know of each other.
    pub const DEFAULT: Self = Self { active_jobs: 10_000, jobs_per_key: 1000, queue_length: 16 };
}

impl ScalingConfig {
    /// The rules for `alias`, or `None` if it may not be scaled here.
    pub fn resource(&self, alias: &Alias) -> Option<ResourceConfig> {
        match self.resources.get(alias) {
            Some(listed) => Some(*listed),
            None if self.only_listed => None,
            None => Some(self.unlisted()),
        }
    }

    /// The rules by which the jobs of `alias` are carried out. What may no longer be scaled here has those of a resource that is
    /// not listed: its jobs are seen through.
    pub fn in_force(&self, alias: &Alias) -> ResourceConfig {
        self.resource(alias).unwrap_or_else(|| self.unlisted())
    }

    /// The rules for a resource that is not listed.
    pub fn unlisted(&self) -> ResourceConfig {
        ResourceConfig { bounds: Bounds::NONE, settings: self.settings, setting_limits: self.setting_limits }
    }
}

impl Default for ScalingConfig {
    fn default() -> Self {
        Self {
            settings: Settings::DEFAULT,
            setting_limits: SettingLimits::NONE,
            resources: BTreeMap::new(),
            policies: BTreeMap::new(),
            only_listed: false,
            limits: Limits::DEFAULT,
            grouped_calls: false,
        }
    }
}

/// How long finished jobs are kept: until they are too old *or* too many. Unfinished ones are always kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Longest time since a job's end.
    pub age: Duration,
    /// Most finished jobs.
    pub count: usize,
}

impl Retention {
    /// A week, so that what happened over a long weekend can still be looked at in the days after it. And 10,000 jobs,
    /// which is one a minute for that week: a gateway used this heavily keeps about as much as the age allows, and one
    /// used far more heavily stays within some tens of megabytes, at a few kilobytes per job.
    pub const DEFAULT: Self = Self { age: Duration::from_hours(7 * 24), count: 10_000 };
}
