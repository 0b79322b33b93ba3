//! Whether a reading may be decided on, and what it says about the change before it.
//!
//! A decision on a stale reading is what makes the naive loop overshoot. The rules here are the whole of promise
//! "never on a stale reading": nothing else decides whether a reading may be acted on.

use std::time::Duration;

use super::capacity::Capacity;
use super::change_state::{Change, ChangeState, Stage};
use super::job::StepOutcome;
use super::reading::Reading;
use super::time::Timestamp;

/// The judgement on a reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadingVerdict {
    /// It shows the present, as far as scalegate's own changes are concerned.
    Usable {
        /// When it was observed.
        observed_at: Timestamp,
        /// What became of the unresolved change, if there was one.
        outcome: Option<StepOutcome>,
        /// The capacity there should have been, if it shows another one.
        instead_of: Option<Capacity>,
    },
    /// It proves nothing; read again.
    NotYet {
        /// When it was observed.
        observed_at: Timestamp,
        /// What is missing.
        lacks: Inconclusive,
    },
}

/// What a reading lacks to be usable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inconclusive {
    /// It was observed before something that is already known.
    Freshness,
    /// The sidecar acknowledged the change, but the capacity has not (fully) moved.
    Progress,
    /// It could still be a belated view of the past; one observed at or after this time cannot.
    Settling(Timestamp),
}

/// Judges `reading` by the resource's `change_state` and the unresolved `change`; `settle` is the setting of the job that
/// wants to know.
pub fn assess(
    reading: &Reading,
    change_state: &ChangeState,
    change: Option<&Change>,
    settle: Duration,
) -> ReadingVerdict {
    let observed_at = reading.observed_at(change_state.longest_settle(settle));
    let judged = match change {
        None => without_change(reading.capacity, observed_at, change_state),
        Some(change) => match change.stage {
            Stage::Acknowledged => acknowledged(reading.capacity, observed_at, change_state, change),
            Stage::Unknown { since } => unknown(reading, observed_at, change_state, change, since),
            // No reading is asked for while a request is out; one that comes all the same proves nothing about it.
            Stage::Intended => Err(Inconclusive::Freshness),
        },
    };
    match judged {
        Ok((outcome, instead_of)) => ReadingVerdict::Usable { observed_at, outcome, instead_of },
        Err(lacks) => ReadingVerdict::NotYet { observed_at, lacks },
    }
}

type Judged = Result<(Option<StepOutcome>, Option<Capacity>), Inconclusive>;

fn without_change(capacity: Capacity, observed_at: Timestamp, change_state: &ChangeState) -> Judged {
    if change_state.fresh_from.is_some_and(|from| observed_at < from) {
        return Err(Inconclusive::Freshness);
    }
    let instead_of = change_state.expected.filter(|expected| *expected != capacity);
    if instead_of.is_some() {
        settled(observed_at, change_state)?;
    }
    Ok((None, instead_of))
}

fn acknowledged(capacity: Capacity, observed_at: Timestamp, change_state: &ChangeState, change: &Change) -> Judged {
    let movement = change.movement;
    if observed_at < change.sent.at {
        return Err(Inconclusive::Freshness);
    }
    if capacity == movement.to {
        return Ok((Some(StepOutcome::Confirmed), None));
    }
    if capacity == movement.from || capacity.is_between(movement.from, movement.to) {
        return Err(Inconclusive::Progress);
    }
    settled(observed_at, change_state)?;
    if movement.to.is_between(movement.from, capacity) {
        Ok((Some(StepOutcome::Confirmed), Some(movement.to)))
    } else {
        Ok((Some(StepOutcome::Unknown), Some(movement.from)))
    }
}

fn unknown(
    reading: &Reading,
    observed_at: Timestamp,
    change_state: &ChangeState,
    change: &Change,
    since: Timestamp,
) -> Judged {
    settled(observed_at, change_state)?;
    if observed_at < since {
        return Err(Inconclusive::Settling(since));
    }
    let (capacity, movement) = (reading.capacity, change.movement);
    if capacity == movement.to {
        Ok((Some(StepOutcome::Confirmed), None))
    } else if capacity == movement.from && !reading.status.is_at_rest(capacity) {
        // Something is going on, and some resources show the old capacity until it is over.
        Err(Inconclusive::Progress)
    } else if capacity == movement.from {
        Ok((Some(StepOutcome::NotApplied), None))
    } else {
        Ok((Some(StepOutcome::Unknown), Some(movement.from)))
    }
}

fn settled(observed_at: Timestamp, change_state: &ChangeState) -> Result<(), Inconclusive> {
    match change_state.settled_at() {
        Some(settled_at) if observed_at < settled_at => Err(Inconclusive::Settling(settled_at)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::capacity::{Move, Op};
    use crate::domain::change_state::SentChange;
    use crate::domain::reading::Status;

    const SETTLE: Duration = Duration::from_secs(90);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000 + seconds * 1000)
    }

    fn units(units: i64) -> Capacity {
        Capacity::new(units).expect("a small number")
    }

    fn stamped(capacity: i64, seconds: i64) -> Reading {
        Reading {
            status: Status::new("ACTIVE"),
            capacity: units(capacity),
            stamp: Some(at(seconds)),
            wall_set_at: None,
            asked_at: at(seconds),
            received_at: at(seconds),
        }
    }

    fn unstamped(capacity: i64, seconds: i64) -> Reading {
        Reading { stamp: None, ..stamped(capacity, seconds) }
    }

    /// A change by 2 units, from 3 to 5, sent at 0.
    fn sent(stage: Stage) -> (ChangeState, Change) {
        let sent = SentChange { at: at(0), op: Some(Op::Add), cooldown: Duration::from_secs(300), settle: SETTLE };
        let change_state =
            ChangeState { last_change: Some(sent), fresh_from: Some(at(0)), expected: None, provisioning: None };
        let movement = Move::toward(units(3), units(5), 2).expect("a distance");
        let change = Change { job: uuid::Uuid::nil(), movement, sent, effect_timeout: Duration::from_secs(900), stage };
        (change_state, change)
    }

    fn usable(outcome: Option<StepOutcome>, instead_of: Option<i64>) -> Judged {
        Ok((outcome, instead_of.map(units)))
    }

    fn judge(reading: &Reading, change_state: &ChangeState, change: Option<&Change>) -> Judged {
        match assess(reading, change_state, change, SETTLE) {
            ReadingVerdict::Usable { outcome, instead_of, .. } => Ok((outcome, instead_of)),
            ReadingVerdict::NotYet { lacks, .. } => Err(lacks),
        }
    }

    #[test]
    fn after_an_acknowledged_change_only_progress_counts() {
        let (change_state, change) = sent(Stage::Acknowledged);
        let settling = Err(Inconclusive::Settling(at(90)));
        for (reading, expected, why) in [
            (stamped(5, 1), usable(Some(StepOutcome::Confirmed), None), "moved as asked, at once"),
            (stamped(5, -1), Err(Inconclusive::Freshness), "a state from before the change"),
            (stamped(3, 1), Err(Inconclusive::Progress), "not moved yet"),
            (stamped(3, 500), Err(Inconclusive::Progress), "not moved for long, however fresh it claims to be"),
            (stamped(4, 500), Err(Inconclusive::Progress), "half way is still on the way"),
            (stamped(6, 10), settling, "moved too far: another program, or an old view"),
            (stamped(6, 90), usable(Some(StepOutcome::Confirmed), Some(5)), "moved too far for certain"),
            (stamped(2, 90), usable(Some(StepOutcome::Unknown), Some(3)), "moved the other way for certain"),
            (unstamped(5, 89), Err(Inconclusive::Freshness), "without a timestamp it may be as old as settle"),
            (unstamped(5, 90), usable(Some(StepOutcome::Confirmed), None), "and then no longer"),
        ] {
            assert_eq!(judge(&reading, &change_state, Some(&change)), expected, "{why}");
        }
    }

    /// The job that reads may know of longer delays than the one that sent the change, or the other way round.
    #[test]
    fn the_longer_settle_time_counts() {
        let (change_state, change) = sent(Stage::Acknowledged);
        for (settle, asked, usable) in [(0, 89, false), (0, 90, true), (200, 199, false), (200, 200, true)] {
            let verdict = assess(&unstamped(5, asked), &change_state, Some(&change), Duration::from_secs(settle));
            assert_eq!(matches!(verdict, ReadingVerdict::Usable { .. }), usable, "{settle}, {asked}");
        }
    }

    #[test]
    fn an_unknown_outcome_is_resolved_only_after_it_settled() {
        let (change_state, change) = sent(Stage::Unknown { since: at(60) });
        let settling = Err(Inconclusive::Settling(at(90)));
        for (reading, expected, why) in [
            (stamped(5, 61), settling, "even what looks like success may be another program's doing"),
            (stamped(3, 89), settling, "it may still arrive"),
            (stamped(3, 90), usable(Some(StepOutcome::NotApplied), None), "now it will not"),
            (stamped(5, 90), usable(Some(StepOutcome::Confirmed), None), "it was applied"),
            (stamped(7, 90), usable(Some(StepOutcome::Unknown), Some(3)), "another program interfered"),
            (stamped(4, 90), usable(Some(StepOutcome::Unknown), Some(3)), "half of it is not what was asked"),
            (unstamped(5, 179), settling, "without timestamps, settle counts twice"),
            (unstamped(5, 180), usable(Some(StepOutcome::Confirmed), None), "once for the change, once for the view"),
        ] {
            assert_eq!(judge(&reading, &change_state, Some(&change)), expected, "{why}");
        }
        let (change_state, change) = sent(Stage::Unknown { since: at(200) });
        assert_eq!(
            judge(&stamped(3, 150), &change_state, Some(&change)),
            Err(Inconclusive::Settling(at(200))),
            "while the request was out it could still be applied"
        );
    }

    #[test]
    fn without_a_change_in_flight_readings_must_not_go_backwards() {
        let (mut change_state, _) = sent(Stage::Acknowledged);
        change_state.record_seen(units(5), at(40));
        for (reading, expected, why) in [
            (stamped(5, 39), Err(Inconclusive::Freshness), "older than the last one used"),
            (stamped(5, 40), usable(None, None), "as expected"),
            (
                stamped(3, 50),
                Err(Inconclusive::Settling(at(90))),
                "contradicts what was seen: perhaps a lagging replica",
            ),
            (stamped(3, 95), usable(None, Some(5)), "another program has changed it"),
        ] {
            assert_eq!(judge(&reading, &change_state, None), expected, "{why}");
        }
        assert_eq!(
            judge(&stamped(9, -5000), &ChangeState::default(), None),
            usable(None, None),
            "nothing is known yet"
        );
        assert_eq!(judge(&unstamped(9, 0), &ChangeState::default(), None), usable(None, None), "nor needed");
    }
}
