//! Jobs: submit, poll, list, cancel; and plans, which are jobs that stay on paper.

use std::time::Duration;

use actix_web::http::header::{ETag, EntityTag, IfNoneMatch};
use actix_web::web::{self, Bytes};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, get, post};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, timeout_at};

use super::caller::{Caller, note_subject};
use super::input::{self, JsonBody};
use super::openapi::examples;
use super::problem::{ApiError, Code};
use super::query::{ListQuery, Paging};
use super::routes::{Route, problems};
use super::submission::Submission;
use super::traced::trace_of;
use super::view::{JobList, JobView, Plan, job_path, render_job};
use super::{ApiState, list};
use crate::domain::policy::JobNote;
use crate::domain::{Action, Alias, Job, JobId, JobRequest, Scope, StateName, Subject, Timestamp, WaitReason};
use crate::engine::{Answer, JobChange, NotedJob, OBSERVE_TIMEOUT, Submitted};
use crate::store::JobFilter;
use crate::table::Published;

/// Shortest and longest advice on when to poll again.
const RETRY_AFTER: std::ops::RangeInclusive<u64> = 1..=30;

/// The scopes, the audit action and the problems of each operation.
pub(super) const ROUTES: &[Route] = &[
    Route::post("/v1/jobs").needs(&[Scope::Scale]).records(Action::SubmitJob).problems(problems![
        ResourceForbidden JobNotFound ResourceNotFound BodyTimeout ResourceBusy ResourceHeld BodyTooLarge
        UnsupportedMediaType ValidationFailed OutOfBounds IdempotencyKeyReused TooManyJobsOfKey
        TooManyIdempotencyKeys TooMuchText TooManyResources QueueFull TooManyJobs Overloaded OutcomeUnknown
    ]),
    Route::get("/v1/jobs").needs(&[Scope::Read]).problems(problems![ResourceForbidden ValidationFailed Overloaded]),
    Route::get("/v1/jobs/{id}").needs(&[Scope::Read]).problems(problems![JobNotFound]),
    Route::post("/v1/jobs/{id}/cancel")
        .needs(&[Scope::Scale])
        .records(Action::CancelJob)
        .problems(problems![JobNotFound JobFinished Overloaded OutcomeUnknown]),
    Route::post("/v1/plans").needs(&[Scope::Read]).problems(problems![
        ResourceForbidden ResourceNotFound BodyTimeout ResourceBusy ResourceHeld BodyTooLarge UnsupportedMediaType
        ValidationFailed OutOfBounds TooManyJobsOfKey TooMuchText TooManyResources QueueFull
        SidecarUnreachable TooManyJobs Overloaded
    ]),
];

/// Submit a job
///
/// Accepts a request to scale a resource and returns at once; the gateway carries it out. The answer comes when the job is
/// on the disk: it will not be lost.
///
/// If the resource has an unfinished job with the same target, that job is the answer (200). If it has one with another
/// target, `onConflict` decides.
///
/// With an `Idempotency-Key`, the same request sent again gets the same answer and does nothing; keys are kept for at
/// least 24 hours. Refused requests are not kept.
#[utoipa::path(
    operation_id = "submitJob", tag = "jobs",
    params(("Idempotency-Key" = Option<String>, Header, example = "3f6c1b52-scale-up",
        pattern = r#"^([!-~]|[!#-~][ -~]{0,253}[!-~]|"[ -~]{0,253}[!#-~]|"[ -~]{1,255}")$"#,
        description = "At most 255 bytes, bare or in double quotes. Makes it safe to send the request again.")),
    request_body(content = Submission, description = "What to scale, and how.", examples(
        ("target" = (summary = "Scale to a capacity", value = json!({"resource": "worker", "targetCapacity": 5}))),
        ("delta" = (summary = "Add two units", value = json!({"resource": "worker", "delta": 2, "reason": "queue depth 812"}))),
        ("everything" = (summary = "With every setting", value = json!({
            "resource": "worker", "targetCapacity": 5, "stepSize": 1, "cooldownSeconds": 300,
            "activeTimeoutSeconds": 900, "pollIntervalSeconds": 30, "settleSeconds": 90, "deadlineSeconds": 7200,
            "onConflict": "queue", "reason": "queue depth 812", "labels": {"team": "data"}})))
    )),
    responses(
        (status = 202, description = "The job is accepted.", body = JobView, headers(
            ("Location" = String, description = "The address of the job."),
            ("Retry-After" = u32, description = "When to poll first, in seconds."),
            ("Idempotency-Replayed" = bool, description = "`true` if this is the answer given before to the same request.")),
            example = json!(examples::example_new_job())),
        (status = 200, description = "An unfinished job does the same already.", body = JobView, headers(
            ("Location" = String, description = "The address of the job."),
            ("Retry-After" = u32, description = "When to poll first, in seconds."),
            ("Idempotency-Replayed" = bool, description = "`true` if this is the answer given before to the same request.")),
            example = json!(examples::example_job())),
    )
)]
#[post("/v1/jobs")]
pub async fn submit(
    state: web::Data<ApiState>,
    request: HttpRequest,
    caller: Caller,
    body: JsonBody<Submission>,
) -> Result<HttpResponse, ApiError> {
    let key = input::idempotency_key(request.headers(), caller.key_id(), &body.0)?;
    let asked = job_request(&request, &caller, body.0)?;
    let resource = asked.resource.clone();
    let (joined, noted, replayed) = match state.engine.submit(asked, key).await.map_err(ApiError::of_change)? {
        Submitted::Answer(Answer::Created(job)) => (false, job, false),
        Submitted::Answer(Answer::Joined(job)) => (true, job, false),
        Submitted::Answer(Answer::Refused(refusal)) => {
            return Err(state.with_meant(&caller, &resource, refusal.into()).await);
        }
        Submitted::Answer(_) => return Err(ApiError::new(Code::InternalError, "A wrong answer.")),
        Submitted::Replayed { job, joined } => (joined, job, true),
        Submitted::Gone => return Err(ApiError::answered_job_gone()),
    };
    let mut response = if joined { HttpResponse::Ok() } else { HttpResponse::Accepted() };
    let NotedJob { job, note } = &noted;
    let meant = match note {
        Some(JobNote::UnknownResource) => state.meant(&caller, &resource).await,
        _ => None,
    };
    response.insert_header(("Location", job_path(job.id)));
    if replayed {
        response.insert_header(("Idempotency-Replayed", "true"));
    }
    note_subject(&request, Subject { resource: Some(job.resource.clone()), job: Some(job.id), ..Subject::default() });
    Ok(with_noted_job(&mut response, &noted, meant.as_ref(), state.clock.now()))
}

/// Poll a job
///
/// Always 200 for a known job, whatever became of it. `Retry-After` says when polling again is worth while, until the job
/// is over.
///
/// With `Prefer: wait=30` the answer is held back until the job is over or 30 seconds (60 at the most) have passed.
/// With `If-None-Match` and the `ETag` of an earlier answer, an unchanged job is answered with 304.
#[utoipa::path(
    operation_id = "getJob", tag = "jobs",
    params(
        ("id" = Uuid, Path, description = "The id of the job.", example = "0198c3f2-7a00-7000-8000-000000000001"),
        ("Prefer" = Option<String>, Header, description = "`wait=` and a whole number of seconds: how long the answer may be held back until the job is over. More than 60 count as 60. Left out, the answer comes at once.", example = "wait=30"),
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` of an earlier answer.", example = "\"v17\""),
    ),
    responses(
        (status = 200, description = "The job as it is.", body = JobView, headers(
            ("ETag" = String, description = "Identifies this version of the job."),
            ("Retry-After" = u32, description = "When to poll again, in seconds; absent once the job is over."),
            ("Preference-Applied" = String, description = "The wait that was granted.")),
            example = json!(examples::example_job())),
        (status = 304, description = "The job has not changed.", headers(
            ("ETag" = String, description = "Identifies this version of the job."),
            ("Retry-After" = u32, description = "When to poll again, in seconds; absent once the job is over."),
            ("Preference-Applied" = String, description = "The wait that was granted."))),
    )
)]
#[get("/v1/jobs/{id}")]
pub async fn get_job(
    state: web::Data<ApiState>,
    request: HttpRequest,
    caller: Caller,
    path: web::Path<String>,
    known: Option<web::Header<IfNoneMatch>>,
) -> Result<HttpResponse, ApiError> {
    let id = input::job_id(&path)?;
    let mut published = state.job_for(&caller, id).await?;
    let mut granted = None;
    if let Some(wait) = input::preferred_wait(request.headers())
        && let Ok(_permit) = state.long_polls.try_acquire()
        && let Some(_own_permit) = state.guard.hold_back(&caller)
    {
        granted = Some(wait);
        published = until_over(&state, &caller, id, published, wait).await;
        state.guard.still_admits(&caller).await?;
    }
    let tag = EntityTag::new_strong(format!("v{}", published.version()));
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
    let wait = (!published.is_over()).then(|| retry_after(published.job(), state.clock.now()));
    if unchanged {
        tell_when_to_ask(&mut response, wait);
        return Ok(response.finish());
    }
    Ok(with_job(&mut response, wait, published.rendered(render_job)))
}

/// The job once it is over, or as it is after `wait` or when the gateway stops.
async fn until_over(
    state: &ApiState,
    caller: &Caller,
    id: JobId,
    mut published: Published,
    wait: Duration,
) -> Published {
    let deadline = Instant::now() + wait;
    let mut stopping = state.stopping.clone();
    let mut news = state.feed.listen_to(id);
    loop {
        // Read after listening began, and again after each change: none can be missed.
        match state.find_job(caller, id).await {
            Ok(Some(newer)) => published = newer,
            Ok(None) | Err(_) => return published,
        }
        if published.is_over() {
            return published;
        }
        tokio::select! {
            heard = timeout_at(deadline, news.recv()) => match heard {
                Ok(Ok(_) | Err(RecvError::Lagged(_))) => {}
                Ok(Err(RecvError::Closed)) | Err(_) => return published,
            },
            _ = stopping.wait_for(|stopping| *stopping) => return published,
        }
    }
}

/// List jobs
///
/// Newest first, a page at a time. A page token stays good while jobs are added and removed: no job is shown twice. A page
/// also ends at about half a megabyte, with fewer jobs than asked for and a token: go on as long as there is one.
#[utoipa::path(
    operation_id = "listJobs", tag = "jobs",
    params(
        ("resource" = Option<Alias>, Query, description = "Only jobs for this resource.", example = "worker"),
        ("state" = Option<Vec<StateName>>, Query, style = Form, explode,
            description = "Only jobs in this state; may be repeated. Left out, jobs in all states.", example = json!(["queued", "running"])),
        Paging,
    ),
    responses(
        (status = 200, description = "A page of jobs.", body = JobList, example = json!({
            "jobs": [examples::example_job()], "nextPageToken": "1f"})),
    )
)]
#[get("/v1/jobs")]
pub async fn list_jobs(
    state: web::Data<ApiState>,
    request: HttpRequest,
    caller: Caller,
) -> Result<HttpResponse, ApiError> {
    let ListQuery { resource, states, paging } = ListQuery::parse(request.query_string())?;
    let filter = JobFilter { resources: caller.narrowed_to(resource)?, states };
    let asked = filter.clone();
    let page = state
        .read(&caller, "list", async move |reader| reader.jobs_page(&asked, paging.after, paging.size).await)
        .await?;
    // One found in a state may be shown in another: it is not on the page.
    Ok(list::answer(&request, "jobs", page, |stored| {
        state.shown(stored.clone()).filter(|job| filter.admits(job.job())).map(|job| job.rendered(render_job))
    }))
}

/// Cancel a job
///
/// A job that waits ends as `canceled` at once. A change that was sent cannot be taken back: the job then goes on until
/// its outcome is known, with `endingAs` set, and ends as `canceled` after that. Canceling twice is no error until the
/// job is over.
#[utoipa::path(
    operation_id = "cancelJob", tag = "jobs",
    params(("id" = Uuid, Path, description = "The id of the job.", example = "0198c3f2-7a00-7000-8000-000000000001")),
    responses(
        (status = 200, description = "The job, canceled or about to be.", body = JobView, headers(
            ("Retry-After" = u32, description = "When to poll again, in seconds; absent once the job is over.")),
            example = json!(examples::example_canceled_job())),
    )
)]
#[post("/v1/jobs/{id}/cancel")]
pub async fn cancel_job(
    state: web::Data<ApiState>,
    request: HttpRequest,
    caller: Caller,
    path: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let id = input::job_id(&path)?;
    // The record is for admins alone: it names the resource also where the caller is told of none.
    let found = state.find_job(&caller, id).await;
    let resource = found.as_ref().ok().and_then(|found| Some(found.as_ref()?.job().resource.clone()));
    note_subject(&request, Subject { job: Some(id), resource, ..Subject::default() });
    let published = state.within_reach(&caller, id, found?)?;
    if published.is_over() {
        return Err(ApiError::job_finished(published.job()));
    }
    match state.engine.change(id, JobChange::Cancel, Some(caller.attempt())).await.map_err(ApiError::of_change)? {
        Answer::Changed(job) => Ok(with_noted_job(&mut HttpResponse::Ok(), &job, None, state.clock.now())),
        // It ended between the look at the table and the engine's.
        _ => Err(ApiError::job_finished(state.find_job(&caller, id).await?.as_ref().unwrap_or(&published).job())),
    }
}

/// Plan a job
///
/// Takes the same body as a job, reads the resource's capacity, and says which steps the job would take and when.
/// Nothing is changed or kept. What would be refused as a job is refused as a plan.
#[utoipa::path(
    operation_id = "planJob", tag = "jobs",
    request_body(content = Submission, description = "What to scale, and how.",
        example = json!({"resource": "worker", "targetCapacity": 3})),
    responses(
        (status = 200, description = "The plan for the job.", body = Plan, example = json!(examples::example_plan())),
    )
)]
#[post("/v1/plans")]
pub async fn plan(
    state: web::Data<ApiState>,
    request: HttpRequest,
    caller: Caller,
    body: JsonBody<Submission>,
) -> Result<HttpResponse, ApiError> {
    let asked = job_request(&request, &caller, body.0)?;
    let resource = asked.resource.clone();
    match state.engine.plan(asked, OBSERVE_TIMEOUT).await? {
        Ok(plan) => Ok(HttpResponse::Ok().json(Plan::new(resource.as_str().to_owned(), &plan))),
        Err(error) => Err(state.with_meant(&caller, &resource, error.into()).await),
    }
}

/// The job that the `body` asks for, if `caller` may touch its resource.
fn job_request(request: &HttpRequest, caller: &Caller, body: Submission) -> Result<JobRequest, ApiError> {
    let asked = body.parse()?;
    note_subject(request, Subject { resource: Some(asked.resource.clone()), ..Subject::default() });
    caller.may_touch(&asked.resource)?;
    Ok(JobRequest { trace: trace_of(request), attempt: Some(caller.attempt()), ..asked })
}

/// An answer with a version of a job that no other request asks for: it is rendered for this one alone.
fn with_noted_job(
    response: &mut HttpResponseBuilder,
    noted: &NotedJob,
    meant: Option<&Alias>,
    now: Timestamp,
) -> HttpResponse {
    let job = &noted.job;
    tell_when_to_ask(response, job.ended().is_none().then(|| retry_after(job, now)));
    response.json(JobView::noted(noted, meant, now))
}

fn with_job(response: &mut HttpResponseBuilder, retry_after: Option<u64>, body: Bytes) -> HttpResponse {
    tell_when_to_ask(response, retry_after);
    response.content_type("application/json").body(body)
}

fn tell_when_to_ask(response: &mut HttpResponseBuilder, retry_after: Option<u64>) {
    if let Some(seconds) = retry_after {
        response.insert_header(("Retry-After", seconds.to_string()));
    }
}

/// When something is likely to have changed, in seconds.
fn retry_after(job: &Job, now: Timestamp) -> u64 {
    let wait = match &job.waiting {
        Some(waiting) if waiting.reason == WaitReason::Cooldown => waiting.until.since(now),
        _ => job.settings.poll_interval / 4,
    };
    wait.as_secs_f64().ceil().clamp(*RETRY_AFTER.start() as f64, *RETRY_AFTER.end() as f64) as u64
}
