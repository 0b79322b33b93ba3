//! What a decision is made of.
//!
//! It must hold facts alone, as they are at one moment: what follows from them is decided elsewhere. A file of its own,
//! because the stages of a decision need it as much as the function that runs them.

use std::collections::BTreeMap;

use super::super::alias::Alias;
use super::super::capacity::Capacity;
use super::super::forecast::{Learned, Prediction};
use super::super::job_id::JobId;
use super::super::reading::Status;
use super::super::settings::Bounds;
use super::super::time::Timestamp;
use super::climb::Pace;
use super::decision::{DecisionId, Trigger};
use super::demand::{Claim, Hold};
use super::metric::Series;
use super::name::Name;

/// What a decision is made of, besides the policy, its memory and the time.
#[derive(Clone, Debug)]
pub struct Inputs<'a> {
    /// The id of the decision.
    pub id: DecisionId,
    /// The resource.
    pub resource: &'a Alias,
    /// What the decision is taken for.
    pub trigger: Trigger,
    /// The revision of the policy.
    pub revision: u64,
    /// The last usable reading.
    pub reading: Option<LastReading<'a>>,
    /// The unfinished job of the policy.
    pub own_job: Option<OwnJob>,
    /// A job of the policy that ends as soon as it is known what became of its change.
    pub ending_job: Option<JobId>,
    /// An unfinished job of a caller.
    pub others_job: Option<JobId>,
    /// The metrics of the policy.
    pub metrics: &'a BTreeMap<Name, Series>,
    /// What metrics are expected to be.
    pub foreseen: &'a Foreseen,
    /// The targets of the resources that are followed: of the unfinished job, else the capacity.
    pub followed: &'a BTreeMap<Alias, Capacity>,
    /// The circle in which resources follow each other through this one, from it and back to it; empty if there is none.
    pub circle: &'a [Alias],
    /// The claims on the resource; those that do not count yet are asked for their beginning.
    pub claims: &'a [Claim],
    /// The hold on the resource.
    pub hold: Option<&'a Hold>,
    /// The bounds of the configuration.
    pub file_bounds: Bounds,
    /// How fast changes are: the settings of the policy's jobs, and what was learned.
    pub pace: Pace,
    /// The capacity that the change under way leads to, if there is one: nothing has shown yet what became of it.
    pub in_flight: Option<Capacity>,
    /// When the next change can be sent at the earliest: the cooldown that runs is over then, and the resource at rest as far
    /// as is known.
    pub next_change_at: Option<Timestamp>,
    /// When the last change of the resource took effect.
    pub last_effect_at: Option<Timestamp>,
}

/// What metrics are expected to be, as far as that is known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Foreseen {
    /// What each `forecast` rule learned; none of a rule whose history was not read yet.
    pub learned: BTreeMap<Name, Learned>,
    /// The prediction that was pushed for a metric.
    pub predictions: BTreeMap<Name, Prediction>,
}

impl Foreseen {
    /// Nothing.
    pub const NOTHING: Self = Self { learned: BTreeMap::new(), predictions: BTreeMap::new() };
}

/// The last usable reading of a resource.
#[derive(Clone, Copy, Debug)]
pub struct LastReading<'a> {
    /// Capacity.
    pub capacity: Capacity,
    /// Status.
    pub status: &'a Status,
    /// When it was observed.
    pub observed_at: Timestamp,
}

/// The unfinished job of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnJob {
    /// Its id.
    pub id: JobId,
    /// Its target.
    pub target: Capacity,
    /// Whether another job is to take its place instead of another retarget.
    pub is_worn_out: bool,
}
