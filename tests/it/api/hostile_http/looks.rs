//! Callers who look at slow resources, over the real interface, with a sidecar that counts.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::support::gateway::{Gateway, PATIENCE};

const READING: &str = r#"{"status":"ACTIVE","currentCapacity":5}"#;

/// A sidecar that answers at once, but about resources whose names begin with `slow` only when told to.
struct SlowSidecar {
    address: SocketAddr,
    seen: Arc<Seen>,
}

struct Seen {
    calls: Mutex<BTreeMap<String, usize>>,
    is_quick: watch::Sender<bool>,
}

impl SlowSidecar {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let seen = Arc::new(Seen { calls: Mutex::default(), is_quick: watch::Sender::new(false) });
        let shared = Arc::clone(&seen);
        actix_web::rt::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let seen = Arc::clone(&shared);
                actix_web::rt::spawn(async move { serve(stream, &seen).await });
            }
        });
        Self { address, seen }
    }

    fn calls(&self, resource: &str) -> usize {
        self.seen.calls.lock().expect("no panic").get(resource).copied().unwrap_or(0)
    }

    fn release(&self) {
        self.seen.is_quick.send_replace(true);
    }
}

/// Answers one reading after the other, as long as the other side is there.
async fn serve(mut stream: TcpStream, seen: &Seen) -> Option<()> {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.ok()?);
        }
        let head = String::from_utf8(head).expect("the client sends text");
        let resource = head.strip_prefix("GET /resource/")?.split('/').next()?.to_owned();
        let is_slow = resource.starts_with("slow");
        *seen.calls.lock().expect("no panic").entry(resource).or_default() += 1;
        if is_slow {
            seen.is_quick.subscribe().wait_for(|is_quick| *is_quick).await.ok()?;
        }
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{READING}", READING.len());
        stream.write_all(answer.as_bytes()).await.ok()?;
    }
}

fn start(sidecar: &SlowSidecar) -> (Gateway, TempDir) {
    let dir = TempDir::new().expect("a directory");
    let config = dir.path().join("gate.toml");
    std::fs::write(&config, "[resources.quick]\n[resources.slow]\n").expect("a file");
    let settings = ["--config", config.to_str().expect("a path in UTF-8")];
    (Gateway::start_with_key(&dir.path().join("data"), sidecar.address, &settings), dir)
}

/// Looks at `quick` as often as it takes others to be taken in, and says how long the longest took.
async fn look_elsewhere(gateway: &Gateway, times: usize) -> Duration {
    let mut longest = Duration::ZERO;
    for _ in 0..times {
        let begin = Instant::now();
        assert_eq!(gateway.get("/v1/resources/quick").await.json()["capacity"], 5);
        longest = longest.max(begin.elapsed());
    }
    longest
}

/// Whatever asks about a slow resource, the sidecar is asked once, and looks at other resources are answered meanwhile.
#[actix_web::test]
async fn many_looks_at_a_slow_resource_are_one_call() {
    let sidecar = SlowSidecar::start().await;
    let (gateway, _dir) = start(&sidecar);
    let wish = json!({"resource": "slow", "targetCapacity": 7, "stepSize": 2});
    let looks = join_all((0..60).map(|_| gateway.get("/v1/resources/slow")));
    let plans = join_all((0..20).map(|_| gateway.post("/v1/plans", &wish)));
    let others = async {
        let longest = look_elsewhere(&gateway, 200).await;
        sidecar.release();
        longest
    };
    let (looks, plans, longest) = tokio::join!(looks, plans, others);
    assert!(longest < Duration::from_secs(5), "a look at another resource took {longest:?}");
    for look in looks {
        let resource = look.json();
        assert_eq!((look.status, &resource["capacity"], &resource["readFailure"]), (200, &json!(5), &json!(null)));
    }
    for plan in plans {
        assert_eq!((plan.status, plan.json()["steps"].as_array().map(Vec::len)), (200, Some(1)));
    }
    // Stragglers that came when it was quick again share another call.
    assert!((1..5).contains(&sidecar.calls("slow")), "{} calls", sidecar.calls("slow"));
}

/// More slow resources than there is room for looks: those beyond it are refused at once, and others are looked at.
#[actix_web::test]
async fn many_slow_resources_do_not_hold_up_others() {
    const MADE_UP: usize = 100;
    let sidecar = SlowSidecar::start().await;
    let (gateway, _dir) = start(&sidecar);
    let paths: Vec<String> = (0..MADE_UP).map(|number| format!("/v1/resources/slow-{number}")).collect();
    let looks = join_all(paths.iter().map(|path| gateway.get(path)));
    let others = async {
        let begin = Instant::now();
        while (0..MADE_UP).map(|number| sidecar.calls(&format!("slow-{number}"))).sum::<usize>() < 64 {
            assert!(begin.elapsed() < PATIENCE, "they are not looked at");
            look_elsewhere(&gateway, 1).await;
        }
        let longest = look_elsewhere(&gateway, 100).await;
        sidecar.release();
        longest
    };
    let (looks, longest) = tokio::join!(looks, others);
    assert!(longest < Duration::from_secs(5), "a look at another resource took {longest:?}");
    let refused: Vec<_> = looks.iter().filter(|look| look.status != 200).collect();
    assert!(!refused.is_empty() && refused.len() <= MADE_UP - 64, "{} are refused", refused.len());
    for look in refused {
        assert_eq!((look.status, look.problem().code.as_str()), (503, "overloaded"));
        assert!(look.header("Retry-After").is_some());
    }
}
