//! Webhooks: what other systems send by themselves.

mod alertmanager;

use actix_web::{HttpResponse, post, web};
use futures_util::{StreamExt as _, stream};
use serde::{Deserialize, Serialize};
use strum::{EnumMessage, VariantArray};
use utoipa::ToSchema;
use uuid::Uuid;

use self::alertmanager::{AlertmanagerAlert, AlertmanagerNotification, KnownAlert, Wish};
use super::ApiState;
use super::caller::Caller;
use super::input::JsonBody;
use super::openapi::examples;
use super::problem::{ApiError, Code};
use super::routes::{Route, problems};
use crate::domain::{Action, Scope};
use crate::engine::{PolicyAnswer, PolicyChangeRequest, PolicyRequest};

/// Most alerts of one notification that are heard: more than a key may have claims on ten resources.
const MAX_ALERTS: usize = 200;
/// How many alerts are on their way to the disk at a time. Those of one moment are written together.
const AT_A_TIME: usize = 16;
/// Most of a fingerprint that is repeated, in characters.
const MAX_REPEATED_CHARS: usize = 64;

/// The scopes, the audit action and the problems of each operation.
pub(super) const ROUTES: &[Route] =
    &[Route::post("/v1/hooks/alertmanager").needs(&[Scope::Scale]).records(Action::ReceiveAlerts).problems(problems![
        BodyTimeout BodyTooLarge UnsupportedMediaType ValidationFailed Overloaded OutcomeUnknown StorageUnavailable
    ])];

/// What came of a notification.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AlertResults {
    /// What came of each alert, in the order of the notification.
    pub alerts: Vec<AlertResult>,
    /// How many more alerts there were, which were not looked at.
    pub unheard: usize,
}

/// What came of an alert.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AlertResult {
    /// The fingerprint of the alert.
    pub fingerprint: String,
    /// The resource that the alert is about; `null` if it does not say so.
    pub resource: Option<String>,
    /// What was done.
    pub outcome: AlertOutcome,
    /// The id of the claim that stands for the alert; `null` if there is none.
    pub claim: Option<Uuid>,
    /// Why the alert was skipped, for programs; `null` if it was not, or makes no sense.
    pub code: Option<Code>,
    /// Why the alert was skipped, in a sentence; `null` if it was not.
    pub detail: Option<String>,
}

/// What was done about an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, EnumMessage, VariantArray)]
#[serde(rename_all = "camelCase")]
pub enum AlertOutcome {
    /// It fires, and a claim was made.
    Claimed,
    /// It fires, and the claim that stands for it lasts an hour from now, or almost.
    Renewed,
    /// It is resolved, and the claim that stood for it is ended.
    Ended,
    /// It is resolved, and no claim stood for it.
    Unchanged,
    /// Nothing was done, and will not be done when the same notification comes again.
    Skipped,
}

/// Take in alerts
///
/// The receiver for the webhook of Prometheus Alertmanager. A firing alert with the labels `scalegate_resource` and
/// `scalegate_units` is a claim of at least so many units for an hour, which each further notification renews; a resolved alert
/// ends it. There is one claim for each fingerprint and key. It takes a policy that acts, and the rights and limits are those of
/// claims.
///
/// An alert that makes no sense or is refused is skipped and told in the answer; the others are obeyed. What fails for a time is
/// answered with 503 or 504 when the others are done: Alertmanager sends the notification again, and what was done is not done
/// twice. A notification about an occurrence that was resolved within the last hour is skipped. At most 200 alerts of a
/// notification are heard.
#[utoipa::path(
    operation_id = "receiveAlerts", tag = "policies",
    request_body(content = AlertmanagerNotification, description = "A notification, as Alertmanager sends it.",
        example = json!(examples::example_notification())),
    responses((status = 200, description = "What came of each alert.", body = AlertResults,
        example = json!(examples::example_alert_results())))
)]
#[post("/v1/hooks/alertmanager")]
pub async fn receive_alerts(
    state: web::Data<ApiState>,
    caller: Caller,
    body: JsonBody<AlertmanagerNotification>,
) -> Result<HttpResponse, ApiError> {
    let AlertmanagerNotification { alerts, truncated_alerts } = body.0;
    let (heard, surplus) = alerts.split_at(alerts.len().min(MAX_ALERTS));
    let truncated_alerts = truncated_alerts.unwrap_or(0);
    if truncated_alerts > 0 || !surplus.is_empty() {
        let unheard = surplus.len();
        tracing::warn!(truncated_alerts, unheard, "a notification of Alertmanager has alerts that are not heard");
    }
    let results = stream::iter(heard).map(|alert| obey(&state, &caller, alert)).buffered(AT_A_TIME);
    let results: Vec<Result<AlertResult, ApiError>> = results.collect().await;
    // Only now, so that the failure of one alert does not keep the others from being applied.
    let results = results.into_iter().collect::<Result<Vec<_>, _>>()?;
    for AlertResult { fingerprint, resource, detail, .. } in
        results.iter().filter(|result| result.outcome == AlertOutcome::Skipped)
    {
        tracing::warn!(fingerprint, resource, detail, "an alert was skipped");
    }
    Ok(HttpResponse::Ok().json(AlertResults { alerts: results, unheard: surplus.len() }))
}

/// Does what `alert` asks for.
///
/// # Errors
/// If that may work when it is asked for again.
async fn obey(state: &ApiState, caller: &Caller, alert: &AlertmanagerAlert) -> Result<AlertResult, ApiError> {
    let KnownAlert { resource, alert: occurrence, wish } = match alert.parse() {
        Ok(known) => known,
        Err(why) => return Ok(skipped(alert, None, None, why)),
    };
    let refused = |error: ApiError| {
        let problem = error.document(Uuid::nil());
        skipped(alert, Some(resource.as_str()), Some(problem.code), problem.detail)
    };
    if let Err(error) = caller.may_touch(&resource) {
        return Ok(refused(error));
    }
    let by = caller.key.as_ref().map(|key| key.actor());
    let change = match wish {
        Wish::End => PolicyChangeRequest::ResolveAlert(occurrence),
        wish => match wish.claim(by, state.clock.now()) {
            Some(claim) => PolicyChangeRequest::FireAlert { alert: occurrence, claim },
            None => return Err(ApiError::new(Code::InternalError, "An alert without a claim.")),
        },
    };
    let is_end = matches!(change, PolicyChangeRequest::ResolveAlert(_));
    let asked = PolicyRequest { resource: resource.clone(), change, attempt: Some(caller.attempt()), key: None };
    let (outcome, claim) = match state.engine.change_policy(asked).await.map_err(ApiError::of_change)? {
        PolicyAnswer::Claim(view) => (AlertOutcome::Claimed, Some(view.claim.id)),
        PolicyAnswer::SameClaim(view) => (AlertOutcome::Renewed, Some(view.claim.id)),
        PolicyAnswer::Gone => (AlertOutcome::Ended, None),
        PolicyAnswer::Refused(refusal) => {
            let error = state.with_meant(caller, &resource, refusal.into()).await;
            if !(is_end && error.code() == Code::ClaimNotFound) {
                return Ok(refused(error));
            }
            (AlertOutcome::Unchanged, None)
        }
        _ => return Err(ApiError::new(Code::InternalError, "The engine gave a wrong answer.")),
    };
    let resource = Some(resource.as_str().to_owned());
    Ok(AlertResult { fingerprint: repeated(alert), resource, outcome, claim, code: None, detail: None })
}

fn skipped(alert: &AlertmanagerAlert, resource: Option<&str>, code: Option<Code>, detail: String) -> AlertResult {
    let (outcome, resource) = (AlertOutcome::Skipped, resource.map(str::to_owned));
    AlertResult { fingerprint: repeated(alert), resource, outcome, claim: None, code, detail: Some(detail) }
}

/// As much of the fingerprint as is repeated to a caller.
fn repeated(alert: &AlertmanagerAlert) -> String {
    alert.fingerprint.chars().take(MAX_REPEATED_CHARS).collect()
}
