//! A gateway whose sidecar is not there says so soon after its start, and starts all the same.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{Receiver, channel};

use scalegate::sim::sidecar::Behaviour;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::gateway::{Gateway, PATIENCE};
use crate::support::sidecar::Sidecar;

fn warns_of(lines: &[Value], words: &str) -> bool {
    lines
        .iter()
        .any(|line| line["level"] == "WARN" && line["message"].as_str().is_some_and(|text| text.contains(words)))
}

/// A server that is no sidecar: where it is, and the first lines of the requests it gets.
fn another_server() -> (SocketAddr, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let (sender, asked) = channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut received = [0; 4096];
            let length = stream.read(&mut received).unwrap_or(0);
            let line = String::from_utf8_lossy(&received[..length]).lines().next().unwrap_or_default().to_owned();
            let page = "<html>not found</html>";
            let answer =
                format!("HTTP/1.1 404 Not Found\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{page}", page.len());
            let _ = stream.write_all(answer.as_bytes());
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    (address, asked)
}

#[actix_web::test]
async fn a_sidecar_that_is_not_there_is_told_and_jobs_are_accepted() {
    let dir = TempDir::new().expect("a directory");
    let gateway = Gateway::start(dir.path(), ([127, 0, 0, 1], 1).into(), &[]);
    let words = "no sidecar answers at http://127.0.0.1:1";
    let lines = gateway.log_with(|lines| warns_of(lines, words));
    assert!(warns_of(&lines, "`scalegate simulate --listen 127.0.0.1:1`"), "{lines:#?}");
    gateway.submit(&json!({"resource": "worker", "targetCapacity": 1})).await;
}

#[actix_web::test]
async fn another_server_is_told_and_asked_for_a_listed_resource() {
    let dir = TempDir::new().expect("a directory");
    let file = dir.path().join("gate.toml");
    std::fs::write(&file, "[resources.worker]\n").expect("written");
    let (address, asked) = another_server();
    let gateway = Gateway::start(&dir.path().join("data"), address, &["--config", file.to_str().expect("text")]);
    gateway.log_with(|lines| warns_of(lines, &format!("another server than the sidecar answers at http://{address}")));
    let first = asked.recv_timeout(PATIENCE).expect("it is asked");
    assert_eq!(first, "GET /resource/worker/capacity HTTP/1.1");
}

#[actix_web::test]
async fn of_a_sidecar_that_is_there_nothing_is_told() {
    let (sidecar, dir) = (Sidecar::start(Behaviour::default()), TempDir::new().expect("a directory"));
    let options = ["--settle", "300ms", "--poll-interval", "100ms"];
    let gateway = Gateway::start(dir.path(), sidecar.address(), &options);
    let job = gateway.submit(&json!({"resource": "worker", "targetCapacity": 1})).await;
    gateway.finish(job.id).await;
    let lines = gateway.log();
    assert!(!warns_of(&lines, "sidecar"), "{lines:#?}");
}
