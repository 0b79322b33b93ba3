//! Whether what is to be written still comes onto the disk.
//!
//! A disk that fails says so. One that hangs, as a volume in the network may, says nothing for as long as it likes, and so does
//! a program that has locked the store: a request that waits for a commit waits with it, and only the clock can tell.
//!
//! What counts is how long nothing at all was done: a disk that is slow and has much to do is no worse than it was. And the clock
//! is asked twice: where the whole machine stood still, the disk could not do anything either. A disk is no faster for a clock
//! that is.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::Clock;
use crate::domain::Timestamp;

/// If nothing was done for so long, something is wrong. A disk that is merely slow does something every second.
const LONGEST: Duration = Duration::from_secs(5);
/// When to check again before the operator is told.
const RECHECK_AFTER: Duration = Duration::from_secs(1);

/// The commits that are on their way to the disk.
pub(super) struct CommitsUnderWay {
    /// [`LONGEST`] and [`RECHECK_AFTER`] by the clock that tells the times.
    longest: Duration,
    recheck_after: Duration,
    /// When each was handed over; they are done in the same order.
    begun: VecDeque<Timestamp>,
    /// When the last one was done.
    ended_at: Option<Timestamp>,
    health: CommitHealth,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum CommitHealth {
    #[default]
    Moving,
    Suspect {
        check_at: Timestamp,
    },
    Stuck,
}

impl CommitsUnderWay {
    /// None yet. Times are those of `clock`.
    pub fn new(clock: &Clock) -> Self {
        let [longest, recheck_after] = [LONGEST, RECHECK_AFTER].map(|real| clock.shown_in(real));
        Self { longest, recheck_after, begun: VecDeque::new(), ended_at: None, health: CommitHealth::default() }
    }

    /// One more is handed over at `now`.
    pub fn begin(&mut self, now: Timestamp) {
        self.begun.push_back(now);
    }

    /// The oldest is done at `now`. How long they were stuck, if they were.
    pub fn end(&mut self, now: Timestamp) -> Option<Duration> {
        let stuck = self.stuck_for(now);
        self.begun.pop_front();
        self.ended_at = Some(now);
        self.health = CommitHealth::Moving;
        stuck
    }

    /// For how long nothing has been done at `now`, if that was found to be too long.
    pub fn stuck_for(&self, now: Timestamp) -> Option<Duration> {
        self.waiting_since().filter(|_| self.health == CommitHealth::Stuck).map(|since| now.since(since))
    }

    /// When to [`CommitsUnderWay::check`] next.
    pub fn check_at(&self) -> Option<Timestamp> {
        let since = self.waiting_since()?;
        match self.health {
            CommitHealth::Moving => Some(since + self.longest),
            CommitHealth::Suspect { check_at } => Some(check_at),
            CommitHealth::Stuck => None,
        }
    }

    /// Whether they are found to be stuck at `now`. Results that are there already must have been taken before.
    pub fn check(&mut self, now: Timestamp) -> bool {
        if self.check_at().is_none_or(|at| now < at) {
            return false;
        }
        let is_found = self.health != CommitHealth::Moving;
        self.health =
            if is_found { CommitHealth::Stuck } else { CommitHealth::Suspect { check_at: now + self.recheck_after } };
        is_found
    }

    fn waiting_since(&self) -> Option<Timestamp> {
        self.begun.front().map(|begun| self.ended_at.map_or(*begun, |ended| ended.max(*begun)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(0) + Duration::from_millis(millis)
    }

    #[test]
    fn what_is_stuck_is_found_once_until_something_is_done() {
        let mut commits = CommitsUnderWay::new(&Clock::start());
        assert_eq!((commits.check_at(), commits.stuck_for(at(0))), (None, None));
        commits.begin(at(0));
        commits.begin(at(1000));
        assert_eq!(commits.check_at(), Some(at(5000)));
        assert!(!commits.check(at(4999)));
        assert!(!commits.check(at(5000)) && commits.stuck_for(at(5000)).is_none());
        assert_eq!(commits.check_at(), Some(at(6000)));
        assert!(!commits.check(at(5999)) && commits.check(at(6000)) && !commits.check(at(7000)));
        assert_eq!((commits.check_at(), commits.stuck_for(at(7000))), (None, Some(Duration::from_secs(7))));
        // The next one has been waiting for long as well, but things are moving.
        assert_eq!(commits.end(at(7000)), Some(Duration::from_secs(7)));
        assert_eq!((commits.stuck_for(at(8000)), commits.check_at()), (None, Some(at(12_000))));
        assert_eq!((commits.end(at(9000)), commits.check_at()), (None, None));
        commits.begin(at(60_000));
        assert_eq!(commits.check_at(), Some(at(65_000)));
    }

    /// However much there is to do, and however late the last of it comes.
    #[test]
    fn a_slow_disk_is_not_stuck() {
        let mut commits = CommitsUnderWay::new(&Clock::start());
        for _ in 0..20 {
            commits.begin(at(0));
        }
        for done in 1..=20 {
            let now = at(done * 4000);
            assert!(!commits.check(now) && commits.stuck_for(now).is_none());
            assert_eq!(commits.end(now), None);
        }
    }

    #[test]
    fn a_machine_that_stood_still_finds_nothing_stuck() {
        let mut commits = CommitsUnderWay::new(&Clock::start());
        commits.begin(at(0));
        assert!(!commits.check(at(3_600_000)));
        assert_eq!(commits.end(at(3_600_001)), None);
        assert!(!commits.check(at(3_601_000)) && commits.stuck_for(at(3_601_000)).is_none());
    }
}
