//! Which file it is that there is at a path, so that one put in its place is noticed, and how long it is.
//!
//! It is asked after every commit, and must not ask when the file was last changed: Linux then notes the time of the
//! next change more exactly, which costs the next sync a write of its own.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Which file there is: its device and its number on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileId(u64, u64);

impl FileId {
    /// The file at `path`.
    ///
    /// # Errors
    /// If there is none.
    pub fn at(path: &Path) -> std::io::Result<Self> {
        identify(path)
    }

    /// The numbers that identify it.
    pub fn numbers(self) -> [u64; 2] {
        [self.0, self.1]
    }

    /// The file that was `found`.
    pub fn of(found: &Metadata) -> Self {
        Self(found.dev(), found.ino())
    }
}

/// The length of the file at `path`.
///
/// # Errors
/// If there is none.
#[cfg(target_os = "linux")]
pub fn length(path: &Path) -> std::io::Result<u64> {
    use rustix::fs::{AtFlags, CWD, StatxFlags, statx};
    match statx(CWD, path, AtFlags::empty(), StatxFlags::SIZE) {
        Ok(found) => Ok(found.stx_size),
        Err(_) => std::fs::metadata(path).map(|found| found.len()),
    }
}

/// The length of the file at `path`.
///
/// # Errors
/// If there is none.
#[cfg(not(target_os = "linux"))]
pub fn length(path: &Path) -> std::io::Result<u64> {
    std::fs::metadata(path).map(|found| found.len())
}

#[cfg(target_os = "linux")]
fn identify(path: &Path) -> std::io::Result<FileId> {
    use rustix::fs::{AtFlags, CWD, StatxFlags, makedev, statx};
    match statx(CWD, path, AtFlags::empty(), StatxFlags::INO) {
        Ok(found) => Ok(FileId(makedev(found.stx_dev_major, found.stx_dev_minor), found.stx_ino)),
        // There is nothing, or the system has no such call, or a sandbox forbids it.
        Err(_) => identify_by_metadata(path),
    }
}

#[cfg(not(target_os = "linux"))]
fn identify(path: &Path) -> std::io::Result<FileId> {
    identify_by_metadata(path)
}

fn identify_by_metadata(path: &Path) -> std::io::Result<FileId> {
    std::fs::metadata(path).map(|found| FileId::of(&found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_file_is_told_from_another_one_at_its_path() {
        let directory = tempfile::tempdir().expect("a directory");
        let (path, other) = (directory.path().join("file"), directory.path().join("other"));
        assert!(FileId::at(&path).is_err());
        for path in [&path, &other] {
            std::fs::write(path, "").expect("written");
        }
        let id = FileId::at(&path).expect("a file");
        std::fs::write(&path, "more").expect("written");
        assert_eq!(length(&path).expect("a file"), 4);
        assert_eq!(FileId::at(&path).expect("a file"), id);
        assert_eq!(identify_by_metadata(&path).expect("a file"), id, "both ways agree");
        std::fs::rename(&other, &path).expect("replaced");
        assert_ne!(FileId::at(&path).expect("a file"), id);
    }
}
