//! What is kept about the policies of resources: documents, what callers ask for, decisions, samples.
//!
//! It goes two ways. What a decision acts on, and what a caller is answered for, is part of a [`Unit`] and durable with
//! its job. What is written every second is [`Observations`], which hold up no job, survive `kill -9` but for the last
//! moments, and are the first to be given up when the disk is full.
//!
//! The store must never look into a document or a state: both are texts to it. Rejected: the policy in the record of its
//! lane, because a lane goes when nothing about it has to be remembered, and is read at every start.
//!
//! # How much
//!
//! For each resource: [`MAX_REVISIONS`] documents; one state; claims and one hold, whose texts and number the API
//! bounds; [`MAX_DECISIONS`] decisions, which name at most [`MAX_METRICS`] metrics and [`MAX_RULES`] rules; and of at most
//! [`MAX_METRICS`] metrics the samples, at 16 bytes and a few more for each second or minute, and one prediction of at most
//! [`MAX_POINTS`] points each.
//!
//! [`MAX_METRICS`]: crate::domain::policy::MAX_METRICS
//! [`MAX_POINTS`]: crate::domain::forecast::MAX_POINTS
//! [`MAX_RULES`]: crate::domain::policy::MAX_RULES
//! [`MAX_DECISIONS`]: super::MAX_DECISIONS
//! [`MAX_REVISIONS`]: super::MAX_REVISIONS

use std::collections::BTreeMap;

use super::epoch::Epoch;
use crate::domain::forecast::Prediction;
use crate::domain::policy::{Claim, ClaimId, Decision, Hold, Name, Sample};
use crate::domain::{Actor, Alias, Timestamp};

/// A change of what is kept about the policy of a resource.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyChange {
    /// The resource. The unit is about its lane as well.
    pub resource: Alias,
    /// What is written.
    pub write: PolicyWrite,
}

/// What is written about the policy of a resource.
#[derive(Clone, Debug, PartialEq)]
pub enum PolicyWrite {
    /// A new revision. One that deletes the policy takes its state, its claims and its predictions with it; decisions and the
    /// hold stay, and samples for a day.
    Revision(Revision),
    /// What the policy has to remember from now on, in place of what it had to.
    State(PolicyState),
    /// A claim, new or in place of the one with the same id.
    Claim(Claim),
    /// A claim that is over.
    ClaimEnded(ClaimId),
    /// The hold from now on.
    Hold(Option<Hold>),
    /// A decision: a new one, or in place of the newest one of the resource if it has the same id.
    Decision(Box<Decision>),
}

/// A version of the policy of a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision {
    /// Its number, above those before it, also above those before the policy was deleted.
    pub number: u64,
    /// When it was made.
    pub at: Timestamp,
    /// Who made it, if that is known.
    pub by: Option<Actor>,
    /// The document as it is kept; `None` if the policy was deleted.
    pub document: Option<String>,
}

/// What a policy has to remember from one evaluation to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyState {
    /// The moment that the times in `text` are told from. The store moves it when it is carried over to another clock,
    /// and cannot move those: what was noted in the text as this moment and is not equal to it any more shows by how
    /// much.
    pub at: Timestamp,
    /// The rest, in words of its own.
    pub text: String,
}

/// What is kept about the policy of a resource, and what its owner carries on with.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PolicyRecord {
    /// The latest revision, also if it is the end of the policy.
    pub revision: Option<Revision>,
    /// What the policy has to remember. There may be one without a revision: that of a policy that is not kept here.
    pub state: Option<PolicyState>,
    /// The claims, in order of their ids, also those whose time is over.
    pub claims: Vec<Claim>,
    /// The hold, also if its time is over.
    pub hold: Option<Hold>,
    /// The samples of each metric from the last hour before its newest one, oldest first; none once the policy was
    /// deleted.
    pub samples: BTreeMap<Name, Vec<Sample>>,
    /// The prediction of each metric that has one.
    pub predictions: BTreeMap<Name, Prediction>,
    /// The newest decision, with the times that its clock showed.
    pub last_decision: Option<Box<Decision>>,
}

impl PolicyRecord {
    /// Carries what was observed over to a clock that shows `there` when the one so far shows `here`: how long ago it was
    /// stays the same. Claims and holds end at the times of the day that their callers were told, and predictions are about
    /// such times. Revisions and decisions are shown as they were.
    pub fn carry_over(&mut self, here: Timestamp, there: Timestamp) {
        if let Some(state) = &mut self.state {
            state.at = state.at.on_another_clock(here, there);
        }
        for sample in self.samples.values_mut().flatten() {
            sample.at = sample.at.on_another_clock(here, there);
        }
    }
}

/// What was observed and decided about a resource since the last time, without anything being done about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Observations {
    /// The resource.
    pub resource: Alias,
    /// When its lane was adopted. If that does not count any more, nothing of this is written.
    pub epoch: Epoch,
    /// Samples, each with its metric, in the order of their times.
    pub samples: Vec<(Name, Sample)>,
    /// The predictions of metrics from now on, each in place of the one before; an empty one takes that away.
    pub predictions: Vec<(Name, Prediction)>,
    /// As [`PolicyWrite::State`].
    pub state: Option<PolicyState>,
    /// As [`PolicyWrite::Decision`].
    pub decisions: Vec<Decision>,
}
