//! How the gateway is doing.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::WireTime;
use crate::engine::Health;

/// The process is alive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Alive {
    /// Always `alive`: a process that is not does not answer.
    pub status: String,
}

/// The gateway can do its work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Ready {
    /// Always `ready`: a gateway that is not answers with a problem.
    pub status: String,
    /// The number of unfinished jobs.
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
    /// Whether the sidecar answered its last call; `null` before the first one.
    pub reachable: Option<bool>,
    /// When the sidecar last answered; `null` if it never did.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_answer_at: Option<WireTime>,
    /// Why the sidecar did not answer its last call; `null` if it did.
    pub last_failure: Option<String>,
}
