//! Connections to the database, as all of the store opens them, and what their errors mean.
//!
//! It must know nothing of what is in the tables.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::{SqliteError, directory};

/// How long to wait for another program, such as an `sqlite3` shell, to finish its write.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(30);
/// Pages of the database kept in memory, in KiB: those that every commit changes, the ends of the tables and indexes.
const CACHE_KIB: i64 = 8192;
/// Pages in the log before it is written back, 16 MiB: each page that every commit changes is written back once for
/// some hundred of them, and what a start reads is still little.
pub(super) const CHECKPOINT_PAGES: i64 = 4096;
/// More statements than there are: one that is not kept is parsed anew each time, which takes longer than what it does.
const STATEMENTS: usize = 128;

/// A connection that only reads, to a store that another process has open.
pub(super) fn open_to_read(path: &Path) -> rusqlite::Result<Connection> {
    let db = directory::connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    db.busy_timeout(BUSY_TIMEOUT)?;
    keep_statements(&db)?;
    Ok(db)
}

/// Fails if the trees that the database consists of are damaged.
pub(super) fn check(path: &Path, db: &Connection) -> Result<(), SqliteError> {
    let verdict: String =
        db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(|error| explain(path, error))?;
    if verdict == "ok" {
        return Ok(());
    }
    // The first line only names the database; a message is to be one line.
    let detail = verdict.lines().filter(|line| !line.starts_with("***")).collect::<Vec<_>>().join("; ");
    Err(SqliteError::Corrupt { path: path.to_owned(), detail })
}

/// Sets `db` up as the one that writes.
pub(super) fn configure(db: &Connection) -> rusqlite::Result<()> {
    db.busy_timeout(BUSY_TIMEOUT)?;
    db.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    db.pragma_update(None, "synchronous", "FULL")?;
    db.pragma_update(None, "cache_size", -CACHE_KIB)?;
    db.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    keep_statements(db)
}

/// Statements are parsed once per connection. Without the guarantee of a stable plan SQLite would parse many of them
/// anew each time they are given other values, in case another plan suits these better.
fn keep_statements(db: &Connection) -> rusqlite::Result<()> {
    db.set_prepared_statement_cache_capacity(STATEMENTS);
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(|_| ())
}

/// What an error of SQLite means to the operator of the store at `path`.
pub(super) fn explain(path: &Path, error: rusqlite::Error) -> SqliteError {
    let path = path.to_owned();
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            SqliteError::Corrupt { path, detail: error.to_string() }
        }
        _ => SqliteError::Sqlite { path, source: error },
    }
}
