//! What a gateway refuses to start with, and what it warns of.

use std::os::unix::fs::PermissionsExt;

use scalegate::access::Token;
use scalegate::sim::sidecar::Behaviour;
use tempfile::TempDir;

use crate::support::events::Events;
use crate::support::gateway::{Gateway, PATIENCE, Raw, run_to_its_end, scalegate, serve_at};
use crate::support::sidecar::Sidecar;

/// Every address of this machine.
const PUBLIC: &str = "0.0.0.0:0";

#[test]
fn a_public_address_needs_a_key_or_a_word() {
    let dir = TempDir::new().expect("a directory");
    let no_sidecar = ([127, 0, 0, 1], 1).into();
    let refused = run_to_its_end(&mut serve_at(PUBLIC, &dir.path().join("data"), no_sidecar, &[]));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    for hint in ["refusing to listen on 0.0.0.0", "scalegate keys create", "SCALEGATE_ADMIN_KEY", "--insecure-no-auth"]
    {
        assert!(said.contains(hint), "{said}");
    }
}

fn public(dir: &TempDir, sidecar: &Sidecar, more: &[&str], key: Option<&Token>) -> Gateway {
    let mut command = serve_at(PUBLIC, dir.path(), sidecar.address(), more);
    if let Some(key) = key {
        command.env("SCALEGATE_ADMIN_KEY", key.expose());
    }
    let mut gateway = Gateway::start_with(command);
    gateway.address.set_ip([127, 0, 0, 1].into());
    gateway
}

#[actix_web::test]
async fn with_a_key_or_a_word_it_starts() {
    let (dir, sidecar) = (TempDir::new().expect("a directory"), Sidecar::start(Behaviour::default()));
    let key = Token::generate().expect("randomness");
    let gateway = public(&dir, &sidecar, &[], Some(&key));
    assert_eq!(gateway.raw(&Raw::get("/v1/jobs")).await.status, 401);
    gateway.kill();
    // The key is gone with the configuration, and the next process knows no other.
    let refused = run_to_its_end(&mut serve_at(PUBLIC, dir.path(), sidecar.address(), &[]));
    assert_eq!(refused.status.code(), Some(1));
    let gateway = public(&dir, &sidecar, &["--insecure-no-auth"], None);
    assert_eq!(gateway.raw(&Raw::get("/v1/jobs")).await.status, 200);
    let is_loud = |line: &serde_json::Value| {
        line["level"] == "WARN" && line["message"].as_str().is_some_and(|text| text.starts_with("INSECURE: "))
    };
    assert!(gateway.starting.iter().any(is_loud), "{:?}", gateway.starting);
}

/// On loopback no caller needs a key, until there is one.
#[actix_web::test]
async fn the_first_key_closes_the_door() {
    let (dir, sidecar) = (TempDir::new().expect("a directory"), Sidecar::start(Behaviour::default()));
    let gateway = Gateway::start(dir.path(), sidecar.address(), &[]);
    assert_eq!(gateway.raw(&Raw::get("/v1/keys")).await.status, 200);
    let mut stream = Events::open(gateway.address, "/v1/events", None).await;
    stream.expect("ready").await;
    // One that could not make others would lock every caller out.
    let refused = gateway.raw(&Raw::post("/v1/keys", r#"{"name": "first", "scope": "scale"}"#)).await;
    assert_eq!(refused.problem().errors[0].pointer, "/scope");
    let created = gateway.raw(&Raw::post("/v1/keys", r#"{"name": "first", "scope": "admin"}"#)).await;
    assert_eq!(created.status, 201, "{}", created.text());
    assert_eq!(gateway.raw(&Raw::get("/v1/jobs")).await.status, 401);
    let secret = created.json()["secret"].as_str().expect("a secret").to_owned();
    let submit = Raw::post("/v1/jobs", r#"{"resource": "worker", "targetCapacity": 3}"#);
    assert_eq!(gateway.raw(&submit.header("Authorization", format!("Bearer {secret}"))).await.status, 202);
    let told =
        tokio::time::timeout(PATIENCE, stream.rest()).await.expect("who came without a key is told nothing more");
    assert_eq!(told.last().map(|event| event.data["reason"].clone()), Some("unauthorized".into()), "{told:?}");
    assert!(told.iter().all(|event| event.name != "job"), "{told:?}");
    let key = Raw::get("/v1/jobs").header("Authorization", format!("bearer  {secret}"));
    assert_eq!(gateway.raw(&key).await.status, 200, "the scheme is not case-sensitive");
    // Also when it was revoked: an operator who made a key does not want requests without.
    let id = created.json()["key"]["id"].as_str().expect("an id").to_owned();
    let revoke = Raw::new("POST", &format!("/v1/keys/{id}/revoke")).header("Authorization", format!("Bearer {secret}"));
    assert_eq!(gateway.raw(&revoke).await.status, 200);
    assert_eq!(gateway.raw(&Raw::get("/v1/jobs")).await.status, 401);
}

/// Keys that vanish from the store, or from the configuration, leave the gateway closed.
#[actix_web::test]
async fn an_empty_keyring_that_had_a_key_is_closed() {
    let sidecar = Sidecar::start(Behaviour::default());
    let is_told = |line: &serde_json::Value, dir: &TempDir| {
        let command = format!("`scalegate keys create NAME --scope admin --data-dir {}`", dir.path().display());
        let is_whole = |text: &str| text.contains("none is good any more") && text.contains(&command);
        line["level"] == "WARN" && line["message"].as_str().is_some_and(is_whole)
    };
    let [stored, configured] = [(), ()].map(|()| TempDir::new().expect("a directory"));
    let mut create = scalegate();
    create.args(["keys", "create", "first", "--scope", "admin", "--data-dir"]).arg(stored.path());
    assert!(run_to_its_end(&mut create).status.success());
    let database = rusqlite::Connection::open(stored.path().join("scalegate.db")).expect("a store");
    assert_eq!(database.execute("DELETE FROM keys", []).expect("written"), 1);
    drop(database);
    let mut command = serve_at("127.0.0.1:0", configured.path(), sidecar.address(), &[]);
    command.env("SCALEGATE_ADMIN_KEY", Token::generate().expect("randomness").expose());
    Gateway::start_with(command).kill();
    for dir in [stored, configured] {
        let gateway = Gateway::start(dir.path(), sidecar.address(), &[]);
        assert_eq!(gateway.raw(&Raw::get("/v1/jobs")).await.status, 401);
        assert!(gateway.starting.iter().any(|line| is_told(line, &dir)), "{:?}", gateway.starting);
    }
}

/// What a deleted data directory cannot tell, the operator says.
#[actix_web::test]
async fn a_key_can_be_required_on_loopback() {
    let (dir, sidecar) = (TempDir::new().expect("a directory"), Sidecar::start(Behaviour::default()));
    let data = dir.path().join("data");
    let serve = || serve_at("127.0.0.1:0", &data, sidecar.address(), &["--require-key"]);
    for _ in 0..2 {
        let refused = run_to_its_end(&mut serve());
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(1), "{said}");
        assert!(said.contains("--require-key is set: make a key") && !said.contains("--insecure-no-auth"), "{said}");
        std::fs::remove_dir_all(&data).expect("removed");
    }
    let mut command = serve();
    command.env("SCALEGATE_ADMIN_KEY", Token::generate().expect("randomness").expose());
    let gateway = Gateway::start_with(command);
    assert_eq!(gateway.raw(&Raw::get("/v1/jobs")).await.status, 401);
}

/// A key that every user of the machine can read is worth a word at every start, and one that the group can read is
/// not.
#[actix_web::test]
async fn a_key_file_that_others_can_read_is_told_of() {
    let (dir, sidecar) = (TempDir::new().expect("a directory"), Sidecar::start(Behaviour::default()));
    let (file, data) = (dir.path().join("admin.key"), dir.path().join("data"));
    std::fs::write(&file, Token::generate().expect("randomness").expose()).expect("written");
    for (mode, is_told) in [(0o644, true), (0o604, true), (0o640, false), (0o600, false)] {
        std::fs::set_permissions(&file, PermissionsExt::from_mode(mode)).expect("changed");
        let gateway = Gateway::start(&data, sidecar.address(), &["--admin-key-file", file.to_str().expect("plain")]);
        let warned = gateway.starting.iter().any(|line| {
            line["level"] == "WARN" && line["message"].as_str().is_some_and(|text| text.contains("chmod o-rwx"))
        });
        assert_eq!(warned, is_told, "{mode:o}: {:?}", gateway.starting);
        gateway.kill();
    }
}

#[actix_web::test]
async fn metrics_can_be_opened() {
    let (dir, sidecar) = (TempDir::new().expect("a directory"), Sidecar::start(Behaviour::default()));
    let key = Token::generate().expect("randomness");
    let gateway = public(&dir, &sidecar, &["--open-metrics"], Some(&key));
    assert_eq!(gateway.raw(&Raw::get("/metrics")).await.status, 200);
    assert_eq!(gateway.raw(&Raw::get("/v1/jobs")).await.status, 401);
}

/// A stored key that the configuration also gives could do more than it was made for, and could not be revoked.
#[actix_web::test]
async fn a_stored_key_is_no_admin_key() {
    let (dir, sidecar) = (TempDir::new().expect("a directory"), Sidecar::start(Behaviour::default()));
    let gateway = Gateway::start(dir.path(), sidecar.address(), &[]);
    let created = gateway.raw(&Raw::post("/v1/keys", r#"{"name": "first", "scope": "admin"}"#)).await.json();
    gateway.kill();
    let secret = created["secret"].as_str().expect("a secret");
    let mut command = serve_at("127.0.0.1:0", dir.path(), sidecar.address(), &[]);
    let refused = run_to_its_end(command.env("SCALEGATE_ADMIN_KEY", secret));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains(created["key"]["id"].as_str().expect("an id")) && said.contains("keys generate"), "{said}");
    assert!(!said.contains(&secret[13..45]));
}
