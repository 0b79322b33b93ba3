//! The engine's I/O: feeds [`Core`] with what happens and does what it says.
//!
//! One task owns the core. Tasks of their own exist only for what is waited for: calls to the sidecar, and what is asked of the
//! store besides commits. If a commit fails, the core is thrown away and built anew from the store, exactly as after a crash: there
//! is one way to recover, and it is used for both.

use std::collections::{BTreeMap, HashMap};
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{AbortHandle, JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout, timeout_at};
use uuid::{ContextV7, Uuid};

use super::commits::CommitsUnderWay;
use super::core::{Core, Effect};
use super::handle::{Command, Health, Look, PlanError, SidecarContact, Submitted, Unavailable};
use super::looks::{Asker, LookNumber, Looks, Source};
use super::projections::Projections;
use super::requests::{Answer, Refusal, ReplyTo};
use crate::clock::{Clock, WallWatch, wall_now};
use crate::domain::{
    Alias, Call, CallId, ChangeAnswer, JobId, Move, Notice, Origin, ReadFailure, Reading, Retention, ScalingConfig,
    Timestamp, TraceContext,
};
use crate::sidecar::{RawReading, Sidecar};
use crate::store::{Acknowledgement, KeyedAnswer, Pruned, Snapshot, StoreError, StoreWriter};

/// How often old jobs, keys and lanes are removed. They may be kept a little longer than asked for.
const HOUSEKEEPING_INTERVAL: Duration = Duration::from_mins(1);
/// Pause before each attempt to get a failed store to work again, also before the first: a store that can be read but not
/// written would otherwise fail again at once, and again.
const STORE_RETRY: Duration = Duration::from_secs(1);
/// Longest wait for a reading of a caller who only looks.
pub const LOOK_TIMEOUT: Duration = Duration::from_secs(10);

/// What the engine works with.
pub struct Parts<S> {
    /// The sidecar.
    pub sidecar: S,
    /// The store, and what becomes of commits.
    pub store: StoreWriter,
    /// See [`crate::store::StoreInbox::start`].
    pub acknowledgements: mpsc::UnboundedReceiver<Acknowledgement>,
    /// Who is shown what became durable.
    pub projections: Projections,
    /// The operator's rules.
    pub scaling: Arc<ScalingConfig>,
    /// What is kept of what is over.
    pub retention: Retention,
    /// The time.
    pub clock: Clock,
    /// How the wall's clock, by which the sidecar tells the time, compares to it.
    pub wall: WallWatch,
}

/// Runs until `stop` says so, and then until nothing is under way, but no longer than it says. Tells when it has `begun` to carry
/// on from `snapshot`.
///
/// # Panics
/// If a task, or the thread of the store, has panicked.
pub(super) async fn run<S: Sidecar>(
    parts: Parts<S>,
    mut commands: mpsc::Receiver<Command>,
    snapshot: Snapshot,
    begun: oneshot::Sender<()>,
    mut stop: watch::Receiver<Option<Instant>>,
) {
    let sidecar = Arc::new(parts.sidecar);
    let mut acknowledgements = parts.acknowledgements;
    let recover = |snapshot: &Snapshot| Core::recover(Arc::clone(&parts.scaling), snapshot, parts.clock.now());
    let mut recovered = Some(recover(&snapshot));
    parts.projections.show_first(&snapshot);
    drop(snapshot);
    // Nobody may want to know.
    let _ = begun.send(());
    let mut contact = SidecarContact::default();
    let mut wall = parts.wall;
    let ids = ContextV7::new();
    loop {
        let Some(core) = recovered.take() else { return };
        let mut run = EngineRun {
            core,
            sidecar: Arc::clone(&sidecar),
            store: &parts.store,
            projections: &parts.projections,
            retention: parts.retention,
            clock: parts.clock,
            wall: &mut wall,
            ids: &ids,
            contact: &mut contact,
            commits: CommitsUnderWay::default(),
            is_pruning: false,
            tasks: JoinSet::new(),
            reads: HashMap::new(),
            looks: Looks::default(),
            waiting: HashMap::new(),
            next_reply: 0,
        };
        let ended = run.work(&mut commands, &mut acknowledgements, &mut stop).await;
        let Err(error) = ended else { return };
        // Dropping the run closes the connections of its calls: as far as the sidecar can tell, the process died.
        run.turn_away(&error);
        drop(run);
        report_failure(&error);
        let reloaded = reopen(&parts.store, &mut commands, &mut acknowledgements, &mut stop, &error).await;
        while acknowledgements.try_recv().is_ok() {}
        if let Some(reloaded) = reloaded {
            tracing::warn!(jobs = reloaded.jobs.len(), "the store works again: carrying on from it");
            parts.projections.show_anew(&reloaded, &parts.clock);
            recovered = Some(recover(&reloaded));
        }
    }
}

fn report_failure(error: &StoreError) {
    tracing::error!(
        error = error as &dyn std::error::Error,
        "the store failed: no job is accepted or moved on until it works again"
    );
}

/// Tries to read the store until it works, refusing all requests meanwhile; `None` if it is time to stop.
async fn reopen(
    store: &StoreWriter,
    commands: &mut mpsc::Receiver<Command>,
    acknowledgements: &mut mpsc::UnboundedReceiver<Acknowledgement>,
    stop: &mut watch::Receiver<Option<Instant>>,
    error: &StoreError,
) -> Option<Snapshot> {
    let mut unavailable = storage_unavailable(error);
    loop {
        let attempt = async {
            sleep(STORE_RETRY).await;
            store.load().await
        };
        tokio::pin!(attempt);
        let loaded = loop {
            tokio::select! {
                loaded = &mut attempt => break loaded,
                _ = stop.wait_for(Option::is_some) => return None,
                command = commands.recv() => command?.refuse(&unavailable),
                // Commits of others go on failing, and would pile up.
                Some(_) = acknowledgements.recv() => {}
            }
        };
        match loaded {
            Ok(snapshot) => return Some(snapshot),
            // No attempt will ever succeed: it takes a new process.
            Err(StoreError::Closed) => panic!("the thread of the store is gone"),
            Err(error) => {
                let now = storage_unavailable(&error);
                if now != unavailable {
                    tracing::error!(error = &error as &dyn std::error::Error, "the store still fails, in another way");
                    unavailable = now;
                }
            }
        }
    }
}

fn storage_unavailable(error: &StoreError) -> Unavailable {
    Unavailable::Storage(error.in_full())
}

/// A request that waits for the core's answer.
enum Waiting {
    Submit(oneshot::Sender<Result<Submitted, Unavailable>>),
    Cancel(oneshot::Sender<Result<Answer, Unavailable>>),
}

/// Something asked of the sidecar or the store that is done.
enum Done {
    Read { resource: Alias, call: CallId, reading: Result<Reading, ReadFailure> },
    Change { resource: Alias, call: CallId, answer: ChangeAnswer },
    Look { resource: Alias, number: LookNumber, reading: Result<Reading, ReadFailure> },
    Pruned { as_of: Timestamp, removed: Result<Pruned, StoreError> },
    Replay { to: ReplyTo, stored: Result<Option<KeyedAnswer>, StoreError> },
}

/// From one reading of the store to the next.
struct EngineRun<'a, S> {
    core: Core,
    sidecar: Arc<S>,
    store: &'a StoreWriter,
    projections: &'a Projections,
    retention: Retention,
    clock: Clock,
    wall: &'a mut WallWatch,
    ids: &'a ContextV7,
    contact: &'a mut SidecarContact,
    commits: CommitsUnderWay,
    is_pruning: bool,
    /// Calls to the sidecar, and what is asked of the store besides commits.
    tasks: JoinSet<Done>,
    /// The reading on its way for each resource, if there is one.
    reads: HashMap<Alias, (CallId, AbortHandle)>,
    looks: Looks,
    waiting: HashMap<ReplyTo, Waiting>,
    next_reply: ReplyTo,
}

impl<S: Sidecar> EngineRun<'_, S> {
    async fn work(
        &mut self,
        commands: &mut mpsc::Receiver<Command>,
        acknowledgements: &mut mpsc::UnboundedReceiver<Acknowledgement>,
        stop: &mut watch::Receiver<Option<Instant>>,
    ) -> Result<(), StoreError> {
        let mut housekeeping = interval(HOUSEKEEPING_INTERVAL);
        housekeeping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.perform()?;
            let wake_at = self.core.next_wake().into_iter().chain(self.commits.look_at()).min();
            let wake_in = wake_at.map(|at| at.since(self.clock.now()));
            tokio::select! {
                acknowledgement = acknowledgements.recv() => self.acknowledged(acknowledgement)?,
                Some(done) = self.tasks.join_next() => self.take_in(unless_panicked(done))?,
                command = commands.recv() => match command {
                    Some(command) => self.take(command),
                    None => return Ok(()),
                },
                () = sleep(wake_in.unwrap_or_default()), if wake_in.is_some() => self.wake(acknowledgements)?,
                _ = housekeeping.tick() => self.clean_up(),
                _ = stop.wait_for(Option::is_some) => break,
            }
        }
        let deadline = stop.borrow().unwrap_or_else(Instant::now);
        self.core.drain();
        commands.close();
        while let Ok(command) = commands.try_recv() {
            command.refuse(&Unavailable::Stopping);
        }
        match timeout_at(deadline, self.see_through(acknowledgements)).await {
            Ok(seen_through) => seen_through,
            Err(_) => {
                if self.core.is_changing() {
                    tracing::warn!(
                        "stopping with a change on its way: its outcome will be read back at the next start"
                    );
                } else {
                    tracing::warn!("stopping with unwritten records; no caller was told they are saved");
                }
                Ok(())
            }
        }
    }

    /// Waits for the changes on their way to be answered, and their answers to be committed.
    async fn see_through(
        &mut self,
        acknowledgements: &mut mpsc::UnboundedReceiver<Acknowledgement>,
    ) -> Result<(), StoreError> {
        self.perform()?;
        while !self.core.is_quiet() {
            tokio::select! {
                acknowledgement = acknowledgements.recv() => self.acknowledged(acknowledgement)?,
                Some(done) = self.tasks.join_next() => self.take_in(unless_panicked(done))?,
            }
            self.perform()?;
        }
        Ok(())
    }

    fn wake(&mut self, acknowledgements: &mut mpsc::UnboundedReceiver<Acknowledgement>) -> Result<(), StoreError> {
        // What is done already is not stuck, whoever was heard first.
        while let Ok(acknowledgement) = acknowledgements.try_recv() {
            self.acknowledged(Some(acknowledgement))?;
        }
        let now = self.clock.now();
        if self.commits.look(now) {
            tracing::error!(
                "the store is stuck: what was to be written {} s ago is not on the disk yet, which hangs, or another program has \
                 locked the store; no job is accepted or moved on meanwhile",
                self.commits.stuck_for(now).unwrap_or_default().as_secs()
            );
        }
        self.core.wake_due(now);
        Ok(())
    }

    /// The oldest commit is done, or has failed.
    fn acknowledged(&mut self, acknowledgement: Option<Acknowledgement>) -> Result<(), StoreError> {
        acknowledgement.ok_or(StoreError::Closed)??;
        let now = self.clock.now();
        if let Some(stuck) = self.commits.end(now) {
            tracing::warn!("the store is written again, after {} s", stuck.as_secs());
        }
        self.core.committed(now);
        Ok(())
    }

    // ---- requests ---------------------------------------------------------------------------------------------

    fn take(&mut self, command: Command) {
        let now = self.clock.now();
        if let Some(stuck) = self.commits.stuck_for(now) {
            return command.refuse(&Unavailable::Storage(format!(
                "it is stuck, what was to be written {} s ago is not on the disk yet: that one hangs, or another program has locked the \
                 store",
                stuck.as_secs()
            )));
        }
        match command {
            Command::Submit(request, key, reply) => {
                let id = self.new_job_id(now);
                let reply_to = self.await_answer(Waiting::Submit(reply));
                self.core.submit(id, *request, key, reply_to, now);
            }
            Command::Cancel(id, attempt, reply) => {
                // What nobody has been shown, nobody can mean.
                let Some(job) = self.projections.table.get(id) else {
                    drop(reply.send(Ok(Answer::Refused(Refusal::NotUnfinished))));
                    return;
                };
                let reply_to = self.await_answer(Waiting::Cancel(reply));
                self.core.cancel(id, &job.job().resource, attempt, reply_to, now);
            }
            Command::Plan(mut request, reply) => {
                // What would be refused in any case is not worth a call.
                if let Err(refusal) = self.core.would_admit(&request) {
                    drop(reply.send(Ok(Err(PlanError::Refused(refusal)))));
                    return;
                }
                // A plan says nothing of them, and there may be many that wait.
                (request.reason, request.labels) = (None, BTreeMap::new());
                self.look(request.resource.clone(), request.trace.take(), Asker::Plan(request, reply));
            }
            Command::Look(resource, _, reply) if self.core.resource(&resource).is_none() => drop(reply.send(Ok(None))),
            Command::Look(resource, trace, reply) => self.look(resource, trace, Asker::Look(reply)),
            Command::ListResources { reach, after, size, reply } => {
                let mut views = self.core.resources(&reach, after.as_ref(), size);
                views.iter_mut().for_each(|view| self.projections.trim(view));
                drop(reply.send(Ok(views)));
            }
            Command::Health(reply) => {
                let health = Health { unfinished_jobs: self.core.unfinished_jobs(), sidecar: self.contact.clone() };
                drop(reply.send(Ok(health)));
            }
        }
    }

    fn new_job_id(&self, now: Timestamp) -> JobId {
        let millis = u64::try_from(now.as_millis()).unwrap_or(0);
        let (seconds, nanos) = (millis / 1000, (millis % 1000) as u32 * 1_000_000);
        Uuid::new_v7(uuid::Timestamp::from_unix(self.ids, seconds, nanos))
    }

    fn await_answer(&mut self, waiting: Waiting) -> ReplyTo {
        self.next_reply += 1;
        self.waiting.insert(self.next_reply, waiting);
        self.next_reply
    }

    /// Gets a reading for a caller who only looks: nothing is decided on it.
    fn look(&mut self, resource: Alias, trace: Option<TraceContext>, asker: Asker) {
        let is_unknown = !self.core.is_known(&resource);
        let source = if self.reads.contains_key(&resource) { Source::OfJob } else { Source::Own };
        let (sidecar, clock, origin) = (Arc::clone(&self.sidecar), self.clock, Origin { job: None, trace });
        let (tasks, of) = (&mut self.tasks, resource.clone());
        self.looks.ask(&resource, is_unknown, asker, source, |number| {
            tasks.spawn_local(async move {
                let reading = async {
                    match source {
                        Source::Own => timed(sidecar.look(&of, &origin), clock).await,
                        // It is handed on when it arrives.
                        Source::OfJob => pending().await,
                    }
                };
                let reading = timeout(LOOK_TIMEOUT, reading).await.unwrap_or_else(|_| {
                    let detail = format!("no answer from the sidecar within {} s", LOOK_TIMEOUT.as_secs());
                    Err(ReadFailure { not_found: false, detail, answer: None })
                });
                Done::Look { resource: of, number, reading }
            })
        });
    }

    /// Whether what is on its way came onto the disk will only be known when that works again.
    fn turn_away(&mut self, error: &StoreError) {
        let unavailable =
            Unavailable::Storage(format!("{}; what was asked for just then may still be done", error.in_full()));
        for (_, waiting) in self.waiting.drain() {
            match waiting {
                Waiting::Submit(reply) => drop(reply.send(Err(unavailable.clone()))),
                Waiting::Cancel(reply) => drop(reply.send(Err(unavailable.clone()))),
            }
        }
    }

    // ---- what happened ----------------------------------------------------------------------------------------

    fn take_in(&mut self, done: Option<Done>) -> Result<(), StoreError> {
        let Some(done) = done else { return Ok(()) };
        let now = self.clock.now();
        match done {
            Done::Read { resource, call, reading } => {
                if self.reads.get(&resource).is_some_and(|(latest, _)| *latest == call) {
                    self.reads.remove(&resource);
                }
                self.note_contact(&reading);
                let wall_set_at = self.wall.look(now, wall_now());
                let reading = reading.map(|reading| Reading { wall_set_at, ..reading });
                let askers = self.looks.read_by_job(&resource, reading.is_ok());
                let shown = (!askers.is_empty()).then(|| reading.clone());
                self.core.on_reading(&resource, call, reading, now);
                if let Some(reading) = shown {
                    self.show_to(askers, &resource, &reading, now);
                }
            }
            Done::Change { resource, call, answer } => self.core.on_change_answer(&resource, call, answer, now),
            Done::Look { resource, number, reading } => {
                let askers = self.looks.over(&resource, number);
                if !askers.is_empty() {
                    self.note_contact(&reading);
                    if let Ok(reading) = &reading {
                        self.core.looked(&resource, reading, now);
                    }
                    self.show_to(askers, &resource, &reading, now);
                }
            }
            Done::Pruned { as_of, removed } => return self.pruned(as_of, removed),
            Done::Replay { to, stored } => self.replayed(to, stored),
        }
        Ok(())
    }

    /// Tells those who asked for it what `reading` shows.
    fn show_to(&self, askers: Vec<Asker>, resource: &Alias, reading: &Result<Reading, ReadFailure>, now: Timestamp) {
        for asker in askers {
            match asker {
                Asker::Look(reply) => drop(reply.send(Ok(self.show(resource, reading.clone())))),
                Asker::Plan(request, reply) => {
                    let plan = match reading {
                        Ok(reading) => self.core.plan(&request, reading, now).map_err(PlanError::Refused),
                        Err(failure) => Err(PlanError::NoReading(failure.clone())),
                    };
                    drop(reply.send(Ok(plan)));
                }
            }
        }
    }

    /// What is known about a resource, with a reading that was made for it.
    fn show(&self, resource: &Alias, reading: Result<Reading, ReadFailure>) -> Option<Look> {
        let mut view = self.core.resource(resource)?;
        self.projections.trim(&mut view);
        Some(match reading {
            Ok(reading) => {
                view.observation = Some(reading);
                Look { view, failure: None }
            }
            Err(failure) => Look { view, failure: Some(failure) },
        })
    }

    fn pruned(&mut self, as_of: Timestamp, removed: Result<Pruned, StoreError>) -> Result<(), StoreError> {
        self.is_pruning = false;
        match removed {
            Ok(Pruned { jobs, more }) => {
                self.projections.table.remove(&jobs);
                if more {
                    self.prune(as_of);
                }
            }
            Err(StoreError::Closed) => return Err(StoreError::Closed),
            // Nothing rests on it, and the next housekeeping tries again.
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "old jobs could not be removed");
            }
        }
        Ok(())
    }

    fn replayed(&mut self, to: ReplyTo, stored: Result<Option<KeyedAnswer>, StoreError>) {
        let answer = match stored {
            Ok(Some(stored)) => Ok(Submitted::Replayed(stored)),
            // It has just expired; asked again, the engine will not know it any more either.
            Ok(None) => Err(Unavailable::Interrupted),
            Err(error) => Err(storage_unavailable(&error)),
        };
        if let Some(Waiting::Submit(reply)) = self.waiting.remove(&to) {
            drop(reply.send(answer));
        }
    }

    fn note_contact(&mut self, reading: &Result<Reading, ReadFailure>) {
        let answered = match reading {
            Ok(_) => true,
            Err(failure) => failure.answer.is_some(),
        };
        self.contact.reachable = Some(answered);
        if answered {
            self.contact.last_answer_at = Some(self.clock.now());
            self.contact.last_failure = None;
        } else {
            self.contact.last_failure = reading.as_ref().err().map(|failure| failure.detail.clone());
        }
    }

    /// Removes what is no longer kept, a little at a time, so that commits are not held up.
    fn clean_up(&mut self) {
        let now = self.clock.now();
        self.core.forget(now);
        // With a store that is slow or stuck, one round is enough.
        if !self.is_pruning {
            // The store forgets later than the core, which must find there every key it knows.
            self.prune(now - HOUSEKEEPING_INTERVAL);
        }
    }

    fn prune(&mut self, as_of: Timestamp) {
        self.is_pruning = true;
        let (store, retention) = (self.store.clone(), self.retention);
        self.tasks.spawn_local(async move { Done::Pruned { as_of, removed: store.prune(retention, as_of).await } });
    }

    // ---- what is to be done -----------------------------------------------------------------------------------

    fn perform(&mut self) -> Result<(), StoreError> {
        for effect in self.core.take_effects() {
            match effect {
                Effect::Commit(batch) => {
                    self.commits.begin(self.clock.now());
                    self.store.commit(batch)?;
                }
                Effect::Call { resource, id, call, origin } => self.call(resource, id, call, origin),
                Effect::PublishJob(event) => self.projections.show(event, &self.clock),
                Effect::PublishHistory(resource, entry) => self.projections.tell(resource, entry),
                Effect::Reply(to, answer) => self.answer(to, answer),
                Effect::Replay(to, key) => self.replay(to, key),
                Effect::Log(resource, notice) => log(&resource, &notice),
            }
        }
        Ok(())
    }

    fn call(&mut self, resource: Alias, call: CallId, what: Call, origin: Origin) {
        match what {
            Call::Read => self.read(resource, call, origin),
            Call::Change(change) => self.change(resource, call, change, origin),
        }
    }

    /// Nobody waits any more for an earlier reading of the resource, which may take a minute: it is given up, so that there
    /// are never more connections than resources.
    fn read(&mut self, resource: Alias, call: CallId, origin: Origin) {
        let (sidecar, clock, of) = (Arc::clone(&self.sidecar), self.clock, resource.clone());
        let reading = self.tasks.spawn_local(async move {
            let reading = timed(sidecar.read(&of, &origin), clock).await;
            Done::Read { resource: of, call, reading }
        });
        if let Some((_, earlier)) = self.reads.insert(resource, (call, reading)) {
            earlier.abort();
        }
    }

    fn change(&mut self, resource: Alias, call: CallId, change: Move, origin: Origin) {
        let sidecar = Arc::clone(&self.sidecar);
        self.tasks.spawn_local(async move {
            let answer = sidecar.change(&resource, change, &origin).await;
            Done::Change { resource, call, answer }
        });
    }

    fn answer(&mut self, to: ReplyTo, answer: Answer) {
        // Whoever asked may have hung up; there is nobody left to tell then.
        match self.waiting.remove(&to) {
            Some(Waiting::Submit(reply)) => drop(reply.send(Ok(Submitted::Answer(answer)))),
            Some(Waiting::Cancel(reply)) => drop(reply.send(Ok(answer))),
            None => {}
        }
    }

    fn replay(&mut self, to: ReplyTo, key: String) {
        let store = self.store.clone();
        self.tasks.spawn_local(async move { Done::Replay { to, stored: store.answer(key).await } });
    }
}

/// What is done; nothing, if it was given up. A panic must not leave a lane waiting for an answer that never comes.
fn unless_panicked(done: Result<Done, JoinError>) -> Option<Done> {
    match done {
        Ok(done) => Some(done),
        Err(error) if error.is_cancelled() => None,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// A reading with the times at which it was asked for and received.
async fn timed(
    asking: impl Future<Output = Result<RawReading, ReadFailure>>,
    clock: Clock,
) -> Result<Reading, ReadFailure> {
    let asked_at = clock.now();
    let raw = asking.await?;
    Ok(Reading {
        status: raw.status,
        capacity: raw.capacity,
        stamp: raw.stamp.map(|stamp| clock.from_wall(stamp)),
        wall_set_at: None,
        asked_at,
        received_at: clock.now(),
    })
}

fn log(resource: &Alias, notice: &Notice) {
    let Notice { job, warning, message } = notice;
    if *warning {
        tracing::warn!(%job, %resource, "{message}");
    } else {
        tracing::info!(%job, %resource, "{message}");
    }
}

impl Command {
    fn refuse(self, why: &Unavailable) {
        let why = why.clone();
        match self {
            Self::Submit(_, _, reply) => drop(reply.send(Err(why))),
            Self::Cancel(_, _, reply) => drop(reply.send(Err(why))),
            Self::Plan(_, reply) => drop(reply.send(Err(why))),
            Self::Look(_, _, reply) => drop(reply.send(Err(why))),
            Self::ListResources { reply, .. } => drop(reply.send(Err(why))),
            Self::Health(reply) => drop(reply.send(Err(why))),
        }
    }
}
