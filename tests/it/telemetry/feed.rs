//! Streams of a server in the test's own process, whose feed the test can fill as it likes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::support::events::{Events, ask};
use crate::support::guard;
use scalegate::api::{self, ApiState, ConnectionLimits, HttpServer, ProcessState};
use scalegate::clock::{Clock, WallWatch, wall_now};
use scalegate::domain::{
    Alias, Capacity, ChangeAnswer, Ending, EventId, Goal, GroupedAnswer, Job, JobEvent, JobId, JobRequest, Move,
    OnConflict, Origin, ReadFailure, Retention, ScalingConfig, Settings, SettingsOverrides, Step, StepOutcome,
};
use scalegate::engine::{EngineHandle, Parts, Projections, RunningEngine};
use scalegate::feed::Feed;
use scalegate::metrics::Metrics;
use scalegate::sidecar::{RawReading, Sidecar};
use scalegate::sources::SourceRules;
use scalegate::store::sqlite::{SqliteJournal, SqliteReader, SqliteStore};
use scalegate::store::{Observer, Store, StoreReader, Unit, commit_one};
use scalegate::table::JobTable;
use scalegate::telemetry::Traces;
use serde_json::json;
use tempfile::TempDir;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

/// How often a stream shows that it lives.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Permits for streams; few, so that they can be used up.
const STREAMS: usize = 8;

/// No caller asks it for anything: no job is ever submitted here.
struct NoSidecar;

impl Sidecar for NoSidecar {
    async fn read(&self, _: &Alias, _: &Origin) -> Result<RawReading, ReadFailure> {
        std::future::pending().await
    }

    async fn observe(&self, _: &Alias, _: &Origin) -> Result<RawReading, ReadFailure> {
        std::future::pending().await
    }

    async fn change(&self, _: &Alias, _: Move, _: &Origin) -> ChangeAnswer {
        std::future::pending().await
    }

    async fn change_together(&self, _: &[(Alias, Move)], _: &Origin) -> GroupedAnswer {
        std::future::pending().await
    }
}

struct Stage {
    address: SocketAddr,
    table: Arc<JobTable>,
    feed: Arc<Feed>,
    store: Arc<dyn Store>,
    progress: ProcessState,
    next: EventId,
    _engine: RunningEngine,
    _server: HttpServer,
    _store_thread: JoinHandle<()>,
    dir: TempDir,
}

/// A store that writes to `journal`, and its thread.
fn started(journal: SqliteJournal) -> (Arc<dyn Store>, JoinHandle<()>) {
    let (store, inbox) = SqliteStore::channel();
    let observer = Observer::new(Arc::new(Metrics::new().expect("consistent")), None);
    (Arc::new(store), inbox.start(journal, observer).expect("a thread"))
}

impl Stage {
    async fn set() -> Self {
        let dir = TempDir::new().expect("a directory");
        let listener = api::bind(([127, 0, 0, 1], 0).into()).expect("a free port");
        let address = listener.local_addr().expect("an address");
        let journal = SqliteJournal::open(dir.path()).expect("a store");
        let next = journal.next_event().expect("readable");
        let (store, store_thread) = started(journal);
        let projections = Projections::new(next, Traces::default()).expect("consistent");
        let (table, feed) = (Arc::clone(&projections.table), Arc::clone(&projections.feed));
        let clock = Clock::start();
        // An engine with a store of its own: nothing it does is of interest here.
        let elsewhere = TempDir::new().expect("a directory");
        let (engine_store, _) = started(SqliteJournal::open(elsewhere.path()).expect("a store"));
        let engine_reader: Arc<dyn StoreReader> = Arc::new(SqliteReader::open(elsewhere.path()).expect("readable"));
        let mut engine = RunningEngine::start(EngineHandle::channel(), move || Parts {
            sidecar: NoSidecar,
            store: engine_store,
            reader: engine_reader,
            projections: Projections::new(1, Traces::default()).expect("consistent"),
            scaling: Arc::new(ScalingConfig::default()),
            retention: Retention::DEFAULT,
            clock,
            sources: SourceRules::default(),
            wall: WallWatch::begin(clock.now(), wall_now(), false),
        })
        .expect("a thread");
        engine.begun().await.expect("it lives").expect("readable");
        let reader: Arc<dyn StoreReader> = Arc::new(SqliteReader::open(dir.path()).expect("readable"));
        let (guard, browsers) = guard::on_loopback(&reader, Arc::clone(&store), clock).await;
        let connection_limits = ConnectionLimits { streams: STREAMS, long_polls: 1, ..ConnectionLimits::within(1024) };
        let (state, progress) =
            ApiState::new(engine.handle.clone(), projections, reader, clock, guard, connection_limits);
        progress.set_recovered(true);
        let server = HttpServer::start(listener, None, state, browsers, false, Duration::ZERO).expect("a server");
        Self {
            address,
            table,
            feed,
            store,
            progress,
            next,
            _engine: engine,
            _server: server,
            _store_thread: store_thread,
            dir,
        }
    }

    /// The next version of job `number`, kept in the store.
    async fn write(&mut self, number: u128, version: u64) -> JobEvent {
        self.write_job(Job { version, ..job(number) }).await
    }

    async fn write_job(&mut self, job: Job) -> JobEvent {
        let event = JobEvent { id: self.next, job: Arc::new(job) };
        self.next += 1;
        let unit = Unit { jobs: vec![Arc::clone(&event.job)], ..Unit::default() };
        commit_one(&*self.store, unit).await.expect("committed");
        event
    }

    /// The next version of job `number`, told and not kept: the log is not to be read.
    fn tell(&mut self, number: u128, version: u64) {
        let event = JobEvent { id: self.next, job: Arc::new(Job { version, ..job(number) }) };
        self.next += 1;
        self.feed.publish(self.table.publish(event));
    }
}

fn job(number: u128) -> Job {
    let request = JobRequest {
        resource: "worker".parse().expect("an alias"),
        goal: Goal::Target(Capacity::ZERO),
        overrides: SettingsOverrides::default(),
        on_conflict: OnConflict::Reject,
        // About what a job's record weighs.
        reason: Some("x".repeat(500)),
        labels: Default::default(),
        trace: None,
        attempt: None,
    };
    Job::accept(JobId::from_u128(number), request, Settings::DEFAULT, Clock::start().now())
}

fn events_of(number: u128) -> String {
    format!("/v1/jobs/{}/events", JobId::from_u128(number))
}

/// A gateway answers before it knows what is in its store: that it does not know yet, rather than that there is
/// nothing.
#[actix_web::test]
async fn a_client_that_comes_before_the_store_was_read_is_told_so() {
    let mut stage = Stage::set().await;
    let event = stage.write(1, 1).await;
    let target = format!("/v1/jobs/{}", event.job.id);
    let get = async |target: &str| {
        let client = awc::Client::default();
        let mut answer = client.get(format!("http://{}{target}", stage.address)).send().await.expect("an answer");
        let body: serde_json::Value = answer.json().await.expect("JSON");
        (answer.status().as_u16(), body["code"].as_str().map(str::to_owned))
    };
    stage.progress.set_recovered(false);
    for target in [target.as_str(), "/v1/jobs", "/v1/resources", "/v1/events", "/v1/jobs/nonsense"] {
        assert_eq!(get(target).await, (503, Some("storage_unavailable".into())), "{target}");
    }
    assert_eq!(get("/readyz").await, (503, Some("not_ready".into())));
    let url = format!("http://{}/readyz", stage.address);
    let mut unready = awc::Client::default().get(url).send().await.expect("an answer");
    assert_eq!(unready.json::<serde_json::Value>().await.expect("JSON")["reason"], json!("starting"));
    let wish = json!({"resource": "worker", "targetCapacity": 1});
    let refused = awc::Client::default().post(format!("http://{}/v1/jobs", stage.address)).send_json(&wish).await;
    assert_eq!(refused.expect("an answer").status().as_u16(), 503);
    assert_eq!(get("/livez").await, (200, None));
    assert_eq!(get("/openapi.json").await.0, 200);
    stage.table.publish(event);
    stage.progress.set_recovered(true);
    for target in [target.as_str(), "/v1/jobs", "/readyz"] {
        assert_eq!(get(target).await.0, 200, "{target}");
    }
    // What was refused so early was not written down: there may be no writer yet.
    let client = awc::Client::default();
    let mut audit = client.get(format!("http://{}/v1/audit", stage.address)).send().await.expect("an answer");
    assert_eq!(audit.json::<serde_json::Value>().await.expect("JSON")["entries"], json!([]));
}

/// A client that does not read is not waited for, and finds out why nothing more comes; all others hear everything.
#[actix_web::test]
async fn a_slow_reader_is_cut_off_and_holds_up_no_other() {
    const CHANGES: u64 = 15_000;
    let mut stage = Stage::set().await;
    let mut slow = TcpStream::connect(stage.address).await.expect("connected");
    slow.write_all(b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.expect("sent");
    let mut begin = [0; 1];
    slow.read_exact(&mut begin).await.expect("an answer begins");
    let mut quick = Events::open(stage.address, "/v1/events", None).await;
    quick.expect("ready").await;
    for version in 1..=CHANGES {
        stage.tell(1, version);
        if version % 1000 == 0 {
            for expected in version - 999..=version {
                assert_eq!(quick.expect("job").await.version(), expected);
            }
        }
    }
    let mut heard = Vec::new();
    slow.read_to_end(&mut heard).await.expect("it ends");
    let heard = String::from_utf8_lossy(&heard);
    assert!(heard.contains("event: end\ndata: {"), "{}", &heard[heard.len().saturating_sub(500)..]);
    assert!(heard.contains(r#""reason":"too_slow""#));
    let told = heard.matches("event: job").count();
    assert!(told > 0 && (told as u64) < CHANGES, "{told}");
}

#[actix_web::test]
async fn there_is_a_limit_to_streams() {
    let mut stage = Stage::set().await;
    stage.tell(1, 1);
    let mut streams = Vec::new();
    let paths = ["/v1/events".to_owned(), events_of(1), events_of(1), "/v1/events?resource=api".to_owned()];
    for path in paths.iter().cycle().take(STREAMS) {
        let mut stream = Events::open(stage.address, path, None).await;
        stream.expect("ready").await;
        streams.push(stream);
    }
    let mut refused = ask(stage.address, "/v1/events", None).await;
    assert_eq!((refused.status().as_u16(), refused.headers().contains_key("Retry-After")), (503, true));
    let problem: scalegate::api::Problem = refused.json().await.expect("a problem document");
    assert_eq!(problem.code.as_str(), "too_many_streams");
    // Those who leave make room, although there is nothing to tell them, as soon as another client wants it.
    streams.clear();
    let begin = Instant::now();
    while ask(stage.address, "/v1/events", None).await.status() != 200 {
        assert!(begin.elapsed() < HEARTBEAT / 3, "no room");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A job that is no longer kept cannot be told of. A client that has not heard of its end must know that something is
/// missing.
#[actix_web::test]
async fn what_is_no_longer_kept_is_a_gap() {
    let mut stage = Stage::set().await;
    let begin = stage.next - 1;
    for number in [1, 2] {
        let event = stage.write(number, 1).await;
        stage.feed.publish(stage.table.publish(event));
    }
    let resumed = async |stage: &Stage, path: &str, after| {
        let mut stream = Events::open(stage.address, path, Some(after)).await;
        stream.expect("ready").await.data["resumed"] == true
    };
    assert!(resumed(&stage, "/v1/events", begin).await);
    let store = rusqlite::Connection::open(stage.dir.path().join("scalegate.db")).expect("a store");
    store.execute("DELETE FROM jobs WHERE id = ?1", [JobId::from_u128(1).to_string()]).expect("removed");
    stage.table.remove(&[JobId::from_u128(1)]);
    assert!(!resumed(&stage, "/v1/events", begin).await);
    assert!(!resumed(&stage, "/v1/events?resource=worker", begin).await);
    assert!(resumed(&stage, "/v1/events?resource=api", begin).await, "it is not about that one");
    assert!(resumed(&stage, "/v1/events", begin + 1).await, "its only version is known");
    assert!(resumed(&stage, &events_of(2), begin).await);
}

/// The table forgets finished jobs; requests about them are answered from the store. A version that the store has and
/// that is not shown yet is not answered.
#[actix_web::test]
async fn a_job_that_the_table_has_forgotten_is_answered_from_the_store() {
    let mut stage = Stage::set().await;
    let begin = stage.next - 1;
    let over = |version| {
        let mut job = Job { version, steps: many_steps(), ..job(1) };
        job.end(Ending::Canceled, Clock::start().now());
        job
    };
    let versions =
        [stage.write_job(Job { version: 1, steps: many_steps(), ..job(1) }).await, stage.write_job(over(2)).await];
    let path = format!("/v1/jobs/{}", JobId::from_u128(1));
    let client = awc::Client::default();
    let get = async |path: &str| {
        let mut answer = client.get(format!("http://{}{path}", stage.address)).send().await.expect("an answer");
        let body: serde_json::Value = answer.json().limit(1 << 20).await.expect("JSON");
        (answer.status().as_u16(), body)
    };
    let listed = async |query: &str| get(&format!("/v1/jobs{query}")).await.1["jobs"].as_array().map(Vec::len);
    assert_eq!(get(&path).await.0, 404, "it is not shown yet");
    assert_eq!(listed("").await, Some(0));
    for event in versions {
        stage.feed.publish(stage.table.publish(event));
    }
    let shown = get(&path).await;
    stage.table.remove(&[JobId::from_u128(1)]);
    assert_eq!((shown.0, &shown), (200, &get(&path).await));
    assert_eq!(
        (listed("").await, listed("?state=canceled").await, listed("?state=running").await),
        (Some(1), Some(1), Some(0))
    );
    let cancel = client.post(format!("http://{}{path}/cancel", stage.address)).send().await.expect("an answer");
    assert_eq!(cancel.status().as_u16(), 409);
    assert_eq!(ask(stage.address, &events_of(1), Some(stage.next - 1)).await.status().as_u16(), 204);
    for path in [events_of(1), "/v1/events".to_owned()] {
        let mut stream = Events::open(stage.address, &path, Some(begin)).await;
        assert_eq!(stream.expect("ready").await.data["resumed"], true, "{path}");
        for version in [1, 2] {
            let event = stream.expect("job").await;
            assert_eq!((event.version(), event.data["steps"].as_array().map(Vec::len)), (version, Some(400)));
        }
    }
    let metrics = client.get(format!("http://{}/metrics", stage.address)).send().await.expect("an answer").body().await;
    let counted = String::from_utf8(metrics.expect("text").to_vec()).expect("text");
    assert!(counted.contains("scalegate_jobs{state=\"canceled\"} 1"), "{counted}");
}

/// Many versions of a job with many steps are a lot of text. It is written bit by bit, not gathered.
#[actix_web::test]
async fn a_long_job_is_told_in_small_parts() {
    const VERSIONS: u64 = 60;
    let mut stage = Stage::set().await;
    let begin = stage.next - 1;
    for version in 1..=VERSIONS {
        let event = stage.write_job(Job { version, steps: many_steps(), ..job(1) }).await;
        stage.feed.publish(stage.table.publish(event));
    }
    let mut connection = TcpStream::connect(stage.address).await.expect("connected");
    let head = format!("GET {} HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: {begin}\r\n\r\n", events_of(1));
    connection.write_all(head.as_bytes()).await.expect("sent");
    let (mut received, mut largest) = (Vec::new(), 0);
    while received.windows(11).filter(|window| window == b"event: job\n").count() < VERSIONS as usize {
        connection.read_buf(&mut received).await.expect("more");
        // The size of each chunk stands before it, after the end of the one before.
        let sizes = String::from_utf8_lossy(&received);
        let sizes =
            sizes.lines().filter(|line| line.len() <= 6).filter_map(|line| usize::from_str_radix(line, 16).ok());
        largest = sizes.max().unwrap_or(0);
    }
    assert!(received.len() > 60 * 40_000, "{}", received.len());
    assert!((40_000..2 * 64 * 1024).contains(&largest), "{largest}");
}

fn many_steps() -> Vec<Step> {
    let change = Move::toward(Capacity::ZERO, Capacity::MAX, 1).expect("a distance");
    vec![Step { outcome: StepOutcome::Confirmed, ..Step::pending(change) }; 400]
}

/// Changes that became durable without a word, because the store failed at that moment, are found in the log.
#[actix_web::test]
async fn what_was_not_told_is_read_when_the_store_was_read_anew() {
    let mut stage = Stage::set().await;
    let first = stage.write(1, 1).await;
    stage.feed.publish(stage.table.publish(first));
    let mut streams = Vec::new();
    for path in [events_of(1), "/v1/events".to_owned()] {
        let mut stream = Events::open(stage.address, &path, None).await;
        stream.expect("ready").await;
        streams.push(stream);
    }
    assert_eq!(streams[0].expect("job").await.version(), 1);
    let untold = [stage.write(1, 2).await, stage.write(1, 3).await];
    stage.table.publish(untold[1].clone());
    stage.feed.reloaded(stage.next);
    // What was read from the log may be told after all.
    stage.feed.publish(stage.table.publish(untold[1].clone()));
    let last = stage.write(1, 4).await;
    stage.feed.publish(stage.table.publish(last));
    for stream in &mut streams {
        for version in [2, 3, 4] {
            assert_eq!(stream.expect("job").await.version(), version);
        }
    }
}

/// More is in the log than is read at a time, and more comes while it is read.
#[actix_web::test]
async fn a_long_absence_is_caught_up_with() {
    let mut stage = Stage::set().await;
    let begin = stage.next - 1;
    for number in 1..=1000 {
        let event = stage.write(number, 1).await;
        stage.feed.publish(stage.table.publish(event));
    }
    let mut stream = Events::open(stage.address, "/v1/events", Some(begin)).await;
    assert_eq!(stream.expect("ready").await.data, json!({"resumed": true}));
    for number in 1001..=1010 {
        let event = stage.write(number, 1).await;
        stage.feed.publish(stage.table.publish(event));
    }
    for number in 1..=1010 {
        let event = stream.expect("job").await;
        assert_eq!(event.data["id"], json!(JobId::from_u128(number)));
    }
}
