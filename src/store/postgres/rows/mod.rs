//! What units and observations write into which table.
//!
//! Each function adds statements to a batch that is sent within a transaction. All of them take whole lists, so that a group
//! of units takes as many statements as one unit.

pub(super) mod decisions;
mod groups;
mod history;
mod jobs;
mod keys;
mod lanes;
mod policies;
pub(super) mod samples;

use std::collections::BTreeMap;

use super::batch::{Batch, parameters};
use super::error::Fault;
use super::records::stored;
use crate::domain::EventId;
use crate::store::unit::owner_of;
use crate::store::{IdempotencyEntry, Unit};

pub(super) use jobs::read as read_job;
pub(super) use lanes::read as read_lane;
pub(super) use policies::write_observed;

/// What is too many in a log is removed when so many more are in it: each removal costs a search, even of nothing.
const TRIMMED_TOGETHER: i64 = 64;

/// Adds what `units` write, in their order; their jobs become the versions `first_event` and following. The row of the log
/// must be locked.
///
/// Logs get an entry for everything; of a job or a lane that several units change, only the last state is written.
pub(super) fn write(batch: &mut Batch, units: &[&Unit], first_event: EventId) -> Result<(), Fault> {
    jobs::write(batch, units.iter().flat_map(|unit| &unit.jobs), first_event)?;
    groups::write(batch, units.iter().flat_map(|unit| &unit.groups))?;
    lanes::write(batch, units)?;
    policies::write(batch, units.iter().flat_map(|unit| &unit.policies))?;
    write_entries(batch, units.iter().flat_map(|unit| &unit.entries));
    history::write_timelines(batch, units.iter().flat_map(|unit| &unit.history))?;
    keys::write(batch, units.iter().flat_map(|unit| &unit.keys))?;
    history::write_audit(batch, units.iter().flat_map(|unit| &unit.audit))?;
    let used: Vec<i64> = units.iter().filter_map(|unit| unit.reservation).map(stored).collect();
    if !used.is_empty() {
        batch.add("DELETE FROM reservations WHERE id = ANY($1)", parameters![used]);
    }
    Ok(())
}

fn write_entries<'a>(batch: &mut Batch, entries: impl Iterator<Item = &'a IdempotencyEntry>) {
    // The last one of a key counts.
    let latest: BTreeMap<&str, &IdempotencyEntry> = entries.map(|entry| (entry.key.as_str(), entry)).collect();
    if latest.is_empty() {
        return;
    }
    let column = |of: &dyn Fn(&IdempotencyEntry) -> String| latest.values().map(|entry| of(entry)).collect::<Vec<_>>();
    batch.add(
        "INSERT INTO answers (key, owner, fingerprint, joined, answered_ms, made) \
         SELECT * FROM unnest($1, $2, $3, $4, $5, $6) \
         ON CONFLICT (key) DO UPDATE SET fingerprint = excluded.fingerprint, joined = excluded.joined, \
         answered_ms = excluded.answered_ms, made = excluded.made",
        parameters![
            column(&|entry| entry.key.clone()),
            latest.keys().map(|key| owner_of(key).map(String::from)).collect::<Vec<Option<String>>>(),
            latest.values().map(|entry| entry.fingerprint.to_vec()).collect::<Vec<Vec<u8>>>(),
            latest.values().map(|entry| entry.joined).collect::<Vec<bool>>(),
            latest.values().map(|entry| entry.answered_at.as_millis()).collect::<Vec<i64>>(),
            column(&|entry| entry.made.to_string()),
        ],
    );
}
