//! What a gateway refuses to start with, and whom its files are for.

use std::os::unix::fs::PermissionsExt;

use scalegate::access::Token;
use scalegate::simulator::Behaviour;
use tempfile::TempDir;

use crate::support::events::Events;
use crate::support::gateway::{Gateway, PATIENCE, Raw, run_to_its_end, serve_at};
use crate::support::sidecar::Sidecar;

/// Every address of this machine.
const PUBLIC: &str = "0.0.0.0:0";

#[test]
fn a_public_address_needs_a_key_or_a_word() {
    let dir = TempDir::new().expect("a directory");
    let nobody = ([127, 0, 0, 1], 1).into();
    let refused = run_to_its_end(&mut serve_at(PUBLIC, &dir.path().join("data"), nobody, &[]));
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

/// On loopback nobody needs a key, until there is one.
#[actix_web::test]
async fn the_first_key_closes_the_door() {
    let (dir, sidecar) = (TempDir::new().expect("a directory"), Sidecar::start(Behaviour::default()));
    let gateway = Gateway::start(dir.path(), sidecar.address(), &[]);
    assert_eq!(gateway.raw(&Raw::get("/v1/keys")).await.status, 200);
    let mut stream = Events::open(gateway.address, "/v1/events", None).await;
    stream.expect("ready").await;
    // One that could not make others would lock everybody out.
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
    // Also when it was revoked: whoever made a key does not want requests without.
    let id = created.json()["key"]["id"].as_str().expect("an id").to_owned();
    let revoke = Raw::new("POST", &format!("/v1/keys/{id}/revoke")).header("Authorization", format!("Bearer {secret}"));
    assert_eq!(gateway.raw(&revoke).await.status, 200);
    assert_eq!(gateway.raw(&Raw::get("/v1/jobs")).await.status, 401);
}

#[actix_web::test]
async fn metrics_can_be_opened() {
    let (dir, sidecar) = (TempDir::new().expect("a directory"), Sidecar::start(Behaviour::default()));
    let key = Token::generate().expect("randomness");
    let gateway = public(&dir, &sidecar, &["--open-metrics"], Some(&key));
    assert_eq!(gateway.raw(&Raw::get("/metrics")).await.status, 200);
    assert_eq!(gateway.raw(&Raw::get("/v1/jobs")).await.status, 401);
}

/// Nobody else on the machine can read what is kept, also where a careless hand had made the directory.
#[actix_web::test]
async fn files_are_for_their_owner_alone() {
    let sidecar = Sidecar::start(Behaviour::default());
    let parent = TempDir::new().expect("a directory");
    let (new, careless) = (parent.path().join("a/new"), parent.path().join("careless"));
    std::fs::create_dir(&careless).expect("a directory");
    std::fs::write(careless.join("scalegate.db"), "").expect("a file");
    for (path, mode) in [(&careless, 0o755), (&careless.join("scalegate.db"), 0o644)] {
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("changed");
    }
    for directory in [new, careless] {
        let gateway = Gateway::start(&directory, sidecar.address(), &[]);
        gateway.submit(&serde_json::json!({"resource": "worker", "targetCapacity": 3})).await;
        let mode = |path: &std::path::Path| path.metadata().expect("there").permissions().mode() & 0o777;
        assert_eq!(mode(&directory), 0o700);
        let files: Vec<_> =
            std::fs::read_dir(&directory).expect("readable").map(|file| file.expect("one").path()).collect();
        assert!(files.len() >= 4, "{files:?}");
        for file in files {
            assert_eq!(mode(&file), 0o600, "{}", file.display());
        }
    }
}

/// What was there before is left as it is: others may need it.
#[actix_web::test]
async fn a_directory_of_others_is_not_closed_to_them() {
    let sidecar = Sidecar::start(Behaviour::default());
    let parent = TempDir::new().expect("a directory");
    let shared = parent.path().join("shared");
    std::fs::create_dir(&shared).expect("a directory");
    std::fs::set_permissions(&shared, PermissionsExt::from_mode(0o1777)).expect("changed");
    let gateway = Gateway::start(&shared, sidecar.address(), &[]);
    let mode = |path: &std::path::Path| path.metadata().expect("there").permissions().mode() & 0o7777;
    assert_eq!((mode(&shared), mode(&shared.join("scalegate.db"))), (0o1777, 0o600));
    let is_told = |line: &serde_json::Value| {
        line["level"] == "WARN"
            && line["message"].as_str().is_some_and(|text| text.contains("may look into the data directory"))
    };
    assert!(gateway.starting.iter().any(is_told), "{:?}", gateway.starting);
}

/// What Kubernetes makes with `fsGroup` is as it should be, at every start.
#[actix_web::test]
async fn a_volume_for_the_group_is_left_as_it_is_without_a_warning() {
    let sidecar = Sidecar::start(Behaviour::default());
    let parent = TempDir::new().expect("a directory");
    let volume = parent.path().join("volume");
    std::fs::create_dir(&volume).expect("a directory");
    std::fs::set_permissions(&volume, PermissionsExt::from_mode(0o2775)).expect("changed");
    let mode = |path: &std::path::Path| path.metadata().expect("there").permissions().mode() & 0o7777;
    for start in ["first", "second"] {
        let gateway = Gateway::start(&volume, sidecar.address(), &[]);
        let warnings: Vec<_> = gateway.starting.iter().filter(|line| line["level"] == "WARN").collect();
        assert!(warnings.is_empty(), "at the {start} start: {warnings:?}");
        assert_eq!((mode(&volume), mode(&volume.join("scalegate.db"))), (0o2775, 0o600));
        gateway.kill();
    }
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
