//! Everything that can go wrong with a request, as problem documents (RFC 9457): what a handler returns instead of an answer.
//!
//! [`Code`] is the table of what can go wrong. Which codes an operation answers with is declared beside its handler, with
//! [`Route::problems`](super::routes::Route::problems). A problem must never repeat more of a request than fits its limits.

mod code;
mod engine;

use std::fmt;
use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

pub use code::Code;

use super::view::{NotReadyReason, SidecarView};
use crate::domain::{Alias, InvalidSetting, Job, ReadFailure, SidecarAnswer};

/// The media type of problem documents.
pub const PROBLEM_JSON: &str = "application/problem+json";
/// `Retry-After` where nothing better is known, in seconds.
const RETRY_AFTER_SECONDS: u64 = 5;

/// Most errors told of one request. There are fewer fields in it.
const MAX_FIELD_ERRORS: usize = 32;
/// Longest part of what a caller wrote that is repeated to it, in characters.
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
    /// The jobs that are in the way of a group, every one of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub jobs: Vec<JobLink>,
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

/// Everything that is wrong with a request, so that all of it is said at once.
#[derive(Default)]
pub(super) struct FieldErrors(Vec<FieldError>);

impl FieldErrors {
    /// Adds that what is at `pointer` is wrong.
    pub(super) fn add(&mut self, pointer: impl Into<String>, detail: impl Into<String>) {
        self.0.push(FieldError { pointer: pointer.into(), detail: detail.into() });
    }

    /// The same, where a value was expected.
    pub(super) fn refuse<T>(&mut self, pointer: impl Into<String>, detail: impl Into<String>) -> Option<T> {
        self.add(pointer, detail);
        None
    }

    /// The value at `pointer`, unless it is wrong.
    pub(super) fn keep<T, E: fmt::Display>(&mut self, pointer: impl Into<String>, result: Result<T, E>) -> Option<T> {
        result.map_or_else(|error| self.refuse(pointer, error.to_string()), Some)
    }

    /// Adds what is wrong with a setting.
    pub(super) fn add_setting(&mut self, invalid: InvalidSetting) {
        self.add(format!("/{}", invalid.setting.field()), invalid.detail);
    }

    /// Adds what is wrong with a part of the body, which is at `pointer`.
    pub(super) fn add_within(&mut self, pointer: &str, Self(errors): Self) {
        let within = |error: FieldError| FieldError { pointer: format!("{pointer}{}", error.pointer), ..error };
        self.0.extend(errors.into_iter().map(within));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// # Errors
    /// If anything is wrong.
    pub(super) fn check(self) -> Result<(), ApiError> {
        if self.is_empty() { Ok(()) } else { Err(ApiError::invalid(self)) }
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
            jobs: Vec::new(),
        }))
    }

    /// A request that does not make sense in one place or more. Not everything is repeated to a caller who got very much
    /// wrong: an answer must not be larger than what was asked.
    pub(super) fn invalid(FieldErrors(mut errors): FieldErrors) -> Self {
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

    /// A request that makes no sense at `pointer`.
    pub(super) fn invalid_field(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        let mut errors = FieldErrors::default();
        errors.add(pointer, detail);
        Self::invalid(errors)
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

    /// The same, with the resource that was probably meant.
    #[must_use]
    pub(super) fn suggesting(mut self, meant: &Alias) -> Self {
        self.0.detail.push_str(&format!(" Did you mean \"{meant}\"?"));
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

    fn with_jobs(mut self, jobs: &[Arc<Job>]) -> Self {
        self.0.jobs = jobs.iter().map(|job| JobLink::to(job.id)).collect();
        self
    }

    /// The same, said of the member of a group.
    fn of_member(mut self, resource: &Alias) -> Self {
        self.0.detail = format!("{resource}: {}", self.0.detail);
        for error in &mut self.0.errors {
            error.pointer = format!("/targets/{resource}{}", error.pointer);
        }
        self
    }

    /// There is no such group.
    pub fn no_such_group(id: &str) -> Self {
        let id: String = id.chars().take(64).collect();
        Self::new(Code::GroupNotFound, format!("There is no group {id}. Groups are removed with their last job."))
    }

    /// The request was answered before, with a group that is no longer kept.
    pub fn answered_group_gone() -> Self {
        Self::new(
            Code::GroupNotFound,
            "The same request was answered before, with a group that is no longer kept. Nothing was done.",
        )
    }

    /// The group cannot be canceled any more.
    pub fn group_finished(id: Uuid) -> Self {
        Self::new(Code::GroupFinished, format!("Group {id} is over."))
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
