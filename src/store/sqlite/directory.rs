//! The data directory and the files in it: where they are, and that other users can neither read nor have written them.
//!
//! What they hold is not secret in itself, keys are there as hashes only; but who scaled what, and why, is the business
//! of those who run the gateway, and a user who can write here can do anything. What is trusted is laid down in
//! [`files`]. It must never open a file of the store in a way that follows a link.

use std::fs::{DirBuilder, File, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use super::SqliteError;
use super::key_changes::key_changes_path;
use crate::files::{self, Closing, FILE_MODE, FileId, Kind, Process, this_process};

/// For the owner of a directory only.
const DIRECTORY_MODE: u32 = 0o700;

/// The database in `directory`.
pub(super) fn database_path(directory: &Path) -> PathBuf {
    directory.join("scalegate.db")
}

/// The file that says which process uses `directory`.
pub(super) fn lock_path(directory: &Path) -> PathBuf {
    directory.join("scalegate.lock")
}

/// The file that keeps room on the disk.
pub(super) fn reserve_path(directory: &Path) -> PathBuf {
    directory.join("scalegate.reserve")
}

/// Creates `directory`, unless it is there, and sees whether it and the files of the store in it can be trusted;
/// whether it is for a store alone: it was not there, or has one.
///
/// # Errors
/// If it cannot be created, or is not trusted.
pub(super) fn create(directory: &Path) -> Result<bool, SqliteError> {
    let was_there = directory.exists();
    let created = DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(directory);
    created.map_err(|source| SqliteError::Directory { path: directory.to_owned(), source })?;
    let has_store = check(directory)?;
    Ok(!was_there || has_store)
}

/// Fails if `directory`, or a file of the store in it, cannot be trusted; whether there is a store.
///
/// The way to the directory may lead over links: the one that counts is what they lead to. Once that is known to be
/// closed to other users, they cannot exchange the files in it between this look and the moment they are opened.
///
/// # Errors
/// Which file or directory is not trusted, or cannot be looked at, and why.
pub(super) fn check(directory: &Path) -> Result<bool, SqliteError> {
    let unusable = |error: Errno| SqliteError::Directory { path: directory.to_owned(), source: error.into() };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = rustix::fs::open(directory, flags, Mode::empty()).map_err(unusable)?;
    let process = this_process().map_err(unusable)?;
    let untrusted = |path: PathBuf| move |why| SqliteError::Untrusted { path, why };
    let found = files::found(&rustix::fs::fstat(&opened).map_err(unusable)?);
    files::judge(&found, Kind::Directory, &process).map_err(untrusted(directory.to_owned()))?;
    let mut has_store = false;
    for path in files(directory) {
        let Some(name) = path.file_name() else { continue };
        match rustix::fs::statat(&opened, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => {
                files::judge(&files::found(&stat), Kind::File, &process).map_err(untrusted(path.clone()))?;
                has_store |= path == database_path(directory);
            }
            Err(Errno::NOENT) => {}
            Err(error) => return Err(unusable(error)),
        }
    }
    Ok(has_store)
}

/// All files that there can be of a store.
fn files(directory: &Path) -> impl Iterator<Item = PathBuf> {
    let of_database = ["", "-wal", "-shm", "-journal"].map(|end| directory.join(format!("scalegate.db{end}")));
    of_database.into_iter().chain([lock_path(directory), key_changes_path(directory), reserve_path(directory)])
}

/// Whether `path` names a file of the store in `directory`, which may not be there yet: SQLite takes whatever it finds
/// under such a name for its own.
pub fn is_of_store(directory: &Path, path: &Path) -> bool {
    let [named, own] = [parent_of(path), directory].map(|directory| FileId::at(directory).ok());
    named.is_some() && named == own && files(directory).any(|file| file.file_name() == path.file_name())
}

/// The directory of the file at `path`.
pub(super) fn parent_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Creates an empty database for the owner only, unless there is one. SQLite gives its log and its index the same mode.
///
/// # Errors
/// If it cannot be created.
pub(super) fn create_database(directory: &Path) -> Result<(), SqliteError> {
    let mut options = File::options();
    match options.append(true).create_new(true).mode(FILE_MODE).open(database_path(directory)) {
        Err(source) if source.kind() != ErrorKind::AlreadyExists => {
            Err(SqliteError::Directory { path: directory.to_owned(), source })
        }
        _ => Ok(()),
    }
}

/// A connection to the database at `path`, which must be there. Neither it nor its log is opened over a link.
///
/// # Errors
/// As SQLite says.
pub(super) fn connect(path: &Path, access: OpenFlags) -> rusqlite::Result<Connection> {
    // SQLite refuses links anywhere in the path, and those that lead to the directory are the operator's.
    let real = path.parent().and_then(|parent| std::fs::canonicalize(parent).ok());
    let real = real.zip(path.file_name()).map_or_else(|| path.to_owned(), |(parent, name)| parent.join(name));
    Connection::open_with_flags(real, access | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW)
}

/// Lets no other users at the files of the store in `directory`, nor, if it `is_ours`, into it. Other programs may need
/// one that was there before.
pub(super) fn close_to_others(directory: &Path, is_ours: bool) {
    let process = match this_process() {
        Ok(process) => process,
        Err(error) => return tracing::warn!(%error, "the groups of this process cannot be read"),
    };
    close(directory, &process, is_ours, DIRECTORY_MODE);
    for file in files(directory) {
        close(&file, &process, true, FILE_MODE);
    }
}

fn close(path: &Path, process: &Process, is_ours: bool, mode: u32) {
    // That no file is a link was seen before; those that lead to the directory are the operator's.
    let found = match rustix::fs::stat(path) {
        Ok(stat) => files::found(&stat),
        Err(Errno::NOENT) => return,
        Err(error) => return tracing::warn!(path = %path.display(), %error, "cannot see who may use it"),
    };
    match files::closing(&found, process, is_ours) {
        Closing::Leave => {}
        Closing::Tell => tracing::warn!(
            path = %path.display(),
            mode = format_args!("{:04o}", found.mode),
            "other users may read this; take their rights away with `chmod go-rwx` unless they need them"
        ),
        Closing::Close => match std::fs::set_permissions(path, Permissions::from_mode(mode)) {
            Ok(()) => {
                tracing::debug!(path = %path.display(), mode = format_args!("{mode:04o}"), "closed to other users")
            }
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "other users may read it, and that cannot be changed")
            }
        },
    }
}
