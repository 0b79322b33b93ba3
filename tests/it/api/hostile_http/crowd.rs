//! A gateway with few places, all of which clients take.

use std::process::Command;

use scalegate::sim::sidecar::Behaviour;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::scene::PROBE;
use crate::support::gateway::{Gateway, Raw, read_answer, run_to_its_end, scalegate, serve};
use crate::support::sidecar::Sidecar;

/// Files that the gateway may have open. Half of them are for connections.
const FILES: usize = 128;
const PLACES: usize = FILES / 2;

struct Scene {
    gateway: Gateway,
    _sidecar: Sidecar,
    _dir: TempDir,
}

impl Scene {
    fn start() -> Self {
        let (sidecar, dir) = (Sidecar::start(Behaviour::default()), TempDir::new().expect("a directory"));
        let whole = serve(dir.path(), sidecar.address(), &["--max-streams-per-key", "0"]);
        let mut command = Command::new("sh");
        command.args(["-c", &format!("ulimit -n {FILES} && exec \"$0\" \"$@\"")]);
        command.arg(whole.get_program()).args(whole.get_args());
        Self { gateway: Gateway::start_with(command), _sidecar: sidecar, _dir: dir }
    }

    /// What a container's own check says.
    async fn assert_healthy(&self, name: &str) {
        let url = self.gateway.url("");
        let checked =
            tokio::task::spawn_blocking(move || run_to_its_end(scalegate().args(["healthcheck", "--server", &url])));
        let checked = checked.await.expect("it ran");
        assert!(checked.status.success(), "{name}: {}", String::from_utf8_lossy(&checked.stderr));
    }

    async fn crowd(&self, bytes: &[u8]) -> Vec<TcpStream> {
        let mut crowd = Vec::new();
        for _ in 0..3 * PLACES {
            let mut stream = self.gateway.connect().await;
            // It may have to make room for another one already.
            let _ = stream.write_all(bytes).await;
            crowd.push(stream);
        }
        crowd
    }
}

/// Clients that wait make room for those that ask for something, also where all come through one proxy on this machine.
#[actix_web::test]
async fn connections_that_wait_keep_no_client_out() {
    let scene = Scene::start();
    for (name, bytes) in [
        ("nothing", ""),
        ("an answered request", PROBE),
        ("the beginning of a request", "GET /"),
        ("the beginning of a second one", &format!("{PROBE}GET /")),
        ("answers that are not read", &"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(9)),
    ] {
        let crowd = scene.crowd(bytes.as_bytes()).await;
        scene.assert_healthy(name).await;
        // One that says what it wants at once is answered, again and again.
        let mut stream = scene.gateway.connect().await;
        for _ in 0..3 {
            stream.write_all(PROBE.as_bytes()).await.expect("sent");
            assert_eq!(read_answer(&mut stream, true).await.status, 200, "{name}");
        }
        drop(crowd);
    }
    let metrics = scene.gateway.get("/metrics").await.text().into_owned();
    let made_room =
        metrics.lines().find_map(|line| line.strip_prefix("scalegate_http_connections_ended_total{reason=\"room\"} "));
    assert!(made_room.is_some_and(|count| count.parse::<usize>().is_ok_and(|count| count > PLACES)), "{metrics}");
}

/// Nor do those that are worked on: there are fewer of them than places.
#[actix_web::test]
async fn streams_leave_room_for_others() {
    let scene = Scene::start();
    let mut streams = Vec::new();
    loop {
        let mut stream = scene.gateway.connect().await;
        stream.write_all(&Raw::get("/v1/events").head()).await.expect("sent");
        if read_answer(&mut stream, false).await.status == 503 {
            break;
        }
        streams.push(stream);
        assert!(streams.len() < PLACES, "there are no places left");
    }
    assert!(streams.len() > PLACES / 2, "{}", streams.len());
    let _crowd = scene.crowd(b"GET /").await;
    scene.assert_healthy("streams, and a crowd").await;
}
