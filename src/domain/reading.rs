//! What the sidecar says about a resource, and how much of it can be believed.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::capacity::Capacity;
use super::time::Timestamp;

/// How far ahead of our clock a sidecar's timestamp may lie and still be taken for a matter of rounding.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(2);
/// A timestamp older than this says nothing about when the reading was made: it is a zero value, or the time of the
/// resource's last change rather than of its last observation.
const OLDEST_PLAUSIBLE: Duration = Duration::from_hours(24);
/// Longest status kept, in characters; the known ones have at most twelve.
const MAX_STATUS_CHARS: usize = 64;

/// A resource's status in the sidecar's words, in upper case.
///
/// The set is open: the platform has added values before, so an unknown one is data, not an error.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Status(Arc<str>);

impl Status {
    /// The status `text`, compared without case and surrounding white space.
    pub fn new(text: &str) -> Self {
        Self(text.trim().chars().take(MAX_STATUS_CHARS).collect::<String>().to_uppercase().into())
    }

    /// The status in upper case.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the resource has failed and will not recover by waiting.
    pub fn is_failed(&self) -> bool {
        self.as_str() == "FAILED"
    }

    /// Whether a resource with this status and `capacity` is at rest, so that it may be changed or called done.
    ///
    /// Above zero only ACTIVE is. At zero the platform reports PAUSED, UNKNOWN or something else that never becomes
    /// ACTIVE, and waiting for it would block scaling up for ever: there, whatever does not say "in progress" is.
    pub fn is_at_rest(&self, capacity: Capacity) -> bool {
        match self.as_str() {
            "ACTIVE" => true,
            "FAILED" => false,
            _ => capacity == Capacity::ZERO && !self.says_in_progress(),
        }
    }

    /// STARTING, MODIFYING, DEPLOYING, PENDING, SCALING_UP, … : English puts what is going on into one form of the
    /// verb, and the platform follows it, so this also covers RESTARTING, UPGRADING and others not seen so far.
    fn says_in_progress(&self) -> bool {
        self.as_str().split('_').any(|word| word.ends_with("ING"))
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One answer of the sidecar about a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Status.
    pub status: Status,
    /// Capacity.
    pub capacity: Capacity,
    /// When the sidecar claims to have observed this, if it claims anything.
    pub stamp: Option<Timestamp>,
    /// When the clock that `stamp` is by was last noticed to have been set.
    pub wall_set_at: Option<Timestamp>,
    /// When the reading was asked for.
    pub asked_at: Timestamp,
    /// When it was received.
    pub received_at: Timestamp,
}

impl Reading {
    /// The latest time at which this was surely the state of the resource.
    ///
    /// Where the sidecar's timestamp is missing, plainly wrong (in the future, or a day old), or perhaps from before its clock
    /// was set, the state may have been `settle` old when it was asked for.
    pub fn observed_at(&self, settle: Duration) -> Timestamp {
        let clock_was_set = self.wall_set_at.is_some_and(|set_at| self.asked_at < set_at + settle);
        match self.plausible_stamp().filter(|_| !clock_was_set) {
            Some(stamp) => stamp.min(self.received_at),
            None => self.asked_at - settle,
        }
    }

    fn plausible_stamp(&self) -> Option<Timestamp> {
        self.stamp.filter(|stamp| {
            *stamp <= self.received_at + CLOCK_TOLERANCE && *stamp >= self.received_at - OLDEST_PLAUSIBLE
        })
    }
}

/// Why there is no reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadFailure {
    /// Whether the sidecar said that there is no such resource.
    pub not_found: bool,
    /// What went wrong, as a sentence fragment.
    pub detail: String,
    /// The sidecar's answer, if it gave one.
    pub answer: Option<SidecarAnswer>,
}

/// An answer of the sidecar that is passed on to the user verbatim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SidecarAnswer {
    /// HTTP status code.
    pub status: u16,
    /// Body, as text, cut off where it is too long.
    pub body: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_rest_by_status_and_capacity() {
        let three = Capacity::new(3).expect("a small number");
        // status, at rest above zero, at rest at zero
        for (text, above_zero, at_zero) in [
            ("ACTIVE", true, true),
            (" active ", true, true),
            ("PAUSED", false, true),
            ("UNKNOWN", false, true),
            ("STOPPED", false, true),
            ("UNHEALTHY", false, true),
            ("", false, true),
            ("FAILED", false, false),
            ("STARTING", false, false),
            ("MODIFYING", false, false),
            ("SCALING", false, false),
            ("SCALING_UP", false, false),
            ("scaling_down", false, false),
            ("DEPLOYING", false, false),
            ("PENDING", false, false),
            ("UPGRADING", false, false),
            ("BLUE", false, true),
        ] {
            let status = Status::new(text);
            assert_eq!(status.is_at_rest(three), above_zero, "{text} at 3");
            assert_eq!(status.is_at_rest(Capacity::ZERO), at_zero, "{text} at 0");
            assert_eq!(status.is_failed(), text == "FAILED", "{text}");
        }
    }

    #[test]
    fn a_reading_is_no_fresher_than_it_can_prove() {
        let at = |seconds: i64| Timestamp::from_millis(1_800_000_000_000 + seconds * 1000);
        let settle = Duration::from_secs(90);
        let reading = |stamp| Reading {
            status: Status::new("ACTIVE"),
            capacity: Capacity::ZERO,
            stamp,
            wall_set_at: None,
            asked_at: at(100),
            received_at: at(110),
        };
        for (stamp, observed, why) in [
            (Some(at(105)), at(105), "an honest timestamp is taken"),
            (Some(at(-60)), at(-60), "an old one too"),
            (Some(at(111)), at(110), "a little ahead of our clock is cut back"),
            (Some(at(113)), at(10), "far ahead is not believed"),
            (Some(at(110 - 24 * 3600)), at(110 - 24 * 3600), "a day old is just believed"),
            (Some(at(109 - 24 * 3600)), at(10), "more than a day old is not"),
            (Some(Timestamp::from_millis(-62_135_596_800_000)), at(10), "nor the year 1"),
            (None, at(10), "without one, the state may be as old as things take to settle"),
        ] {
            assert_eq!(reading(stamp).observed_at(settle), observed, "{why}");
        }
        for (set_at, observed, why) in [
            (105, 10, "set while the answer was on its way"),
            (11, 10, "what was observed before may still be told"),
            (10, 105, "but no longer than things take to settle"),
        ] {
            let reading = Reading { wall_set_at: Some(at(set_at)), ..reading(Some(at(105))) };
            assert_eq!(reading.observed_at(settle), at(observed), "{why}");
        }
    }
}
