//! The table of API keys.

use super::super::batch::{Batch, parameters};
use super::super::error::Fault;
use super::super::records::json;
use crate::domain::{KeyRecord, Timestamp};
use crate::store::{KeyChange, MAX_DEAD_KEYS};

/// Writes `changes`. That any of them says which keys are good is noted for all replicas.
pub(super) fn write<'a>(batch: &mut Batch, changes: impl Iterator<Item = &'a KeyChange>) -> Result<(), Fault> {
    let mut changes_keys = false;
    for change in changes {
        changes_keys |= !matches!(change, KeyChange::Used { .. });
        match change {
            KeyChange::Added(key) => {
                note_first(batch, key.created_at);
                add(batch, key)?;
            }
            KeyChange::Configured { at } => note_first(batch, *at),
            KeyChange::Revoked { id, at } => {
                let sql = "UPDATE keys SET revoked_ms = coalesce(revoked_ms, $2) WHERE id = $1";
                batch.add(sql, parameters![id.as_str().to_owned(), at.as_millis()]);
            }
            KeyChange::Used { id, at } => {
                let sql = "UPDATE keys SET used_ms = greatest(used_ms, $2) WHERE id = $1";
                batch.add(sql, parameters![id.as_str().to_owned(), at.as_millis()]);
            }
        }
    }
    if changes_keys {
        batch.add("UPDATE keys_state SET changes = changes + 1", Vec::new());
    }
    Ok(())
}

/// Notes that there is a key, unless there was one before. What is noted here is never removed.
fn note_first(batch: &mut Batch, at: Timestamp) {
    batch.add("INSERT INTO first_key (made_ms) VALUES ($1) ON CONFLICT DO NOTHING", parameters![at.as_millis()]);
}

fn add(batch: &mut Batch, key: &KeyRecord) -> Result<(), Fault> {
    let millis = |at: Option<Timestamp>| at.map(Timestamp::as_millis);
    batch.add(
        "INSERT INTO keys (id, name, scope, resources, hash, created_ms, expires_ms, revoked_ms, used_ms) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        parameters![
            key.id.as_str().to_owned(),
            key.name.clone(),
            key.scope.as_str().to_owned(),
            key.reach.resources().map(json).transpose()?,
            key.hash.to_vec(),
            key.created_at.as_millis(),
            millis(key.expires_at),
            millis(key.revoked_at),
            millis(key.last_used_at),
        ],
    );
    batch.add(
        "DELETE FROM keys WHERE seq IN (SELECT seq FROM keys WHERE revoked_ms IS NOT NULL OR expires_ms <= $1 \
         ORDER BY seq DESC OFFSET $2)",
        parameters![key.created_at.as_millis(), i64::from(MAX_DEAD_KEYS)],
    );
    Ok(())
}
