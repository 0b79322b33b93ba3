//! The engine's thread, its store and its end: what happens when the store fails, the sidecar hangs, or it is told to
//! stop.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::support::world::{request, worker};
use futures_util::future::join_all;
use scalegate::clock::{Clock, WallWatch, wall_now};
use scalegate::domain::{
    Alias, Capacity, ChangeAnswer, Ending, EventId, Goal, Job, JobId, JobRequest, LaneRecord, Move, OnConflict, Op,
    Origin, Reach, ReadFailure, Retention, ScalingConfig, Settings, SettingsOverrides, Stage, Status, StepOutcome,
    Timestamp,
};
use scalegate::engine::{
    Answer, EngineDied, EngineHandle, OBSERVE_TIMEOUT, Parts, PlanError, Projections, Refusal, RunningEngine,
    Submitted, Unavailable,
};
use scalegate::metrics::{Metrics, Scrape};
use scalegate::sidecar::{RawReading, Sidecar};
use scalegate::store::sqlite::{Journal, LaneReader, Opened, SqliteError, SqliteJournal, SqliteReader, SqliteStore};
use scalegate::store::{
    Excess, JobFilter, NoRoom, Observer, Pruned, RecordChange, Store, StoreReader, SubmitKey, Unit, Which,
};
use scalegate::table::JobTable;
use scalegate::telemetry::Traces;
use tokio::sync::watch;

const GRACE: Duration = Duration::from_secs(10);

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn units(units: u32) -> Capacity {
    Capacity::try_from(units).expect("a small number")
}

// ---- a sidecar and a journal that do as they are told -----------------------------------------------------------

/// What the sidecar does with requests; "applies" is about changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// Applies and answers them at once.
    Prompt,
    /// Applies them, and answers only when told to behave otherwise.
    Hang,
    /// Panics instead of answering.
    Panic,
}

/// The sidecar's side of the calls, shared with the test.
struct FakeSidecar {
    capacities: Mutex<BTreeMap<Alias, u32>>,
    changes: Mutex<Vec<(Alias, Move)>>,
    on_change: watch::Sender<Manner>,
    on_read: watch::Sender<Manner>,
    /// How often it was read.
    reads: watch::Sender<usize>,
}

impl FakeSidecar {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            capacities: Mutex::default(),
            changes: Mutex::default(),
            on_change: watch::Sender::new(Manner::Prompt),
            on_read: watch::Sender::new(Manner::Prompt),
            reads: watch::Sender::new(0),
        })
    }

    fn changes(&self) -> usize {
        self.changes.lock().expect("no panic").len()
    }

    fn capacity(&self) -> u32 {
        self.capacities.lock().expect("no panic").get(&worker()).copied().unwrap_or(1)
    }
}

async fn behave(manner: &watch::Sender<Manner>) {
    let mut manner = manner.subscribe();
    let manner = *manner.wait_for(|manner| *manner != Manner::Hang).await.expect("the sidecar lives");
    assert!(manner != Manner::Panic, "the sidecar's client panics, as told");
}

/// Not `Send`, as the real one.
struct Client {
    sidecar: Arc<FakeSidecar>,
    _not_send: Rc<()>,
}

impl Sidecar for Client {
    async fn read(&self, resource: &Alias, _: &Origin) -> Result<RawReading, ReadFailure> {
        self.sidecar.reads.send_modify(|reads| *reads += 1);
        behave(&self.sidecar.on_read).await;
        let capacity = self.sidecar.capacities.lock().expect("no panic").get(resource).copied().unwrap_or(1);
        Ok(RawReading { status: Status::new("ACTIVE"), capacity: units(capacity), stamp: None })
    }

    async fn observe(&self, resource: &Alias, origin: &Origin) -> Result<RawReading, ReadFailure> {
        self.read(resource, origin).await
    }

    async fn change(&self, resource: &Alias, change: Move, _: &Origin) -> ChangeAnswer {
        self.sidecar.changes.lock().expect("no panic").push((resource.clone(), change));
        {
            let mut capacities = self.sidecar.capacities.lock().expect("no panic");
            let capacity = capacities.entry(resource.clone()).or_insert(1);
            match change.op {
                Op::Add => *capacity += change.units,
                Op::Remove => *capacity -= change.units,
            }
        }
        behave(&self.sidecar.on_change).await;
        ChangeAnswer::Acknowledged
    }
}

/// What becomes of commits.
#[derive(Default)]
struct Disk {
    /// Whether commits fail.
    broken: AtomicBool,
    /// Whether a failing commit is on the disk all the same.
    keeps: AtomicBool,
    /// Whether it cannot even be read.
    unreadable: AtomicBool,
    /// Whether the next commit of an intent breaks it.
    breaks_at_intent: AtomicBool,
    /// Whether commits of intents take until this changes.
    holds_intents: AtomicBool,
    held_intents: AtomicUsize,
    panics: AtomicBool,
    loads: AtomicUsize,
    pruned: Mutex<Vec<JobId>>,
}

impl Disk {
    fn set(flag: &AtomicBool, value: bool) {
        flag.store(value, Ordering::SeqCst);
    }
}

/// The real journal, failing when told to.
struct FakeJournal {
    inner: SqliteJournal,
    disk: Arc<Disk>,
}

fn failure() -> SqliteError {
    SqliteError::Directory { path: "store".into(), source: std::io::Error::other("no space left on device") }
}

impl Journal for FakeJournal {
    fn commit(&mut self, units: &[Unit], first_event: EventId) -> Result<(), SqliteError> {
        assert!(!self.disk.panics.load(Ordering::SeqCst), "the journal panics, as told");
        let is_intent = units.iter().flat_map(|unit| &unit.lanes).any(|lane| {
            matches!(&lane.record, RecordChange::Write(record)
                if record.change.is_some_and(|change| change.stage == Stage::Intended))
        });
        if is_intent && self.disk.holds_intents.load(Ordering::SeqCst) {
            self.disk.held_intents.fetch_add(1, Ordering::SeqCst);
            while self.disk.holds_intents.load(Ordering::SeqCst) {
                std::thread::sleep(millis(1));
            }
        }
        if is_intent && self.disk.breaks_at_intent.swap(false, Ordering::SeqCst) {
            Disk::set(&self.disk.broken, true);
        }
        if !self.disk.broken.load(Ordering::SeqCst) {
            return self.inner.commit(units, first_event);
        }
        if self.disk.keeps.load(Ordering::SeqCst) {
            self.inner.commit(units, first_event)?;
        }
        Err(failure())
    }

    fn commit_urgently(&mut self, units: &[Unit]) -> Result<(), SqliteError> {
        self.commit(units, 0)
    }

    fn reopen(&mut self) -> Result<Opened, SqliteError> {
        self.disk.loads.fetch_add(1, Ordering::SeqCst);
        if self.disk.unreadable.load(Ordering::SeqCst) { Err(failure()) } else { self.inner.reopen() }
    }

    fn lane_reader(&self) -> Result<LaneReader, SqliteError> {
        self.inner.lane_reader()
    }

    fn prune(&mut self, retention: Retention, now: Timestamp, excess: Option<&Excess>) -> Result<Pruned, SqliteError> {
        let pruned = self.inner.prune(retention, now, excess)?;
        self.disk.pruned.lock().expect("no panic").extend(pruned.jobs.iter().map(|job| job.id));
        Ok(pruned)
    }
}

// ---- a running engine -------------------------------------------------------------------------------------------

struct Rig {
    engine: RunningEngine,
    handle: EngineHandle,
    table: Arc<JobTable>,
    metrics: Arc<Metrics>,
    sidecar: Arc<FakeSidecar>,
    disk: Arc<Disk>,
    directory: Arc<tempfile::TempDir>,
    store: Arc<SqliteStore>,
    store_thread: std::thread::JoinHandle<()>,
}

/// Everything quick, and nothing given up during a test.
fn quick() -> SettingsOverrides {
    SettingsOverrides {
        cooldown: Some(Duration::ZERO),
        poll_interval: Some(millis(10)),
        settle: Some(millis(50)),
        ..SettingsOverrides::default()
    }
}

fn to(target: u32) -> JobRequest {
    request(Goal::Target(units(target)), quick())
}

fn of(resource: &str, request: JobRequest) -> JobRequest {
    JobRequest { resource: resource.parse().expect("an alias"), ..request }
}

impl Rig {
    async fn start() -> Self {
        Self::start_in(Arc::new(tempfile::tempdir().expect("a directory")), FakeSidecar::new(), Retention::DEFAULT)
            .await
    }

    async fn start_in(directory: Arc<tempfile::TempDir>, sidecar: Arc<FakeSidecar>, retention: Retention) -> Self {
        let disk = Arc::new(Disk::default());
        let inner = SqliteJournal::open(directory.path()).expect("a store");
        let next_event = inner.next_event().expect("readable");
        let reader = Arc::new(SqliteReader::open(directory.path()).expect("readable"));
        let projections = Projections::new(next_event, Traces::default()).expect("consistent");
        let (table, metrics) = (Arc::clone(&projections.table), Arc::clone(&projections.metrics));
        let (store, inbox) = SqliteStore::channel();
        let store = Arc::new(store);
        let journal = FakeJournal { inner, disk: Arc::clone(&disk) };
        let store_thread = inbox.start(journal, Observer::new(Arc::clone(&metrics), None)).expect("a thread");
        let parts = {
            let (sidecar, clock) = (Arc::clone(&sidecar), Clock::start());
            let store = Arc::clone(&store) as Arc<dyn Store>;
            move || Parts {
                sidecar: Client { sidecar, _not_send: Rc::new(()) },
                store,
                reader,
                projections,
                scaling: Arc::new(ScalingConfig::default()),
                retention,
                clock,
                wall: WallWatch::begin(clock.now(), wall_now(), false),
            }
        };
        let mut engine = RunningEngine::start(EngineHandle::channel(), parts).expect("a thread");
        engine.begun().await.expect("it lives").expect("readable");
        let handle = engine.handle.clone();
        Self { engine, handle, table, metrics, sidecar, disk, directory, store, store_thread }
    }

    async fn create(&self, request: JobRequest) -> JobId {
        match self.handle.submit(request, None).await {
            Ok(Submitted::Answer(Answer::Created(job))) => job.id,
            other => panic!("not created: {other:?}"),
        }
    }

    fn job(&self, id: JobId) -> Arc<Job> {
        Arc::clone(self.table.get(id).expect("published").job())
    }

    async fn until(&self, what: &str, mut condition: impl FnMut(&Self) -> bool) {
        let begin = Instant::now();
        while !condition(self) {
            assert!(begin.elapsed() < Duration::from_secs(20), "in vain: {what}");
            tokio::time::sleep(millis(2)).await;
        }
    }

    async fn ended(&self, id: JobId) -> Arc<Job> {
        self.until("the job ends", |rig| rig.job(id).ended().is_some()).await;
        self.job(id)
    }

    async fn unhealthy(&self) {
        let begin = Instant::now();
        while !matches!(self.handle.health().await, Err(Unavailable::Storage(_))) {
            assert!(begin.elapsed() < Duration::from_secs(10), "in vain: the failure is noticed");
        }
    }

    async fn healthy(&self) {
        let begin = Instant::now();
        while self.handle.health().await.is_err() {
            assert!(begin.elapsed() < Duration::from_secs(10), "in vain: it works again");
            tokio::time::sleep(millis(20)).await;
        }
    }

    /// Stops it and returns what is on the disk.
    async fn stop(self) -> (Result<(), EngineDied>, Stored) {
        let stopped = self.engine.stop(GRACE).await;
        (stopped, closed(&self.store, self.store_thread, &self.directory).await)
    }
}

/// What is on a disk.
struct Stored {
    lanes: Vec<LaneRecord>,
    /// All jobs, in order of submission.
    jobs: Vec<Arc<Job>>,
}

/// Closes the store in `directory`, and returns what is in it.
async fn closed(store: &SqliteStore, thread: std::thread::JoinHandle<()>, directory: &tempfile::TempDir) -> Stored {
    store.close();
    thread.join().expect("no panic");
    let journal = SqliteJournal::open(directory.path()).expect("a sound store");
    let adoption = journal.lane_reader().and_then(|lanes| lanes.adopt(&Which::All, |_| 1)).expect("readable");
    let reader = SqliteReader::open(directory.path()).expect("readable");
    let page = reader.jobs_page(&JobFilter::default(), None, 200).await.expect("readable");
    let jobs = page.entries.into_iter().rev().map(|(_, event)| event.job).collect();
    Stored { lanes: adoption.lanes.into_iter().map(|lane| lane.record).collect(), jobs }
}

#[track_caller]
fn assert_succeeded(job: &Job, steps: &[StepOutcome]) {
    assert_eq!(job.ended(), Some(&Ending::Succeeded), "{job:#?}");
    assert_eq!(job.steps.iter().map(|step| step.outcome).collect::<Vec<_>>(), steps, "{job:#?}");
}

// ---- when the store fails ---------------------------------------------------------------------------------------

#[tokio::test]
async fn a_job_that_cannot_be_made_durable_is_not_accepted() {
    let rig = Rig::start().await;
    let before = rig.create(to(2)).await;
    rig.ended(before).await;
    Disk::set(&rig.disk.broken, true);
    Disk::set(&rig.disk.unreadable, true);
    let refused = rig.handle.submit(to(3), None).await;
    assert!(matches!(&refused, Err(Unavailable::Storage(why)) if why.contains("no space left")), "{refused:?}");
    for _ in 0..3 {
        assert!(matches!(rig.handle.submit(to(3), None).await, Err(Unavailable::Storage(_))));
        assert!(matches!(rig.handle.cancel(before, None).await, Err(Unavailable::Storage(_))));
        assert!(matches!(rig.handle.health().await, Err(Unavailable::Storage(_))));
        assert!(matches!(rig.handle.resources(Reach::EVERYTHING, None, 1).await, Err(Unavailable::Storage(_))));
    }
    assert_eq!(rig.table.len(), 1, "what was refused is not shown");

    Disk::set(&rig.disk.broken, false);
    Disk::set(&rig.disk.unreadable, false);
    rig.healthy().await;
    let after = rig.create(to(3)).await;
    assert_succeeded(&*rig.ended(after).await, &[StepOutcome::Confirmed]);
    assert_eq!((rig.sidecar.capacity(), rig.sidecar.changes()), (3, 2));
    let (stopped, stored) = rig.stop().await;
    assert_eq!(stopped, Ok(()));
    assert_eq!(stored.jobs.iter().map(|job| job.id).collect::<Vec<_>>(), [before, after]);
}

/// What is under way when the store fails goes on when it works again, and nothing is sent twice.
#[tokio::test]
async fn jobs_go_on_by_themselves_when_the_store_works_again() {
    for keeps in [false, true] {
        let rig = Rig::start().await;
        rig.sidecar.on_change.send_replace(Manner::Hang);
        let in_flight = rig.create(to(2)).await;
        let api = rig.create(of("api", to(1))).await;
        rig.until("the change is sent", |rig| rig.sidecar.changes() == 1).await;
        rig.ended(api).await;
        Disk::set(&rig.disk.keeps, keeps);
        Disk::set(&rig.disk.broken, true);
        rig.sidecar.on_change.send_replace(Manner::Prompt);
        rig.unhealthy().await;
        Disk::set(&rig.disk.broken, false);
        let job = rig.ended(in_flight).await;
        assert_succeeded(&job, &[StepOutcome::Confirmed]);
        assert_eq!((rig.sidecar.capacity(), rig.sidecar.changes()), (2, 1), "kept: {keeps}");
        let (stopped, stored) = rig.stop().await;
        assert_eq!(stopped, Ok(()));
        assert_eq!(stored.jobs.iter().find(|job| job.id == in_flight), Some(&job), "shown as stored");
    }
}

#[tokio::test]
async fn a_submission_whose_commit_failed_after_it_was_durable_is_carried_out_all_the_same() {
    let rig = Rig::start().await;
    // The intent of the first change must not be in the same group.
    rig.sidecar.on_read.send_replace(Manner::Hang);
    Disk::set(&rig.disk.keeps, true);
    Disk::set(&rig.disk.broken, true);
    let key = || Some(SubmitKey { key: "k".into(), fingerprint: [1; 32] });
    assert!(matches!(rig.handle.submit(to(2), key()).await, Err(Unavailable::Storage(_))));
    Disk::set(&rig.disk.broken, false);
    rig.healthy().await;
    // The submitter does what one does, and tries again.
    let Ok(Submitted::Replayed { job, .. }) = rig.handle.submit(to(2), key()).await else { panic!("not replayed") };
    assert!(rig.table.get(job.id).is_some(), "shown before anything else happens to it");
    rig.sidecar.on_read.send_replace(Manner::Prompt);
    assert_succeeded(&*rig.ended(job.id).await, &[StepOutcome::Confirmed]);
    assert_eq!((rig.table.len(), rig.sidecar.changes()), (1, 1));
    let counted = rig.metrics.render(Scrape::default()).expect("writable");
    assert!(counted.contains("scalegate_jobs_accepted_total 1\n"), "it is counted like any other: {counted}");
}

#[tokio::test]
async fn without_a_durable_intent_nothing_is_sent() {
    for keeps in [false, true] {
        let rig = Rig::start().await;
        Disk::set(&rig.disk.keeps, keeps);
        Disk::set(&rig.disk.breaks_at_intent, true);
        rig.sidecar.on_read.send_replace(Manner::Hang);
        let id = rig.create(to(2)).await;
        rig.sidecar.on_read.send_replace(Manner::Prompt);
        rig.unhealthy().await;
        tokio::time::sleep(millis(50)).await;
        assert_eq!(rig.sidecar.changes(), 0);
        Disk::set(&rig.disk.broken, false);
        let job = rig.ended(id).await;
        // An intent on the disk may have been sent, for all a new process knows.
        let first = keeps.then_some(StepOutcome::NotApplied);
        let outcomes: Vec<_> = first.into_iter().chain([StepOutcome::Confirmed]).collect();
        assert_succeeded(&job, &outcomes);
        assert_eq!((rig.sidecar.capacity(), rig.sidecar.changes()), (2, 1));
    }
}

/// A full disk: everything can be read, nothing written.
#[tokio::test]
async fn a_store_that_can_only_be_read_is_not_tried_again_and_again() {
    let rig = Rig::start().await;
    rig.sidecar.on_change.send_replace(Manner::Hang);
    rig.create(to(2)).await;
    rig.until("the change is sent", |rig| rig.sidecar.changes() == 1).await;
    Disk::set(&rig.disk.broken, true);
    let loads = rig.disk.loads.load(Ordering::SeqCst);
    rig.sidecar.on_change.send_replace(Manner::Prompt);
    tokio::time::sleep(millis(2500)).await;
    let loads = rig.disk.loads.load(Ordering::SeqCst) - loads;
    assert!((1..=3).contains(&loads), "{loads} times in 2.5 s");
    assert_eq!(rig.sidecar.changes(), 1);
}

#[tokio::test]
async fn stopping_does_not_wait_for_a_store_that_does_not_work() {
    let rig = Rig::start().await;
    Disk::set(&rig.disk.broken, true);
    Disk::set(&rig.disk.unreadable, true);
    assert!(rig.handle.submit(to(2), None).await.is_err());
    let begin = Instant::now();
    assert_eq!(rig.engine.stop(GRACE).await, Ok(()));
    assert!(begin.elapsed() < millis(500), "{:?}", begin.elapsed());
}

// ---- when it dies -----------------------------------------------------------------------------------------------

#[tokio::test]
async fn a_panic_ends_the_engine_loudly() {
    let mut rig = Rig::start().await;
    rig.sidecar.on_change.send_replace(Manner::Panic);
    rig.create(to(2)).await;
    assert_eq!(rig.engine.ended().await, Err(EngineDied));
    assert_eq!(rig.handle.health().await, Err(Unavailable::Stopping));
    assert!(matches!(rig.handle.submit(to(3), None).await, Err(Unavailable::Stopping)));
    let job = &closed(&rig.store, rig.store_thread, &rig.directory).await.jobs[0];
    assert_eq!(job.ended(), None, "the next process carries on");
}

#[tokio::test]
async fn a_panic_while_stopping_is_not_hidden() {
    let rig = Rig::start().await;
    rig.sidecar.on_change.send_replace(Manner::Hang);
    rig.create(to(2)).await;
    rig.until("the change is sent", |rig| rig.sidecar.changes() == 1).await;
    let stopping = tokio::spawn(rig.engine.stop(GRACE));
    tokio::time::sleep(millis(50)).await;
    let begin = Instant::now();
    rig.sidecar.on_change.send_replace(Manner::Panic);
    assert_eq!(stopping.await.expect("joined"), Err(EngineDied));
    assert!(begin.elapsed() < Duration::from_secs(2), "nor waited out");
}

#[tokio::test]
async fn the_engine_does_not_outlive_its_store() {
    let mut rig = Rig::start().await;
    Disk::set(&rig.disk.panics, true);
    let refused = rig.handle.submit(to(2), None).await;
    assert!(matches!(refused, Err(Unavailable::Interrupted)), "{refused:?}");
    assert_eq!(rig.engine.ended().await, Err(EngineDied));
}

// ---- when it is told to stop ------------------------------------------------------------------------------------

#[tokio::test]
async fn stopping_waits_for_the_change_on_its_way_and_records_its_answer() {
    let rig = Rig::start().await;
    rig.sidecar.on_change.send_replace(Manner::Hang);
    let id = rig.create(to(3)).await;
    let queued = rig.create(JobRequest { on_conflict: OnConflict::Queue, ..to(1) }).await;
    rig.until("the change is sent", |rig| rig.sidecar.changes() == 1).await;
    let Rig { engine, sidecar, directory, store, store_thread, .. } = rig;
    let stopping = tokio::spawn(engine.stop(GRACE));
    tokio::time::sleep(millis(200)).await;
    assert!(!stopping.is_finished(), "it waits");
    let begin = Instant::now();
    sidecar.on_change.send_replace(Manner::Prompt);
    assert_eq!(stopping.await.expect("joined"), Ok(()));
    assert!(begin.elapsed() < Duration::from_secs(2), "and no longer than it must");
    let stored = closed(&store, store_thread, &directory).await;
    let change = stored.lanes[0].change.expect("unresolved");
    assert_eq!(change.stage, Stage::Acknowledged);
    assert_eq!(sidecar.changes(), 1, "nothing new was sent");

    // And the next process goes on from there.
    let next = Rig::start_in(directory, Arc::clone(&sidecar), Retention::DEFAULT).await;
    assert_succeeded(&*next.ended(id).await, &[StepOutcome::Confirmed; 2]);
    assert_succeeded(&*next.ended(queued).await, &[StepOutcome::Confirmed; 2]);
    assert_eq!((sidecar.capacity(), sidecar.changes()), (1, 4));
}

#[tokio::test]
async fn stopping_takes_no_longer_than_the_grace_time() {
    let rig = Rig::start().await;
    rig.sidecar.on_change.send_replace(Manner::Hang);
    rig.create(to(3)).await;
    rig.until("the change is sent", |rig| rig.sidecar.changes() == 1).await;
    let begin = Instant::now();
    assert_eq!(rig.engine.stop(millis(400)).await, Ok(()));
    let took = begin.elapsed();
    assert!(took >= millis(400) && took < millis(1500), "{took:?}");
    let change = closed(&rig.store, rig.store_thread, &rig.directory).await.lanes[0].change.expect("unresolved");
    assert_eq!(change.stage, Stage::Intended, "to be read back");
}

/// Not even what is decided already, and on its way to the disk.
#[tokio::test]
async fn stopping_sends_nothing_new() {
    let rig = Rig::start().await;
    Disk::set(&rig.disk.holds_intents, true);
    rig.sidecar.on_read.send_replace(Manner::Hang);
    let id = rig.create(to(3)).await;
    rig.sidecar.on_read.send_replace(Manner::Prompt);
    rig.until("the intent is on its way", |rig| rig.disk.held_intents.load(Ordering::SeqCst) == 1).await;
    let Rig { engine, sidecar, directory, store, store_thread, disk, .. } = rig;
    let stopping = tokio::spawn(engine.stop(GRACE));
    tokio::time::sleep(millis(100)).await;
    Disk::set(&disk.holds_intents, false);
    assert_eq!(stopping.await.expect("joined"), Ok(()));
    assert_eq!(sidecar.changes(), 0);
    let stored = closed(&store, store_thread, &directory).await;
    assert_eq!(stored.lanes[0].change, None, "it is known not to have been sent");
    let outcomes: Vec<_> = stored.jobs[0].steps.iter().map(|step| step.outcome).collect();
    assert_eq!(outcomes, [StepOutcome::NotApplied]);

    let next = Rig::start_in(directory, sidecar, Retention::DEFAULT).await;
    let job = next.ended(id).await;
    assert_succeeded(&job, &[StepOutcome::NotApplied, StepOutcome::Confirmed, StepOutcome::Confirmed]);
}

#[tokio::test]
async fn stopping_does_not_wait_for_a_reading() {
    let rig = Rig::start().await;
    rig.sidecar.on_read.send_replace(Manner::Hang);
    rig.create(to(3)).await;
    let begin = Instant::now();
    assert_eq!(rig.engine.stop(GRACE).await, Ok(()));
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
}

// ---- requests ---------------------------------------------------------------------------------------------------

#[tokio::test]
async fn the_same_key_gets_the_same_answer_before_and_after_a_restart() {
    let rig = Rig::start().await;
    let key = |fingerprint| Some(SubmitKey { key: "k".into(), fingerprint: [fingerprint; 32] });
    let (first, second) = tokio::join!(rig.handle.submit(to(2), key(1)), rig.handle.submit(to(2), key(1)));
    let Ok(Submitted::Answer(Answer::Created(created))) = first else { panic!("not created: {first:?}") };
    let Ok(Submitted::Replayed { job, joined }) = second else { panic!("not replayed: {second:?}") };
    assert_eq!((job.id, joined), (created.id, false));
    let reused = rig.handle.submit(to(3), key(2)).await;
    assert!(matches!(reused, Ok(Submitted::Answer(Answer::Refused(Refusal::NoRoom(NoRoom::KeyReused))))), "{reused:?}");
    let ended = rig.ended(created.id).await;
    let later = rig.handle.submit(to(2), key(1)).await;
    let replayed = Ok(Submitted::Replayed { job: ended, joined: false });
    assert_eq!(later, replayed, "as it is now, not as it was then");

    let (directory, sidecar) = (Arc::clone(&rig.directory), Arc::clone(&rig.sidecar));
    assert_eq!(rig.stop().await.0, Ok(()));
    let next = Rig::start_in(directory, sidecar, Retention::DEFAULT).await;
    assert_eq!(next.handle.submit(to(2), key(1)).await, replayed, "the table does not know the job any more");
    assert_eq!(next.sidecar.changes(), 1);
}

#[tokio::test]
async fn what_is_no_longer_kept_goes_from_the_store() {
    let directory = Arc::new(tempfile::tempdir().expect("a directory"));
    let minute = Duration::from_secs(60);
    let now = Clock::start().now();
    let job = |id: u128, ended_ago: Option<Duration>| {
        let mut job = Job::accept(JobId::from_u128(id), to(1), Settings::DEFAULT.with(&quick()), now - minute);
        job.version = 1;
        if let Some(ago) = ended_ago {
            job.end(Ending::Canceled, now - ago);
        }
        Arc::new(job)
    };
    let jobs = vec![job(1, Some(minute * 10)), job(2, Some(minute * 4)), job(3, None), job(4, Some(minute * 10))];
    SqliteJournal::open(directory.path())
        .expect("a store")
        .commit(&[Unit { jobs, ..Unit::default() }], 1)
        .expect("committed");
    let rig = Rig::start_in(directory, FakeSidecar::new(), Retention { age: minute * 5, count: 100 }).await;
    // The first time is right after the start.
    rig.until("old jobs go", |rig| rig.disk.pruned.lock().expect("no panic").len() == 2).await;
    assert_eq!(rig.table.len(), 1, "what was over at the start is asked of the store");
    rig.ended(JobId::from_u128(3)).await;
    assert_eq!(*rig.disk.pruned.lock().expect("no panic"), [1, 4].map(JobId::from_u128));
    let (_, stored) = rig.stop().await;
    assert_eq!(stored.jobs.iter().map(|job| job.id.as_u128()).collect::<Vec<_>>(), [2, 3]);
}

#[tokio::test]
async fn a_sidecar_that_hangs_holds_up_nobody_who_only_looks() {
    let rig = Rig::start().await;
    rig.sidecar.on_read.send_replace(Manner::Hang);
    let id = rig.create(to(2)).await;
    let begin = Instant::now();
    let (look, plan, quick) = tokio::join!(
        rig.handle.observe(worker(), None, OBSERVE_TIMEOUT),
        rig.handle.plan(of("api", to(2)), OBSERVE_TIMEOUT),
        async {
            // Meanwhile the engine is there for everybody else.
            let health = rig.handle.health().await.expect("healthy");
            let canceled = rig.handle.cancel(id, None).await;
            assert!(matches!(canceled, Ok(Answer::Canceled(_))), "{canceled:?}");
            (health.unfinished_jobs, begin.elapsed())
        },
    );
    assert_eq!(quick.0, 1);
    assert!(quick.1 < Duration::from_secs(2), "{:?}", quick.1);
    let took = begin.elapsed();
    assert!(took >= OBSERVE_TIMEOUT && took < OBSERVE_TIMEOUT + Duration::from_secs(3), "{took:?}");
    let look = look.expect("an answer").expect("a resource");
    assert!(look.failure.is_some_and(|failure| failure.detail.contains("no answer from the sidecar within 10 s")));
    assert!(matches!(plan, Ok(Err(PlanError::NoReading(_)))), "{plan:?}");
    assert_eq!(rig.handle.health().await.expect("healthy").sidecar.reachable, Some(false));
}

/// Whoever makes jobs take each other's place faster than the sidecar answers must not use up all connections.
#[tokio::test]
async fn a_resource_has_one_reading_on_its_way_at_most() {
    let rig = Rig::start().await;
    rig.sidecar.on_read.send_replace(Manner::Hang);
    let on_their_way = |rig: &Rig| rig.sidecar.on_read.receiver_count();
    let mut last = rig.create(to(2)).await;
    for target in [3, 2, 3, 2, 3, 2, 3] {
        last = rig.create(JobRequest { on_conflict: OnConflict::Supersede, ..to(target) }).await;
        rig.until("a reading is on its way", |rig| on_their_way(rig) > 0).await;
    }
    rig.until("the others are given up", |rig| on_their_way(rig) == 1).await;
    rig.sidecar.on_read.send_replace(Manner::Prompt);
    assert_eq!(rig.ended(last).await.ended(), Some(&Ending::Succeeded));
}

/// All who look at a resource at the same time share one call, those with plans too.
#[tokio::test]
async fn looks_at_a_resource_share_one_call() {
    let rig = Rig::start().await;
    rig.sidecar.on_read.send_replace(Manner::Hang);
    let looks = join_all((0..60).map(|_| rig.handle.observe(worker(), None, OBSERVE_TIMEOUT)));
    let plans = join_all((0..10).map(|_| rig.handle.plan(to(2), OBSERVE_TIMEOUT)));
    let other = rig.handle.observe("api".parse().expect("an alias"), None, OBSERVE_TIMEOUT);
    let release = async {
        // The engine takes one request after the other: when it answers this one, it has taken all of the others.
        rig.handle.health().await.expect("it works");
        rig.sidecar.reads.subscribe().wait_for(|reads| *reads == 2).await.expect("the sidecar lives");
        rig.sidecar.on_read.send_replace(Manner::Prompt);
    };
    let (looks, plans, other, ()) = tokio::join!(looks, plans, other, release);
    for look in looks.into_iter().chain([other]) {
        let look = look.expect("it works").expect("it may be scaled");
        assert_eq!(look.view.observation.map(|reading| reading.capacity), Some(units(1)));
    }
    assert!(plans.iter().all(|plan| matches!(plan, Ok(Ok(plan)) if plan.estimate.steps.len() == 1)), "{plans:?}");
    assert_eq!(*rig.sidecar.reads.borrow(), 2, "one call for each resource");
    assert!(rig.handle.observe(worker(), None, OBSERVE_TIMEOUT).await.is_ok());
    assert_eq!(*rig.sidecar.reads.borrow(), 3, "a later look gets a reading of its own");
}

/// A caller who looks gets the reading that a job has asked for. The reverse must not be: what a job decides on it asks for itself.
#[tokio::test]
async fn looks_share_the_reading_of_a_job_and_no_job_that_of_a_look() {
    let rig = Rig::start().await;
    rig.sidecar.on_read.send_replace(Manner::Hang);
    let until_read = async |count| {
        rig.sidecar.reads.subscribe().wait_for(|reads| *reads == count).await.expect("the sidecar lives");
    };
    let early = rig.handle.observe(worker(), None, OBSERVE_TIMEOUT);
    let job = async {
        until_read(1).await;
        let id = rig.create(to(1)).await;
        until_read(2).await;
        let late = rig.handle.observe(worker(), None, OBSERVE_TIMEOUT);
        let release = async {
            rig.handle.health().await.expect("it works");
            rig.sidecar.on_read.send_replace(Manner::Prompt);
            id
        };
        tokio::join!(late, release)
    };
    let (early, (late, id)) = tokio::join!(early, job);
    assert_succeeded(&*rig.ended(id).await, &[]);
    for look in [early, late] {
        assert_eq!(look.expect("it works").expect("may be scaled").failure, None);
    }
    assert_eq!(*rig.sidecar.reads.borrow(), 2);
    // Without a look before it.
    rig.sidecar.on_read.send_replace(Manner::Hang);
    let id = rig.create(to(1)).await;
    until_read(3).await;
    let release = async {
        rig.handle.health().await.expect("it works");
        rig.sidecar.on_read.send_replace(Manner::Prompt);
    };
    let (look, ()) = tokio::join!(rig.handle.observe(worker(), None, OBSERVE_TIMEOUT), release);
    assert_eq!(look.expect("it works").expect("may be scaled").failure, None);
    assert_succeeded(&*rig.ended(id).await, &[]);
    assert_eq!(*rig.sidecar.reads.borrow(), 3);
}

/// A plan that would be refused in any case does not wait for the sidecar.
#[tokio::test]
async fn a_plan_that_would_be_refused_asks_nothing() {
    let rig = Rig::start().await;
    rig.sidecar.on_change.send_replace(Manner::Hang);
    let busy = rig.create(to(3)).await;
    rig.until("the change is on its way", |rig| rig.sidecar.changes() == 1).await;
    let reads = *rig.sidecar.reads.borrow();
    let plan = rig.handle.plan(to(7), OBSERVE_TIMEOUT).await;
    assert!(matches!(&plan, Ok(Err(PlanError::Refused(Refusal::Busy { by }))) if by.id == busy), "{plan:?}");
    assert_eq!(*rig.sidecar.reads.borrow(), reads);
}
