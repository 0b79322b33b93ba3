//! Holds: stops put on the scaling of a resource.

use actix_web::{HttpRequest, HttpResponse, delete, get, put, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{MAX_REASON_BYTES, change, end, resource, text, wrong_answer};
use crate::api::ApiState;
use crate::api::caller::Caller;
use crate::api::input::JsonBody;
use crate::api::openapi::examples;
use crate::api::problem::{ApiError, Code, FieldErrors};
use crate::api::routes::{Route, problems};
use crate::api::view::HoldView;
use crate::domain::policy::{Direction, Hold, HoldKind};
use crate::domain::{Action, Actor, Alias, Capacity, Scope, Timestamp};
use crate::engine::{PolicyAnswer, PolicyChangeRequest};

/// The scopes, the audit action and the problems of each operation.
pub(in crate::api) const ROUTES: &[Route] = &[
    Route::put("/v1/resources/{alias}/hold").needs(&[Scope::Scale]).records(Action::PutHold).problems(problems![
        ResourceForbidden ResourceNotFound BodyTimeout BodyTooLarge UnsupportedMediaType ValidationFailed NoPolicy
        TooManyResources Overloaded OutcomeUnknown
    ]),
    Route::get("/v1/resources/{alias}/hold")
        .needs(&[Scope::Read])
        .problems(problems![ResourceForbidden ResourceNotFound HoldNotFound ValidationFailed Overloaded]),
    Route::delete("/v1/resources/{alias}/hold").needs(&[Scope::Scale]).records(Action::DeleteHold).problems(problems![
        ResourceForbidden ResourceNotFound HoldNotFound ValidationFailed Overloaded OutcomeUnknown
    ]),
];

/// A hold to be put. One of `until` and `forSeconds` is required, and at most one of `direction` and `capacity` can be given.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewHold {
    /// When the hold ends, within 30 days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub until: Option<String>,
    /// How long the hold lasts, in seconds, at most 30 days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 2_592_000)]
    pub for_seconds: Option<f64>,
    /// Changes in this direction are stopped; `both` if neither this nor `capacity` is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// The policy keeps the resource at this capacity, and no other change is made. Needs a policy that acts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 1_000_000)]
    pub capacity: Option<u32>,
    /// A note for people, at most 500 bytes in UTF-8, and no control characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$", example = "database migration")]
    pub reason: Option<String>,
}

impl NewHold {
    /// The hold that `by` asks for.
    ///
    /// # Errors
    /// Everything in it that does not make sense, at once.
    fn parse(self, by: Option<Actor>, now: Timestamp) -> Result<Hold, ApiError> {
        let mut errors = FieldErrors::default();
        let until = end(&mut errors, self.until.as_deref(), self.for_seconds, now, now);
        let kind = match (self.direction, self.capacity) {
            (Some(_), Some(_)) => errors.refuse("/capacity", "must not be given together with direction"),
            (direction, None) => Some(HoldKind::Direction(direction.unwrap_or_default())),
            (None, Some(units)) => errors
                .keep("/capacity", Capacity::new(units.into()).map_err(|_| "must be between 0 and 1000000"))
                .map(HoldKind::Capacity),
        };
        let reason = text(&mut errors, "/reason", self.reason, MAX_REASON_BYTES);
        match (until, kind, errors.is_empty()) {
            (Some(until), Some(kind), true) => Ok(Hold { kind, until, reason, by, created_at: now }),
            _ => Err(ApiError::invalid(errors)),
        }
    }
}

/// Hold a resource
///
/// Stops changes of a resource for a time: in both directions, in one, or all but the way to a `capacity`. New jobs that
/// would go that way get 409 `resource_held`, also from the caller that put the hold; jobs that were accepted before go on.
/// The job of a policy ends as `canceled`. A hold that is there already is replaced. A `capacity` outside the bounds of the policy is
/// allowed, and `note` says so.
#[utoipa::path(
    operation_id = "putHold", tag = "policies",
    params(("alias" = Alias, Path, description = "The alias of the resource.", example = "worker")),
    request_body(content = NewHold, description = "What to stop, and until when.", examples(
        ("both" = (summary = "Stop all changes for four hours", value = json!({"forSeconds": 14400, "reason": "database migration"}))),
        ("pin" = (summary = "Keep the policy at a capacity", value = json!({"forSeconds": 3600, "capacity": 5})))
    )),
    responses(
        (status = 200, description = "The hold that took the place of another one.", body = HoldView, example = json!(examples::example_hold())),
    )
)]
#[put("/v1/resources/{alias}/hold")]
pub async fn put_hold(
    state: web::Data<ApiState>,
    request: HttpRequest,
    caller: Caller,
    path: web::Path<String>,
    body: JsonBody<NewHold>,
) -> Result<HttpResponse, ApiError> {
    let alias = resource(&request, &caller, &path)?;
    let by = caller.key.as_ref().map(|key| key.actor());
    let hold = body.0.parse(by, state.clock.now())?;
    match change(&state, &caller, alias, PolicyChangeRequest::Hold(hold)).await? {
        PolicyAnswer::Hold { hold, note } => Ok(HttpResponse::Ok().json(HoldView::new(&hold, note))),
        _ => Err(wrong_answer()),
    }
}

/// Look at the hold on a resource
///
/// 404 `hold_not_found` if there is none, or if it has ended.
#[utoipa::path(
    operation_id = "getHold", tag = "policies",
    params(("alias" = Alias, Path, description = "The alias of the resource.", example = "worker")),
    responses((status = 200, description = "The hold on the resource.", body = HoldView, example = json!(examples::example_hold())))
)]
#[get("/v1/resources/{alias}/hold")]
pub async fn get_hold(
    state: web::Data<ApiState>,
    request: HttpRequest,
    caller: Caller,
    path: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let alias = resource(&request, &caller, &path)?;
    let standing = state.engine.standing(alias.clone()).await?;
    let Some(hold) = standing.hold else {
        let none = ApiError::new(Code::HoldNotFound, format!("There is no hold on \"{alias}\"."));
        return Err(state.with_meant(&caller, &alias, none).await);
    };
    Ok(HttpResponse::Ok().json(HoldView::new(&hold, standing.pin_note)))
}

/// End the hold on a resource
///
/// 404 `hold_not_found` if there is none, or if it has ended.
#[utoipa::path(
    operation_id = "deleteHold", tag = "policies",
    params(("alias" = Alias, Path, description = "The alias of the resource.", example = "worker")),
    responses((status = 204, description = "The hold is gone."))
)]
#[delete("/v1/resources/{alias}/hold")]
pub async fn delete_hold(
    state: web::Data<ApiState>,
    request: HttpRequest,
    caller: Caller,
    path: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let alias = resource(&request, &caller, &path)?;
    match change(&state, &caller, alias, PolicyChangeRequest::EndHold).await? {
        PolicyAnswer::Gone => Ok(HttpResponse::NoContent().finish()),
        _ => Err(wrong_answer()),
    }
}
