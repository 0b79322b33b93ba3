//! What SQLite does not see to about its write-ahead log.
//!
//! SQLite takes a log that it cannot read for an empty one, and removes one whose database is empty, both without a
//! word; commits that were promised go with it. And it trusts that what could be read from a file is on the disk, which
//! is not so after a failed sync: Linux then forgets which parts it could not write, and the next sync succeeds without
//! them.
//!
//! What cannot be noticed: a log that is missing, or that breaks off in the middle. It looks like one that ends there.

use std::fs::{File, Metadata};
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, TransactionBehavior};

use super::SqliteError;
use super::connection::explain;
use crate::files;

/// Length of the log's header.
const HEADER: usize = 32;
/// The number a log begins with; the lowest bit tells the byte order of the checksums.
const MAGIC: u32 = 0x377f_0682;
/// How much of the log is written at a time.
const CHUNK: usize = 1 << 20;

/// The log of the `database`.
pub(super) fn path(database: &Path) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push("-wal");
    path.into()
}

/// Fails if there is a log that SQLite would throw away.
pub(super) fn check(database: &Path) -> Result<(), SqliteError> {
    let log = path(database);
    let failed = |source| SqliteError::Log { path: log.clone(), source };
    let corrupt = |detail: &str| SqliteError::Corrupt {
        path: database.to_owned(),
        detail: format!("{detail} {}", log.display()),
    };
    let mut header = Vec::new();
    match files::open(&log, File::options().read(true)) {
        Ok(file) => file.take(HEADER as u64).read_to_end(&mut header).map_err(failed)?,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    // The header is on the disk before anything else of a log is: what is shorter, or was never written, holds nothing.
    if header.len() < HEADER || header.iter().all(|byte| *byte == 0) {
        return Ok(());
    }
    // The first thing SQLite does is to write the database; the log comes after that.
    if std::fs::metadata(database).as_ref().map_or(0, Metadata::len) == 0 {
        return Err(corrupt("the database is missing or empty, but there is a write-ahead log,"));
    }
    if !is_header(&header) {
        return Err(corrupt("there is no sense in the write-ahead log"));
    }
    // SQLite would write what is in the log over it.
    if has_log(database).map_err(|source| SqliteError::Directory { path: database.to_owned(), source })? {
        Ok(())
    } else {
        Err(SqliteError::StrayLog { path: database.to_owned() })
    }
}

/// Whether the header of `database` says that it has a log. That of a backup does not, until it is opened.
fn has_log(database: &Path) -> std::io::Result<bool> {
    /// Where the header says which version of the format it takes to write the database; with a log, 2.
    const WRITE_VERSION: u64 = 18;
    let mut version = [0];
    files::open(database, File::options().read(true))?.read_exact_at(&mut version, WRITE_VERSION)?;
    Ok(version == [2])
}

fn is_header(header: &[u8]) -> bool {
    let word = |bytes: &[u8]| u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    let words: Vec<u32> = header.chunks_exact(4).map(word).collect();
    let swapped = words[0] == MAGIC;
    if !swapped && words[0] != MAGIC | 1 {
        return false;
    }
    let (mut first, mut second) = (0_u32, 0_u32);
    for pair in words[..6].chunks_exact(2) {
        let [a, b] = [pair[0], pair[1]].map(|word| if swapped { word.swap_bytes() } else { word });
        first = first.wrapping_add(a).wrapping_add(second);
        second = second.wrapping_add(b).wrapping_add(first);
    }
    words[6..] == [first, second]
}

/// Writes the log once more as it is, and syncs it, before anything new rests on it: so it is on the disk even if an
/// earlier sync failed, by this process or by the one before it.
pub(super) fn write_again(database: &Path, db: &mut Connection) -> Result<(), SqliteError> {
    let explained = |error| explain(database, error);
    // No other process may add to the log meanwhile.
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(explained)?;
    let log = path(database);
    rewrite(&log).map_err(|source| SqliteError::Log { path: log, source })?;
    transaction.rollback().map_err(explained)
}

fn rewrite(log: &Path) -> std::io::Result<()> {
    let file = match files::open(log, File::options().read(true).write(true)) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    let mut chunk = vec![0; CHUNK];
    let mut at = 0;
    loop {
        let length = file.read_at(&mut chunk, at)?;
        if length == 0 {
            return file.sync_all();
        }
        file.write_all_at(&chunk[..length], at)?;
        at += length as u64;
    }
}
