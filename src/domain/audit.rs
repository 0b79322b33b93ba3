//! Who tried to change something, and what came of it.
//!
//! An attempt that is obeyed is recorded in the same commit as what it changes: there is never the one without the other.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use strum::{EnumMessage, VariantArray};
use utoipa::ToSchema;
use uuid::Uuid;

use super::access::{Actor, KeyId};
use super::alias::Alias;
use super::job_id::JobId;
use super::membership::GroupId;
use super::time::Timestamp;

/// A request to change something, as far as it matters who made it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// The id of the request; `None` for one from the command line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<Uuid>,
    /// Who made it; `None` for a caller without a key that is or was one of this gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<Actor>,
    /// Where it came from; `None` for one from the command line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
}

/// What was tried.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    ToSchema,
    EnumMessage,
    VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[schema(as = AuditAction)]
pub enum Action {
    /// A job was to be submitted.
    SubmitJob,
    /// A job was to be canceled.
    CancelJob,
    /// A group was to be submitted.
    SubmitGroup,
    /// A group was to be canceled.
    CancelGroup,
    /// A key was to be made.
    CreateKey,
    /// A key was to be revoked.
    RevokeKey,
    /// A policy was to be put.
    PutPolicy,
    /// A policy was to be deleted.
    DeletePolicy,
    /// A hold was to be put.
    PutHold,
    /// A hold was to be ended.
    DeleteHold,
    /// A claim was to be made.
    CreateClaim,
    /// A claim was to be given another end.
    RenewClaim,
    /// A claim was to be ended.
    DeleteClaim,
    /// Alerts were to be taken in. What becomes of their claims is recorded for each.
    ReceiveAlerts,
}

impl Action {
    /// The action as it appears in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SubmitJob => "submit_job",
            Self::CancelJob => "cancel_job",
            Self::SubmitGroup => "submit_group",
            Self::CancelGroup => "cancel_group",
            Self::CreateKey => "create_key",
            Self::RevokeKey => "revoke_key",
            Self::PutPolicy => "put_policy",
            Self::DeletePolicy => "delete_policy",
            Self::PutHold => "put_hold",
            Self::DeleteHold => "delete_hold",
            Self::CreateClaim => "create_claim",
            Self::RenewClaim => "renew_claim",
            Self::DeleteClaim => "delete_claim",
            Self::ReceiveAlerts => "receive_alerts",
        }
    }
}

/// What it was tried on, as far as is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// The resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<Alias>,
    /// The job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobId>,
    /// The group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupId>,
    /// The key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyId>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum AuditVerdict {
    /// It was done, or will be.
    Accepted,
    /// It was done or under way already.
    Unchanged,
    /// It was not done.
    Refused {
        /// The code of the problem in the answer.
        code: String,
    },
    /// It was refused to strangers, more often than it is recorded.
    Omitted {
        /// How often without a record of its own.
        attempts: u64,
    },
}

/// One attempt to change something, with what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// When.
    pub at: Timestamp,
    /// By whom, from where.
    #[serde(flatten)]
    pub attempt: Attempt,
    /// What.
    pub action: Action,
    /// On what.
    #[serde(flatten)]
    pub subject: Subject,
    /// What came of it.
    #[serde(flatten)]
    pub verdict: AuditVerdict,
}

/// What an entry is kept with. Each class has a limit of its own: attempts that are refused or change nothing cannot push out
/// the record of what was done, scaling cannot push out the record of who made and revoked keys, and attempts without a key
/// cannot push out those of the keys' owners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetentionClass {
    /// A key was made or revoked.
    Keys,
    /// Anything else was done.
    Obeyed,
    /// What was done already: a caller that may do it may ask for it again and again.
    Repeated,
    /// What was refused to the owner of a key.
    Refused,
    /// What was refused to a caller without a key of ours.
    Strangers,
}

impl RetentionClass {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Keys, Self::Obeyed, Self::Repeated, Self::Refused, Self::Strangers];

    /// The class as it is called in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Keys => "keys",
            Self::Obeyed => "obeyed",
            Self::Repeated => "repeated",
            Self::Refused => "refused",
            Self::Strangers => "strangers",
        }
    }

    /// Most entries of it that are kept, of a few hundred bytes each. A hundred thousand are almost a year of one change in
    /// five minutes.
    pub const fn room(self) -> usize {
        match self {
            Self::Keys | Self::Obeyed => 100_000,
            Self::Repeated | Self::Refused | Self::Strangers => 10_000,
        }
    }
}

impl AuditEntry {
    /// What it is kept with.
    pub fn retention_class(&self) -> RetentionClass {
        match (&self.verdict, &self.attempt.actor) {
            (AuditVerdict::Accepted, _) => match self.action {
                Action::CreateKey | Action::RevokeKey => RetentionClass::Keys,
                Action::SubmitJob
                | Action::CancelJob
                | Action::SubmitGroup
                | Action::CancelGroup
                | Action::PutPolicy
                | Action::DeletePolicy
                | Action::PutHold
                | Action::DeleteHold
                | Action::CreateClaim
                | Action::RenewClaim
                | Action::DeleteClaim
                | Action::ReceiveAlerts => RetentionClass::Obeyed,
            },
            (AuditVerdict::Unchanged, _) => RetentionClass::Repeated,
            (AuditVerdict::Refused { .. }, Some(_)) => RetentionClass::Refused,
            (AuditVerdict::Refused { .. }, None) | (AuditVerdict::Omitted { .. }, _) => RetentionClass::Strangers,
        }
    }
}
