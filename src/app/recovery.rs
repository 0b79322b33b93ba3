//! How a process carries on with what another one left behind: by whose clock, and what has to be fitted to it.

use std::time::Duration;

use crate::clock::{Clock, Present, Start, WallWatch};
use crate::domain::Timestamp;
use crate::store::sqlite::{SqliteError, SqliteJournal};

/// How far the gateway's clock and the machine's may be apart without a line in the log; time servers correct less all
/// the time.
const UNNOTICED_DIFFERENCE: Duration = Duration::from_secs(2);

/// From the clock of the process before to the wall's.
pub(super) struct CarryOver {
    /// What the one shows at the moment when the other shows [`CarryOver::to`].
    from: Timestamp,
    to: Timestamp,
}

/// The clock for a process that starts at `present`, and whether what is in the store has to be fitted to it.
///
/// As long as work is unfinished the clock of the process before goes on, and nothing has to be fitted. Otherwise
/// whatever points in time still decide anything are carried over to the wall's clock. A backup is carried on with from
/// here on; the clock in it tells which start of which machine it was on, and is not believed on another.
pub(super) fn choose_clock(
    journal: &mut SqliteJournal,
    present: &Present,
) -> Result<(Clock, WallWatch, Option<CarryOver>), SqliteError> {
    let anchor = journal.clock_anchor()?;
    let (shown, carry_over) = match Start::decide(anchor.as_ref(), present, journal.has_work()?) {
        Start::Resume(shows) => {
            warn_of_difference(shows, present.wall);
            (shows, None)
        }
        Start::Wall { before } => {
            (present.wall, Some(CarryOver { from: before.unwrap_or(present.wall), to: present.wall }))
        }
    };
    let in_the_store = carry_over.as_ref().map_or(shown, |carry_over| carry_over.from);
    if let Some(taken_at) = journal.carry_on_from_backup(in_the_store)? {
        warn_of_restore(taken_at);
    }
    let wall = WallWatch::begin(shown, present.wall, present.may_have_been_set_since(anchor.as_ref()));
    Ok((Clock::showing(shown, present), wall, carry_over))
}

/// Fits what is in the store to the clock that was chosen.
pub(super) fn recover(
    journal: &mut SqliteJournal,
    present: &Present,
    carry_over: Option<CarryOver>,
) -> Result<(), SqliteError> {
    match carry_over {
        Some(CarryOver { from, to }) => journal.change_clock(present.anchor().as_ref(), from, to),
        None => Ok(()),
    }
}

fn warn_of_restore(taken_at: Timestamp) {
    tracing::warn!(
        "this store was restored from the backup of {taken_at}: keys that were revoked since then are good again, revoke them \
         again with `scalegate keys revoke`, and keys that were made since are gone; jobs and idempotency keys of later requests are \
         not known; each resource waits for its cooldown and settle time from now on, since changes may have been sent meanwhile"
    );
}

fn warn_of_difference(clock: Timestamp, wall: Timestamp) {
    let (ahead, behind) = (clock.since(wall), wall.since(clock));
    let (difference, direction) = if ahead > behind { (ahead, "ahead of") } else { (behind, "behind") };
    if difference > UNNOTICED_DIFFERENCE {
        tracing::warn!(
            %clock,
            %wall,
            "this gateway's clock is {} s {direction} the machine's, which was set: it goes on as it was, so that waits \
             stay as long as they are, until the gateway starts without unfinished jobs or the machine starts anew",
            difference.as_secs(),
        );
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::domain::{Capacity, Change, ChangeState, JobId, LaneRecord, Move, Op, SentChange, Stage};
    use crate::store::sqlite::Journal as _;
    use crate::store::{LaneChange, RecordChange, Unit, Which};

    const HOUR: Duration = Duration::from_hours(1);
    const NOON: Timestamp = Timestamp::from_millis(1_769_860_800_000);

    fn present(passed: Duration, wall: Timestamp) -> Present {
        Present { wall, uptime: HOUR + passed, boot: Some("this".into()) }
    }

    /// Changed at noon, by the clock of a process that started then.
    fn lane(stage: Option<Stage>) -> LaneRecord {
        let sent = SentChange { at: NOON, op: Some(Op::Add), cooldown: HOUR, settle: HOUR };
        let units = |units| Capacity::new(units).expect("a small number");
        let movement = Move::toward(units(1), units(2), 1).expect("a distance");
        let change =
            stage.map(|stage| Change { job: JobId::from_u128(7), movement, sent, effect_timeout: HOUR, stage });
        let change_state = ChangeState { last_change: Some(sent), fresh_from: Some(NOON), ..ChangeState::default() };
        LaneRecord { change_state, change, ..LaneRecord::new("worker".parse().expect("an alias")) }
    }

    fn store_left_behind(directory: &Path, stage: Option<Stage>) -> SqliteJournal {
        let mut journal = SqliteJournal::open(directory).expect("a store");
        let anchor = present(Duration::ZERO, NOON).anchor();
        let record = lane(stage);
        let left_behind =
            LaneChange { resource: record.resource.clone(), epoch: 0, record: RecordChange::Write(Box::new(record)) };
        journal.commit(&[Unit { lanes: vec![left_behind], ..Unit::default() }], 0).expect("written");
        journal.change_clock(anchor.as_ref(), NOON, NOON).expect("written");
        journal
    }

    /// A process starts at `present`: its clock shows `shown` then; the lane as it finds it, and as the next one will.
    #[track_caller]
    fn start(journal: &mut SqliteJournal, present: &Present, shown: Timestamp) -> LaneRecord {
        let (clock, _, carry_over) = choose_clock(journal, present).expect("a clock");
        assert_eq!(clock, Clock::showing(shown, present));
        recover(journal, present, carry_over).expect("readable");
        journal.reopen().expect("sound");
        let lanes = journal.lane_reader().and_then(|reader| reader.adopt(&Which::All, |_| 1)).expect("readable").lanes;
        lanes.into_iter().next().expect("a lane").record
    }

    #[test]
    fn an_unresolved_change_keeps_the_clock_as_it_was() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut journal = store_left_behind(directory.path(), Some(Stage::Acknowledged));
        for minutes in [1, 2] {
            let passed = Duration::from_mins(minutes);
            let found = start(&mut journal, &present(passed, NOON + HOUR * 5), NOON + passed);
            assert_eq!(found, lane(Some(Stage::Acknowledged)));
        }
    }

    #[test]
    fn with_nothing_under_way_ages_stay_the_same_on_the_walls_clock() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut journal = store_left_behind(directory.path(), None);
        for (minutes, wall) in [(1, NOON + HOUR * 5), (2, NOON - HOUR * 5), (3, NOON)] {
            let passed = Duration::from_mins(minutes);
            let lane = start(&mut journal, &present(passed, wall), wall);
            assert_eq!(lane.change_state.last_change.map(|last| last.at), Some(wall - passed));
            assert_eq!(lane.change_state.fresh_from, Some(wall - passed));
        }
    }

    #[test]
    fn without_a_name_for_the_boot_no_old_anchor_stays_behind() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut journal = store_left_behind(directory.path(), Some(Stage::Acknowledged));
        let nameless = Present { boot: None, ..present(HOUR, NOON + HOUR * 5) };
        start(&mut journal, &nameless, NOON + HOUR * 5);
        start(&mut journal, &present(HOUR * 2, NOON), NOON);
    }
}
