//! The table of API keys.

use rusqlite::{Connection, Row, params};

use super::records::{json, parsed, senseless};
use crate::domain::{KeyRecord, Reach, Scope, Timestamp};
use crate::store::{KeyChange, MAX_DEAD_KEYS};

/// All keys, oldest first.
pub(super) fn read(db: &Connection) -> rusqlite::Result<Vec<KeyRecord>> {
    let mut statement = db.prepare_cached(
        "SELECT id, name, scope, resources, hash, created_ms, expires_ms, revoked_ms, used_ms FROM keys ORDER BY seq",
    )?;
    let keys = statement.query_map([], record)?;
    keys.collect()
}

fn record(row: &Row) -> rusqlite::Result<KeyRecord> {
    let time = |column| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(column)?.map(Timestamp::from_millis));
    let scope: String = row.get(2)?;
    let scope = Scope::ALL.into_iter().find(|known| known.as_str() == scope);
    Ok(KeyRecord {
        id: parsed(row, 0)?,
        name: row.get(1)?,
        scope: scope.ok_or_else(|| senseless(2, "no scope is called so"))?,
        reach: match row.get::<_, Option<String>>(3)? {
            None => Reach::EVERYTHING,
            Some(resources) => serde_json::from_str(&resources).map_err(|error| senseless(3, error))?,
        },
        hash: row.get(4)?,
        created_at: Timestamp::from_millis(row.get(5)?),
        expires_at: time(6)?,
        revoked_at: time(7)?,
        last_used_at: time(8)?,
    })
}

/// Writes `changes`. Must be called within a transaction.
pub(super) fn write(db: &Connection, changes: &[KeyChange]) -> rusqlite::Result<()> {
    for change in changes {
        match change {
            KeyChange::Added(key) => {
                note_first(db, key.created_at)?;
                add(db, key)?;
            }
            KeyChange::Configured { at } => note_first(db, *at)?,
            KeyChange::Revoked { id, at } => {
                db.prepare_cached("UPDATE keys SET revoked_ms = coalesce(revoked_ms, ?2) WHERE id = ?1")?
                    .execute(params![id.as_str(), at.as_millis()])?;
            }
            KeyChange::Used { id, at } => {
                db.prepare_cached("UPDATE keys SET used_ms = max(coalesce(used_ms, ?2), ?2) WHERE id = ?1")?
                    .execute(params![id.as_str(), at.as_millis()])?;
            }
        }
    }
    Ok(())
}

/// Notes that there is a key, unless there was one before. What is noted here is never removed.
fn note_first(db: &Connection, at: Timestamp) -> rusqlite::Result<()> {
    let mut note = db.prepare_cached("INSERT OR IGNORE INTO first_key (only, made_ms) VALUES (1, ?1)")?;
    note.execute([at.as_millis()]).map(drop)
}

/// Whether there was ever a key.
pub(super) fn were_there(db: &Connection) -> rusqlite::Result<bool> {
    db.query_row("SELECT EXISTS (SELECT 1 FROM first_key)", [], |row| row.get(0))
}

fn add(db: &Connection, key: &KeyRecord) -> rusqlite::Result<()> {
    let millis = |at: Option<Timestamp>| at.map(Timestamp::as_millis);
    let created_ms = key.created_at.as_millis();
    db.prepare_cached(
        "INSERT INTO keys (id, name, scope, resources, hash, created_ms, expires_ms, revoked_ms, used_ms) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?
    .execute(params![
        key.id.as_str(),
        key.name,
        key.scope.as_str(),
        key.reach.resources().map(json).transpose()?,
        key.hash,
        created_ms,
        millis(key.expires_at),
        millis(key.revoked_at),
        millis(key.last_used_at),
    ])?;
    db.prepare_cached(
        "DELETE FROM keys WHERE seq IN (SELECT seq FROM keys WHERE revoked_ms IS NOT NULL OR expires_ms <= ?1 \
         ORDER BY seq DESC LIMIT -1 OFFSET ?2)",
    )?
    .execute(params![created_ms, MAX_DEAD_KEYS])?;
    Ok(())
}
