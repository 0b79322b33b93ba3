//! What callers ask of a policy for a time: claims and holds.
//!
//! Their ends are times of the day, as the caller was told them: they stay when the clock is set, like those of windows.
//! Rejected: to move them with the clock, so that they last as long as before, because a hold until 17:00 would end at
//! another time than its caller knows of.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use strum::{EnumMessage, VariantArray};
use utoipa::ToSchema;
use uuid::Uuid;

use super::super::access::Actor;
use super::super::capacity::Capacity;
use super::super::settings::Bounds;
use super::super::time::Timestamp;
use super::alert::Alert;
use super::document::{Mode, Policy};

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
    /// The alert that it stands for, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alert: Option<Alert>,
}

impl Claim {
    /// Whether it counts at `now`.
    pub fn counts_at(&self, now: Timestamp) -> bool {
        self.from <= now && now < self.until
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

/// Where the capacity of a resource is or may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Whereabouts {
    /// The least that it may be.
    pub lowest: Capacity,
    /// The most that it may be.
    pub highest: Capacity,
}

impl Whereabouts {
    /// Of a resource whose last usable reading showed `capacity`, and whose change under way, if there is one, leads to
    /// `in_flight`: it may have taken effect already, and may never.
    pub fn of(capacity: Capacity, in_flight: Option<Capacity>) -> Self {
        let other = in_flight.unwrap_or(capacity);
        Self { lowest: capacity.min(other), highest: capacity.max(other) }
    }
}

/// How a pin and the bounds of a policy that acts contradict each other. The pin is allowed all the same: it comes after the bounds of
/// the policy, and before those in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PinNote {
    /// It lies outside the bounds of the policy.
    BeyondPolicy {
        /// The pin.
        pin: Capacity,
        /// The bounds.
        bounds: Bounds,
    },
    /// It lies outside the bounds in the configuration.
    BeyondFile {
        /// The capacity that the policy keeps instead.
        kept: Capacity,
        /// The bounds.
        bounds: Bounds,
    },
}

impl PinNote {
    /// What is to be said about `hold` on a resource with `policy` and these bounds in the configuration.
    pub fn about(hold: &Hold, policy: &Policy, in_file: Bounds) -> Option<Self> {
        let HoldKind::Capacity(pin) = hold.kind else { return None };
        let of_policy = Bounds { min: policy.min, max: policy.max };
        match (policy.mode, in_file.contains(pin), of_policy.contains(pin)) {
            (Mode::Advise | Mode::Off, ..) | (Mode::Active, true, true) => None,
            (Mode::Active, false, _) => {
                Some(Self::BeyondFile { kept: pin.max(in_file.min).min(in_file.max), bounds: in_file })
            }
            (Mode::Active, true, false) => Some(Self::BeyondPolicy { pin, bounds: of_policy }),
        }
    }
}

impl fmt::Display for PinNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BeyondPolicy { pin, bounds: Bounds { min, max } } => write!(
                f,
                "The capacity lies outside the bounds of the policy, {min} to {max}. The hold comes after them: the policy keeps \
                 {pin} until it ends."
            ),
            Self::BeyondFile { kept, bounds: Bounds { min, max } } => write!(
                f,
                "The capacity lies outside the bounds in the configuration, {min} to {max}, which come after the hold: the policy \
                 keeps {kept} until it ends."
            ),
        }
    }
}

impl Hold {
    /// Whether it counts at `now`.
    pub fn counts_at(&self, now: Timestamp) -> bool {
        now < self.until
    }

    /// Whether it blocks the way from any place where the capacity may be to `target`. A pin blocks none: the job of a policy
    /// is led to it.
    pub fn blocks(&self, there: Whereabouts, target: Capacity) -> bool {
        let HoldKind::Direction(direction) = self.kind else { return false };
        let (rises, falls) = (target > there.lowest, target < there.highest);
        match direction {
            Direction::Both => rises || falls,
            Direction::Up => rises,
            Direction::Down => falls,
        }
    }
}
