//! How long the last change takes until the resource is at rest.
//!
//! Only what the lane watched is noted: readings must be so close to each other that the first one that shows rest
//! tells when it came. While the process is away, or the sidecar silent, nothing is learned: the absence would be taken
//! for the slowness of the resource. Nor is anything where another program changed the capacity, or the change was not
//! confirmed.
//!
//! Rejected: keeping on disk what is watched. A restart costs one of fifty steps, and the reading after it mostly comes
//! too late anyway. Rejected: timestamps of readings, because sidecars were seen to give the time of the last change, and
//! each duration would be zero. A duration ends when rest is seen: until then nothing can follow.

use std::time::Duration;

use super::super::capacity::Op;
use super::super::change_state::Change;
use super::super::time::Timestamp;

/// The reading before may be this fraction of a duration earlier: what is noted is then too long by a third at most.
const LARGEST_GAP: u32 = 4;

/// The last change that this process sent, until the resource is at rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WatchedChange {
    /// Its direction.
    op: Op,
    /// When it was sent, at the latest.
    sent_at: Timestamp,
    /// When the sidecar last answered.
    heard_at: Timestamp,
}

impl WatchedChange {
    /// A `change` that may have reached the sidecar.
    pub fn new(change: &Change) -> Self {
        Self { op: change.movement.op, sent_at: change.sent.at, heard_at: change.sent.at }
    }

    /// Notes that the sidecar answered.
    pub fn hear(&mut self, now: Timestamp) {
        self.heard_at = now;
    }

    /// Its direction and how long it took, if it was watched until `rest_seen_at`, when the first reading that shows rest
    /// was received; readings are at most `poll_interval` apart.
    pub fn duration_until(self, rest_seen_at: Timestamp, poll_interval: Duration) -> Option<(Op, Duration)> {
        let duration = rest_seen_at.since(self.sent_at);
        // One reading may fail.
        let largest_gap = (poll_interval * 2).max(duration / LARGEST_GAP);
        (rest_seen_at.since(self.heard_at) <= largest_gap).then_some((self.op, duration))
    }
}
