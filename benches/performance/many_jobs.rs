//! A hundred thousand jobs: what they take in memory, and how long a process takes to carry on with them.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use scalegate::clock::{Present, wall_now};
use scalegate::domain::{
    Alias, Capacity, ChangeState, Ending, ErrorCode, Goal, Job, JobError, JobId, JobRequest, JobState, LaneRecord,
    OnConflict, Op, SentChange, Settings, SettingsOverrides, Step, StepOutcome, Timestamp, Waiting,
};
use scalegate::store::sqlite::{Journal as _, SqliteJournal};
use scalegate::store::{LaneChange, RecordChange, Unit};
use tempfile::TempDir;

use super::load::{Client, runtime};
use super::process::Process;
use super::table::{Table, thousands};

const JOBS: usize = 100_000;
/// The best of so many restarts and of as many raw readings count: whatever else the machine does makes both slower.
const ROUNDS: usize = 3;
/// Resources of [`Shape::Mixed`] jobs.
pub const RESOURCES: usize = 1000;
/// Jobs that go into the store at a time.
const BATCH: usize = 5000;
/// Longer than anything here takes.
const COOLDOWN: Duration = Duration::from_hours(24);

/// What the jobs are like.
#[derive(Clone, Copy)]
pub enum Shape {
    /// All over, each with a reason so long.
    Finished { reason_chars: usize },
    /// Of [`RESOURCES`] resources and in all states; the newest of each resource are unfinished.
    Mixed,
    /// Each of a resource of its own, cooling down after its first step of four, with a reason so long.
    CoolingDown { reason_chars: usize },
}

pub fn measure(table: &mut Table) {
    let directory = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory on a disk");
    fill(directory.path(), JOBS, Shape::CoolingDown { reason_chars: 0 });
    let empty = TempDir::new().expect("a directory");
    let idle = Process::gateway(empty.path(), "http://127.0.0.1:9", &[]).resident_kib();
    // What was written just now would be on its way to the disk meanwhile.
    File::open(directory.path().join("scalegate.db")).and_then(|store| store.sync_all()).expect("synced");
    let raw = (0..ROUNDS).map(|_| read_raw(directory.path())).min().expect("some");
    let restarts = (0..ROUNDS - 1).map(|_| restart(directory.path()).0.ready_after).min().expect("some");
    let (gateway, first_answer) = restart(directory.path());
    let ready_after = restarts.min(gateway.ready_after);
    let jobs = thousands(JOBS as f64);
    table.row(
        &format!("restart with {jobs} unfinished jobs, on all cores, until it is ready"),
        format!("reading the same rows raw: {:.2} s", raw.as_secs_f64()),
        format!(
            "{:.2} s = {:.1} ×; `/readyz` says why not from {:.0} ms on",
            ready_after.as_secs_f64(),
            ready_after.as_secs_f64() / raw.as_secs_f64(),
            first_answer.as_secs_f64() * 1000.0,
        ),
        "≤ 2 s",
    );
    std::thread::sleep(Duration::from_secs(5));
    let resident = gateway.resident_kib();
    table.row(
        &format!("{jobs} unfinished jobs, each cooling down on a resource of its own"),
        format!("an idle gateway: {:.1} MiB", idle as f64 / 1024.0),
        format!("{:.0} MiB = {} bytes a job", resident as f64 / 1024.0, (resident - idle) * 1024 / JOBS as u64),
        "≤ 3 KiB a job",
    );
}

/// A gateway that carries on with what is in `directory`, and how soon it said that it was not ready yet.
fn restart(directory: &Path) -> (Process, Duration) {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
    let begun = Instant::now();
    let asking = std::thread::spawn(move || {
        while TcpStream::connect(free).is_err() {
            std::thread::sleep(Duration::from_millis(1));
        }
        runtime().block_on(async {
            let mut client = Client::connect(free).await;
            let status = client.exchange(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
            assert_eq!(status, 503, "{}", client.text());
        });
        begun.elapsed()
    });
    let listen = free.to_string();
    let settings = ["--cooldown", "24h", "--listen", listen.as_str()];
    let gateway = Process::gateway_everywhere(directory, "http://127.0.0.1:9", &settings);
    (gateway, asking.join().expect("an answer"))
}

/// How long it takes to read what a process reads at its start, and do nothing with it.
fn read_raw(directory: &Path) -> Duration {
    let db = rusqlite::Connection::open(directory.join("scalegate.db")).expect("a store");
    let begun = Instant::now();
    let mut bytes = 0;
    for sql in ["SELECT id, record, event FROM jobs ORDER BY seq", "SELECT * FROM lanes ORDER BY resource"] {
        let mut statement = db.prepare(sql).expect("a table");
        let columns = statement.column_count();
        let mut rows = statement.query([]).expect("rows");
        while let Some(row) = rows.next().expect("a row") {
            for column in 0..columns {
                bytes += row.get_ref(column).expect("a value").as_bytes().map_or(0, <[u8]>::len);
            }
        }
    }
    assert!(bytes > JOBS, "there are records");
    begun.elapsed()
}

/// Puts `count` jobs into a new store in `directory`; their ids, in the order of their submission.
pub fn fill(directory: &Path, count: usize, shape: Shape) -> Vec<JobId> {
    let mut journal = SqliteJournal::open(directory).expect("a store");
    let first = journal.next_event().expect("readable");
    let now = wall_now();
    let mut ids = Vec::with_capacity(count);
    for begin in (0..count).step_by(BATCH) {
        let mut unit = Unit::default();
        for number in begin..(begin + BATCH).min(count) {
            let (job, lane) = make(number, count, shape, now);
            ids.push(job.id);
            unit.jobs.push(Arc::new(job));
            unit.lanes.extend(lane.map(|record| LaneChange {
                resource: record.resource.clone(),
                epoch: 0,
                record: RecordChange::Write(Box::new(record)),
            }));
        }
        journal.commit(&[unit], first + begin as u64).expect("committed");
    }
    // As a gateway leaves it behind: what comes after it goes on by the same clock.
    let begin = Timestamp::from_millis(0);
    journal.change_clock(Present::now().anchor().as_ref(), begin, begin).expect("committed");
    ids
}

fn make(number: usize, count: usize, shape: Shape, now: Timestamp) -> (Job, Option<LaneRecord>) {
    match shape {
        Shape::Finished { reason_chars } => {
            let job = accepted(number, "worker", now);
            (over(Job { reason: reason(reason_chars), ..stepped(job, now) }, Ending::Succeeded, now), None)
        }
        Shape::Mixed => (mixed(number, count, now), None),
        Shape::CoolingDown { reason_chars } => {
            let (job, lane) = cooling_down(number, now);
            (Job { reason: reason(reason_chars), ..job }, lane)
        }
    }
}

fn reason(chars: usize) -> Option<String> {
    (chars > 0).then(|| "x".repeat(chars))
}

fn accepted(number: usize, resource: &str, now: Timestamp) -> Job {
    let request = JobRequest {
        resource: resource.parse().expect("an alias"),
        goal: Goal::Target(units(5)),
        overrides: SettingsOverrides { cooldown: Some(COOLDOWN), ..SettingsOverrides::default() },
        on_conflict: OnConflict::Reject,
        reason: None,
        labels: BTreeMap::new(),
        trace: None,
        attempt: None,
    };
    let settings = Settings { cooldown: COOLDOWN, deadline: COOLDOWN * 2, ..Settings::DEFAULT };
    // Scattered like real ones in their lower half, in order in their upper one.
    let id = (number as u128) << 80
        | 0x7000_8000_0000_0000_0000
        | (number as u128).wrapping_mul(0x9e37_79b9_7f4a_7c15) & 0xffff_ffff;
    Job { version: 1, ..Job::accept(JobId::from_u128(id), request, settings, now) }
}

/// After the first of four steps.
fn stepped(job: Job, now: Timestamp) -> Job {
    let step = Step {
        op: Op::Add,
        units: 1,
        from: units(1),
        to: units(2),
        sent_at: Some(now),
        resolved_at: Some(now),
        outcome: StepOutcome::Confirmed,
    };
    Job {
        state: JobState::Running,
        start: Some(units(1)),
        current: Some(units(2)),
        steps: vec![step],
        started_at: Some(now),
        version: 5,
        ..job
    }
}

fn over(job: Job, ending: Ending, now: Timestamp) -> Job {
    Job { state: JobState::Ended(ending), waiting: None, finished_at: Some(now), version: job.version + 1, ..job }
}

fn mixed(number: usize, count: usize, now: Timestamp) -> Job {
    const UNFINISHED_EACH: usize = 10;
    let job = accepted(number, &format!("r{}", number % RESOURCES), now);
    let (round, rounds) = (number / RESOURCES, count / RESOURCES);
    match round {
        _ if round + UNFINISHED_EACH == rounds => stepped(job, now),
        _ if round + UNFINISHED_EACH > rounds => job,
        _ => {
            let ending = match round % 10 {
                0..6 => Ending::Succeeded,
                6 | 7 => Ending::Failed(JobError::new(ErrorCode::NoProgress, "Nothing moved.")),
                8 => Ending::Canceled,
                _ => Ending::Superseded { by: JobId::nil() },
            };
            over(stepped(job, now), ending, now)
        }
    }
}

fn cooling_down(number: usize, now: Timestamp) -> (Job, Option<LaneRecord>) {
    let resource: Alias = format!("resource-{number:06}").parse().expect("an alias");
    let until = now + COOLDOWN;
    let waiting = Some(Waiting::for_cooldown(until, Some(now)));
    let job = Job { waiting, ..stepped(accepted(number, resource.as_str(), now), now) };
    let sent = SentChange { at: now, op: Some(Op::Add), cooldown: COOLDOWN, settle: Settings::DEFAULT.settle };
    let change_state =
        ChangeState { last_change: Some(sent), fresh_from: Some(now), expected: Some(units(2)), provisioning: None };
    (job, Some(LaneRecord { change_state, ..LaneRecord::new(resource) }))
}

fn units(units: i64) -> Capacity {
    Capacity::new(units).expect("a small number")
}
