//! Room on the disk that is kept for changes of API keys: on a full disk a key that leaked must still be revoked for
//! good.
//!
//! A file beside the database takes the room. When such a change finds the disk full, the file is cut off, the change
//! written, and the file made as long again as the room that is left allows, so that nothing else takes it. It must
//! never be given up for anything that a caller without the right to change keys can ask for.
//!
//! Rejected: room within the database or its log, because SQLite writes jobs into it as well as keys.

use std::fs::File;
use std::io::{ErrorKind, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use super::directory;
use crate::files;

/// Length of the file. A change of a key takes some ten pages of the log, 40 KiB, and each opening of the store as
/// much: this is room for dozens, and for the log's index.
const RESERVE_BYTES: u64 = 4 << 20;
/// The least that is worth keeping.
const LEAST_BYTES: u64 = 64 << 10;

/// The reserve in a data directory.
pub(super) struct Reserve {
    path: PathBuf,
    /// Whether it was said that there is no room for it.
    is_missed: bool,
}

impl Reserve {
    /// The one in `directory`, which may have none yet.
    pub(super) fn of(directory: &Path) -> Self {
        Self { path: directory::reserve_path(directory), is_missed: false }
    }

    /// Makes it as long as it should be, unless it is; takes no room if there is not enough. A store works without one,
    /// so that a failure is only told.
    pub(super) fn make(&mut self) {
        let made = self.open().and_then(|mut file| {
            let before = file.metadata()?.len();
            if before >= RESERVE_BYTES {
                return Ok(());
            }
            // What was taken before it was found not to be enough goes.
            allocate(&mut file, before, RESERVE_BYTES).inspect_err(|_| drop(file.set_len(before)))
        });
        match made {
            Ok(()) => self.is_missed = false,
            Err(error) if !self.is_missed => {
                self.is_missed = true;
                tracing::warn!(
                    path = %self.path.display(),
                    %error,
                    "there is no room for the reserve from which API keys can be revoked once the disk is full"
                );
            }
            Err(_) => {}
        }
    }

    /// What `write` writes with this room, once it could not without.
    pub(super) fn spend<T>(&self, write: impl FnOnce() -> T) -> T {
        let taken = self.open().and_then(|file| {
            file.set_len(0)?;
            file.sync_all()?;
            Ok(file)
        });
        let written = write();
        if let Ok(mut file) = taken {
            keep_rest(&mut file);
            tracing::warn!("the disk is full: API keys are changed in the room that is kept for that");
        }
        written
    }

    fn open(&self) -> std::io::Result<File> {
        files::open(&self.path, File::options().write(true).create(true).truncate(false))
    }
}

/// Makes the empty `file` as long as there is room for.
fn keep_rest(file: &mut File) {
    let (mut length, mut step) = (0, RESERVE_BYTES);
    while step >= LEAST_BYTES && length < RESERVE_BYTES {
        match allocate(file, length, length + step) {
            Ok(()) => length += step,
            Err(_) => drop(file.set_len(length)),
        }
        step /= 2;
    }
}

/// Makes `file`, which is so long `before`, `length` bytes long, on the disk as well.
fn allocate(file: &mut File, before: u64, length: u64) -> std::io::Result<()> {
    match fallocate(&*file, FallocateFlags::empty(), before, length - before) {
        // The file system cannot promise room, but give it.
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => write_zeros(file, before, length),
        allocated => allocated.map_err(std::io::Error::from),
    }
}

fn write_zeros(file: &mut File, before: u64, length: u64) -> std::io::Result<()> {
    file.seek(SeekFrom::Start(before))?;
    let zeros = vec![0; LEAST_BYTES as usize];
    let mut left = length - before;
    while left > 0 {
        let part = left.min(LEAST_BYTES) as usize;
        file.write_all(&zeros[..part])?;
        left -= part as u64;
    }
    file.sync_all()
}

/// Whether a failure of this kind says that there is no room.
pub(super) fn says_full(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn length(directory: &Path) -> u64 {
        std::fs::metadata(directory::reserve_path(directory)).expect("a file").len()
    }

    #[test]
    fn a_reserve_is_gone_while_it_is_spent_and_made_again() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut reserve = Reserve::of(directory.path());
        for _ in 0..2 {
            reserve.make();
            assert_eq!(length(directory.path()), RESERVE_BYTES);
            assert_eq!(reserve.spend(|| length(directory.path())), 0);
            assert_eq!(length(directory.path()), RESERVE_BYTES, "there is room for all of it");
        }
        // Some of it was used up.
        File::options()
            .write(true)
            .open(directory::reserve_path(directory.path()))
            .and_then(|file| file.set_len(RESERVE_BYTES / 2))
            .expect("cut");
        reserve.make();
        assert_eq!(length(directory.path()), RESERVE_BYTES);
    }

    #[test]
    fn room_is_taken_also_where_it_cannot_be_promised() {
        let mut file = tempfile::tempfile().expect("a file");
        write_zeros(&mut file, 0, RESERVE_BYTES - 7).expect("written");
        write_zeros(&mut file, RESERVE_BYTES - 7, RESERVE_BYTES).expect("written");
        assert_eq!(file.metadata().expect("a file").len(), RESERVE_BYTES);
    }

    /// A directory that cannot have one, such as that of a process without the right to write to it.
    #[test]
    fn without_a_reserve_everything_goes_on() {
        let directory = tempfile::tempdir().expect("a directory");
        let nowhere = directory.path().join("nowhere");
        Reserve::of(&nowhere).make();
        assert_eq!(Reserve::of(&nowhere).spend(|| 7), 7);
    }
}
