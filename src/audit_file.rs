//! The file of `--audit-log`: a line for each attempt to change something, appended when the attempt is in the store.
//!
//! It must never hold up what it tells of, nor the end of the process: lines wait in a queue for a thread of their own,
//! and are lost where that is full, or where the process ends while the file cannot be written. The record that is
//! complete is the store's. A line is whole or not there, so that programs can follow the file. It is looked for by its
//! name before each line, so that it may be renamed at any time, and a new one is begun then. Rejected: SIGHUP, because
//! it has to be sent, and rotation by copying and truncating needs neither.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::domain::AuditEntry;
use crate::files::{self, FileId};
use crate::metrics::Metrics;

/// Most lines that wait, of a few hundred bytes each: an outage of minutes at a change a second, in some megabytes.
const MOST_WAITING: usize = 8192;
/// Pause between two attempts to write a line.
const RETRY: Duration = Duration::from_secs(1);

/// What an entry looks like in the file.
pub type AuditLine = fn(&AuditEntry) -> serde_json::Result<String>;

/// A handle to the thread that writes the file. When it is dropped, the thread writes what waits and ends; if the file
/// cannot be written then, it ends without.
pub struct AuditFile {
    lines: SyncSender<String>,
    /// Tells the thread that the handle is there.
    _handle: Arc<()>,
    line: AuditLine,
    metrics: Arc<Metrics>,
}

impl AuditFile {
    /// Opens the file at `path`, creating it for the owner only, and starts its thread.
    ///
    /// # Errors
    /// If the file cannot be opened, is no plain file of this process's user, or other users may write to it.
    pub fn open(path: &Path, line: AuditLine, metrics: Arc<Metrics>) -> std::io::Result<(Self, JoinHandle<()>)> {
        let mut appender = Appender { path: path.to_owned(), file: None };
        appender.current()?;
        let (lines, waiting) = sync_channel(MOST_WAITING);
        let (handle, shared) = (Arc::new(()), Arc::clone(&metrics));
        let held = Arc::downgrade(&handle);
        let thread = std::thread::Builder::new().name("audit file".into());
        let thread = thread.spawn(move || write(&mut appender, &waiting, &held, &shared))?;
        Ok((Self { lines, _handle: handle, line, metrics }, thread))
    }

    pub fn append(&self, entry: &AuditEntry) {
        let line = match (self.line)(entry) {
            Ok(line) => line,
            Err(error) => return tracing::error!(%error, "an entry of the record has no line in the audit log"),
        };
        if self.lines.try_send(line).is_err() {
            self.metrics.audit.lost();
        }
    }
}

fn write(appender: &mut Appender, lines: &Receiver<String>, handle: &Weak<()>, metrics: &Metrics) {
    let path = appender.path.clone();
    for line in lines {
        let mut is_failing = false;
        while let Err(error) = appender.append(&line) {
            if !is_failing {
                is_failing = true;
                metrics.audit.set_failing(true);
                tracing::error!(
                    path = %path.display(),
                    %error,
                    "the audit log cannot be written, which is tried every second; scaling goes on, and the store keeps its own \
                     record, see GET /v1/audit"
                );
            }
            if handle.strong_count() == 0 {
                let lost = 1 + lines.try_iter().count();
                (0..lost).for_each(|_| metrics.audit.lost());
                return tracing::warn!(path = %path.display(), lost, "the last lines of the audit log are not in it");
            }
            std::thread::sleep(RETRY);
        }
        if is_failing {
            metrics.audit.set_failing(false);
            tracing::warn!(path = %path.display(), lost = metrics.audit.lost_so_far(), "the audit log is written again");
        }
    }
}

/// Appends whole lines to the file that is at a path.
struct Appender {
    path: PathBuf,
    file: Option<File>,
}

impl Appender {
    fn append(&mut self, line: &str) -> std::io::Result<()> {
        let appended = self.try_append(line);
        if appended.is_err() {
            // Whatever is wrong with it may be over with the next one.
            self.file = None;
        }
        appended
    }

    fn try_append(&mut self, line: &str) -> std::io::Result<()> {
        let mut file = self.current()?;
        let before = file.metadata()?.len();
        // A process that died in the middle of a line leaves one that ends here.
        let is_torn = before > 0 && !ends_in_a_line(file, before)?;
        let line = format!("{}{line}\n", if is_torn { "\n" } else { "" });
        file.write_all(line.as_bytes()).inspect_err(|_| {
            // A piece of a line goes. If it cannot, the next one begins on a line of its own.
            let most = before + line.len() as u64;
            if file.metadata().is_ok_and(|found| found.len() < most) {
                let _ = file.set_len(before);
            }
        })
    }

    /// The file at the path, which may be another one than before.
    fn current(&mut self) -> std::io::Result<&File> {
        let is_there = |file: &File| match (FileId::at(&self.path), file.metadata()) {
            (Ok(named), Ok(found)) => named == FileId::of(&found),
            _ => false,
        };
        let file = match self.file.take().filter(is_there) {
            Some(file) => file,
            None => files::open(&self.path, File::options().read(true).append(true).create(true))?,
        };
        Ok(&*self.file.insert(file))
    }
}

fn ends_in_a_line(file: &File, length: u64) -> std::io::Result<bool> {
    let mut last = [0];
    file.read_exact_at(&mut last, length - 1)?;
    Ok(last == *b"\n")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;
    use crate::domain::{Action, Attempt, AuditVerdict, Subject, Timestamp};

    fn appender(directory: &Path) -> Appender {
        Appender { path: directory.join("audit.log"), file: None }
    }

    fn text(path: &Path) -> String {
        std::fs::read_to_string(path).expect("readable")
    }

    fn entry() -> AuditEntry {
        AuditEntry {
            at: Timestamp::from_millis(0),
            attempt: Attempt { request: None, actor: None, address: None },
            action: Action::SubmitJob,
            subject: Subject::default(),
            verdict: AuditVerdict::Accepted,
        }
    }

    #[test]
    fn lines_go_to_whatever_file_has_the_name() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut appender = appender(directory.path());
        let path = appender.path.clone();
        appender.append("one").expect("written");
        assert_eq!(std::fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o600);
        appender.append("two").expect("written");
        let old = directory.path().join("audit.log.1");
        std::fs::rename(&path, &old).expect("rotated");
        appender.append("three").expect("written");
        assert_eq!((text(&old), text(&path)), ("one\ntwo\n".into(), "three\n".into()));
        // Others rotate by truncating.
        File::options().write(true).open(&path).and_then(|file| file.set_len(0)).expect("truncated");
        appender.append("four").expect("written");
        std::fs::remove_file(&old).expect("removed");
        assert_eq!(text(&path), "four\n");
    }

    #[test]
    fn what_was_torn_before_is_not_made_longer() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut appender = appender(directory.path());
        appender.append("one").expect("written");
        File::options()
            .append(true)
            .open(&appender.path)
            .and_then(|mut file| file.write_all(b"half"))
            .expect("written");
        appender.append("two").expect("written");
        assert_eq!(text(&appender.path), "one\nhalf\ntwo\n");
    }

    #[test]
    fn only_a_plain_file_of_ours_is_written() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut appender = appender(directory.path());
        let (path, target) = (appender.path.clone(), directory.path().join("target"));
        std::fs::write(&target, "").expect("written");
        symlink(&target, &path).expect("linked");
        assert!(appender.append("line").is_err(), "a link");
        std::fs::remove_file(&path).expect("removed");
        std::fs::create_dir(&path).expect("made");
        assert!(appender.append("line").is_err(), "a directory");
        std::fs::remove_dir(&path).expect("removed");
        std::fs::write(&path, "").expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).expect("set");
        assert!(appender.append("line").is_err(), "others may write to it");
        std::fs::remove_file(&path).expect("removed");
        appender.append("line").expect("written");
        assert_eq!((text(&target), text(&path)), (String::new(), "line\n".into()));
    }

    #[test]
    fn a_file_that_cannot_be_written_holds_up_nothing_and_what_is_lost_is_counted() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("audit.log");
        let metrics = Arc::new(Metrics::new().expect("consistent"));
        let line: AuditLine = |entry| serde_json::to_string(entry);
        let (file, thread) = AuditFile::open(&path, line, Arc::clone(&metrics)).expect("opened");
        std::fs::remove_file(&path).and_then(|()| std::fs::create_dir(&path)).expect("in the way");
        let entry = entry();
        let more = 10;
        for _ in 0..MOST_WAITING + 1 + more {
            file.append(&entry);
        }
        // The thread may have taken one out of the queue meanwhile.
        assert!([more as u64, more as u64 + 1].contains(&metrics.audit.lost_so_far()));
        std::fs::remove_dir(&path).expect("removed");
        drop(file);
        thread.join().expect("no panic");
        let (lines, lost) = (text(&path).lines().count(), metrics.audit.lost_so_far() as usize);
        assert_eq!(lines + lost, MOST_WAITING + 1 + more);
    }

    #[test]
    fn a_file_that_cannot_be_written_does_not_hold_up_the_end() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("audit.log");
        let metrics = Arc::new(Metrics::new().expect("consistent"));
        let (file, thread) = AuditFile::open(&path, serde_json::to_string, Arc::clone(&metrics)).expect("opened");
        std::fs::remove_file(&path).and_then(|()| std::fs::create_dir(&path)).expect("in the way");
        for _ in 0..3 {
            file.append(&entry());
        }
        drop(file);
        thread.join().expect("it ends");
        assert_eq!(metrics.audit.lost_so_far(), 3);
    }
}
