//! The data directory and the files in it: where they are, and that other users can neither read nor have written them.
//!
//! What they hold is not secret in itself, keys are there as hashes only; but who scaled what, and why, is the business of
//! those who run the gateway, and a user who can write here can do anything. What is trusted is laid down in [`trust`].
//! It must never open a file of the store in a way that follows a link.

use std::fs::{DirBuilder, File, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rusqlite::{Connection, OpenFlags};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawMode, Stat};
use rustix::io::Errno;
use rustix::process::Gid;
use tempfile::NamedTempFile;

use super::StoreError;
use super::identity::FileId;
use super::trust::{self, Closing, Found, Kind, Process};

/// For the owner of a directory only.
const DIRECTORY_MODE: u32 = 0o700;
/// For the owner of a file only.
const FILE_MODE: u32 = 0o600;

/// The database in `directory`.
pub(super) fn database_path(directory: &Path) -> PathBuf {
    directory.join("scalegate.db")
}

/// The file that says which process uses `directory`.
pub(super) fn lock_path(directory: &Path) -> PathBuf {
    directory.join("scalegate.lock")
}

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
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        let directory = directory.to_owned();
        let mode = Permissions::from_mode(FILE_MODE);
        match tempfile::Builder::new().prefix("scalegate.key-changes.").permissions(mode).tempfile_in(&directory) {
            Ok(file) => Ok(Self { directory, file }),
            Err(source) => Err(StoreError::Directory { path: directory, source }),
        }
    }

    /// Puts it in the place of the one that is there.
    ///
    /// # Errors
    /// If that cannot be done.
    pub fn note_one(self) -> Result<(), StoreError> {
        let Self { directory, file } = self;
        match file.persist(key_changes_path(&directory)) {
            Ok(_) => Ok(()),
            Err(error) => Err(StoreError::Directory { path: directory, source: error.error }),
        }
    }
}

/// Tells, with every request, whether another process has changed the keys; that takes one look at a path.
///
/// Rejected: SQLite's own counter of changes, because the gateway's commits count as well; and a counter in a row, because a
/// query takes ten times as long.
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

/// Creates `directory`, unless it is there, and sees whether it and the files of the store in it can be trusted; whether it is
/// for a store alone: it was not there, or has one.
///
/// # Errors
/// If it cannot be created, or is not trusted.
pub(super) fn create(directory: &Path) -> Result<bool, StoreError> {
    let was_there = directory.exists();
    let created = DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(directory);
    created.map_err(|source| StoreError::Directory { path: directory.to_owned(), source })?;
    let has_store = check(directory)?;
    Ok(!was_there || has_store)
}

/// Fails if `directory`, or a file of the store in it, cannot be trusted; whether there is a store.
///
/// The way to the directory may lead over links: the one that counts is what they lead to. Once that is known to be closed to
/// other users, they cannot exchange the files in it between this look and the moment they are opened.
///
/// # Errors
/// Which file or directory is not trusted, or cannot be looked at, and why.
pub(super) fn check(directory: &Path) -> Result<bool, StoreError> {
    let unusable = |error: Errno| StoreError::Directory { path: directory.to_owned(), source: error.into() };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = rustix::fs::open(directory, flags, Mode::empty()).map_err(unusable)?;
    let process = this_process().map_err(unusable)?;
    let untrusted = |path: PathBuf| move |why| StoreError::Untrusted { path, why };
    let found = found(&rustix::fs::fstat(&opened).map_err(unusable)?);
    trust::judge(&found, Kind::Directory, &process).map_err(untrusted(directory.to_owned()))?;
    let mut has_store = false;
    for path in files(directory) {
        let Some(name) = path.file_name() else { continue };
        match rustix::fs::statat(&opened, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => {
                trust::judge(&self::found(&stat), Kind::File, &process).map_err(untrusted(path.clone()))?;
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
    of_database.into_iter().chain([lock_path(directory), key_changes_path(directory)])
}

/// Whether `path` names a file of the store in `directory`, which may not be there yet: SQLite takes whatever it finds under such a
/// name for its own.
pub fn is_of_store(directory: &Path, path: &Path) -> bool {
    let [named, own] = [parent_of(path), directory].map(|directory| FileId::at(directory).ok());
    named.is_some() && named == own && files(directory).any(|file| file.file_name() == path.file_name())
}

/// The directory of the file at `path`.
pub(super) fn parent_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn this_process() -> rustix::io::Result<Process> {
    let own = rustix::process::getegid();
    let groups = rustix::process::getgroups()?.into_iter().chain([own]).map(Gid::as_raw).collect();
    Ok(Process { user: rustix::process::geteuid().as_raw(), groups })
}

// The types differ from one system to another.
#[allow(clippy::useless_conversion, clippy::unnecessary_cast)]
fn found(stat: &Stat) -> Found {
    let mode = stat.st_mode as RawMode;
    let kind = match FileType::from_raw_mode(mode) {
        FileType::Directory => Kind::Directory,
        FileType::RegularFile => Kind::File,
        _ => Kind::Other,
    };
    let mode = u32::from(Mode::from_raw_mode(mode).bits());
    Found { kind, owner: stat.st_uid, group: stat.st_gid, mode, names: stat.st_nlink as u64 }
}

/// Creates an empty database for the owner only, unless there is one. SQLite gives its log and its index the same mode.
///
/// # Errors
/// If it cannot be created.
pub(super) fn create_database(directory: &Path) -> Result<(), StoreError> {
    let mut options = File::options();
    match options.append(true).create_new(true).mode(FILE_MODE).open(database_path(directory)) {
        Err(source) if source.kind() != ErrorKind::AlreadyExists => {
            Err(StoreError::Directory { path: directory.to_owned(), source })
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

/// Lets no other users at the files of the store in `directory`, nor, if it `is_ours`, into it. Other programs may need one
/// that was there before.
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
        Ok(stat) => self::found(&stat),
        Err(Errno::NOENT) => return,
        Err(error) => return tracing::warn!(path = %path.display(), %error, "cannot see who may use it"),
    };
    match trust::closing(&found, process, is_ours) {
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

/// Opens the file at `path`, which must be trusted. With the right options it is created for the owner only.
///
/// # Errors
/// If it cannot be opened, or is not trusted.
pub(super) fn open(path: &Path, options: &mut std::fs::OpenOptions) -> std::io::Result<File> {
    let file = open_no_link(path, options).map_err(|error| match path.is_symlink() {
        // The system speaks of too many levels of them.
        true => std::io::Error::other("it is a link, and links are not followed: give the file itself"),
        false => error,
    })?;
    let found = found(&rustix::fs::fstat(&file)?);
    trust::judge(&found, Kind::File, &this_process()?).map_err(|why| std::io::Error::other(why.to_string()))?;
    Ok(file)
}

/// Opens the file at `path`, unless it is a link.
fn open_no_link(path: &Path, options: &mut std::fs::OpenOptions) -> std::io::Result<File> {
    // A pipe must not make the process wait for its other end.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    options.mode(FILE_MODE).custom_flags(flags.bits() as i32).open(path)
}
