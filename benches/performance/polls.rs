//! `GET /v1/jobs/{id}` with random ids out of many, against the same server answering with a constant body.
//!
//! Clients poll jobs that are unfinished or just over: these are in the memory of the process. Jobs that ended long ago
//! are read from the store; they are measured too, so that the price of that is known.

use std::path::Path;
use std::time::Duration;

use scalegate::access::Token;
use scalegate::domain::JobId;
use tempfile::TempDir;

use super::load::{Client, Loaded, load, runtime};
use super::many_jobs::{Shape, fill};
use super::process::Process;
use super::table::{Table, thousands};

const JOBS: usize = 100_000;
const CONNECTIONS: usize = 32;
const TIME: Duration = Duration::from_secs(1);
/// Each kind of load is given several times, in turns, and the best of each is compared: whatever else the machine does
/// meanwhile makes both slower, and never faster. It does so for seconds at a time: many short turns rather than a few
/// long ones.
const ROUNDS: usize = 15;
/// Files of the panel, among which is one not much larger than a job.
const CONSTANTS: [&str; 6] = [
    "/panel/icon.svg",
    "/panel/vendor/preact.LICENSE.txt",
    "/panel/vendor/uPlot.LICENSE.txt",
    "/panel/main.js",
    "/panel/routes.js",
    "/panel/views/wish.js",
];

pub fn measure(table: &mut Table) {
    let reach = "≥ 0.80, p99 ≤ 1.5 ×";
    measure_jobs(table, "unfinished jobs", |reason_chars| Shape::CoolingDown { reason_chars }, reach);
    // From before the start of the process: none of them is in its memory.
    measure_jobs(table, "jobs that ended long ago", |reason_chars| Shape::Finished { reason_chars }, "–");
}

/// Of jobs whose shape depends on how long their reason is.
fn measure_jobs(table: &mut Table, jobs: &str, shape: fn(usize) -> Shape, reach: &str) {
    let directory = TempDir::new().expect("a directory");
    let ids = fill(directory.path(), 1, shape(0));
    let paths = [format!("/v1/jobs/{}", ids[0])].into_iter().chain(CONSTANTS.map(str::to_owned));
    let mut lengths = lengths_of(directory.path(), paths).into_iter();
    let (length, _) = lengths.next().expect("that of the job");
    let (target, path) = lengths.filter(|(size, _)| *size >= length + 3).min().expect("one is as large as a job");
    // The reason makes up for the difference: without one, a job has `null` there, with one, quotes around it.
    let padding = target - length + "null".len() - "\"\"".len();
    let directory = TempDir::new().expect("a directory");
    let ids = fill(directory.path(), JOBS, shape(padding));
    let gateway = start(directory.path());
    let job = |id: &JobId| get(&format!("/v1/jobs/{id}"), &gateway.key);
    let requests: Vec<Vec<u8>> = ids.iter().map(job).collect();
    let fixed = get(&path, &gateway.key);
    let (mut polls, mut constants) = (Vec::new(), Vec::new());
    runtime().block_on(async {
        let mut client = Client::connect(gateway.address).await;
        client.exchange(&requests[0]).await;
        let polled = client.body().len();
        client.exchange(&fixed).await;
        assert_eq!(polled, client.body().len(), "both bodies have the same size");
        for _ in 0..ROUNDS {
            let fixed = fixed.clone();
            constants.push(run(&gateway, move |_, bytes| bytes.extend_from_slice(&fixed)).await);
            polls.push(scattered(&gateway, requests.clone()).await);
        }
    });
    let (polls, constants) = (best(polls), best(constants));
    table.row(
        &format!("`GET /v1/jobs/{{id}}`, {} {jobs}, random ids, with a key", thousands(JOBS as f64)),
        format!("a constant body of the same {target} bytes: {}", rate(&constants)),
        format!(
            "{} = {:.2} of it, p99 {:.2} × (load generator {:.0} % busy)",
            rate(&polls),
            polls.per_second() / constants.per_second(),
            millis(polls.percentile(99.0)) / millis(constants.percentile(99.0)),
            polls.own_share * 100.0,
        ),
        reach,
    );
}

/// The run with the most answers in a second.
pub fn best(runs: Vec<Loaded>) -> Loaded {
    runs.into_iter().max_by(|a, b| a.per_second().total_cmp(&b.per_second())).expect("one")
}

pub fn rate(run: &Loaded) -> String {
    format!("{} /s, p99 {:.2} ms", thousands(run.per_second()), millis(run.percentile(99.0)))
}

/// A gateway that keeps all jobs there are in `directory`.
pub fn start(directory: &Path) -> Process {
    Process::gateway(directory, "http://127.0.0.1:9", &["--keep-finished-count", "1000000"])
}

/// Sends all of these requests, again and again, scattered and each time in another order.
pub async fn scattered(server: &Process, requests: Vec<Vec<u8>>) -> Loaded {
    run(server, move |nth, bytes| {
        let place = nth.wrapping_mul(0x9e37_79b9_7f4a_7c15) % requests.len();
        bytes.extend_from_slice(&requests[place]);
    })
    .await
}

async fn run(server: &Process, request: impl Fn(usize, &mut Vec<u8>) + Send + Sync + 'static) -> Loaded {
    load(server.address, CONNECTIONS, TIME, &[200], request).await
}

pub fn get(path: &str, key: &Token) -> Vec<u8> {
    let key = key.expose();
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n\r\n").into_bytes()
}

/// How large the bodies at these paths are, each with its path.
fn lengths_of(directory: &Path, paths: impl Iterator<Item = String>) -> Vec<(usize, String)> {
    let gateway = start(directory);
    runtime().block_on(async {
        let mut client = Client::connect(gateway.address).await;
        let mut lengths = Vec::new();
        for path in paths {
            assert_eq!(client.exchange(&get(&path, &gateway.key)).await, 200, "{path}");
            lengths.push((client.body().len(), path));
        }
        lengths
    })
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
