//! Policies as rows: revisions, states, claims, holds and predictions.
//!
//! It must never look into a document or a state.

use std::collections::BTreeMap;

use rusqlite::{Connection, Row, params};

use super::records::{Unreadable, collect, json, parsed, senseless};
use super::{decisions, samples};
use crate::domain::forecast::Prediction;
use crate::domain::policy::{Claim, Hold, Name, Sample};
use crate::domain::{Alias, Timestamp};
use crate::store::{MAX_REVISIONS, PolicyChange, PolicyRecord, PolicyState, PolicyWrite, Revision};

/// Writes `changes` in their order. Must be called within a transaction.
pub(super) fn write<'a>(db: &Connection, changes: impl Iterator<Item = &'a PolicyChange>) -> rusqlite::Result<()> {
    for PolicyChange { resource, write } in changes {
        match write {
            PolicyWrite::Revision(revision) => write_revision(db, resource, revision)?,
            PolicyWrite::State(state) => write_state(db, resource, state)?,
            PolicyWrite::Claim(claim) => write_claim(db, resource, claim)?,
            PolicyWrite::ClaimEnded(id) => {
                let mut end = db.prepare_cached("DELETE FROM claims WHERE resource = ?1 AND id = ?2")?;
                end.execute(params![resource.as_str(), id.to_string()])?;
            }
            PolicyWrite::Hold(hold) => write_hold(db, resource, hold.as_ref())?,
            PolicyWrite::Decision(decision) => decisions::write(db, resource, decision)?,
        }
    }
    Ok(())
}

fn write_revision(db: &Connection, resource: &Alias, revision: &Revision) -> rusqlite::Result<()> {
    let Revision { number, at, by, document } = revision;
    let mut insert = db.prepare_cached(
        "INSERT INTO policy_revisions (resource, number, at_ms, actor, document) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    let actor = by.as_ref().map(json).transpose()?;
    insert.execute(params![resource.as_str(), number, at.as_millis(), actor, document])?;
    let mut trim = db.prepare_cached("DELETE FROM policy_revisions WHERE resource = ?1 AND number <= ?2")?;
    trim.execute(params![resource.as_str(), number.saturating_sub(MAX_REVISIONS)])?;
    if document.is_some() {
        let mut put = db.prepare_cached("REPLACE INTO policies (resource, revision) VALUES (?1, ?2)")?;
        return put.execute(params![resource.as_str(), number]).map(drop);
    }
    for sql in [
        "DELETE FROM policies WHERE resource = ?1",
        "DELETE FROM policy_states WHERE resource = ?1",
        "DELETE FROM claims WHERE resource = ?1",
        "DELETE FROM predictions WHERE resource = ?1",
    ] {
        db.prepare_cached(sql)?.execute([resource.as_str()])?;
    }
    samples::retire(db, resource, *at)
}

pub(super) fn write_state(db: &Connection, resource: &Alias, state: &PolicyState) -> rusqlite::Result<()> {
    let mut upsert = db.prepare_cached(
        "INSERT INTO policy_states (resource, at_ms, state) VALUES (?1, ?2, ?3) \
         ON CONFLICT (resource) DO UPDATE SET at_ms = ?2, state = ?3",
    )?;
    upsert.execute(params![resource.as_str(), state.at.as_millis(), state.text]).map(drop)
}

/// Writes `predictions` of metrics of `resource`, each in place of the one before.
pub(super) fn write_predictions(
    db: &Connection,
    resource: &Alias,
    predictions: &[(Name, Prediction)],
) -> rusqlite::Result<()> {
    for (metric, prediction) in predictions {
        let of = (resource.as_str(), metric.as_str());
        if prediction.points().is_empty() {
            let mut end = db.prepare_cached("DELETE FROM predictions WHERE resource = ?1 AND metric = ?2")?;
            end.execute(of)?;
            continue;
        }
        let mut upsert = db.prepare_cached(
            "INSERT INTO predictions (resource, metric, points, received_ms) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT (resource, metric) DO UPDATE SET points = ?3, received_ms = ?4",
        )?;
        let received = prediction.received_at().map(Timestamp::as_millis);
        upsert.execute((of.0, of.1, json(&prediction.points())?, received))?;
    }
    Ok(())
}

fn write_claim(db: &Connection, resource: &Alias, claim: &Claim) -> rusqlite::Result<()> {
    let mut replace = db.prepare_cached("REPLACE INTO claims (resource, id, record) VALUES (?1, ?2, ?3)")?;
    replace.execute(params![resource.as_str(), claim.id.to_string(), json(claim)?]).map(drop)
}

fn write_hold(db: &Connection, resource: &Alias, hold: Option<&Hold>) -> rusqlite::Result<()> {
    let Some(hold) = hold else {
        return db.prepare_cached("DELETE FROM holds WHERE resource = ?1")?.execute([resource.as_str()]).map(drop);
    };
    let mut replace = db.prepare_cached("REPLACE INTO holds (resource, record) VALUES (?1, ?2)")?;
    replace.execute(params![resource.as_str(), json(hold)?]).map(drop)
}

/// What there is about each resource about which something is in force, by name.
pub(super) fn read(db: &Connection) -> Result<BTreeMap<Alias, PolicyRecord>, Unreadable> {
    let sql = "SELECT resource FROM policies UNION SELECT resource FROM policy_states \
        UNION SELECT resource FROM claims UNION SELECT resource FROM holds";
    let resources = collect(db, "policy of", sql, [], |row| parsed::<Alias>(row, 0))?;
    let mut samples = samples::all_adopted(db)?;
    let records = resources.into_iter().map(|resource| {
        let record = read_record(db, &resource, samples.remove(&resource).unwrap_or_default())?;
        Ok((resource, record))
    });
    records.collect()
}

/// The prediction of a metric of `resource`, if there is one.
pub(super) fn read_prediction(
    db: &Connection,
    resource: &Alias,
    metric: &Name,
) -> Result<Option<Prediction>, Unreadable> {
    let sql = "SELECT resource, metric, points, received_ms FROM predictions WHERE resource = ?1 AND metric = ?2";
    Ok(collect(db, "prediction for", sql, [resource.as_str(), metric.as_str()], prediction)?.pop())
}

fn prediction(row: &Row) -> rusqlite::Result<Prediction> {
    let prediction = Prediction::new(record(row, 2)?);
    let received_at: Option<i64> = row.get(3)?;
    Ok(match received_at {
        Some(at) => prediction.received(Timestamp::from_millis(at)),
        None => prediction,
    })
}

/// What there is about `resource`, if there is anything.
pub(super) fn read_one(db: &Connection, resource: &Alias) -> Result<Option<PolicyRecord>, Unreadable> {
    let record = read_record(db, resource, samples::adopted(db, resource)?)?;
    Ok((record != PolicyRecord::default()).then_some(record))
}

/// What there is about `resource`, whose samples are these.
fn read_record(
    db: &Connection,
    resource: &Alias,
    samples: BTreeMap<Name, Vec<Sample>>,
) -> Result<PolicyRecord, Unreadable> {
    let of = [resource.as_str()];
    let state = "SELECT resource, at_ms, state FROM policy_states WHERE resource = ?1";
    let parse_state =
        |row: &Row| Ok(PolicyState { at: Timestamp::from_millis(row.get(1)?), text: row.get::<_, String>(2)? });
    let hold = "SELECT resource, record FROM holds WHERE resource = ?1";
    let claims = "SELECT resource, record FROM claims WHERE resource = ?1 ORDER BY id";
    let sql = "SELECT resource, metric, points, received_ms FROM predictions WHERE resource = ?1";
    let predictions = collect(db, "prediction for", sql, of, |row| Ok((parsed(row, 1)?, prediction(row)?)))?;
    Ok(PolicyRecord {
        revision: revisions(db, resource, 1)?.pop(),
        state: collect(db, "state of the policy of", state, of, parse_state)?.pop(),
        claims: collect(db, "claim on", claims, of, |row| record::<Claim>(row, 1))?,
        hold: collect(db, "hold of", hold, of, |row| record::<Hold>(row, 1))?.pop(),
        samples,
        predictions: predictions.into_iter().collect(),
        last_decision: decisions::newest(db, resource)?.map(Box::new),
    })
}

/// The newest revisions of the policy of `resource`, at most so many.
pub(super) fn revisions(db: &Connection, resource: &Alias, most: u64) -> Result<Vec<Revision>, Unreadable> {
    let sql = "SELECT resource, number, at_ms, actor, document FROM policy_revisions WHERE resource = ?1 \
        ORDER BY number DESC LIMIT ?2";
    collect(db, "policy of", sql, params![resource.as_str(), most], parse_revision)
}

/// The revision in a row of `resource`, `number`, `at_ms`, `actor` and `document`.
pub(super) fn parse_revision(row: &Row) -> rusqlite::Result<Revision> {
    let by = row.get_ref(3)?.as_str_or_null()?;
    Ok(Revision {
        number: row.get(1)?,
        at: Timestamp::from_millis(row.get(2)?),
        by: by.map(|by| serde_json::from_str(by).map_err(|error| senseless(3, error))).transpose()?,
        document: row.get(4)?,
    })
}

fn record<T: serde::de::DeserializeOwned>(row: &Row, column: usize) -> rusqlite::Result<T> {
    serde_json::from_str(row.get_ref(column)?.as_str()?).map_err(|error| senseless(column, error))
}

/// Moves the times of states and samples by so much. Claims and holds end at the times that their callers were told, and
/// predictions are about such times.
pub(super) fn carry_over(db: &Connection, forward_millis: i64) -> rusqlite::Result<()> {
    db.execute("UPDATE policy_states SET at_ms = at_ms + ?1", [forward_millis])?;
    samples::carry_over(db, forward_millis)
}

#[cfg(test)]
#[path = "policies_tests.rs"]
mod tests;
