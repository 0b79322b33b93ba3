//! The real binary on a disk that fails: `tests/support/failing_disk.c` is loaded into the process and lets writing,
//! reading, syncing or opening the store's files fail for as long as a test wants.
//!
//! Whatever happens, nothing is accepted that is not on the disk, nothing that was accepted is lost, no change is sent
//! without a durable intent, and the words say what is wrong and what to do. What can mend itself does so without a
//! restart.

mod files;
mod keys;
mod running;
mod start;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::support::failing_disk::{Disk, EIO, ENOSPC};
use crate::support::gateway::{Gateway, PATIENCE, Response};
use crate::support::sidecar::Sidecar;
use scalegate::api::view::JobView;
use scalegate::domain::StateName;
use scalegate::sim::sidecar::Behaviour;
use serde_json::{Value, json};

/// As in [`SETTINGS`].
const COOLDOWN: Duration = Duration::from_secs(2);

fn behaviour() -> Behaviour {
    Behaviour { provisioning: Duration::from_millis(100), ..Behaviour::default() }
}

/// A job of two steps, with a cooldown between them.
fn two_steps() -> Value {
    json!({"resource": "worker", "targetCapacity": 3})
}

/// A job that needs no change.
fn no_step(resource: &str) -> Value {
    json!({"resource": resource, "targetCapacity": 1})
}

/// A sidecar, and a gateway on a disk that can fail.
struct Stack {
    sidecar: Sidecar,
    disk: Disk,
    gateway: Gateway,
}

impl Stack {
    fn start() -> Self {
        let (sidecar, disk) = (Sidecar::start(behaviour()), Disk::new());
        let gateway = disk.start(&sidecar);
        Self { sidecar, disk, gateway }
    }

    /// `kill -9`.
    fn kill(&mut self) {
        self.gateway.signal("-KILL");
        self.gateway.wait();
    }

    /// The next process on the same disk. If there is still one, it is killed.
    fn restart(self) -> Self {
        let Self { gateway, disk, sidecar } = self;
        drop(gateway);
        let gateway = disk.start(&sidecar);
        Self { gateway, disk, sidecar }
    }

    /// A job of two steps after its first.
    async fn between_two_steps(&self) -> uuid::Uuid {
        let id = self.gateway.submit(&two_steps()).await.id;
        let cooling = |job: &JobView| job.waiting_for.as_ref().is_some_and(|waiting| waiting.reason == "cooldown");
        self.gateway.wait_for(id, cooling).await;
        assert_eq!(self.sidecar.changes().len(), 1);
        id
    }

    /// The job of two steps ends well, with one change each.
    async fn assert_carried_on(&self, id: uuid::Uuid) {
        let job = self.gateway.finish(id).await;
        assert_eq!(job.state, StateName::Succeeded, "{job:#?}");
        assert_eq!((self.sidecar.capacity(), self.sidecar.changes().len()), (3, 2));
        self.sidecar.assert_cooldowns(COOLDOWN);
    }

    /// Submits a job, which must be refused in these words.
    async fn assert_refused(&self, resource: &str, words: &[&str]) {
        let refused = self.gateway.post("/v1/jobs", &no_step(resource)).await;
        assert_unavailable(&refused, "storage_unavailable", words);
    }

    /// Not ready, for this reason; but alive.
    async fn assert_not_ready(&self, words: &[&str]) {
        assert_unavailable(&self.gateway.get("/readyz").await, "not_ready", words);
        assert_eq!(self.gateway.get("/livez").await.status, 200);
    }

    async fn until_readiness(&self, status: u16) {
        let begin = Instant::now();
        while self.gateway.get("/readyz").await.status != status {
            assert!(begin.elapsed() < PATIENCE, "/readyz does not come to answer {status}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until it is not ready for this reason.
    async fn until_not_ready(&self, words: &str) {
        let begin = Instant::now();
        while !self.gateway.get("/readyz").await.text().contains(words) {
            assert!(begin.elapsed() < PATIENCE, "/readyz does not come to say that {words}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until the disk has failed so many times more.
    async fn until_failed_again(&self, operation: &str, times: u64) {
        let (begin, before) = (Instant::now(), self.disk.failures(operation));
        while self.disk.failures(operation) < before + times {
            assert!(begin.elapsed() < PATIENCE, "{operation} is not tried again");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// All jobs there are, by id.
    async fn jobs(&self) -> Vec<uuid::Uuid> {
        let list = self.gateway.get("/v1/jobs?pageSize=200").await.json();
        let jobs: Vec<JobView> = serde_json::from_value(list["jobs"].clone()).expect("jobs");
        jobs.into_iter().map(|job| job.id).collect()
    }
}

#[track_caller]
fn assert_unavailable(response: &Response, code: &str, words: &[&str]) {
    assert_eq!(response.status, 503, "{}", String::from_utf8_lossy(&response.body));
    let problem = response.problem();
    assert_eq!(problem.code.as_str(), code);
    assert_says(&problem.detail, words);
    assert!(response.header("retry-after").is_some());
}

#[track_caller]
fn assert_says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "\"{word}\" is missing: {text}");
    }
    for noise in ["panicked", "backtrace", "unwrap", "Some(", "Os {", "src/"] {
        assert!(!text.contains(noise), "\"{noise}\" helps no reader: {text}");
    }
}

const FULL: &str = "its disk is full, make room on it";
const BROKEN: &str = "its disk does not work, the system's log should say why";
/// What can fail, with what number, and what is said about it.
const FAILURES: [(&str, i32, &str); 3] = [("write", ENOSPC, FULL), ("write", EIO, BROKEN), ("sync", EIO, BROKEN)];

/// The process ended by itself, with one message in plain words.
#[track_caller]
fn assert_refused_start(output: std::process::Output, words: &[&str]) {
    let said = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(1), "{said}");
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 1, "{said}");
    assert_says(lines[0], &[&["did not start: "], words].concat());
}

fn database(dir: &Path) -> PathBuf {
    dir.join("scalegate.db")
}
