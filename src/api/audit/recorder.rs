//! The record of attempts to change something: a line of the log for each, and a durable entry for those that were refused.
//! Those that were obeyed became durable with what they changed.
//!
//! A caller without a valid key decides how often it is refused, and must neither fill the disk nor push out what others did:
//! such attempts are [sampled](crate::access::Sampler), in the log as in the store, and the rest is counted. It must never
//! wait for the store longer than an answer may take.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::body::BoxBody;
use actix_web::dev::ServiceResponse;
use actix_web::http::StatusCode;
use actix_web::{HttpMessage as _, HttpResponse};
use tokio::time::timeout;

use crate::access::{Sampled, Sampler};
use crate::api::caller::Caller;
use crate::api::problem::{ApiError, Code};
use crate::api::routes::path_of;
use crate::clock::Clock;
use crate::domain::{Action, Attempt, AuditEntry, AuditVerdict, Subject};
use crate::store::{Store, Unit, commit_one};

/// Longest time an answer that refuses something waits for the record of it.
const RECORD_PATIENCE: Duration = Duration::from_secs(1);

/// How an attempt that is refused is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::api) enum AuditLevel {
    /// An entry of its own: the caller has a valid key.
    Entry,
    /// A line of the log: the caller has a valid key, but asks too much, or comes before anything can be written.
    LogLine,
    /// An entry, if there are not too many: the caller has no valid key.
    Sample,
    /// It is counted: the caller has no valid key, and asks too much, or comes before anything can be written.
    CountOnly,
}

impl AuditLevel {
    pub fn of(is_stranger: bool, is_beyond_limits: bool) -> Self {
        match (is_stranger, is_beyond_limits) {
            (false, false) => Self::Entry,
            (false, true) => Self::LogLine,
            (true, false) => Self::Sample,
            (true, true) => Self::CountOnly,
        }
    }
}

/// See the module's documentation.
pub struct AuditRecorder {
    store: Arc<dyn Store>,
    clock: Clock,
    strangers: Sampler,
}

impl AuditRecorder {
    /// A recorder that writes to `store`.
    pub fn new(store: Arc<dyn Store>, clock: Clock) -> Self {
        Self { store, clock, strangers: Sampler::default() }
    }

    /// The record of what `caller` did or was refused.
    pub fn entry(&self, caller: &Caller, action: Action, subject: Subject, verdict: AuditVerdict) -> AuditEntry {
        AuditEntry { at: self.clock.now(), attempt: caller.attempt(), action, subject, verdict }
    }

    /// Records what came of an attempt, at this `level`.
    pub(in crate::api) async fn record(
        self: &Arc<Self>,
        caller: &Caller,
        action: Action,
        response: &ServiceResponse<BoxBody>,
        level: AuditLevel,
    ) {
        let code = refusal_code(response.response());
        if code.is_some() && self.leaves_out(caller, action, level) {
            return;
        }
        let noted = response.request().extensions().get::<Subject>().cloned();
        let subject = noted.unwrap_or_else(|| subject_in(path_of(response.request())));
        let (resource, job, about) = (&subject.resource, &subject.job, &subject.key);
        tracing::info!(
            target: "scalegate::audit",
            action = action.as_str(),
            outcome = outcome(action, response.response(), code),
            code = code.map(Code::as_str),
            key = caller.key_id().map(|key| key.as_str()),
            key_name = caller.key.as_ref().map(|key| key.name.as_str()),
            address = caller.address.map(tracing::field::display),
            resource = resource.as_ref().map(|resource| resource.as_str()),
            job = job.as_ref().map(tracing::field::display),
            group = subject.group.as_ref().map(tracing::field::display),
            about_key = about.as_ref().map(|key| key.as_str()),
            "audit"
        );
        // Of one whose outcome is unknown there will be a record if it is obeyed, and a store that does not work takes none.
        let is_recorded =
            |code: &Code| !matches!(code, Code::OutcomeUnknown | Code::RevocationNotWritten | Code::StorageUnavailable);
        if let Some(code) = code.filter(is_recorded)
            && level != AuditLevel::LogLine
        {
            let verdict = AuditVerdict::Refused { code: code.as_str().to_owned() };
            self.write(vec![self.entry(caller, action, subject, verdict)]).await;
        }
    }

    /// Whether an `action` that was refused to `caller` gets no record of its own. It is counted then.
    fn leaves_out(self: &Arc<Self>, caller: &Caller, action: Action, level: AuditLevel) -> bool {
        let now = Instant::now();
        let sampled = match level {
            AuditLevel::Entry | AuditLevel::LogLine => return false,
            AuditLevel::Sample => self.strangers.admit(caller.address, action, now),
            AuditLevel::CountOnly => self.strangers.omit(action, now),
        };
        let Sampled::Omitted { count_due_in } = sampled else { return false };
        if let Some(due_in) = count_due_in {
            tracing::warn!(
                target: "scalegate::audit",
                address = caller.address.map(tracing::field::display),
                "too many attempts without a valid key: more of them are counted and not recorded, for {} s",
                due_in.as_secs()
            );
            let recorder = Arc::clone(self);
            actix_web::rt::spawn(async move {
                tokio::time::sleep(due_in).await;
                recorder.write_omitted().await;
            });
        }
        true
    }

    /// Records how many attempts were left out so far. To be called before the process ends.
    pub async fn write_omitted(&self) {
        let unknown = Attempt { request: None, actor: None, address: None };
        let omitted = self.strangers.take_omitted().into_iter().map(|(action, attempts)| {
            tracing::warn!(
                target: "scalegate::audit",
                action = action.as_str(),
                attempts,
                "attempts without a valid key were refused and not recorded one by one"
            );
            let (subject, verdict) = (Subject::default(), AuditVerdict::Omitted { attempts });
            AuditEntry { at: self.clock.now(), attempt: unknown.clone(), action, subject, verdict }
        });
        let omitted: Vec<_> = omitted.collect();
        if !omitted.is_empty() {
            self.write(omitted).await;
        }
    }

    /// Makes `audit` durable. What takes longer than an answer waits is written all the same, as soon as the store can.
    async fn write(&self, audit: Vec<AuditEntry>) {
        let unit = Unit { audit, ..Unit::default() };
        if let Ok(Err(error)) = timeout(RECORD_PATIENCE, commit_one(&*self.store, unit)).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "could not write the refusal to the audit record");
        }
    }
}

/// What a request is about that got no further than its path.
fn subject_in(path: &str) -> Subject {
    let mut parts = path.split('/').skip(2);
    match (parts.next(), parts.next()) {
        (Some("jobs"), Some(id)) => Subject { job: id.parse().ok(), ..Subject::default() },
        (Some("groups"), Some(id)) => Subject { group: id.parse().ok(), ..Subject::default() },
        (Some("keys"), Some(id)) => Subject { key: id.parse().ok(), ..Subject::default() },
        _ => Subject::default(),
    }
}

fn outcome(action: Action, response: &HttpResponse, refused: Option<Code>) -> &'static str {
    match refused {
        Some(Code::OutcomeUnknown) => "unknown",
        Some(Code::RevocationNotWritten) => "pending",
        Some(_) => "refused",
        None if response.headers().contains_key("idempotency-replayed") => "replayed",
        None if matches!(action, Action::SubmitJob | Action::SubmitGroup) && response.status() == StatusCode::OK => {
            "unchanged"
        }
        None => "accepted",
    }
}

fn refusal_code(response: &HttpResponse) -> Option<Code> {
    let status = response.status();
    let is_refused = status.is_client_error() || status.is_server_error();
    let said = response.extensions().get::<ApiError>().map(ApiError::code);
    is_refused.then(|| said.unwrap_or_else(|| ApiError::of_status(status).code()))
}
