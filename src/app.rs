//! The gateway put together: what starts and stops in which order, and who notices when a part dies.

mod errors;
mod recovery;
mod sidecar_check;

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout, timeout_at};

use self::errors::making_a_key;
pub use self::errors::{ServeError, StartError};
use self::recovery::{CarryOver, choose_clock, recover};
use crate::access::{self, Keyring, Token};
use crate::api::{
    self, ApiState, AuditRecorder, BrowserRules, ConnectionLimits, Guard, HttpServer, KeyRule, ProcessState, Tls,
};
use crate::audit_file::AuditFile;
use crate::clock::{Clock, Present, WallWatch, wall_now};
use crate::config::{self, Access, Config};
use crate::engine::{EngineDied, EngineHandle, Parts, Projections, RunningEngine};
use crate::files::absolute;
use crate::sidecar::{HttpSidecar, MeteredSidecar, REQUEST_TIMEOUT};
use crate::sources::SourceRules;
use crate::store::sqlite::{
    SqliteError, SqliteJournal, SqliteReader, SqliteStore, check_large, is_of_store, log_length,
};
use crate::store::{Observer, Store, StoreReader};
use crate::telemetry::{self, Traced, Traces};

/// Share of the grace time in which requests under way are to be answered; the rest is for a change in flight.
const SHARE_FOR_REQUESTS: f64 = 0.25;
/// Time for the store to close even if nothing is left of the grace time; it has little to do.
const LEAST_TIME_TO_CLOSE: Duration = Duration::from_millis(500);

/// A running gateway.
pub struct Gateway {
    address: SocketAddr,
    http: HttpServer,
    engine: RunningEngine,
    store: Arc<SqliteStore>,
    store_thread: JoinHandle<()>,
    audit_file: Option<JoinHandle<()>>,
    /// What is wrong with the store, once that is found out.
    damage: oneshot::Receiver<SqliteError>,
    progress: ProcessState,
    recorder: Arc<AuditRecorder>,
}

impl Gateway {
    /// Starts a gateway with this `config`, which tells `traces` what it does: first everything that can be refused, then the
    /// door, then recovery, which may take seconds. Callers that come meanwhile are told so.
    ///
    /// # Errors
    /// If the address, the certificate or the store cannot be had.
    pub async fn start(config: &Config, traces: &Traces) -> Result<Self, StartError> {
        Self::start_by(config, traces, None).await
    }

    /// Starts a gateway for a demonstration, on a store that has no other clock than this one.
    ///
    /// # Errors
    /// As for [`Gateway::start`].
    pub async fn demonstrate(config: &Config, traces: &Traces, clock: Clock) -> Result<Self, StartError> {
        Self::start_by(config, traces, Some(clock)).await
    }

    async fn start_by(config: &Config, traces: &Traces, given: Option<Clock>) -> Result<Self, StartError> {
        // As it can be named from anywhere: it is in the log and in commands that are told to the operator.
        let data_dir = &absolute(&config.data_dir);
        let tls = config.access.tls.as_ref().map(Tls::open).transpose()?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        tell_of_exposed_files(&config.access);
        let (listener, address) = bind(config.listen)?;
        let mut journal = SqliteJournal::open(data_dir)?;
        let present = Present::now();
        let (clock, wall, carry_over) = match given {
            None => choose_clock(&mut journal, &present)?,
            Some(clock) => (clock, WallWatch::begin(present.wall, present.wall, false), None),
        };
        let reader: Arc<dyn StoreReader> = Arc::new(SqliteReader::open(data_dir)?);
        let (rule, keyring) = open_keyring(&config.access, address, &reader, data_dir).await?;
        if config.access.admin_key.is_some() && !reader.ever_had_key().await? {
            // Before the first request: a gateway that starts without this key later must not be open.
            journal.note_configured_key(wall_now())?;
        }
        let (has_key, has_usable) = (keyring.has_any().await?, keyring.has_usable(wall_now()).await?);
        let projections = Projections::new(reader.last_event().await? + 1, traces.clone())?;
        let (audit_file, audit_thread) = open_audit_log(config.audit_log.as_deref(), data_dir, &projections)?.unzip();
        let (store, store_inbox) = SqliteStore::channel();
        let store = Arc::new(store);
        let (engine, engine_inbox) = EngineHandle::channel();

        let connection_limits = ConnectionLimits::in_this_process();
        let guard =
            Guard::new(rule, &config.access, connection_limits, keyring, Arc::clone(&store) as Arc<dyn Store>, clock);
        let recorder = Arc::clone(guard.recorder());
        let (state, progress) =
            ApiState::new(engine.clone(), projections.clone(), Arc::clone(&reader), clock, guard, connection_limits);
        let logged_dir = data_dir.clone();
        let state = state.with_store_log(move || log_length(&logged_dir));
        let browsers = BrowserRules::new(&config.access, address.ip().is_loopback());
        let grace = config.shutdown_grace.mul_f64(SHARE_FOR_REQUESTS);
        let http = HttpServer::start(listener, tls, state, browsers, config.access.open_metrics, grace)?;

        // From here on it answers, if only that it is not ready yet.
        let journal = carry_over_aside(journal, present, carry_over).await?;
        let counts = reader.job_counts().await?;
        let jobs: u64 = counts.iter().map(|(_, number)| number).sum();
        let unfinished: u64 = counts.iter().filter(|(state, _)| !state.is_over()).map(|(_, number)| number).sum();
        let store_thread = store_inbox.start(journal, Observer::new(Arc::clone(&projections.metrics), audit_file))?;
        let sources = SourceRules { hosts: config.metric_hosts.clone(), secrets: config.metric_secrets.clone() };
        let (scaling, retention) = (Arc::new(config.scaling()), config.retention);
        let sidecar = sidecar_at(config.sidecar_url.as_str(), &projections);
        let of_engine = Arc::clone(&store) as Arc<dyn Store>;
        let parts = move || {
            let sidecar = sidecar();
            Parts { sidecar, store: of_engine, reader, projections, scaling, retention, clock, sources, wall }
        };
        let mut engine = RunningEngine::start((engine, engine_inbox), parts)?;
        engine.begun().await??;
        progress.set_recovered(true);
        // Not earlier: a start that is refused prints its reason alone.
        tell_who_may_enter(rule, (has_key, has_usable), address, data_dir);
        tracing::info!(jobs, unfinished, data_dir = %data_dir.display(), "store opened");
        tracing::info!(%address, scheme, sidecar = config.sidecar_url.as_str(), "scalegate {} is ready", env!("CARGO_PKG_VERSION"));
        let damage = check_in_background(data_dir);
        Ok(Self { address, http, engine, store, store_thread, audit_file: audit_thread, damage, progress, recorder })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends if the gateway cannot go on: the engine has died, or the store turns out to be damaged.
    pub async fn failed(&mut self) -> ServeError {
        tokio::select! {
            _ = self.engine.ended() => EngineDied.into(),
            Ok(damage) = &mut self.damage => ServeError::Damaged(damage),
        }
    }

    /// Stops: takes no more requests, answers those under way, sees a change in flight through, closes the store. All
    /// within `grace`.
    ///
    /// # Errors
    /// If the engine died on the way.
    pub async fn stop(self, grace: Duration) -> Result<(), EngineDied> {
        let deadline = Instant::now() + grace;
        self.progress.stop();
        if timeout(grace.mul_f64(SHARE_FOR_REQUESTS), self.http.stop()).await.is_err() {
            tracing::debug!("some connections are still open");
        }
        // What becomes of it, it tells itself.
        let _ = timeout_at(deadline, self.recorder.write_omitted()).await;
        let left = deadline.saturating_duration_since(Instant::now());
        let stopped = self.engine.stop(left).await;
        // The thread of the store writes what is left and ends; then that of the audit log does.
        self.store.close();
        let closed = async {
            ended(self.store_thread).await;
            if let Some(thread) = self.audit_file {
                ended(thread).await;
            }
        };
        if timeout_at(deadline.max(Instant::now() + LEAST_TIME_TO_CLOSE), closed).await.is_err() {
            tracing::warn!("the disk is too slow to wait for; whatever was promised is on it");
        }
        stopped
    }
}

fn bind(listen: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let bound = api::bind(listen).and_then(|listener| listener.local_addr().map(|address| (listener, address)));
    bound.map_err(|source| StartError::Listen { address: listen, source })
}

/// Fits what is in the store to the present clock, on a thread on which nothing else waits.
async fn carry_over_aside(
    mut journal: SqliteJournal,
    present: Present,
    carry_over: Option<CarryOver>,
) -> Result<SqliteJournal, SqliteError> {
    let work = tokio::task::spawn_blocking(move || recover(&mut journal, &present, carry_over).map(|()| journal));
    work.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

/// The file at `path`, and the thread that writes it; `None` if there is to be none.
fn open_audit_log(
    path: Option<&Path>,
    data_dir: &Path,
    projections: &Projections,
) -> Result<Option<(AuditFile, JoinHandle<()>)>, StartError> {
    let Some(path) = path else { return Ok(None) };
    if is_of_store(data_dir, path) {
        return Err(StartError::AuditLogInStore { path: path.to_owned() });
    }
    AuditFile::open(path, api::audit_line, Arc::clone(&projections.metrics))
        .map(Some)
        .map_err(|error| StartError::AuditLog { path: path.to_owned(), error })
}

/// How to make the client of the sidecar at `url`, on the thread that uses it.
fn sidecar_at(
    url: &str,
    projections: &Projections,
) -> impl FnOnce() -> Traced<MeteredSidecar<HttpSidecar>> + Send + 'static {
    let (url, metrics, traces) = (url.to_owned(), Arc::clone(&projections.metrics), projections.traces.clone());
    move || Traced::new(MeteredSidecar::new(HttpSidecar::new(url, REQUEST_TIMEOUT), metrics), traces)
}

/// Ends when `thread` does. The runtime's own threads for what blocks would not do: it waits for all of them when it ends, and a
/// thread may wait for its disk for ever.
async fn ended(thread: JoinHandle<()>) {
    let (tell, heard) = oneshot::channel::<()>();
    let waiting = std::thread::Builder::new().name("store end".into()).spawn(move || {
        // If it panicked, that was told.
        let _ = thread.join();
        drop(tell);
    });
    match waiting {
        Ok(_) => drop(heard.await),
        Err(error) => tracing::warn!(%error, "the end of the store is not waited for"),
    }
}

/// A store that is too large to be checked before anything else is checked while the gateway works.
fn check_in_background(directory: &Path) -> oneshot::Receiver<SqliteError> {
    let (tell, damage) = oneshot::channel();
    let directory = directory.to_owned();
    let check = std::thread::Builder::new().name("store check".into()).spawn(move || match check_large(&directory) {
        Ok(()) => {}
        // Without a receiver the gateway is stopping already.
        Err(error @ SqliteError::Corrupt { .. }) => drop(tell.send(error)),
        Err(error) => not_checked(&error),
    });
    if let Err(error) = check {
        not_checked(&error);
    }
    damage
}

fn not_checked(why: &(dyn std::error::Error + 'static)) {
    tracing::warn!(error = why, "whether the store is damaged could not be checked");
}

/// The keys, and who needs one.
///
/// # Errors
/// If every caller that reaches `address` would be admitted although no option says so, or the store cannot be read.
async fn open_keyring(
    access: &Access,
    address: SocketAddr,
    reader: &Arc<dyn StoreReader>,
    directory: &Path,
) -> Result<(KeyRule, Keyring), StartError> {
    if let Some(id) = access.admin_key.as_ref().map(Token::id)
        && reader.keys().await?.iter().any(|key| key.id == *id)
    {
        return Err(StartError::KeyTwice { id: id.clone() });
    }
    let configured = access.admin_key.as_ref().map(|token| access::configured(token, wall_now()));
    let keyring = Keyring::open(Arc::clone(reader), configured).await?;
    let rule = KeyRule::new(access, address.ip().is_loopback());
    if rule == KeyRule::Always && !keyring.has_usable(wall_now()).await? {
        return Err(StartError::NoKey {
            address,
            data_dir: directory.to_owned(),
            had_one: keyring.has_any().await?,
            is_required: access.require_key,
        });
    }
    Ok((rule, keyring))
}

/// Tells the operator of secrets that other users of the machine can read.
fn tell_of_exposed_files(access: &Access) {
    let key_of_tls = access.tls.as_ref().map(|files| &files.key);
    for exposed in access.admin_key_file.iter().chain(key_of_tls).filter_map(|path| config::exposure(path)) {
        tracing::warn!("a secret is not secret: {exposed}");
    }
}

/// Tells the operator if callers without a key can scale, or no caller can.
fn tell_who_may_enter(rule: KeyRule, (has_key, has_usable): (bool, bool), address: SocketAddr, data_dir: &Path) {
    match rule {
        KeyRule::Never => tracing::warn!(
            %address,
            "INSECURE: --insecure-no-auth is set, and every caller that reaches this address can scale and make keys"
        ),
        KeyRule::OnceThereIsOne if !has_key => tracing::info!(
            "there was never an API key: all programs on this machine can scale; `{}` makes the first one, and --require-key refuses to \
             start without",
            making_a_key(data_dir)
        ),
        KeyRule::OnceThereIsOne if !has_usable => tracing::warn!(
            "there was an API key, but none is good any more, and no caller can scale; `{}` makes another one",
            making_a_key(data_dir)
        ),
        KeyRule::Always | KeyRule::OnceThereIsOne => {}
    }
}

/// Runs a gateway until SIGTERM or SIGINT. A second signal ends the process at once.
///
/// # Errors
/// If it does not start, or dies.
pub async fn serve(config: &Config, traces: &Traces) -> Result<(), ServeError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(StartError::System)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(StartError::System)?;
    let mut gateway = tokio::select! {
        // First: once it has started, it may have begun to change something, and ends in another way.
        biased;
        started = Gateway::start(config, traces) => started?,
        _ = terminate.recv() => exit_before_ready(),
        _ = interrupt.recv() => exit_before_ready(),
    };
    let listed = config.scaling().resources.into_keys().next();
    actix_web::rt::spawn(sidecar_check::check(config.sidecar_url.as_str().to_owned(), listed));
    tokio::select! {
        _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
        _ = interrupt.recv() => tracing::info!("SIGINT: stopping"),
        failed = gateway.failed() => return Err(failed),
    }
    tokio::select! {
        stopped = stop(gateway, traces, config.shutdown_grace) => stopped?,
        _ = terminate.recv() => exit_at_once(),
        _ = interrupt.recv() => exit_at_once(),
    }
    tracing::info!("stopped");
    Ok(())
}

/// Stops the gateway within `grace` and then exports what is left to tell about it, which takes half a second more at the
/// most.
///
/// # Errors
/// If its engine died on the way.
pub async fn stop(gateway: Gateway, traces: &Traces, grace: Duration) -> Result<(), EngineDied> {
    let deadline = Instant::now() + grace;
    let stopped = gateway.stop(grace).await;
    if traces.is_on() {
        let (traces, left) = (traces.clone(), deadline.saturating_duration_since(Instant::now()));
        // It ends by itself in time.
        let _ = tokio::task::spawn_blocking(move || traces.shut_down(left.max(LEAST_TIME_TO_CLOSE))).await;
    }
    stopped
}

/// Nothing was promised to a caller yet, and a reader of the store need not be waited for.
fn exit_before_ready() -> ! {
    tracing::info!("stopped before it was ready");
    telemetry::flush();
    std::process::exit(0)
}

/// Nothing is lost by this: what is durable is on the disk, and what is not was not promised to a caller.
fn exit_at_once() -> ! {
    tracing::warn!("second signal: exiting at once");
    telemetry::flush();
    std::process::exit(130)
}
