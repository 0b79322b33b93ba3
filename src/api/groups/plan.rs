//! Plans of groups.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, HttpResponse, post, web};
use futures_util::future::try_join_all;

use super::group_request;
use crate::api::ApiState;
use crate::api::caller::Caller;
use crate::api::input::JsonBody;
use crate::api::openapi::examples;
use crate::api::problem::{ApiError, Code};
use crate::api::submission::GroupSubmission;
use crate::api::view::{GroupPlan, Plan};
use crate::domain::GroupRequest;
use crate::engine::{Answer, OBSERVE_TIMEOUT};

/// Plan a group
///
/// Takes the same body as a group, reads the capacities of its resources, and says which steps its members would take, stage by
/// stage. Nothing is changed or kept. What would be refused as a group is refused as a plan.
#[utoipa::path(
    operation_id = "planGroup", tag = "groups",
    request_body(content = GroupSubmission, description = "What to scale, and how.",
        example = json!({"targets": {"db": 3, "worker": 3}, "stages": [["db"], ["worker"]]})),
    responses(
        (status = 200, description = "The plan for the group.", body = GroupPlan, example = json!(examples::example_group_plan())),
    )
)]
#[post("/v1/groups/plan")]
pub async fn plan_group(
    state: web::Data<ApiState>,
    request: HttpRequest,
    caller: Caller,
    body: JsonBody<GroupSubmission>,
) -> Result<HttpResponse, ApiError> {
    let asked = group_request(&request, &caller, body.0)?;
    let joins = match state.engine.plan_group(asked.clone()).await? {
        Answer::GroupPlanned { joins } => joins,
        Answer::Refused(refusal) => return Err(refusal.into()),
        _ => return Err(ApiError::new(Code::InternalError, "A wrong answer.")),
    };
    if let Some(id) = joins {
        return Ok(HttpResponse::Ok().json(GroupPlan::joining(id, state.groups.get(id).as_deref(), state.clock.now())));
    }
    let GroupRequest { members, .. } = asked;
    let plans = members.into_iter().map(async |(member, stage)| {
        let resource = member.resource.as_str().to_owned();
        let plan = state.engine.plan(member, OBSERVE_TIMEOUT).await?.map_err(ApiError::from)?;
        // A member joins no job, whatever a job alone would do.
        Ok::<_, ApiError>((stage, Plan { joins: None, ..Plan::new(resource, &plan) }))
    });
    let mut stages: BTreeMap<usize, Vec<Plan>> = BTreeMap::new();
    for (stage, plan) in try_join_all(plans).await? {
        stages.entry(stage).or_default().push(plan);
    }
    Ok(HttpResponse::Ok().json(GroupPlan::new(stages, state.clock.now())))
}
