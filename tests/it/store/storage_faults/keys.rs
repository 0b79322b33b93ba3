//! API keys on a disk that fails: a revocation holds at once, and strangers are not told how the store fails.

use std::fs::File;
use std::io::Write as _;
use std::time::{Duration, Instant};

use super::{FULL, Stack, assert_refused_start, assert_unavailable, database};
use crate::support::events::Events;
use crate::support::failing_disk::ENOSPC;
use crate::support::gateway::{Gateway, PATIENCE, Raw, Response, run_to_its_end, scalegate};
use rusqlite::Connection;
use scalegate::access::Token;
use serde_json::{Value, json};

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
