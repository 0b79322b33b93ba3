//! What can be wrong with a data directory and the store in it, in words for the operator: what it is, and what to do
//! now.

use std::borrow::Cow;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use rusqlite::{ErrorCode, ffi};

use super::reserve::says_full;
use crate::files::Distrust;
use crate::store::StoreError;

/// What can be wrong with a data directory and the store in it.
#[derive(Debug, thiserror::Error)]
pub enum SqliteError {
    /// The directory or a file in it cannot be used.
    #[error("the data directory {path} cannot be used: {}, or choose another one", file_remedy(source))]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Another process has it open.
    #[error(
        "the data directory {path} is in use by another scalegate process{}: stop that one, or choose another directory",
        pid_suffix(holder)
    )]
    InUse {
        /// The directory.
        path: PathBuf,
        /// The process id the other one left in the lock file.
        holder: Option<u32>,
    },
    /// It was written by a later release.
    #[error(
        "the store {path} has schema version {found}, but this release knows only versions up to {known}: run the release \
         that wrote it, or a later one"
    )]
    NewerSchema {
        /// The database file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The latest version known.
        known: i64,
    },
    /// Another process has it open, and that one is of another release.
    #[error(
        "the store {path} is in use by a gateway of another release (schema version {found}, not {known}): use the \
         scalegate that runs there, or wait until it has started"
    )]
    OtherRelease {
        /// The database file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The version of this release.
        known: i64,
    },
    /// Other users can write to the directory, or to a file of the store, or could have put it there.
    #[error("{path} is not trusted: {why}; {}", trust_remedy(path, why))]
    Untrusted {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        why: Distrust,
    },
    /// The file is the database of another program.
    #[error("{path} is an SQLite database, but not one of scalegate's: choose another data directory")]
    Foreign {
        /// The database file.
        path: PathBuf,
    },
    /// It is damaged.
    #[error(
        "the store {path} is corrupt ({detail}): move it and the {name}-* files beside it away, and restore a backup, or \
         start empty; unfinished jobs and running cooldowns in it are then lost",
        name = file_name(path)
    )]
    Corrupt {
        /// The database file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// A log lies beside it that belongs to another one.
    #[error(
        "a write-ahead log of another store lies beside {path}, which is a backup: put the backup into an empty directory, \
         as scalegate.db and with nothing beside it"
    )]
    StrayLog {
        /// The database file.
        path: PathBuf,
    },
    /// Another program took its files away while it was open. What was written to them since is gone.
    #[error(
        "the store {path} was removed or replaced while it was in use: put back the very files that were there (moved away, \
         they can be moved back), or restart the gateway to go on with what is there now; jobs and running cooldowns that \
         are not in it are then lost"
    )]
    Removed {
        /// The file that is not there any more.
        path: PathBuf,
    },
    /// An operation on the write-ahead log failed.
    #[error("the store's log {path} failed: {}", file_remedy(source))]
    Log {
        /// The log.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// An operation failed.
    #[error("the store {path} failed: {}", sqlite_remedy(source))]
    Sqlite {
        /// The database file.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
}

impl SqliteError {
    /// Whether it failed because the disk is full.
    pub(super) fn says_full(&self) -> bool {
        match self {
            Self::Directory { source, .. } | Self::Log { source, .. } => says_full(source.kind()),
            Self::Sqlite { source, .. } => is_full(source),
            _ => false,
        }
    }
}

impl From<SqliteError> for StoreError {
    fn from(error: SqliteError) -> Self {
        Self::Failed(Box::new(error))
    }
}

const MAKE_ROOM: &str = "its disk is full, make room on it";
const LOOK_AT_DISK: &str = "its disk does not work, the system's log should say why";
const LET_WRITE: &str = "let this process write to it";

/// What to do about a file that cannot be used.
fn file_remedy(error: &std::io::Error) -> &'static str {
    /// Linux; the standard library has no name for it.
    const INPUT_OUTPUT_ERROR: i32 = 5;
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => MAKE_ROOM,
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => LET_WRITE,
        ErrorKind::AlreadyExists | ErrorKind::NotADirectory => "move away what is there and is no directory",
        _ if error.raw_os_error() == Some(INPUT_OUTPUT_ERROR) => LOOK_AT_DISK,
        _ => "see that it is there and that this process may write to it",
    }
}

fn is_full(error: &rusqlite::Error) -> bool {
    // The index could not be made longer.
    let is_index = error.sqlite_error().is_some_and(|error| error.extended_code == ffi::SQLITE_IOERR_SHMSIZE);
    is_index || error.sqlite_error_code() == Some(ErrorCode::DiskFull)
}

/// What to do about a database that cannot be used.
fn sqlite_remedy(error: &rusqlite::Error) -> &'static str {
    match error.sqlite_error_code() {
        _ if is_full(error) => MAKE_ROOM,
        Some(ErrorCode::SystemIoFailure) => LOOK_AT_DISK,
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => LET_WRITE,
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "another program has locked it, end what it does there"
        }
        _ => "see that its disk has space and that this process may write to it",
    }
}

/// What to do about a file or directory that is not trusted.
fn trust_remedy(path: &Path, why: &Distrust) -> String {
    let path = path.display();
    match why {
        Distrust::NoFile => format!("move away what is at {path}, and put the file itself there if it is needed"),
        Distrust::SecondName => format!("copy it, and put the copy at {path}"),
        Distrust::Owner { owner, user } => format!(
            "run this as the user {owner}, or, if nothing there is of strangers, `chown -R {user} {path}`, or choose another \
             directory"
        ),
        Distrust::Everyone => {
            format!("look at what is there and `chmod o-w {path}`, or choose a directory that does not exist so far")
        }
        Distrust::Group { .. } => {
            format!("look at what is there and `chmod g-w {path}`, or choose a directory that does not exist so far")
        }
    }
}

fn file_name(path: &Path) -> Cow<'_, str> {
    path.file_name().map_or("".into(), |name| name.to_string_lossy())
}

fn pid_suffix(pid: &Option<u32>) -> String {
    pid.map_or(String::new(), |pid| format!(" (process {pid})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_called_one() {
        for code in [ffi::SQLITE_FULL, ffi::SQLITE_IOERR_SHMSIZE] {
            let source = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
            let error = SqliteError::Sqlite { path: "scalegate.db".into(), source };
            assert!(error.to_string().contains("failed: its disk is full, make room on it"), "{error}");
        }
    }
}
