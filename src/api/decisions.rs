//! What policies decided, and what is ahead of them.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, get, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::caller::Caller;
use super::demand::resource;
use super::openapi::examples;
use super::problem::{ApiError, Code};
use super::query::{OutlookQuery, Paging};
use super::routes::{Route, problems};
use super::view::{DecisionView, WireTime};
use super::{ApiState, list};
use crate::domain::forecast::{BIN, Expected};
use crate::domain::policy::{Claim, ClaimKind, ForecastState, Foresight, Mode, Planned, Transition, plan, transitions};
use crate::domain::{Alias, Capacity, Scope, Timestamp};

/// Most transitions in an outlook: a window a minute for an hour is nothing that people read on.
const MAX_TRANSITIONS: usize = 1000;

/// The scopes, the audit action and the problems of each operation.
pub(super) const ROUTES: &[Route] = &[
    Route::get("/v1/resources/{alias}/decisions")
        .needs(&[Scope::Read])
        .problems(problems![ResourceForbidden ValidationFailed Overloaded]),
    Route::get("/v1/resources/{alias}/outlook")
        .needs(&[Scope::Read])
        .problems(problems![ResourceForbidden ResourceNotFound PolicyNotFound ValidationFailed Overloaded]),
];

/// List decisions
///
/// What the policy of a resource decided, newest first, a page at a time. Decisions in a row that are equal are one entry
/// with a `count`. 10,000 are kept for a resource, at most 30 days long. A page also ends at about half a megabyte, with a
/// token.
#[utoipa::path(
    operation_id = "listDecisions", tag = "policies",
    params(("alias" = Alias, Path, description = "The alias of the resource.", example = "worker"), Paging),
    responses((status = 200, description = "A page of decisions.", body = DecisionList,
        example = json!({"decisions": [examples::example_decision()], "nextPageToken": null})))
)]
#[get("/v1/resources/{alias}/decisions")]
pub async fn list_decisions(
    state: web::Data<ApiState>,
    request: HttpRequest,
    caller: Caller,
    path: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let alias = resource(&request, &caller, &path)?;
    let paging = Paging::parse(request.query_string())?;
    let page = state
        .read(&caller, "decisions", async move |reader| reader.decisions(&alias, paging.after, paging.size).await)
        .await?;
    Ok(list::answer(&request, "decisions", page, |decision| list::json(&DecisionView::from(decision))))
}

/// A page of decisions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DecisionList {
    /// The decisions of the page, newest first.
    pub decisions: Vec<DecisionView>,
    /// The `pageToken` of the next page; `null` on the last one.
    pub next_page_token: Option<String>,
}

/// Look ahead
///
/// The windows that open and close, what is expected of metrics, the claims, and the capacities that these lead to, from a point in time for some hours.
///
/// `planned` is worked out as decisions are, with steps, cooldowns and how long changes take. Where a `forecast` rule is trusted,
/// its metric becomes what is expected; all else is taken to stay as it is now. It leaves out stabilisation and limits of `behavior`, `idle`, holds,
/// jobs of callers, and changes that fail.
#[utoipa::path(
    operation_id = "getOutlook", tag = "policies",
    params(("alias" = Alias, Path, description = "The alias of the resource.", example = "worker"), OutlookQuery),
    responses((status = 200, description = "What is ahead.", body = Outlook, example = json!(examples::example_outlook())))
)]
#[get("/v1/resources/{alias}/outlook")]
pub async fn get_outlook(
    state: web::Data<ApiState>,
    request: HttpRequest,
    caller: Caller,
    path: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let alias = resource(&request, &caller, &path)?;
    let OutlookQuery { from, hours } = OutlookQuery::parse(request.query_string())?;
    let from = from.unwrap_or(state.clock.now());
    let to = from + Duration::from_secs_f64(hours * 3600.0);
    let standing = state.engine.standing(alias.clone()).await?;
    let Some(view) = standing.policy else {
        let none = ApiError::new(Code::PolicyNotFound, format!("There is no policy for \"{alias}\"."));
        return Err(state.with_meant(&caller, &alias, none).await);
    };
    let transitions = transitions(&view.policy.rules, from, to, MAX_TRANSITIONS);
    let claims: Vec<Claim> = standing.claims.into_iter().map(|view| view.claim).collect();
    let planned = standing
        .prospects
        .filter(|_| view.policy.mode != Mode::Off)
        .map(|start| plan(&view.policy, &alias, &claims, &start, &standing.foresights, to))
        .unwrap_or_default();
    // What was reached before is the capacity at the beginning.
    let begin = planned.iter().rposition(|point| point.at <= from).unwrap_or(0);
    let planned = planned.into_iter().skip(begin);
    let claims = claims.iter().filter(|claim| claim.from < to && from < claim.until).map(ClaimAhead::from);
    Ok(HttpResponse::Ok().json(Outlook {
        from: WireTime(from),
        to: WireTime(to),
        transitions: transitions.iter().map(TransitionView::from).collect(),
        forecast: standing.foresights.iter().map(|foresight| ForecastAhead::new(foresight, from, to)).collect(),
        claims: claims.collect(),
        planned: planned.map(|point| PlannedCapacity::new(point, from)).collect(),
    }))
}

/// What is ahead of a resource.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Outlook {
    /// The beginning of the time that the outlook is for.
    #[schema(value_type = String, format = DateTime)]
    pub from: WireTime,
    /// The end of the time that the outlook is for.
    #[schema(value_type = String, format = DateTime)]
    pub to: WireTime,
    /// The windows that open and close, in the order of time: at most 1000.
    pub transitions: Vec<TransitionView>,
    /// What each `forecast` rule expects of its metric. None if the policy is off.
    #[serde(default)]
    pub forecast: Vec<ForecastAhead>,
    /// The claims that count at some time in between.
    pub claims: Vec<ClaimAhead>,
    /// The capacities as far as they are laid down, in the order of time: at most 1001. None without a reading, or if the
    /// policy is off.
    #[serde(default)]
    pub planned: Vec<PlannedCapacity>,
}

/// What a `forecast` rule expects.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ForecastAhead {
    /// The name of the rule.
    pub rule: String,
    /// The metric that is expected.
    pub metric: String,
    /// How the rule stands: only while `trusted` it counts.
    pub state: ForecastState,
    /// What is expected, in the order of time: at most 500, evenly spaced.
    pub points: Vec<ExpectedValue>,
}

/// What is expected of a metric at one time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ExpectedValue {
    /// The time that is meant.
    #[schema(value_type = String, format = DateTime)]
    pub at: WireTime,
    /// As often above as below.
    pub middle: f64,
    /// Up to where the metric stays with the probability of the rule; the same as `middle` in a prediction that was pushed.
    pub upper: f64,
}

impl ForecastAhead {
    fn new(foresight: &Foresight, from: Timestamp, to: Timestamp) -> Self {
        const MOST: u32 = 500;
        let bins = (to.since(from).as_secs() / BIN.as_secs()).max(1);
        let step = BIN * u32::try_from(bins.div_ceil(u64::from(MOST))).unwrap_or(u32::MAX);
        let times = std::iter::successors(Some(from), |at| Some(*at + step)).take_while(|at| *at < to);
        let points = times.take(MOST as usize).filter_map(|at| {
            let Expected { middle, upper } = foresight.expect(at)?;
            Some(ExpectedValue { at: WireTime(at), middle, upper })
        });
        Self {
            rule: foresight.rule.to_string(),
            metric: foresight.forecast.metric.to_string(),
            state: foresight.state,
            points: points.collect(),
        }
    }
}

/// A capacity that a policy leads to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlannedCapacity {
    /// When the capacity is there, until the next entry.
    #[schema(value_type = String, format = DateTime)]
    pub at: WireTime,
    /// How many units are there.
    #[schema(maximum = 1_000_000)]
    pub capacity: u32,
}

impl PlannedCapacity {
    /// The entry for `point` in an outlook that begins at `from`.
    fn new(point: Planned, from: Timestamp) -> Self {
        Self { at: WireTime(point.at.max(from)), capacity: point.capacity.units() }
    }
}

/// A window that opens or closes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = WindowTransition)]
pub struct TransitionView {
    /// When it happens.
    #[schema(value_type = String, format = DateTime)]
    pub at: WireTime,
    /// The same in the time zone of the window, with the offset from UTC.
    pub local: String,
    /// The name of the rule.
    pub rule: String,
    /// Whether the window opens; it closes if not.
    pub opens: bool,
    /// The least capacity while the window is open; `null` if it sets none.
    #[schema(maximum = 1_000_000)]
    pub min: Option<u32>,
    /// The largest capacity while the window is open; `null` if it sets none.
    #[schema(maximum = 1_000_000)]
    pub max: Option<u32>,
}

impl From<&Transition> for TransitionView {
    fn from(transition: &Transition) -> Self {
        Self {
            at: WireTime(transition.at),
            local: transition.local.clone(),
            rule: transition.rule.to_string(),
            opens: transition.opens,
            min: transition.min.map(Capacity::units),
            max: transition.max.map(Capacity::units),
        }
    }
}

/// A claim that counts at some time ahead.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClaimAhead {
    /// The id of the claim.
    pub id: Uuid,
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
}

impl From<&Claim> for ClaimAhead {
    fn from(claim: &Claim) -> Self {
        Self {
            id: claim.id,
            units: claim.units.units(),
            kind: claim.kind,
            from: WireTime(claim.from),
            until: WireTime(claim.until),
        }
    }
}
