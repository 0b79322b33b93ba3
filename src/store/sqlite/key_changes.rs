//! How a gateway notices at once that another process has changed the API keys: a file that is replaced with each
//! change.
//!
//! Rejected: SQLite's own counter of changes, because the gateway's commits count as well; and a counter in a row,
//! because a query takes ten times as long as a look at a path.

use std::fs::Permissions;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use tempfile::NamedTempFile;

use super::SqliteError;
use crate::files::{FILE_MODE, FileId};
use crate::store::KeysState;

/// The file in `directory` that is replaced with each change of the keys by a process that is not the gateway: so the
/// gateway notices at once, without reading the store for each request.
pub(super) fn key_changes_path(directory: &Path) -> PathBuf {
    directory.join("scalegate.key-changes")
}

/// A file that is to take the place of the one at [`key_changes_path`]. It is made before the keys are changed: a
/// change that a gateway cannot be told of must not be made.
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

/// Which file there is at `path`, the one of [`key_changes_path`]: if that is the same as before, no other process has
/// changed a key. `None` if it cannot be told. That takes one look at a path.
///
/// A number that is given to a later file as well has another time of change. The length counts because earlier
/// releases make the file grow instead.
pub(super) fn look(path: &Path) -> Option<KeysState> {
    match std::fs::symlink_metadata(path) {
        Ok(found) => {
            let changed_at = found.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
            let [device, number] = FileId::of(&found).numbers();
            let (seconds, nanos) = (changed_at.as_secs(), changed_at.subsec_nanos());
            Some(KeysState([device, number, found.len(), seconds, nanos.into()]))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Some(KeysState([0; 5])),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write as _;

    use super::*;

    #[test]
    fn every_change_of_the_file_is_another_state() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = key_changes_path(directory.path());
        let replace = || KeyChanges::open(directory.path()).and_then(KeyChanges::note_one).expect("replaced");
        // As earlier releases do.
        let append = || {
            let file = File::options().create(true).append(true).open(&path);
            file.and_then(|mut file| file.write_all(b".")).expect("written")
        };
        let remove = || std::fs::remove_file(&path).expect("removed");
        let move_away = || std::fs::rename(&path, directory.path().join("moved")).expect("moved");
        let all: [&dyn Fn(); 8] = [&replace, &append, &replace, &replace, &remove, &append, &move_away, &replace];
        let mut before = look(&path).expect("it can be told");
        for change in all {
            change();
            let now = look(&path).expect("it can be told");
            assert_ne!(now, before);
            assert_eq!(look(&path), Some(now), "without a change it is the same");
            before = now;
        }
    }
}
