//! The way to the API keys from another process than the gateway.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::connection::{BUSY_TIMEOUT, configure, explain};
use super::directory::{self, database_path};
use super::key_changes::KeyChanges;
use super::reserve::Reserve;
use super::schema::{self, Kind};
use super::{Journal as _, SqliteError, SqliteJournal, key_rows, rows};
use crate::domain::{AuditEntry, KeyRecord};
use crate::store::{KeyChange, Unit};

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
    /// No other process uses the directory, nor can one as long as this lives.
    Alone(Box<SqliteJournal>),
    /// A gateway is running.
    Beside(Connection),
}

impl KeyStore {
    /// Opens the store in `directory`, creating both if need be.
    ///
    /// # Errors
    /// If it cannot be used, or the gateway running there is of another release.
    pub fn open(directory: &Path) -> Result<Self, SqliteError> {
        let give_up_at = Instant::now() + CREATION_PATIENCE;
        let access = loop {
            let opened = match SqliteJournal::open_at_once(directory) {
                Err(error) if error.says_full() => {
                    Reserve::of(directory).spend(|| SqliteJournal::open_at_once(directory))
                }
                opened => opened,
            };
            match opened {
                Ok(journal) => break Access::Alone(Box::new(journal)),
                Err(SqliteError::InUse { .. }) => {}
                Err(error) => return Err(error),
            }
            match open_beside(directory) {
                Ok(Some(db)) => break Access::Beside(db),
                // The process that uses the directory, perhaps one that makes a key as well, has only begun to.
                Ok(None) | Err(SqliteError::OtherRelease { found: ..schema::VERSION, .. })
                    if Instant::now() < give_up_at =>
                {
                    std::thread::sleep(CREATION_PAUSE);
                }
                Ok(None) => return Err(SqliteError::InUse { path: directory.to_owned(), holder: None }),
                Err(error) => return Err(error),
            }
        };
        Ok(Self { directory: directory.to_owned(), access })
    }

    /// The keys in `directory`, oldest first, without creating or changing anything there that lasts; `None` if there
    /// is no store.
    ///
    /// # Errors
    /// If the store cannot be read, or was written by a later release.
    pub fn look(directory: &Path) -> Result<Option<Vec<KeyRecord>>, SqliteError> {
        if !directory.exists() || !directory::check(directory)? {
            return Ok(None);
        }
        let path = database_path(directory);
        let Some(db) = connect(&path, OpenFlags::SQLITE_OPEN_READ_ONLY)? else { return Ok(None) };
        let failed = |error| explain(&path, error);
        match schema::identify(&db).map_err(failed)? {
            Kind::Ours { version: ..=schema::VERSION } => {}
            Kind::Ours { version: found } => {
                return Err(SqliteError::NewerSchema { path, found, known: schema::VERSION });
            }
            Kind::Foreign => return Err(SqliteError::Foreign { path }),
        }
        // There were no keys in the first releases.
        let has_keys = db.table_exists(None, "keys").map_err(failed)?;
        if has_keys { key_rows::read(&db).map(Some).map_err(failed) } else { Ok(Some(Vec::new())) }
    }

    /// All keys, oldest first.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn keys(&self) -> Result<Vec<KeyRecord>, SqliteError> {
        let read = match &self.access {
            Access::Alone(journal) => journal.read_api_keys(),
            Access::Beside(db) => key_rows::read(db),
        };
        read.map_err(|error| explain(&database_path(&self.directory), error))
    }

    /// Makes `change` durable, together with the record of it. A gateway that is running obeys it before it answers the
    /// next request.
    ///
    /// # Errors
    /// If that may not be durable, or a running gateway may not know of it.
    pub fn apply(&mut self, change: KeyChange, entry: AuditEntry) -> Result<(), SqliteError> {
        let unit = Unit { keys: vec![change], audit: vec![entry], ..Unit::default() };
        // It has no job that could become a version.
        let (units, no_event) = ([unit], 0);
        let reserve = Reserve::of(&self.directory);
        let open_changes = || KeyChanges::open(&self.directory);
        let changes = match open_changes() {
            Err(error) if error.says_full() => reserve.spend(open_changes),
            opened => opened,
        }?;
        match &mut self.access {
            Access::Alone(journal) => match journal.commit(&units, no_event) {
                Err(error) if error.says_full() => journal.commit_urgently(&units),
                committed => committed,
            },
            Access::Beside(db) => match write_beside(db, &self.directory, &units) {
                Err(error) if error.says_full() => reserve.spend(|| {
                    // The connection may be stuck in its error.
                    if let Some(anew) = open_beside(&self.directory)? {
                        *db = anew;
                    }
                    write_beside(db, &self.directory, &units)
                }),
                committed => committed,
            },
        }?;
        changes.note_one()
    }
}

/// Writes `units`, which have no jobs, beside the gateway.
fn write_beside(db: &mut Connection, directory: &Path, units: &[Unit]) -> Result<(), SqliteError> {
    let mut write = || {
        let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        rows::write(&transaction, units, 0)?;
        transaction.commit()
    };
    write().map_err(|error| explain(&database_path(directory), error))
}

/// A connection to the store in `directory`, beside the process that uses it; `None` if that one has not created it
/// yet.
fn open_beside(directory: &Path) -> Result<Option<Connection>, SqliteError> {
    let path = database_path(directory);
    let Some(db) = connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE)? else { return Ok(None) };
    let failed = |error| explain(&path, error);
    match schema::identify(&db).map_err(failed)? {
        Kind::Ours { version: schema::VERSION } => {}
        Kind::Ours { version: found } => {
            return Err(SqliteError::OtherRelease { path, found, known: schema::VERSION });
        }
        Kind::Foreign => return Err(SqliteError::Foreign { path }),
    }
    configure(&db).map_err(failed)?;
    Ok(Some(db))
}

/// A connection to the database at `path`, which is not created: `None` if there is none.
fn connect(path: &Path, access: OpenFlags) -> Result<Option<Connection>, SqliteError> {
    if std::fs::metadata(path).is_err_and(|error| error.kind() == ErrorKind::NotFound) {
        return Ok(None);
    }
    let db = directory::connect(path, access);
    let patient = db.and_then(|db| db.busy_timeout(BUSY_TIMEOUT).map(|()| db));
    patient.map(Some).map_err(|error| explain(path, error))
}

#[cfg(test)]
#[path = "keys_tests.rs"]
mod tests;
