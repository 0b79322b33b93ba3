//! How a decision of a policy is shown.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use strum::{EnumMessage, VariantArray};
use utoipa::ToSchema;
use uuid::Uuid;

use super::WireTime;
use crate::domain::policy::{
    Action, Alternative, Beyond, Decision, Limiter, MetricState, Missing, Mode, Name, Opinion, Says, StageValue,
    Trigger,
};
use crate::domain::{Alias, Capacity, Timestamp};

/// A decision of a policy, with everything that explains it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Decision)]
pub struct DecisionView {
    /// The id of the decision, a UUIDv7.
    pub id: Uuid,
    /// The resource that the decision is about.
    #[schema(value_type = Alias)]
    pub resource: String,
    /// When the decision was taken first.
    #[schema(value_type = String, format = DateTime)]
    pub at: WireTime,
    /// What made the policy decide.
    pub trigger: Trigger,
    /// The mode of the policy at that time.
    pub mode: Mode,
    /// The revision of the policy.
    pub policy_revision: u64,
    /// The capacity of the last usable reading; `null` if there is none.
    #[schema(maximum = 1_000_000)]
    pub capacity: Option<u32>,
    /// The status of that reading; `null` if there is none.
    pub status: Option<String>,
    /// The target of the policy's unfinished job, or else the capacity; `null` if there is none.
    #[schema(maximum = 1_000_000)]
    pub target: Option<u32>,
    /// The metrics of the policy as they were, by name.
    pub metrics: BTreeMap<String, MetricStateView>,
    /// The metrics of the last of several equal decisions, by name; `null` if there was one.
    pub last_metrics: Option<BTreeMap<String, MetricStateView>>,
    /// What each rule said, in the order of the policy.
    pub rules: Vec<OpinionView>,
    /// The first stage, and those that changed the number, in their order.
    pub stages: Vec<StageView>,
    /// The capacity after the first stage; `null` if there was nothing to decide on.
    #[schema(maximum = 1_000_000)]
    pub wanted: Option<u32>,
    /// The capacity after the last stage; `null` if there was nothing to decide on.
    #[schema(maximum = 1_000_000)]
    pub decided: Option<u32>,
    /// The last stage that changed the number; `null` if none did.
    pub limited_by: Option<Limiter>,
    /// What was done.
    pub action: Action,
    /// The id of the job that it was done with; `null` if nothing was done.
    pub job_id: Option<Uuid>,
    /// The nearest values of metrics at which a rule would want another capacity.
    pub otherwise_if: Vec<AlternativeView>,
    /// The decision in a sentence or two.
    pub detail: String,
    /// How many decisions in a row were equal to this one, itself included.
    #[schema(minimum = 1)]
    pub count: u64,
    /// When the last of them was taken.
    #[schema(value_type = String, format = DateTime)]
    pub last_at: WireTime,
}

/// A metric as it was when a policy decided.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = MetricState)]
pub struct MetricStateView {
    /// Whether there is a value to decide on.
    pub state: MetricStateName,
    /// The newest value, also where it is too old to count; `null` if there never was one.
    pub value: Option<f64>,
    /// When that value was observed; `null` if there never was one.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub observed_at: Option<WireTime>,
    /// How old that value was at the decision, in seconds; `null` if there never was one.
    #[schema(minimum = 0)]
    pub age_seconds: Option<f64>,
    /// Why there is no value; `null` if there is one.
    pub reason: Option<Missing>,
}

/// Whether a metric has a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, EnumMessage, VariantArray)]
#[serde(rename_all = "snake_case")]
#[schema(as = MetricFreshness)]
pub enum MetricStateName {
    /// It has a value.
    Fresh,
    /// It has no value, and `reason` says why.
    Missing,
}

/// What a rule said. A rule that recommends has `wants`; a schedule has `min`, `max` or both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RuleOpinion)]
pub struct OpinionView {
    /// The name of the rule.
    pub name: String,
    /// The capacity that the rule recommends; `null` if it has no opinion, or is a schedule.
    #[schema(maximum = 1_000_000)]
    pub wants: Option<u32>,
    /// The least capacity that an open window, or the climb ahead of one, asks for; `null` if there is none.
    #[schema(maximum = 1_000_000)]
    pub min: Option<u32>,
    /// The largest capacity that an open window allows; `null` if there is none.
    #[schema(maximum = 1_000_000)]
    pub max: Option<u32>,
    /// Why, as the end of a sentence.
    pub detail: String,
}

/// A stage of a decision and the number after it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DecisionStageValue)]
pub struct StageView {
    /// The stage of the decision.
    pub stage: Limiter,
    /// The capacity after the stage.
    #[schema(maximum = 1_000_000)]
    pub value: u32,
    /// Why the stage changed the number; `null` for the first one.
    pub detail: Option<String>,
}

/// A value of a metric at which a rule would want another capacity. One of `above`, `atLeast`, `atMost` and `below` is given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DecisionAlternative)]
pub struct AlternativeView {
    /// The name of the rule.
    pub rule: String,
    /// The metric would have to be above this value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub above: Option<f64>,
    /// The metric would have to be at this value or above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_least: Option<f64>,
    /// The metric would have to be at this value or below.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_most: Option<f64>,
    /// The metric would have to be below this value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub below: Option<f64>,
    /// The capacity that the rule would want then.
    #[schema(maximum = 1_000_000)]
    pub wants: u32,
}

impl From<&Decision> for DecisionView {
    fn from(decision: &Decision) -> Self {
        let metrics = |states: &BTreeMap<Name, MetricState>, at| {
            states.iter().map(|(name, state)| (name.to_string(), metric(state, at))).collect()
        };
        Self {
            id: decision.id,
            resource: decision.resource.as_str().to_owned(),
            at: WireTime(decision.at),
            trigger: decision.trigger,
            mode: decision.mode,
            policy_revision: decision.policy_revision,
            capacity: decision.capacity.map(Capacity::units),
            status: decision.status.as_ref().map(|status| status.as_str().to_owned()),
            target: decision.target.map(Capacity::units),
            metrics: metrics(&decision.metrics, decision.at),
            last_metrics: decision.last_metrics.as_ref().map(|last| metrics(last, decision.last_at)),
            rules: decision.rules.iter().map(OpinionView::from).collect(),
            stages: decision.stages.iter().map(StageView::from).collect(),
            wanted: decision.wanted.map(Capacity::units),
            decided: decision.decided.map(Capacity::units),
            limited_by: decision.limited_by,
            action: decision.action,
            job_id: decision.job_id,
            otherwise_if: decision.otherwise_if.iter().map(AlternativeView::from).collect(),
            detail: decision.detail.clone(),
            count: decision.count,
            last_at: WireTime(decision.last_at),
        }
    }
}

/// A metric as it was at `at`.
fn metric(state: &MetricState, at: Timestamp) -> MetricStateView {
    let (name, last, reason) = match state {
        MetricState::Fresh(sample) => (MetricStateName::Fresh, Some(*sample), None),
        MetricState::Missing { reason, last, .. } => (MetricStateName::Missing, *last, Some(*reason)),
    };
    MetricStateView {
        state: name,
        value: last.map(|sample| sample.value),
        observed_at: last.map(|sample| WireTime(sample.at)),
        age_seconds: last.map(|sample| at.since(sample.at).as_secs_f64()),
        reason,
    }
}

impl From<&Opinion> for OpinionView {
    fn from(opinion: &Opinion) -> Self {
        let (wants, min, max) = match opinion.says {
            Says::Wants(wants) => (wants, None, None),
            Says::Bounds { min, max } => (None, min, max),
        };
        let [wants, min, max] = [wants, min, max].map(|capacity| capacity.map(Capacity::units));
        Self { name: opinion.name.to_string(), wants, min, max, detail: opinion.detail.clone() }
    }
}

impl From<&StageValue> for StageView {
    fn from(stage: &StageValue) -> Self {
        Self { stage: stage.stage, value: stage.value.units(), detail: stage.detail.clone() }
    }
}

impl From<&Alternative> for AlternativeView {
    fn from(alternative: &Alternative) -> Self {
        let mut view = Self {
            rule: alternative.rule.to_string(),
            above: None,
            at_least: None,
            at_most: None,
            below: None,
            wants: alternative.wants.units(),
        };
        match alternative.at {
            Beyond::Above(value) => view.above = Some(value),
            Beyond::AtLeast(value) => view.at_least = Some(value),
            Beyond::AtMost(value) => view.at_most = Some(value),
            Beyond::Below(value) => view.below = Some(value),
        }
        view
    }
}
