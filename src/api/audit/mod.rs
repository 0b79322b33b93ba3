//! The audit record: `GET /v1/audit`, and what is written into it.

mod recorder;

use actix_web::{HttpRequest, HttpResponse, get, web};
use serde::{Deserialize, Serialize};
use strum::{EnumMessage, VariantArray};
use utoipa::ToSchema;
use uuid::Uuid;

pub(super) use recorder::AuditLevel;
pub use recorder::AuditRecorder;

use crate::api::caller::Caller;
use crate::api::openapi::examples;
use crate::api::problem::{ApiError, Code};
use crate::api::query::Paging;
use crate::api::routes::{Route, problems};
use crate::api::view::{ActorView, WireTime};
use crate::api::{ApiState, list};
use crate::domain::{Action, Alias, AuditEntry, AuditVerdict, Scope};

/// The scopes, the audit action and the problems of each operation.
pub(super) const ROUTES: &[Route] =
    &[Route::get("/v1/audit").needs(&[Scope::Admin]).problems(problems![ValidationFailed Overloaded])];

/// Read who tried to change something
///
/// Every attempt to submit or cancel a job or a group, or to make or revoke a key, newest first, a page at a time: by whom, from where,
/// and what came of it. Of keys that were made and revoked 100,000 entries are kept; of jobs that were accepted and canceled,
/// 100,000; of what changed nothing, because it was done already, 10,000; of what was refused, 10,000 to owners of keys and
/// 10,000 to others. The oldest ones go first, and among them those of the key that has most. Requests with a valid key beyond
/// a rate limit are only in the log, and so are answers that were given before to the same request. A page also ends at about half a megabyte, with a token.
///
/// Of what is refused to callers without a valid key, at most 10 attempts from one network and 100 in all are recorded in ten
/// minutes. How many more there were, an entry with the outcome `omitted` says after these ten minutes.
#[utoipa::path(
    operation_id = "listAuditEntries", tag = "access",
    params(Paging),
    responses(
        (status = 200, description = "A page of attempts.", body = AuditList, example = json!(examples::example_audit())),
    )
)]
#[get("/v1/audit")]
pub async fn list_audit_entries(
    state: web::Data<ApiState>,
    request: HttpRequest,
    caller: Caller,
) -> Result<HttpResponse, ApiError> {
    let paging = Paging::parse(request.query_string())?;
    let page = state.read(&caller, "record", async move |reader| reader.audit(paging.after, paging.size).await).await?;
    Ok(list::answer(&request, "entries", page, |entry| list::json(&AuditView::from(entry))))
}

/// An attempt as it is shown, in one line of JSON.
///
/// # Errors
/// If it cannot be written as JSON, which cannot happen.
pub fn audit_line(entry: &AuditEntry) -> serde_json::Result<String> {
    serde_json::to_string(&AuditView::from(entry))
}

/// A page of attempts to change something.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditList {
    /// The attempts of the page, newest first.
    pub entries: Vec<AuditView>,
    /// The `pageToken` of the next page; `null` on the last one.
    pub next_page_token: Option<String>,
}

/// An attempt to change something, and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AuditEntry)]
pub struct AuditView {
    /// When it was tried.
    #[schema(value_type = String, format = DateTime)]
    pub at: WireTime,
    /// What the request was to do.
    pub action: Action,
    /// What came of the attempt.
    pub outcome: AuditOutcome,
    /// How many attempts the entry is about: 1, unless the outcome is `omitted`.
    pub attempts: u32,
    /// The code of the problem that was the answer; `null` if it was not refused.
    #[schema(value_type = Option<Code>)]
    pub code: Option<String>,
    /// Who made the attempt. A key is or was one of this gateway; it may have been revoked or have expired. `null` if
    /// there was none, or one that the gateway does not know.
    pub actor: Option<ActorView>,
    /// The address that the request came from; `null` for one from the command line.
    pub address: Option<String>,
    /// The id of the request, as in its answer and in the log; `null` for one from the command line.
    pub request_id: Option<Uuid>,
    /// The resource concerned; `null` if there is none, or if the request did not name one that can be.
    #[schema(value_type = Option<Alias>)]
    pub resource: Option<String>,
    /// The id of the job concerned; `null` if there is none.
    pub job: Option<Uuid>,
    /// The id of the group concerned; `null` if there is none.
    pub group: Option<Uuid>,
    /// The id of the key concerned; `null` if there is none.
    pub key: Option<String>,
}

/// What came of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, EnumMessage, VariantArray)]
#[serde(rename_all = "snake_case")]
pub enum AuditOutcome {
    /// It was done, or will be done.
    Accepted,
    /// It was done or under way already: nothing was changed.
    Unchanged,
    /// It was not done, and `code` says why.
    Refused,
    /// It was refused to callers without a valid key, so often that these attempts have no entries of their own.
    Omitted,
}

impl From<&AuditEntry> for AuditView {
    fn from(entry: &AuditEntry) -> Self {
        let AuditEntry { at, attempt, action, subject, verdict } = entry;
        let (outcome, code, attempts) = match verdict {
            AuditVerdict::Accepted => (AuditOutcome::Accepted, None, 1),
            AuditVerdict::Unchanged => (AuditOutcome::Unchanged, None, 1),
            AuditVerdict::Refused { code } => (AuditOutcome::Refused, Some(code.clone()), 1),
            AuditVerdict::Omitted { attempts } => {
                (AuditOutcome::Omitted, None, u32::try_from(*attempts).unwrap_or(u32::MAX))
            }
        };
        Self {
            at: WireTime(*at),
            action: *action,
            outcome,
            attempts,
            code,
            actor: attempt.actor.as_ref().map(ActorView::from),
            address: attempt.address.map(|address| address.to_string()),
            request_id: attempt.request,
            resource: subject.resource.as_ref().map(|resource| resource.as_str().to_owned()),
            job: subject.job,
            group: subject.group,
            key: subject.key.as_ref().map(|key| key.as_str().to_owned()),
        }
    }
}
