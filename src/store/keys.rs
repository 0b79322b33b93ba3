//! The table of API keys, and the way to it from another process than the gateway.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::types::Type;
use rusqlite::{Connection, OpenFlags, Row, TransactionBehavior, params};

use super::directory::{self, KeyChanges, database_path};
use super::rows::{self, json};
use super::schema::{self, Kind};
use super::sqlite::{BUSY_TIMEOUT, configure, explain};
use super::{Batch, Journal as _, KeyChange, MAX_DEAD_KEYS, SqliteJournal, StoreError};
use crate::domain::{AuditEntry, KeyRecord, Reach, Scope, Timestamp};

/// How long a process that uses the directory may take until there is a store of this release in it. Creating one takes
/// milliseconds; an older one can be large.
const CREATION_PATIENCE: Duration = Duration::from_secs(5);
/// Pause between two looks at a store that is being made.
const CREATION_PAUSE: Duration = Duration::from_millis(10);

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
        let give_up_at = Instant::now() + CREATION_PATIENCE;
        let access = loop {
            match SqliteJournal::open_at_once(directory) {
                Ok(journal) => break Access::Alone(Box::new(journal)),
                Err(StoreError::InUse { .. }) => {}
                Err(error) => return Err(error),
            }
            match open_beside(directory) {
                Ok(Some(db)) => break Access::Beside(db),
                // Whoever uses the directory, perhaps somebody who makes a key as well, has only begun to.
                Ok(None) | Err(StoreError::OtherRelease { found: ..schema::VERSION, .. })
                    if Instant::now() < give_up_at =>
                {
                    std::thread::sleep(CREATION_PAUSE);
                }
                Ok(None) => return Err(StoreError::InUse { path: directory.to_owned(), holder: None }),
                Err(error) => return Err(error),
            }
        };
        Ok(Self { directory: directory.to_owned(), access })
    }

    /// The keys in `directory`, oldest first, without creating or changing anything there that lasts; `None` if there is no
    /// store.
    ///
    /// # Errors
    /// If the store cannot be read, or was written by a later release.
    pub fn look(directory: &Path) -> Result<Option<Vec<KeyRecord>>, StoreError> {
        if !directory.exists() || !directory::check(directory)? {
            return Ok(None);
        }
        let path = database_path(directory);
        let Some(db) = connect(&path, OpenFlags::SQLITE_OPEN_READ_ONLY)? else { return Ok(None) };
        let failed = |error| explain(&path, error);
        match schema::identify(&db).map_err(failed)? {
            Kind::Ours { version: ..=schema::VERSION } => {}
            Kind::Ours { version: found } => {
                return Err(StoreError::NewerSchema { path, found, known: schema::VERSION });
            }
            Kind::Foreign => return Err(StoreError::Foreign { path }),
        }
        // There were no keys in the first releases.
        let has_keys = db.table_exists(None, "keys").map_err(failed)?;
        if has_keys { read(&db).map(Some).map_err(failed) } else { Ok(Some(Vec::new())) }
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
        let changes = KeyChanges::open(&self.directory)?;
        match &mut self.access {
            Access::Alone(journal) => journal.commit(&[batch])?,
            Access::Beside(db) => {
                let write = |db: &mut Connection| {
                    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
                    rows::write(&transaction, std::slice::from_ref(&batch))?;
                    transaction.commit()
                };
                write(db).map_err(|error| explain(&database_path(&self.directory), error))?;
            }
        }
        changes.note_one()
    }
}

/// A connection to the store in `directory`, beside the process that uses it; `None` if that one has not created it yet.
fn open_beside(directory: &Path) -> Result<Option<Connection>, StoreError> {
    let path = database_path(directory);
    let Some(db) = connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE)? else { return Ok(None) };
    let failed = |error| explain(&path, error);
    match schema::identify(&db).map_err(failed)? {
        Kind::Ours { version: schema::VERSION } => {}
        Kind::Ours { version: found } => {
            return Err(StoreError::OtherRelease { path, found, known: schema::VERSION });
        }
        Kind::Foreign => return Err(StoreError::Foreign { path }),
    }
    configure(&db).map_err(failed)?;
    Ok(Some(db))
}

/// A connection to the database at `path`, which is not created: `None` if there is none.
fn connect(path: &Path, access: OpenFlags) -> Result<Option<Connection>, StoreError> {
    if std::fs::metadata(path).is_err_and(|error| error.kind() == ErrorKind::NotFound) {
        return Ok(None);
    }
    let db = directory::connect(path, access);
    let patient = db.and_then(|db| db.busy_timeout(BUSY_TIMEOUT).map(|()| db));
    patient.map(Some).map_err(|error| explain(path, error))
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

#[cfg(test)]
#[path = "keys_tests.rs"]
mod tests;
