//! Keys occur nowhere but where they were shown once.

use std::path::Path;

use scalegate::access::Token;
use scalegate::sim::sidecar::Behaviour;
use serde_json::json;
use tempfile::TempDir;

use super::scene::{Scene, with_key};
use crate::support::gateway::{Gateway, Raw, run_to_its_end, scalegate};
use crate::support::sidecar::Sidecar;

/// All files below `directory`, as they are on the disk.
fn files(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(directory).expect("a directory");
    entries
        .flat_map(|entry| {
            let path = entry.expect("an entry").path();
            match path.is_dir() {
                true => files(&path),
                false => vec![(path.display().to_string(), std::fs::read(&path).expect("readable"))],
            }
        })
        .collect()
}

fn contains(text: &[u8], secret: &str) -> bool {
    text.windows(secret.len()).any(|window| window == secret.as_bytes())
}

/// A whole run at the finest level of logging: jobs, refusals, keys in wrong places. Nothing that was written, logged,
/// answered or sent on has a key in it.
#[actix_web::test]
async fn a_whole_run_gives_no_key_away() {
    let scene = Scene::start_logging("trace");
    let (scaler, short) =
        (scene.key_with("scale").await, scene.key(json!({"name": "s", "scope": "read", "expiresInSeconds": 1})).await);
    let wrong = Token::generate().expect("randomness");
    let mut answers = Vec::new();
    let submit =
        Raw::post("/v1/jobs", json!({"resource": "worker", "targetCapacity": 2, "cooldownSeconds": 0}).to_string());
    for key in [&scaler, &wrong, &scene.admin, &short] {
        for request in [
            submit.clone(),
            Raw::get("/v1/jobs"),
            Raw::get("/v1/keys"),
            Raw::get("/v1/audit"),
            Raw::get("/v1/resources/worker"),
            Raw::get("/metrics"),
            Raw::post("/v1/keys", "{\"name\": 1}"),
            Raw::get("/v1/jobs/x"),
        ] {
            answers.push(scene.gateway.raw(&with_key(&request, key.expose())).await);
        }
        // Where keys do not belong: they are in no answer, but a path is in the log by nature.
        let basic = Raw::get("/v1/jobs").header("Authorization", format!("Basic {}", key.expose()));
        answers.push(scene.gateway.raw(&basic).await);
        let twice = with_key(&with_key(&Raw::get("/v1/jobs"), key.expose()), key.expose());
        answers.push(scene.gateway.raw(&twice).await);
    }
    scene.revoke(&scaler).await;
    answers.push(scene.ask(&submit, &scaler).await);
    let (dir, admin, log) = scene.stop_and_read_log();
    assert!(log.len() > 20_000, "the log is at its finest level: {}", log.len());
    assert!(log.contains("\"message\":\"audit\""));
    let files = files(dir.path());
    assert!(files.iter().any(|(name, _)| name.ends_with("scalegate.db")), "{files:?}");
    for key in [&scaler, &wrong, &admin, &short] {
        // Its secret part, also without the rest.
        let secret = &key.expose()[13..45];
        assert!(!log.contains(secret), "{}", log.lines().find(|line| line.contains(secret)).unwrap_or_default());
        for answer in &answers {
            assert!(!contains(&answer.body, secret), "{}", answer.text());
            assert!(!format!("{:?}", answer.headers).contains(secret));
        }
        for (name, content) in &files {
            assert!(!contains(content, secret), "{name}");
        }
    }
}

/// A key that was pasted where a path or an address belongs: the log and the messages show its public part only.
#[actix_web::test]
async fn a_key_in_place_of_another_option_is_masked() {
    let (dir, token) = (TempDir::new().expect("a directory"), Token::generate().expect("randomness"));
    let (key, masked) = (token.expose(), format!("sg_{}…", token.id()));
    let secret = &key[13..45];
    let sidecar = Sidecar::start(Behaviour::default());

    let mut gateway = Gateway::start(&dir.path().join(key), sidecar.address(), &[]);
    gateway.signal("-TERM");
    assert_eq!(gateway.wait().0, Some(0));
    let log: String = gateway.starting.iter().chain(&gateway.log()).map(|line| format!("{line}\n")).collect();
    assert!(log.contains(&masked) && !log.contains(secret), "{log}");

    std::fs::write(dir.path().join("file"), "").expect("a file");
    let below_a_file = dir.path().join("file").join(key);
    let in_the_file = dir.path().join("gate.toml");
    std::fs::write(&in_the_file, format!("sidecar_url = \"http://{key}@localhost\"\n")).expect("a file");
    for (option, value) in [
        ("--data-dir", below_a_file.display().to_string()),
        ("--audit-log", below_a_file.display().to_string()),
        ("--config", below_a_file.display().to_string()),
        ("--config", in_the_file.display().to_string()),
        ("--tls-cert", key.to_owned()),
        ("--sidecar-url", format!("http://{key}@127.0.0.1:49750")),
        ("--sidecar-url", format!("http://127.0.0.1:49750/{key}")),
        ("--sidecar-url", key.to_owned()),
        ("--cooldown", key.to_owned()),
        ("--admin-key-file", format!("{key}.txt")),
    ] {
        for format in ["text", "json"] {
            let mut command = scalegate();
            command.args(["serve", "--listen=127.0.0.1:0", option, &value, "--log-format", format]);
            if option != "--data-dir" {
                command.arg("--data-dir").arg(dir.path().join("data"));
            }
            let refused = run_to_its_end(&mut command);
            let said = String::from_utf8_lossy(&refused.stderr);
            assert_ne!(refused.status.code(), Some(0), "{option} {value}: {said}");
            assert!(!said.contains(secret), "{option}: {said}");
        }
    }
}
