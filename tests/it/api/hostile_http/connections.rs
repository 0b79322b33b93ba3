//! Clients that are slow, deaf or gone, and thousands of them.

use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::memory::resident;
use super::scene::Answer::{NotHttp, Plain};
use super::scene::{GHOST, PROBE, Scene, answers, assert_answers, plan};
use crate::support::gateway::{Gateway, PATIENCE, Raw, read_answer};

/// Clients that take forever to say what they want. All are sent away in the end, and others are served meanwhile.
#[actix_web::test]
async fn slow_requests() {
    const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
    let scene = Scene::start();
    let trickle_after = async |first: &str, begin: &str, drop_of_it: &str| {
        let mut stream = scene.gateway.connect().await;
        if !first.is_empty() {
            stream.write_all(first.as_bytes()).await.expect("sent");
            assert_eq!(read_answer(&mut stream, true).await.status, 200);
        }
        stream.write_all(begin.as_bytes()).await.expect("sent");
        let start = Instant::now();
        while !is_over(&stream) {
            assert!(start.elapsed() < PATIENCE, "{begin:?} is waited for for ever");
            let _ = stream.try_write(drop_of_it.as_bytes());
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        assert!(start.elapsed() >= HEADER_TIMEOUT.mul_f64(0.9), "{begin:?}: only {:?}", start.elapsed());
        let answered = answers(&mut stream).await;
        assert_answers(begin, &answered, &[NotHttp(408)][..answered.len()]);
    };
    let trickle = async |begin: &str, drop_of_it: &str| trickle_after("", begin, drop_of_it).await;
    let others = async {
        let begin = Instant::now();
        while begin.elapsed() < HEADER_TIMEOUT {
            scene.assert_serves().await;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::join!(
        trickle("", ""),
        trickle("G", ""),
        trickle("GET /", "x"),
        trickle("GET /livez HTTP/1.1\r\nHost: localhost\r\n", "A: b\r\n"),
        trickle("GET /livez HTTP/1.1\r\nA: ", "b"),
        trickle("\r\n", "\r\n"),
        trickle_after(PROBE, "GET /", "x"),
        trickle_after(PROBE, "", "\n"),
        // What follows a whole answer is a body without a reader, or the next request after it.
        trickle_after("GET /livez HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n", "", "1\r\nx\r\n"),
        others,
    );
    scene.assert_unharmed().await;
}

/// Whether there is something to read, be it the end.
fn is_over(stream: &TcpStream) -> bool {
    stream.peek(&mut [0]).now_or_never().is_some()
}

/// Clients that are gone before they have said or heard everything.
#[actix_web::test]
async fn clients_that_go_away() {
    let scene = Scene::start();
    let whole = scene.hidden_job();
    for cut in [0, 1, 20, whole.len() - GHOST.len(), whole.len() - 1] {
        let mut stream = scene.gateway.connect().await;
        stream.write_all(&whole.as_bytes()[..cut]).await.expect("sent");
        stream.set_zero_linger().expect("it will be reset");
    }
    // Many questions at once, and no client there to read the answers.
    for _ in 0..2 * FILES_OF_ITS_OWN {
        let mut stream = scene.gateway.connect().await;
        stream.write_all(PROBE.repeat(50).as_bytes()).await.expect("sent");
        stream.set_zero_linger().expect("it will be reset");
    }
    // Nothing more to say is not yet nothing more to hear.
    let request = format!("{}{GHOST}", plan(&format!("Content-Length: {}", GHOST.len())));
    scene.assert_answers("half-closed", request, &[Plain(200)]).await;
    assert_forgotten(&scene.gateway).await;
    scene.assert_unharmed().await;
}

/// Thousands of clients that come and go, and thousands that stay and say nothing.
#[actix_web::test]
async fn very_many_connections() {
    let scene = Scene::start();
    let count = most_connections().min(3000);
    for n in 0..count {
        let mut stream = scene.gateway.connect().await;
        match n % 3 {
            0 => stream.write_all(&PROBE.as_bytes()[..10]).await.expect("sent"),
            1 => stream.set_zero_linger().expect("it will be reset"),
            _ => {}
        }
    }
    scene.assert_serves().await;
    assert_forgotten(&scene.gateway).await;

    let before = resident(scene.gateway.pid());
    let mut idle = Vec::new();
    for _ in 0..count {
        let mut stream = scene.gateway.connect().await;
        stream.write_all(PROBE.as_bytes()).await.expect("sent");
        assert_eq!(read_answer(&mut stream, true).await.status, 200);
        idle.push(stream);
    }
    assert!(open_files(scene.gateway.pid()) >= count, "they are not all open");
    let grown = resident(scene.gateway.pid()).saturating_sub(before);
    println!("{count} idle connections: {} KiB each", grown / count / 1024);
    assert!(grown / count < 64 << 10, "{grown} bytes for {count} connections");
    scene.assert_serves().await;
    drop(idle);
    assert_forgotten(&scene.gateway).await;
    scene.assert_unharmed().await;
}

/// Most files a gateway has open without any client.
const FILES_OF_ITS_OWN: usize = 50;

/// Waits until the gateway has no more files open than it needs for itself: what clients left behind is gone.
pub async fn assert_forgotten(gateway: &Gateway) {
    let begin = Instant::now();
    while open_files(gateway.pid()) > FILES_OF_ITS_OWN {
        assert!(begin.elapsed() < PATIENCE, "{} files are still open", open_files(gateway.pid()));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn open_files(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).expect("Linux").count()
}

/// How many connections this process and the gateway, which has the same limits, can have open.
pub fn most_connections() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").expect("Linux");
    let line = limits.lines().find(|line| line.starts_with("Max open files")).expect("a limit");
    let most: usize = line.split_whitespace().nth(3).and_then(|most| most.parse().ok()).unwrap_or(usize::MAX);
    // Other tests of this program need some too.
    most.saturating_sub(most / 4 + 100)
}

/// A header name of 64 KiB ends the connection and nothing else. The HTTP library panics over it, in the task of that
/// one connection: the only panic that can be provoked from outside, and the reason why the log is not looked at here.
#[actix_web::test]
async fn very_long_header_names() {
    let scene = Scene::start();
    for _ in 0..2 * FILES_OF_ITS_OWN {
        let request = format!("GET /livez HTTP/1.1\r\nHost: localhost\r\n{}: y\r\n\r\n", "n".repeat(70_000));
        let answered = scene.converse(request.as_bytes()).await;
        assert!(answered.is_empty() || answered[0].status < 500, "{answered:?}");
    }
    for _ in 0..20 {
        let response = scene.gateway.raw(&Raw::get("/livez")).await;
        assert_eq!(response.status, 200);
    }
    assert_forgotten(&scene.gateway).await;
}
