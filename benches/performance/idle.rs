//! A gateway that has nothing to do, and how soon it is there.

use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::process::{Process, binary};
use super::table::Table;

/// As long as a round of housekeeping, so that one is in it.
const QUIET: Duration = Duration::from_secs(60);
const STARTS: usize = 10;

pub fn measure(table: &mut Table) {
    let mut starts: Vec<Duration> = (0..STARTS).map(|_| start()).collect();
    starts.sort_unstable();
    let millis = |duration: Duration| duration.as_secs_f64() * 1000.0;
    table.row(
        "cold start with an empty store, to the first answer",
        format!("{STARTS} starts"),
        format!("{:.0} ms, at most {:.0} ms", millis(starts[STARTS / 2]), millis(starts[STARTS - 1])),
        "≤ 100 ms",
    );
    let directory = TempDir::new().expect("a directory");
    let gateway = Process::gateway(directory.path(), "http://127.0.0.1:9", &[]);
    std::thread::sleep(Duration::from_secs(2));
    let (before, begun) = (gateway.wake_ups(), Instant::now());
    std::thread::sleep(QUIET);
    let woken = gateway.wake_ups() - before;
    table.row("idle: resident memory", "–", format!("{:.1} MiB", gateway.resident_kib() as f64 / 1024.0), "≤ 20 MiB");
    table.row(
        "idle: threads woken",
        format!("{:.0} s, with one round of housekeeping", begun.elapsed().as_secs_f64()),
        format!("{woken} times"),
        "none but housekeeping",
    );
    let size = std::fs::metadata(binary()).expect("the binary").len();
    table.row("size of the release binary", "–", format!("{:.1} MiB", size as f64 / f64::from(1 << 20)), "stated");
}

/// From the start of the process until it has answered.
fn start() -> Duration {
    let directory = TempDir::new().expect("a directory");
    let begun = Instant::now();
    let gateway = Process::gateway(directory.path(), "http://127.0.0.1:9", &[]);
    super::load::runtime().block_on(async {
        let mut client = super::load::Client::connect(gateway.address).await;
        assert_eq!(client.exchange(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").await, 200);
    });
    begun.elapsed()
}
