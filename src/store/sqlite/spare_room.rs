//! Whether there is room on the disk for what may be lost: what was observed is given up before the disk is full, so that
//! jobs still find room.
//!
//! Rejected: a file that takes the room, as the [`reserve`](super::reserve) does: jobs would have to give it up and take it
//! back, and may use what is free at any time.

use std::path::{Path, PathBuf};

use rustix::fs::statvfs;

/// From this little on nothing is written that may be lost: the log may become so long, and as much is left for jobs.
const LITTLE_BYTES: u64 = 64 << 20;
/// From this much on it is written again.
const ENOUGH_BYTES: u64 = 80 << 20;

/// The room on the disk of a data directory.
pub(super) struct SpareRoom {
    directory: PathBuf,
    is_scarce: bool,
}

impl SpareRoom {
    /// On the disk of `directory`.
    pub fn of(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), is_scarce: false }
    }

    /// Whether there is some to spare. If that cannot be told, writing shows it.
    pub fn is_there(&mut self) -> bool {
        let free = statvfs(&self.directory).map_or(u64::MAX, |found| found.f_bavail.saturating_mul(found.f_frsize));
        self.is_scarce = is_scarce(self.is_scarce, free);
        !self.is_scarce
    }
}

/// Whether so many free bytes are little, if they were before or not.
fn is_scarce(was_scarce: bool, free_bytes: u64) -> bool {
    free_bytes < if was_scarce { ENOUGH_BYTES } else { LITTLE_BYTES }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_that_was_scarce_must_become_more_than_a_little() {
        let mut scarce = false;
        for (free_megabytes, expected) in [(65, false), (64, false), (63, true), (64, true), (79, true), (80, false)] {
            scarce = is_scarce(scarce, free_megabytes << 20);
            assert_eq!(scarce, expected, "{free_megabytes} MiB");
        }
    }

    #[test]
    fn room_is_that_of_the_disk_and_what_cannot_be_told_shows_in_writing() {
        assert!(SpareRoom::of(Path::new("/nowhere/at/all")).is_there());
        // It has none to give.
        assert!(!SpareRoom::of(Path::new("/proc/self")).is_there());
    }
}
