//! What is known about a resource.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::WireTime;
use super::job::SettingsView;
use crate::domain::{ReadFailure, Reading, Timestamp};
use crate::engine::ResourceView;

/// Everything known about a resource.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Resource {
    /// Alias.
    pub resource: String,
    /// Status in the sidecar's words. `null` if it was never read.
    pub status: Option<String>,
    /// Capacity by the last reading, be it usable or not.
    pub capacity: Option<u32>,
    /// The last reading.
    pub last_observation: Option<Observation>,
    /// Why a new reading could not be had just now.
    pub read_failure: Option<String>,
    /// Where the capacity may be put.
    pub bounds: BoundsView,
    /// What jobs run with unless they say otherwise.
    pub settings: SettingsView,
    /// Time until the next change is allowed, with the settings above.
    pub cooldown_remaining_seconds: f64,
    /// The job being worked on.
    pub active_job: Option<Uuid>,
    /// Jobs waiting for their turn, in order.
    pub queue: Vec<Uuid>,
    /// Whether the resource is listed in the configuration.
    pub listed: bool,
}

impl Resource {
    /// What is known at `now`, and why there is no newer reading.
    pub fn new(view: &ResourceView, failure: Option<&ReadFailure>, now: Timestamp) -> Self {
        let remaining = view.next_change_at.map_or(Duration::ZERO, |at| at.since(now));
        Self {
            resource: view.resource.as_str().to_owned(),
            status: view.observation.as_ref().map(|reading| reading.status.as_str().to_owned()),
            capacity: view.observation.as_ref().map(|reading| reading.capacity.units()),
            last_observation: view.observation.as_ref().map(Observation::from),
            read_failure: failure.map(|failure| failure.detail.clone()),
            bounds: BoundsView { min: view.rules.bounds.min.units(), max: view.rules.bounds.max.units() },
            settings: SettingsView::from(&view.rules.settings),
            cooldown_remaining_seconds: remaining.as_secs_f64(),
            active_job: view.active.as_ref().map(|job| job.id),
            queue: view.queue.clone(),
            listed: view.listed,
        }
    }
}

/// Times of a reading.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Observation {
    /// When the sidecar claims to have made it, if it does.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub observed_at: Option<WireTime>,
    /// When it was received.
    #[schema(value_type = String, format = DateTime)]
    pub received_at: WireTime,
}

impl From<&Reading> for Observation {
    fn from(reading: &Reading) -> Self {
        Self { observed_at: reading.stamp.map(WireTime), received_at: WireTime(reading.received_at) }
    }
}

/// The bounds of a resource, both inclusive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Bounds)]
pub struct BoundsView {
    /// Least capacity.
    pub min: u32,
    /// Largest capacity.
    pub max: u32,
}

/// All resources that are listed in the configuration or were scaled lately.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ResourceList {
    /// By alias.
    pub resources: Vec<Resource>,
}
