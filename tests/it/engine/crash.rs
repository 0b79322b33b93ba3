//! `kill -9` on the real binary in every phase of a job's life. The simulated sidecar is the referee: it saw every
//! request, and knows the truth.

use std::time::Duration;

use crate::support::gateway::{Gateway, PATIENCE, run_to_its_end, scalegate};
use crate::support::sidecar::Sidecar;
use scalegate::api::view::JobView;
use scalegate::domain::StateName;
use scalegate::sim::sidecar::{Behaviour, Fault};
use serde_json::json;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

const COOLDOWN: Duration = Duration::from_millis(1500);
const SETTINGS: [&str; 6] = ["--cooldown", "1500ms", "--settle", "1s", "--poll-interval", "100ms"];

fn behaviour() -> Behaviour {
    Behaviour { provisioning: Duration::from_millis(600), ..Behaviour::default() }
}

fn waits_for(reason: &'static str) -> impl Fn(&JobView) -> bool {
    move |job| job.waiting_for.as_ref().is_some_and(|waiting| waiting.reason == reason)
}

/// After the restart: the job ends at its target, nothing was sent twice, no cooldown was broken.
async fn assert_carried_on(gateway: &Gateway, sidecar: &Sidecar, id: uuid::Uuid, changes: usize) -> JobView {
    let job = gateway.finish(id).await;
    assert_eq!(job.state, StateName::Succeeded, "{job:#?}");
    assert_eq!(job.current_capacity, Some(3));
    assert_eq!(sidecar.capacity(), 3);
    assert_eq!(sidecar.largest_capacity(), 3);
    assert_eq!(sidecar.changes().len(), changes);
    sidecar.assert_cooldowns(COOLDOWN);
    job
}

#[actix_web::test]
async fn while_waiting_for_active() {
    let (sidecar, dir) = (Sidecar::start(behaviour()), TempDir::new().expect("a directory"));
    let gateway = Gateway::start(dir.path(), sidecar.address(), &SETTINGS);
    let id = gateway.submit(&json!({"resource": "worker", "targetCapacity": 3})).await.id;
    gateway.wait_for(id, waits_for("active")).await;
    gateway.kill();
    let gateway = Gateway::start(dir.path(), sidecar.address(), &SETTINGS);
    let job = assert_carried_on(&gateway, &sidecar, id, 2).await;
    assert_eq!(job.steps.len(), 2);
}

#[actix_web::test]
async fn while_cooling_down() {
    let (sidecar, dir) = (Sidecar::start(behaviour()), TempDir::new().expect("a directory"));
    let gateway = Gateway::start(dir.path(), sidecar.address(), &SETTINGS);
    let id = gateway.submit(&json!({"resource": "worker", "targetCapacity": 3})).await.id;
    gateway.wait_for(id, waits_for("cooldown")).await;
    gateway.kill();
    let gateway = Gateway::start(dir.path(), sidecar.address(), &SETTINGS);
    assert_carried_on(&gateway, &sidecar, id, 2).await;
}

/// The cooldown of a job that is over holds for the next one, across the crash.
#[actix_web::test]
async fn between_two_jobs_in_one_cooldown() {
    let (sidecar, dir) = (Sidecar::start(behaviour()), TempDir::new().expect("a directory"));
    let gateway = Gateway::start(dir.path(), sidecar.address(), &SETTINGS);
    let first = gateway.submit(&json!({"resource": "worker", "targetCapacity": 2})).await.id;
    gateway.finish(first).await;
    gateway.kill();
    let gateway = Gateway::start(dir.path(), sidecar.address(), &SETTINGS);
    assert_eq!(gateway.job(first).await.state, StateName::Succeeded);
    let second = gateway.submit(&json!({"resource": "worker", "targetCapacity": 3})).await.id;
    assert_carried_on(&gateway, &sidecar, second, 2).await;
}

/// A backup does not know of the changes that were sent after it was made, also of resources that were never scaled
/// before.
#[actix_web::test]
async fn from_a_backup() {
    const COOLDOWN: Duration = Duration::from_secs(4);
    const SETTINGS: [&str; 6] = ["--cooldown", "4s", "--settle", "1s", "--poll-interval", "100ms"];
    let (sidecar, dir) = (Sidecar::start(behaviour()), TempDir::new().expect("a directory"));
    let (data, elsewhere) = (dir.path().join("data"), dir.path().join("elsewhere"));
    let gateway = Gateway::start(&data, sidecar.address(), &SETTINGS);
    let id = gateway.submit(&json!({"resource": "worker", "targetCapacity": 3})).await.id;
    gateway.wait_for(id, waits_for("cooldown")).await;
    let file = dir.path().join("backup");
    let back_up = || run_to_its_end(scalegate().arg("backup").arg(&file).arg("--data-dir").arg(&data));
    assert_eq!(back_up().status.code(), Some(0));
    let again = back_up();
    assert_eq!(again.status.code(), Some(4), "{again:?}");
    // What the backup does not know of: the second step, and another resource.
    let other = gateway.submit(&json!({"resource": "other", "targetCapacity": 2})).await.id;
    gateway.finish(id).await;
    gateway.finish(other).await;
    assert_eq!(sidecar.changes().len(), 3);
    gateway.kill();

    std::fs::create_dir(&elsewhere).expect("made");
    std::fs::copy(&file, elsewhere.join("scalegate.db")).expect("copied");
    let restored_at = sidecar.with(|_, now| now);
    let warns = |gateway: &Gateway| gateway.starting.iter().any(|line| line.to_string().contains("from the backup of"));
    let gateway = Gateway::start(&elsewhere, sidecar.address(), &SETTINGS);
    assert!(warns(&gateway), "{:?}", gateway.starting);
    gateway.kill();
    let gateway = Gateway::start(&elsewhere, sidecar.address(), &SETTINGS);
    assert!(!warns(&gateway), "once");
    assert_eq!(gateway.get(&format!("/v1/jobs/{other}")).await.status, 404);
    let remaining = gateway.get("/v1/resources/other").await.json()["cooldownRemainingSeconds"].as_f64();
    // On a machine that is slow enough, the cooldown is over already.
    let is_over = sidecar.with(|_, now| now) >= restored_at + COOLDOWN;
    assert!(is_over || remaining.is_some_and(|seconds| seconds > 0.0), "{remaining:?}");
    let next = gateway.submit(&json!({"resource": "other", "targetCapacity": 3, "cooldownSeconds": 0})).await.id;
    let job = gateway.finish(id).await;
    assert_eq!((job.state, job.current_capacity, job.steps.len()), (StateName::Succeeded, Some(3), 1), "{job:#?}");
    let more = gateway.submit(&json!({"resource": "worker", "targetCapacity": 4, "cooldownSeconds": 0})).await.id;
    for id in [next, more] {
        let job = gateway.finish(id).await;
        assert_eq!((job.state, job.steps.len()), (StateName::Succeeded, 1), "{job:#?}");
    }
    let changes = sidecar.changes();
    assert_eq!((changes.len(), sidecar.capacity()), (5, 4));
    for change in &changes[3..] {
        assert!(change.at >= restored_at + COOLDOWN, "{change:?}, restored at {restored_at}");
    }
}

/// The request reached the sidecar, which holds its answer back.
#[actix_web::test]
async fn with_a_change_sent_and_not_answered() {
    for (fault, changes) in [(Fault::Slow, 2), (Fault::RequestLost, 3)] {
        let (sidecar, dir) = (Sidecar::start(behaviour()), TempDir::new().expect("a directory"));
        sidecar.with(|model, _| {
            model.behaviour_mut().faults.slow_for = PATIENCE;
            model.script_change(fault);
        });
        let gateway = Gateway::start(dir.path(), sidecar.address(), &SETTINGS);
        let id = gateway.submit(&json!({"resource": "worker", "targetCapacity": 3})).await.id;
        gateway.wait_for(id, |_| !sidecar.changes().is_empty()).await;
        gateway.kill();
        let gateway = Gateway::start(dir.path(), sidecar.address(), &SETTINGS);
        let job = assert_carried_on(&gateway, &sidecar, id, changes).await;
        let first = if fault == Fault::Slow { "confirmed" } else { "not_applied" };
        assert_eq!(job.steps[0].outcome, first, "{fault:?}");
    }
}

/// The sidecar said yes, but no reading shows it yet.
#[actix_web::test]
async fn with_a_change_answered_and_not_resolved() {
    let slow_to_show = Behaviour { goal_while_modifying: false, ..behaviour() };
    let (sidecar, dir) = (Sidecar::start(slow_to_show), TempDir::new().expect("a directory"));
    let gateway = Gateway::start(dir.path(), sidecar.address(), &SETTINGS);
    let id = gateway.submit(&json!({"resource": "worker", "targetCapacity": 3})).await.id;
    let answered = |job: &JobView| {
        job.waiting_for.as_ref().is_some_and(|w| w.reason == "change" && w.detail.starts_with("Accepted"))
    };
    gateway.wait_for(id, answered).await;
    gateway.kill();
    let gateway = Gateway::start(dir.path(), sidecar.address(), &SETTINGS);
    assert_carried_on(&gateway, &sidecar, id, 2).await;
}

/// The intent is on the disk, but no connection for the request can be had: a door in front of the sidecar lets the
/// connections of the check and of the readings through and then keeps all others waiting outside.
#[actix_web::test]
async fn with_an_intent_committed_and_not_sent() {
    let (sidecar, dir) = (Sidecar::start(behaviour()), TempDir::new().expect("a directory"));
    let door = Door::start(sidecar.address());
    let gateway = Gateway::start(dir.path(), door.address, &SETTINGS);
    let id = gateway.submit(&json!({"resource": "worker", "targetCapacity": 3})).await.id;
    let job = gateway.wait_for(id, |job| job.steps.iter().any(|step| step.outcome == "pending")).await;
    assert_eq!(job.steps.len(), 1);
    gateway.kill();
    assert_eq!(sidecar.changes(), [], "it cannot have been sent");
    drop(door);
    let gateway = Gateway::start(dir.path(), sidecar.address(), &SETTINGS);
    let job = assert_carried_on(&gateway, &sidecar, id, 2).await;
    assert_eq!(job.steps[0].outcome, "not_applied");
}

/// Forwards two connections to the sidecar: that of the check at the start, and that of the readings. Its backlog is full, so that every further one hangs.
struct Door {
    address: std::net::SocketAddr,
    forwarding: tokio::task::JoinHandle<()>,
}

impl Door {
    fn start(sidecar: std::net::SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
        let listener = socket.listen(1).expect("listening");
        let address = listener.local_addr().expect("an address");
        Self { address, forwarding: tokio::task::spawn_local(forward_two(listener, sidecar)) }
    }
}

async fn forward_two(listener: TcpListener, sidecar: std::net::SocketAddr) {
    let (first, _) = listener.accept().await.expect("a connection");
    let (second, _) = listener.accept().await.expect("a connection");
    let address = listener.local_addr().expect("an address");
    // The gateway's readings have come in; now the way is blocked.
    let mut in_the_way = Vec::new();
    // The queue takes one more than its length, and a connection beyond that gets no answer at all.
    while let Ok(Ok(stream)) = tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(address)).await {
        in_the_way.push(stream);
    }
    let forward = async |mut inside: TcpStream| {
        let mut outside = TcpStream::connect(sidecar).await.expect("the sidecar");
        let _ = tokio::io::copy_bidirectional(&mut inside, &mut outside).await;
    };
    tokio::join!(forward(first), forward(second));
    drop((listener, in_the_way));
}

impl Drop for Door {
    fn drop(&mut self) {
        self.forwarding.abort();
    }
}
