//! Policies: how the target of a resource follows metrics, schedules, other resources and callers' claims.
//!
//! [`Policy`] is the document. Everything here is pure: no I/O, no clock, and the time is an argument. A policy never
//! changes capacity itself: what it decides becomes a job of its own, in the same lane as the jobs of people.
//!
//! Missing is not zero: nothing here turns an absent, old or senseless value into a number.

mod decision;
mod demand;
mod document;
mod metric;
mod schedule;

pub use decision::{Action, Alternative, Beyond, Decision, DecisionId, Limiter, Opinion, Says, StageValue, Trigger};
pub use demand::{Claim, ClaimId, ClaimKind, Direction, Hold, HoldKind};
pub use document::{
    Aggregate, Band, Behavior, Follow, InvalidName, MAX_METRICS, MAX_RULES, MetricSpec, Mode, Name, OnMissing, Policy,
    Rule, RuleKind, Smoothing, Source, StepRule, Target, Threshold, ThresholdChange, Utilization,
};
pub use metric::{MetricState, Missing, Sample, Series};
pub use schedule::{Ready, Weekly, When, Window};
