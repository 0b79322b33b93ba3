//! Timelines and the record of attempts.

use std::collections::HashMap;

use super::super::batch::{Batch, parameters};
use super::super::error::Fault;
use super::super::records::{json, stored};
use super::TRIMMED_TOGETHER;
use crate::domain::{Actor, Alias, AuditEntry, HistoryEntry, KeyId};
use crate::store::MAX_TIMELINE;

/// Numbers the entries of each resource, so that keeping the newest ones is a range in an index. The first number is the time
/// in milliseconds: where all entries have been removed, none is given out again.
const WRITE_TIMELINES: &str = "\
    WITH new AS ( \
        SELECT * FROM unnest($1, $2, $3, $4) AS new (resource, place, at_ms, record) \
    ), begin AS ( \
        SELECT resource, coalesce((SELECT max(number) + 1 FROM timeline WHERE timeline.resource = new.resource), at_ms) \
        AS number FROM new WHERE place = 0 \
    ), written AS ( \
        INSERT INTO timeline (resource, number, at_ms, record) \
        SELECT new.resource, begin.number + new.place, new.at_ms, new.record FROM new JOIN begin USING (resource) \
        RETURNING resource, number \
    ), trimmed AS ( \
        SELECT resource, max(number) - $5 AS too_old FROM written WHERE number % $6 = 0 GROUP BY resource \
    ) DELETE FROM timeline USING trimmed WHERE timeline.resource = trimmed.resource AND number <= too_old";

pub(super) fn write_timelines<'a>(
    batch: &mut Batch,
    history: impl Iterator<Item = &'a (Alias, HistoryEntry)>,
) -> Result<(), Fault> {
    let mut lengths: HashMap<&Alias, i64> = HashMap::new();
    let (mut resources, mut places, mut times, mut records) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (resource, entry) in history {
        let length = lengths.entry(resource).or_default();
        resources.push(resource.as_str().to_owned());
        places.push(*length);
        times.push(entry.at.as_millis());
        records.push(json(entry)?);
        *length += 1;
    }
    if !resources.is_empty() {
        let kept = i64::from(MAX_TIMELINE);
        batch.add(WRITE_TIMELINES, parameters![resources, places, times, records, kept, TRIMMED_TOGETHER]);
    }
    Ok(())
}

/// Numbers all entries in the order in which they are listed.
const WRITE_AUDIT: &str = "\
    INSERT INTO audit (seq, class, at, owner, record) \
    SELECT (SELECT coalesce(max(seq), 0) FROM audit) + place, class, at, owner, record \
    FROM unnest($1, $2, $3, $4, $5) AS new (place, class, at, owner, record)";

pub(super) fn write_audit<'a>(batch: &mut Batch, entries: impl Iterator<Item = &'a AuditEntry>) -> Result<(), Fault> {
    let entries: Vec<&AuditEntry> = entries.collect();
    if entries.is_empty() {
        return Ok(());
    }
    let owner =
        |entry: &AuditEntry| entry.attempt.actor.as_ref().and_then(Actor::key).map(KeyId::as_str).map(str::to_owned);
    batch.add(
        WRITE_AUDIT,
        parameters![
            (1..=stored(entries.len())).collect::<Vec<i64>>(),
            entries.iter().map(|entry| entry.retention_class().as_str().to_owned()).collect::<Vec<String>>(),
            entries.iter().map(|entry| entry.at.to_string()).collect::<Vec<String>>(),
            entries.iter().map(|entry| owner(entry)).collect::<Vec<Option<String>>>(),
            entries.iter().map(json).collect::<Result<Vec<String>, Fault>>()?,
        ],
    );
    Ok(())
}
