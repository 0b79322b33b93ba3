//! The only place that asks what time it is.
//!
//! Decisions compare durable points in time, so they need UTC; but a wall clock that is set while the process runs would
//! cut cooldowns short or stretch them. A [`Clock`] therefore takes the wall's time once, when it is made, and counts
//! monotonically from there. What a clock set between two processes does is bounded by the lanes' recovery.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::domain::Timestamp;

/// UTC at its creation, monotonic from then on.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
    started_at: Timestamp,
}

impl Clock {
    /// A clock that shows the wall's time now.
    pub fn start() -> Self {
        Self { origin: Instant::now(), started_at: wall_now() }
    }

    /// The time, never less than it was before.
    pub fn now(&self) -> Timestamp {
        self.started_at + self.origin.elapsed()
    }

    /// The time on this clock of something that happened at `wall` by the wall's clock as it is set at present.
    ///
    /// Timestamps from other processes on this machine are converted with this: if the wall's clock was set meanwhile,
    /// theirs and ours differ by that much, but the age of what they describe does not.
    pub fn from_wall(&self, wall: Timestamp) -> Timestamp {
        let offset = self.now().as_millis().saturating_sub(wall_now().as_millis());
        Timestamp::from_millis(wall.as_millis().saturating_add(offset))
    }
}

/// The wall's clock. A time before 1970 counts as 1970.
fn wall_now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(0) + since_epoch
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn agrees_with_the_wall_while_nobody_sets_it() {
        let clock = Clock::start();
        let wall = wall_now();
        let apart = |a: Timestamp, b: Timestamp| a.since(b) + b.since(a);
        assert!(apart(clock.now(), wall) < Duration::from_secs(5));
        assert!(apart(clock.from_wall(wall), wall) < Duration::from_secs(5));
    }

    #[test]
    fn keeps_ages_when_the_wall_was_set() {
        // As if the wall had been set back by an hour after the clock was made.
        let hour = Duration::from_hours(1);
        let clock = Clock { origin: Instant::now(), started_at: wall_now() + hour };
        let a_minute_ago = wall_now() - Duration::from_mins(1);
        let age = clock.now().since(clock.from_wall(a_minute_ago));
        assert!(age.abs_diff(Duration::from_mins(1)) < Duration::from_secs(5), "{age:?}");
    }
}
