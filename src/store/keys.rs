//! The table of API keys, and the way to it from another process than the gateway.

use std::path::{Path, PathBuf};

use rusqlite::types::Type;
use rusqlite::{Connection, Row, TransactionBehavior, params};

use super::directory::{database_path, note_key_change};
use super::rows::{json, write_batch};
use super::schema::{self, Kind};
use super::sqlite::{configure, explain};
use super::{Batch, Journal as _, KeyChange, MAX_DEAD_KEYS, SqliteJournal, StoreError};
use crate::domain::{AuditEntry, KeyRecord, Reach, Scope, Timestamp};

/// The keys in a data directory, for a process that is not the gateway, whether one is running there or not.
///
/// It must never touch anything but the keys and the record of who changed them: the rest belongs to the gateway, whose
/// commits go on meanwhile.
pub struct KeyStore {
    directory: PathBuf,
    access: Access,
}

enum Access {
    /// Nobody else uses the directory, and nobody else can as long as this lives.
    Alone(Box<SqliteJournal>),
    /// A gateway is running.
    Beside(Connection),
}

impl KeyStore {
    /// Opens the store in `directory`, creating both if need be.
    ///
    /// # Errors
    /// If it cannot be used, or the gateway running there is of another release.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        let access = match SqliteJournal::open(directory) {
            Ok(journal) => Access::Alone(Box::new(journal)),
            Err(StoreError::InUse { .. }) => Access::Beside(open_beside(directory)?),
            Err(error) => return Err(error),
        };
        Ok(Self { directory: directory.to_owned(), access })
    }

    /// All keys, oldest first.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn keys(&self) -> Result<Vec<KeyRecord>, StoreError> {
        let read = match &self.access {
            Access::Alone(journal) => journal.read_api_keys(),
            Access::Beside(db) => read(db),
        };
        read.map_err(|error| explain(&database_path(&self.directory), error))
    }

    /// Makes `change` durable, together with the record of it. A gateway that is running obeys it before it answers the
    /// next request.
    ///
    /// # Errors
    /// If that may not be durable, or a running gateway may not know of it.
    pub fn apply(&mut self, change: KeyChange, entry: AuditEntry) -> Result<(), StoreError> {
        let batch = Batch { keys: vec![change], audit: vec![entry], ..Batch::default() };
        match &mut self.access {
            Access::Alone(journal) => journal.commit(&[batch])?,
            Access::Beside(db) => {
                let write = |db: &mut Connection| {
                    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
                    write_batch(&transaction, &batch)?;
                    transaction.commit()
                };
                write(db).map_err(|error| explain(&database_path(&self.directory), error))?;
            }
        }
        note_key_change(&self.directory)
    }
}

fn open_beside(directory: &Path) -> Result<Connection, StoreError> {
    let path = database_path(directory);
    let failed = |error| explain(&path, error);
    let db = Connection::open(&path).map_err(failed)?;
    match schema::identify(&db).map_err(failed)? {
        Kind::Ours { version: schema::VERSION } => {}
        Kind::Ours { version } => {
            return Err(StoreError::OtherRelease { path, found: version, known: schema::VERSION });
        }
        Kind::Foreign => return Err(StoreError::Foreign { path }),
    }
    configure(&db).map_err(failed)?;
    Ok(db)
}

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
        id: row.get::<_, String>(0)?.parse().map_err(|error| senseless(0, error))?,
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

fn senseless(column: usize, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, error.into())
}

/// Writes `changes`. Must be called within a transaction.
pub(super) fn write(db: &Connection, changes: &[KeyChange]) -> rusqlite::Result<()> {
    for change in changes {
        match change {
            KeyChange::Added(key) => add(db, key)?,
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

#[cfg(test)]
#[path = "keys_tests.rs"]
mod tests;
