//! What a simulated sidecar says, as it goes over the wire.

use std::time::Duration;

use serde::Serialize;

use crate::domain::{Alias, Capacity};

/// What a request leads to.
///
/// Answers are text rather than typed values so that a test without sockets still runs the gateway's parser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// How long after the request the reply is sent.
    pub delay: Duration,
    /// What is sent.
    pub reply: Reply,
}

/// What is sent in answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// A response.
    Response {
        /// HTTP status code; success is exactly 200.
        status: u16,
        /// The body; JSON, unless it is garbage on purpose.
        body: String,
    },
    /// Nothing: the connection is closed.
    ConnectionClosed,
}

impl Reply {
    pub(super) const fn status(&self) -> Option<u16> {
        match self {
            Self::Response { status, .. } => Some(*status),
            Self::ConnectionClosed => None,
        }
    }
}

/// A 200 with `body`.
pub(super) fn success(body: &impl Serialize) -> Reply {
    Reply::Response { status: 200, body: json(body) }
}

fn json(body: &impl Serialize) -> String {
    // Structs of strings and numbers always serialise; the message is for a developer who adds a map to one of them.
    serde_json::to_string(body).unwrap_or_else(|error| format!("unserialisable: {error}"))
}

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("{0}")]
    BadRequest(String),
    #[error("{0}")]
    NotFound(String),
    #[error("{0}")]
    InvalidState(String),
    #[error("simulated internal error")]
    Internal,
}

/// The platform's error form.
#[derive(Serialize)]
struct ErrorBody {
    name: &'static str,
    id: String,
    message: String,
    temporary: bool,
    timeout: bool,
    fault: bool,
}

impl Refusal {
    /// The refusal in the platform's error form. `number` makes its id unique.
    pub(super) fn reply(&self, number: u64) -> Reply {
        let (status, name) = match self {
            Self::BadRequest(_) => (400, "bad_request"),
            Self::NotFound(_) => (404, "not_found"),
            Self::InvalidState(_) => (409, "invalid_state"),
            Self::Internal => (500, "internal_error"),
        };
        let body = ErrorBody {
            name,
            id: format!("sim-{number:06}"),
            message: self.to_string(),
            temporary: false,
            timeout: false,
            fault: *self == Self::Internal,
        };
        Reply::Response { status, body: json(&body) }
    }
}

/// What stands in the place of JSON when the answer is garbage: a proxy's error page, cut short.
pub(super) const GARBAGE: &str = "<html><head><title>200 OK</title></he";

const INSTANCE_ID: &str = "instance-simulated";

fn resource_id(alias: &Alias) -> String {
    format!("r-{alias}")
}

/// The answer to a reading.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ReadingBody<'a> {
    instance_id: &'static str,
    resource_id: String,
    resource_alias: &'a Alias,
    status: &'a str,
    current_capacity: Capacity,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_observed_timestamp: Option<String>,
}

impl<'a> ReadingBody<'a> {
    pub(super) fn new(alias: &'a Alias, status: &'a str, capacity: Capacity, observed: Option<String>) -> Self {
        Self {
            instance_id: INSTANCE_ID,
            resource_id: resource_id(alias),
            resource_alias: alias,
            status,
            current_capacity: capacity,
            last_observed_timestamp: observed,
        }
    }
}

/// The answer to a change of one resource.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ChangedBody<'a> {
    instance_id: &'static str,
    resource_id: String,
    resource_alias: &'a Alias,
}

impl<'a> ChangedBody<'a> {
    pub(super) fn new(alias: &'a Alias) -> Self {
        Self { instance_id: INSTANCE_ID, resource_id: resource_id(alias), resource_alias: alias }
    }
}

/// The answer to a change of several resources in one request.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct GroupChangedBody<'a> {
    instance_id: &'static str,
    resources: Vec<GroupMember<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GroupMember<'a> {
    resource_alias: &'a Alias,
    resource_id: String,
}

impl<'a> GroupChangedBody<'a> {
    pub(super) fn new(aliases: impl Iterator<Item = &'a Alias>) -> Self {
        let resources =
            aliases.map(|alias| GroupMember { resource_alias: alias, resource_id: resource_id(alias) }).collect();
        Self { instance_id: INSTANCE_ID, resources }
    }
}
