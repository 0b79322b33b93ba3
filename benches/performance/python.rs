//! The gateway beside what one would write without it: FastAPI with a background task for each job, in which the client
//! of the platform's guide waits and changes one unit at a time. It is `python/app.py`, which says what it does not do.
//!
//! It has what makes it faster without being written differently: uvloop, httptools, handlers that need no thread,
//! response models, no access log. It is one process because its jobs are in its memory: each of several would know
//! only its own. Both run on the same cores and get the same requests but for the path; the app ignores the key. Its
//! jobs are smaller.
//!
//! Submissions are measured with a sidecar that never answers, so that on both sides only their acceptance takes time.
//! If it answered, the app's threads would take processor time from its handlers. The app begins each run anew, and the
//! runs are short: the more jobs wait for a thread in it, the longer its garbage collector stops it.
//!
//! The packages come from PyPI. Where they or Python cannot be had, this part adds nothing to the table.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::load::{Client, Loaded, load, post, runtime};
use super::many_jobs::{Shape, fill};
use super::polls::{self, best, get, rate};
use super::process::Process;
use super::submissions::{self, RESOURCES, busy_gateway, silent_sidecar};
use super::table::{Table, thousands};

const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/performance/python");
/// How the rows begin.
const BESIDE: &str = "beside FastAPI and the guide's client:";
const ROUNDS: usize = 3;
/// Jobs of which some are asked for.
const JOBS: usize = 10_000;
const SUBMITTING: Duration = Duration::from_secs(1);
/// Jobs that are to be in progress at a time.
const AT_ONCE: usize = 200;
const BEGUN_WITHIN: Duration = Duration::from_secs(5);
/// Between two looks at a job.
const PAUSE: Duration = Duration::from_millis(10);

pub fn measure(table: &mut Table) {
    match environment() {
        Ok(python) => {
            compare_polls(table, &python);
            compare_submissions(table, &python);
            compare_jobs_at_once(table, &python);
            compare_time_to_target(table, &python);
            compare_memory(table, &python);
        }
        Err(error) => eprintln!("there is nothing to compare with: {error}"),
    }
}

/// Python with the packages that are required, installed once and used until the requirements change.
fn environment() -> Result<PathBuf, String> {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (environment, ready) = (home.join("performance-python"), home.join("performance-python.ready"));
    let python = environment.join("bin").join("python");
    let requirements = Path::new(DIRECTORY).join("requirements.txt");
    let wanted = std::fs::read_to_string(&requirements).expect("the requirements");
    if python.exists() && std::fs::read_to_string(&ready).is_ok_and(|made| made == wanted) {
        return Ok(python);
    }
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&environment))?;
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-input"]);
    run(pip.args(["--require-hashes", "--only-binary", ":all:", "-r"]).arg(&requirements))?;
    std::fs::write(&ready, wanted).expect("a note");
    Ok(python)
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    let said = || format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.status.success().then_some(()).ok_or_else(said)
}

/// What takes jobs, and the path they are submitted to.
struct Service {
    process: Process,
    jobs: &'static str,
}

impl Service {
    fn app(python: &Path, variables: &[(&str, &str)]) -> Self {
        Self { process: Process::python_app(python, Path::new(DIRECTORY), variables), jobs: "/jobs" }
    }

    fn gateway(directory: &Path, sidecar: &str, more: &[&str]) -> Self {
        Self { process: Process::gateway(directory, sidecar, more), jobs: "/v1/jobs" }
    }

    async fn client(&self) -> Client {
        Client::connect(self.process.address).await
    }

    /// Submits a job; its path.
    async fn submit(&self, client: &mut Client, resource: &str, target: u32) -> String {
        let body = format!("{{\"resource\":\"{resource}\",\"targetCapacity\":{target}}}");
        let mut request = Vec::new();
        post(self.jobs, self.process.key.expose(), &body, &mut request);
        assert_eq!(client.exchange(&request).await, 202, "{}", client.text());
        let job: Value = serde_json::from_slice(client.body()).expect("a job");
        format!("{}/{}", self.jobs, job["id"].as_str().expect("an id"))
    }

    /// Waits for the job at `path` to be over.
    async fn finished(&self, client: &mut Client, path: &str) {
        loop {
            assert_eq!(client.exchange(&get(path, &self.process.key)).await, 200, "{}", client.text());
            let job: Value = serde_json::from_slice(client.body()).expect("a job");
            match job["state"].as_str() {
                Some("succeeded") => return,
                Some("queued" | "running") => tokio::time::sleep(PAUSE).await,
                _ => panic!("it did not succeed: {job}"),
            }
        }
    }
}

fn compare_polls(table: &mut Table, python: &Path) {
    let simulator = Process::simulator(&["--provisioning", "0s"]);
    let app = Service::app(python, &[("SIDECAR_URL", &simulator.url()), ("COOLDOWN_SECONDS", "0")]);
    let directory = TempDir::new().expect("a directory");
    let ids = fill(directory.path(), JOBS, Shape::Finished { reason_chars: 0 });
    let gateway = polls::start(directory.path());
    let of_gateway: Vec<_> = ids.iter().map(|id| get(&format!("/v1/jobs/{id}"), &gateway.key)).collect();
    let (mut theirs, mut ours) = (Vec::new(), Vec::new());
    let [of_theirs, of_ours] = runtime().block_on(async {
        let of_app: Vec<_> = one_step_each(&app).await.iter().map(|path| get(path, &app.process.key)).collect();
        for _ in 0..ROUNDS {
            theirs.push(polls::scattered(&app.process, of_app.clone()).await);
            ours.push(polls::scattered(&gateway, of_gateway.clone()).await);
        }
        [size(&app.process, &of_app[0]).await, size(&gateway, &of_gateway[0]).await]
    });
    let (theirs, ours) = (best(theirs), best(ours));
    table.row(
        &format!("{BESIDE} a job out of {}, random ids", thousands(JOBS as f64)),
        format!("{of_theirs} bytes each: {}", rate(&theirs)),
        format!("{of_ours} bytes each: {} = {}", rate(&ours), times_as_many(&ours, &theirs)),
        "–",
    );
}

/// The paths of jobs that are over, each after a change of a resource of its own.
async fn one_step_each(app: &Service) -> Vec<String> {
    let (mut client, mut paths) = (app.client().await, Vec::with_capacity(JOBS));
    for number in 0..JOBS {
        paths.push(app.submit(&mut client, &format!("r{number}"), 2).await);
    }
    for path in &paths {
        app.finished(&mut client, path).await;
    }
    paths
}

async fn size(server: &Process, request: &[u8]) -> usize {
    let mut client = Client::connect(server.address).await;
    assert_eq!(client.exchange(request).await, 200, "{}", client.text());
    client.body().len()
}

fn compare_submissions(table: &mut Table, python: &Path) {
    let directory = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory on a disk");
    let (_silent, sidecar) = silent_sidecar();
    let gateway = busy_gateway(directory.path(), &sidecar, Duration::ZERO);
    let mut first = 0;
    for (clients, who) in [(1, "one client"), (128, "128 clients")] {
        let (mut theirs, mut ours) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            first += 10_000;
            theirs.push(submit(&Service::app(python, &[("SIDECAR_URL", &sidecar)]), clients));
            ours.push(submissions::submit(&gateway, clients, SUBMITTING, first));
        }
        let (theirs, ours) = (best(theirs), best(ours));
        table.row(
            &format!("{BESIDE} submissions, {who}"),
            format!("not durable: {}", rate(&theirs)),
            format!("durable: {} = {}", rate(&ours), times_as_many(&ours, &theirs)),
            "–",
        );
    }
}

fn submit(app: &Service, clients: usize) -> Loaded {
    let (path, key) = (app.jobs, app.process.key.expose().to_owned());
    runtime().block_on(load(app.process.address, clients, SUBMITTING, &[202], move |nth, bytes| {
        let body = format!("{{\"resource\":\"r{}\",\"targetCapacity\":{nth}}}", nth % RESOURCES);
        post(path, &key, &body, bytes);
    }))
}

fn times_as_many(ours: &Loaded, theirs: &Loaded) -> String {
    let times = ours.per_second() / theirs.per_second();
    let busy = |run: &Loaded| run.own_share * 100.0;
    format!("{times:.1} × as many (load generator {:.0} % busy, before {:.0} %)", busy(ours), busy(theirs))
}

/// Resources of which each has a cooldown so long that all jobs are there at a time.
fn compare_jobs_at_once(table: &mut Table, python: &Path) {
    let directory = TempDir::new().expect("a directory");
    let simulators = [(); 2].map(|()| Process::simulator(&["--provisioning", "0s"]));
    let app = Service::app(python, &[("SIDECAR_URL", &simulators[0].url()), ("COOLDOWN_SECONDS", "3600")]);
    let theirs = runtime().block_on(begun(&app, &simulators[0]));
    let gateway = Service::gateway(directory.path(), &simulators[1].url(), &["--cooldown", "1h"]);
    let ours = runtime().block_on(begun(&gateway, &simulators[1]));
    table.row(
        &format!("{BESIDE} {AT_ONCE} jobs, each for a resource of its own, jobs in progress at a time"),
        theirs,
        ours,
        "–",
    );
}

/// How many of the jobs have changed something within a while.
async fn begun(service: &Service, simulator: &Process) -> usize {
    let mut client = service.client().await;
    for number in 0..AT_ONCE {
        service.submit(&mut client, &format!("r{number}"), 3).await;
    }
    tokio::time::sleep(BEGUN_WITHIN).await;
    let (mut sidecar, mut begun) = (Client::connect(simulator.address).await, 0);
    for number in 0..AT_ONCE {
        let request = get(&format!("/resource/r{number}/capacity"), &simulator.key);
        assert_eq!(sidecar.exchange(&request).await, 200, "{}", sidecar.text());
        let reading: Value = serde_json::from_slice(sidecar.body()).expect("a reading");
        begun += usize::from(reading["currentCapacity"] == 2);
    }
    begun
}

/// A minute of provisioning, the guide's waits and the gateway's default ones, all a sixtieth as long.
fn compare_time_to_target(table: &mut Table, python: &Path) {
    const LEAST: Duration = Duration::from_secs(6);
    let directory = TempDir::new().expect("a directory");
    let simulators = [(); 2].map(|()| Process::simulator(&["--provisioning", "1s"]));
    let variables = [("SIDECAR_URL", &*simulators[0].url()), ("COOLDOWN_SECONDS", "5"), ("POLL_SECONDS", "0.5")];
    let app = Service::app(python, &variables);
    let settings = ["--cooldown", "5s", "--poll-interval", "500ms", "--settle", "1500ms"];
    let gateway = Service::gateway(directory.path(), &simulators[1].url(), &settings);
    let [theirs, ours] = [&app, &gateway].map(|service| {
        let took = runtime().block_on(one_to_three(service));
        format!("{:.2} s = {:.2} × the least", took.as_secs_f64(), took.as_secs_f64() / LEAST.as_secs_f64())
    });
    let what = "1 → 3, 1 s of provisioning, 5 s of cooldown, the least possible is 6 s, until the job is over";
    table.row(&format!("{BESIDE} {what}"), theirs, ours, "–");
}

async fn one_to_three(service: &Service) -> Duration {
    let mut client = service.client().await;
    let begun = Instant::now();
    let job = service.submit(&mut client, "worker", 3).await;
    service.finished(&mut client, &job).await;
    begun.elapsed()
}

fn compare_memory(table: &mut Table, python: &Path) {
    let directory = TempDir::new().expect("a directory");
    let sidecar = "http://127.0.0.1:9";
    let app = Service::app(python, &[("SIDECAR_URL", sidecar)]);
    let gateway = Service::gateway(directory.path(), sidecar, &[]);
    std::thread::sleep(Duration::from_secs(2));
    let [theirs, ours] = [app, gateway].map(|service| service.process.resident_kib() as f64 / 1024.0);
    table.row(
        &format!("{BESIDE} idle, resident memory"),
        format!("{theirs:.1} MiB"),
        format!("{ours:.1} MiB = {:.2} of it", ours / theirs),
        "–",
    );
}
