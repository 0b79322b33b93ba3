//! A copy of the store made while a gateway may be writing to it, and what a gateway does that carries on from one.
//!
//! The copy says that it is one. The gateway that is started on it cannot know which changes another process sent after
//! the copy was made: it takes note of that moment, in one commit, and from then on treats each resource, also those
//! that are not in the copy, as if a change of unknown outcome had been sent right then.
//!
//! The copy is made in one read transaction, so that it is the store of one moment; commits go on, only the log grows
//! until it is done. Rejected: SQLite's page by page interface, because each commit by another process makes it begin
//! again. Rejected: copying the files, because the log belongs to them and what is in it does not show which commits
//! are whole.

use std::fs::File;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension as _, TransactionBehavior};

use super::SqliteError;
use super::connection::{check, explain, open_to_read};
use super::directory::{self, database_path};
use super::schema::{self, Kind};
use super::wal;
use crate::clock::wall_now;
use crate::domain::Timestamp;

/// A backup that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backup {
    /// What the machine's clock showed before anything was read: everything that was durable by then is in it.
    pub taken_at: Timestamp,
    /// Its length.
    pub bytes: u64,
}

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// There is nothing to be copied.
    #[error("there is no store in {0}: --data-dir says where to look")]
    NothingThere(PathBuf),
    /// A file is there already.
    #[error("{0} exists already, and is not replaced: choose another name, or remove it")]
    Exists(PathBuf),
    /// The file would be in a directory that is not there.
    #[error("there is no directory {0}: make it with `mkdir -p {0}`, or name a file in another one")]
    NoDirectory(PathBuf),
    /// The file cannot be written.
    #[error("the backup {path} cannot be written: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The store cannot be read, or what was read makes no sense.
    #[error("the store cannot be copied: {0}")]
    Store(#[from] SqliteError),
}

/// Copies the store in `directory` into a new `file` for the owner only, whether a gateway is running there or not. The
/// file appears under its name when it is whole and on the disk.
///
/// # Errors
/// If it cannot be read, or the file is there or cannot be written. Nothing is left behind then.
pub fn back_up(directory: &Path, file: &Path) -> Result<Backup, BackupError> {
    let (database, taken_at) = (database_path(directory), wall_now());
    if !directory.exists() || !directory::check(directory)? {
        return Err(BackupError::NothingThere(directory.to_owned()));
    }
    if file.symlink_metadata().is_ok() {
        return Err(BackupError::Exists(file.to_owned()));
    }
    let failed = |source| BackupError::File { path: file.to_owned(), source };
    let parent = directory::parent_of(file);
    if !parent.try_exists().map_err(failed)? {
        return Err(BackupError::NoDirectory(parent.to_owned()));
    }
    // For its owner only, under a name that cannot be guessed, and removed unless it gets the other one.
    let copy = tempfile::Builder::new().prefix(".scalegate-backup-").tempfile_in(parent);
    // The text of its error is about that name.
    let copy = copy.map_err(|error| failed(error.kind().into()))?;
    wal::check(&database)?;
    copy_into(&database, copy.path()).and_then(|()| mark(copy.path(), taken_at)).map_err(|error| match error {
        // The store itself is only read.
        SqliteError::Sqlite { source, .. } if source.sqlite_error_code() == Some(ErrorCode::DiskFull) => {
            failed(std::io::ErrorKind::StorageFull.into())
        }
        error => error.into(),
    })?;
    copy.as_file().sync_all().map_err(failed)?;
    let bytes = copy.as_file().metadata().map_err(failed)?.len();
    copy.persist_noclobber(file).map_err(|error| match error.error.kind() {
        std::io::ErrorKind::AlreadyExists => BackupError::Exists(file.to_owned()),
        _ => failed(error.error),
    })?;
    File::open(parent).and_then(|parent| parent.sync_all()).map_err(failed)?;
    Ok(Backup { taken_at, bytes })
}

/// Copies `database` into the empty file `copy`.
fn copy_into(database: &Path, copy: &Path) -> Result<(), SqliteError> {
    let failed = |error| explain(database, error);
    let db = open_to_read(database).map_err(failed)?;
    let path = database.to_owned();
    match schema::identify(&db).map_err(failed)? {
        Kind::Ours { version: schema::VERSION } => {}
        Kind::Ours { version: found } => {
            return Err(SqliteError::OtherRelease { path, found, known: schema::VERSION });
        }
        Kind::Foreign => return Err(SqliteError::Foreign { path }),
    }
    // As it is: in a path that is not UTF-8, every replacement would name another file.
    let copy = ToSqlOutput::Borrowed(ValueRef::Text(copy.as_os_str().as_bytes()));
    db.execute("VACUUM INTO ?1", [copy]).map(|_| ()).map_err(failed)
}

/// Writes into `copy` that it is one, and checks that it is sound.
fn mark(copy: &Path, taken_at: Timestamp) -> Result<(), SqliteError> {
    let failed = |error| explain(copy, error);
    let db = Connection::open_with_flags(copy, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(failed)?;
    let sql = "REPLACE INTO backup (only, taken_ms, restored_ms) VALUES (1, ?1, NULL)";
    db.execute(sql, [taken_at.as_millis()]).map_err(failed)?;
    check(copy, &db)
}

/// If `db` is a copy that no gateway was started on yet, notes that one is at `now`; when the copy was made.
pub(super) fn carry_on(db: &mut Connection, now: Timestamp) -> rusqlite::Result<Option<Timestamp>> {
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let sql = "UPDATE backup SET restored_ms = ?1 WHERE restored_ms IS NULL RETURNING taken_ms";
    let taken_ms = transaction.query_row(sql, [now.as_millis()], |row| row.get(0)).optional()?;
    if taken_ms.is_some() {
        // Ids of versions that were given out after the copy was made must not mean others: the log begins anew, beyond
        // them, as that of a new store does.
        transaction.execute_batch(
            "UPDATE versions_begin SET first = max(
                first,
                coalesce((SELECT max(seq) + 1 FROM versions), 0),
                CAST(strftime('%s', 'now') AS INTEGER) * 1000
            );
            DELETE FROM versions;
            UPDATE jobs SET event = 0;",
        )?;
    }
    transaction.commit()?;
    Ok(taken_ms.map(Timestamp::from_millis))
}

/// When the first gateway was started on the copy that `db` once was.
pub(super) fn restored_at(db: &Connection) -> rusqlite::Result<Option<Timestamp>> {
    let restored_ms: Option<Option<i64>> =
        db.query_row("SELECT restored_ms FROM backup", [], |row| row.get(0)).optional()?;
    Ok(restored_ms.flatten().map(Timestamp::from_millis))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::super::Journal as _;
    use super::super::fixtures::{NOW, directory, job, jobs, lane, open, shell, written};
    use super::*;
    use crate::store::Unit;

    /// A store with a job and a lane, and the path of a backup of it that is not there yet.
    fn scene() -> (tempfile::TempDir, PathBuf) {
        let directory = directory();
        let mut journal = open(directory.path());
        let batch = Unit { lanes: written([lane("worker", None)]), ..jobs([job(1, "worker")]) };
        journal.commit(&[batch], 1).expect("committed");
        let file = directory.path().join("backup");
        (directory, file)
    }

    fn restored(backup: &Path) -> tempfile::TempDir {
        let directory = directory();
        std::fs::copy(backup, database_path(directory.path())).expect("copied");
        directory
    }

    #[test]
    fn a_backup_is_the_store_of_one_moment_made_beside_the_writer() {
        let (directory, file) = scene();
        let mut journal = open(directory.path());
        let before = journal.contents().expect("readable");
        let made = back_up(directory.path(), &file).expect("made");
        let found = std::fs::metadata(&file).expect("a file");
        assert_eq!((found.len(), found.permissions().mode() & 0o777), (made.bytes, 0o600));
        journal.put(&[jobs([job(2, "worker")])]).expect("committed");
        let elsewhere = restored(&file);
        let copy = open(elsewhere.path()).contents().expect("readable");
        assert_eq!((copy.jobs, copy.lanes), (before.jobs, before.lanes));
        let left: Vec<_> = std::fs::read_dir(directory.path()).expect("a directory").flatten().collect();
        let partial = |name: &str| name.starts_with(".scalegate-backup");
        assert!(!left.iter().any(|file| file.file_name().to_str().is_some_and(partial)), "{left:?}");
    }

    #[test]
    fn any_directory_can_have_a_backup_whatever_its_name() {
        let (directory, _) = scene();
        let strange = directory.path().join(std::ffi::OsStr::from_bytes(b"b\xffckups"));
        std::fs::create_dir(&strange).expect("made");
        let file = strange.join("backup");
        let made = back_up(directory.path(), &file).expect("made");
        assert_eq!(std::fs::metadata(&file).expect("a file").len(), made.bytes);
    }

    #[test]
    fn nothing_is_replaced_and_nothing_is_left_of_what_failed() {
        let (directory, file) = scene();
        for prepare in [(|file| std::fs::write(file, "precious").expect("written")) as fn(&Path), |file| {
            std::os::unix::fs::symlink("/nowhere/at/all", file).expect("linked")
        }] {
            prepare(&file);
            assert!(matches!(back_up(directory.path(), &file), Err(BackupError::Exists(_))));
            std::fs::remove_file(&file).expect("still there");
        }
        let nowhere = directory.path().join("no/directory/here");
        let refused = back_up(directory.path(), &nowhere).expect_err("no directory").to_string();
        assert!(refused.starts_with(&format!("there is no directory {}: ", directory::parent_of(&nowhere).display())));
        std::fs::write(&file, "").expect("written");
        for no_directory in [file.join("backup"), file.join("deeper/backup")] {
            let refused = back_up(directory.path(), &no_directory).expect_err("a file").to_string();
            assert!(
                refused.contains(&no_directory.display().to_string()) && !refused.contains(".scalegate-backup-"),
                "{refused}"
            );
        }
        std::fs::remove_file(&file).expect("still there");
        let empty = super::super::fixtures::directory();
        assert!(matches!(back_up(empty.path(), &file), Err(BackupError::NothingThere(_))));
        shell(directory.path()).pragma_update(None, "user_version", 3).expect("written");
        let refused = back_up(directory.path(), &file);
        assert!(matches!(refused, Err(BackupError::Store(SqliteError::OtherRelease { .. }))), "{refused:?}");
        assert!(!file.exists());
    }

    #[test]
    fn a_restored_store_is_noticed_once_and_remembers_it() {
        let (directory, file) = scene();
        let made = back_up(directory.path(), &file).expect("made");
        let mut original = open(directory.path());
        assert_eq!(original.carry_on_from_backup(NOW).expect("readable"), None, "only the copy is one");
        let elsewhere = restored(&file);
        let mut journal = open(elsewhere.path());
        let latest = original.contents().expect("readable").next_event;
        assert_eq!(journal.contents().expect("readable").restored_at, None);
        assert_eq!(journal.carry_on_from_backup(NOW).expect("written"), Some(made.taken_at));
        drop(journal);
        let mut journal = open(elsewhere.path());
        assert_eq!(journal.carry_on_from_backup(NOW + std::time::Duration::from_secs(9)).expect("readable"), None);
        let snapshot = journal.contents().expect("readable");
        assert_eq!(snapshot.restored_at, Some(NOW));
        assert!(snapshot.next_event > latest + 1_000_000, "no id means two versions");
        assert!(snapshot.jobs.iter().all(|event| event.id == 0));
        // Another clock, on which all ages stay what they are.
        let forward = std::time::Duration::from_hours(5);
        journal.change_clock(None, NOW, NOW + forward).expect("written");
        assert_eq!(journal.contents().expect("readable").restored_at, Some(NOW + forward));
        // And a backup of it is one of its own.
        let again = elsewhere.path().join("again");
        back_up(elsewhere.path(), &again).expect("made");
        let third = restored(&again);
        let mut journal = open(third.path());
        assert_eq!(journal.contents().expect("readable").restored_at, None);
        assert!(journal.carry_on_from_backup(NOW).expect("written").is_some());
    }

    /// SQLite would write what is in the log over the backup.
    #[test]
    fn a_log_of_another_store_beside_a_backup_is_refused() {
        let (directory, file) = scene();
        back_up(directory.path(), &file).expect("made");
        let journal = open(directory.path());
        let elsewhere = restored(&file);
        let log = |directory: &Path| wal::path(&database_path(directory));
        std::fs::copy(log(directory.path()), log(elsewhere.path())).expect("copied");
        drop(journal);
        let refused = super::super::SqliteJournal::open(elsewhere.path());
        assert!(matches!(refused, Err(SqliteError::StrayLog { .. })), "{:?}", refused.err());
    }
}
