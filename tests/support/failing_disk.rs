//! A data directory on a disk that fails when told to; see `failing_disk.c`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

use super::gateway::{Gateway, serve};
use super::preload;
use super::sidecar::Sidecar;

/// Input/output error.
pub const EIO: i32 = 5;
/// No space left on device.
pub const ENOSPC: i32 = 28;
/// Read-only file system.
pub const EROFS: i32 = 30;

/// What its gateways are started with.
pub const SETTINGS: [&str; 6] = ["--cooldown", "2s", "--settle", "500ms", "--poll-interval", "100ms"];

pub struct Disk {
    directory: TempDir,
}

impl Disk {
    pub fn new() -> Self {
        let disk = Self { directory: TempDir::new().expect("a directory") };
        for directory in [disk.data(), disk.control(), disk.platter()] {
            std::fs::create_dir(directory).expect("made");
        }
        disk
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        // The process sees its files by their real names.
        self.directory.path().canonicalize().expect("a directory").join("data")
    }

    fn control(&self) -> PathBuf {
        self.directory.path().join("control")
    }

    fn platter(&self) -> PathBuf {
        self.directory.path().join("platter")
    }

    /// From now on `operation` (`open`, `read`, `write` or `sync`) fails with this number.
    pub fn fails(&self, operation: &str, number: i32) {
        // Renamed into place, so that no process reads half of it.
        let (written, control) = (self.control().join("new"), self.control().join(operation));
        std::fs::write(&written, number.to_string()).and_then(|()| std::fs::rename(written, control)).expect("written");
    }

    /// From now on `operation` does not come back.
    pub fn hangs(&self, operation: &str) {
        self.fails(operation, 0);
    }

    /// From now on there is no room for anything more than there is.
    pub fn is_full(&self) {
        let files = std::fs::read_dir(self.data()).expect("readable").map(|file| file.expect("a file"));
        let counted = files.filter(|file| !file.file_name().to_string_lossy().ends_with("-shm"));
        let total: u64 = counted.map(|file| file.metadata().map_or(0, |file| file.len())).sum();
        std::fs::write(self.control().join("space"), total.to_string()).expect("written");
    }

    /// From now on everything works.
    pub fn works(&self) {
        for operation in ["open", "read", "write", "sync", "space"] {
            let _ = std::fs::remove_file(self.control().join(operation));
        }
    }

    /// How often `operation` has failed.
    pub fn failures(&self, operation: &str) -> u64 {
        std::fs::metadata(self.control().join(format!("{operation}.hits"))).map_or(0, |hits| hits.len())
    }

    /// Leaves what was synced, and nothing else. No process may be running.
    pub fn cut_power(&self) {
        std::fs::remove_dir_all(self.data()).expect("removed");
        std::fs::create_dir(self.data()).expect("made");
        for file in std::fs::read_dir(self.platter()).expect("a directory") {
            let file = file.expect("a file");
            std::fs::copy(file.path(), self.data().join(file.file_name())).expect("copied");
        }
    }

    /// A gateway on this disk, not started.
    pub fn command(&self, sidecar: &Sidecar) -> Command {
        self.under(serve(&self.data(), sidecar.address(), &SETTINGS))
    }

    /// The `command`, with this disk under it.
    pub fn under(&self, mut command: Command) -> Command {
        command
            .env("LD_PRELOAD", library())
            .env("FAILING_DISK_DATA", self.data())
            .env("FAILING_DISK_CONTROL", self.control())
            .env("FAILING_DISK_PLATTER", self.platter());
        command
    }

    /// A running gateway on this disk.
    pub fn start(&self, sidecar: &Sidecar) -> Gateway {
        Gateway::start_with(self.command(sidecar))
    }
}

/// The compiled `failing_disk.c`.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| preload::compile("failing_disk"))
}
