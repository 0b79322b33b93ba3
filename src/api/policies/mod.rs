//! Policies: put, read, deleted, listed, and tried without being put.

mod conditional;
mod document;
mod evaluation;
mod rule;
mod source;
mod wire;

use actix_web::http::header::{ETAG, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, delete, get, post, put, web};

use super::ApiState;
use super::caller::Caller;
use super::demand::{change, resource, wrong_answer};
use super::input::{JsonBody, OptionalJsonBody};
use super::openapi::examples;
use super::problem::{ApiError, Code, FieldErrors};
use super::query::ResourcePaging;
use super::routes::{Route, problems};
use super::view::DecisionView;
use crate::domain::{Action, Alias, Scope};
use crate::engine::{PolicyAnswer, PolicyChangeRequest, PolicyView};
use crate::policy::{Document, Problem};

pub use document::PolicyDocument;
use evaluation::Evaluation;
pub use rule::{RuleDocument, StepDocument};
pub use source::SourceDocument;
use wire::{PolicyEntry, PolicyList, PolicyRevision, PolicyRevisionList};

/// The scopes, the audit action and the problems of each operation.
pub(super) const ROUTES: &[Route] = &[
    Route::get("/v1/policies").needs(&[Scope::Read]).problems(problems![ValidationFailed Overloaded]),
    Route::get("/v1/resources/{alias}/policy")
        .needs(&[Scope::Read])
        .problems(problems![ResourceForbidden ResourceNotFound PolicyNotFound ValidationFailed Overloaded]),
    Route::put("/v1/resources/{alias}/policy").needs(&[Scope::Admin]).records(Action::PutPolicy).problems(problems![
        ResourceForbidden ResourceNotFound BodyTimeout PolicyInFile PreconditionFailed BodyTooLarge
        UnsupportedMediaType ValidationFailed TooManyResources Overloaded OutcomeUnknown
    ]),
    Route::delete("/v1/resources/{alias}/policy").needs(&[Scope::Admin]).records(Action::DeletePolicy).problems(
        problems![
            ResourceForbidden ResourceNotFound PolicyNotFound PolicyInFile PreconditionFailed ValidationFailed
            Overloaded OutcomeUnknown
        ],
    ),
    Route::get("/v1/resources/{alias}/policy/revisions")
        .needs(&[Scope::Read])
        .problems(problems![ResourceForbidden ValidationFailed Overloaded]),
    Route::post("/v1/resources/{alias}/policy/evaluate").needs(&[Scope::Read]).problems(problems![
        ResourceForbidden ResourceNotFound PolicyNotFound MetricNotFound BodyTimeout BodyTooLarge
        UnsupportedMediaType ValidationFailed Overloaded
    ]),
];

/// List policies
///
/// The resources that have a policy, in the order of their aliases.
#[utoipa::path(
    operation_id = "listPolicies", tag = "policies",
    params(ResourcePaging),
    responses((status = 200, description = "A page of policies.", body = PolicyList,
        example = json!({"policies": [examples::example_policy_entry()], "nextPageToken": null})))
)]
#[get("/v1/policies")]
pub async fn list_policies(
    state: web::Data<ApiState>,
    request: HttpRequest,
    caller: Caller,
) -> Result<HttpResponse, ApiError> {
    let ResourcePaging { after, size } = ResourcePaging::parse(request.query_string())?;
    // One more tells whether there is a next page.
    let views = state.engine.policies(caller.reach().clone(), after, size + 1).await?;
    let page = views.get(..size).unwrap_or(&views);
    let last = page.last().filter(|_| page.len() < views.len());
    let next_page_token = last.map(|(resource, _)| resource.as_str().to_owned());
    let policies = page.iter().map(|(resource, view)| PolicyEntry::new(resource, view)).collect();
    Ok(HttpResponse::Ok().json(PolicyList { policies, next_page_token }))
}

/// Read a policy
///
/// The policy with its defaults, the number of its revision, what it does in English sentences, and warnings.
#[utoipa::path(
    operation_id = "getPolicy", tag = "policies",
    params(("alias" = Alias, Path, description = "The alias of the resource.", example = "worker")),
    responses((status = 200, description = "The policy in force.", body = PolicyDocument, headers(
        ("ETag" = String, description = "Identifies this revision of the policy.")),
        example = json!(examples::example_policy())))
)]
#[get("/v1/resources/{alias}/policy")]
pub async fn get_policy(
    state: web::Data<ApiState>,
    request: HttpRequest,
    caller: Caller,
    path: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let alias = resource(&request, &caller, &path)?;
    let standing = state.engine.standing(alias.clone()).await?;
    let Some(view) = standing.policy else {
        return Err(state.with_meant(&caller, &alias, no_policy(&alias)).await);
    };
    Ok(answer(&mut HttpResponse::Ok(), &state, &alias, &view))
}

/// Put a policy
///
/// Replaces the policy of the resource as a whole. What GET gave can be put again: members that only answers have are
/// ignored. Unknown members are errors, and all errors are told at once. With `If-Match` only the revision that it names is
/// replaced; with `If-None-Match: *` none is. Wishes, claims, holds and what unchanged rules remember are kept.
#[utoipa::path(
    operation_id = "putPolicy", tag = "policies",
    params(
        ("alias" = Alias, Path, description = "The alias of the resource.", example = "worker"),
        ("If-Match" = Option<String>, Header, description = "The `ETag` of the revision to replace.", example = "\"7\""),
        ("If-None-Match" = Option<String>, Header, description = "`*`: put it only if there is no policy.", example = "*"),
    ),
    request_body(content = PolicyDocument, description = "The policy to put.", examples(
        ("target" = (summary = "One unit for each 100 jobs in the queue", value = json!({
            "min": 1, "max": 20, "metrics": {"queue": {"source": {"type": "push"}}},
            "rules": [{"name": "queue", "type": "target", "metric": "queue", "perUnit": 100}]}))),
        ("schedule" = (summary = "Ten units in office hours", value = json!({
            "min": 2, "max": 20,
            "rules": [{"name": "office", "type": "schedule", "timeZone": "Europe/Berlin", "days": ["MON", "TUE", "WED", "THU", "FRI"],
                       "from": "09:00", "to": "17:00", "min": 10}]})))
    )),
    responses(
        (status = 200, description = "The policy, which took the place of another one or is the same.", body = PolicyDocument,
            headers(("ETag" = String, description = "Identifies this revision of the policy.")),
            example = json!(examples::example_policy())),
        (status = 201, description = "The policy, which is the first one.", body = PolicyDocument,
            headers(("ETag" = String, description = "Identifies this revision of the policy.")),
            example = json!(examples::example_policy())),
    )
)]
#[put("/v1/resources/{alias}/policy")]
pub async fn put_policy(
    state: web::Data<ApiState>,
    request: HttpRequest,
    caller: Caller,
    path: web::Path<String>,
    body: JsonBody<Document>,
) -> Result<HttpResponse, ApiError> {
    let alias = resource(&request, &caller, &path)?;
    let precondition = conditional::precondition(request.headers())?;
    let policy = Box::new(body.0.policy().map_err(|problems| invalid(problems, ""))?);
    let asked = PolicyChangeRequest::Put { policy, precondition };
    match change(&state, &caller, alias.clone(), asked).await? {
        PolicyAnswer::Put { view, is_new } => {
            let mut response = if is_new { HttpResponse::Created() } else { HttpResponse::Ok() };
            Ok(answer(&mut response, &state, &alias, &view))
        }
        _ => Err(wrong_answer()),
    }
}

/// Delete a policy
///
/// Ends the policy with its claims; its unfinished job is canceled. A hold stays. With `If-Match` only the revision that it
/// names is deleted.
#[utoipa::path(
    operation_id = "deletePolicy", tag = "policies",
    params(
        ("alias" = Alias, Path, description = "The alias of the resource.", example = "worker"),
        ("If-Match" = Option<String>, Header, description = "The `ETag` of the revision to delete.", example = "\"7\""),
    ),
    responses((status = 204, description = "The policy is gone."))
)]
#[delete("/v1/resources/{alias}/policy")]
pub async fn delete_policy(
    state: web::Data<ApiState>,
    request: HttpRequest,
    caller: Caller,
    path: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let alias = resource(&request, &caller, &path)?;
    let precondition = conditional::precondition(request.headers())?;
    match change(&state, &caller, alias, PolicyChangeRequest::Delete { precondition }).await? {
        PolicyAnswer::Gone => Ok(HttpResponse::NoContent().finish()),
        _ => Err(wrong_answer()),
    }
}

/// List the revisions of a policy
///
/// The last 50, newest first, with who made them and when.
#[utoipa::path(
    operation_id = "listPolicyRevisions", tag = "policies",
    params(("alias" = Alias, Path, description = "The alias of the resource.", example = "worker")),
    responses((status = 200, description = "The revisions that are kept.", body = PolicyRevisionList,
        example = json!(examples::example_policy_revisions())))
)]
#[get("/v1/resources/{alias}/policy/revisions")]
pub async fn list_policy_revisions(
    state: web::Data<ApiState>,
    request: HttpRequest,
    caller: Caller,
    path: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let alias = resource(&request, &caller, &path)?;
    let revisions = state.read(&caller, "revisions", async move |reader| reader.policy_revisions(&alias).await).await?;
    let revisions = revisions.iter().map(PolicyRevision::of).collect::<serde_json::Result<_>>().map_err(|error| {
        tracing::error!(error = &error as &dyn std::error::Error, "a stored revision of a policy cannot be read");
        ApiError::new(Code::InternalError, "A stored revision of the policy cannot be read.")
    })?;
    Ok(HttpResponse::Ok().json(PolicyRevisionList { revisions }))
}

/// Try a policy
///
/// The decision that the policy in the body, or else the one in force, would take now. Values of metrics can be given in
/// place of those that are held, and a capacity in place of the last reading: without either, nothing is decided. What would be
/// refused if it was put is refused. An empty body stands for the policy in force. Nothing is fetched, recorded or changed.
#[utoipa::path(
    operation_id = "evaluatePolicy", tag = "policies",
    params(("alias" = Alias, Path, description = "The alias of the resource.", example = "worker")),
    request_body(content = Evaluation, description = "What to try.",
        example = json!({"metrics": {"queue": 812}, "capacity": 3, "status": "ACTIVE"})),
    responses((status = 200, description = "The decision it would take.", body = DecisionView, example = json!(examples::example_decision())))
)]
#[post("/v1/resources/{alias}/policy/evaluate")]
pub async fn evaluate_policy(
    state: web::Data<ApiState>,
    request: HttpRequest,
    caller: Caller,
    path: web::Path<String>,
    body: OptionalJsonBody<Evaluation>,
) -> Result<HttpResponse, ApiError> {
    let alias = resource(&request, &caller, &path)?;
    match state.engine.evaluate(alias.clone(), Box::new(body.0.parse()?)).await? {
        Ok(decision) => Ok(HttpResponse::Ok().json(DecisionView::from(&decision))),
        Err(refusal) => Err(state.with_meant(&caller, &alias, ApiError::of_refusal(refusal, "/policy")).await),
    }
}

fn no_policy(alias: &Alias) -> ApiError {
    ApiError::new(Code::PolicyNotFound, format!("There is no policy for \"{alias}\"."))
}

/// What is wrong with a policy that stands at `pointer` in a body.
pub(super) fn invalid(problems: Vec<Problem>, pointer: &str) -> ApiError {
    let mut errors = FieldErrors::default();
    problems.into_iter().for_each(|problem| errors.add(format!("{pointer}{}", problem.pointer), problem.detail));
    ApiError::invalid(errors)
}

fn answer(response: &mut HttpResponseBuilder, state: &ApiState, alias: &Alias, view: &PolicyView) -> HttpResponse {
    let document = wire::document(alias, view, state.clock.now());
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{}\"", view.revision)) {
        response.insert_header((ETAG, tag));
    }
    response.json(document)
}
