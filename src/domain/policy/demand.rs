//! What callers ask of a policy for a time: claims and holds.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use strum::{EnumMessage, VariantArray};
use utoipa::ToSchema;
use uuid::Uuid;

use super::super::access::Actor;
use super::super::capacity::Capacity;
use super::super::time::Timestamp;

/// Identifies a claim.
pub type ClaimId = Uuid;

/// A caller's demand that ends by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Its id, in order of acceptance.
    pub id: ClaimId,
    /// Units, at least 1.
    pub units: Capacity,
    /// What they are added to.
    pub kind: ClaimKind,
    /// When it begins to count.
    pub from: Timestamp,
    /// When it ends: it counts before this.
    pub until: Timestamp,
    /// For whom, in the caller's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Arc<str>>,
    /// Why, in the caller's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Arc<str>>,
    /// The key it was made with, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Actor>,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Claim {
    /// Whether it counts at `now`.
    pub fn counts_at(&self, now: Timestamp) -> bool {
        self.from <= now && now < self.until
    }

    /// Carries it over to a clock that shows `there` when the one so far shows `here`: it lasts as long as before.
    pub fn carry_over(&mut self, here: Timestamp, there: Timestamp) {
        for at in [&mut self.from, &mut self.until, &mut self.created_at] {
            *at = at.on_another_clock(here, there);
        }
    }
}

/// What the units of a claim mean.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema, EnumMessage, VariantArray,
)]
#[serde(rename_all = "camelCase")]
pub enum ClaimKind {
    /// The capacity is at least so many units.
    #[default]
    AtLeast,
    /// The capacity has so many units more than it would have.
    Extra,
}

/// A stop put on the scaling of a resource, which ends by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// What it stops.
    #[serde(flatten)]
    pub kind: HoldKind,
    /// When it ends: it counts before this.
    pub until: Timestamp,
    /// Why, in the caller's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Arc<str>>,
    /// The key it was made with, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Actor>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What a hold stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum HoldKind {
    /// Changes in this direction.
    Direction(Direction),
    /// All but the way to this capacity.
    Capacity(Capacity),
}

/// Directions of change.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema, EnumMessage, VariantArray,
)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Changes up and down.
    #[default]
    Both,
    /// Changes that add units.
    Up,
    /// Changes that remove units.
    Down,
}

impl Hold {
    /// Whether it counts at `now`.
    pub fn counts_at(&self, now: Timestamp) -> bool {
        now < self.until
    }

    /// Carries it over to a clock that shows `there` when the one so far shows `here`: it lasts as long as before.
    pub fn carry_over(&mut self, here: Timestamp, there: Timestamp) {
        for at in [&mut self.until, &mut self.created_at] {
            *at = at.on_another_clock(here, there);
        }
    }
}
