//! Policies: how soon a pushed sample becomes a change, and what very many of them take.
//!
//! Each policy has one pushed metric and a rule of one unit for each 100 of it. Samples are pushed over HTTP, one request
//! for each, as workers do.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use scalegate::api::view::DecisionView;
use scalegate::clock::Clock;
use scalegate::domain::Timestamp;
use scalegate::sim::sidecar::Behaviour;
use serde::Deserialize;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::idle::{QUIET, idle};
use super::load::{Client, request, runtime};
use super::process::Process;
use super::support::sidecar::Sidecar;
use super::table::{Table, thousands};

/// Resources whose policies each make one change.
const CHANGES: usize = 500;
/// Between two samples of different resources.
const PAUSE: Duration = Duration::from_millis(10);
/// Resources with a sample each second.
const MANY: usize = 1000;
const SECONDS: u32 = 30;
const CLIENTS: usize = 16;
/// What comes within so long after a decision is decided on together at its end.
const TOGETHER: Duration = Duration::from_secs(1);
/// Policies of an idle gateway.
const IDLE: usize = 100;
/// Until each resource was read for the first time: readings are spread over the poll interval.
const FIRST_READINGS: Duration = Duration::from_secs(3);

pub fn measure(table: &mut Table) {
    runtime().block_on(sample_to_change(table));
    runtime().block_on(many(table));
    runtime().block_on(idle_with_policies(table));
}

/// A gateway with a policy for each of so many resources.
struct Scene {
    gateway: Arc<Process>,
    sidecar: Sidecar,
    _directory: TempDir,
}

impl Scene {
    async fn start(resources: usize, max: u32, poll_interval: &str) -> Self {
        let directory = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory on a disk");
        let sidecar = Sidecar::start(Behaviour::default());
        let config = config(directory.path(), resources);
        let settings = ["--poll-interval", poll_interval, "--config", &config];
        let url = format!("http://{}", sidecar.address());
        let gateway = Arc::new(Process::gateway(&directory.path().join("data"), &url, &settings));
        let policy = format!(
            r#"{{"min":1,"max":{max},"metrics":{{"queue":{{"source":{{"type":"push"}}}}}},
                "rules":[{{"name":"queue","type":"target","metric":"queue","perUnit":100}}]}}"#
        );
        let mut client = Client::connect(gateway.address).await;
        for nth in 0..resources {
            let put = gateway.ask("PUT", &format!("/v1/resources/r{nth}/policy"), &policy);
            assert_eq!(client.exchange(&put).await, 201, "{}", client.text());
        }
        sleep(FIRST_READINGS).await;
        Self { gateway, sidecar, _directory: directory }
    }

    async fn decisions(&self, client: &mut Client, nth: usize) -> Vec<DecisionView> {
        #[derive(Deserialize)]
        struct Page {
            decisions: Vec<DecisionView>,
        }
        let get = self.gateway.ask("GET", &format!("/v1/resources/r{nth}/decisions?pageSize=200"), "");
        assert_eq!(client.exchange(&get).await, 200, "{}", client.text());
        serde_json::from_slice::<Page>(client.body()).expect("a page").decisions
    }
}

/// A configuration that lists so many resources, since there may be few others.
fn config(directory: &Path, resources: usize) -> String {
    let path = directory.join("scalegate.toml");
    let listed: String = (0..resources).map(|nth| format!("[resources.r{nth}]\n")).collect();
    std::fs::write(&path, listed).expect("written");
    path.to_str().expect("text").to_owned()
}

impl Process {
    fn ask(&self, method: &str, path: &str, body: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        request(method, path, self.key.expose(), body, &mut bytes);
        bytes
    }

    fn sample(&self, nth: usize, value: u32) -> Vec<u8> {
        self.ask("POST", &format!("/v1/resources/r{nth}/metrics/queue"), &format!("{{\"value\":{value}}}"))
    }
}

/// From the first byte of a sample until its change has reached the sidecar.
async fn sample_to_change(table: &mut Table) {
    let scene = Scene::start(CHANGES, 20, "1s").await;
    let (clock, mut pushed) = (Clock::start(), Vec::new());
    let mut client = Client::connect(scene.gateway.address).await;
    for nth in 0..CHANGES {
        let sample = scene.gateway.sample(nth, 250);
        pushed.push(clock.now());
        assert_eq!(client.exchange(&sample).await, 202, "{}", client.text());
        sleep(PAUSE).await;
    }
    sleep(TOGETHER).await;
    let changes = scene.sidecar.changes();
    let arrived = |nth: usize| {
        let of_it = changes.iter().find(|change| change.alias.as_str() == format!("r{nth}"));
        of_it.expect("each policy has made its change").at
    };
    let mut took: Vec<Duration> = pushed.iter().enumerate().map(|(nth, at)| arrived(nth).since(*at)).collect();
    took.sort_unstable();
    table.row(
        "pushed sample → change at the sidecar, nothing in the way",
        format!("{CHANGES} changes"),
        format!("median {}, 99th percentile {}", millis(at(&took, 50)), millis(at(&took, 99))),
        "≤ 50 ms",
    );
}

/// Every sample makes its policy decide something that it did not decide before, and nothing is to be changed.
async fn many(table: &mut Table) {
    let scene = Scene::start(MANY, 1, "30s").await;
    // A policy is read every half minute; each is to have been read.
    sleep(Duration::from_secs(30)).await;
    let (begun, used) = (Instant::now(), scene.gateway.cpu());
    let mut clients = JoinSet::new();
    for first in 0..CLIENTS {
        let gateway = Arc::clone(&scene.gateway);
        clients.spawn(async move {
            let mut client = Client::connect(gateway.address).await;
            for second in 0..SECONDS {
                for nth in (first..MANY).step_by(CLIENTS) {
                    sleep_until(begun + TOGETHER * second + TOGETHER * nth as u32 / MANY as u32).await;
                    let sample = gateway.sample(nth, 100 * (second + 2));
                    assert_eq!(client.exchange(&sample).await, 202, "{}", client.text());
                }
            }
        });
    }
    clients.join_all().await;
    let share = (scene.gateway.cpu() - used).as_secs_f64() / begun.elapsed().as_secs_f64();
    sleep(TOGETHER * 2).await;
    let (mut late, mut client) = (Vec::new(), Client::connect(scene.gateway.address).await);
    for nth in 0..MANY {
        lateness(&scene.decisions(&mut client, nth).await, &mut late);
    }
    late.sort_unstable();
    table.row(
        &format!("{} policies, a sample each second for every one", thousands(MANY as f64)),
        format!("{} decisions, no two alike", thousands(late.len() as f64)),
        format!(
            "{share:.2} of a core; decisions median {}, 99th percentile {}, at most {} late",
            millis(at(&late, 50)),
            millis(at(&late, 99)),
            millis(at(&late, 100)),
        ),
        "≤ 0.5 of a core, ≤ 100 ms",
    );
}

/// How late each of the `decisions`, newest first, was after the sample that it took into account, or, where one was taken
/// less than a second before, after the end of that second.
fn lateness(decisions: &[DecisionView], late: &mut Vec<Duration>) {
    let mut before: Option<Timestamp> = None;
    for decision in decisions.iter().rev() {
        let observed = decision.metrics.get("queue").and_then(|metric| metric.observed_at);
        if let Some(observed) = observed.filter(|_| decision.trigger == scalegate::domain::policy::Trigger::Metric) {
            let due = before.map_or(observed.0, |before| observed.0.max(before + TOGETHER));
            late.push(decision.at.0.since(due));
        }
        before = Some(decision.last_at.0);
    }
}

/// As idle as a gateway without them, but for the readings of their resources.
async fn idle_with_policies(table: &mut Table) {
    let bare = {
        let (directory, sidecar) = (TempDir::new().expect("a directory"), Sidecar::start(Behaviour::default()));
        let config = config(directory.path(), IDLE);
        let url = format!("http://{}", sidecar.address());
        let gateway = Process::gateway(&directory.path().join("data"), &url, &["--config", &config]);
        idle(&gateway)
    };
    let scene = Scene::start(IDLE, 20, "3600s").await;
    let read = Scene::start(IDLE, 20, "30s").await;
    let (unread, read) = (idle(&scene.gateway), idle(&read.gateway));
    table.row(
        &format!(
            "idle for {} s with {IDLE} policies whose metrics are pushed, resources read each hour",
            QUIET.as_secs()
        ),
        format!("without policies: {bare}"),
        unread,
        "as idle as without",
    );
    table.row("… resources read every 30 s", "the same", read, "–");
}

fn at(sorted: &[Duration], percent: usize) -> Duration {
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]
}

fn millis(duration: Duration) -> String {
    format!("{:.0} ms", duration.as_secs_f64() * 1000.0)
}
