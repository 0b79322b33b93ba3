//! Groups: submit, poll, list, cancel, follow; and plans, which are groups that stay on paper.

mod events;
mod plan;

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::{ETag, EntityTag, IfNoneMatch};
use actix_web::web;
use actix_web::{HttpRequest, HttpResponse, get, post};
use tokio::time::timeout;

pub use events::*;
pub use plan::*;

use super::caller::{Caller, note_subject};
use super::input::{self, JsonBody};
use super::openapi::examples;
use super::problem::{ApiError, Code};
use super::query::{GroupQuery, Paging};
use super::routes::{Route, problems};
use super::submission::GroupSubmission;
use super::traced::trace_of;
use super::view::{GroupList, GroupView, group_path};
use super::{ApiState, list};
use crate::domain::{Action, Alias, GroupId, GroupRequest, GroupState, GroupStatus, JobRequest, Scope, Subject};
use crate::engine::Answer;
use crate::store::GroupFilter;

/// When to poll again, in seconds.
const RETRY_AFTER: &str = "5";

/// The scopes, the audit action and the problems of each operation.
pub(super) const ROUTES: &[Route] = &[
    Route::post("/v1/groups").needs(&[Scope::Scale]).records(Action::SubmitGroup).problems(problems![
        ResourceForbidden GroupNotFound ResourceNotFound BodyTimeout ResourceBusy ResourceHeld BodyTooLarge
        UnsupportedMediaType ValidationFailed OutOfBounds IdempotencyKeyReused TooManyJobsOfKey
        TooManyIdempotencyKeys TooMuchText TooManyResources QueueFull TooManyJobs Overloaded OutcomeUnknown
    ]),
    Route::get("/v1/groups").needs(&[Scope::Read]).problems(problems![ResourceForbidden ValidationFailed Overloaded]),
    Route::post("/v1/groups/plan").needs(&[Scope::Read]).problems(problems![
        ResourceForbidden ResourceNotFound BodyTimeout ResourceBusy ResourceHeld BodyTooLarge UnsupportedMediaType
        ValidationFailed OutOfBounds TooManyJobsOfKey TooMuchText TooManyResources QueueFull SidecarUnreachable
        TooManyJobs Overloaded
    ]),
    Route::get("/v1/groups/{id}").needs(&[Scope::Read]).problems(problems![GroupNotFound Overloaded]),
    Route::post("/v1/groups/{id}/cancel")
        .needs(&[Scope::Scale])
        .records(Action::CancelGroup)
        .problems(problems![GroupNotFound GroupFinished Overloaded OutcomeUnknown]),
    Route::get("/v1/groups/{id}/events").needs(&[Scope::Read]).problems(problems![
        GroupNotFound TooManyStreamsOfCaller TooManyStreams Overloaded
    ]),
];

/// Submit a group
///
/// Accepts a request to scale several resources as one piece of work and returns at once; the answer comes when the group and
/// all of its jobs are on the disk. All members are accepted or none is: a 409 has every job in the way in `jobs`.
///
/// Each member is a job from the start, and waits for its stage: it is not started before every member of the stage before has
/// reached its target, and neither are the jobs behind it. It joins no job, and no job joins it. An unfinished group with the same targets,
/// stages and `onFailure` is the answer (200).
///
/// With an `Idempotency-Key`, the same request sent again gets the same answer and does nothing; keys are kept for at
/// least 24 hours. Refused requests are not kept. A key needs all of the resources.
#[utoipa::path(
    operation_id = "submitGroup", tag = "groups",
    params(("Idempotency-Key" = Option<String>, Header, example = "3f6c1b52-release-7",
        pattern = r#"^([!-~]|[!#-~][ -~]{0,253}[!-~]|"[ -~]{0,253}[!#-~]|"[ -~]{1,255}")$"#,
        description = "At most 255 bytes, bare or in double quotes. Makes it safe to send the request again.")),
    request_body(content = GroupSubmission, description = "What to scale, and how.", examples(
        ("targets" = (summary = "Two resources at once", value = json!({"targets": {"api": 3, "worker": 5}}))),
        ("stages" = (summary = "In two stages, and back if it fails", value = json!({
            "targets": {"db": 3, "api": {"delta": 2, "stepSize": 2}, "worker": 2},
            "stages": [["db"], ["api", "worker"]], "onFailure": "restore", "stepSize": 1, "cooldownSeconds": 60,
            "onConflict": "reject", "reason": "new release", "labels": {"team": "data"}})))
    )),
    responses(
        (status = 202, description = "The group is accepted.", body = GroupView, headers(
            ("Location" = String, description = "The address of the group."),
            ("Retry-After" = u32, description = "When to poll first, in seconds."),
            ("Idempotency-Replayed" = bool, description = "`true` if this is the answer given before to the same request.")),
            example = json!(examples::example_group())),
        (status = 200, description = "An unfinished group does the same already.", body = GroupView, headers(
            ("Location" = String, description = "The address of the group."),
            ("Retry-After" = u32, description = "When to poll first, in seconds."),
            ("Idempotency-Replayed" = bool, description = "`true` if this is the answer given before to the same request.")),
            example = json!(examples::example_group())),
    )
)]
#[post("/v1/groups")]
pub async fn submit_group(
    state: web::Data<ApiState>,
    request: HttpRequest,
    caller: Caller,
    body: JsonBody<GroupSubmission>,
) -> Result<HttpResponse, ApiError> {
    let key = input::idempotency_key(request.headers(), caller.key_id(), &body.0)?;
    let asked = group_request(&request, &caller, body.0)?;
    let answer = state.engine.submit_group(asked, key).await.map_err(ApiError::of_change)?;
    let (id, joined, replayed) = match answer {
        Answer::GroupCreated(id) => (id, false, false),
        Answer::GroupJoined(id) => (id, true, false),
        Answer::GroupReplayed { group, joined } => (group, joined, true),
        Answer::Refused(refusal) => return Err(refusal.into()),
        _ => return Err(ApiError::new(Code::InternalError, "A wrong answer.")),
    };
    note_subject(&request, Subject { group: Some(id), ..Subject::default() });
    let found = state.find_group(&caller, id).await?;
    let status = found.ok_or_else(ApiError::answered_group_gone)?;
    let mut response = if joined { HttpResponse::Ok() } else { HttpResponse::Accepted() };
    response.insert_header(("Location", group_path(id)));
    if replayed {
        response.insert_header(("Idempotency-Replayed", "true"));
    }
    if !status.state.is_over() {
        response.insert_header(("Retry-After", RETRY_AFTER));
    }
    Ok(response.json(GroupView::from(&*status)))
}

/// Poll a group
///
/// Always 200 for a known group, whatever became of it. A group is known to keys that are for all of its resources.
///
/// With `Prefer: wait=30` the answer is held back until the group is over or 30 seconds (60 at the most) have passed.
/// With `If-None-Match` and the `ETag` of an earlier answer, an unchanged group is answered with 304.
#[utoipa::path(
    operation_id = "getGroup", tag = "groups",
    params(
        ("id" = Uuid, Path, description = "The id of the group.", example = "0198c3f2-7a00-7000-8000-000000000007"),
        ("Prefer" = Option<String>, Header, description = "`wait=` and a whole number of seconds: how long the answer may be held back until the group is over. More than 60 count as 60. Left out, the answer comes at once.", example = "wait=30"),
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` of an earlier answer.", example = "\"v17\""),
    ),
    responses(
        (status = 200, description = "The group as it is.", body = GroupView, headers(
            ("ETag" = String, description = "Identifies this version of the group."),
            ("Retry-After" = u32, description = "When to poll again, in seconds; absent once the group is over."),
            ("Preference-Applied" = String, description = "The wait that was granted.")),
            example = json!(examples::example_group())),
        (status = 304, description = "The group has not changed.", headers(
            ("ETag" = String, description = "Identifies this version of the group."),
            ("Retry-After" = u32, description = "When to poll again, in seconds; absent once the group is over."),
            ("Preference-Applied" = String, description = "The wait that was granted."))),
    )
)]
#[get("/v1/groups/{id}")]
pub async fn get_group(
    state: web::Data<ApiState>,
    request: HttpRequest,
    caller: Caller,
    path: web::Path<String>,
    known: Option<web::Header<IfNoneMatch>>,
) -> Result<HttpResponse, ApiError> {
    let id = group_id(&path)?;
    let mut status = state.group_for(&caller, id).await?;
    let mut granted = None;
    if let Some(wait) = input::preferred_wait(request.headers())
        && let Ok(_permit) = state.long_polls.try_acquire()
        && let Some(_own_permit) = state.guard.hold_back(&caller)
    {
        granted = Some(wait);
        status = until_over(&state, id, status, wait).await;
        state.guard.still_admits(&caller).await?;
    }
    let tag = EntityTag::new_strong(format!("v{}", status.version));
    // What cannot be understood matches nothing.
    let unchanged = match known.map(web::Header::into_inner) {
        Some(IfNoneMatch::Any) => true,
        Some(IfNoneMatch::Items(tags)) => tags.iter().any(|known| known.weak_eq(&tag)),
        None => false,
    };
    let mut response = if unchanged { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response.insert_header(ETag(tag));
    if let Some(wait) = granted {
        response.insert_header(("Preference-Applied", format!("wait={}", wait.as_secs())));
    }
    if !status.state.is_over() {
        response.insert_header(("Retry-After", RETRY_AFTER));
    }
    Ok(if unchanged { response.finish() } else { response.json(GroupView::from(&*status)) })
}

/// The group once it is over, or as it is after `wait` or when the gateway stops.
async fn until_over(state: &ApiState, id: GroupId, status: Arc<GroupStatus>, wait: Duration) -> Arc<GroupStatus> {
    let Some(mut news) = state.groups.watch(id) else { return status };
    let mut stopping = state.stopping.clone();
    tokio::select! {
        _ = timeout(wait, news.wait_for(|status| status.state.is_over())) => {}
        _ = stopping.wait_for(|stopping| *stopping) => {}
    }
    Arc::clone(&news.borrow())
}

/// List groups
///
/// Newest first, a page at a time, with keys that are for some resources only the groups of which all members are among these. A
/// page token stays good while groups are added and removed. A page may have fewer groups than asked for and a token: go on as
/// long as there is one.
#[utoipa::path(
    operation_id = "listGroups", tag = "groups",
    params(
        ("resource" = Option<Alias>, Query, description = "Only groups with a member for this resource.", example = "worker"),
        ("state" = Option<Vec<GroupState>>, Query, style = Form, explode,
            description = "Only groups in this state; may be repeated. Left out, groups in all states.", example = json!(["queued", "running"])),
        Paging,
    ),
    responses(
        (status = 200, description = "A page of groups.", body = GroupList, example = json!({
            "groups": [examples::example_group()], "nextPageToken": "1f"})),
    )
)]
#[get("/v1/groups")]
pub async fn list_groups(
    state: web::Data<ApiState>,
    request: HttpRequest,
    caller: Caller,
) -> Result<HttpResponse, ApiError> {
    let GroupQuery { resource, states, paging } = GroupQuery::parse(request.query_string())?;
    if let Some(resource) = &resource {
        caller.may_touch(resource)?;
    }
    let filter = GroupFilter { reach: caller.reach().clone(), resource, states };
    let asked = filter.clone();
    let page = state
        .read(&caller, "list", async move |reader| reader.groups_page(&asked, paging.after, paging.size).await)
        .await?;
    // One found in a state may be shown in another: it is not on the page.
    Ok(list::answer(&request, "groups", page, |stored| {
        let shown = state.groups.get(stored.group.id);
        let shown = shown.as_deref().unwrap_or(stored);
        if filter.admits(shown) { list::json(&GroupView::from(shown)) } else { None }
    }))
}

/// Cancel a group
///
/// Members that wait end as `canceled` at once; those with a change on its way when its outcome is known. Members that reached
/// their targets stay there, whatever `onFailure` says, and members on their way back stop. Canceling twice is no error until the
/// group is over.
#[utoipa::path(
    operation_id = "cancelGroup", tag = "groups",
    params(("id" = Uuid, Path, description = "The id of the group.", example = "0198c3f2-7a00-7000-8000-000000000007")),
    responses(
        (status = 200, description = "The group, canceled or about to be.", body = GroupView, headers(
            ("Retry-After" = u32, description = "When to poll again, in seconds; absent once the group is over.")),
            example = json!(examples::example_canceled_group())),
    )
)]
#[post("/v1/groups/{id}/cancel")]
pub async fn cancel_group(
    state: web::Data<ApiState>,
    request: HttpRequest,
    caller: Caller,
    path: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let id = group_id(&path)?;
    note_subject(&request, Subject { group: Some(id), ..Subject::default() });
    let status = state.group_for(&caller, id).await?;
    if status.state.is_over() {
        return Err(ApiError::group_finished(id));
    }
    match state.engine.cancel_group(id, Some(caller.attempt())).await.map_err(ApiError::of_change)? {
        Answer::GroupChanged(_) => {
            let status = state.groups.get(id).unwrap_or(status);
            let mut response = HttpResponse::Ok();
            if !status.state.is_over() {
                response.insert_header(("Retry-After", RETRY_AFTER));
            }
            Ok(response.json(GroupView::from(&*status)))
        }
        // It ended between the look at the table and the engine's.
        _ => Err(ApiError::group_finished(id)),
    }
}

impl ApiState {
    /// The group with this `id`, as far as `caller` may know of it: one with a resource out of reach is answered like one that does not
    /// exist.
    ///
    /// # Errors
    /// That there is no such group, or that the store cannot be read.
    async fn group_for(&self, caller: &Caller, id: GroupId) -> Result<Arc<GroupStatus>, ApiError> {
        let is_within = |status: &Arc<GroupStatus>| {
            status.group.members.iter().all(|member| caller.reach().includes(&member.resource))
        };
        let found = self.find_group(caller, id).await?.filter(is_within);
        found.ok_or_else(|| ApiError::no_such_group(&id.to_string()))
    }

    /// The group with this `id`, whatever its resources.
    ///
    /// # Errors
    /// If it has to be read from the store, and cannot be.
    async fn find_group(&self, caller: &Caller, id: GroupId) -> Result<Option<Arc<GroupStatus>>, ApiError> {
        if let Some(status) = self.groups.get(id) {
            return Ok(Some(status));
        }
        let stored = self.read(caller, "group", async move |reader| reader.group(id).await).await?;
        Ok(self.groups.get(id).or_else(|| stored.map(Arc::new)))
    }
}

fn group_id(path: &web::Path<String>) -> Result<GroupId, ApiError> {
    GroupId::parse_str(path).map_err(|_| ApiError::no_such_group(path))
}

/// The group that the `body` asks for, if `caller` may touch all of its resources.
fn group_request(request: &HttpRequest, caller: &Caller, body: GroupSubmission) -> Result<GroupRequest, ApiError> {
    let mut asked = body.parse()?;
    asked.attempt = Some(caller.attempt());
    for (member, _) in &mut asked.members {
        caller.may_touch(&member.resource)?;
        *member = JobRequest { trace: trace_of(request), attempt: Some(caller.attempt()), ..member.clone() };
    }
    Ok(asked)
}
