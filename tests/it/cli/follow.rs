//! The command line as a process of its own, following the events of a gateway that is killed and started again:
//! nothing is missed, and nothing is told twice.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::gateway::{Gateway, PATIENCE, scalegate};
use crate::support::sidecar::Sidecar;
use scalegate::api::view::JobView;
use scalegate::domain::StateName;
use scalegate::sim::sidecar::Behaviour;
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;
use uuid::Uuid;

const SETTINGS: [&str; 6] = ["--cooldown", "1500ms", "--settle", "1s", "--poll-interval", "100ms"];

fn behaviour() -> Behaviour {
    Behaviour { provisioning: Duration::from_millis(400), ..Behaviour::default() }
}

/// A gateway where the last one was.
fn start_again(address: SocketAddr, data_dir: &Path, sidecar: SocketAddr) -> Gateway {
    let mut command = scalegate();
    command.args(["serve", "--listen", &address.to_string(), "--sidecar-url", &format!("http://{sidecar}")]);
    command.arg("--data-dir").arg(data_dir).args(SETTINGS);
    Gateway::start_with(command)
}

/// A client command. Killed when dropped.
struct Client {
    child: Child,
    out: UnboundedReceiver<String>,
    err: UnboundedReceiver<String>,
}

impl Client {
    fn start(gateway: SocketAddr, arguments: &[&str]) -> Self {
        let mut command: Command = scalegate();
        command.args(arguments).args(["--server", &format!("http://{gateway}")]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
        let (out, err) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
        Self { child, out: lines(out), err: lines(err) }
    }

    /// The exit code, once it ends by itself or was told to.
    async fn wait(&mut self) -> Option<i32> {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("it can be waited for") {
                return status.code();
            }
            assert!(begin.elapsed() < PATIENCE, "it does not end");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The lines of `stream`, until it ends.
fn lines(stream: impl Read + Send + 'static) -> UnboundedReceiver<String> {
    let (sender, lines) = unbounded_channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

/// Reads lines into `seen` until there is one as wanted, or none will come any more.
async fn read_until(
    lines: &mut UnboundedReceiver<String>,
    seen: &mut Vec<String>,
    mut wanted: impl FnMut(&str) -> bool,
) {
    // The simulated sidecar is in this process: it needs a thread that is not blocked.
    while let Some(line) = timeout(PATIENCE, lines.recv()).await.unwrap_or_else(|_| panic!("not told: {seen:#?}")) {
        let is_wanted = wanted(&line);
        seen.push(line);
        if is_wanted {
            return;
        }
    }
}

#[actix_web::test]
async fn scale_wait_follows_through_a_crash() {
    let (sidecar, dir) = (Sidecar::start(behaviour()), TempDir::new().expect("a directory"));
    let gateway = Gateway::start(dir.path(), sidecar.address(), &SETTINGS);
    let address = gateway.address;
    let mut client = Client::start(address, &["scale", "worker", "4", "--wait"]);
    let (mut told, mut noticed) = (Vec::new(), Vec::new());
    read_until(&mut client.out, &mut told, |line| line.ends_with("add 1: 1 → 2 confirmed")).await;
    gateway.kill();
    read_until(&mut client.err, &mut noticed, |line| line.contains("Trying again for up to 5m")).await;
    let gateway = start_again(address, dir.path(), sidecar.address());
    assert_eq!(client.wait().await, Some(0), "{told:#?}");
    read_until(&mut client.out, &mut told, |_| false).await;
    read_until(&mut client.err, &mut noticed, |_| false).await;

    assert!(told[0].starts_with("Submitted: worker to 4, job "), "{told:#?}");
    for from in 1..4 {
        let step = format!("add 1: {from} → {}", from + 1);
        for what in ["sent", "confirmed"] {
            let line = format!("{step} {what}");
            assert_eq!(told.iter().filter(|told| told.ends_with(&line)).count(), 1, "{line}: {told:#?}");
        }
    }
    assert!(told.last().expect("lines").contains("succeeded: worker at capacity 4 after 3 steps"), "{told:#?}");
    assert!(noticed[0].contains("cannot reach the gateway"), "{noticed:#?}");
    assert_eq!(noticed[2..], ["scalegate: the gateway is back"], "{noticed:#?}");
    drop(gateway);
}

/// Every version of every job, once, in order.
#[actix_web::test]
async fn a_watch_misses_nothing_in_a_crash_and_ends_well() {
    let (sidecar, dir) = (Sidecar::start(behaviour()), TempDir::new().expect("a directory"));
    let gateway = Gateway::start(dir.path(), sidecar.address(), &SETTINGS);
    let address = gateway.address;
    let submit = async |resource: &str, target: u32, conflict: &str| {
        gateway.submit(&json!({"resource": resource, "targetCapacity": target, "onConflict": conflict})).await.id
    };
    let known = submit("worker", 3, "reject").await;
    let mut client = Client::start(address, &["jobs", "--watch", "--json"]);
    let mut told = Vec::new();
    // It is there when it has told of the job that was there before.
    read_until(&mut client.out, &mut told, |_| true).await;
    let jobs =
        [known, submit("web", 3, "reject").await, submit("web", 2, "queue").await, submit("db", 2, "reject").await];
    let job = |line: &str| serde_json::from_str::<JobView>(line).expect("a job");
    read_until(&mut client.out, &mut told, |line| job(line).steps.iter().any(|step| step.outcome == "confirmed")).await;
    gateway.kill();
    let gateway = start_again(address, dir.path(), sidecar.address());
    let mut unfinished = jobs.to_vec();
    read_until(&mut client.out, &mut told, |line| {
        let job = job(line);
        unfinished.retain(|id| !(*id == job.id && job.state.is_over()));
        unfinished.is_empty()
    })
    .await;
    let interrupted = Command::new("kill").args(["-INT", &client.child.id().to_string()]).status();
    assert!(interrupted.expect("kill runs").success());
    assert_eq!(client.wait().await, Some(0));

    let mut versions: BTreeMap<Uuid, Vec<u64>> = BTreeMap::new();
    for job in told.iter().map(|line| job(line)) {
        versions.entry(job.id).or_default().push(job.version);
    }
    assert_eq!(versions.len(), jobs.len());
    for id in jobs {
        let ended = gateway.job(id).await;
        assert_eq!(ended.state, StateName::Succeeded);
        let first = if id == known { versions[&id][0] } else { 1 };
        assert_eq!(versions[&id], (first..=ended.version).collect::<Vec<_>>(), "{id}");
    }
}
