//! Claims: demands of callers that end by themselves.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, delete, get, post, web};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout_at};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{MAX_REASON_BYTES, change, end, make, resource, text, time, wrong_answer};
use crate::api::ApiState;
use crate::api::caller::Caller;
use crate::api::input::{self, JsonBody, preferred_wait};
use crate::api::openapi::examples;
use crate::api::problem::{ApiError, Code, FieldErrors};
use crate::api::routes::{Route, problems};
use crate::api::view::ClaimView;
use crate::domain::policy::{Claim, ClaimId, ClaimKind};
use crate::domain::{Action, Actor, Alias, Capacity, Scope, Timestamp};
use crate::engine::{self, PolicyAnswer, PolicyChangeRequest, PolicyRequest};

/// Longest name of an owner, in bytes.
const MAX_OWNER_BYTES: usize = 100;

/// The scopes, the audit action and the problems of each operation.
pub(in crate::api) const ROUTES: &[Route] = &[
    Route::post("/v1/resources/{alias}/claims").needs(&[Scope::Scale]).records(Action::CreateClaim).problems(
        problems![
            ResourceForbidden ResourceNotFound ClaimNotFound BodyTimeout NoPolicy BodyTooLarge UnsupportedMediaType
            ValidationFailed IdempotencyKeyReused TooManyIdempotencyKeys TooManyClaims Overloaded OutcomeUnknown
        ],
    ),
    Route::get("/v1/resources/{alias}/claims")
        .needs(&[Scope::Read])
        .problems(problems![ResourceForbidden ResourceNotFound ValidationFailed Overloaded]),
    Route::get("/v1/resources/{alias}/claims/{id}")
        .needs(&[Scope::Read])
        .problems(problems![ResourceForbidden ResourceNotFound ClaimNotFound ValidationFailed Overloaded]),
    Route::post("/v1/resources/{alias}/claims/{id}/renew").needs(&[Scope::Scale]).records(Action::RenewClaim).problems(
        problems![
            ResourceForbidden ClaimForbidden ResourceNotFound ClaimNotFound BodyTimeout BodyTooLarge
            UnsupportedMediaType ValidationFailed Overloaded OutcomeUnknown
        ],
    ),
    Route::delete("/v1/resources/{alias}/claims/{id}").needs(&[Scope::Scale]).records(Action::DeleteClaim).problems(
        problems![
            ResourceForbidden ClaimForbidden ResourceNotFound ClaimNotFound ValidationFailed Overloaded OutcomeUnknown
        ],
    ),
];

/// A demand of a caller. `units` and one of `until` and `forSeconds` are required.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewClaim {
    /// How many units: at most the largest capacity of the policy.
    #[serde(default)]
    #[schema(required = true, minimum = 1, maximum = 1_000_000)]
    pub units: u32,
    /// What the units mean; `atLeast` if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<ClaimKind>,
    /// When the claim begins to count; at once if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub from: Option<String>,
    /// When the claim ends, within 30 days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub until: Option<String>,
    /// How long the claim counts, in seconds, at most 30 days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 2_592_000)]
    pub for_seconds: Option<f64>,
    /// Whom the claim is for, at most 100 bytes in UTF-8, and no control characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 100, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$", example = "nightly import")]
    pub owner: Option<String>,
    /// A note for people, at most 500 bytes in UTF-8, and no control characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$", example = "4 million rows")]
    pub reason: Option<String>,
}

impl NewClaim {
    /// The claim that `by` asks for.
    ///
    /// # Errors
    /// Everything in it that does not make sense, at once.
    fn parse(self, by: Option<Actor>, now: Timestamp) -> Result<Claim, ApiError> {
        let mut errors = FieldErrors::default();
        let units = match Capacity::new(self.units.into()) {
            Ok(units) if units > Capacity::ZERO => Some(units),
            _ => errors.refuse("/units", "must be between 1 and 1000000"),
        };
        let from = self.from.as_deref().and_then(|from| time(&mut errors, "/from", from));
        let from = from.unwrap_or(now).max(now);
        let until = end(&mut errors, self.until.as_deref(), self.for_seconds, from, now);
        let owner = text(&mut errors, "/owner", self.owner, MAX_OWNER_BYTES);
        let reason = text(&mut errors, "/reason", self.reason, MAX_REASON_BYTES);
        match (units, until, errors.is_empty()) {
            (Some(units), Some(until), true) => {
                let (id, kind) = (Uuid::now_v7(), self.kind.unwrap_or_default());
                Ok(Claim { id, units, kind, from, until, owner, reason, by, created_at: now, alert: None })
            }
            _ => Err(ApiError::invalid(errors)),
        }
    }
}

/// Another end of a claim. One of the two is required.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClaimRenewal {
    /// When the claim ends, within 30 days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub until: Option<String>,
    /// How long the claim counts from now on, in seconds, at most 30 days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 2_592_000)]
    pub for_seconds: Option<f64>,
}

/// The claims on a resource.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ClaimList {
    /// The claims that count or will, oldest first.
    pub claims: Vec<ClaimView>,
}

/// Claim units of a resource
///
/// A demand that ends by itself: the policy of the resource keeps at least so many units, or so many more than it would.
/// Needs a policy that acts. With `Prefer: wait=60` the answer is held back until the claim is satisfied or 60 seconds have
/// passed: the way to wake a resource from 0 and wait for it. A resource takes 100 claims, 20 of them from one key.
///
/// With an `Idempotency-Key`, the same request sent again gets the same claim and makes none, or 404 `claim_not_found` once
/// that has ended; keys are kept for at least 24 hours, and are those of submissions. Refused requests are not kept.
#[utoipa::path(
    operation_id = "createClaim", tag = "policies",
    params(
        ("alias" = Alias, Path, description = "The alias of the resource.", example = "worker"),
        ("Idempotency-Key" = Option<String>, Header, example = "3f6c1b52-import",
            pattern = r#"^([!-~]|[!#-~][ -~]{0,253}[!-~]|"[ -~]{0,253}[!#-~]|"[ -~]{1,255}")$"#,
            description = "At most 255 bytes, bare or in double quotes. Makes it safe to send the request again."),
        ("Prefer" = Option<String>, Header, description = "`wait=` and a whole number of seconds: how long the answer may be held back until the claim is satisfied. More than 60 count as 60. Left out, the answer comes at once.", example = "wait=30"),
    ),
    request_body(content = NewClaim, description = "How many units, and until when.",
        example = json!({"units": 8, "forSeconds": 7200, "owner": "nightly import"})),
    responses(
        (status = 201, description = "The claim as it is now.", body = ClaimView, headers(
            ("Location" = String, description = "The address of the claim."),
            ("Idempotency-Replayed" = bool, description = "`true` if this claim was made before by the same request."),
            ("Preference-Applied" = String, description = "The wait that was granted.")),
            example = json!(examples::example_claim())),
    )
)]
#[post("/v1/resources/{alias}/claims")]
pub async fn create_claim(
    state: web::Data<ApiState>,
    request: HttpRequest,
    caller: Caller,
    path: web::Path<String>,
    body: JsonBody<NewClaim>,
) -> Result<HttpResponse, ApiError> {
    let alias = resource(&request, &caller, &path)?;
    let by = caller.key.as_ref().map(|key| key.actor());
    // A submission of a job with the same key is another request, and so is a claim on another resource.
    let what = ("claim", alias.as_str(), &body.0);
    let key = input::idempotency_key(request.headers(), caller.key_id(), &what)?;
    let change = PolicyChangeRequest::Claim(body.0.parse(by, state.clock.now())?);
    let asked = PolicyRequest { resource: alias.clone(), change, attempt: Some(caller.attempt()), key };
    let (mut view, replayed) = match make(&state, &caller, asked).await? {
        PolicyAnswer::Claim(view) => (view, false),
        PolicyAnswer::SameClaim(view) => (view, true),
        _ => return Err(wrong_answer()),
    };
    let mut response = HttpResponse::Created();
    response.insert_header(("Location", format!("/v1/resources/{alias}/claims/{}", view.claim.id)));
    if replayed {
        response.insert_header(("Idempotency-Replayed", "true"));
    }
    if let Some(wait) = preferred_wait(request.headers())
        && let Ok(_permit) = state.long_polls.try_acquire()
        && let Some(_own_permit) = state.guard.hold_back(&caller)
    {
        response.insert_header(("Preference-Applied", format!("wait={}", wait.as_secs())));
        view = until_satisfied(&state, &alias, view, wait).await?;
        state.guard.still_admits(&caller).await?;
    }
    Ok(response.json(ClaimView::new(&alias, &view)))
}

/// The claim as it is when it is satisfied, or after `wait`, or at its end.
async fn until_satisfied(
    state: &ApiState,
    resource: &Alias,
    mut view: engine::ClaimView,
    wait: Duration,
) -> Result<engine::ClaimView, ApiError> {
    let deadline = Instant::now() + wait;
    let mut stopping = state.stopping.clone();
    let mut listener = state.feed.listen();
    while !view.is_satisfied {
        let standing = state.engine.standing(resource.clone()).await?;
        match standing.claims.into_iter().find(|claim| claim.claim.id == view.claim.id) {
            Some(claim) => view = claim,
            None => break,
        }
        if view.is_satisfied {
            break;
        }
        tokio::select! {
            heard = timeout_at(deadline, listener.hear_of(resource)) => if heard.is_err() { break },
            _ = stopping.wait_for(|stopping| *stopping) => break,
        }
    }
    Ok(view)
}

/// List the claims on a resource
///
/// Those that count, and those that will.
#[utoipa::path(
    operation_id = "listClaims", tag = "policies",
    params(("alias" = Alias, Path, description = "The alias of the resource.", example = "worker")),
    responses((status = 200, description = "The claims, oldest first.", body = ClaimList,
        example = json!({"claims": [examples::example_claim()]})))
)]
#[get("/v1/resources/{alias}/claims")]
pub async fn list_claims(
    state: web::Data<ApiState>,
    request: HttpRequest,
    caller: Caller,
    path: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let alias = resource(&request, &caller, &path)?;
    let claims = state.engine.standing(alias.clone()).await?.claims;
    let claims = claims.iter().map(|view| ClaimView::new(&alias, view)).collect();
    Ok(HttpResponse::Ok().json(ClaimList { claims }))
}

/// Look at a claim
///
/// 404 `claim_not_found` if there is none, or if it has ended.
#[utoipa::path(
    operation_id = "getClaim", tag = "policies",
    params(
        ("alias" = Alias, Path, description = "The alias of the resource.", example = "worker"),
        ("id" = Uuid, Path, description = "The id of the claim.", example = "0198c3f2-7a00-7000-8000-000000000009"),
    ),
    responses((status = 200, description = "The claim as it is now.", body = ClaimView, example = json!(examples::example_claim())))
)]
#[get("/v1/resources/{alias}/claims/{id}")]
pub async fn get_claim(
    state: web::Data<ApiState>,
    request: HttpRequest,
    caller: Caller,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    let (alias, id) = claim_in(&request, &caller, &path)?;
    let claims = state.engine.standing(alias.clone()).await?.claims;
    let found = claims.iter().find(|view| view.claim.id == id).ok_or_else(|| no_such_claim(&path.1))?;
    Ok(HttpResponse::Ok().json(ClaimView::new(&alias, found)))
}

/// Renew a claim
///
/// Gives the claim another end. Only the key that made a claim, or an admin, can renew it.
#[utoipa::path(
    operation_id = "renewClaim", tag = "policies",
    params(
        ("alias" = Alias, Path, description = "The alias of the resource.", example = "worker"),
        ("id" = Uuid, Path, description = "The id of the claim.", example = "0198c3f2-7a00-7000-8000-000000000009"),
    ),
    request_body(content = ClaimRenewal, description = "Until when it counts.", example = json!({"forSeconds": 3600})),
    responses((status = 200, description = "The claim as it is now.", body = ClaimView, example = json!(examples::example_claim())))
)]
#[post("/v1/resources/{alias}/claims/{id}/renew")]
pub async fn renew_claim(
    state: web::Data<ApiState>,
    request: HttpRequest,
    caller: Caller,
    path: web::Path<(String, String)>,
    body: JsonBody<ClaimRenewal>,
) -> Result<HttpResponse, ApiError> {
    let (alias, id) = claim_in(&request, &caller, &path)?;
    let mut errors = FieldErrors::default();
    let now = state.clock.now();
    let until = end(&mut errors, body.0.until.as_deref(), body.0.for_seconds, now, now);
    let Some(until) = until else { return Err(ApiError::invalid(errors)) };
    let renewal = PolicyChangeRequest::RenewClaim { id, until, is_admin: is_admin(&caller) };
    match change(&state, &caller, alias.clone(), renewal).await? {
        PolicyAnswer::Claim(view) => Ok(HttpResponse::Ok().json(ClaimView::new(&alias, &view))),
        _ => Err(wrong_answer()),
    }
}

/// End a claim
///
/// Only the key that made a claim, or an admin, can end it.
#[utoipa::path(
    operation_id = "deleteClaim", tag = "policies",
    params(
        ("alias" = Alias, Path, description = "The alias of the resource.", example = "worker"),
        ("id" = Uuid, Path, description = "The id of the claim.", example = "0198c3f2-7a00-7000-8000-000000000009"),
    ),
    responses((status = 204, description = "The claim is gone."))
)]
#[delete("/v1/resources/{alias}/claims/{id}")]
pub async fn delete_claim(
    state: web::Data<ApiState>,
    request: HttpRequest,
    caller: Caller,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    let (alias, id) = claim_in(&request, &caller, &path)?;
    match change(&state, &caller, alias, PolicyChangeRequest::EndClaim { id, is_admin: is_admin(&caller) }).await? {
        PolicyAnswer::Gone => Ok(HttpResponse::NoContent().finish()),
        _ => Err(wrong_answer()),
    }
}

/// The resource and the claim in the path.
fn claim_in(request: &HttpRequest, caller: &Caller, path: &(String, String)) -> Result<(Alias, ClaimId), ApiError> {
    let (alias, id) = path;
    let alias = resource(request, caller, alias)?;
    let id = ClaimId::parse_str(id).map_err(|_| no_such_claim(id))?;
    Ok((alias, id))
}

fn no_such_claim(id: &str) -> ApiError {
    let id: String = id.chars().take(64).collect();
    ApiError::new(Code::ClaimNotFound, format!("There is no claim {id}. A claim is gone when it has ended."))
}

/// Whether the caller may change what others claimed: without keys, every caller may do everything.
fn is_admin(caller: &Caller) -> bool {
    caller.key.as_ref().is_none_or(|key| key.scope == Scope::Admin)
}
