//! What a job waits for, and until when.

use serde::{Deserialize, Serialize};
use strum::{EnumMessage, VariantArray};
use utoipa::ToSchema;

use super::time::Timestamp;

/// What a job can wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema, EnumMessage, VariantArray)]
#[serde(rename_all = "snake_case")]
pub enum WaitReason {
    /// Earlier jobs on the same resource.
    Turn,
    /// Members of earlier stages of its group.
    Stage,
    /// A reading from the sidecar.
    Sidecar,
    /// The resource to become ready.
    Active,
    /// The end of the resource's cooldown.
    Cooldown,
    /// A change to be answered by the sidecar and to show in a reading.
    Change,
    /// Enough time that a reading cannot be older than the last change.
    Settle,
}

impl WaitReason {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Turn, Self::Stage, Self::Sidecar, Self::Active, Self::Cooldown, Self::Change, Self::Settle];

    /// The reason as it appears in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Turn => "turn",
            Self::Stage => "stage",
            Self::Sidecar => "sidecar",
            Self::Active => "active",
            Self::Cooldown => "cooldown",
            Self::Change => "change",
            Self::Settle => "settle",
        }
    }
}

/// A wait in progress.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Record")]
pub struct Waiting {
    /// What for.
    pub reason: WaitReason,
    /// When it is over, or given up, at the latest.
    pub until: Timestamp,
    /// The same for people: a sentence.
    pub detail: String,
}

impl Waiting {
    /// A wait for earlier jobs, until `deadline` at the latest.
    pub fn for_turn(deadline: Timestamp) -> Self {
        let detail = "Waiting for earlier jobs on this resource to end.".into();
        Self { reason: WaitReason::Turn, until: deadline, detail }
    }

    /// A wait for earlier stages of a group, until `deadline` at the latest.
    pub fn for_stage(deadline: Timestamp) -> Self {
        let detail = "Waiting for the earlier stages of its group to succeed.".into();
        Self { reason: WaitReason::Stage, until: deadline, detail }
    }

    /// A wait for the end of a cooldown; `after` is when the change that it follows was sent.
    pub fn for_cooldown(until: Timestamp, after: Option<Timestamp>) -> Self {
        let after = after.map_or(String::new(), |at| format!(" after the change at {at}"));
        Self { reason: WaitReason::Cooldown, until, detail: format!("Cooling down until {until}{after}.") }
    }
}

/// A wait as it may be in the record of a job: for a while, the sentences for `turn` and `cooldown` were not written down.
#[derive(Deserialize)]
struct Record {
    reason: WaitReason,
    until: Timestamp,
    after: Option<Timestamp>,
    detail: Option<String>,
}

impl TryFrom<Record> for Waiting {
    type Error = &'static str;

    fn try_from(Record { reason, until, after, detail }: Record) -> Result<Self, Self::Error> {
        match (detail, reason) {
            (Some(detail), _) => Ok(Self { reason, until, detail }),
            (None, WaitReason::Turn) => Ok(Self::for_turn(until)),
            (None, WaitReason::Cooldown) => Ok(Self::for_cooldown(until, after)),
            (None, _) => Err("a wait without a detail"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNTIL: Timestamp = Timestamp::from_millis(1_800_000_300_000);
    const AFTER: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    #[test]
    fn a_wait_is_stored_with_its_sentence() {
        let detail = "The status is DEPLOYING.".to_owned();
        let waiting = Waiting { reason: WaitReason::Active, until: UNTIL, detail };
        let record = r#"{"reason":"active","until":1800000300000,"detail":"The status is DEPLOYING."}"#;
        assert_eq!(serde_json::to_string(&waiting).expect("JSON"), record);
        assert_eq!(serde_json::from_str::<Waiting>(record).expect("a wait"), waiting);
    }

    #[test]
    fn a_record_without_its_sentence_gets_the_usual_one() {
        for (record, waiting, detail) in [
            (
                r#"{"reason":"turn","until":1800000300000}"#,
                Waiting::for_turn(UNTIL),
                "Waiting for earlier jobs on this resource to end.",
            ),
            (
                r#"{"reason":"cooldown","until":1800000300000}"#,
                Waiting::for_cooldown(UNTIL, None),
                "Cooling down until 2027-01-15T08:05:00.000Z.",
            ),
            (
                r#"{"reason":"cooldown","until":1800000300000,"after":1800000000000}"#,
                Waiting::for_cooldown(UNTIL, Some(AFTER)),
                "Cooling down until 2027-01-15T08:05:00.000Z after the change at 2027-01-15T08:00:00.000Z.",
            ),
        ] {
            assert_eq!(serde_json::from_str::<Waiting>(record).expect("a wait"), waiting);
            assert_eq!(waiting.detail, detail);
        }
        assert!(serde_json::from_str::<Waiting>(r#"{"reason":"settle","until":1}"#).is_err(), "no sentence at all");
    }
}
