//! The gateway as `app` puts it together, in the test's own process and with the test's sidecar: the HTTP server on a
//! socket, the engine on its thread, the SQLite store in a directory. And a client that remembers what it was shown.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use scalegate::api::view::JobView;
use scalegate::api::{self, ApiState, ConnectionLimits, HttpServer, ProcessState};
use scalegate::clock::{Clock, WallWatch, wall_now};
use scalegate::domain::{Bounds, Limits, ResourceConfig, Retention, ScalingConfig, SettingLimits, Settings};
use scalegate::engine::{EngineHandle, Parts, Projections, RunningEngine};
use scalegate::sources::SourceRules;
use scalegate::store::sqlite::{SqliteJournal, SqliteReader, SqliteStore};
use scalegate::store::{Observer, Store, StoreReader};
use scalegate::telemetry::Traces;
use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;
use uuid::Uuid;

use super::reference::{ACTIVE_JOBS, LISTED, QUEUE_LENGTH, STEP_SIZE};
use super::sidecar::{Client, Platform};
use crate::support::gateway::{PATIENCE, Response, send};
use crate::support::guard;
use crate::support::sidecar::units;

/// Set once a wait was in vain.
static IN_VAIN: AtomicBool = AtomicBool::new(false);

/// Polls until `condition` holds. Fails with what it says if it never does.
///
/// After the first wait in vain the verdict is clear, and what follows only looks for a shorter way to it: no attempt
/// should take a minute.
pub async fn until(mut condition: impl AsyncFnMut() -> Result<(), String>) {
    let begin = Instant::now();
    while let Err(complaint) = condition().await {
        let patience = if IN_VAIN.load(Ordering::Relaxed) { PATIENCE / 60 } else { PATIENCE };
        if begin.elapsed() > patience {
            IN_VAIN.store(true, Ordering::Relaxed);
            panic!("{complaint}");
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// A running gateway.
pub struct Gateway {
    pub address: SocketAddr,
    http: HttpServer,
    engine: RunningEngine,
    store: Arc<SqliteStore>,
    store_thread: JoinHandle<()>,
    _progress: ProcessState,
}

impl Gateway {
    /// Starts one that carries on from what is in `directory`.
    pub async fn start(directory: &Path, platform: &Arc<Platform>) -> Self {
        let listener = api::bind(([127, 0, 0, 1], 0).into()).expect("a free port");
        let address = listener.local_addr().expect("an address");
        let journal = SqliteJournal::open(directory).expect("a store");
        let reader: Arc<dyn StoreReader> = Arc::new(SqliteReader::open(directory).expect("readable"));
        let projections =
            Projections::new(journal.next_event().expect("readable"), Traces::default()).expect("consistent");
        let (store, inbox) = SqliteStore::channel();
        let store = Arc::new(store);
        let observer = Observer::new(Arc::clone(&projections.metrics), None);
        let store_thread = inbox.start(journal, observer).expect("a thread");
        let clock = Clock::start();
        let (guard, browsers) = guard::on_loopback(&reader, Arc::clone(&store) as Arc<dyn Store>, clock).await;
        let wall = WallWatch::begin(clock.now(), wall_now(), false);
        let parts = {
            let (sidecar, projections) = (Client(Arc::clone(platform)), projections.clone());
            let (scaling, retention) = (Arc::new(scaling()), Retention::DEFAULT);
            let store = Arc::clone(&store) as Arc<dyn Store>;
            let reader = Arc::clone(&reader);
            move || Parts {
                sidecar,
                store,
                reader,
                projections,
                scaling,
                retention,
                clock,
                sources: SourceRules::default(),
                wall,
            }
        };
        let mut engine = RunningEngine::start(EngineHandle::channel(), parts).expect("a thread");
        engine.begun().await.expect("it lives").expect("readable");
        let connection_limits = ConnectionLimits::in_this_process();
        let (state, progress) =
            ApiState::new(engine.handle.clone(), projections, reader, clock, guard, connection_limits);
        progress.set_recovered(true);
        let http = HttpServer::start(listener, None, state, browsers, false, Duration::ZERO).expect("a server");
        Self { address, http, engine, store, store_thread, _progress: progress }
    }

    /// Stops it without waiting for the sidecar.
    pub async fn stop(self) {
        // No client is connected any more; its threads may take their time.
        actix_web::rt::spawn(self.http.stop());
        self.engine.stop(Duration::ZERO).await.expect("it did not die");
        self.store.close();
        self.store_thread.join().expect("nor did its store");
    }
}

/// No waits but for the test, and limits that are soon reached.
fn scaling() -> ScalingConfig {
    let settings = Settings {
        step_size: STEP_SIZE,
        cooldown: Duration::ZERO,
        settle: Duration::ZERO,
        poll_interval: Duration::from_millis(10),
        ..Settings::DEFAULT
    };
    let resources = LISTED.into_iter().map(|(alias, min, max)| {
        let bounds = Bounds { min: units(min), max: units(max) };
        (alias.parse().expect("an alias"), ResourceConfig { bounds, settings, setting_limits: SettingLimits::NONE })
    });
    let limits = Limits { active_jobs: ACTIVE_JOBS, queue_length: QUEUE_LENGTH, ..Limits::DEFAULT };
    ScalingConfig { settings, resources: resources.collect(), only_listed: true, limits, ..ScalingConfig::default() }
}

/// A directory in memory where there is one: whether the disk is synced is for other tests to see.
pub fn directory() -> TempDir {
    let in_memory = Path::new("/dev/shm");
    let directory = if in_memory.is_dir() { TempDir::new_in(in_memory) } else { TempDir::new() };
    directory.expect("a directory")
}

/// A page of a list as it came.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Page {
    jobs: Vec<Value>,
    next_page_token: Option<String>,
}

/// The memory of a client. Whatever it is shown of a job must agree with what it was shown before.
#[derive(Default)]
pub struct Reader {
    latest: HashMap<Uuid, JobView>,
    shown: HashMap<(Uuid, u64), Value>,
}

impl Reader {
    fn see(&mut self, shown: Value) -> JobView {
        let job: JobView = serde_json::from_value(shown.clone()).expect("a job");
        if let Some(earlier) = self.latest.insert(job.id, job.clone()) {
            assert!(job.version >= earlier.version, "it went back: {job:#?} after {earlier:#?}");
            assert!(
                !earlier.state.is_over() || job == earlier,
                "it changed after its end: {job:#?} after {earlier:#?}"
            );
        }
        if let Some(same) = self.shown.insert((job.id, job.version), shown) {
            assert_eq!(same, self.shown[&(job.id, job.version)], "two faces of one version");
        }
        job
    }

    /// Fails if another client was shown something else.
    pub fn agrees_with(&self, other: &Self) {
        for (version, shown) in &self.shown {
            assert!(other.shown.get(version).is_none_or(|same| same == shown), "two faces of one version: {shown:#}");
        }
    }

    /// The job in an answer about one.
    pub fn see_job(&mut self, response: &Response) -> JobView {
        assert!(matches!(response.status, 200 | 202), "{}: {}", response.status, text(response));
        self.see(response.json())
    }

    /// The jobs on a page of a list, and the token of the next one.
    pub fn see_page(&mut self, response: &Response) -> (Vec<JobView>, Option<String>) {
        assert_eq!(response.status, 200, "{}", text(response));
        let page: Page = serde_json::from_slice(&response.body).expect("a page");
        (page.jobs.into_iter().map(|job| self.see(job)).collect(), page.next_page_token)
    }
}

pub fn text(response: &Response) -> &str {
    std::str::from_utf8(&response.body).expect("text")
}

pub async fn get(address: SocketAddr, path: &str) -> Response {
    send(awc::Client::default().get(format!("http://{address}{path}")), None).await
}

pub async fn get_if_changed(address: SocketAddr, path: &str, tag: &str) -> Response {
    let request = awc::Client::default().get(format!("http://{address}{path}"));
    send(request.insert_header(("If-None-Match", tag)), None).await
}

pub async fn post(address: SocketAddr, path: &str, body: String, key: Option<&str>) -> Response {
    let mut request = awc::Client::default().post(format!("http://{address}{path}")).content_type("application/json");
    if let Some(key) = key {
        request = request.insert_header(("Idempotency-Key", key));
    }
    send(request, Some(body.into_bytes())).await
}
