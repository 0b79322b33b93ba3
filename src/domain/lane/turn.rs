//! The circumstances of an event, and what the lane asks of the engine in return.

use std::sync::Arc;

use super::super::capacity::Move;
use super::super::history::{HistoryEntry, ResourceEvent};
use super::super::job::Job;
use super::super::job_id::JobId;
use super::super::scaling::ResourceConfig;
use super::super::time::Timestamp;

/// Identifies a call to the sidecar, so that an answer to a question that no longer matters is not taken
/// for the answer to a later one.
pub type CallId = u64;

/// A call to be made to the sidecar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// Read the capacity.
    Read,
    /// Change it. The intent is committed.
    Change(Move),
}

/// What an event asks of the engine.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Jobs to be committed and then published, in their new version.
    pub jobs: Vec<Arc<Job>>,
    /// Whether the lane's record is to be committed with them.
    pub record: bool,
    /// Whether that commit is the intent of a change; if so, [`super::Lane::on_intent_committed`] must follow it.
    pub intent: bool,
    /// A call to be made now.
    pub call: Option<(CallId, Call)>,
    /// What happened to the resource, to be committed with the rest.
    pub history: Vec<HistoryEntry>,
    /// What happened, for the log.
    pub notices: Vec<Notice>,
}

/// Something worth a line in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The job concerned.
    pub job: JobId,
    /// Whether an operator should look at it.
    pub warning: bool,
    /// What happened and why, in a sentence.
    pub message: String,
}

/// The circumstances of an event.
pub struct Turn<'a> {
    /// When it happened.
    pub now: Timestamp,
    /// The operator's rules for the resource.
    pub rules: ResourceConfig,
    /// Whether changes may be sent; not so while the process stops.
    pub may_send: bool,
    /// The id of the next call to the sidecar.
    pub next_call: &'a mut CallId,
    /// What is to be done.
    pub outcome: Outcome,
}

impl<'a> Turn<'a> {
    /// A turn at `now` in which nothing has happened yet.
    pub fn new(now: Timestamp, rules: ResourceConfig, may_send: bool, next_call: &'a mut CallId) -> Self {
        Self { now, rules, may_send, next_call, outcome: Outcome::default() }
    }

    pub(super) fn call(&mut self, call: Call) -> CallId {
        let id = *self.next_call;
        *self.next_call += 1;
        self.outcome.call = Some((id, call));
        id
    }

    pub(super) fn record(&mut self, what: ResourceEvent) {
        self.outcome.history.push(HistoryEntry { at: self.now, what });
    }

    pub(super) fn note(&mut self, job: JobId, message: String) {
        self.outcome.notices.push(Notice { job, warning: false, message });
    }

    pub(super) fn warn(&mut self, job: JobId, message: String) {
        self.outcome.notices.push(Notice { job, warning: true, message });
    }
}
