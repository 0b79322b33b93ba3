//! What is asked for: the request that becomes a job.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use strum::{EnumMessage, VariantArray};
use utoipa::ToSchema;

use super::super::alias::Alias;
use super::super::audit::Attempt;
use super::super::capacity::Capacity;
use super::super::settings::SettingsOverrides;
use super::super::trace::TraceContext;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// A capacity.
    Target(Capacity),
    /// So many units more (or, negative, fewer) than the first usable reading shows. Never 0.
    Delta(i32),
}

impl std::fmt::Display for Goal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Target(target) => write!(f, "to {target}"),
            Self::Delta(delta) => write!(f, "by {delta:+}"),
        }
    }
}

/// What a submitter may say about a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobRequest {
    /// The resource to scale.
    pub resource: Alias,
    /// What is asked for.
    pub goal: Goal,
    /// Settings that differ from the resource's.
    pub overrides: SettingsOverrides,
    /// What to do if the resource is busy.
    pub on_conflict: OnConflict,
    /// A note.
    pub reason: Option<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Where in a distributed trace the request belongs. Says nothing about what is asked for.
    pub trace: Option<TraceContext>,
    /// Who asks, if that is to be recorded.
    pub attempt: Option<Attempt>,
}

/// What to do if the resource has an unfinished job with another target.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema, EnumMessage, VariantArray,
)]
#[serde(rename_all = "lowercase")]
// The default stands here, and not beside the field, which some generators would then take for one that has to be given.
#[schema(default = "reject")]
pub enum OnConflict {
    /// Refuse the new job, with 409.
    #[default]
    Reject,
    /// Let the new job wait for its turn.
    Queue,
    /// Let the new job take the place of all unfinished jobs of the resource.
    Supersede,
}

impl JobRequest {
    /// [`Job::text_bytes`](super::Job::text_bytes) of the job it would become.
    pub fn text_bytes(&self) -> u64 {
        text_bytes(self.reason.as_deref(), &self.labels)
    }
}

/// The length in bytes of a reason and labels.
pub(super) fn text_bytes(reason: Option<&str>, labels: &BTreeMap<String, String>) -> u64 {
    let labels = labels.iter().map(|(name, value)| name.len() + value.len());
    (reason.map_or(0, str::len) + labels.sum::<usize>()) as u64
}

#[cfg(test)]
impl JobRequest {
    /// The plainest request there is, for tests.
    pub(crate) fn for_worker(goal: Goal) -> Self {
        Self {
            resource: "worker".parse().expect("an alias"),
            goal,
            overrides: SettingsOverrides::default(),
            on_conflict: OnConflict::Reject,
            reason: None,
            labels: BTreeMap::new(),
            trace: None,
            attempt: None,
        }
    }
}
