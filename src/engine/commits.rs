//! Whether what is to be written still comes onto the disk.
//!
//! A disk that fails says so. One that hangs, as a volume in the network may, says nothing for as long as it likes, and so does
//! somebody who has locked the store: whoever waits for a commit waits with it, and nobody but the clock can tell.

use std::collections::VecDeque;
use std::time::Duration;

use crate::domain::Timestamp;

/// A commit that takes longer is stuck. One of a disk that is merely slow is over within a second.
const LONGEST: Duration = Duration::from_secs(5);

/// The commits that are on their way to the disk.
#[derive(Default)]
pub(super) struct CommitsUnderWay {
    /// When each was handed over; they are done in the same order.
    begun: VecDeque<Timestamp>,
    is_told: bool,
}

impl CommitsUnderWay {
    /// One more is handed over at `now`.
    pub fn begin(&mut self, now: Timestamp) {
        self.begun.push_back(now);
    }

    /// The oldest is done at `now`. How long it was stuck, if somebody was told so and it is over.
    pub fn end(&mut self, now: Timestamp) -> Option<Duration> {
        let begun = self.begun.pop_front()?;
        let is_over = self.is_told && self.stuck_for(now).is_none();
        self.is_told &= !is_over;
        is_over.then(|| now.since(begun))
    }

    /// For how long the oldest has been on its way at `now`, if that is too long.
    pub fn stuck_for(&self, now: Timestamp) -> Option<Duration> {
        self.begun.front().map(|begun| now.since(*begun)).filter(|age| *age >= LONGEST)
    }

    /// When somebody will have to be told that they are stuck, unless it is over by then or told already.
    pub fn tell_at(&self) -> Option<Timestamp> {
        self.begun.front().filter(|_| !self.is_told).map(|begun| *begun + LONGEST)
    }

    /// Whether somebody has to be told at `now`, who then has been.
    pub fn tell(&mut self, now: Timestamp) -> bool {
        let is_due = self.tell_at().is_some_and(|at| at <= now);
        self.is_told |= is_due;
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(0) + Duration::from_millis(millis)
    }

    #[test]
    fn what_is_stuck_is_told_of_once_and_once_more_when_it_is_over() {
        let mut commits = CommitsUnderWay::default();
        assert_eq!((commits.tell_at(), commits.stuck_for(at(0))), (None, None));
        commits.begin(at(0));
        commits.begin(at(1000));
        commits.begin(at(6500));
        assert_eq!(commits.tell_at(), Some(at(5000)));
        assert!(!commits.tell(at(4999)) && commits.stuck_for(at(4999)).is_none());
        assert!(commits.tell(at(5000)) && !commits.tell(at(6000)));
        assert_eq!((commits.tell_at(), commits.stuck_for(at(7000))), (None, Some(Duration::from_secs(7))));
        // The next one has been waiting for too long as well.
        assert_eq!(commits.end(at(7000)), None);
        assert_eq!(commits.end(at(8000)), Some(Duration::from_secs(7)));
        assert_eq!((commits.stuck_for(at(8000)), commits.tell_at()), (None, Some(at(11_500))));
        assert_eq!((commits.end(at(9000)), commits.tell_at()), (None, None));
    }

    #[test]
    fn commits_that_are_done_in_time_are_nobodys_business() {
        let mut commits = CommitsUnderWay::default();
        commits.begin(at(0));
        assert_eq!(commits.end(at(4999)), None);
        // Nor is one that took too long, and was done before anybody looked.
        commits.begin(at(5000));
        assert_eq!(commits.end(at(20_000)), None);
        assert!(!commits.tell(at(30_000)));
    }
}
