//! How the gateway is doing.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::WireTime;
use crate::engine::Health;

/// The process is alive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Alive {
    /// `alive`.
    pub status: String,
}

/// The gateway can do its work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Ready {
    /// `ready`.
    pub status: String,
    /// Number of unfinished jobs.
    pub unfinished_jobs: u64,
    /// The last contact with the sidecar, which readiness does not depend on.
    pub sidecar: SidecarContactView,
}

impl From<Health> for Ready {
    fn from(health: Health) -> Self {
        Self {
            status: "ready".into(),
            unfinished_jobs: health.unfinished_jobs as u64,
            sidecar: SidecarContactView {
                reachable: health.sidecar.reachable,
                last_answer_at: health.sidecar.last_answer_at.map(WireTime),
                last_failure: health.sidecar.last_failure,
            },
        }
    }
}

/// The last contact with the sidecar.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SidecarContact)]
pub struct SidecarContactView {
    /// Whether it answered last time; `null` before the first time.
    pub reachable: Option<bool>,
    /// When it last answered.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_answer_at: Option<WireTime>,
    /// Why it did not answer last time.
    pub last_failure: Option<String>,
}
