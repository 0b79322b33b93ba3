//! `kill -9` at random moments on the real binary, under load, with a referee who remembers everything.
//!
//! Clients submit, poll and cancel jobs on several resources at once while the process is killed and started again on
//! the same files, over and over: while it starts, right after, just after a submission or a change was sent, or at any
//! time. Now and then the files a killed process leaves are examined. The simulated sidecar runs in the test's own
//! process, is never killed, loses requests and answers, and so knows the truth. In the end every job must be over, and
//! then three records must agree: what the clients were told ([`referee`]), what the gateway says it did, and what
//! reached the sidecar ([`verdict`]). Two more resources have policies, which clients push metrics to and make claims and holds
//! on ([`policies`]). Three others are scaled in groups, two of them in one stage and so in one request where both go the
//! same way ([`groups`]). A client follows the stream of events all the while, and must have heard
//! everything once ([`follower`]).
//!
//! `KILLS` sets the number of kills (60), `KILL_SEED` repeats the choices of an earlier run, as far as real processes
//! allow. What `kill -9` cannot show: whether a commit would survive a power cut. What a killed process has handed to
//! the system is written all the same.

#[path = "../support/mod.rs"]
mod support;

mod autopsy;
mod follower;
mod groups;
mod killer;
mod load;
mod policies;
mod referee;
mod verdict;

use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use follower::Follower;
use killer::{Killer, Scene};
use load::Load;
use referee::Referee;
use scalegate::api::view::{JobList, JobView};
use scalegate::sim::sidecar::{Behaviour, FaultRates, Faults};
use support::gateway::try_send;
use support::sidecar::Sidecar;
use tempfile::TempDir;
use tokio::sync::watch;

/// The resources that people scale; those of [`policies::POLICED`] have policies.
const RESOURCES: [&str; 6] = ["api", "batch", "cache", "queue", "web", "worker"];
/// Largest capacity of each resource; the least is 0.
const MOST_UNITS: u32 = 8;
const SETTLE: Duration = Duration::from_millis(300);
const SETTINGS: [&str; 15] = [
    "--cooldown",
    "400ms",
    "--settle",
    "300ms",
    "--poll-interval",
    "40ms",
    "--active-timeout",
    "30s",
    "--max-queue-length",
    "4",
    "--grouped-calls",
    // Nothing the referee asks for in the end may have been removed.
    "--keep-finished-count",
    "1000000",
    "--keep-finished-for",
    "7d",
];
/// The part of a run that chooses what clients of policies do.
const POLICIES: u64 = 100;
/// The part of a run that chooses what the client of groups does.
const GROUPS: u64 = 200;
/// Longest wait for the jobs that are left after the last kill; far more than they take.
const PATIENCE: Duration = Duration::from_secs(180);

/// A sidecar with short waits and all its faults.
fn difficult() -> Behaviour {
    let changes = FaultRates {
        answer_lost: 0.05,
        request_lost: 0.05,
        error_before: 0.04,
        error_after: 0.04,
        slow: 0.05,
        garbage: 0.02,
    };
    let reads =
        FaultRates { answer_lost: 0.02, error_before: 0.02, slow: 0.02, garbage: 0.01, ..FaultRates::default() };
    Behaviour {
        provisioning: Duration::from_millis(80),
        read_lag: Duration::from_millis(50),
        faults: Faults { reads, changes, slow_for: Duration::from_millis(150) },
        ..Behaviour::default()
    }
}

#[actix_web::test]
async fn at_random_moments_lose_nothing_and_repeat_nothing() {
    let (kills, seed) = (number("KILLS").unwrap_or(60), number("KILL_SEED").unwrap_or_else(seed_of_the_day));
    println!("{kills} kills; KILL_SEED={seed} repeats them");
    let begin = Instant::now();
    let (sidecar, data) = (Arc::new(Sidecar::start(difficult())), TempDir::new().expect("a directory"));
    let referee = Arc::new(Referee::default());
    let (announce, way) = watch::channel(None);
    let scene = Scene::new(data.path(), Arc::clone(&sidecar), Arc::clone(&referee), &config(), &SETTINGS);
    let mut killer = Killer::start(scene, seed, kills, announce);
    let follower = Follower::start(&way).await;
    let promises = policies::Promises::default();
    policies::Client::new(&promises, &way, seed, POLICIES).put_policies().await;
    let mut load = Load::start(&referee, &way, seed);
    load.add_policies(&promises, &way, seed);
    let promised_groups = groups::Promises::default();
    load.add_groups(&promised_groups, &way, seed);
    tokio::select! {
        () = killer.done() => {}
        () = load.failed() => {}
    }
    let (toll, last) = killer.join();
    load.stop().await;

    let address = way.borrow().expect("the last process is ready");
    let ledger = policies::Client::new(&promises, &way, seed, POLICIES).finish().await;
    // One that is not over may still submit jobs.
    let groups = groups::outlast(&format!("http://{address}")).await;
    let jobs = outlast(&format!("http://{address}")).await;
    let heard = follower.finish(address, &jobs).await;
    last.kill();
    autopsy::examine(data.path(), &referee);
    let records = sidecar.records();
    let tally = verdict::judge(&jobs, &records, &referee);
    ledger.judge(&jobs);
    let group_tally = groups::judge(&groups, &jobs, &records, &promised_groups.borrow());
    println!(
        "{toll}\n{referee}\n{tally}\n{heard}\n{ledger}\n{group_tally}\nduration: {:.1} s",
        begin.elapsed().as_secs_f64()
    );
    toll.assert_varied(kills);
    tally.assert_worth_it(kills);
    ledger.assert_worth_it(kills);
    group_tally.assert_worth_it(kills);
}

fn number<T: FromStr>(variable: &str) -> Option<T> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text} is not a number")))
}

fn seed_of_the_day() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as u64
}

fn config() -> String {
    let all = RESOURCES.iter().chain(&policies::POLICED).chain(&groups::GROUPED);
    all.map(|resource| format!("[resources.{resource}]\nmin = 0\nmax = {MOST_UNITS}\n")).collect()
}

/// Waits until all jobs are over, and returns them, oldest first.
async fn outlast(gateway: &str) -> Vec<JobView> {
    let begin = Instant::now();
    loop {
        let left = page(gateway, "state=queued&state=running").await.jobs;
        if left.is_empty() {
            return all_jobs(gateway).await;
        }
        assert!(begin.elapsed() < PATIENCE, "jobs that do not end: {left:#?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn all_jobs(gateway: &str) -> Vec<JobView> {
    let mut jobs = Vec::new();
    let mut query = "pageSize=200".to_owned();
    loop {
        let page = page(gateway, &query).await;
        jobs.extend(page.jobs);
        let Some(token) = page.next_page_token else { break };
        query = format!("pageSize=200&pageToken={token}");
    }
    jobs.reverse();
    jobs
}

async fn page(gateway: &str, query: &str) -> JobList {
    let response = try_send(awc::Client::default().get(format!("{gateway}/v1/jobs?{query}")), None).await;
    let response = response.expect("it is not killed any more");
    assert_eq!(response.status, 200, "{}", response.text());
    serde_json::from_slice(&response.body).expect("a list of jobs")
}
