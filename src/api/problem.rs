//! Everything that can go wrong with a request, as problem documents (RFC 9457).
//!
//! One table, [`Code`], holds the status, the title and an example of each problem; answers and the OpenAPI document are
//! both made from it, so they cannot differ.

use std::collections::BTreeMap;
use std::fmt;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};
use serde::{Deserialize, Serialize};
use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::{Content, ContentBuilder, Ref, RefOr, Response, ResponseBuilder};
use utoipa::{IntoResponses, ToSchema};
use uuid::Uuid;

use super::view::{NotReadyReason, SidecarView};
use crate::domain::{InvalidSetting, Job, ReadFailure, Setting, SidecarAnswer};
use crate::engine::{PlanError, Refusal, Unavailable};
use crate::store::NoRoom;

/// The media type of problem documents.
pub const PROBLEM_JSON: &str = "application/problem+json";
/// `Retry-After` where nothing better is known, in seconds.
const RETRY_AFTER_SECONDS: u64 = 5;

/// Most errors told of one request. There are fewer fields in it.
const MAX_FIELD_ERRORS: usize = 32;
/// Longest part of what a caller wrote that is repeated to him, in characters.
const MAX_REPEATED_CHARS: usize = 300;

/// Longest path that is repeated to a caller, in characters.
const MAX_PATH_CHARS: usize = 200;

/// As much of `path` as is repeated to a caller.
pub(super) fn shortened_path(path: &str) -> String {
    path.chars().take(MAX_PATH_CHARS).collect()
}

/// `text`, with its middle left out if it is very long: the end of a message often says what was expected.
fn shortened(text: &str) -> String {
    let length = text.chars().count();
    if length <= MAX_REPEATED_CHARS {
        return text.to_owned();
    }
    let half = MAX_REPEATED_CHARS / 2;
    text.chars().take(half).chain(['…']).chain(text.chars().skip(length - half)).collect()
}

macro_rules! codes {
    // `$name` is a token, not a literal: wrapped as the latter, it is invisible to the derivation of the schema.
    ($($variant:ident $name:tt $status:literal $title:literal $example:literal;)*) => {
        /// The stable codes of problems.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
        #[schema(as = ProblemCode)]
        pub enum Code {
            $(#[doc = $title] #[serde(rename = $name)] $variant,)*
        }

        impl Code {
            /// All codes.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The code as it appears in the API.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            const fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }

            /// What kind of problem it is, in words.
            pub(super) const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }

            const fn example(self) -> &'static str {
                match self { $(Self::$variant => $example,)* }
            }
        }
    };
}

codes! {
    MalformedRequest "malformed_request" 400 "The request is malformed" "The body is not JSON: EOF while parsing an object at line 1 column 21.";
    AuthenticationRequired "authentication_required" 401 "An API key is needed" "This gateway wants an API key: send it as \"Authorization: Bearer sg_…\".";
    InvalidKey "invalid_key" 401 "The API key is not good" "There is no such API key.";
    KeyExpired "key_expired" 401 "The API key has expired" "The API key 4fJ2kQ9xZa has expired.";
    KeyRevoked "key_revoked" 401 "The API key was revoked" "The API key 4fJ2kQ9xZa was revoked.";
    InsufficientScope "insufficient_scope" 403 "The API key does not allow it" "This takes a key with the scope scale; this one has read.";
    ResourceForbidden "resource_forbidden" 403 "The API key is not for the resource" "This key is not for the resource \"worker\".";
    OriginRefused "origin_refused" 403 "Pages of other origins may not call the gateway" "Pages of other origins may not call this gateway. allowed_origins can let some of them.";
    JobNotFound "job_not_found" 404 "No such job" "There is no job 0198c3f2-0000-7000-8000-000000000000. Finished jobs are removed after a while.";
    ResourceNotFound "resource_not_found" 404 "No such resource" "The sidecar does not know a resource \"wroker\".";
    KeyNotFound "key_not_found" 404 "No such API key" "There is no key 4fJ2kQ9xZa.";
    NotFound "not_found" 404 "No such page" "There is nothing at /v2/jobs.";
    MethodNotAllowed "method_not_allowed" 405 "Method not allowed" "/v1/jobs supports GET, HEAD, POST.";
    BodyTimeout "body_timeout" 408 "The body did not arrive in time" "The body did not arrive within 10 s.";
    ResourceBusy "resource_busy" 409 "The resource has an unfinished job" "Job 0198c3f2-7a00-7000-8000-000000000001 is scaling \"worker\" to 8.";
    JobFinished "job_finished" 409 "The job is over" "Job 0198c3f2-7a00-7000-8000-000000000001 is over: its state is succeeded.";
    KeyConfigured "key_configured" 409 "The API key is part of the configuration" "The key 4fJ2kQ9xZa is given by the gateway's configuration. Take it out there.";
    TooManyKeys "too_many_keys" 409 "There are too many API keys" "1000 keys are good already. Revoke some first.";
    BodyTooLarge "body_too_large" 413 "The body is too large" "The body has more than 65536 bytes.";
    UnsupportedMediaType "unsupported_media_type" 415 "The body is not declared as plain JSON" "Send the body with Content-Type: application/json.";
    WrongHost "wrong_host" 421 "The gateway is not known by this name" "The gateway is not known by the name in the Host header. allowed_hosts can add it.";
    ValidationFailed "validation_failed" 422 "The request does not make sense" "targetCapacity must be between 0 and 1000000.";
    OutOfBounds "out_of_bounds" 422 "The target is out of reach" "The target 9 is outside the bounds of the resource, 0 to 6.";
    IdempotencyKeyReused "idempotency_key_reused" 422 "The idempotency key was used for another request" "The Idempotency-Key came with a different body before.";
    RateLimited "rate_limited" 429 "Too many requests" "More than 100 requests came in a second. Send fewer, or let answers be held back.";
    TooManyStreamsOfCaller "too_many_streams_of_caller" 429 "Too many streams of one caller" "You have 500 streams open already. Close some, or follow several jobs with one.";
    TooManyJobsOfKey "too_many_jobs_of_key" 429 "Too many unfinished jobs with this API key" "1000 jobs submitted with this API key are unfinished already.";
    TooManyResources "too_many_resources" 429 "Too many resources that are not listed" "1000 resources that the configuration does not list are scaled already. List the resource in the configuration, or wait until others are forgotten: a day after their last change, and a minute after their last job if there was none.";
    TooManyIdempotencyKeys "too_many_idempotency_keys" 429 "Too many idempotency keys of one API key" "10000 idempotency keys were used with this API key within a day. Send the request without one, or later.";
    TooMuchText "too_much_text" 429 "Too much text in the jobs that are kept" "The reasons and labels of the jobs that are kept for this resource, or of this API key, would be longer than 67108864 bytes together. Send shorter ones, or send the request again in a minute.";
    QueueFull "queue_full" 429 "Too many jobs wait for the resource" "16 jobs are waiting for this resource already.";
    InternalError "internal_error" 500 "Something is broken" "The gateway failed on this request. Search its log for this instance id.";
    SidecarUnreachable "sidecar_unreachable" 502 "The sidecar gives no reading" "Cannot connect to the sidecar: Connection refused.";
    TooManyStreams "too_many_streams" 503 "Too many streams are open" "No more streams can be opened now. Poll instead, or try again later.";
    TooManyJobs "too_many_jobs" 503 "Too many unfinished jobs" "10000 jobs are unfinished already.";
    StorageUnavailable "storage_unavailable" 503 "The store cannot be used" "The store failed: database or disk is full. Nothing is accepted until it works again.";
    RevocationNotWritten "revocation_not_written" 503 "The API key is refused, but its revocation is not durable yet" "The key 4fJ2kQ9xZa is refused from now on, but the store cannot be written at present: its revocation becomes durable as soon as the store works again. If the gateway is restarted before that, revoke the key again.";
    Overloaded "overloaded" 503 "The gateway cannot take the request now" "Too many requests are waiting.";
    OutcomeUnknown "outcome_unknown" 504 "It is not known whether the request was obeyed" "The engine did not answer in time. What was asked for may still be done: see what there is, or send a submission again with the same Idempotency-Key.";
    NotReady "not_ready" 503 "The gateway is not ready" "The gateway is not ready: the store cannot be used at present. The log says why, and so does this answer with a key for read.";
}

/// A problem document (RFC 9457): what is wrong with a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// Identifies the kind of problem: `urn:scalegate:problem:` and the code.
    #[schema(example = "urn:scalegate:problem:resource_busy")]
    pub r#type: String,
    /// The kind of problem, in words.
    pub title: String,
    /// The HTTP status of the answer.
    #[schema(minimum = 400, maximum = 599)]
    pub status: u16,
    /// What is wrong with this request in particular.
    pub detail: String,
    /// Identifies this occurrence: the id of the request, as in the log and in the `X-Request-Id` header.
    #[schema(example = "urn:uuid:1b4e28ba-2fa1-41d2-883f-0016d3cca427")]
    pub instance: String,
    /// The kind of problem, for programs; it is stable.
    pub code: Code,
    /// Why the gateway is not ready, with the code `not_ready`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub reason: Option<NotReadyReason>,
    /// What is wrong and where, if the request does not make sense.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// What the sidecar answered, if that is the cause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub sidecar: Option<SidecarView>,
    /// The job concerned, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub job: Option<JobLink>,
}

/// One thing that is wrong with a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldError {
    /// Where it is: a JSON Pointer into the body, or `/query/…`, `/path/…`, `/header/…`.
    #[schema(example = "/targetCapacity")]
    pub pointer: String,
    /// What is wrong there, as the end of a sentence.
    #[schema(example = "must be between 0 and 1000000")]
    pub detail: String,
}

impl FieldError {
    /// What is wrong with a setting that a request gives.
    pub(super) fn of_setting(invalid: InvalidSetting) -> Self {
        let pointer = match invalid.setting {
            Setting::StepSize => "/stepSize",
            Setting::Cooldown => "/cooldownSeconds",
            Setting::ActiveTimeout => "/activeTimeoutSeconds",
            Setting::PollInterval => "/pollIntervalSeconds",
            Setting::Settle => "/settleSeconds",
            Setting::Deadline => "/deadlineSeconds",
        };
        Self { pointer: pointer.to_owned(), detail: invalid.detail }
    }
}

/// A job to look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JobLink {
    /// The id of the job.
    pub id: Uuid,
    /// The path of the job.
    #[schema(example = "/v1/jobs/0198c3f2-7a00-7000-8000-000000000001")]
    pub href: String,
}

impl JobLink {
    /// The link to job `id`.
    pub fn to(id: Uuid) -> Self {
        Self { id, href: super::view::job_path(id) }
    }
}

/// What a handler returns instead of an answer.
///
/// The problem document is completed by the middleware, which knows the request's id.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiError(Box<Problem>);

impl ApiError {
    /// A problem of kind `code`; `detail` is a sentence.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self(Box::new(Problem {
            r#type: format!("urn:scalegate:problem:{}", code.as_str()),
            title: code.title().to_owned(),
            status: code.status(),
            detail: detail.into(),
            instance: String::new(),
            code,
            reason: None,
            errors: Vec::new(),
            sidecar: None,
            job: None,
        }))
    }

    /// A request that does not make sense in one place or more. Not everything is repeated to a caller who got very much
    /// wrong: an answer must not be larger than what was asked.
    pub fn invalid(mut errors: Vec<FieldError>) -> Self {
        let more = errors.len().saturating_sub(MAX_FIELD_ERRORS);
        errors.truncate(MAX_FIELD_ERRORS);
        for error in &mut errors {
            error.pointer = shortened(&error.pointer);
            error.detail = shortened(&error.detail);
        }
        let sentence = |error: &FieldError| match error.pointer.strip_prefix('/') {
            Some(place) => format!("{place} {}", error.detail),
            None => format!("The body {}", error.detail),
        };
        let mut detail: Vec<String> = errors.iter().map(sentence).collect();
        if more > 0 {
            detail.push(format!("and {more} more are wrong"));
        }
        let mut invalid = Self::new(Code::ValidationFailed, format!("{}.", detail.join("; ")));
        invalid.0.errors = errors;
        invalid
    }

    fn at(mut self, pointer: &str) -> Self {
        self.0.errors = vec![FieldError { pointer: pointer.to_owned(), detail: self.0.detail.clone() }];
        self
    }

    /// That the gateway is not ready for this `reason`.
    #[must_use]
    pub(super) fn because(mut self, reason: NotReadyReason) -> Self {
        self.0.reason = Some(reason);
        self
    }

    fn with_sidecar(mut self, answer: Option<SidecarAnswer>) -> Self {
        self.0.sidecar = answer.map(SidecarView::from);
        self
    }

    fn with_job(mut self, id: Uuid) -> Self {
        self.0.job = Some(JobLink::to(id));
        self
    }

    /// There is no file `name` in `folder`.
    pub fn no_such_page(folder: &str, name: &str) -> Self {
        let name = shortened_path(name);
        Self::new(Code::NotFound, format!("There is nothing at {folder}{name}."))
    }

    /// There is no such job.
    pub fn no_such_job(id: &str) -> Self {
        let id: String = id.chars().take(64).collect();
        Self::new(Code::JobNotFound, format!("There is no job {id}. Finished jobs are removed after a while."))
    }

    /// The request was answered before, with a job that is no longer kept.
    pub fn answered_job_gone() -> Self {
        Self::new(
            Code::JobNotFound,
            "The same request was answered before, with a job that is no longer kept. Nothing was done.",
        )
    }

    /// The job cannot be canceled any more.
    pub fn job_finished(job: &Job) -> Self {
        let state = job.state.name().as_str();
        Self::new(Code::JobFinished, format!("Job {} is over: its state is {state}.", job.id)).with_job(job.id)
    }

    /// There is no reading of a resource.
    pub fn no_reading(failure: ReadFailure) -> Self {
        if failure.not_found {
            let detail = "The sidecar does not know this resource.";
            return Self::new(Code::ResourceNotFound, detail).with_sidecar(failure.answer);
        }
        let detail = format!("There is no reading of the resource: {}.", failure.detail);
        Self::new(Code::SidecarUnreachable, detail).with_sidecar(failure.answer)
    }

    /// What went wrong.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// The document, for the request with this id.
    pub(super) fn document(&self, request_id: Uuid) -> Problem {
        Problem { instance: format!("urn:uuid:{request_id}"), ..(*self.0).clone() }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.code.as_str(), self.0.detail)
    }
}

impl std::error::Error for ApiError {}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        if matches!(self.0.status, 429 | 503) {
            response.insert_header(("Retry-After", RETRY_AFTER_SECONDS.to_string()));
        }
        if self.0.status == 408 {
            // What is still to come of the body would be taken for the next request.
            response.force_close();
        }
        let mut response = response.finish();
        response.extensions_mut().insert(self.clone());
        response
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::ResourceNotListed { resource } => Self::new(
                Code::ResourceNotFound,
                format!("\"{resource}\" is not among the resources this gateway is configured for."),
            ),
            Refusal::LessCare { problems } => {
                Self::invalid(problems.into_iter().map(FieldError::of_setting).collect())
            }
            Refusal::OutOfBounds { target, bounds } => Self::new(
                Code::OutOfBounds,
                format!("The target {target} is outside the bounds of the resource, {} to {}.", bounds.min, bounds.max),
            )
            .at("/targetCapacity"),
            Refusal::DeltaOutOfBounds { start, delta, bounds } => Self::new(
                Code::OutOfBounds,
                format!(
                    "A delta of {delta:+} from {start} leads outside the bounds of the resource, {} to {}.",
                    bounds.min, bounds.max
                ),
            )
            .at("/delta"),
            Refusal::TooManySteps { start, target, step_size } => Self::new(
                Code::OutOfBounds,
                format!(
                    "From {start} to {target} by {step_size} takes more than {} steps; use a larger stepSize, if the operator allows it, \
                     or a nearer target.",
                    crate::domain::MAX_STEPS
                ),
            )
            .at("/stepSize"),
            Refusal::Busy { by } => Self::new(Code::ResourceBusy, busy_detail(&by)).with_job(by.id),
            Refusal::QueueFull { limit } => {
                Self::new(Code::QueueFull, format!("{limit} jobs are waiting for this resource already."))
            }
            Refusal::TooManyResources { limit } => {
                Self::new(Code::TooManyResources, too_many_resources(limit, "are scaled"))
            }
            Refusal::TooManyResourcesOfKey { limit } => {
                Self::new(Code::TooManyResources, too_many_resources(limit, "are scaled with this API key"))
            }
            Refusal::NoRoom(no_room) => no_room.into(),
            Refusal::NotUnfinished => Self::new(Code::JobFinished, "The job is over already."),
        }
    }
}

fn too_many_resources(limit: usize, are_scaled: &str) -> String {
    format!(
        "{limit} resources that the configuration does not list {are_scaled} already. List the resource in the \
         configuration, or wait until others are forgotten: a day after their last change, and a minute after their last \
         job if there was none."
    )
}

fn busy_detail(job: &Job) -> String {
    let goal = job.target.map_or("by a delta".to_owned(), |target| format!("to {target}"));
    format!("Job {} is scaling \"{}\" {goal}. onConflict says what else can be done.", job.id, job.resource)
}

impl ApiError {
    /// The problem for an answer that says nothing but its `status`.
    pub(super) fn of_status(status: StatusCode) -> Self {
        let code = match status {
            StatusCode::NOT_FOUND => Code::NotFound,
            StatusCode::METHOD_NOT_ALLOWED => Code::MethodNotAllowed,
            StatusCode::PAYLOAD_TOO_LARGE => Code::BodyTooLarge,
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Code::UnsupportedMediaType,
            status if status.is_client_error() => Code::MalformedRequest,
            _ => Code::InternalError,
        };
        let reason = status.canonical_reason().unwrap_or("The request cannot be answered");
        Self::new(code, format!("{reason}."))
    }

    /// Why a change was not made, or may not have been.
    pub(super) fn of_change(unavailable: Unavailable) -> Self {
        let (Unavailable::Interrupted | Unavailable::Slow) = unavailable else { return unavailable.into() };
        let detail = "What was asked for may still be done: see what there is, or send a submission again with the same \
                      Idempotency-Key.";
        Self::new(Code::OutcomeUnknown, format!("{} {detail}", sentence(&unavailable)))
    }
}

fn sentence(unavailable: &Unavailable) -> String {
    let text = unavailable.to_string();
    let mut letters = text.chars();
    let capitalised = letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect());
    format!("{capitalised}.")
}

impl From<Unavailable> for ApiError {
    fn from(unavailable: Unavailable) -> Self {
        let code = match unavailable {
            Unavailable::Storage(_) => Code::StorageUnavailable,
            Unavailable::Busy | Unavailable::Stopping | Unavailable::Interrupted | Unavailable::Slow => {
                Code::Overloaded
            }
        };
        Self::new(code, sentence(&unavailable))
    }
}

impl From<NoRoom> for ApiError {
    fn from(no_room: NoRoom) -> Self {
        match no_room {
            NoRoom::TooManyJobs { limit } => {
                Self::new(Code::TooManyJobs, format!("{limit} jobs are unfinished already."))
            }
            NoRoom::TooManyJobsOfKey { limit } => Self::new(
                Code::TooManyJobsOfKey,
                format!("{limit} jobs submitted with this API key are unfinished already."),
            ),
            NoRoom::TooManyIdempotencyKeys { limit } => Self::new(
                Code::TooManyIdempotencyKeys,
                format!(
                    "{limit} idempotency keys were used with this API key within a day. Send the request without one, or later."
                ),
            ),
            NoRoom::TooMuchText { limit } => Self::new(
                Code::TooMuchText,
                format!(
                    "The reasons and labels of the jobs that are kept for this resource, or of this API key, would be longer \
                     than {limit} bytes together. Send shorter ones, or send the request again in a minute."
                ),
            ),
            NoRoom::KeyReused => {
                Self::new(Code::IdempotencyKeyReused, "The Idempotency-Key came with a different body before.")
            }
        }
    }
}

impl From<PlanError> for ApiError {
    fn from(error: PlanError) -> Self {
        match error {
            PlanError::Refused(refusal) => refusal.into(),
            PlanError::NoReading(failure) => Self::no_reading(failure),
        }
    }
}

/// The OpenAPI responses for `codes`, one per status, each with an example per code.
fn responses(codes: impl Iterator<Item = Code>) -> BTreeMap<String, RefOr<Response>> {
    let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in codes {
        by_status.entry(code.status()).or_default().push(code);
    }
    by_status.into_iter().map(|(status, codes)| (status.to_string(), RefOr::T(response(status, &codes)))).collect()
}

fn response(status: u16, codes: &[Code]) -> Response {
    let titles: Vec<&str> = codes.iter().map(|code| code.title()).collect();
    let mut response =
        ResponseBuilder::new().description(format!("{}.", titles.join("; "))).content(PROBLEM_JSON, content(codes));
    if matches!(status, 429 | 503) {
        response =
            response.header("Retry-After", super::openapi::headers::seconds_header("When to try again, in seconds."));
    }
    response.build()
}

fn content(codes: &[Code]) -> Content {
    let examples = codes.iter().map(|code| {
        let mut document = ApiError::new(*code, code.example()).document(Uuid::from_u128(EXAMPLE_REQUEST));
        if *code == Code::ValidationFailed {
            let detail = "must be between 0 and 1000000".to_owned();
            document.errors = vec![FieldError { pointer: "/targetCapacity".into(), detail }];
        }
        if *code == Code::NotReady {
            document.reason = Some(NotReadyReason::StorageUnavailable);
        }
        let example = ExampleBuilder::new().summary(code.title()).value(serde_json::to_value(document).ok()).build();
        (code.as_str(), RefOr::T(example))
    });
    ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).examples_from_iter(examples).build()
}

const EXAMPLE_REQUEST: u128 = 0x1b4e_28ba_2fa1_41d2_883f_0016_d3cc_a427;

/// What can be wrong with any request, because of where it comes from.
const PERIMETER: &[Code] = &[Code::MalformedRequest, Code::OriginRefused, Code::WrongHost];
/// What can be wrong with any request that needs a key, because of who makes it.
const GUARD: &[Code] = &[
    Code::AuthenticationRequired,
    Code::InvalidKey,
    Code::KeyExpired,
    Code::KeyRevoked,
    Code::InsufficientScope,
    Code::RateLimited,
    Code::StorageUnavailable,
];

macro_rules! problems {
    (@common open) => { PERIMETER.iter() };
    (@common guarded) => { PERIMETER.iter().chain(GUARD) };
    ($($(#[$doc:meta])* $kind:ident $name:ident: $($code:ident)*;)*) => {
        $(
            $(#[$doc])*
            pub struct $name;

            impl IntoResponses for $name {
                fn responses() -> BTreeMap<String, RefOr<Response>> {
                    let codes = [$(Code::$code),*];
                    responses(codes.iter().chain(problems!(@common $kind)).copied())
                }
            }
        )*
    };
}

problems! {
    /// What can go wrong with `POST /v1/jobs`.
    guarded SubmitProblems: ResourceForbidden JobNotFound ResourceNotFound BodyTimeout ResourceBusy BodyTooLarge
        UnsupportedMediaType ValidationFailed OutOfBounds IdempotencyKeyReused TooManyJobsOfKey TooManyIdempotencyKeys
        TooMuchText TooManyResources QueueFull InternalError TooManyJobs Overloaded
        OutcomeUnknown;
    /// What can go wrong with `POST /v1/plans`.
    guarded PlanProblems: ResourceForbidden ResourceNotFound BodyTimeout ResourceBusy BodyTooLarge UnsupportedMediaType
        ValidationFailed OutOfBounds TooManyJobsOfKey TooMuchText TooManyResources QueueFull InternalError SidecarUnreachable TooManyJobs Overloaded;
    /// What can go wrong with `GET /v1/jobs/{id}`.
    guarded GetJobProblems: JobNotFound InternalError;
    /// What can go wrong with `GET /v1/jobs`.
    guarded ListJobsProblems: ResourceForbidden ValidationFailed InternalError Overloaded;
    /// What can go wrong with `POST /v1/jobs/{id}/cancel`.
    guarded CancelProblems: JobNotFound JobFinished InternalError Overloaded OutcomeUnknown;
    /// What can go wrong with `GET /v1/resources`.
    guarded ListResourcesProblems: ValidationFailed InternalError Overloaded;
    /// What can go wrong with `GET /v1/resources/{alias}`.
    guarded GetResourceProblems: ResourceForbidden ResourceNotFound ValidationFailed InternalError SidecarUnreachable
        Overloaded;
    /// What can go wrong with `GET /v1/resources/{alias}/timeline`.
    guarded TimelineProblems: ResourceForbidden ValidationFailed InternalError Overloaded;
    /// What can go wrong with `GET /v1/jobs/{id}/events`.
    guarded JobEventsProblems: JobNotFound TooManyStreamsOfCaller InternalError TooManyStreams Overloaded;
    /// What can go wrong with `GET /v1/events`.
    guarded AllEventsProblems: ResourceForbidden ValidationFailed TooManyStreamsOfCaller InternalError TooManyStreams
        Overloaded;
    /// What can go wrong with `POST /v1/keys`.
    guarded CreateKeyProblems: BodyTimeout TooManyKeys BodyTooLarge UnsupportedMediaType ValidationFailed InternalError
        OutcomeUnknown;
    /// What can go wrong with `GET /v1/keys`.
    guarded ListKeysProblems: InternalError;
    /// What can go wrong with `GET /v1/keys/{id}`.
    guarded GetKeyProblems: KeyNotFound InternalError;
    /// What can go wrong with `POST /v1/keys/{id}/revoke`.
    guarded RevokeKeyProblems: KeyNotFound KeyConfigured InternalError RevocationNotWritten
        OutcomeUnknown;
    /// What can go wrong with `GET /v1/audit`.
    guarded AuditProblems: ValidationFailed InternalError Overloaded;
    /// What can go wrong with `GET /livez`.
    open LiveProblems: InternalError;
    /// What can go wrong with `GET /readyz`.
    open ReadyProblems: InternalError NotReady;
    /// What can go wrong with `GET /metrics`.
    guarded MetricsProblems: ResourceForbidden InternalError;
}
