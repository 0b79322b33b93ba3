//! The gateway put together: what starts and stops in which order, and who notices when a part dies.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout, timeout_at};

use crate::api::{self, ApiState, HttpServer, MAX_LONG_POLLS};
use crate::clock::Clock;
use crate::config::Config;
use crate::engine::{EngineDied, Parts, RunningEngine};
use crate::sidecar::{HttpSidecar, REQUEST_TIMEOUT};
use crate::store::{Journal as _, SqliteCatalog, SqliteJournal, StoreError, StoreWriter};
use crate::table::JobTable;

/// Share of the grace time in which requests under way are to be answered; the rest is for a change in flight.
const SHARE_FOR_REQUESTS: f64 = 0.25;
/// Time for the store to close even if nothing is left of the grace time; it has little to do.
const LEAST_TIME_TO_CLOSE: Duration = Duration::from_millis(500);

/// Why the gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be had.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The system refuses a thread or the like.
    #[error("the system refuses what the gateway needs")]
    System(#[from] std::io::Error),
}

/// A running gateway.
pub struct Gateway {
    address: SocketAddr,
    http: HttpServer,
    engine: RunningEngine,
    store: JoinHandle<()>,
    stopping: watch::Sender<bool>,
}

impl Gateway {
    /// Starts a gateway with this `config`: first everything that can be refused, then recovery, then the door.
    ///
    /// # Errors
    /// If the address or the store cannot be had.
    pub fn start(config: &Config) -> Result<Self, StartError> {
        let listening = |source| StartError::Listen { address: config.listen, source };
        let listener = api::bind(config.listen).map_err(listening)?;
        let address = listener.local_addr().map_err(listening)?;
        let mut journal = SqliteJournal::open(&config.data_dir)?;
        let snapshot = journal.load()?;
        let catalog = SqliteCatalog::open(&config.data_dir)?;
        let table = Arc::new(JobTable::default());
        let unfinished = snapshot.jobs.iter().filter(|job| job.ended().is_none()).count();
        table.reset(&snapshot.jobs);
        tracing::info!(jobs = table.len(), unfinished, data_dir = %config.data_dir.display(), "store opened");

        let (store, acknowledgements, store_thread) = StoreWriter::start(journal)?;
        let clock = Clock::start();
        let parts = {
            let (policy, retention, table) = (Arc::new(config.policy()), config.retention, Arc::clone(&table));
            let sidecar_url = config.sidecar_url.as_str().to_owned();
            move || Parts {
                sidecar: HttpSidecar::new(sidecar_url, REQUEST_TIMEOUT),
                store,
                acknowledgements,
                table,
                policy,
                retention,
                clock,
            }
        };
        let engine = RunningEngine::start(snapshot, parts)?;
        let (stopping, stopped) = watch::channel(false);
        let state = ApiState {
            engine: engine.handle.clone(),
            table,
            catalog: Arc::new(catalog),
            clock,
            stopping: stopped,
            long_polls: Semaphore::new(MAX_LONG_POLLS),
        };
        let http = HttpServer::start(listener, state, config.shutdown_grace.mul_f64(SHARE_FOR_REQUESTS))?;
        tracing::info!(%address, sidecar = config.sidecar_url.as_str(), "scalegate {} is ready", env!("CARGO_PKG_VERSION"));
        Ok(Self { address, http, engine, store: store_thread, stopping })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends if the engine dies, which it should not.
    pub async fn died(&mut self) -> EngineDied {
        let _ = self.engine.ended().await;
        EngineDied
    }

    /// Stops: takes no more requests, answers those under way, sees a change in flight through, closes the store. All
    /// within `grace`.
    ///
    /// # Errors
    /// If the engine died on the way.
    pub async fn stop(self, grace: Duration) -> Result<(), EngineDied> {
        let deadline = Instant::now() + grace;
        self.stopping.send_replace(true);
        if timeout(grace.mul_f64(SHARE_FOR_REQUESTS), self.http.stop()).await.is_err() {
            tracing::debug!("some connections are still open");
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let stopped = self.engine.stop(left).await;
        // The engine held the last handle to the store's thread, which now writes what is left and ends.
        let closed = tokio::task::spawn_blocking(move || self.store.join());
        if timeout_at(deadline.max(Instant::now() + LEAST_TIME_TO_CLOSE), closed).await.is_err() {
            tracing::warn!("the disk is too slow to wait for; whatever was promised is on it");
        }
        stopped
    }
}

/// Runs a gateway until SIGTERM or SIGINT. A second signal ends the process at once.
///
/// # Errors
/// If it does not start, or dies.
pub async fn serve(config: &Config) -> Result<(), ServeError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(StartError::System)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(StartError::System)?;
    let mut gateway = Gateway::start(config)?;
    tokio::select! {
        _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
        _ = interrupt.recv() => tracing::info!("SIGINT: stopping"),
        died = gateway.died() => return Err(died.into()),
    }
    tokio::select! {
        stopped = gateway.stop(config.shutdown_grace) => stopped?,
        _ = terminate.recv() => exit_at_once(),
        _ = interrupt.recv() => exit_at_once(),
    }
    tracing::info!("stopped");
    Ok(())
}

/// Nothing is lost by this: what is durable is on the disk, and what is not was not promised to anybody.
fn exit_at_once() -> ! {
    tracing::warn!("second signal: exiting at once");
    std::process::exit(130)
}

/// Why the gateway ended.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// It did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Its engine died.
    #[error(transparent)]
    Died(#[from] EngineDied),
}
