//! What the gateway finds when it starts: damage, another release, a disk that does not work, and what a crash leaves.

use std::path::{Path, PathBuf};

use super::{BROKEN, FULL, Stack, assert_refused_start, behaviour, database};
use crate::support::failing_disk::{Disk, EIO, ENOSPC, EROFS, SETTINGS};
use crate::support::gateway::{Gateway, Raw, run_to_its_end, serve};
use crate::support::sidecar::Sidecar;
use rusqlite::Connection;
use scalegate::domain::StateName;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Copies of the store of a gateway that was killed in the middle of its work: a database, and a log with most of it.
struct Remains {
    id: uuid::Uuid,
    sidecar: Sidecar,
    disk: Disk,
}

impl Remains {
    async fn of_a_gateway() -> Self {
        let Stack { sidecar, disk, gateway } = Stack::start();
        let id = gateway.submit(&json!({"resource": "worker", "targetCapacity": 1})).await.id;
        gateway.finish(id).await;
        gateway.kill();
        Self { id, sidecar, disk }
    }

    fn copy(&self) -> TempDir {
        let copy = TempDir::new().expect("a directory");
        for file in std::fs::read_dir(self.disk.data()).expect("a directory") {
            let file = file.expect("a file");
            std::fs::copy(file.path(), copy.path().join(file.file_name())).expect("copied");
        }
        copy
    }

    /// A copy with everything in the database, and no log.
    fn settled(&self) -> TempDir {
        let copy = self.copy();
        let db = Connection::open(database(copy.path())).expect("a database");
        db.query_row("SELECT count(*) FROM jobs", [], |_| Ok(())).expect("readable");
        db.close().expect("the last one to close moves the log into the database");
        assert!(!log(copy.path()).exists());
        copy
    }

    fn start(&self, dir: &Path) -> Gateway {
        Gateway::start(dir, self.sidecar.address(), &SETTINGS)
    }

    #[track_caller]
    fn assert_refused(&self, dir: &Path, words: &[&str]) {
        let before = contents(dir);
        let mut command = serve(dir, self.sidecar.address(), &["--log-format", "text"]);
        assert_refused_start(run_to_its_end(&mut command), &[words, &[&*dir.to_string_lossy()]].concat());
        assert!(contents(dir) == before, "it is not left as it was");
    }
}

fn log(dir: &Path) -> PathBuf {
    dir.join("scalegate.db-wal")
}

/// The database and its log, if they are there.
fn contents(dir: &Path) -> [Option<Vec<u8>>; 2] {
    [database(dir), log(dir)].map(|path| std::fs::read(path).ok())
}

/// Makes one byte of a file another one.
fn flip(path: &Path, at: usize) {
    let mut content = std::fs::read(path).expect("a file");
    content[at] = !content[at];
    std::fs::write(path, content).expect("written");
}

/// With an `sqlite3` shell.
fn change(dir: &Path, statement: &str) {
    let db = Connection::open(database(dir)).expect("a database");
    db.execute_batch(statement).expect("changed");
    db.close().expect("closed");
}

fn cut(path: &Path, length: u64) {
    std::fs::File::options().write(true).open(path).and_then(|file| file.set_len(length)).expect("cut");
}

/// What every message about a damaged store says.
const CORRUPT: [&str; 3] =
    ["scalegate.db is corrupt (", "move it and the scalegate.db-* files beside it away, and restore a backup", "lost"];

#[actix_web::test]
async fn a_damaged_store_is_refused() {
    let remains = Remains::of_a_gateway().await;
    let refused = |dir: TempDir, words: &[&str]| remains.assert_refused(dir.path(), &[&CORRUPT[..], words].concat());

    let garbage = remains.settled();
    std::fs::write(database(garbage.path()), "not a database ".repeat(1000)).expect("written");
    refused(garbage, &["file is not a database"]);

    let truncated = remains.settled();
    cut(&database(truncated.path()), 3 * 4096);
    refused(truncated, &[]);

    let scribbled = remains.settled();
    (0..64).for_each(|at| flip(&database(scribbled.path()), 2 * 4096 + at));
    refused(scribbled, &[]);

    // In the log's header: what it is, its version, its salt, its checksum.
    for at in [0, 4, 17, 24] {
        let scribbled = remains.copy();
        flip(&log(scribbled.path()), at);
        refused(scribbled, &["there is no sense in the write-ahead log", "scalegate.db-wal"]);
    }

    let emptied = remains.copy();
    std::fs::write(database(emptied.path()), "").expect("written");
    refused(emptied, &["the database is missing or empty, but there is a write-ahead log"]);
    let missing = remains.copy();
    std::fs::remove_file(database(missing.path())).expect("removed");
    refused(missing, &["the database is missing or empty, but there is a write-ahead log"]);
}

#[actix_web::test]
async fn a_record_that_makes_no_sense_is_named() {
    let remains = Remains::of_a_gateway().await;
    let dir = remains.settled();
    change(dir.path(), "UPDATE jobs SET record = '{}', state = 'running'");
    let mut command = serve(dir.path(), remains.sidecar.address(), &["--log-format", "text"]);
    let name = format!("job {}", remains.id);
    assert_refused_start(run_to_its_end(&mut command), &["is corrupt (", &name, "restore a backup"]);
    // A job that is over is not read before it is asked for.
    let dir = remains.settled();
    change(dir.path(), "UPDATE jobs SET record = '{}'");
    let gateway = remains.start(dir.path());
    let target = format!("/v1/jobs/{}", remains.id);
    gateway.refuses(&Raw::get(&target), 503, "storage_unavailable").await;
    let told = |line: &Value| line.to_string().contains(&name);
    gateway.log_with(|log| log.iter().any(told));
}

#[actix_web::test]
async fn a_store_that_is_not_for_this_release_is_refused() {
    let remains = Remains::of_a_gateway().await;
    let later = remains.settled();
    change(later.path(), "PRAGMA user_version = 1000");
    remains.assert_refused(later.path(), &["schema version 1000", "run the release that wrote it, or a later one"]);
    for statement in ["CREATE TABLE songs (title TEXT)", "PRAGMA application_id = 12", "PRAGMA user_version = 1"] {
        let dir = TempDir::new().expect("a directory");
        change(dir.path(), statement);
        remains.assert_refused(dir.path(), &["not one of scalegate's", "choose another data directory"]);
    }
}

#[actix_web::test]
async fn a_disk_that_does_not_work_is_refused() {
    let sidecar = Sidecar::start(behaviour());
    for (operation, number, words) in [
        ("open", EROFS, ["let this process write to it", "Read-only file system"]),
        ("write", ENOSPC, [FULL, "No space left on device"]),
        ("read", EIO, [BROKEN, "Input/output error"]),
    ] {
        let disk = Disk::new();
        if operation == "read" {
            disk.start(&sidecar).kill();
        }
        disk.fails(operation, number);
        assert_refused_start(run_to_its_end(&mut disk.command(&sidecar)), &words);
        assert!(disk.failures(operation) > 0);
        disk.works();
        let gateway = disk.start(&sidecar);
        assert_eq!(gateway.get("/readyz").await.status, 200);
    }
}

/// What a crash leaves is not damage: a database just begun, and a log whose last commit was never promised.
#[actix_web::test]
async fn what_a_crash_leaves_is_good() {
    let remains = Remains::of_a_gateway().await;
    let begun = TempDir::new().expect("a directory");
    std::fs::write(database(begun.path()), "").expect("written");
    let gateway = remains.start(begun.path());
    assert_eq!(gateway.get("/v1/jobs").await.json()["jobs"], json!([]));

    for tail in [&b""[..], &[0; 5000], &[0xA5; 5000]] {
        let torn = remains.copy();
        let mut content = std::fs::read(log(torn.path())).expect("a log");
        content.extend_from_slice(tail);
        std::fs::write(log(torn.path()), content).expect("written");
        let gateway = remains.start(torn.path());
        assert_eq!(gateway.job(remains.id).await.state, StateName::Succeeded);
    }
    for head in [0, 31, 32] {
        let unwritten = remains.settled();
        std::fs::write(log(unwritten.path()), vec![0; head]).expect("written");
        let gateway = remains.start(unwritten.path());
        assert_eq!(gateway.job(remains.id).await.state, StateName::Succeeded);
    }
}
