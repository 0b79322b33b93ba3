//! Clients that make the gateway keep much for them: what it keeps is bounded, others are served, and it gives it back.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::connections::assert_forgotten;
use super::scene::{PROBE, Scene};
use crate::support::gateway::{PATIENCE, Raw, take_answer};

/// Clients of each attack: fewer than there may be connections, so that nothing but what they make the gateway keep is
/// limited.
const CLIENTS: usize = 400;
/// Most memory under any attack.
const MOST: usize = 100 << 20;
/// Most memory that stays when the attackers have gone, beyond what there was before the first of them: a page that
/// each of some thousand small pieces keeps in use.
const MOST_LEFT: usize = 20 << 20;

/// The memory a process uses, in bytes.
pub fn resident(pid: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS")).expect("its memory");
    line.split_whitespace().nth(1).and_then(|size| size.parse::<usize>().ok()).expect("a number") * 1024
}

/// Sends `bytes` from many clients that read nothing, as far as the gateway takes them. It needed `before` bytes before
/// the first of them.
async fn attack(scene: &Scene, before: usize, name: &str, bytes: &[u8]) {
    let pid = scene.gateway.pid();
    let mut most = 0;
    let mut deaf: Vec<TcpStream> = Vec::new();
    for _ in 0..CLIENTS {
        let stream = scene.gateway.connect().await;
        // What does not fit on the way is not sent, or the gateway has ended the connection.
        let _ = stream.try_write(bytes);
        deaf.push(stream);
        most = most.max(resident(pid));
    }
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(3) {
        scene.assert_serves().await;
        most = most.max(resident(pid));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(most < MOST, "{name}: {most} bytes");
    drop(deaf);
    assert_forgotten(&scene.gateway).await;
    println!("{name}: {} MiB, then {}", before >> 20, most >> 20);
}

/// What the attackers before made the gateway keep goes back to the system.
async fn assert_given_back(scene: &Scene, before: usize) {
    let begun = Instant::now();
    while resident(scene.gateway.pid()) > before + MOST_LEFT {
        let left = resident(scene.gateway.pid());
        assert!(begun.elapsed() < PATIENCE, "{left} bytes are left, and there were {before}");
        scene.assert_serves().await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    println!("given back: {} MiB, then {}", before >> 20, resident(scene.gateway.pid()) >> 20);
}

/// Large files without a key, and small answers that are worth little each.
#[actix_web::test]
async fn answers_to_strangers_that_are_not_read() {
    let scene = Scene::start();
    let before = resident(scene.gateway.pid());
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    attack(&scene, before, "one large file after the other", get("/docs/swagger-ui-bundle.js").repeat(30).as_bytes())
        .await;
    assert_given_back(&scene, before).await;
    attack(&scene, before, "the document", get("/openapi.json").repeat(200).as_bytes()).await;
    attack(&scene, before, "very many small requests", PROBE.repeat(3000).as_bytes()).await;
    attack(&scene, before, "refusals", get("/v1/jobs").repeat(1000).as_bytes()).await;
    assert_given_back(&scene, before).await;
    scene.assert_unharmed().await;
}

/// Requests that do not end.
#[actix_web::test]
async fn parts_of_requests() {
    let scene = Scene::start();
    let before = resident(scene.gateway.pid());
    let long = format!("GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Long: {}", "x".repeat(120_000));
    attack(&scene, before, "long heads", long.as_bytes()).await;
    let body = format!("{}{{{}", super::scene::plan("Content-Length: 65000"), " ".repeat(60_000));
    attack(&scene, before, "long bodies", &scene.signed(body.as_bytes())).await;
    assert_given_back(&scene, before).await;
    scene.assert_unharmed().await;
}

/// Lists and metrics, for the owners of keys.
#[actix_web::test]
async fn lists_and_metrics_that_are_not_read() {
    const JOBS: usize = 200;
    let scene = Scene::start();
    for n in 0..JOBS {
        let wish = json!({"resource": format!("r{n}"), "targetCapacity": 1, "reason": "x".repeat(500)});
        let job = scene.gateway.submit(&wish).await;
        scene.gateway.finish(job.id).await;
    }
    let before = resident(scene.gateway.pid());
    let page = scene.gateway.get("/v1/jobs?pageSize=200").await;
    assert_eq!(page.json()["jobs"].as_array().map(Vec::len), Some(JOBS));
    let get =
        |path: &str| scene.signed(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").repeat(30).as_bytes());
    attack(&scene, before, "lists", &get("/v1/jobs?pageSize=200")).await;
    attack(&scene, before, "metrics", &get("/metrics")).await;
    assert_given_back(&scene, before).await;
    let ended = scene.gateway.get("/metrics").await.text().into_owned();
    assert!(ended.contains("scalegate_http_connections_ended_total{reason=\"unread\"}"), "{ended}");
}

/// A gateway that is read slowly is not one that is not read: the answer comes whole, however many do not read theirs.
#[actix_web::test]
async fn slow_readers_get_everything() {
    let scene = Scene::start();
    let request = "GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let mut deaf = Vec::new();
    for _ in 0..50 {
        let mut stream = scene.gateway.connect().await;
        stream.write_all(request.as_bytes()).await.expect("sent");
        deaf.push(stream);
    }
    let mut slow = scene.gateway.connect().await;
    slow.write_all(request.as_bytes()).await.expect("sent");
    let mut received = Vec::new();
    let mut some = [0; 10_000];
    loop {
        let count = slow.read(&mut some).await.expect("it goes on");
        received.extend_from_slice(&some[..count]);
        if count == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let slowly = take_answer(&mut received.as_slice());
    let at_once = scene.gateway.raw(&Raw::get("/docs/swagger-ui-bundle.js")).await;
    assert!(slowly.body == at_once.body, "the bytes are those of the file");
    drop(deaf);
    scene.assert_unharmed().await;
}
