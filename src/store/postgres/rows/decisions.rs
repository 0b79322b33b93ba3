//! Decisions as rows, those of each resource numbered in the order in which they were written.
//!
//! Rejected: their ids as keys, because the clock that ids are made by can be set back.

use std::collections::BTreeMap;

use super::super::batch::{Batch, parameters};
use super::super::error::Fault;
use super::super::records::json;
use super::TRIMMED_TOGETHER;
use crate::domain::Alias;
use crate::domain::policy::Decision;
use crate::store::MAX_DECISIONS;

/// Writes each after those of its resource; the first one in place of the newest if it has the same id.
const WRITE: &str = "\
    WITH new AS ( \
        SELECT * FROM unnest($1, $2, $3, $4, $5) AS new (resource, place, id, last_ms, record) \
    ), newest AS ( \
        SELECT begin.resource, found.number, found.id FROM (SELECT resource FROM new WHERE place = 0) AS begin \
        CROSS JOIN LATERAL (SELECT number, id FROM decisions WHERE decisions.resource = begin.resource \
            ORDER BY number DESC LIMIT 1) AS found \
    ), replaced AS ( \
        UPDATE decisions SET last_ms = new.last_ms, record = new.record FROM new JOIN newest USING (resource, id) \
        WHERE new.place = 0 AND decisions.resource = newest.resource AND decisions.number = newest.number \
        RETURNING decisions.resource \
    ), written AS ( \
        INSERT INTO decisions (resource, number, id, last_ms, record) \
        SELECT new.resource, coalesce(newest.number, 0) + new.place + CASE WHEN replaced.resource IS NULL THEN 1 ELSE 0 END, \
            new.id, new.last_ms, new.record \
        FROM new LEFT JOIN newest USING (resource) LEFT JOIN replaced USING (resource) \
        WHERE new.place > 0 OR replaced.resource IS NULL \
        RETURNING resource, number \
    ), trimmed AS ( \
        SELECT resource, max(number) - $6 AS too_old FROM written WHERE number % $7 = 0 GROUP BY resource \
    ) DELETE FROM decisions USING trimmed WHERE decisions.resource = trimmed.resource AND number <= too_old";

/// Writes decisions about resources, in their order.
pub(super) fn write(batch: &mut Batch, decisions: Vec<(&Alias, &Decision)>) -> Result<(), Fault> {
    let mut of_resources: BTreeMap<&Alias, Vec<&Decision>> = BTreeMap::new();
    for (resource, decision) in decisions {
        let written = of_resources.entry(resource).or_default();
        match written.last_mut().filter(|last| last.id == decision.id) {
            Some(last) => *last = decision,
            None => written.push(decision),
        }
    }
    if of_resources.is_empty() {
        return Ok(());
    }
    let (mut resources, mut places, mut ids, mut times, mut records) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (resource, decisions) in of_resources {
        for (place, decision) in (0_i64..).zip(decisions) {
            resources.push(resource.as_str().to_owned());
            places.push(place);
            ids.push(decision.id.to_string());
            times.push(decision.last_at.as_millis());
            records.push(json(decision)?);
        }
    }
    let kept = i64::from(MAX_DECISIONS);
    batch.add(WRITE, parameters![resources, places, ids, times, records, kept, TRIMMED_TOGETHER]);
    Ok(())
}
