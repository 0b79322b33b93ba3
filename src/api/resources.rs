//! Resources: their readings, bounds, settings and jobs.

use std::collections::HashMap;

use actix_web::{HttpRequest, HttpResponse, get, web};

use super::caller::Caller;
use super::openapi::examples;
use super::problem::{ApiError, Code};
use super::query::ResourcePaging;
use super::routes::{Route, problems};
use super::traced::trace_of;
use super::view::{Resource, ResourceList};
use super::{ApiState, input};
use crate::domain::{Alias, Scope};
use crate::engine::{OBSERVE_TIMEOUT, ResourceStatus, StandingView};
use crate::store::LastOutcome;

/// The scopes, the audit action and the problems of each operation.
pub(super) const ROUTES: &[Route] = &[
    Route::get("/v1/resources")
        .needs(&[Scope::Read])
        .problems(problems![ValidationFailed Overloaded StorageUnavailable]),
    Route::get("/v1/resources/{alias}").needs(&[Scope::Read]).problems(problems![
        ResourceForbidden ResourceNotFound ValidationFailed SidecarUnreachable Overloaded StorageUnavailable
    ]),
];

/// List resources
///
/// The resources that are listed in the configuration or were scaled lately, with their last readings, in the order of
/// their aliases. The sidecar is not asked. What explains the last decision of a policy, and the claims, are only in the
/// answer about a single resource.
#[utoipa::path(
    operation_id = "listResources", tag = "resources",
    params(ResourcePaging),
    responses(
        (status = 200, description = "The resources that the key may see.", body = ResourceList,
            example = json!({"resources": [examples::example_listed_resource()], "nextPageToken": null})),
    )
)]
#[get("/v1/resources")]
pub async fn list_resources(
    state: web::Data<ApiState>,
    request: HttpRequest,
    caller: Caller,
) -> Result<HttpResponse, ApiError> {
    let ResourcePaging { after, size } = ResourcePaging::parse(request.query_string())?;
    let now = state.clock.now();
    // One more tells whether there is a next page.
    let views = state.engine.resources(caller.reach().clone(), after, size + 1).await?;
    let page = views.get(..size).unwrap_or(&views);
    let last = page.last().filter(|_| page.len() < views.len());
    let next_page_token = last.map(|view| view.resource.as_str().to_owned());
    let outcomes = last_outcomes(&state, &caller, page.iter().map(|view| view.resource.clone()).collect()).await?;
    let resources = page.iter().map(|view| Resource::in_list(view, outcomes.get(&view.resource), now)).collect();
    Ok(HttpResponse::Ok().json(ResourceList { resources, next_page_token }))
}

/// Look at a resource
///
/// Reads the resource's capacity and shows it with everything the gateway knows: bounds, settings, cooldown, jobs, and what
/// decides its target: policy, hold, claims. If the
/// sidecar gives no reading, the last one is shown and `readFailure` says why. Requests that come while a reading of the
/// resource is on its way share it. If readings of too many other resources are, the answer is 503 `overloaded`, at once.
#[utoipa::path(
    operation_id = "getResource", tag = "resources",
    params(("alias" = Alias, Path, description = "The alias of the resource.", example = "worker")),
    responses(
        (status = 200, description = "The resource as it is.", body = Resource, example = json!(examples::example_resource())),
    )
)]
#[get("/v1/resources/{alias}")]
pub async fn get_resource(
    state: web::Data<ApiState>,
    request: HttpRequest,
    caller: Caller,
    path: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let alias = input::alias(&path)?;
    caller.may_touch(&alias)?;
    let Some(ResourceStatus { view, failure }) =
        state.engine.observe(alias.clone(), trace_of(&request), OBSERVE_TIMEOUT).await?
    else {
        let detail = format!("\"{alias}\" is not among the resources this gateway is configured for.");
        return Err(state.with_meant(&caller, &alias, ApiError::new(Code::ResourceNotFound, detail)).await);
    };
    let is_idle = view.active.is_none() && view.standing == StandingView::default();
    let unknown = !view.listed && view.observation.is_none() && is_idle;
    match failure {
        Some(failure) if unknown => Err(state.with_meant(&caller, &alias, ApiError::no_reading(failure)).await),
        failure => {
            let outcomes = last_outcomes(&state, &caller, vec![view.resource.clone()]).await?;
            let outcome = outcomes.get(&view.resource);
            Ok(HttpResponse::Ok().json(Resource::new(&view, failure.as_ref(), outcome, state.clock.now())))
        }
    }
}

async fn last_outcomes(
    state: &ApiState,
    caller: &Caller,
    resources: Vec<Alias>,
) -> Result<HashMap<Alias, LastOutcome>, ApiError> {
    state.read(caller, "last outcomes", async move |reader| reader.last_outcomes(resources).await).await
}
