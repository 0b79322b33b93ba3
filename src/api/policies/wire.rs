//! What policies look like in answers.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::PolicyDocument;
use crate::api::view::{ActorView, WireTime};
use crate::domain::policy::Mode;
use crate::domain::{Alias, Timestamp};
use crate::engine::PolicyView;
use crate::policy::{Object, canonical, summary, warnings};
use crate::store::Revision;

/// The policy of `resource` as a document, with what only answers have.
pub fn document(resource: &Alias, view: &PolicyView, now: Timestamp) -> Object {
    let warnings = warnings(&view.policy, &view.rules, now);
    let updated_by = view.by.as_ref().map(ActorView::from);
    canonical(&view.policy)
        .with("resource", resource.as_str())
        .with("revision", view.revision)
        .with("updatedAt", view.since.to_string())
        .with("updatedBy", serde_json::to_value(updated_by).unwrap_or_default())
        .with("summary", summary(&view.policy, resource.as_str()))
        .with("warnings", serde_json::to_value(warnings).unwrap_or_default())
}

/// A resource that has a policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyEntry {
    /// The alias of the resource.
    #[schema(value_type = Alias)]
    pub resource: String,
    /// The number of the revision in force.
    pub revision: u64,
    /// Whether the policy acts.
    pub mode: Mode,
    /// Whether the policy is in the configuration file, and so cannot be changed over HTTP.
    pub in_file: bool,
    /// When the revision was made.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: WireTime,
    /// Who made the revision; `null` if no key was shown.
    pub updated_by: Option<ActorView>,
}

impl PolicyEntry {
    /// The entry for `resource`.
    pub fn new(resource: &Alias, view: &PolicyView) -> Self {
        Self {
            resource: resource.as_str().to_owned(),
            revision: view.revision,
            mode: view.policy.mode,
            in_file: view.is_in_file,
            updated_at: WireTime(view.since),
            updated_by: view.by.as_ref().map(ActorView::from),
        }
    }
}

/// A page of policies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyList {
    /// The policies of the page, in the order of their resources' aliases.
    pub policies: Vec<PolicyEntry>,
    /// The `pageToken` of the next page; `null` on the last one.
    pub next_page_token: Option<String>,
}

/// A revision of a policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyRevision {
    /// The number of the revision.
    pub revision: u64,
    /// When the revision was made.
    #[schema(value_type = String, format = DateTime)]
    pub at: WireTime,
    /// Who made the revision; `null` if no key was shown.
    pub by: Option<ActorView>,
    /// The policy with its defaults; `null` if it was deleted.
    pub policy: Option<PolicyDocument>,
}

impl PolicyRevision {
    /// What is shown of `revision`.
    ///
    /// # Errors
    /// If what is stored of it is no policy.
    pub fn of(revision: &Revision) -> serde_json::Result<Self> {
        Ok(Self {
            revision: revision.number,
            at: WireTime(revision.at),
            by: revision.by.as_ref().map(ActorView::from),
            policy: revision.document.as_deref().map(serde_json::from_str).transpose()?,
        })
    }
}

/// The revisions of a policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PolicyRevisionList {
    /// The last 50 revisions, newest first.
    pub revisions: Vec<PolicyRevision>,
}
