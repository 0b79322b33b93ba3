//! What watchers cost: 10,000 open streams over 100 jobs, and whether any step goes out later because of them.
//!
//! `cargo bench --bench streams` starts the simulated sidecar and a gateway, lets the same jobs run without and with
//! watchers, and prints a table. Every watcher counts what it hears: a change missed or repeated ends the benchmark.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use scalegate::api::view::JobView;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const STREAMS: usize = 10_000;
const JOBS: usize = 100;
const STEPS: u32 = 3;
/// Long enough to open all streams and look at them being quiet before it ends.
const COOLDOWN: Duration = Duration::from_secs(30);
/// In this time each stream gets a heartbeat.
const QUIET: Duration = Duration::from_secs(15);

fn main() {
    // Cargo hands on what it is asked for itself; this benchmark knows no options.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (alone, watched) = runtime.block_on(async { (run(0).await, run(STREAMS).await) });
    println!("{JOBS} jobs of {STEPS} steps, cooldown {} s, on one gateway\n", COOLDOWN.as_secs());
    println!("| | no streams | {STREAMS} streams |\n|---|---|---|");
    let row = |name: &str, value: &dyn Fn(&Measured) -> String| {
        println!("| {name} | {} | {} |", value(&alone), value(&watched));
    };
    let millis = |duration: Duration| format!("{:.1} ms", duration.as_secs_f64() * 1000.0);
    row("resident memory", &|run| format!("{:.1} MiB", run.resident_kib as f64 / 1024.0));
    row("per stream", &|run| match run.streams {
        0 => "–".into(),
        streams => {
            format!("{:.1} KiB", run.resident_kib.saturating_sub(alone.resident_kib) as f64 / streams as f64)
        }
    });
    row("CPU while only heartbeats go out", &|run| format!("{:.2} % of a core", run.idle_cpu * 100.0));
    row("CPU in all", &|run| format!("{:.2} s", run.cpu.as_secs_f64()));
    row("changes told", &|run| run.told.to_string());
    row("CPU per change told", &|run| match run.told {
        0 => "–".into(),
        told => format!("{:.1} µs", (run.cpu.saturating_sub(alone.cpu)).as_secs_f64() * 1e6 / told as f64),
    });
    row("step sent after its cooldown, median", &|run| millis(percentile(&run.late, 50)));
    row("99th percentile", &|run| millis(percentile(&run.late, 99)));
    row("latest", &|run| millis(percentile(&run.late, 100)));
}

struct Measured {
    streams: usize,
    resident_kib: u64,
    idle_cpu: f64,
    cpu: Duration,
    told: u64,
    /// How long after the end of its cooldown each step was sent, in order.
    late: Vec<Duration>,
}

async fn run(streams: usize) -> Measured {
    let dir = TempDir::new().expect("a directory");
    let (_simulator, sidecar) = start(&["simulate", "--listen", "127.0.0.1:0", "--provisioning", "1s"]);
    let data_dir = dir.path().to_str().expect("a plain path");
    let sidecar_url = format!("http://{sidecar}");
    let cooldown = format!("{}s", COOLDOWN.as_secs());
    let (gateway, address) = start(&[
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--data-dir",
        data_dir,
        "--sidecar-url",
        &sidecar_url,
        "--cooldown",
        &cooldown,
        "--settle",
        "5s",
        "--poll-interval",
        "1s",
    ]);
    let mut ids = Vec::new();
    for number in 0..JOBS {
        let body = json!({"resource": format!("resource-{number}"), "targetCapacity": 1 + STEPS});
        let job: JobView = serde_json::from_value(ask(address, "POST", "/v1/jobs", &body).await).expect("a job");
        ids.push(job.id);
    }
    let told = Arc::new(AtomicU64::new(0));
    let mut watchers = JoinSet::new();
    for number in 0..streams {
        let stream = open(address, &format!("/v1/jobs/{}/events", ids[number % JOBS])).await;
        watchers.spawn(watch(stream, Arc::clone(&told)));
    }
    // What the last of them asked for is answered.
    ask(address, "GET", "/livez", &json!({})).await;
    tokio::time::sleep(QUIET / 5).await;
    // All jobs wait for their first cooldown to end: whatever is used now is used by the watchers.
    let (used, began) = (cpu_of(gateway.0.id()), Instant::now());
    tokio::time::sleep(QUIET).await;
    let idle_cpu = (cpu_of(gateway.0.id()) - used).as_secs_f64() / began.elapsed().as_secs_f64();
    let mut late = Vec::new();
    let mut versions = Vec::new();
    for id in ids {
        let job = finished(address, &format!("/v1/jobs/{id}")).await;
        assert_eq!(job.steps.len(), STEPS as usize, "{job:#?}");
        let sent: Vec<_> = job.steps.iter().filter_map(|step| step.sent_at).collect();
        late.extend(sent.windows(2).map(|pair| pair[1].0.since(pair[0].0) - COOLDOWN));
        versions.push(job.version);
    }
    while let Some(heard) = watchers.join_next().await {
        let (first, last) = heard.expect("no watcher panics");
        assert!(versions.contains(&last), "a watcher heard of versions {first} to {last} only");
    }
    late.sort_unstable();
    let (resident_kib, cpu) = (resident_kib(gateway.0.id()), cpu_of(gateway.0.id()));
    Measured { streams, resident_kib, idle_cpu, cpu, told: told.load(Ordering::Relaxed), late }
}

/// Reads a job's stream to its end: the first and the last version heard of. None may be missing between them.
async fn watch(mut stream: TcpStream, told: Arc<AtomicU64>) -> (u64, u64) {
    let (mut text, mut buffer) = (Vec::new(), vec![0; 4096]);
    let (mut first, mut last) = (0, 0);
    loop {
        let length = stream.read(&mut buffer).await.expect("the gateway lives");
        text.extend_from_slice(&buffer[..length]);
        while let Some(end) = text.windows(2).position(|pair| pair == b"\n\n") {
            let frame: Vec<u8> = text.drain(..end + 2).collect();
            let Some(version) = version_in(&frame) else { continue };
            assert!(last == 0 || version == last + 1, "version {version} follows {last}");
            (first, last) = (if first == 0 { version } else { first }, version);
            told.fetch_add(1, Ordering::Relaxed);
        }
        if length == 0 {
            return (first, last);
        }
    }
}

/// The version that an event tells of, without reading the rest of it: watchers share the machine with the gateway.
fn version_in(frame: &[u8]) -> Option<u64> {
    const NAME: &[u8] = b"\"version\":";
    let at = frame.windows(NAME.len()).rposition(|window| window == NAME)? + NAME.len();
    let digits = frame[at..].iter().take_while(|byte| byte.is_ascii_digit());
    Some(digits.fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}

fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted.get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
}

// ---- processes --------------------------------------------------------------------------------------------------

struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Starts the binary, and waits until it says where it listens.
fn start(args: &[&str]) -> (Process, SocketAddr) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_scalegate"));
    command.args(args).env("RUST_LOG", "info").stdout(Stdio::piped()).stderr(Stdio::piped());
    if args[0] == "serve" {
        command.args(["--log-format", "json"]);
    }
    let mut child = command.spawn().expect("the binary starts");
    let (stdout, stderr) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
    let (say, said) = std::sync::mpsc::channel();
    for lines in [
        Box::new(BufReader::new(stdout).lines()) as Box<dyn Iterator<Item = _> + Send>,
        Box::new(BufReader::new(stderr).lines()),
    ] {
        let say = say.clone();
        // The pipes are read to their end, or the process would wait for it.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line: String| drop(say.send(line))));
    }
    let address = said.iter().find_map(|line| {
        let after = line.split_once("127.0.0.1:")?.1;
        let port = after.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()?;
        let is_ready = args[0] == "simulate" || line.contains("is ready");
        is_ready.then(|| SocketAddr::from(([127, 0, 0, 1], port)))
    });
    (Process(child), address.expect("it becomes ready"))
}

/// Time of processors used by the process so far.
fn cpu_of(pid: u32) -> Duration {
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it lives");
    let fields: Vec<&str> = stat.rsplit(") ").next().expect("fields").split(' ').collect();
    let ticks: u64 = [11, 12].iter().filter_map(|field| fields.get(*field)?.parse::<u64>().ok()).sum();
    Duration::from_secs_f64(ticks as f64 / TICKS_PER_SECOND)
}

/// Most memory the process has had resident.
fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a line");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

// ---- requests ---------------------------------------------------------------------------------------------------

async fn open(address: SocketAddr, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("connected");
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    stream
}

async fn ask(address: SocketAddr, method: &str, path: &str, body: &Value) -> Value {
    let mut stream = TcpStream::connect(address).await.expect("connected");
    let body = body.to_string();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nPrefer: wait=60\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all((head + &body).as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
    serde_json::from_str(body).expect("JSON")
}

async fn finished(address: SocketAddr, path: &str) -> JobView {
    loop {
        let job: JobView = serde_json::from_value(ask(address, "GET", path, &json!({})).await).expect("a job");
        if job.state.is_over() {
            return job;
        }
    }
}
