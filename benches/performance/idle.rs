//! A gateway that has nothing to do, and how soon it is there.

use std::fmt;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::process::{Process, binary};
use super::table::Table;

/// As long as a round of housekeeping, so that one is in it.
pub const QUIET: Duration = Duration::from_secs(60);
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
    let idle = idle(&gateway);
    table.row("idle: resident memory", "–", format!("{:.1} MiB", idle.resident_mib), "≤ 20 MiB");
    table.row(
        "idle: threads woken",
        format!("{:.0} s, with one round of housekeeping", QUIET.as_secs_f64()),
        format!("{} times", idle.woken),
        "none but housekeeping",
    );
    let size = std::fs::metadata(binary()).expect("the binary").len();
    table.row("size of the release binary", "–", format!("{:.1} MiB", size as f64 / f64::from(1 << 20)), "stated");
}

/// What a gateway takes that has nothing to do.
pub struct Idle {
    resident_mib: f64,
    /// How often its threads were woken, in [`QUIET`].
    woken: u64,
    /// The processor time it took, in [`QUIET`].
    cpu: Duration,
}

impl fmt::Display for Idle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cpu = self.cpu.as_secs_f64() / QUIET.as_secs_f64() * 100.0;
        write!(f, "{:.1} MiB, {} wake-ups, {cpu:.2} % of a core", self.resident_mib, self.woken)
    }
}

/// Lets `gateway` rest for a while.
pub fn idle(gateway: &Process) -> Idle {
    std::thread::sleep(Duration::from_secs(2));
    let (woken, cpu) = (gateway.wake_ups(), gateway.cpu());
    std::thread::sleep(QUIET);
    Idle {
        resident_mib: gateway.resident_kib() as f64 / 1024.0,
        woken: gateway.wake_ups() - woken,
        cpu: gateway.cpu() - cpu,
    }
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
