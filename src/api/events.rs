//! Streams of changes, as server-sent events. What they are made of is in [`stream`](super::stream).

use actix_web::http::header::HeaderMap;
use actix_web::{HttpRequest, HttpResponse, get, web};

use super::caller::Caller;
use super::openapi::examples;
use super::problem::ApiError;
use super::routes::{Route, problems};
use super::stream::{Follower, StreamStart};
use super::{ApiState, input, query};
use crate::domain::{Alias, EventId, Scope};
use crate::store::EventFilter;

/// The scopes, the audit action and the problems of each operation.
pub(super) const ROUTES: &[Route] = &[
    Route::get("/v1/jobs/{id}/events").needs(&[Scope::Read]).problems(problems![
        JobNotFound TooManyStreamsOfCaller TooManyStreams Overloaded
    ]),
    Route::get("/v1/events").needs(&[Scope::Read]).problems(problems![
        ResourceForbidden ValidationFailed TooManyStreamsOfCaller TooManyStreams Overloaded
    ]),
];

/// Follow a job
///
/// Server-sent events. `ready` comes first; its `resumed` says whether the stream goes on after `Last-Event-ID`. If it does
/// not, the job as it is comes next. Then a `job` event, with an `id`, for every change of the job, until one shows that
/// it is over; the stream ends there. Connected again with the `id` of that last event, the answer is 204.
///
/// After a broken connection or a restart of the gateway, connect again with the last `id` as `Last-Event-ID`, as
/// `EventSource` does: no change is missed and none is repeated. A stream that the gateway ends itself says why in an `end`
/// event: it is `stopping`, its store fails (`storage`), the stream was read `too_slow`ly, some of what follows is
/// `gone`, or the key it was opened with is no longer good (`unauthorized`). Every 15 seconds at least there is a comment.
#[utoipa::path(
    operation_id = "followJob", tag = "events",
    params(
        ("id" = Uuid, Path, description = "The id of the job.", example = "0198c3f2-7a00-7000-8000-000000000001"),
        ("Last-Event-ID" = Option<String>, Header, description = "The `id` of the last event received.", example = "1769860800017"),
    ),
    responses(
        (status = 200, description = "The stream of events.", body = String, content_type = "text/event-stream",
            example = json!(examples::example_job_events())),
        (status = 204, description = "The job is over, and the event with `Last-Event-ID` said so."),
    )
)]
#[get("/v1/jobs/{id}/events")]
pub async fn job_events(
    state: web::Data<ApiState>,
    request: HttpRequest,
    caller: Caller,
    path: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let id = input::job_id(&path)?;
    answer(state, caller, EventFilter::Job(id), request.headers()).await
}

/// Follow all jobs
///
/// Server-sent events, without end: a `job` event, with an `id`, for every change of every job; a `timeline` event, without
/// one, for everything that goes into a resource's timeline; a `decision` event, without one, for each decision of a
/// policy; and a `policy` event, without one, for each policy that is put or deleted. A decision that repeats the one before has
/// its `id`, and a larger `count`. A `policy` event has the `resource`, and the `revision` and `mode` now in force, or `null`.
///
/// `ready` comes first. Its `resumed` says whether the stream goes on after `Last-Event-ID`. If it does not, list what
/// there is after `ready` has come: whatever changes from then on comes as an event. `job` events are neither missed nor
/// repeated when a connection is resumed; the others are told once, to those who listen. For the rest see the events of a
/// single job.
#[utoipa::path(
    operation_id = "followAllJobs", tag = "events",
    params(
        ("resource" = Option<Alias>, Query, description = "Only what concerns this resource.", example = "worker"),
        ("Last-Event-ID" = Option<String>, Header, description = "The `id` of the last event received.", example = "1769860800017"),
    ),
    responses(
        (status = 200, description = "The stream of events.", body = String, content_type = "text/event-stream",
            example = json!(examples::example_events())),
    )
)]
#[get("/v1/events")]
pub async fn all_events(
    state: web::Data<ApiState>,
    request: HttpRequest,
    caller: Caller,
) -> Result<HttpResponse, ApiError> {
    let wanted = caller.narrowed_to(query::resource(request.query_string())?)?;
    answer(state, caller, EventFilter::Resources(wanted), request.headers()).await
}

async fn answer(
    state: web::Data<ApiState>,
    caller: Caller,
    filter: EventFilter,
    headers: &HeaderMap,
) -> Result<HttpResponse, ApiError> {
    Ok(match Follower::open(state, caller, filter, last_event_id(headers)).await? {
        StreamStart::AlreadyComplete => HttpResponse::NoContent().finish(),
        StreamStart::Stream(follower) => HttpResponse::Ok()
            .content_type("text/event-stream")
            .insert_header(("Cache-Control", "no-store"))
            // nginx would collect events until it has a full page of them.
            .insert_header(("X-Accel-Buffering", "no"))
            .streaming(follower.into_stream()),
    })
}

/// Whatever is not an id of ours is as good as none: the stream begins anew and says so.
fn last_event_id(headers: &HeaderMap) -> Option<EventId> {
    headers.get("Last-Event-ID")?.to_str().ok()?.parse().ok()
}
