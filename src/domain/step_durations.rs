//! How long changes of a resource really take, learned from those that were confirmed.
//!
//! A duration runs from sending a change until the resource is at rest. Only steps that no external change met count:
//! another program's doing would be taken for ours. Few steps prove nothing, so that fewer than [`LEAST_KNOWN`] have no
//! summary, and callers say what they expect instead. Rejected: a mean, which one slow change in ten hardly moves.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::capacity::Op;

/// How many steps of each direction are remembered: older ones may be of another plan or another image.
const MOST_KNOWN: usize = 50;
/// With fewer steps than this, nothing is said about a direction.
const LEAST_KNOWN: usize = 5;

/// The durations of the newest confirmed steps of a resource, by direction. The derived JSON is the one that is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepDurations {
    /// Milliseconds of the steps that added units, oldest first.
    up: Vec<u64>,
    /// Milliseconds of those that removed some, oldest first.
    down: Vec<u64>,
}

/// What the steps of one direction took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DurationSummary {
    /// None took less.
    pub shortest: Duration,
    /// Half of them took no longer.
    pub p50: Duration,
    /// Nine in ten took no longer.
    pub p90: Duration,
    /// How many there are.
    pub count: usize,
}

impl StepDurations {
    /// Whether none are known.
    pub fn is_empty(&self) -> bool {
        self.up.is_empty() && self.down.is_empty()
    }

    /// Notes that a step in the direction of `op` took `duration`.
    pub fn note(&mut self, op: Op, duration: Duration) {
        let known = match op {
            Op::Add => &mut self.up,
            Op::Remove => &mut self.down,
        };
        known.push(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX));
        known.drain(..known.len().saturating_sub(MOST_KNOWN));
    }

    /// What the steps in the direction of `op` took, if there were enough of them to expect it of the next one.
    pub fn summary(&self, op: Op) -> Option<DurationSummary> {
        self.observed(op).filter(|summary| summary.count >= LEAST_KNOWN)
    }

    /// What the steps in the direction of `op` took, however few they are; none if there are none.
    pub fn observed(&self, op: Op) -> Option<DurationSummary> {
        let known = match op {
            Op::Add => &self.up,
            Op::Remove => &self.down,
        };
        let mut sorted = known.clone();
        sorted.sort_unstable();
        let no_longer = |percent: usize| {
            let rank = (sorted.len() * percent).div_ceil(100).checked_sub(1)?;
            sorted.get(rank).copied().map(Duration::from_millis)
        };
        let shortest = Duration::from_millis(*sorted.first()?);
        Some(DurationSummary { shortest, p50: no_longer(50)?, p90: no_longer(90)?, count: sorted.len() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(op: Op, seconds: impl IntoIterator<Item = u64>) -> StepDurations {
        let mut durations = StepDurations::default();
        for seconds in seconds {
            durations.note(op, Duration::from_secs(seconds));
        }
        durations
    }

    #[test]
    fn percentiles_are_values_that_were_seen() {
        for (seconds, expected) in [
            (vec![4, 1, 3, 2], Some((1, 2, 4, 4))),
            (vec![7], Some((7, 7, 7, 1))),
            (vec![], None),
            (vec![5, 4, 3, 2, 1], Some((1, 3, 5, 5))),
            ((1..=10).collect(), Some((1, 5, 9, 10))),
            ((1..=11).rev().collect(), Some((1, 6, 10, 11))),
            (vec![60, 60, 60, 60, 60, 60, 60, 60, 60, 900], Some((60, 60, 60, 10))),
            (vec![60, 60, 60, 60, 60, 60, 60, 60, 900, 900], Some((60, 60, 900, 10))),
        ] {
            let durations = noted(Op::Add, seconds.clone());
            let of = |found: DurationSummary| {
                (found.shortest.as_secs(), found.p50.as_secs(), found.p90.as_secs(), found.count)
            };
            assert_eq!(durations.observed(Op::Add).map(of), expected, "{seconds:?}");
            let enough = expected.filter(|_| seconds.len() >= 5);
            assert_eq!(durations.summary(Op::Add).map(of), enough, "{seconds:?}");
        }
    }

    #[test]
    fn only_the_newest_steps_of_the_same_direction_count() {
        let mut durations = noted(Op::Add, [9000; 50].into_iter().chain([60; 50]));
        let sixty = Duration::from_secs(60);
        assert_eq!(
            durations.summary(Op::Add),
            Some(DurationSummary { shortest: sixty, p50: sixty, p90: sixty, count: 50 })
        );
        assert_eq!(durations.summary(Op::Remove), None);
        durations.note(Op::Add, Duration::from_secs(61));
        assert_eq!(durations.summary(Op::Add).map(|summary| summary.count), Some(50));
        let kept = serde_json::to_string(&durations).expect("JSON");
        assert_eq!(serde_json::from_str::<StepDurations>(&kept).expect("the same"), durations);
    }
}
