//! Policies as rows: revisions, states, claims, holds and predictions.
//!
//! It must never look into a document or a state.

use super::super::batch::{Batch, parameters};
use super::super::error::Fault;
use super::super::records::{json, stored};
use super::decisions;
use crate::domain::forecast::Prediction;
use crate::domain::policy::{Decision, Hold, Name};
use crate::domain::{Alias, Timestamp};
use crate::store::{MAX_REVISIONS, Observations, PolicyChange, PolicyState, PolicyWrite, Revision};

/// Writes `changes` in their order.
pub(super) fn write<'a>(batch: &mut Batch, changes: impl Iterator<Item = &'a PolicyChange>) -> Result<(), Fault> {
    let mut decided: Vec<(&Alias, &Decision)> = Vec::new();
    for PolicyChange { resource, write } in changes {
        match write {
            PolicyWrite::Revision(revision) => write_revision(batch, resource, revision)?,
            PolicyWrite::State(state) => write_state(batch, resource, state),
            PolicyWrite::Claim(claim) => batch.add(
                "INSERT INTO claims (resource, id, record) VALUES ($1, $2, $3) \
                 ON CONFLICT (resource, id) DO UPDATE SET record = excluded.record",
                parameters![name(resource), claim.id.to_string(), json(claim)?],
            ),
            PolicyWrite::ClaimEnded(id) => batch
                .add("DELETE FROM claims WHERE resource = $1 AND id = $2", parameters![name(resource), id.to_string()]),
            PolicyWrite::Hold(hold) => write_hold(batch, resource, hold.as_ref())?,
            // Nothing else in a unit has to do with decisions.
            PolicyWrite::Decision(decision) => decided.push((resource, decision)),
        }
    }
    decisions::write(batch, decided)
}

/// Writes what was observed, but for the samples.
pub(in super::super) fn write_observed(batch: &mut Batch, observations: &[Observations]) -> Result<(), Fault> {
    for Observations { resource, predictions, state, .. } in observations {
        write_predictions(batch, resource, predictions)?;
        if let Some(state) = state {
            write_state(batch, resource, state);
        }
    }
    let decided = observations.iter().flat_map(|of| of.decisions.iter().map(|decision| (&of.resource, decision)));
    decisions::write(batch, decided.collect())
}

fn name(resource: &Alias) -> String {
    resource.as_str().to_owned()
}

fn write_revision(batch: &mut Batch, resource: &Alias, revision: &Revision) -> Result<(), Fault> {
    let Revision { number, at, by, document } = revision;
    let actor = by.as_ref().map(json).transpose()?;
    batch.add(
        "INSERT INTO policy_revisions (resource, number, at_ms, actor, document) VALUES ($1, $2, $3, $4, $5)",
        parameters![name(resource), stored(*number), at.as_millis(), actor, document.clone()],
    );
    batch.add(
        "DELETE FROM policy_revisions WHERE resource = $1 AND number <= $2",
        parameters![name(resource), stored(number.saturating_sub(MAX_REVISIONS))],
    );
    if document.is_some() {
        batch.add(
            "INSERT INTO policies (resource, revision) VALUES ($1, $2) \
             ON CONFLICT (resource) DO UPDATE SET revision = excluded.revision",
            parameters![name(resource), stored(*number)],
        );
        return Ok(());
    }
    for sql in [
        "DELETE FROM policies WHERE resource = $1",
        "DELETE FROM policy_states WHERE resource = $1",
        "DELETE FROM claims WHERE resource = $1",
        "DELETE FROM predictions WHERE resource = $1",
    ] {
        batch.add(sql, parameters![name(resource)]);
    }
    // What is observed of it is out of use.
    let retire = "UPDATE series SET retired_ms = $2 WHERE resource = $1 AND retired_ms IS NULL";
    batch.add(retire, parameters![name(resource), at.as_millis()]);
    Ok(())
}

fn write_state(batch: &mut Batch, resource: &Alias, state: &PolicyState) {
    batch.add(
        "INSERT INTO policy_states (resource, at_ms, state) VALUES ($1, $2, $3) \
         ON CONFLICT (resource) DO UPDATE SET at_ms = excluded.at_ms, state = excluded.state",
        parameters![name(resource), state.at.as_millis(), state.text.clone()],
    );
}

/// Writes `predictions` of metrics of `resource`, each in place of the one before.
fn write_predictions(batch: &mut Batch, resource: &Alias, predictions: &[(Name, Prediction)]) -> Result<(), Fault> {
    for (metric, prediction) in predictions {
        let metric = metric.as_str().to_owned();
        if prediction.points().is_empty() {
            let end = "DELETE FROM predictions WHERE resource = $1 AND metric = $2";
            batch.add(end, parameters![name(resource), metric]);
            continue;
        }
        let received = prediction.received_at().map(Timestamp::as_millis);
        batch.add(
            "INSERT INTO predictions (resource, metric, points, received_ms) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (resource, metric) DO UPDATE SET points = excluded.points, received_ms = excluded.received_ms",
            parameters![name(resource), metric, json(&prediction.points())?, received],
        );
    }
    Ok(())
}

fn write_hold(batch: &mut Batch, resource: &Alias, hold: Option<&Hold>) -> Result<(), Fault> {
    match hold {
        None => batch.add("DELETE FROM holds WHERE resource = $1", parameters![name(resource)]),
        Some(hold) => batch.add(
            "INSERT INTO holds (resource, record) VALUES ($1, $2) \
             ON CONFLICT (resource) DO UPDATE SET record = excluded.record",
            parameters![name(resource), json(hold)?],
        ),
    }
    Ok(())
}
