//! A running engine with its store, and requests for it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use scalegate::clock::{Clock, WallWatch, wall_now};
use scalegate::domain::{
    Capacity, Ending, Goal, Job, JobId, JobRequest, LaneRecord, Retention, ScalingConfig, SettingsOverrides,
    StepOutcome,
};
use scalegate::engine::{
    Answer, EngineDied, EngineHandle, JobChange, Parts, Projections, RunningEngine, Submitted, Unavailable,
};
use scalegate::metrics::Metrics;
use scalegate::sources::SourceRules;
use scalegate::store::sqlite::{Journal, SqliteJournal, SqliteReader, SqliteStore};
use scalegate::store::{JobFilter, Observer, Store, StoreReader, Which};
use scalegate::table::JobTable;
use scalegate::telemetry::Traces;

use super::fakes::{Client, Disk, FakeJournal, FakeSidecar, FakeStore};
use crate::support::world::request;

pub const GRACE: Duration = Duration::from_secs(10);

pub const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub fn units(units: u32) -> Capacity {
    Capacity::try_from(units).expect("a small number")
}

pub struct Rig {
    pub engine: RunningEngine,
    pub handle: EngineHandle,
    pub table: Arc<JobTable>,
    pub metrics: Arc<Metrics>,
    pub sidecar: Arc<FakeSidecar>,
    pub disk: Arc<Disk>,
    pub directory: Arc<tempfile::TempDir>,
    pub store: Arc<FakeStore>,
    pub store_thread: std::thread::JoinHandle<()>,
}

/// Everything quick, and nothing given up during a test.
pub fn quick() -> SettingsOverrides {
    SettingsOverrides {
        cooldown: Some(Duration::ZERO),
        poll_interval: Some(millis(10)),
        settle: Some(millis(50)),
        ..SettingsOverrides::default()
    }
}

pub fn to(target: u32) -> JobRequest {
    request(Goal::Target(units(target)), quick())
}

pub fn of(resource: &str, request: JobRequest) -> JobRequest {
    JobRequest { resource: resource.parse().expect("an alias"), ..request }
}

impl Rig {
    pub async fn start() -> Self {
        Self::start_in(Arc::new(tempfile::tempdir().expect("a directory")), FakeSidecar::new(), Retention::DEFAULT)
            .await
    }

    pub async fn start_in(directory: Arc<tempfile::TempDir>, sidecar: Arc<FakeSidecar>, retention: Retention) -> Self {
        let disk = Arc::new(Disk::default());
        let inner = SqliteJournal::open(directory.path()).expect("a store");
        let next_event = inner.next_event().expect("readable");
        let reader = Arc::new(SqliteReader::open(directory.path()).expect("readable"));
        let projections = Projections::new(next_event, Traces::default()).expect("consistent");
        let (table, metrics) = (Arc::clone(&projections.table), Arc::clone(&projections.metrics));
        let (store, inbox) = SqliteStore::channel();
        let store = FakeStore::new(store);
        let journal = FakeJournal { inner, disk: Arc::clone(&disk) };
        let store_thread = inbox.start(journal, Observer::new(Arc::clone(&metrics), None)).expect("a thread");
        let parts = {
            let (sidecar, clock) = (Arc::clone(&sidecar), Clock::start());
            let store = Arc::clone(&store) as Arc<dyn Store>;
            move || Parts {
                sidecar: Client::new(sidecar),
                store,
                reader,
                projections,
                scaling: Arc::new(ScalingConfig::default()),
                retention,
                clock,
                sources: SourceRules::default(),
                wall: WallWatch::begin(clock.now(), wall_now(), false),
            }
        };
        let mut engine = RunningEngine::start(EngineHandle::channel(), parts).expect("a thread");
        engine.begun().await.expect("it lives").expect("readable");
        let handle = engine.handle.clone();
        Self { engine, handle, table, metrics, sidecar, disk, directory, store, store_thread }
    }

    pub async fn create(&self, request: JobRequest) -> JobId {
        match self.handle.submit(request, None).await {
            Ok(Submitted::Answer(Answer::Created(noted))) => noted.job.id,
            other => panic!("not created: {other:?}"),
        }
    }

    pub async fn cancel(&self, id: JobId) -> Result<Answer, Unavailable> {
        self.handle.change(id, JobChange::Cancel, None).await
    }

    pub fn job(&self, id: JobId) -> Arc<Job> {
        Arc::clone(self.table.get(id).expect("published").job())
    }

    pub async fn until(&self, what: &str, mut condition: impl FnMut(&Self) -> bool) {
        let begin = Instant::now();
        while !condition(self) {
            assert!(begin.elapsed() < Duration::from_secs(20), "in vain: {what}");
            tokio::time::sleep(millis(2)).await;
        }
    }

    pub async fn ended(&self, id: JobId) -> Arc<Job> {
        self.until("the job ends", |rig| rig.job(id).ended().is_some()).await;
        self.job(id)
    }

    pub async fn unhealthy(&self) {
        let begin = Instant::now();
        while !matches!(self.handle.health().await, Err(Unavailable::Storage(_))) {
            assert!(begin.elapsed() < Duration::from_secs(10), "in vain: the failure is noticed");
        }
    }

    pub async fn healthy(&self) {
        let begin = Instant::now();
        while self.handle.health().await.is_err() {
            assert!(begin.elapsed() < Duration::from_secs(10), "in vain: it works again");
            tokio::time::sleep(millis(20)).await;
        }
    }

    /// Stops it and returns what is on the disk.
    pub async fn stop(self) -> (Result<(), EngineDied>, Stored) {
        let stopped = self.engine.stop(GRACE).await;
        (stopped, closed(&self.store, self.store_thread, &self.directory).await)
    }
}

/// What is on a disk.
pub struct Stored {
    pub lanes: Vec<LaneRecord>,
    /// All jobs, in order of submission.
    pub jobs: Vec<Arc<Job>>,
}

/// Closes the store in `directory`, and returns what is in it.
pub async fn closed(store: &FakeStore, thread: std::thread::JoinHandle<()>, directory: &tempfile::TempDir) -> Stored {
    store.inner.close();
    thread.join().expect("no panic");
    let journal = SqliteJournal::open(directory.path()).expect("a sound store");
    let adoption = journal.lane_reader().and_then(|lanes| lanes.adopt(&Which::All, |_| 1)).expect("readable");
    let reader = SqliteReader::open(directory.path()).expect("readable");
    let page = reader.jobs_page(&JobFilter::default(), None, 200).await.expect("readable");
    let jobs = page.entries.into_iter().rev().map(|(_, event)| event.job).collect();
    Stored { lanes: adoption.lanes.into_iter().map(|lane| lane.record).collect(), jobs }
}

#[track_caller]
pub fn assert_succeeded(job: &Job, steps: &[StepOutcome]) {
    assert_eq!(job.ended(), Some(&Ending::Succeeded), "{job:#?}");
    assert_eq!(job.steps.iter().map(|step| step.outcome).collect::<Vec<_>>(), steps, "{job:#?}");
}
