//! How a gateway notices at once that another process has changed the API keys: a file that is replaced with each change.
//!
//! Rejected: SQLite's own counter of changes, because the gateway's commits count as well; and a counter in a row, because a
//! query takes ten times as long as a look at a path.

use std::fs::Permissions;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use tempfile::NamedTempFile;

use super::SqliteError;
use crate::files::{FILE_MODE, FileId};

/// The file in `directory` that is replaced with each change of the keys by a process that is not the gateway: so the gateway
/// notices at once, without reading the store for each request.
pub(super) fn key_changes_path(directory: &Path) -> PathBuf {
    directory.join("scalegate.key-changes")
}

/// A file that is to take the place of the one at [`key_changes_path`]. It is made before the keys are changed: a change that
/// a gateway cannot be told of must not be made.
pub(super) struct KeyChanges {
    directory: PathBuf,
    file: NamedTempFile,
}

impl KeyChanges {
    /// Makes the file in `directory`.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn open(directory: &Path) -> Result<Self, SqliteError> {
        let directory = directory.to_owned();
        let mode = Permissions::from_mode(FILE_MODE);
        match tempfile::Builder::new().prefix("scalegate.key-changes.").permissions(mode).tempfile_in(&directory) {
            Ok(file) => Ok(Self { directory, file }),
            Err(source) => Err(SqliteError::Directory { path: directory, source }),
        }
    }

    /// Puts it in the place of the one that is there.
    ///
    /// # Errors
    /// If that cannot be done.
    pub fn note_one(self) -> Result<(), SqliteError> {
        let Self { directory, file } = self;
        match file.persist(key_changes_path(&directory)) {
            Ok(_) => Ok(()),
            Err(error) => Err(SqliteError::Directory { path: directory, source: error.error }),
        }
    }
}

/// Tells, with every request, whether another process has changed the keys; that takes one look at a path.
pub struct KeyChangesWatch {
    path: PathBuf,
}

/// Which file there was, if there was one. A number that is given to a later file as well has another time of change. The length
/// counts because earlier releases make the file grow instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyChangesSeen(Option<(FileId, u64, SystemTime)>);

impl KeyChangesWatch {
    /// Watches the file in `directory`.
    pub fn begin(directory: &Path) -> Self {
        Self { path: key_changes_path(directory) }
    }

    /// What there is now: if that is the same as before, no key has changed. `None` if it cannot be told.
    pub fn look(&self) -> Option<KeyChangesSeen> {
        match std::fs::symlink_metadata(&self.path) {
            Ok(found) => Some(KeyChangesSeen(Some((FileId::of(&found), found.len(), found.modified().ok()?)))),
            Err(error) if error.kind() == ErrorKind::NotFound => Some(KeyChangesSeen(None)),
            Err(_) => None,
        }
    }
}
