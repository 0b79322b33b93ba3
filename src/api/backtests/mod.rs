//! Backtests: what a policy would have done with the metrics of a resource that were recorded.
//!
//! A backtest takes a core for seconds and some 50 MiB, so that the gateway does one at a time, on a thread of its own: the
//! engine and the threads that serve requests go on. It ends when its answer is no longer waited for. It must never fetch,
//! record or change anything.
//!
//! Rejected: to queue callers, because each would hold a connection for as long as all before it take; and the threads on which
//! the store is read, because a backtest would take one from the readers.

mod history;
mod request;
mod running;

use std::future::pending;
use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, post, web};

use super::ApiState;
use super::caller::{Caller, note_subject};
use super::connections::Connection;
use super::input::JsonBody;
use super::openapi::examples;
use super::problem::{ApiError, Code};
use super::routes::{Route, problems};
use super::view::BacktestReport;
use crate::backtest::{DemandSpec, NoTrial, PlantSpec, Terms, Trial};
use crate::domain::{Scope, Subject, Timestamp};
use crate::engine::TrialBasis;
use crate::policy::warnings;

use request::Asked;
pub use request::NewBacktest;
use running::Place;

/// Longest backtest. Proxies and load balancers like to cut what takes longer, and 35 days of minutes take some seconds.
const MOST_TIME: Duration = Duration::from_secs(60);

/// The scopes, the audit action and the problems of each operation.
pub(super) const ROUTES: &[Route] = &[Route::post("/v1/backtests").needs(&[Scope::Scale]).problems(problems![
    ResourceForbidden ResourceNotFound PolicyNotFound BodyTimeout BodyTooLarge UnsupportedMediaType ValidationFailed
    BacktestRunning Overloaded
])];

/// Run a backtest
///
/// What the policy in the body, or else the one in force, would have done with the recorded metrics of the resource, beside the
/// best plan and capacities that never change. The policy decides in virtual time by the function that decides live, about a
/// modelled resource. Values count by the minute, as they are kept for 35 days: each is the mean of its minute. Claims, holds and
/// other resources are left out. Nothing is fetched, recorded or changed.
///
/// The gateway does one backtest at a time; meanwhile others get 429 `backtest_running`. One that takes more than a minute is
/// refused with 422, and one whose caller closes the connection, or its side of it, ends. The answer has at most 10,000 changes of
/// each run: some 3 MB if there are as many.
#[utoipa::path(
    operation_id = "runBacktest", tag = "policies",
    request_body(content = NewBacktest, description = "What to try, and over which time.",
        example = json!({"resource": "worker", "from": "2026-01-24T00:00:00.000Z", "to": "2026-01-31T00:00:00.000Z"})),
    responses((status = 200, description = "What would have come of it.", body = BacktestReport,
        example = json!(examples::example_backtest())))
)]
#[post("/v1/backtests")]
pub async fn run_backtest(
    state: web::Data<ApiState>,
    request: HttpRequest,
    caller: Caller,
    body: JsonBody<NewBacktest>,
) -> Result<HttpResponse, ApiError> {
    let now = state.clock.now();
    let asked = body.0.parse(now)?;
    note_subject(&request, Subject { resource: Some(asked.resource.clone()), ..Subject::default() });
    caller.may_touch(&asked.resource)?;
    let basis = state.engine.trial_basis(asked.resource.clone(), asked.policy.clone()).await?;
    let basis = basis.map_err(|refusal| ApiError::of_refusal(refusal, "/policy"))?;
    let place = Place::take(&state.backtests)?;
    let mut stopping = state.stopping.clone();
    let report = tokio::select! {
        report = play(&state, &caller, place, asked, basis, now) => report?,
        () = hung_up(&request) => {
            let detail = "The caller closed its side of the connection, which ends a backtest.";
            return Err(ApiError::new(Code::Overloaded, detail));
        }
        _ = stopping.wait_for(|stopping| *stopping) => {
            return Err(ApiError::new(Code::Overloaded, "The gateway is stopping."));
        }
        () = tokio::time::sleep(MOST_TIME) => {
            let detail = format!("leaves more to play than can be done in {} s", MOST_TIME.as_secs());
            return Err(ApiError::invalid_field("/from", detail));
        }
    };
    state.guard.still_admits(&caller).await?;
    Ok(HttpResponse::Ok().json(report))
}

/// Ends when the caller is no longer there.
async fn hung_up(request: &HttpRequest) {
    match request.conn_data::<Connection>() {
        Some(connection) => connection.hung_up().await,
        None => pending().await,
    }
}

/// Reads what was recorded, and plays it.
async fn play(
    state: &ApiState,
    caller: &Caller,
    place: Place,
    asked: Asked,
    basis: TrialBasis,
    now: Timestamp,
) -> Result<BacktestReport, ApiError> {
    let TrialBasis { policy, rules, settings, step_durations, capacity } = basis;
    let is_demand_given = asked.demand.is_some();
    let demand = asked.demand.or_else(|| DemandSpec::by_rules(&policy)).ok_or_else(|| {
        ApiError::invalid_field("/demand", "is required: no rule of the policy is of the type target, band or forecast")
    })?;
    let mut names: Vec<_> = policy.metrics.keys().collect();
    if !policy.metrics.contains_key(&demand.metric) {
        names.push(&demand.metric);
    }
    let begin = asked.learn_from.unwrap_or(history::begin(now));
    let recordings = history::recordings(state, caller, &asked.resource, &names, begin, asked.to).await?;
    let plant = PlantSpec::expected(&settings, &step_durations, policy.expected_change);
    let terms = Terms {
        resource: asked.resource,
        demand,
        plant: plant.with(&asked.plant),
        capacity: asked.capacity.or(capacity),
        learn_from: asked.learn_from,
        from: asked.from,
        to: Some(asked.to),
        allowance: place.allowance(),
    };
    let trial = Trial::new(history::as_recorded(&policy, rules.bounds), Vec::new(), recordings, terms);
    let trial = trial.map_err(|why| refused(&why, is_demand_given))?;
    place.run(trial, warnings(&policy, &rules, now)).await
}

/// Why there is nothing to play.
fn refused(why: &NoTrial, is_demand_given: bool) -> ApiError {
    match why {
        NoTrial::NoRecording(metric) if is_demand_given => {
            ApiError::invalid_field("/demand/metric", format!("names {metric}, of which no values are kept"))
        }
        NoTrial::NoRecording(metric) => ApiError::invalid_field(
            "/from",
            format!("must be a time of which values are kept: there are none of {metric}"),
        ),
        NoTrial::NoTime(span) => {
            ApiError::invalid_field("/to", format!("must be after the beginning, which is {}", span.from))
        }
        NoTrial::NothingKnown { metric, span } => ApiError::invalid_field(
            "/from",
            format!(
                "must be a time of which values are kept: none of {metric} counts from {} to {}",
                span.from, span.to
            ),
        ),
    }
}
