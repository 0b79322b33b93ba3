//! Very many resources that all step every second, against the simulated sidecar: how many steps go out in time.
//!
//! Jobs are submitted evenly over the first second, so that their steps are due evenly over each of the following ones.
//! All at once, they would show how long a burst of steps takes, and not how many steps a second there can be.

use std::sync::Arc;
use std::time::Duration;

use scalegate::api::view::JobList;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::load::{Client, post, runtime};
use super::process::Process;
use super::table::{Table, thousands};

const COOLDOWN: Duration = Duration::from_secs(1);
/// The first and the last ones are made while others have not begun or are over.
const STEPS: u32 = 15;
/// Jobs are submitted over so many connections.
const CLIENTS: usize = 128;
const IN_TIME: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(180);

pub fn measure(table: &mut Table) {
    for resources in [1000, 3000] {
        let late = run(resources);
        let in_time = late.iter().filter(|late| **late <= IN_TIME).count();
        let at = |percent: f64| late[((late.len() as f64 * percent / 100.0) as usize).min(late.len() - 1)];
        table.row(
            &format!("{} resources, each stepping every second", thousands(resources as f64)),
            format!("{} steps due", thousands(late.len() as f64)),
            format!(
                "{:.2} % within 50 ms; median {:.0} ms, p99 {:.0} ms late",
                in_time as f64 / late.len() as f64 * 100.0,
                at(50.0).as_secs_f64() * 1000.0,
                at(99.0).as_secs_f64() * 1000.0,
            ),
            if resources == 1000 { "≥ 99.9 %" } else { "–" },
        );
    }
}

/// How late each step was after the end of its cooldown, sorted.
fn run(resources: usize) -> Vec<Duration> {
    let directory = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory on a disk");
    let simulator = Process::simulator(&["--provisioning", "0s"]);
    // Listed, since there may be few others.
    let config = directory.path().join("scalegate.toml");
    let listed: String = (0..resources).map(|nth| format!("[resources.r{nth}]\n")).collect();
    std::fs::write(&config, listed).expect("written");
    let config = config.to_str().expect("text");
    let settings = ["--cooldown", "1s", "--settle", "1s", "--poll-interval", "1s", "--config", config];
    let gateway = Process::gateway_everywhere(&directory.path().join("data"), &simulator.url(), &settings);
    let key = gateway.key.expose().to_owned();
    let submit = move |nth: usize, bytes: &mut Vec<u8>| {
        let body = format!("{{\"resource\":\"r{nth}\",\"targetCapacity\":{}}}", 1 + STEPS);
        post("/v1/jobs", &key, &body, bytes);
    };
    runtime().block_on(async {
        submit_all(&gateway, resources, submit).await;
        finished(&gateway, resources).await
    })
}

async fn submit_all(gateway: &Process, resources: usize, submit: impl Fn(usize, &mut Vec<u8>) + Send + Sync + 'static) {
    let submit = Arc::new(submit);
    let mut clients = JoinSet::new();
    let begun = Instant::now();
    for first in 0..CLIENTS {
        let (submit, address) = (Arc::clone(&submit), gateway.address);
        clients.spawn(async move {
            let (mut client, mut bytes) = (Client::connect(address).await, Vec::new());
            for nth in (first..resources).step_by(CLIENTS) {
                sleep_until(begun + COOLDOWN * nth as u32 / resources as u32).await;
                bytes.clear();
                submit(nth, &mut bytes);
                assert_eq!(client.exchange(&bytes).await, 202, "{}", client.text());
            }
        });
    }
    clients.join_all().await;
}

/// Waits for all jobs to be over; how late their steps were.
async fn finished(gateway: &Process, resources: usize) -> Vec<Duration> {
    let mut client = Client::connect(gateway.address).await;
    let begun = Instant::now();
    while count(&mut client, gateway, "state=queued&state=running").await > 0 {
        assert!(begun.elapsed() < PATIENCE, "it takes too long");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let (mut late, mut token, mut seen) = (Vec::new(), String::new(), 0);
    loop {
        let list = list(&mut client, gateway, &format!("pageSize=200{token}")).await;
        for job in &list.jobs {
            let sent: Vec<_> = job.steps.iter().filter_map(|step| step.sent_at).collect();
            late.extend(sent.windows(2).map(|pair| pair[1].0.since(pair[0].0).saturating_sub(COOLDOWN)));
            seen += 1;
        }
        match list.next_page_token {
            Some(next) => token = format!("&pageToken={next}"),
            None => break,
        }
    }
    assert_eq!(seen, resources);
    late.sort_unstable();
    late
}

async fn count(client: &mut Client, gateway: &Process, filter: &str) -> usize {
    list(client, gateway, &format!("pageSize=1&{filter}")).await.jobs.len()
}

async fn list(client: &mut Client, gateway: &Process, query: &str) -> JobList {
    let key = gateway.key.expose();
    let request = format!("GET /v1/jobs?{query} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n\r\n");
    assert_eq!(client.exchange(request.as_bytes()).await, 200, "{}", client.text());
    serde_json::from_slice(client.body()).expect("a list")
}
