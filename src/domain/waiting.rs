//! What a job waits for, and until when.
//!
//! A wait says so in a sentence, but the sentences that very many jobs say at the same time are not kept: they follow from
//! what is kept anyway. Keeping them lost: of a million jobs that cool down they took a tenth of the memory.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::time::Timestamp;

/// What a job waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitReason {
    /// Earlier jobs on the same resource.
    Turn,
    /// A reading from the sidecar.
    Sidecar,
    /// The resource to come to rest.
    Active,
    /// The resource's cooldown.
    Cooldown,
    /// A change, sent or about to be, to be answered and to show in a reading.
    Change,
    /// Enough time to pass that a reading cannot be older than the last change.
    Settle,
}

impl WaitReason {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Turn, Self::Sidecar, Self::Active, Self::Cooldown, Self::Change, Self::Settle];

    /// The reason as it appears in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Turn => "turn",
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
#[serde(try_from = "Record", into = "Record")]
pub struct Waiting {
    /// What for.
    pub reason: WaitReason,
    /// When it is over, or given up, at the latest.
    pub until: Timestamp,
    sentence: Sentence,
}

/// Where the sentence comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Sentence {
    Said(Box<str>),
    /// The usual one of jobs that wait for their turn.
    Turn,
    /// The usual one of jobs that cool down after the change sent then.
    Cooldown {
        after: Option<Timestamp>,
    },
}

impl Waiting {
    /// A wait for whatever `detail` says in a sentence.
    pub fn new(reason: WaitReason, until: Timestamp, detail: impl Into<Box<str>>) -> Self {
        Self { reason, until, sentence: Sentence::Said(detail.into()) }
    }

    /// A wait for earlier jobs, until `deadline` at the latest.
    pub const fn for_turn(deadline: Timestamp) -> Self {
        Self { reason: WaitReason::Turn, until: deadline, sentence: Sentence::Turn }
    }

    /// A wait for the end of a cooldown; `after` is when the change that it follows was sent.
    pub const fn for_cooldown(until: Timestamp, after: Option<Timestamp>) -> Self {
        Self { reason: WaitReason::Cooldown, until, sentence: Sentence::Cooldown { after } }
    }

    /// The same for people: a sentence.
    pub fn detail(&self) -> Cow<'_, str> {
        let until = self.until;
        match &self.sentence {
            Sentence::Said(detail) => Cow::Borrowed(detail),
            Sentence::Turn => Cow::Borrowed("Waiting for earlier jobs on this resource to end."),
            Sentence::Cooldown { after: None } => Cow::Owned(format!("Cooling down until {until}.")),
            Sentence::Cooldown { after: Some(after) } => {
                Cow::Owned(format!("Cooling down until {until} after the change at {after}."))
            }
        }
    }
}

/// A wait as it is in the record of a job. Older records have a `detail` with every reason.
#[derive(Serialize, Deserialize)]
struct Record {
    reason: WaitReason,
    until: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    after: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    detail: Option<Box<str>>,
}

impl From<Waiting> for Record {
    fn from(Waiting { reason, until, sentence }: Waiting) -> Self {
        let (after, detail) = match sentence {
            Sentence::Said(detail) => (None, Some(detail)),
            Sentence::Turn => (None, None),
            Sentence::Cooldown { after } => (after, None),
        };
        Self { reason, until, after, detail }
    }
}

/// A record says neither in words nor otherwise what is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a wait for {} has no detail", .0.as_str())]
struct NoDetail(WaitReason);

impl TryFrom<Record> for Waiting {
    type Error = NoDetail;

    fn try_from(Record { reason, until, after, detail }: Record) -> Result<Self, NoDetail> {
        let sentence = match (detail, reason) {
            (Some(detail), _) => Sentence::Said(detail),
            (None, WaitReason::Turn) => Sentence::Turn,
            (None, WaitReason::Cooldown) => Sentence::Cooldown { after },
            (None, other) => return Err(NoDetail(other)),
        };
        Ok(Self { reason, until, sentence })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNTIL: Timestamp = Timestamp::from_millis(1_800_000_300_000);
    const AFTER: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    #[track_caller]
    fn assert_kept(waiting: &Waiting, record: &str, detail: &str) {
        assert_eq!(serde_json::to_string(waiting).expect("JSON"), record);
        assert_eq!(serde_json::from_str::<Waiting>(record).expect("a wait"), *waiting);
        assert_eq!(waiting.detail(), detail);
    }

    #[test]
    fn a_sentence_is_kept_only_where_it_cannot_be_made_again() {
        assert_kept(
            &Waiting::new(WaitReason::Active, UNTIL, "The status is DEPLOYING."),
            r#"{"reason":"active","until":1800000300000,"detail":"The status is DEPLOYING."}"#,
            "The status is DEPLOYING.",
        );
        assert_kept(
            &Waiting::for_turn(UNTIL),
            r#"{"reason":"turn","until":1800000300000}"#,
            "Waiting for earlier jobs on this resource to end.",
        );
        assert_kept(
            &Waiting::for_cooldown(UNTIL, None),
            r#"{"reason":"cooldown","until":1800000300000}"#,
            "Cooling down until 2027-01-15T08:05:00.000Z.",
        );
        assert_kept(
            &Waiting::for_cooldown(UNTIL, Some(AFTER)),
            r#"{"reason":"cooldown","until":1800000300000,"after":1800000000000}"#,
            "Cooling down until 2027-01-15T08:05:00.000Z after the change at 2027-01-15T08:00:00.000Z.",
        );
    }

    #[test]
    fn older_records_have_a_sentence_with_every_reason() {
        assert_kept(
            &Waiting::new(WaitReason::Cooldown, UNTIL, "Cooling down, as ever."),
            r#"{"reason":"cooldown","until":1800000300000,"detail":"Cooling down, as ever."}"#,
            "Cooling down, as ever.",
        );
        assert!(serde_json::from_str::<Waiting>(r#"{"reason":"settle","until":1}"#).is_err(), "no sentence at all");
    }
}
