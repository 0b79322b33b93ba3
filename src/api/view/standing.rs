//! How what stands about a resource is shown besides its jobs: its policy, a hold, claims.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{ActorView, DecisionView, WireTime};
use crate::domain::policy::{
    ClaimKind, Condition, ConditionCode, Decision, Direction, ForecastSource, ForecastState, Foresight, Hold, HoldKind,
    Mode, PinNote,
};
use crate::domain::{Alias, Capacity, Op};
use crate::engine::{self, StandingView};

/// The policy of a resource and what it does. `GET /v1/resources/{alias}/policy` has its text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResourcePolicy {
    /// The number of the revision in force.
    pub revision: u64,
    /// Whether the policy acts.
    pub mode: Mode,
    /// Whether the policy is in the configuration file, and so cannot be changed over HTTP.
    pub in_file: bool,
    /// The capacity that the policy decided last; `null` if it is off, has not decided, or had nothing to decide on.
    #[schema(maximum = 1_000_000)]
    pub decided: Option<u32>,
    /// When the policy last decided; `null` if it is off or has not.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub decided_at: Option<WireTime>,
    /// The last decision in a sentence or two; `null` if the policy is off or there is none. `GET …/decisions` has those that it
    /// took before it was switched off.
    pub detail: Option<String>,
    /// The last decision with everything that explains it; `null` if the policy is off or there is none, and in lists.
    pub last_decision: Option<DecisionView>,
    /// The id of the policy's unfinished job; `null` if there is none.
    pub job_id: Option<Uuid>,
    /// What keeps the policy from acting, or from deciding well, for the time being.
    pub conditions: Vec<ConditionView>,
    /// How the `forecast` rules of the policy stand.
    #[serde(default)]
    pub forecasts: Vec<ForecastView>,
}

impl ResourcePolicy {
    /// The policy in `standing`, if there is one; its decision is whole if it is to be `explained`.
    pub fn of(standing: &StandingView, explained: bool) -> Option<Self> {
        let view = standing.policy.as_ref()?;
        let decision = view.decision.as_ref();
        Some(Self {
            revision: view.revision,
            mode: view.policy.mode,
            in_file: view.is_in_file,
            decided: decision.and_then(|decision| decision.decided).map(Capacity::units),
            decided_at: decision.map(|decision: &Decision| WireTime(decision.last_at)),
            detail: decision.map(|decision| decision.detail.clone()),
            last_decision: decision.filter(|_| explained).map(DecisionView::from),
            job_id: standing.own_job,
            conditions: view.conditions.iter().map(ConditionView::from).collect(),
            forecasts: standing.foresights.iter().map(ForecastView::from).collect(),
        })
    }
}

/// How a `forecast` rule stands, and how good its expectations were at the distance of the longest climb. What was a day ago
/// counts a quarter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PolicyForecast)]
pub struct ForecastView {
    /// The name of the rule.
    pub rule: String,
    /// The metric that is expected.
    pub metric: String,
    /// How the rule stands: only while `trusted` it counts.
    pub state: ForecastState,
    /// What the pattern was learned from ends here; `null` if there is none.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub learned_through: Option<WireTime>,
    /// The mean error, in the unit of the metric; `null` before anything could be compared.
    pub error: Option<f64>,
    /// The mean error of the guess that all stays as it is; `null` before anything could be compared.
    pub naive_error: Option<f64>,
    /// The share of values that were at most what the rule provided for; about the quantile of the rule; `null` before anything could be compared.
    #[schema(minimum = 0, maximum = 1)]
    pub coverage: Option<f64>,
    /// The share of values that the rule has to provide for; `null` if it goes by predictions, which have no range.
    #[schema(minimum = 0, maximum = 1)]
    pub quantile: Option<f64>,
}

impl From<&Foresight> for ForecastView {
    fn from(foresight: &Foresight) -> Self {
        Self {
            rule: foresight.rule.to_string(),
            metric: foresight.forecast.metric.to_string(),
            state: foresight.state,
            learned_through: foresight.through.map(WireTime),
            error: foresight.accuracy.map(|accuracy| accuracy.error),
            naive_error: foresight.accuracy.map(|accuracy| accuracy.naive_error),
            coverage: foresight.accuracy.map(|accuracy| accuracy.coverage),
            quantile: (foresight.forecast.source == ForecastSource::Learned).then_some(foresight.forecast.quantile),
        }
    }
}

/// What keeps a policy from acting, or from deciding well, for the time being.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = PolicyCondition)]
pub struct ConditionView {
    /// What it is.
    pub code: ConditionCode,
    /// The direction that the condition is about: `add` is up, `remove` is down; `null` if it is about both.
    pub direction: Option<Op>,
    /// The condition in a sentence.
    pub detail: String,
    /// When the condition ends by itself; `null` if that is not known.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub until: Option<WireTime>,
}

impl From<&Condition> for ConditionView {
    fn from(condition: &Condition) -> Self {
        let Condition { code, direction, detail, until } = condition;
        Self { code: *code, direction: *direction, detail: detail.clone(), until: until.map(WireTime) }
    }
}

/// A hold: a stop put on the scaling of a resource, which ends by itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Hold)]
pub struct HoldView {
    /// The direction that is stopped; `null` if the resource is kept at a capacity.
    pub direction: Option<Direction>,
    /// The capacity that the resource is kept at; `null` if a direction is stopped.
    #[schema(maximum = 1_000_000)]
    pub capacity: Option<u32>,
    /// When the hold ends.
    #[schema(value_type = String, format = DateTime)]
    pub until: WireTime,
    /// The note that came with the hold; `null` if none did.
    pub reason: Option<String>,
    /// Who put the hold; `null` if no key was shown.
    pub by: Option<ActorView>,
    /// When the hold was put.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: WireTime,
    /// What becomes of a capacity outside the bounds of the policy or those in the configuration, in a sentence or two; `null` if
    /// it lies within.
    pub note: Option<String>,
}

impl HoldView {
    /// The `hold`, and how it and the bounds contradict each other.
    pub fn new(hold: &Hold, note: Option<PinNote>) -> Self {
        let (direction, capacity) = match hold.kind {
            HoldKind::Direction(direction) => (Some(direction), None),
            HoldKind::Capacity(capacity) => (None, Some(capacity.units())),
        };
        Self {
            direction,
            capacity,
            until: WireTime(hold.until),
            reason: hold.reason.as_deref().map(str::to_owned),
            by: hold.by.as_ref().map(ActorView::from),
            created_at: WireTime(hold.created_at),
            note: note.map(|note| note.to_string()),
        }
    }
}

/// A demand of a caller, which ends by itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Claim)]
pub struct ClaimView {
    /// The id of the claim, a UUIDv7.
    pub id: Uuid,
    /// The resource that units are claimed of.
    #[schema(value_type = Alias)]
    pub resource: String,
    /// How many units.
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub units: u32,
    /// What the units mean.
    pub kind: ClaimKind,
    /// When the claim begins or began to count.
    #[schema(value_type = String, format = DateTime)]
    pub from: WireTime,
    /// When the claim ends.
    #[schema(value_type = String, format = DateTime)]
    pub until: WireTime,
    /// Whom the claim is for; `null` if that was not said.
    pub owner: Option<String>,
    /// The note that came with the claim; `null` if none did.
    pub reason: Option<String>,
    /// Who made the claim; `null` if no key was shown.
    pub by: Option<ActorView>,
    /// When the claim was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: WireTime,
    /// Whether the claim counts now and the resource is ready with at least what the policy decided with it.
    pub satisfied: bool,
}

impl ClaimView {
    /// The claim `view` on `resource`.
    pub fn new(resource: &Alias, view: &engine::ClaimView) -> Self {
        let claim = &view.claim;
        Self {
            id: claim.id,
            resource: resource.as_str().to_owned(),
            units: claim.units.units(),
            kind: claim.kind,
            from: WireTime(claim.from),
            until: WireTime(claim.until),
            owner: claim.owner.as_deref().map(str::to_owned),
            reason: claim.reason.as_deref().map(str::to_owned),
            by: claim.by.as_ref().map(ActorView::from),
            created_at: WireTime(claim.created_at),
            satisfied: view.is_satisfied,
        }
    }
}
