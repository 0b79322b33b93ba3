//! The real binary on a disk that fails: `tests/support/failing_disk.c` is loaded into the process and lets writing,
//! reading, syncing or opening the store's files fail for as long as a test wants.
//!
//! Whatever happens, nothing is accepted that is not on the disk, nothing that was accepted is lost, no change is sent
//! without a durable intent, and the words say what is wrong and what to do. What can mend itself does so without a
//! restart.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::support::events::Events;
use crate::support::failing_disk::{Disk, EIO, ENOSPC, EROFS, SETTINGS};
use crate::support::gateway::{Gateway, PATIENCE, Raw, Response, run_to_its_end, scalegate, serve};
use crate::support::sidecar::Sidecar;
use rusqlite::Connection;
use scalegate::access::Token;
use scalegate::api::view::JobView;
use scalegate::domain::StateName;
use scalegate::sim::sidecar::Behaviour;
use serde_json::{Value, json};
use tempfile::TempDir;

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
            assert!(begin.elapsed() < PATIENCE, "nobody tries {operation} again");
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
        assert!(!text.contains(noise), "\"{noise}\" helps nobody: {text}");
    }
}

// ---- a disk that fails while the gateway runs -------------------------------------------------------------------

const FULL: &str = "its disk is full, make room on it";
const BROKEN: &str = "its disk does not work, the system's log should say why";
/// What can fail, with what number, and what is said about it.
const FAILURES: [(&str, i32, &str); 3] = [("write", ENOSPC, FULL), ("write", EIO, BROKEN), ("sync", EIO, BROKEN)];

#[actix_web::test]
async fn what_cannot_be_written_is_not_accepted() {
    for (operation, number, remedy) in FAILURES {
        let stack = Stack::start();
        let before = stack.gateway.submit(&no_step("before")).await.id;
        stack.gateway.finish(before).await;
        stack.disk.fails(operation, number);
        for resource in ["first", "second", "third"] {
            stack.assert_refused(resource, &["scalegate.db", remedy]).await;
            stack.assert_not_ready(&["scalegate.db", remedy]).await;
        }
        assert!(stack.disk.failures(operation) > 0);
        // What is known can still be read.
        assert_eq!(stack.gateway.job(before).await.state, StateName::Succeeded);
        assert_eq!(stack.jobs().await, [before]);
        stack.until_failed_again(operation, 1).await;

        stack.disk.works();
        stack.until_readiness(200).await;
        let after = stack.gateway.submit(&no_step("after")).await.id;
        assert_eq!(stack.gateway.finish(after).await.state, StateName::Succeeded);
        // What is shown now is what a new process finds.
        let shown = stack.jobs().await;
        assert!(shown.starts_with(&[after]) && shown.ends_with(&[before]), "{shown:?}");
        let stack = stack.restart();
        assert_eq!(stack.jobs().await, shown);
    }
}

/// The disk fails in a cooldown. The first thing to be written after it is the intent of the second change.
#[actix_web::test]
async fn without_a_durable_intent_nothing_is_sent() {
    for (operation, number, remedy) in FAILURES {
        let stack = Stack::start();
        let id = stack.between_two_steps().await;
        stack.disk.fails(operation, number);
        stack.until_readiness(503).await;
        stack.assert_not_ready(&["scalegate.db", remedy]).await;
        stack.until_failed_again(operation, 4).await;
        assert_eq!(stack.sidecar.changes().len(), 1);
        assert_eq!(stack.gateway.job(id).await.steps.len(), 1);
        stack.disk.works();
        stack.assert_carried_on(id).await;
    }
}

#[actix_web::test]
async fn a_gateway_that_dies_with_its_disk_goes_on_when_that_works_again() {
    for (operation, number, remedy) in FAILURES {
        let mut stack = Stack::start();
        let id = stack.between_two_steps().await;
        stack.disk.fails(operation, number);
        stack.assert_refused("late", &[remedy]).await;
        stack.kill();
        assert_refused_start(run_to_its_end(&mut stack.disk.command(&stack.sidecar)), &[remedy]);
        stack.disk.works();
        let stack = stack.restart();
        stack.assert_carried_on(id).await;
        // Whether the refused job is there is open; if it is, it is a job like any other.
        for id in stack.jobs().await {
            assert_eq!(stack.gateway.finish(id).await.state, StateName::Succeeded);
        }
    }
}

/// What is said is why it does not work *now*.
#[actix_web::test]
async fn a_failure_that_becomes_another_one_is_reported() {
    let stack = Stack::start();
    stack.disk.fails("write", ENOSPC);
    stack.assert_refused("late", &[FULL]).await;
    stack.disk.fails("write", EIO);
    stack.until_failed_again("write", 2).await;
    stack.until_not_ready(BROKEN).await;
    stack.gateway.log_with(|log| {
        let said =
            |text: &str| log.iter().any(|line| line["message"].as_str().is_some_and(|message| message.contains(text)));
        said("no job is accepted or moved on until it works again") && said("in another way")
    });
    stack.disk.works();
    stack.until_readiness(200).await;
}

/// What the store says of a fault names its files. That is not for strangers, who are told what programs need to know.
#[actix_web::test]
async fn strangers_are_told_that_the_store_fails_and_not_how() {
    let mut keys = Keys::start().await;
    keys.stack.disk.fails("write", ENOSPC);
    keys.stack.assert_refused("late", &[]).await;
    keys.stack.until_not_ready(FULL).await;
    keys.stack.gateway.key = None;
    let answer = keys.stack.gateway.get("/readyz").await;
    let problem = answer.problem();
    assert_eq!((answer.status, problem.code.as_str()), (503, "not_ready"));
    assert_eq!(answer.json()["reason"], json!("storage_unavailable"), "{}", answer.text());
    let text = answer.text();
    for secret in [FULL, "scalegate.db", &keys.stack.disk.data().display().to_string()] {
        assert!(!text.contains(secret), "{text}");
    }
}

/// An admin's gateway with another key, which has a stream open.
struct Keys {
    stack: Stack,
    admin: Token,
    leaked: Token,
    stream: Events,
}

impl Keys {
    async fn start() -> Self {
        let mut stack = Stack::start();
        let admin = make_key(&stack.gateway, "admin").await;
        stack.gateway.key = Some(admin.expose().to_owned());
        let leaked = make_key(&stack.gateway, "read").await;
        let stream = Events::open_with_key(stack.gateway.address, "/v1/events", leaked.expose()).await;
        Self { stack, admin, leaked, stream }
    }

    async fn revoke(&self, key: &Token) -> Response {
        self.stack.gateway.post(&format!("/v1/keys/{}/revoke", key.id()), &Value::Null).await
    }

    /// The code of the refusal of `key`, if it is refused.
    async fn refusal(&self, key: &Token) -> Option<String> {
        let request = Raw::get("/v1/jobs").header("Authorization", format!("Bearer {}", key.expose()));
        let answer = self.stack.gateway.raw(&request).await;
        (answer.status != 200).then(|| answer.problem().code.as_str().to_owned())
    }

    async fn stream_ends(&mut self) {
        while self.stream.next().await.is_some_and(|event| event.name != "end") {}
    }

    /// The same on the next process.
    fn restart(mut self) -> Self {
        self.stack.kill();
        self.stack.disk.works();
        self.stack = self.stack.restart();
        self.stack.gateway.key = Some(self.admin.expose().to_owned());
        self
    }

    async fn until_on_the_disk(&self) {
        let db = Connection::open(database(&self.stack.disk.data())).expect("the store");
        let revoked = || {
            let sql = "SELECT revoked_ms IS NOT NULL FROM keys WHERE id = ?1";
            db.query_row(sql, [self.leaked.id().as_str()], |row| row.get::<_, bool>(0)).expect("readable")
        };
        let begin = Instant::now();
        while !revoked() {
            assert!(begin.elapsed() < PATIENCE, "the revocation does not come onto the disk");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

async fn make_key(gateway: &Gateway, scope: &str) -> Token {
    let made = gateway.post("/v1/keys", &json!({"name": scope, "scope": scope})).await;
    made.json()["secret"].as_str().expect("a secret").parse().expect("a key")
}

#[track_caller]
fn assert_not_written(answer: &Response) {
    assert_unavailable(answer, "revocation_not_written", &["refused from now on", "as soon as", "restarted", "again"]);
}

/// A leaked key is refused although the disk is full, and durably as soon as it is not.
#[actix_web::test]
async fn a_revocation_that_cannot_be_written_holds_at_once_and_is_written_later() {
    let mut keys = Keys::start().await;
    keys.stack.disk.fails("write", ENOSPC);
    for _ in 0..2 {
        assert_not_written(&keys.revoke(&keys.leaked).await);
        assert_eq!(keys.refusal(&keys.leaked).await.as_deref(), Some("key_revoked"));
    }
    keys.stream_ends().await;
    // The keys are read from the disk again, where it is still good.
    let changes = keys.stack.disk.data().join("scalegate.key-changes");
    File::options().create(true).append(true).open(changes).and_then(|mut file| file.write_all(b".")).expect("written");
    assert_eq!(keys.refusal(&keys.leaked).await.as_deref(), Some("key_revoked"));
    keys.stack.disk.works();
    keys.until_on_the_disk().await;
    keys.stack.until_readiness(200).await;
    let audit = keys.stack.gateway.get("/v1/audit").await.json();
    let revoked = |entry: &&Value| entry["action"] == "revoke_key";
    let outcomes = audit["entries"].as_array().expect("entries").iter().filter(revoked).map(|entry| &entry["outcome"]);
    assert_eq!(outcomes.collect::<Vec<_>>(), ["accepted"]);
    let keys = keys.restart();
    assert_eq!(keys.refusal(&keys.leaked).await.as_deref(), Some("key_revoked"));
}

/// What is not on the disk ends with the process, which is what the caller was told.
#[actix_web::test]
async fn a_restart_undoes_a_revocation_that_was_not_written() {
    let keys = Keys::start().await;
    keys.stack.disk.fails("write", ENOSPC);
    assert_not_written(&keys.revoke(&keys.leaked).await);
    // A key may revoke itself; then not even the answer can be asked for again.
    assert_not_written(&keys.revoke(&keys.admin).await);
    for key in [&keys.leaked, &keys.admin] {
        assert_eq!(keys.refusal(key).await.as_deref(), Some("key_revoked"));
    }
    let keys = keys.restart();
    for key in [&keys.leaked, &keys.admin] {
        assert_eq!(keys.refusal(key).await, None);
    }
}

/// On a full disk no job is accepted, but a leaked key is revoked for good, however often that is asked for.
#[actix_web::test]
async fn a_full_disk_has_room_left_for_changes_of_keys() {
    let mut keys = Keys::start().await;
    let mut more = Vec::new();
    for _ in 0..3 {
        more.push(make_key(&keys.stack.gateway, "scale").await);
    }
    let reserve = || std::fs::metadata(keys.stack.disk.data().join("scalegate.reserve")).expect("a file").len();
    let before = reserve();
    keys.stack.disk.is_full();
    keys.stack.assert_refused("first", &["scalegate.db", FULL]).await;
    assert_eq!(keys.revoke(&keys.leaked).await.status, 200);
    keys.until_on_the_disk().await;
    keys.stack.assert_refused("second", &["scalegate.db", FULL]).await;
    keys.stack.assert_not_ready(&[FULL]).await;
    assert_eq!(keys.revoke(&more[0]).await.status, 200);
    assert!(reserve() > 0, "the rest is kept");

    // From the command line, beside the gateway and without one.
    let revoke = |keys: &Keys, key: &Token| {
        let mut command = scalegate();
        command.args(["keys", "revoke", key.id().as_str(), "--data-dir"]).arg(keys.stack.disk.data());
        let done = run_to_its_end(&mut keys.stack.disk.under(command));
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    revoke(&keys, &more[1]);
    assert_eq!(keys.refusal(&more[1]).await.as_deref(), Some("key_revoked"));
    keys.stack.kill();
    revoke(&keys, &more[2]);
    let command = &mut keys.stack.disk.command(&keys.stack.sidecar);
    assert_refused_start(run_to_its_end(command), &[FULL]);

    keys.stack.disk.works();
    keys.stack = keys.stack.restart();
    keys.stack.gateway.key = Some(keys.admin.expose().to_owned());
    for key in more.iter().chain([&keys.leaked]) {
        assert_eq!(keys.refusal(key).await.as_deref(), Some("key_revoked"));
    }
    let whole = std::fs::metadata(keys.stack.disk.data().join("scalegate.reserve")).expect("a file").len();
    assert_eq!(whole, before, "there is room again");
    assert!(keys.stack.jobs().await.is_empty(), "no job was accepted");
}

/// A backup that finds no room says which file it is about, and leaves nothing behind.
#[actix_web::test]
async fn a_backup_without_room_is_none() {
    let stack = Stack::start();
    let file = stack.disk.data().join("copy");
    stack.disk.fails("write", ENOSPC);
    let mut command = scalegate();
    command.arg("backup").arg(&file).arg("--data-dir").arg(stack.disk.data());
    let refused = run_to_its_end(&mut stack.disk.under(command));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert_says(&said, &[&format!("the backup {} cannot be written", file.display())]);
    let names = std::fs::read_dir(stack.disk.data()).expect("readable").map(|file| file.expect("a file").file_name());
    let left: Vec<_> = names.filter(|name| !name.to_string_lossy().starts_with("scalegate.")).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// A stop does not wait for a disk that does not work.
#[actix_web::test]
async fn it_can_be_stopped_while_the_disk_fails() {
    let mut stack = Stack::start();
    let id = stack.between_two_steps().await;
    stack.disk.fails("sync", EIO);
    stack.until_readiness(503).await;
    stack.gateway.signal("-TERM");
    assert_eq!(stack.gateway.wait().0, Some(0));
    stack.disk.works();
    stack.restart().assert_carried_on(id).await;
}

/// A disk that hangs does not say so. What is asked for meanwhile is not done later on the sly.
#[actix_web::test]
async fn a_disk_that_hangs_is_noticed() {
    let stack = Stack::start();
    let id = stack.between_two_steps().await;
    stack.disk.hangs("sync");
    let wish = no_step("first");
    let (first, ()) = futures_util::join!(stack.gateway.post("/v1/jobs", &wish), async {
        stack.until_readiness(503).await;
        stack.assert_not_ready(&["it is stuck", "is not on the disk yet", "hangs"]).await;
        let begin = Instant::now();
        stack.assert_refused("second", &["it is stuck", "is not on the disk yet", "hangs"]).await;
        assert!(begin.elapsed() < Duration::from_secs(5), "nobody waits for a disk that is known to hang");
        assert!(stack.gateway.get("/metrics").await.text().contains("scalegate_engine_available 0"));
    });
    assert_eq!((first.status, first.problem().code.as_str()), (504, "outcome_unknown"));
    assert_says(&first.problem().detail, &["may still be done", "Idempotency-Key"]);
    stack.disk.works();
    stack.until_readiness(200).await;
    stack.gateway.log_with(|log| {
        let said = |text| log.iter().any(|line| line["message"].as_str().is_some_and(|message| message.contains(text)));
        said("the store is stuck: what was to be written") && said("the store is written again")
    });
    let (wanted, unwanted) = (stack.gateway.get("/v1/jobs?resource=first").await, "/v1/jobs?resource=second");
    assert_eq!(wanted.json()["jobs"].as_array().map(Vec::len), Some(1));
    assert_eq!(stack.gateway.get(unwanted).await.json()["jobs"], json!([]));
    // Nobody is said to have been refused what was then done.
    let audit = stack.gateway.get("/v1/audit").await.json();
    let of_first = |entry: &&Value| entry["resource"] == "first";
    let outcomes = audit["entries"].as_array().expect("entries").iter().filter(of_first).map(|entry| &entry["outcome"]);
    assert_eq!(outcomes.collect::<Vec<_>>(), ["accepted"]);
    stack.assert_carried_on(id).await;
}

#[actix_web::test]
async fn it_can_be_stopped_while_the_disk_hangs() {
    let mut stack = Stack::start();
    let id = stack.between_two_steps().await;
    stack.disk.hangs("sync");
    // The intent of the second step is on its way by then.
    stack.until_readiness(503).await;
    stack.gateway.signal("-TERM");
    assert_eq!(stack.gateway.wait().0, Some(0));
    stack.disk.works();
    stack.restart().assert_carried_on(id).await;
}

/// Linux forgets what a failed sync did not get onto the disk. Neither the process that saw it fail nor the next one,
/// which only sees files that look whole, may let anything it promises rest on that.
#[actix_web::test]
async fn a_power_cut_after_a_failed_sync_takes_nothing_that_was_promised() {
    for restarted in [false, true] {
        let mut stack = Stack::start();
        let id = stack.between_two_steps().await;
        let before = stack.gateway.submit(&no_step("before")).await.id;
        stack.disk.fails("sync", EIO);
        stack.assert_refused("refused", &["disk I/O error"]).await;
        if restarted {
            stack.kill();
            stack.disk.works();
            stack = stack.restart();
        } else {
            stack.disk.works();
            stack.until_readiness(200).await;
        }
        let after = stack.gateway.submit(&no_step("after")).await.id;
        stack.kill();
        stack.disk.cut_power();
        let stack = stack.restart();
        let jobs = stack.jobs().await;
        for (promised, when) in [(id, "first"), (before, "before"), (after, "after")] {
            assert!(jobs.contains(&promised), "the job submitted {when} is lost, restarted: {restarted}");
        }
        stack.assert_carried_on(id).await;
    }
}

/// What is in memory is served; the rest is not made up.
#[actix_web::test]
async fn what_cannot_be_read_is_not_made_up() {
    let stack = Stack::start();
    let key = [("Idempotency-Key", "k")];
    let body = no_step("worker");
    let job = stack.gateway.post_with("/v1/jobs", &body, &key).await.job();
    stack.gateway.finish(job.id).await;
    let stack = stack.restart();
    stack.disk.fails("read", EIO);
    assert_unavailable(&stack.gateway.get("/v1/jobs?state=failed").await, "storage_unavailable", &["cannot be read"]);
    let path = format!("/v1/jobs/{}", job.id);
    assert_unavailable(&stack.gateway.get(&path).await, "storage_unavailable", &["job cannot be read"]);
    stack.disk.works();
    assert_eq!(stack.gateway.job(job.id).await.state, StateName::Succeeded);
    assert_eq!(stack.jobs().await, [job.id]);
    let replayed = stack.gateway.post_with("/v1/jobs", &body, &key).await;
    assert_eq!((replayed.header("idempotency-replayed"), replayed.job().id), (Some("true"), job.id));
}

// ---- another program that reads the store for long ---------------------------------------------------------------

/// Its log grows meanwhile, commits go on, and the operator is told; when it has ended, the log is short again.
#[actix_web::test]
async fn a_reader_that_pins_the_log_is_told_of_and_holds_up_nothing() {
    let (sidecar, dir) = (Sidecar::start(behaviour()), TempDir::new().expect("a directory"));
    let gateway = Gateway::start(dir.path(), sidecar.address(), &SETTINGS);
    let connect = || Connection::open(database(dir.path())).expect("the store");
    let (reader, other) = (connect(), connect());
    reader.execute_batch("BEGIN; SELECT count(*) FROM jobs").expect("readable");
    other.execute_batch("CREATE TABLE ballast (blob)").expect("writable");
    for _ in 0..4 {
        other.execute("INSERT INTO ballast VALUES (randomblob(10000000))", []).expect("written");
    }
    let log_bytes = async || {
        let metrics = gateway.get("/metrics").await;
        let line =
            metrics.text().lines().find_map(|line| line.strip_prefix("scalegate_store_log_bytes ").map(str::to_owned));
        line.and_then(|bytes| bytes.parse::<f64>().ok()).expect("a length")
    };
    let long = log_bytes().await;
    assert!(long > 40e6, "{long}");
    let (begin, mut log) = (Instant::now(), Vec::new());
    let says = |log: &[Value], words: &str| {
        log.iter().filter(|line| line["message"].as_str().is_some_and(|message| message.contains(words))).count()
    };
    while says(&log, "kept a transaction open") == 0 {
        let asked = Instant::now();
        let id = gateway.submit(&no_step("worker")).await.id;
        assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
        gateway.finish(id).await;
        assert!(begin.elapsed() < PATIENCE, "the operator is not told: {log:#?}");
        log.extend(gateway.log());
    }
    assert!(log_bytes().await >= long);
    reader.execute_batch("ROLLBACK").expect("over");
    drop(other);
    while log_bytes().await > 32e6 {
        let id = gateway.submit(&no_step("worker")).await.id;
        gateway.finish(id).await;
        assert!(begin.elapsed() < PATIENCE, "the log stays long");
    }
    log.extend(gateway.log_with(|log| says(log, "short again") > 0));
    assert_eq!((says(&log, "kept a transaction open"), says(&log, "short again")), (1, 1), "each once");
}

// ---- files that go away while the gateway runs ------------------------------------------------------------------

/// Writing to a file that was removed succeeds, but nobody will ever find it again.
#[actix_web::test]
async fn a_data_directory_that_is_moved_away_and_back() {
    let stack = Stack::start();
    let id = stack.between_two_steps().await;
    let data = stack.disk.data();
    let aside = data.with_extension("aside");
    std::fs::rename(&data, &aside).expect("moved");
    let words = ["scalegate.db was removed or replaced", "put back the very files", "restart the gateway"];
    stack.assert_refused("late", &words).await;
    stack.assert_not_ready(&words).await;
    // Another directory in its place does not help, and nothing is begun in it.
    std::fs::create_dir(&data).expect("made");
    tokio::time::sleep(COOLDOWN).await;
    stack.assert_not_ready(&words).await;
    assert_eq!(std::fs::read_dir(&data).expect("a directory").count(), 0);
    assert_eq!(stack.sidecar.changes().len(), 1);
    std::fs::remove_dir(&data).expect("removed");
    std::fs::rename(&aside, &data).expect("moved");
    stack.until_readiness(200).await;
    stack.assert_carried_on(id).await;
}

#[actix_web::test]
async fn files_that_are_deleted() {
    for deleted in
        [&["scalegate.db"][..], &["scalegate.db-wal"], &["scalegate.db", "scalegate.db-wal", "scalegate.db-shm"]]
    {
        let mut stack = Stack::start();
        stack.between_two_steps().await;
        for file in deleted {
            std::fs::remove_file(stack.disk.data().join(file)).expect("removed");
        }
        stack.assert_refused("late", &[&format!("{} was removed", deleted[0]), "restart the gateway"]).await;
        stack.until_readiness(503).await;
        stack.gateway.signal("-TERM");
        assert_eq!(stack.gateway.wait().0, Some(0));
        assert_eq!(stack.sidecar.changes().len(), 1);
    }
}

// ---- what the gateway finds when it starts ----------------------------------------------------------------------

/// The process ended by itself, with one message in plain words.
#[track_caller]
fn assert_refused_start(output: std::process::Output, words: &[&str]) {
    let said = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(1), "{said}");
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 1, "{said}");
    assert_says(lines[0], &[&["did not start: "], words].concat());
}

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

fn database(dir: &Path) -> PathBuf {
    dir.join("scalegate.db")
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
    assert!(gateway.log().iter().any(told), "{:?}", gateway.log());
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
