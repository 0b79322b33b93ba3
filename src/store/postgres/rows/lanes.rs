//! Lanes as rows: a column each for what earlier changes mean for later ones, and JSON for what is read and written whole.

use std::time::Duration;

use tokio_postgres::Row;

use super::super::batch::{Batch, parameters};
use super::super::error::Fault;
use super::super::records::{Named, json, read_count, stored};
use crate::domain::{Capacity, ChangeState, LaneRecord, Op, SentChange, Timestamp};
use crate::store::Unit;
use crate::store::unit::latest_records;

const WRITE: &str = "\
    INSERT INTO lanes (resource, changed_ms, op, cooldown_ms, settle_ms, fresh_from_ms, expected, provisioning_ms, change, \
    step_durations) SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
    ON CONFLICT (resource) DO UPDATE SET changed_ms = excluded.changed_ms, op = excluded.op, \
    cooldown_ms = excluded.cooldown_ms, settle_ms = excluded.settle_ms, fresh_from_ms = excluded.fresh_from_ms, \
    expected = excluded.expected, provisioning_ms = excluded.provisioning_ms, change = excluded.change, \
    step_durations = excluded.step_durations";

/// Writes each lane as it is after the last of `units`, or removes it, and its owner, if that one does.
pub(super) fn write(batch: &mut Batch, units: &[&Unit]) -> Result<(), Fault> {
    let latest = latest_records(units.iter().copied());
    let removed =
        latest.iter().filter(|(_, record)| record.is_none()).map(|(resource, _)| resource.as_str().to_owned());
    let removed: Vec<String> = removed.collect();
    if !removed.is_empty() {
        batch.add("DELETE FROM lanes WHERE resource = ANY($1)", parameters![removed.clone()]);
        batch.add("DELETE FROM owners WHERE resource = ANY($1)", parameters![removed]);
    }
    write_records(batch, &latest.into_values().flatten().collect::<Vec<_>>())
}

fn write_records(batch: &mut Batch, records: &[&LaneRecord]) -> Result<(), Fault> {
    if records.is_empty() {
        return Ok(());
    }
    let last = |of: &dyn Fn(&SentChange) -> i64| {
        let each = records.iter().map(|record| record.change_state.last_change.as_ref().map(of));
        each.collect::<Vec<Option<i64>>>()
    };
    let state = |of: &dyn Fn(&ChangeState) -> Option<i64>| {
        records.iter().map(|record| of(&record.change_state)).collect::<Vec<Option<i64>>>()
    };
    let op = |record: &LaneRecord| record.change_state.last_change.and_then(|last| last.op);
    let changes = records.iter().map(|record| record.change.as_ref().map(json).transpose());
    let durations = records.iter().map(|record| {
        let durations = &record.step_durations;
        (!durations.is_empty()).then(|| json(durations)).transpose()
    });
    batch.add(
        WRITE,
        parameters![
            records.iter().map(|record| record.resource.as_str().to_owned()).collect::<Vec<String>>(),
            last(&|last| last.at.as_millis()),
            records.iter().map(|record| op(record).map(|op| op.as_str().to_owned())).collect::<Vec<Option<String>>>(),
            last(&|last| millis(last.cooldown)),
            last(&|last| millis(last.settle)),
            state(&|state| state.fresh_from.map(Timestamp::as_millis)),
            state(&|state| state.expected.map(|expected| i64::from(expected.units()))),
            state(&|state| state.provisioning.map(millis)),
            changes.collect::<Result<Vec<Option<String>>, Fault>>()?,
            durations.collect::<Result<Vec<Option<String>>, Fault>>()?,
        ],
    );
    Ok(())
}

fn millis(duration: Duration) -> i64 {
    stored(duration.as_millis())
}

/// The lane in a row of all columns.
pub(in super::super) fn read(row: &Row) -> Result<LaneRecord, Fault> {
    let lane = Named::new("lane", row);
    let millis = |column| lane.get::<Option<i64>>(column);
    let wait = |column| {
        let wait = millis(column)?.ok_or_else(|| lane.senseless("a wait is missing"))?;
        Ok::<_, Fault>(Duration::from_millis(read_count(wait)))
    };
    let op = match lane.get::<Option<&str>>(2)? {
        Some(name) => Some(Op::named(name).ok_or_else(|| lane.senseless(format!("there is no operation {name}")))?),
        None => None,
    };
    let last_change = match millis(1)? {
        Some(at) => Some(SentChange { at: Timestamp::from_millis(at), op, cooldown: wait(3)?, settle: wait(4)? }),
        None => None,
    };
    let expected = millis(6)?.map(Capacity::new).transpose().map_err(|error| lane.senseless(error))?;
    let change_state = ChangeState {
        last_change,
        fresh_from: millis(5)?.map(Timestamp::from_millis),
        expected,
        provisioning: millis(7)?.map(|millis| Duration::from_millis(read_count(millis))),
    };
    Ok(LaneRecord {
        resource: lane.parsed(0)?,
        change_state,
        change: lane.record_or_null(8)?,
        step_durations: lane.record_or_null(9)?.unwrap_or_default(),
    })
}
