//! The gateway put together: what starts and stops in which order, and who notices when a part dies.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::time::{Instant, timeout, timeout_at};

use crate::access::{self, Keyring, Token};
use crate::api::{self, ApiState, Guard, HttpServer, KeyRule, Perimeter, Room, Tls, TlsError};
use crate::clock::{Clock, Present, Start, WallWatch, wall_now};
use crate::config::{Access, Config};
use crate::domain::{KeyId, Timestamp};
use crate::engine::{Audience, EngineDied, EngineHandle, Parts, RunningEngine};
use crate::feed::Feed;
use crate::metrics::Metrics;
use crate::sidecar::{HttpSidecar, MeteredSidecar, REQUEST_TIMEOUT};
use crate::store::{
    Catalog, Journal as _, MeteredJournal, Snapshot, SqliteCatalog, SqliteJournal, StoreError, StoreWriter, check_large,
};
use crate::table::JobTable;
use crate::telemetry::{self, Traced, Traces};

/// Share of the grace time in which requests under way are to be answered; the rest is for a change in flight.
const SHARE_FOR_REQUESTS: f64 = 0.25;
/// Time for the store to close even if nothing is left of the grace time; it has little to do.
const LEAST_TIME_TO_CLOSE: Duration = Duration::from_millis(500);
/// How far the gateway's clock and the machine's may be apart without anybody being told; time servers correct less all
/// the time.
const UNNOTICED_DIFFERENCE: Duration = Duration::from_secs(2);

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
    /// What HTTPS is to be served with cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Anybody could scale.
    #[error(
        "refusing to listen on {address} {}, because whoever reaches it could scale: make a key with `scalegate keys create \
         NAME --scope admin --data-dir {}`, or give one in SCALEGATE_ADMIN_KEY or with --admin-key-file; or listen on \
         127.0.0.1; or, if nobody else can reach it, say --insecure-no-auth",
        if *had_one { "with no API key but those that were revoked or have expired" } else { "without an API key" },
        data_dir.display()
    )]
    NoKey {
        /// The address.
        address: SocketAddr,
        /// Where keys are looked for.
        data_dir: PathBuf,
        /// Whether there are any that are not good any more.
        had_one: bool,
    },
    /// It is not clear what the admin key may do.
    #[error(
        "the admin key {id} is also one of the stored keys, which may do less or be revoked: make another one with \
         `scalegate keys generate`"
    )]
    KeyTwice {
        /// The key.
        id: KeyId,
    },
    /// Two metrics contradict each other.
    #[error("nothing can be counted")]
    Metrics(#[from] prometheus::Error),
    /// The system refuses a thread or the like.
    #[error("the system refuses what the gateway needs")]
    System(#[from] std::io::Error),
    /// The engine died before it could begin.
    #[error(transparent)]
    Died(#[from] EngineDied),
}

/// A running gateway.
pub struct Gateway {
    address: SocketAddr,
    http: HttpServer,
    engine: RunningEngine,
    store: JoinHandle<()>,
    /// What is wrong with the store, once that is found out.
    damage: oneshot::Receiver<StoreError>,
    stopping: watch::Sender<bool>,
}

impl Gateway {
    /// Starts a gateway with this `config`, which tells `traces` what it does: first everything that can be refused, then the
    /// door, then recovery, which may take seconds. Whoever comes meanwhile is told so.
    ///
    /// # Errors
    /// If the address, the certificate or the store cannot be had.
    pub async fn start(config: &Config, traces: &Traces) -> Result<Self, StartError> {
        let tls = config.access.tls.as_ref().map(Tls::open).transpose()?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let listening = |source| StartError::Listen { address: config.listen, source };
        let listener = api::bind(config.listen).map_err(listening)?;
        let address = listener.local_addr().map_err(listening)?;
        let mut journal = SqliteJournal::open(&config.data_dir)?;
        let present = Present::look();
        let (clock, wall, carry_over) = choose_clock(&journal, &present)?;
        let catalog: Arc<dyn Catalog> = Arc::new(SqliteCatalog::open(&config.data_dir)?);
        let (rule, keyring) = open_keyring(&config.access, address, &catalog, &config.data_dir)?;
        let audience = Audience {
            table: Arc::new(JobTable::default()),
            feed: Arc::new(Feed::new(journal.next_event()?)),
            metrics: Arc::new(Metrics::new()?),
            traces: traces.clone(),
        };
        let (store, store_inbox) = StoreWriter::to_be();
        let (engine, engine_inbox) = EngineHandle::to_be();
        let (room, has_key) = (Room::in_this_process(), keyring.has_any()?);
        let guard = Guard::new(rule, &config.access, room, keyring, store.client(), clock);
        let (stopping, stopped) = watch::channel(false);
        let recovered = Arc::new(AtomicBool::new(false));
        let state = {
            let Audience { table, feed, metrics, traces } = audience.clone();
            ApiState {
                engine: engine.clone(),
                table,
                feed,
                catalog,
                clock,
                traces,
                recovered: Arc::clone(&recovered),
                stopping: stopped,
                guard,
                metrics,
                room,
                long_polls: Semaphore::new(room.long_polls),
                streams: Arc::new(Semaphore::new(room.streams)),
            }
        };
        let perimeter = Perimeter::new(&config.access, address.ip().is_loopback());
        let grace = config.shutdown_grace.mul_f64(SHARE_FOR_REQUESTS);
        let http =
            HttpServer::start(listener, tls, state, perimeter, config.access.open_metrics, room.connections, grace)?;
        // From here on it answers, if only that it is not ready yet.
        let recovery = tokio::task::spawn_blocking(move || {
            recover(&mut journal, &present, carry_over).map(|snapshot| (journal, snapshot))
        });
        let (journal, snapshot) =
            recovery.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))?;
        tell_who_may_enter(rule, has_key, address);
        let unfinished = snapshot.jobs.iter().filter(|event| event.job.ended().is_none()).count();
        tracing::info!(jobs = snapshot.jobs.len(), unfinished, data_dir = %config.data_dir.display(), "store opened");
        let journal = MeteredJournal::new(journal, Arc::clone(&audience.metrics));
        let (acknowledgements, store_thread) = store_inbox.start(journal)?;
        let parts = {
            let (policy, retention) = (Arc::new(config.policy()), config.retention);
            let sidecar_url = config.sidecar_url.as_str().to_owned();
            move || {
                let sidecar = HttpSidecar::new(sidecar_url, REQUEST_TIMEOUT);
                let sidecar = MeteredSidecar::new(sidecar, Arc::clone(&audience.metrics));
                let sidecar = Traced::new(sidecar, audience.traces.clone());
                Parts { sidecar, store, acknowledgements, audience, policy, retention, clock, wall }
            }
        };
        let mut engine = RunningEngine::start((engine, engine_inbox), snapshot, parts)?;
        engine.begun().await?;
        recovered.store(true, Ordering::Release);
        tracing::info!(%address, scheme, sidecar = config.sidecar_url.as_str(), "scalegate {} is ready", env!("CARGO_PKG_VERSION"));
        let damage = check_in_background(&config.data_dir);
        Ok(Self { address, http, engine, store: store_thread, damage, stopping })
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

/// A store that is too large to be checked before anything else is checked while the gateway works.
fn check_in_background(directory: &Path) -> oneshot::Receiver<StoreError> {
    let (tell, damage) = oneshot::channel();
    let directory = directory.to_owned();
    let check = std::thread::Builder::new().name("store check".into()).spawn(move || match check_large(&directory) {
        Ok(()) => {}
        // Whoever would hear it is stopping already.
        Err(error @ StoreError::Corrupt { .. }) => drop(tell.send(error)),
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
/// If whoever reaches `address` would be admitted without anybody having said so, or the store cannot be read.
fn open_keyring(
    access: &Access,
    address: SocketAddr,
    catalog: &Arc<dyn Catalog>,
    directory: &Path,
) -> Result<(KeyRule, Keyring), StartError> {
    if let Some(id) = access.admin_key.as_ref().map(Token::id)
        && catalog.keys()?.iter().any(|key| key.id == *id)
    {
        return Err(StartError::KeyTwice { id: id.clone() });
    }
    let configured = access.admin_key.as_ref().map(|token| access::configured(token, wall_now()));
    let keyring = Keyring::open(Arc::clone(catalog), directory, configured)?;
    let rule = KeyRule::new(access, address.ip().is_loopback());
    if rule == KeyRule::Always && !keyring.has_usable(wall_now())? {
        return Err(StartError::NoKey { address, data_dir: directory.to_owned(), had_one: keyring.has_any()? });
    }
    Ok((rule, keyring))
}

/// Tells the operator if others than the owners of keys can scale.
fn tell_who_may_enter(rule: KeyRule, has_key: bool, address: SocketAddr) {
    match rule {
        KeyRule::Never => tracing::warn!(
            %address,
            "INSECURE: --insecure-no-auth is set, and whoever reaches this address can scale and make keys"
        ),
        KeyRule::OnceThereIsOne if !has_key => tracing::info!(
            "there is no API key: whoever is on this machine can scale; `scalegate keys create` makes the first one"
        ),
        KeyRule::Always | KeyRule::OnceThereIsOne => {}
    }
}

/// From the clock of the process before to the wall's.
struct CarryOver {
    /// What the one shows at the moment when the other shows [`CarryOver::to`].
    from: Timestamp,
    to: Timestamp,
}

/// The clock for a process that starts at `present`, and whether what is in the store has to be fitted to it.
///
/// As long as work is unfinished the clock of the process before goes on, and nothing has to be fitted. Otherwise whatever
/// points in time still decide anything are carried over to the wall's clock.
fn choose_clock(
    journal: &SqliteJournal,
    present: &Present,
) -> Result<(Clock, WallWatch, Option<CarryOver>), StoreError> {
    let anchor = journal.clock_anchor()?;
    let (shown, carry_over) = match Start::decide(anchor.as_ref(), present, journal.has_work()?) {
        Start::Resume(shows) => {
            warn_of_difference(shows, present.wall);
            (shows, None)
        }
        Start::Wall { before } => {
            (present.wall, Some(CarryOver { from: before.unwrap_or(present.wall), to: present.wall }))
        }
    };
    let wall = WallWatch::begin(shown, present.wall, present.may_have_been_set_since(anchor.as_ref()));
    Ok((Clock::showing(shown, present), wall, carry_over))
}

/// Everything in the store, by the clock that was chosen.
fn recover(
    journal: &mut SqliteJournal,
    present: &Present,
    carry_over: Option<CarryOver>,
) -> Result<Snapshot, StoreError> {
    let mut snapshot = journal.load()?;
    if let Some(CarryOver { from, to }) = carry_over {
        snapshot.carry_over(from, to);
        let forward_millis = to.as_millis().saturating_sub(from.as_millis());
        journal.change_clock(present.anchor().as_ref(), &snapshot, forward_millis)?;
    }
    Ok(snapshot)
}

fn warn_of_difference(clock: Timestamp, wall: Timestamp) {
    let (ahead, behind) = (clock.since(wall), wall.since(clock));
    let (difference, direction) = if ahead > behind { (ahead, "ahead of") } else { (behind, "behind") };
    if difference > UNNOTICED_DIFFERENCE {
        tracing::warn!(
            %clock,
            %wall,
            "this gateway's clock is {} s {direction} the machine's, which was set: it goes on as it was, so that waits \
             stay as long as they are, until the gateway starts without unfinished jobs or the machine starts anew",
            difference.as_secs(),
        );
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

/// Nothing was promised to anybody yet, and whoever reads the store need not be waited for.
fn exit_before_ready() -> ! {
    tracing::info!("stopped before it was ready");
    telemetry::flush();
    std::process::exit(0)
}

/// Nothing is lost by this: what is durable is on the disk, and what is not was not promised to anybody.
fn exit_at_once() -> ! {
    tracing::warn!("second signal: exiting at once");
    telemetry::flush();
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
    /// Its store turned out to be damaged.
    #[error(transparent)]
    Damaged(StoreError),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Capacity, Change, JobId, LaneRecord, Ledger, Move, Op, SentChange, Stage};

    const HOUR: Duration = Duration::from_hours(1);
    const NOON: Timestamp = Timestamp::from_millis(1_769_860_800_000);

    fn present(passed: Duration, wall: Timestamp) -> Present {
        Present { wall, uptime: HOUR + passed, boot: Some("this".into()) }
    }

    /// Changed at noon, by the clock of a process that started then.
    fn lane(stage: Option<Stage>) -> LaneRecord {
        let sent = SentChange { at: NOON, op: Some(Op::Add), cooldown: HOUR, settle: HOUR };
        let units = |units| Capacity::new(units).expect("a small number");
        let movement = Move::toward(units(1), units(2), 1).expect("a distance");
        let change = stage.map(|stage| Change { job: JobId::from_u128(7), movement, sent, patience: HOUR, stage });
        let ledger = Ledger { last_change: Some(sent), fresh_from: Some(NOON), ..Ledger::default() };
        LaneRecord { resource: "worker".parse().expect("an alias"), ledger, change }
    }

    fn store_left_behind(directory: &Path, stage: Option<Stage>) -> SqliteJournal {
        let mut journal = SqliteJournal::open(directory).expect("a store");
        let anchor = present(Duration::ZERO, NOON).anchor();
        let left_behind = Snapshot { lanes: vec![lane(stage)], ..Snapshot::default() };
        journal.change_clock(anchor.as_ref(), &left_behind, 0).expect("written");
        journal
    }

    /// A process starts at `present`: its clock shows `shown` then; the lane as it finds it, and as the next one will.
    #[track_caller]
    fn start(journal: &mut SqliteJournal, present: &Present, shown: Timestamp) -> LaneRecord {
        let (clock, _, carry_over) = choose_clock(journal, present).expect("a clock");
        assert_eq!(clock, Clock::showing(shown, present));
        let mut snapshot = recover(journal, present, carry_over).expect("readable");
        assert_eq!(journal.load().expect("readable"), snapshot);
        snapshot.lanes.remove(0)
    }

    #[test]
    fn an_unresolved_change_keeps_the_clock_as_it_was() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut journal = store_left_behind(directory.path(), Some(Stage::Acknowledged));
        for minutes in [1, 2] {
            let passed = Duration::from_mins(minutes);
            let found = start(&mut journal, &present(passed, NOON + HOUR * 5), NOON + passed);
            assert_eq!(found, lane(Some(Stage::Acknowledged)));
        }
    }

    #[test]
    fn with_nothing_under_way_ages_stay_the_same_on_the_walls_clock() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut journal = store_left_behind(directory.path(), None);
        for (minutes, wall) in [(1, NOON + HOUR * 5), (2, NOON - HOUR * 5), (3, NOON)] {
            let passed = Duration::from_mins(minutes);
            let lane = start(&mut journal, &present(passed, wall), wall);
            assert_eq!(lane.ledger.last_change.map(|last| last.at), Some(wall - passed));
            assert_eq!(lane.ledger.fresh_from, Some(wall - passed));
        }
    }

    #[test]
    fn without_a_name_for_the_boot_no_old_anchor_stays_behind() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut journal = store_left_behind(directory.path(), Some(Stage::Acknowledged));
        let nameless = Present { boot: None, ..present(HOUR, NOON + HOUR * 5) };
        start(&mut journal, &nameless, NOON + HOUR * 5);
        start(&mut journal, &present(HOUR * 2, NOON), NOON);
    }
}
