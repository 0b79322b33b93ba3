//! The name of a group and the place of a job in it, for what refers to groups without holding one.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A group's id: a UUIDv7.
pub type GroupId = Uuid;

/// What a job has of the group that it belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// The group.
    pub group: GroupId,
    /// The stage of its member, from 0.
    pub stage: usize,
    /// Whether it waits for its stage: its lane does not start it, nor any job behind it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub awaits_stage: bool,
    /// Whether it takes its member back to where it began.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub restores: bool,
}
