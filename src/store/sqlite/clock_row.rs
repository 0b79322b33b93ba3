//! The clock that the points in time in the store are by: the row that identifies it, and what moves with it.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};

use super::records::Unreadable;
use super::{lanes, policies};
use crate::clock::Anchor;
use crate::domain::{LaneRecord, Timestamp};

/// By how much a clock must differ from the one before to matter for what is kept for days.
const LEAST_SHIFT_MILLIS: u64 = 1000;

/// The anchor of that clock, if there is one that makes sense.
pub(super) fn read(db: &Connection) -> rusqlite::Result<Option<Anchor>> {
    let row = |row: &rusqlite::Row| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    let found: (String, i64, i64) =
        match db.query_row("SELECT boot, uptime_ms, shown_ms FROM clock", [], row).optional() {
            Ok(Some(found)) => found,
            // A clock that cannot be understood is as good as none; no job is lost with it.
            Ok(None) | Err(rusqlite::Error::InvalidColumnType(..)) => return Ok(None),
            Err(error) => return Err(error),
        };
    let (boot, uptime_ms, shown_ms) = found;
    let (uptime, shown) = (u64::try_from(uptime_ms).ok(), Timestamp::from_millis(shown_ms));
    Ok(uptime.map(|uptime_ms| Anchor { boot, uptime: Duration::from_millis(uptime_ms), shown }))
}

/// Writes the `anchor` of another clock, which shows `to` when the one so far shows `from`, the `records` of all lanes by
/// it, and moves all other points in time.
pub(super) fn write(
    db: &mut Connection,
    anchor: Option<&Anchor>,
    records: &[LaneRecord],
    from: Timestamp,
    to: Timestamp,
) -> Result<(), Unreadable> {
    let forward_millis = to.as_millis().saturating_sub(from.as_millis());
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    lanes::write_records(&transaction, records.iter().map(|record| (&record.resource, Some(record))))?;
    // What is kept for days is not rewritten for the few milliseconds that two clocks are always apart.
    if forward_millis.unsigned_abs() >= LEAST_SHIFT_MILLIS {
        transaction.execute("UPDATE answers SET answered_ms = answered_ms + ?1", [forward_millis])?;
        transaction.execute("UPDATE jobs SET finished_ms = finished_ms + ?1", [forward_millis])?;
        transaction.execute("UPDATE timeline SET at_ms = at_ms + ?1", [forward_millis])?;
        policies::carry_over(&transaction, forward_millis)?;
    }
    transaction.execute("UPDATE backup SET restored_ms = restored_ms + ?1", [forward_millis])?;
    transaction.execute("DELETE FROM clock", [])?;
    if let Some(Anchor { boot, uptime, shown }) = anchor {
        let uptime_ms = i64::try_from(uptime.as_millis()).unwrap_or(i64::MAX);
        let row = params![boot, uptime_ms, shown.as_millis()];
        transaction.execute("INSERT INTO clock (only, boot, uptime_ms, shown_ms) VALUES (1, ?1, ?2, ?3)", row)?;
    }
    transaction.commit()?;
    Ok(())
}
