//! The data directory and the files in it: where they are, and that nobody else can read them.
//!
//! What they hold is not secret in itself, keys are there as hashes only; but who scaled what, and why, is the business of
//! those who run the gateway, and whoever can write here can do anything.

use std::fs::{DirBuilder, File, Metadata, Permissions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

use super::StoreError;
use super::identity::FileId;

/// For the owner of a directory only.
const DIRECTORY_MODE: u32 = 0o700;
/// For the owner of a file only.
const FILE_MODE: u32 = 0o600;
/// The bits of a mode that let others in.
const OTHERS: u32 = 0o077;
/// The bit of a mode by which what is made in a directory gets its group.
const SET_GROUP: u32 = 0o2000;
/// The bit of a mode by which everybody may write.
const EVERYBODY_WRITES: u32 = 0o002;

/// The database in `directory`.
pub(super) fn database_path(directory: &Path) -> PathBuf {
    directory.join("scalegate.db")
}

/// The file that says which process uses `directory`.
pub(super) fn lock_path(directory: &Path) -> PathBuf {
    directory.join("scalegate.lock")
}

/// The file in `directory` that grows by a byte with each change of the keys by a process that is not the gateway: so the
/// gateway notices at once, without reading the store for each request.
pub(super) fn key_changes_path(directory: &Path) -> PathBuf {
    directory.join("scalegate.key-changes")
}

/// The file of [`key_changes_path`], to be told of a change. It is opened before the change is made: one that a gateway
/// cannot be told of must not be made.
pub(super) struct KeyChanges {
    directory: PathBuf,
    file: File,
}

impl KeyChanges {
    /// Opens the file in `directory`.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        let directory = directory.to_owned();
        match open(&key_changes_path(&directory), File::options().append(true)) {
            Ok(file) => Ok(Self { directory, file }),
            Err(source) => Err(StoreError::Directory { path: directory, source }),
        }
    }

    /// Makes it grow.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn note_one(mut self) -> Result<(), StoreError> {
        self.file.write_all(b".").map_err(|source| StoreError::Directory { path: self.directory, source })
    }
}

/// How long the file of [`key_changes_path`] is taken to be where it was. Whoever puts another one in its place, by hand, may
/// have to wait for so long until the gateway looks at that one.
const SAME_FILE: Duration = Duration::from_secs(1);

/// Tells, with every request, whether another process has changed the keys. The file in which that shows is kept open: to find
/// it by its path each time would take three times as long.
pub struct KeyChangesWatch {
    path: PathBuf,
    watched: RwLock<Watched>,
}

struct Watched {
    file: Option<File>,
    found_at: Instant,
}

/// How many changes there had been, and in which file that showed, if there was one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyChangesSeen {
    file: Option<FileId>,
    length: u64,
}

impl KeyChangesWatch {
    /// Watches the file in `directory`, creating it if possible.
    pub fn begin(directory: &Path) -> Self {
        let path = key_changes_path(directory);
        drop(open(&path, File::options().append(true)));
        let watched = RwLock::new(Watched { file: File::open(&path).ok(), found_at: Instant::now() });
        Self { path, watched }
    }

    /// What there is now: if that is the same as before, no key has changed. `None` if it cannot be told.
    pub fn look(&self) -> Option<KeyChangesSeen> {
        if let Some(seen) = self.watched.read().unwrap_or_else(PoisonError::into_inner).look() {
            return Some(seen);
        }
        match File::open(&self.path) {
            Ok(file) => {
                let seen = KeyChangesSeen::of(&file.metadata().ok()?);
                // The one so far is closed only now: as long as it was open, no other one could be taken for it.
                self.watch(Some(file));
                Some(seen)
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.watch(None);
                Some(KeyChangesSeen::default())
            }
            Err(_) => None,
        }
    }

    fn watch(&self, file: Option<File>) {
        *self.watched.write().unwrap_or_else(PoisonError::into_inner) = Watched { file, found_at: Instant::now() };
    }
}

impl Watched {
    /// What there is, unless others may find another file at the path by now.
    fn look(&self) -> Option<KeyChangesSeen> {
        let found = self.file.as_ref()?.metadata().ok()?;
        let is_where_it_was = found.nlink() == 1 && self.found_at.elapsed() < SAME_FILE;
        is_where_it_was.then(|| KeyChangesSeen::of(&found))
    }
}

impl KeyChangesSeen {
    fn of(found: &Metadata) -> Self {
        Self { file: Some(FileId::of(found)), length: found.len() }
    }
}

/// Creates `directory`, unless it is there; whether it is for a store alone: it was not there, or has one.
///
/// # Errors
/// If it cannot be created.
pub(super) fn create(directory: &Path) -> Result<bool, StoreError> {
    let is_ours = !directory.exists() || database_path(directory).exists();
    let created = DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(directory);
    created.map(|()| is_ours).map_err(|source| StoreError::Directory { path: directory.to_owned(), source })
}

/// Fails if what this process leaves in `directory` could not be read by the one whose directory it is.
///
/// # Errors
/// If root is about to use somebody else's directory.
#[cfg(target_os = "linux")]
pub(super) fn check_owner(directory: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::MetadataExt as _;
    let owner = std::fs::metadata(directory).map_or(0, |found| found.uid());
    let is_of_another = rustix::process::geteuid().is_root() && owner != 0;
    if is_of_another { Err(StoreError::OtherOwner { path: directory.to_owned(), owner }) } else { Ok(()) }
}

/// Elsewhere nobody checks.
#[cfg(not(target_os = "linux"))]
pub(super) fn check_owner(_: &Path) -> Result<(), StoreError> {
    Ok(())
}

/// Whether `directory` is a volume that a container platform keeps open for the group of this process, as Kubernetes does with
/// `fsGroup`: mode 2775, mostly root's, and made so again whenever it is mounted. Its mode is not the gateway's to change and
/// tells only which files there are: these are closed to others one by one.
#[cfg(target_os = "linux")]
fn is_volume_of_our_group(directory: &Path) -> bool {
    std::fs::metadata(directory).is_ok_and(|found| {
        let group = rustix::process::Gid::from_raw(found.gid());
        let is_ours = rustix::process::getegid() == group
            || rustix::process::getgroups().is_ok_and(|groups| groups.contains(&group));
        is_ours && found.permissions().mode() & (SET_GROUP | EVERYBODY_WRITES) == SET_GROUP
    })
}

/// Elsewhere there are no such volumes.
#[cfg(not(target_os = "linux"))]
fn is_volume_of_our_group(_: &Path) -> bool {
    false
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

/// Lets nobody else at the files of the store in `directory`, nor, if it `is_ours`, into it. Others may need one that was
/// there before.
pub(super) fn close_to_others(directory: &Path, is_ours: bool) {
    if is_volume_of_our_group(directory) {
        tracing::debug!(path = %directory.display(), "the data directory is a volume for the group of this process");
    } else if is_ours {
        restrict(directory, DIRECTORY_MODE);
    } else if std::fs::metadata(directory).is_ok_and(|found| found.permissions().mode() & OTHERS != 0) {
        tracing::warn!(path = %directory.display(), "other users may look into the data directory, which was there before");
    }
    let files = ["", "-wal", "-shm"].map(|end| directory.join(format!("scalegate.db{end}")));
    for file in files.iter().chain([&lock_path(directory), &key_changes_path(directory)]) {
        restrict(file, FILE_MODE);
    }
}

/// Opens the file at `path`, creating it for the owner only.
pub(super) fn open(path: &Path, options: &mut std::fs::OpenOptions) -> std::io::Result<File> {
    options.create(true).mode(FILE_MODE).open(path)
}

/// A volume may belong to somebody else, who decides about its mode; that is worth a word and no reason not to start.
fn restrict(path: &Path, mode: u32) {
    let found = match std::fs::metadata(path) {
        Ok(found) => found.permissions().mode(),
        Err(error) if error.kind() == ErrorKind::NotFound => return,
        Err(error) => return tracing::warn!(path = %path.display(), %error, "cannot see who may use it"),
    };
    if found & OTHERS == 0 {
        return;
    }
    match std::fs::set_permissions(path, Permissions::from_mode(mode)) {
        Ok(()) => tracing::debug!(path = %path.display(), mode = format_args!("{mode:04o}"), "closed to other users"),
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "other users may read it, and that cannot be changed")
        }
    }
}
