//! What can be asked of the engine about policies, holds and claims, and what it answers.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::policy::{
    Alert, Claim, ClaimId, Condition, Decision, Foresight, Hold, Name, PinNote, Policy, Prospects, Sample,
};
use crate::domain::{
    Actor, Alias, Attempt, Capacity, JobId, ResourceConfig, Settings, Status, StepDurations, Timestamp,
};
use crate::policy::Problem;
use crate::store::{NoRoom, SubmitKey};

/// A change of what stands about one resource.
#[derive(Clone, Debug)]
pub struct PolicyRequest {
    /// The resource.
    pub resource: Alias,
    /// What to do.
    pub change: PolicyChangeRequest,
    /// Who asks for it, for the audit record.
    pub attempt: Option<Attempt>,
    /// The idempotency key, which only a claim can have.
    pub key: Option<SubmitKey>,
}

/// What to do about a policy, a hold, claims or metrics of a resource.
#[derive(Clone, Debug)]
pub enum PolicyChangeRequest {
    /// Puts a policy in force.
    Put {
        /// The policy.
        policy: Box<Policy>,
        /// What must be in force before.
        precondition: Precondition,
    },
    /// Ends the policy, its claims and its job.
    Delete {
        /// What must be in force before.
        precondition: Precondition,
    },
    /// Puts a hold.
    Hold(Hold),
    /// Ends the hold.
    EndHold,
    /// Makes a claim.
    Claim(Claim),
    /// Gives a claim another end.
    RenewClaim {
        /// The claim.
        id: ClaimId,
        /// When it ends.
        until: Timestamp,
        /// Whether the caller may renew claims of others.
        is_admin: bool,
    },
    /// Ends a claim.
    EndClaim {
        /// The claim.
        id: ClaimId,
        /// Whether the caller may end claims of others.
        is_admin: bool,
    },
    /// An alert fires: makes a claim that stands for it, or gives the one that does another end.
    FireAlert {
        /// The alert.
        alert: Alert,
        /// The claim, as it is if there is none yet.
        claim: Claim,
    },
    /// An alert is resolved: ends the claim that stands for it.
    ResolveAlert(Alert),
    /// Takes in values of metrics.
    Push(BTreeMap<Name, Vec<Sample>>),
    /// Takes in the prediction of a metric, in place of the one before.
    Predict {
        /// The metric.
        name: Name,
        /// Its times and values, in any order; without any, there is no prediction any more.
        points: Vec<(Timestamp, f64)>,
    },
}

/// What must be in force for a change to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Precondition {
    /// Anything or nothing.
    #[default]
    None,
    /// Nothing.
    Absent,
    /// A policy in any revision.
    Present,
    /// A policy in one of these revisions.
    Revisions(Vec<u64>),
}

impl Precondition {
    /// Whether it holds with this `revision` in force, if there is any.
    pub fn holds(&self, revision: Option<u64>) -> bool {
        match self {
            Self::None => true,
            Self::Absent => revision.is_none(),
            Self::Present => revision.is_some(),
            Self::Revisions(revisions) => revision.is_some_and(|revision| revisions.contains(&revision)),
        }
    }
}

/// What came of a [`PolicyRequest`].
#[derive(Clone, Debug, PartialEq)]
pub enum PolicyAnswer {
    /// The policy is in force.
    Put {
        /// How it is in force.
        view: Box<PolicyView>,
        /// Whether there was none before.
        is_new: bool,
    },
    /// The policy, the hold or the claim is gone.
    Gone,
    /// The hold is in force.
    Hold {
        /// The hold.
        hold: Hold,
        /// How it and the bounds contradict each other.
        note: Option<PinNote>,
    },
    /// The claim counts, or will.
    Claim(ClaimView),
    /// The same request made this claim before, or it stands for the same alert.
    SameClaim(ClaimView),
    /// The values are taken in.
    Pushed {
        /// So many of them.
        accepted: u64,
        /// So many others were ignored, since there were newer ones.
        ignored: u64,
    },
    /// No.
    Refused(PolicyRefusal),
}

/// What is tried without being put in force.
#[derive(Clone, Debug, Default)]
pub struct EvaluationRequest {
    /// The policy; the one in force if it is left out.
    pub policy: Option<Box<Policy>>,
    /// Values of metrics in place of those that are held.
    pub values: BTreeMap<Name, f64>,
    /// The capacity in place of that of the last usable reading.
    pub capacity: Option<Capacity>,
    /// The status in place of that of the last usable reading; ACTIVE if only a capacity is given.
    pub status: Option<Status>,
}

/// Why a [`PolicyRequest`] or a [`EvaluationRequest`] is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyRefusal {
    /// The operator allows only listed resources, and this is none of them.
    ResourceNotListed,
    /// Too many resources that the configuration does not list are in use.
    TooManyResources {
        /// So many may be.
        limit: usize,
    },
    /// There is no policy.
    NoPolicy,
    /// There is no policy that acts.
    NoActivePolicy,
    /// The policy asks for what the operator does not allow.
    BeyondLimits {
        /// Where; at least one.
        problems: Vec<Problem>,
    },
    /// The policy is in the configuration file.
    InFile,
    /// Another revision is in force than the caller knows.
    Precondition {
        /// The one in force, if there is one.
        revision: Option<u64>,
    },
    /// The policies would follow each other in a circle.
    FollowsItself {
        /// The resources of the circle, in order.
        circle: Vec<Alias>,
    },
    /// There is no such metric in the policy.
    NoMetric {
        /// Its name.
        name: Name,
    },
    /// The metric is not one that callers push.
    NotPushed {
        /// Its name.
        name: Name,
    },
    /// A value is negative, and the metric does not allow that.
    Negative {
        /// The metric.
        name: Name,
    },
    /// A predicted value is negative, and the metric does not allow that.
    NegativePrediction {
        /// The metric.
        name: Name,
    },
    /// A status is to be tried, and there is no capacity that it could be the status of.
    NoCapacity,
    /// There is no hold.
    NoHold,
    /// There is no such claim.
    NoClaim,
    /// The same request made a claim before, which has ended.
    SameClaimEnded,
    /// The alert was resolved already.
    AlertResolved,
    /// There is no room for its idempotency key.
    NoRoom(NoRoom),
    /// The claim is another key's.
    NotYours,
    /// There are too many claims on the resource.
    TooManyClaims {
        /// So many may be.
        limit: usize,
    },
    /// There are too many claims of the key on the resource.
    TooManyClaimsOfKey {
        /// So many may be.
        limit: usize,
    },
    /// The claim is for more than the policy may give.
    ClaimAboveMax {
        /// The policy's largest capacity.
        max: Capacity,
    },
}

/// A policy in force, with what it does.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyView {
    /// The number of its revision.
    pub revision: u64,
    /// Since when.
    pub since: Timestamp,
    /// Who put it, if a key did.
    pub by: Option<Actor>,
    /// The policy.
    pub policy: Arc<Policy>,
    /// The operator's rules for the resource.
    pub rules: ResourceConfig,
    /// Whether it is in the configuration file.
    pub is_in_file: bool,
    /// Its last decision, unless it is off.
    pub decision: Option<Decision>,
    /// What keeps it from acting as it would.
    pub conditions: Vec<Condition>,
}

/// A claim, and whether it is met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimView {
    /// The claim.
    pub claim: Claim,
    /// Whether the resource is at rest with at least the capacity that the policy decided with it. A renewal takes nothing away
    /// from that.
    pub is_satisfied: bool,
}

/// What stands about a resource besides its jobs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StandingView {
    /// The policy in force.
    pub policy: Option<PolicyView>,
    /// The unfinished job of the policy.
    pub own_job: Option<JobId>,
    /// The hold.
    pub hold: Option<Hold>,
    /// How the hold and the bounds contradict each other.
    pub pin_note: Option<PinNote>,
    /// The claims that count or will, oldest first.
    pub claims: Vec<ClaimView>,
    /// Where a plan of the policy begins, if there is a usable reading.
    pub prospects: Option<Prospects>,
    /// How the `forecast` rules of the policy stand, and what they expect.
    pub foresights: Vec<Foresight>,
}

/// What a backtest of a policy rests on.
#[derive(Clone, Debug, PartialEq)]
pub struct TrialBasis {
    /// The policy: one that could be put, or the one in force.
    pub policy: Arc<Policy>,
    /// The operator's rules for the resource.
    pub rules: ResourceConfig,
    /// The settings of the policy's jobs.
    pub settings: Settings,
    /// How long the last steps took.
    pub step_durations: StepDurations,
    /// The capacity by the last usable reading.
    pub capacity: Option<Capacity>,
}
