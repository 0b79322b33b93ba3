//! Files that this process trusts: those that other users cannot have written, and that are where they were.
//!
//! It knows nothing of what is in a file. It must never open one in a way that follows a link: a link leads where the
//! user who made it wants.

mod identity;
mod trust;

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, RawMode, Stat};
use rustix::process::Gid;

pub use self::identity::{FileId, length};
pub use self::trust::{Closing, Distrust, Found, Kind, Process, closing, judge};

/// For the owner of a file only.
pub const FILE_MODE: u32 = 0o600;

/// `path` as it can be named from anywhere, for messages and commands.
pub fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// The user and the groups of this process.
///
/// # Errors
/// If the system does not tell the groups.
pub fn this_process() -> rustix::io::Result<Process> {
    let own = rustix::process::getegid();
    let groups = rustix::process::getgroups()?.into_iter().chain([own]).map(Gid::as_raw).collect();
    Ok(Process { user: rustix::process::geteuid().as_raw(), groups })
}

/// What `stat` says of who may do what.
// The types differ from one system to another.
#[allow(clippy::useless_conversion, clippy::unnecessary_cast)]
pub fn found(stat: &Stat) -> Found {
    let mode = stat.st_mode as RawMode;
    let kind = match FileType::from_raw_mode(mode) {
        FileType::Directory => Kind::Directory,
        FileType::RegularFile => Kind::File,
        _ => Kind::Other,
    };
    let mode = u32::from(Mode::from_raw_mode(mode).bits());
    Found { kind, owner: stat.st_uid, group: stat.st_gid, mode, names: stat.st_nlink as u64 }
}

/// Opens the file at `path`, which must be trusted. With the right options it is created for the owner only.
///
/// # Errors
/// If it cannot be opened, or is not trusted.
pub fn open(path: &Path, options: &mut OpenOptions) -> std::io::Result<File> {
    let file = open_no_link(path, options).map_err(|error| match path.is_symlink() {
        // The system speaks of too many levels of them.
        true => std::io::Error::other("it is a link, and links are not followed: give the file itself"),
        false => error,
    })?;
    let found = found(&rustix::fs::fstat(&file)?);
    judge(&found, Kind::File, &this_process()?).map_err(|why| std::io::Error::other(why.to_string()))?;
    Ok(file)
}

/// Opens the file at `path`, unless it is a link.
fn open_no_link(path: &Path, options: &mut OpenOptions) -> std::io::Result<File> {
    // A pipe must not make the process wait for its other end.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    options.mode(FILE_MODE).custom_flags(flags.bits() as i32).open(path)
}
