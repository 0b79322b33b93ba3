//! When a source is asked next.
//!
//! Every source has its own place in the interval, given by a hash of the request, so that many do not ask all at once and
//! a source is asked at even distances. After the first failure it is asked again after one interval, since one lost
//! answer is no outage; then the distance doubles, up to eight intervals. Ten minutes are enough in any case: what they save
//! is little, and a longer outage of the source would last that much longer for the policy. Rejected: random distances,
//! because two readings of a counter would then be a random time apart.

use std::time::Duration;

use tokio::time::Instant;

/// The first request comes within this time: a policy that was just made should not wait for an hour to be over.
const MAX_FIRST_DELAY: Duration = Duration::from_secs(5);
/// Longest distance after failures, unless the interval is longer.
const MAX_BACKOFF: Duration = Duration::from_mins(10);
/// Doublings up to eight intervals.
const MAX_DOUBLINGS: u32 = 3;

/// The places of one source in time.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// From when time is counted.
    pub origin: Instant,
    /// A hash of the request.
    pub hash: u64,
    /// How often it is asked.
    pub interval: Duration,
}

impl Pace {
    /// When a source is asked for the first time, seen from `now`.
    pub fn first(&self, now: Instant) -> Instant {
        now + self.share_of(self.interval.min(MAX_FIRST_DELAY))
    }

    /// When a source is asked again that was asked at `asked`, after so many `failures` in a row, seen from `now`.
    pub fn again(&self, asked: Instant, failures: u32, now: Instant) -> Instant {
        // The half leaves room for requests that began late.
        let earliest = asked + self.distance(failures).saturating_sub(self.interval / 2);
        self.place_after(earliest.max(now))
    }

    /// How far apart requests are after so many failures in a row.
    fn distance(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(MAX_DOUBLINGS);
        (self.interval * 2_u32.pow(doublings)).min(MAX_BACKOFF).max(self.interval)
    }

    /// The first of its places later than `time`.
    fn place_after(&self, time: Instant) -> Instant {
        let place = self.share_of(self.interval).as_nanos();
        let passed = time.saturating_duration_since(self.origin).as_nanos();
        let rounds = if passed < place { 0 } else { (passed - place) / self.interval.as_nanos() + 1 };
        let nanos = place + rounds * self.interval.as_nanos();
        self.origin + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// A part of `whole` that is this source's own.
    fn share_of(&self, whole: Duration) -> Duration {
        let nanos = u64::try_from(whole.as_nanos()).unwrap_or(u64::MAX).max(1);
        Duration::from_nanos(self.hash % nanos)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn pace(interval: Duration) -> Pace {
        Pace { origin: Instant::now(), hash: 7_000_000_000, interval }
    }

    #[test]
    fn a_source_is_asked_soon_and_then_at_even_distances() {
        for (interval, first) in [(SECOND * 30, SECOND * 2), (SECOND * 3600, SECOND * 2), (SECOND * 4, SECOND * 3)] {
            let pace = pace(interval);
            assert_eq!(pace.first(pace.origin + SECOND), pace.origin + SECOND + first, "{interval:?}");
        }
        let pace = pace(SECOND * 30);
        let mut asked = pace.first(pace.origin);
        for expected in [37, 67, 97] {
            asked = pace.again(asked, 0, asked);
            assert_eq!(asked, pace.origin + SECOND * expected);
        }
        let slow = pace.again(asked, 0, asked + SECOND * 9);
        assert_eq!(slow, asked + SECOND * 30, "a slow answer moves nothing");
        let late = asked + SECOND * 10;
        assert_eq!(pace.again(late, 0, late), asked + SECOND * 30, "nor does a late question");
    }

    #[test]
    fn failures_double_the_distance_up_to_eight_intervals_or_ten_minutes() {
        for (interval, distances) in [
            (1, [1, 1, 2, 4, 8, 8]),
            (30, [30, 30, 60, 120, 240, 240]),
            (240, [240, 240, 480, 720, 720, 720]),
            (3600, [3600, 3600, 3600, 3600, 3600, 3600]),
        ] {
            let pace = pace(SECOND * interval);
            let asked = pace.place_after(pace.origin);
            for (failures, distance) in (0..).zip(distances) {
                let next = pace.again(asked, failures, asked);
                assert_eq!(next - asked, SECOND * distance, "{interval} s, {failures} failures");
            }
        }
    }

    #[test]
    fn what_takes_longer_than_its_interval_is_asked_at_its_next_place() {
        let pace = pace(SECOND);
        assert_eq!(pace.again(pace.origin, 0, pace.origin + SECOND * 10), pace.origin + SECOND * 11);
    }
}
