//! How the gateway is doing.

use serde::{Deserialize, Serialize};
use strum::{EnumMessage, VariantArray};
use utoipa::ToSchema;

use super::WireTime;
use crate::domain::Reach;
use crate::engine::{Health, Unavailable};

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
    /// The number of unfinished jobs; `null` for callers who may not read all of them.
    // Read so that it must be there, be it `null`: an answer without it is another program's.
    #[serde(deserialize_with = "Option::deserialize")]
    pub unfinished_jobs: Option<u64>,
    /// The last contact with the sidecar, which readiness does not depend on; `null` for callers who may not read anything.
    #[serde(deserialize_with = "Option::deserialize")]
    pub sidecar: Option<SidecarContactView>,
}

impl Ready {
    /// What is told to a caller who may read within `reach`, or may not read at all.
    pub fn within(reach: Option<&Reach>, health: Health) -> Self {
        let reads_all_jobs = reach.is_some_and(|reach| reach.resources().is_none());
        Self {
            status: "ready".into(),
            unfinished_jobs: reads_all_jobs.then_some(health.unfinished_jobs as u64),
            sidecar: reach.map(|_| SidecarContactView {
                reachable: health.sidecar.reachable,
                last_answer_at: health.sidecar.last_answer_at.map(WireTime),
                last_failure: health.sidecar.last_failure,
            }),
        }
    }
}

/// Why a gateway is not ready, for programs; it is told without an API key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, EnumMessage, VariantArray)]
#[serde(rename_all = "snake_case")]
pub enum NotReadyReason {
    /// The gateway has just started and still reads its store, which takes some seconds.
    Starting,
    /// The store cannot be read or written at present: the disk is full, say. No job is accepted or moved on meanwhile.
    StorageUnavailable,
    /// The engine, which moves jobs on, does not answer, or has too much to do.
    EngineUnavailable,
    /// The gateway was told to stop.
    Stopping,
}

impl From<&Unavailable> for NotReadyReason {
    fn from(unavailable: &Unavailable) -> Self {
        match unavailable {
            Unavailable::Storage(_) => Self::StorageUnavailable,
            Unavailable::Stopping => Self::Stopping,
            Unavailable::Busy | Unavailable::Interrupted | Unavailable::Slow => Self::EngineUnavailable,
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
