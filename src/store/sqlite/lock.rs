//! The lock on a data directory: one process at a time has the store open to write.

use std::fs::{File, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;

use super::{SqliteError, directory};
use crate::files;

/// Takes the lock on `directory`, leaving the process id in it for the next process that tries. The system lets go of
/// it when the file is closed.
///
/// # Errors
/// If another process has it, or the file cannot be used.
pub(super) fn lock(directory: &Path) -> Result<File, SqliteError> {
    let unusable = |source| SqliteError::Directory { path: directory.to_owned(), source };
    let path = directory::lock_path(directory);
    let mut file =
        files::open(&path, File::options().read(true).write(true).create(true).truncate(false)).map_err(unusable)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            let holder = file.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
            return Err(SqliteError::InUse { path: directory.to_owned(), holder });
        }
        Err(TryLockError::Error(source)) => return Err(unusable(source)),
    }
    let note_pid = |file: &mut File| {
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())
    };
    note_pid(&mut file).map_err(unusable)?;
    Ok(file)
}
