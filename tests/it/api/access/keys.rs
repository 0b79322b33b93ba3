//! The life of a key.

use std::time::{Duration, Instant};

use scalegate::clock::wall_now;
use scalegate::domain::{Action, Attempt, AuditEntry, AuditVerdict, Subject};
use scalegate::sim::sidecar::Behaviour;
use scalegate::store::KeyChange;
use scalegate::store::sqlite::KeyStore;
use serde_json::json;
use tempfile::TempDir;

use super::scene::{Scene, UNLIMITED, verdict, with_key};
use crate::support::events::Events;
use crate::support::gateway::{Gateway, PATIENCE, Raw};
use crate::support::sidecar::Sidecar;
use tokio::io::AsyncWriteExt as _;

#[actix_web::test]
async fn a_key_is_shown_once_and_its_record_says_the_rest() {
    let scene = Scene::start(&[]);
    let wish = json!({"name": "ci", "scope": "scale", "resources": ["worker", "api"], "expiresInSeconds": 3600.5});
    let answer = scene.ask(&Raw::post("/v1/keys", wish.to_string()), &scene.admin).await;
    let created = answer.json();
    let secret = created["secret"].as_str().expect("a secret");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let path = format!("/v1/keys/{}", created["key"]["id"].as_str().expect("an id"));
    assert_eq!(answer.header("location"), Some(path.as_str()));
    let shown = scene.get(&path, &scene.admin).await;
    assert_eq!(shown.json(), created["key"]);
    let key = &created["key"];
    assert_eq!(key["resources"], json!(["api", "worker"]));
    assert_eq!((&key["scope"], &key["state"], &key["lastUsedAt"]), (&json!("scale"), &json!("active"), &json!(null)));
    let listed = scene.get("/v1/keys", &scene.admin).await;
    let listed = listed.json();
    let keys = listed["keys"].as_array().expect("keys");
    assert_eq!((keys.len(), &keys[0]["configured"], &keys[1]), (2, &json!(true), key));
    for answer in [shown.text().into_owned(), listed.to_string()] {
        assert!(!answer.contains(secret) && !answer.contains(&secret[13..45]), "{answer}");
    }
}

/// With any scope; and without a key where none is needed.
#[actix_web::test]
async fn every_caller_can_ask_who_it_is() {
    let scene = Scene::start(&[]);
    let limited = json!({"name": "ci", "scope": "scale", "resources": ["worker", "api"], "expiresInSeconds": 3600});
    let limited = scene.key(limited).await;
    let kept = scene.get(&format!("/v1/keys/{}", limited.id()), &scene.admin).await.json();
    let expected = json!({"anonymous": false, "id": limited.id().as_str(), "name": "ci", "scopes": ["push", "read", "scale"],
        "resources": ["api", "worker"], "admin": false, "expiresAt": kept["expiresAt"]});
    assert!(kept["expiresAt"].is_string());
    assert_eq!(scene.get("/v1/whoami", &limited).await.json(), expected);
    for (scope, scopes) in
        [("push", json!(["push"])), ("read", json!(["read"])), ("admin", json!(["push", "read", "scale", "admin"]))]
    {
        let seen = scene.get("/v1/whoami", &scene.key_with(scope).await).await.json();
        assert_eq!((&seen["scopes"], &seen["resources"]), (&scopes, &json!(null)), "{seen}");
        assert_eq!((&seen["admin"], &seen["anonymous"]), (&json!(scope == "admin"), &json!(false)), "{seen}");
    }
    let (dir, sidecar) = (TempDir::new().expect("a directory"), Sidecar::start(Behaviour::default()));
    let open = Gateway::start(dir.path(), sidecar.address(), &[]);
    let expected = json!({"anonymous": true, "id": null, "name": null, "scopes": ["push", "read", "scale", "admin"],
        "resources": null, "admin": true, "expiresAt": null});
    assert_eq!(open.raw(&Raw::get("/v1/whoami")).await.json(), expected);
}

/// It stays in the store, and so does that it was revoked.
#[actix_web::test]
async fn keys_outlive_the_process() {
    let mut scene = Scene::start(&UNLIMITED);
    let (kept, revoked) = (scene.key_with("read").await, scene.key_with("read").await);
    scene.revoke(&revoked).await;
    for _ in 0..2 {
        assert_eq!(scene.get("/v1/jobs", &kept).await.status, 200);
        assert_eq!(verdict(&scene.get("/v1/jobs", &revoked).await), (401, Some("key_revoked")));
        scene = scene.restart(&UNLIMITED);
    }
}

#[actix_web::test]
async fn revoking_is_immediate_and_can_be_repeated() {
    let scene = Scene::start(&UNLIMITED);
    let key = scene.key_with("scale").await;
    let job = scene.submit(json!({"resource": "worker", "targetCapacity": 3}), &key).await;
    let mut stream = Events::open_with_key(scene.gateway.address, "/v1/events", key.expose()).await;
    stream.expect("ready").await;
    let held_back = with_key(&Raw::get(&format!("/v1/jobs/{job}")).header("Prefer", "wait=60"), key.expose());
    let (held_back, ()) = futures_util::join!(scene.gateway.raw(&held_back), async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        scene.revoke(&key).await;
        assert_eq!(verdict(&scene.get("/v1/jobs", &key).await), (401, Some("key_revoked")));
        // The job ends, and the caller who waited for it is to be told nothing any more.
        assert_eq!(scene.ask(&Raw::new("POST", &format!("/v1/jobs/{job}/cancel")), &scene.admin).await.status, 200);
    });
    assert_eq!(verdict(&held_back), (401, Some("key_revoked")));
    let told = tokio::time::timeout(PATIENCE, stream.rest()).await.expect("the stream ends");
    let last = told.last().expect("an end");
    assert_eq!((last.name.as_str(), &last.data["reason"]), ("end", &json!("unauthorized")), "{told:?}");
    assert!(!told.iter().any(|event| event.data["state"] == "canceled"), "{told:?}");
    let again = scene.ask(&Raw::new("POST", &format!("/v1/keys/{}/revoke", key.id())), &scene.admin).await;
    assert_eq!((again.status, &again.json()["state"]), (200, &json!("revoked")));
}

#[actix_web::test]
async fn a_key_expires_by_itself() {
    let scene = Scene::start(&UNLIMITED);
    let key = scene.key(json!({"name": "short", "scope": "read", "expiresInSeconds": 1})).await;
    let begun = Instant::now();
    while scene.get("/v1/jobs", &key).await.status == 200 {
        assert!(begun.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(verdict(&scene.get("/v1/jobs", &key).await), (401, Some("key_expired")));
    let shown = scene.get(&format!("/v1/keys/{}", key.id()), &scene.admin).await.json();
    assert_eq!(shown["state"], "expired");
}

/// Another process works on the data directory while the gateway runs.
#[actix_web::test]
async fn what_another_process_changes_is_obeyed_at_once() {
    let scene = Scene::start(&UNLIMITED);
    let key = scene.key_with("read").await;
    assert_eq!(scene.get("/v1/jobs", &key).await.status, 200);
    let mut store = KeyStore::open(scene.dir.path()).expect("beside the gateway");
    let attempt = Attempt { request: None, actor: None, address: None };
    let subject = Subject { key: Some(key.id().clone()), ..Subject::default() };
    let now = wall_now();
    let entry = AuditEntry { at: now, attempt, action: Action::RevokeKey, subject, verdict: AuditVerdict::Accepted };
    store.apply(KeyChange::Revoked { id: key.id().clone(), at: now }, entry).expect("written");
    assert_eq!(verdict(&scene.get("/v1/jobs", &key).await), (401, Some("key_revoked")));
    // The gateway's own work goes on.
    scene.submit(json!({"resource": "worker", "targetCapacity": 1}), &scene.admin).await;
}

#[actix_web::test]
async fn the_configured_key_can_only_be_taken_out_of_the_configuration() {
    let scene = Scene::start(&[]);
    let revoke = Raw::new("POST", &format!("/v1/keys/{}/revoke", scene.admin.id()));
    assert_eq!(verdict(&scene.ask(&revoke, &scene.admin).await), (409, Some("key_configured")));
    let missing = Raw::new("POST", "/v1/keys/0123456789/revoke");
    assert_eq!(verdict(&scene.ask(&missing, &scene.admin).await), (404, Some("key_not_found")));
    assert_eq!(verdict(&scene.get("/v1/keys/x", &scene.admin).await), (404, Some("key_not_found")));
}

/// Whether a key is still needed is asked in days: it is not written down for each request.
#[actix_web::test]
async fn the_last_use_is_noted_but_not_for_each_request() {
    let scene = Scene::start(&UNLIMITED);
    let key = scene.key_with("read").await;
    for _ in 0..50 {
        assert_eq!(scene.get("/livez", &key).await.status, 200);
    }
    let path = format!("/v1/keys/{}", key.id());
    assert_eq!(scene.get(&path, &scene.admin).await.json()["lastUsedAt"], json!(null), "/livez asks for no key");
    let commits = async || {
        let text = scene.get("/metrics", &scene.admin).await.text().into_owned();
        let line = text.lines().find_map(|line| line.strip_prefix("scalegate_store_commit_batches_sum "));
        line.expect("a metric").parse::<f64>().expect("a number")
    };
    let before = commits().await;
    for _ in 0..50 {
        assert_eq!(scene.get("/v1/jobs", &key).await.status, 200);
    }
    assert!(scene.get(&path, &scene.admin).await.json()["lastUsedAt"].is_string());
    let begun = Instant::now();
    while commits().await <= before {
        assert!(begun.elapsed() < PATIENCE, "it is never written down");
    }
    assert!(commits().await - before <= 2.0, "that of the key, and perhaps that of the admin's");
}

#[actix_web::test]
async fn a_wish_that_makes_no_sense_is_refused() {
    let scene = Scene::start(&UNLIMITED);
    for (wish, pointer) in [
        (json!({"scope": "read"}), "/name"),
        (json!({"name": "ci\u{202e}nimda", "scope": "read"}), "/name"),
        (json!({"name": "x"}), "/scope"),
        (json!({"name": "x", "scope": "root"}), "/scope"),
        (json!({"name": "x", "scope": "read", "resources": []}), "/resources"),
        (json!({"name": "x", "scope": "read", "resources": [".."]}), "/resources/0"),
        (json!({"name": "x", "scope": "admin", "resources": ["worker"]}), "/resources"),
        (json!({"name": "x", "scope": "read", "expiresInSeconds": 0}), "/expiresInSeconds"),
        (json!({"name": "x", "scope": "read", "secret": "sg_"}), "/secret"),
    ] {
        let problem = scene.ask(&Raw::post("/v1/keys", wish.to_string()), &scene.admin).await.problem();
        assert_eq!(problem.code.as_str(), "validation_failed", "{wish}: {problem:?}");
        assert_eq!(problem.errors[0].pointer, pointer, "{wish}: {problem:?}");
    }
}

/// Two owners who choose the same idempotency key do not get each other's answers.
#[actix_web::test]
async fn idempotency_keys_belong_to_their_owners() {
    let scene = Scene::start(&UNLIMITED);
    let (one, other) = (scene.key_with("scale").await, scene.key_with("scale").await);
    let request = |resource: &str| {
        let body = json!({"resource": resource, "targetCapacity": 2}).to_string();
        Raw::post("/v1/jobs", body).header("Idempotency-Key", "same")
    };
    let first = scene.ask(&request("worker"), &one).await.job();
    let second = scene.ask(&request("api"), &other).await;
    assert_eq!(second.status, 202, "{}", second.text());
    let again = scene.ask(&request("worker"), &one).await;
    assert_eq!((again.job().id, again.header("idempotency-replayed")), (first.id, Some("true")));
}

/// Also those that have nothing to tell: no operator has to wait for the next heartbeat, which comes after 15 s.
#[actix_web::test]
async fn quiet_streams_end_with_their_key() {
    let scene = Scene::start(&UNLIMITED);
    let key = scene.key_with("read").await;
    let mut stream = Events::open_with_key(scene.gateway.address, "/v1/events", key.expose()).await;
    stream.expect("ready").await;
    scene.revoke(&key).await;
    let told = tokio::time::timeout(Duration::from_secs(5), stream.rest()).await.expect("it ends at once");
    assert_eq!(told.last().map(|event| &event.data["reason"]), Some(&json!("unauthorized")), "{told:?}");
}

/// The caller who revokes a key need not wait for the answer: it is revoked all the same, for the disk and for the next
/// request.
#[actix_web::test]
async fn a_revocation_goes_on_without_its_caller() {
    let scene = Scene::start(&UNLIMITED);
    for _ in 0..20 {
        let key = scene.key_with("read").await;
        let path = format!("/v1/keys/{}/revoke", key.id());
        let revoke = with_key(&Raw::new("POST", &path), scene.admin.expose());
        let mut stream = scene.gateway.connect().await;
        stream.write_all(&revoke.head()).await.expect("sent");
        stream.set_zero_linger().expect("it will be reset");
        drop(stream);
        // It may be gone before it was read; but if the disk knows of it, so does the next request.
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(50) {
            let kept = KeyStore::look(scene.dir.path()).expect("readable").expect("a store");
            let is_revoked = kept.iter().any(|kept| kept.id == *key.id() && kept.revoked_at.is_some());
            if is_revoked {
                let deadline = Instant::now() + Duration::from_secs(2);
                while scene.get("/v1/jobs", &key).await.status == 200 {
                    assert!(Instant::now() < deadline, "the disk knows that it was revoked, and the gateway does not");
                }
            }
        }
    }
}

/// A store that another program has locked for longer than an answer waits: the answer says so, and the revocation
/// holds at once.
#[actix_web::test]
async fn a_revocation_that_takes_long_holds_at_once() {
    let scene = Scene::start(&UNLIMITED);
    let key = scene.key_with("read").await;
    let lock = rusqlite::Connection::open(scene.dir.path().join("scalegate.db")).expect("a database");
    lock.execute_batch("BEGIN IMMEDIATE").expect("the lock");
    let revoke = Raw::new("POST", &format!("/v1/keys/{}/revoke", key.id()));
    let ((), answer) = futures_util::join!(
        async {
            let begun = Instant::now();
            while scene.get("/v1/jobs", &key).await.status == 200 {
                assert!(begun.elapsed() < Duration::from_secs(5), "it waits for the store");
            }
        },
        scene.ask(&revoke, &scene.admin),
    );
    assert_eq!(verdict(&answer), (503, Some("revocation_not_written")));
    lock.execute_batch("ROLLBACK").expect("let go");
    let is_written = || {
        let kept = KeyStore::look(scene.dir.path()).expect("readable").expect("a store");
        kept.iter().any(|kept| kept.id == *key.id() && kept.revoked_at.is_some())
    };
    let begun = Instant::now();
    while !is_written() {
        assert!(begun.elapsed() < PATIENCE, "it is not written");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(verdict(&scene.get("/v1/jobs", &key).await), (401, Some("key_revoked")));
}
