//! The machine's wall clock is set between two processes. A test may not set the real one, so the real binary runs with
//! a small library that makes the wall's clock wrong by so many seconds. The simulated sidecar, which has a clock of
//! its own, tells how far the changes were apart in truth.
//!
//! It is always the first process that has the wrong clock: the second one then shares the right one with the sidecar,
//! and has to make sense of the timestamps in its readings.

#![cfg(target_os = "linux")]

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use crate::support::gateway::{Gateway, serve};
use crate::support::preload;
use crate::support::sidecar::Sidecar;
use scalegate::api::view::JobView;
use scalegate::clock::Clock;
use scalegate::domain::{StateName, Timestamp};
use scalegate::sim::sidecar::{Behaviour, TimestampMode};
use serde_json::json;
use tempfile::TempDir;

const HOUR: i64 = 3600;
/// Long enough to kill a process and start another one within it on a slow machine, too.
const COOLDOWN: Duration = Duration::from_secs(10);
/// One that no test can sit out.
const LONG_COOLDOWN: Duration = Duration::from_secs(1800);

/// The compiled `wall_clock.c`.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| preload::compile("wall_clock"))
}

/// A data directory, a sidecar, and a wall clock that can be set.
struct Machine {
    sidecar: Sidecar,
    directory: TempDir,
    cooldown: Duration,
}

impl Machine {
    fn new(cooldown: Duration) -> Self {
        let directory = TempDir::new().expect("a directory");
        let behaviour = Behaviour { provisioning: Duration::from_secs(1), ..Behaviour::default() };
        Self { sidecar: Sidecar::start(behaviour), directory, cooldown }
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// A gateway on this machine, with the wall's clock wrong by so many seconds.
    fn start(&self, wrong_by: i64) -> Gateway {
        // A sidecar with another clock than the gateway's would be another machine.
        let timestamps = if wrong_by == 0 { TimestampMode::Honest } else { TimestampMode::Missing };
        self.sidecar.with(|model, _| model.behaviour_mut().timestamps = timestamps);
        let cooldown = format!("{}s", self.cooldown.as_secs());
        let settings = ["--cooldown", &cooldown, "--settle", "500ms", "--poll-interval", "100ms"];
        let mut command = serve(&self.data(), self.sidecar.address(), &settings);
        command.env("LD_PRELOAD", library()).env("WALL_CLOCK_OFFSET", wrong_by.to_string());
        Gateway::start_with(command)
    }

    /// How far the first two changes that reached the sidecar were apart.
    fn apart(&self) -> Duration {
        let changes = self.sidecar.changes();
        assert_eq!(changes.len(), 2);
        changes[1].at.since(changes[0].at)
    }

    /// As if the machine had been started anew since a gateway last ran on it.
    fn reboot(&self) {
        let store = rusqlite::Connection::open(self.data().join("scalegate.db")).expect("a store");
        assert_eq!(store.execute("UPDATE clock SET boot = 'another'", []).expect("updated"), 1);
    }
}

fn cools_down(job: &JobView) -> bool {
    job.waiting_for.as_ref().is_some_and(|waiting| waiting.reason == "cooldown")
}

/// When the job goes on, by the gateway's clock.
fn goes_on_at(job: &JobView) -> Timestamp {
    job.waiting_for.as_ref().expect("it waits").until.0
}

/// Fails unless the gateway that accepted `job` just now had a clock wrong by so many seconds.
#[track_caller]
fn assert_clock_wrong_by(wrong_by: i64, job: &JobView) {
    let difference = (job.created_at.0.as_millis() - Clock::start().now().as_millis()) / 1000;
    assert!((difference - wrong_by).abs() < 120, "{difference} s");
}

async fn cooldown_left(gateway: &Gateway) -> f64 {
    let resource = gateway.get("/v1/resources/worker").await.json();
    resource["cooldownRemainingSeconds"].as_f64().expect("a number")
}

fn warnings(gateway: &Gateway) -> Vec<&str> {
    let warnings = gateway.starting.iter().filter(|line| line["level"] == "WARN");
    warnings.filter_map(|line| line["message"].as_str()).collect()
}

/// Kills a gateway with a wrong clock in the cooldown of a job with 15 minutes to live, and starts one with a right
/// clock: the job must go on as if nothing had happened, after a warning in these `words`.
async fn carries_on(wrong_by: i64, words: &str) {
    let machine = Machine::new(COOLDOWN);
    let gateway = machine.start(wrong_by);
    assert_eq!(warnings(&gateway), [""; 0]);
    let job = gateway.submit(&json!({"resource": "worker", "targetCapacity": 3, "deadlineSeconds": 900})).await;
    assert_clock_wrong_by(wrong_by, &job);
    let before = gateway.wait_for(job.id, cools_down).await;
    gateway.kill();

    let gateway = machine.start(0);
    let after = gateway.wait_for(job.id, cools_down).await;
    assert_eq!(goes_on_at(&after), goes_on_at(&before));
    let job = gateway.finish(job.id).await;
    assert_eq!(job.state, StateName::Succeeded, "{job:#?}");
    assert!(machine.apart() >= COOLDOWN, "{:?}", machine.apart());
    let warning = warnings(&gateway).concat();
    assert!(warning.contains(words) && warning.contains("without unfinished jobs"), "{warning}");
}

#[actix_web::test]
async fn a_clock_set_forward_does_not_cut_a_cooldown_short() {
    carries_on(-HOUR, "s behind the machine's").await;
}

#[actix_web::test]
async fn a_clock_set_back_does_not_make_a_cooldown_start_over() {
    carries_on(HOUR, "s ahead of the machine's").await;
}

/// Kills a gateway with a wrong clock when its job is over, and starts one with a right clock, which must take the
/// right time; the cooldown after that job holds for the next one all the same.
async fn is_mended(wrong_by: i64) {
    let machine = Machine::new(COOLDOWN);
    let gateway = machine.start(wrong_by);
    let first = gateway.submit(&json!({"resource": "worker", "targetCapacity": 2})).await;
    assert_clock_wrong_by(wrong_by, &first);
    gateway.finish(first.id).await;
    let left_before = cooldown_left(&gateway).await;
    gateway.kill();

    let gateway = machine.start(0);
    assert_eq!(warnings(&gateway), [""; 0]);
    let left_after = cooldown_left(&gateway).await;
    assert!(left_after <= left_before, "it started over: {left_before} s, then {left_after} s");
    let second = gateway.submit(&json!({"resource": "worker", "targetCapacity": 3})).await;
    assert_clock_wrong_by(0, &second);
    assert_eq!(gateway.finish(second.id).await.state, StateName::Succeeded);
    assert!(machine.apart() >= COOLDOWN, "{:?}", machine.apart());
}

#[actix_web::test]
async fn a_slow_clock_is_mended_when_no_job_is_unfinished() {
    is_mended(-HOUR).await;
}

#[actix_web::test]
async fn a_fast_clock_is_mended_when_no_job_is_unfinished() {
    is_mended(HOUR).await;
}

/// What is not promised; it also shows that a wrong wall clock does reach the gateway.
#[actix_web::test]
async fn after_a_restart_of_the_machine_the_walls_clock_is_believed() {
    let machine = Machine::new(LONG_COOLDOWN);
    let gateway = machine.start(-HOUR);
    let job = gateway.submit(&json!({"resource": "worker", "targetCapacity": 3})).await;
    gateway.wait_for(job.id, cools_down).await;
    gateway.kill();
    machine.reboot();

    let gateway = machine.start(0);
    assert_eq!(warnings(&gateway), [""; 0]);
    assert_eq!(gateway.finish(job.id).await.state, StateName::Succeeded);
    assert!(machine.apart() < LONG_COOLDOWN);
}
