//! `POST /v1/jobs`, each job durable before it is answered, against writing as much to a file and syncing it: on the
//! disk there is, and on one that is as slow as a volume in the network, where less depends on what else is done for a
//! job.
//!
//! The jobs queue up behind others, so that nothing but their acceptance is written meanwhile. How many exchanges there
//! can be without any work is measured too: one client sends nothing while it waits for an answer, so that no gateway,
//! whatever it does with a job, takes less time than an exchange and the disk.

use std::fs::File;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::load::{Loaded, load, post, runtime};
use super::process::Process;
use super::table::{Table, thousands};

const TIME: Duration = Duration::from_secs(5);
/// Jobs queue up behind those of so many resources.
pub const RESOURCES: usize = 100;
const ROUNDS: usize = 3;

/// What syncing takes longer on the slow disk: about what it takes on a volume in the network.
const SLOWER: Duration = Duration::from_millis(1);

pub fn measure(table: &mut Table) {
    measure_on(table, "", Duration::ZERO);
    measure_on(table, ", a disk that takes 1 ms longer to sync", SLOWER);
}

/// On a disk that takes so much `longer` to sync than the one there is.
fn measure_on(table: &mut Table, disk: &str, longer: Duration) {
    let directory = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory on a disk");
    let (_silent, sidecar) = silent_sidecar();
    let gateway = busy_gateway(&directory.path().join("data"), &sidecar, longer);
    let before = written(&gateway);
    let one = submit(&gateway, 1, TIME, 100_000);
    let bytes = (written(&gateway) - before) / one.answers as u64;
    let bytes = usize::try_from(bytes).expect("not so many");
    let alone = (0..ROUNDS).map(|_| append(directory.path(), bytes, longer)).fold(0.0_f64, f64::max);
    let exchanges = (0..ROUNDS).map(|_| exchange(&gateway)).fold(0.0_f64, f64::max);
    let most = 1.0 / (1.0 / alone + 1.0 / exchanges);
    let again = submit(&gateway, 1, TIME, 200_000);
    let one = if again.per_second() > one.per_second() { again } else { one };
    let many = submit(&gateway, 128, TIME, 300_000);
    table.row(
        &format!("`POST /v1/jobs` durable, one client{disk}"),
        format!("append and fdatasync of {bytes} bytes, as much as it writes: {} /s", thousands(alone)),
        format!("{} /s = {:.2} of it", thousands(one.per_second()), one.per_second() / alone),
        "≥ 0.80",
    );
    table.row(
        &format!("… the most there can be{disk}"),
        format!("as much appended and synced, and then an exchange with `/livez`: {} /s", thousands(exchanges)),
        format!("{} /s = {:.2} of appending alone", thousands(most), most / alone),
        "–",
    );
    table.row(
        &format!("`POST /v1/jobs` durable, 128 clients{disk}"),
        format!("one client: {} /s", thousands(one.per_second())),
        format!(
            "{} /s = {:.1} × (load generator {:.0} % busy)",
            thousands(many.per_second()),
            many.per_second() / one.per_second(),
            many.own_share * 100.0
        ),
        "≥ 5 ×",
    );
}

/// A sidecar that is connected to, and never answers, as long as it is kept; and its address.
pub fn silent_sidecar() -> (TcpListener, String) {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = format!("http://{}", silent.local_addr().expect("an address"));
    (silent, address)
}

/// A gateway in which each resource is busy with something, on a disk that takes so much `longer` to sync.
pub fn busy_gateway(directory: &Path, sidecar: &str, longer: Duration) -> Process {
    let gateway = Process::gateway_syncing_slower_by(directory, sidecar, &["--max-queue-length", "10000"], longer);
    submit(&gateway, 1, Duration::from_millis(200), 1);
    gateway
}

/// Jobs with targets from `first` on: no two of one resource after each other have the same, or the second would join
/// the first.
pub fn submit(gateway: &Process, clients: usize, time: Duration, first: usize) -> Loaded {
    let key = gateway.key.expose().to_owned();
    runtime().block_on(load(gateway.address, clients, time, &[202], move |nth, bytes| {
        let (resource, target) = (nth % RESOURCES, first + nth / RESOURCES);
        let body = format!(
            "{{\"resource\":\"r{resource}\",\"targetCapacity\":{target},\"onConflict\":\"queue\",\"stepSize\":1000000}}"
        );
        post("/v1/jobs", &key, &body, bytes);
    }))
}

/// How many exchanges in a second one client has that waits for each answer, if there is nothing to do for them.
fn exchange(gateway: &Process) -> f64 {
    let ask = |_, bytes: &mut Vec<u8>| bytes.extend_from_slice(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n");
    runtime().block_on(load(gateway.address, 1, TIME / 2, &[200], ask)).per_second()
}

/// Bytes that the process has had written to the disk.
fn written(gateway: &Process) -> u64 {
    gateway.io("write_bytes:")
}

/// How often in a second so many `bytes` can be appended and synced, on a disk that takes so much `longer` for it.
fn append(directory: &Path, bytes: usize, longer: Duration) -> f64 {
    let mut file = File::create(directory.join("appended")).expect("a file");
    let content = vec![b'x'; bytes];
    let (begun, mut count) = (Instant::now(), 0_u32);
    while begun.elapsed() < TIME / 2 {
        file.write_all(&content).expect("written");
        file.sync_data().expect("synced");
        std::thread::sleep(longer);
        count += 1;
    }
    f64::from(count) / begun.elapsed().as_secs_f64()
}
