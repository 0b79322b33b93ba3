//! What keeps a policy from acting, or from deciding well, for the time being.

use serde::{Deserialize, Serialize};
use strum::{EnumMessage, IntoStaticStr, VariantArray};
use utoipa::ToSchema;

use super::super::capacity::Op;
use super::super::time::Timestamp;

/// One such thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// What it is.
    pub code: ConditionCode,
    /// The direction that it is about, if it is one.
    pub direction: Option<Op>,
    /// A sentence for people.
    pub detail: String,
    /// When it ends by itself, if it does.
    pub until: Option<Timestamp>,
}

/// Kinds of conditions.
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
    IntoStaticStr,
    VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[schema(as = PolicyConditionCode)]
pub enum ConditionCode {
    /// There is no usable reading yet.
    NoReading,
    /// The status of the resource is FAILED: nothing is sent until a reading differs.
    ResourceFailed,
    /// A job of a caller is unfinished: the policy submits nothing meanwhile.
    OthersJob,
    /// A job of the policy is about to end, and its change is under way: the policy submits no other one meanwhile.
    JobEnding,
    /// Resources follow each other in a circle: their policies change nothing.
    FollowsItself,
    /// Jobs in one direction have failed: the policy pauses there.
    BackOff,
    /// The platform refused a capacity: it is a limit meanwhile.
    CapacityRefused,
    /// A person canceled a job of the policy: it stays away from that direction.
    CanceledByPerson,
    /// A hold is in force.
    Held,
    /// The source of a metric is not one that the operator lets the gateway ask.
    SourceRefused,
    /// A metric of a rule is missing.
    MetricMissing,
    /// Windows contradict each other.
    WindowsContradict,
}

impl ConditionCode {
    /// The code as it appears in the API.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}
