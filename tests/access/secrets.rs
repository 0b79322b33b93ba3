//! Keys occur nowhere but where they were shown once.

use std::path::Path;

use scalegate::access::Token;
use serde_json::json;

use crate::scene::{Scene, with_key};
use crate::support::gateway::Raw;

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
