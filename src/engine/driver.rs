//! The engine's I/O: feeds [`Core`] with what happens and does what it says.
//!
//! One task owns the core. Tasks of their own exist only for what is waited for: calls to the sidecar, and what is asked of the
//! store besides commits. If a unit is refused, its lanes are given up and adopted anew from the store, exactly as after a crash:
//! there is one way to recover, and it is used for both.

mod calls;
mod commands;
mod eviction;
mod learning;
mod policies;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use futures_util::stream::FuturesOrdered;
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::{AbortHandle, JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout_at};
use uuid::{ContextV7, Uuid};

pub use self::commands::OBSERVE_TIMEOUT;
use self::eviction::Readopted;
use super::commits::CommitsUnderWay;
use super::core::{Core, Effect};
use super::handle::{Command, PlanError, SidecarContact, Submitted, Unavailable};
use super::projections::Projections;
use super::requests::{Answer, JobPlan, Refusal, ReplyTo};
use super::shared_reads::{ReadNumber, SharedReads, Waiter};
use crate::clock::{Clock, WallWatch};
use crate::domain::forecast::Learned;
use crate::domain::policy::Name;
use crate::domain::{
    Alias, CallId, ChangeAnswer, EventId, GroupedAnswer, Job, JobId, JobRequest, Notice, ReadFailure, Reading,
    Retention, ScalingConfig, Timestamp,
};
use crate::policy::Problem;
use crate::sidecar::Sidecar;
use crate::sources::{Puller, SourceRules, Sources};
use crate::store::{NoRoom, Pruned, Reserved, Store, StoreError, StoreReader, Unit, Which, Wish};

/// How often old jobs, keys and lanes are removed. They may be kept a little longer than asked for.
const HOUSEKEEPING_INTERVAL: Duration = Duration::from_mins(1);

/// What the engine works with.
pub struct Parts<S> {
    /// The sidecar.
    pub sidecar: S,
    /// The store.
    pub store: Arc<dyn Store>,
    /// Reads of the same store.
    pub reader: Arc<dyn StoreReader>,
    /// Who is shown what became durable.
    pub projections: Projections,
    /// The operator's rules.
    pub scaling: Arc<ScalingConfig>,
    /// What is kept of what is over.
    pub retention: Retention,
    /// The time.
    pub clock: Clock,
    /// Which sources of metrics may be asked.
    pub sources: SourceRules,
    /// How the wall's clock, by which the sidecar tells the time, compares to it.
    pub wall: WallWatch,
}

/// Adopts all lanes, tells that it has `begun`, and runs until `stop` says so, and then until nothing is under way, but no longer
/// than it says.
///
/// # Panics
/// If a task, or the thread of the store, has panicked.
pub(super) async fn run<S: Sidecar>(
    parts: Parts<S>,
    mut commands: mpsc::Receiver<Command>,
    begun: oneshot::Sender<Result<(), StoreError>>,
    mut stop: watch::Receiver<Option<Instant>>,
) {
    // If there is no receiver, nothing waits for it.
    let adoption = match parts.store.adopt(Which::All).await {
        Ok(adoption) => adoption,
        Err(error) => return drop(begun.send(Err(error))),
    };
    let metrics = Arc::clone(&parts.projections.metrics);
    let puller = Puller::new(parts.sources.secrets.clone());
    let core = Core::new(parts.scaling, None).with_ids(random()).with_sources(parts.sources);
    parts.projections.show_first(adoption.lanes.iter().flat_map(|lane| &lane.jobs));
    let mut engine = Engine {
        core: core.carry_on(adoption, parts.clock.now()),
        sidecar: Rc::new(parts.sidecar),
        store: parts.store,
        reader: parts.reader,
        projections: parts.projections,
        retention: parts.retention,
        clock: parts.clock,
        wall: parts.wall,
        ids: ContextV7::new(),
        contact: SidecarContact::default(),
        commits: CommitsUnderWay::new(&parts.clock),
        committing: FuturesOrdered::new(),
        is_pruning: false,
        tasks: JoinSet::new(),
        reads: HashMap::new(),
        changes: HashMap::new(),
        shared_reads: SharedReads::default(),
        learning: Arc::new(Semaphore::new(1)),
        sources: Sources::new(puller, parts.clock, metrics),
        failing_sources: BTreeMap::new(),
        waiting: HashMap::new(),
        next_reply: 0,
        evicted: BTreeMap::new(),
        adopting: BTreeSet::new(),
        is_retrying: false,
        outage: None,
    };
    let _ = begun.send(Ok(()));
    engine.work(&mut commands, &mut stop).await;
}

/// What tells the ids of this process from those of others.
fn random() -> [u8; 6] {
    let mut seed = [0; 6];
    // The end of such an id is drawn by chance.
    seed.copy_from_slice(&Uuid::now_v7().as_bytes()[10..]);
    seed
}

fn storage_unavailable(error: &StoreError) -> Unavailable {
    Unavailable::Storage(error.in_full())
}

/// A request that waits for the core's answer.
enum Waiting {
    Submit(oneshot::Sender<Result<Submitted, Unavailable>>),
    Change(oneshot::Sender<Result<Answer, Unavailable>>),
}

/// Something asked of the sidecar or the store that is done.
enum Done {
    Read {
        resource: Alias,
        call: CallId,
        reading: Result<Reading, ReadFailure>,
    },
    Change {
        resource: Alias,
        call: CallId,
        answer: ChangeAnswer,
    },
    /// A request that changes several resources.
    ChangedTogether {
        calls: Vec<(Alias, CallId)>,
        answer: GroupedAnswer,
    },
    Observed {
        resource: Alias,
        number: ReadNumber,
        reading: Result<Reading, ReadFailure>,
    },
    Pruned {
        as_of: Timestamp,
        removed: Result<Pruned, StoreError>,
    },
    Reserved {
        to: ReplyTo,
        decided: Result<Result<Reserved, NoRoom>, StoreError>,
    },
    /// A pattern was learned, or could not be.
    Learned {
        resource: Alias,
        rule: Name,
        learned: Option<Learned>,
    },
    /// What policies observed is written, or lost.
    Recorded,
    RetryDue,
    Adopted {
        which: Vec<Alias>,
        adopted: Result<Readopted, StoreError>,
    },
    PlanAdmitted {
        request: Box<JobRequest>,
        reply: PlanReply,
        decided: Result<Result<Reserved, NoRoom>, StoreError>,
    },
    Replayed {
        to: ReplyTo,
        job: Result<Option<Arc<Job>>, StoreError>,
        joined: bool,
    },
}

/// What became of the units of one commit, in their order.
type CommitResults = Vec<Result<EventId, StoreError>>;

type PlanReply = oneshot::Sender<Result<Result<JobPlan, PlanError>, Unavailable>>;

struct Engine<S> {
    core: Core,
    sidecar: Rc<S>,
    store: Arc<dyn Store>,
    reader: Arc<dyn StoreReader>,
    projections: Projections,
    retention: Retention,
    clock: Clock,
    wall: WallWatch,
    ids: ContextV7,
    contact: SidecarContact,
    commits: CommitsUnderWay,
    /// The commits on their way, in order.
    committing: FuturesOrdered<LocalBoxFuture<'static, CommitResults>>,
    is_pruning: bool,
    /// Calls to the sidecar, and what is asked of the store besides commits.
    tasks: JoinSet<Done>,
    /// The reading on its way for each resource, if there is one.
    reads: HashMap<Alias, (CallId, AbortHandle)>,
    /// The change on its way for each resource alone, if there is one.
    changes: HashMap<Alias, AbortHandle>,
    shared_reads: SharedReads,
    /// The turn to learn a pattern.
    learning: Arc<Semaphore>,
    /// The metrics that are pulled.
    sources: Sources<Puller>,
    /// Why some of them have no value, as it was logged.
    failing_sources: BTreeMap<(Alias, Name), String>,
    waiting: HashMap<ReplyTo, Waiting>,
    next_reply: ReplyTo,
    /// The evicted lanes, to be adopted again, each with its jobs: newer versions of these may be durable than readers were shown.
    evicted: BTreeMap<Alias, BTreeSet<JobId>>,
    /// The lanes whose adoption is on its way. A second one would take them from the first.
    adopting: BTreeSet<Alias>,
    is_retrying: bool,
    /// Why the store does not work, if it does not.
    outage: Option<Unavailable>,
}

impl<S: Sidecar> Engine<S> {
    async fn work(&mut self, commands: &mut mpsc::Receiver<Command>, stop: &mut watch::Receiver<Option<Instant>>) {
        let mut housekeeping = interval(HOUSEKEEPING_INTERVAL);
        housekeeping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.perform();
            let wake_at = self.core.next_wake().into_iter().chain(self.commits.check_at()).min();
            let wake_in = wake_at.map(|at| self.clock.real(at.since(self.clock.now())));
            tokio::select! {
                Some(results) = self.committing.next() => self.on_committed(results),
                Some(done) = self.tasks.join_next() => self.on_done(unless_panicked(done)),
                command = commands.recv() => match command {
                    Some(command) => self.take(command),
                    None => return,
                },
                observation = self.sources.next() => self.on_metric(observation),
                () = sleep(wake_in.unwrap_or_default()), if wake_in.is_some() => self.wake(),
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
        if timeout_at(deadline, self.see_through()).await.is_err() {
            if self.core.is_changing() {
                tracing::warn!("stopping with a change on its way: its outcome will be read back at the next start");
            } else {
                tracing::warn!("stopping with unwritten records; no caller was told they are saved");
            }
        }
    }

    /// Waits for the changes on their way to be answered, and their answers to be committed.
    async fn see_through(&mut self) {
        self.perform();
        while !self.core.is_quiet() {
            tokio::select! {
                Some(results) = self.committing.next() => self.on_committed(results),
                Some(done) = self.tasks.join_next() => self.on_done(unless_panicked(done)),
                else => return,
            }
            self.perform();
        }
    }

    fn wake(&mut self) {
        // What is done already is not stuck, even if its result was not taken yet.
        while let Some(Some(results)) = self.committing.next().now_or_never() {
            self.on_committed(results);
        }
        let now = self.clock.now();
        if self.commits.check(now) {
            tracing::error!(
                "the store is stuck: what was to be written {} s ago is not on the disk yet, which hangs, or another program has \
                 locked the store; no job is accepted or moved on meanwhile",
                self.commits.stuck_for(now).unwrap_or_default().as_secs()
            );
        }
        self.core.wake_due(now);
    }

    /// The oldest commit is done, with these results of its units.
    fn on_committed(&mut self, results: CommitResults) {
        let now = self.clock.now();
        if let Some(stuck) = self.commits.end(now) {
            tracing::warn!("the store is written again, after {} s", stuck.as_secs());
        }
        for result in results {
            if let Err(error) = &result {
                self.on_refused(error);
            }
            self.core.on_committed(result.ok(), now);
        }
    }

    fn on_done(&mut self, done: Option<Done>) {
        let Some(done) = done else { return };
        let now = self.clock.now();
        match done {
            Done::Read { resource, call, reading } => {
                if self.reads.get(&resource).is_some_and(|(latest, _)| *latest == call) {
                    self.reads.remove(&resource);
                }
                self.note_contact(&reading);
                let wall_set_at = self.wall.check(now, self.clock.to_wall(now));
                let reading = reading.map(|reading| Reading { wall_set_at, ..reading });
                let waiters = self.shared_reads.read_by_job(&resource, reading.is_ok());
                let shown = (!waiters.is_empty()).then(|| reading.clone());
                self.core.on_reading(&resource, call, reading, now);
                if let Some(reading) = shown {
                    self.show_to(waiters, &resource, &reading, now);
                }
            }
            Done::Change { resource, call, answer } => {
                self.changes.remove(&resource);
                self.core.on_change_answer(&resource, call, answer, now);
            }
            Done::ChangedTogether { calls, answer } => self.core.on_grouped_answer(calls, answer, now),
            Done::Observed { resource, number, reading } => {
                let waiters = self.shared_reads.over(&resource, number);
                if !waiters.is_empty() {
                    self.note_contact(&reading);
                    if let Ok(reading) = &reading {
                        self.core.on_observation(&resource, reading, now);
                    }
                    self.show_to(waiters, &resource, &reading, now);
                }
            }
            Done::Pruned { as_of, removed } => self.pruned(as_of, removed),
            Done::Reserved { to, decided } => self.core.on_reserved(to, self.decided(decided), now),
            Done::PlanAdmitted { request, reply, decided } => match decided {
                Err(error) => drop(reply.send(Err(storage_unavailable(&error)))),
                Ok(Err(no_room)) => drop(reply.send(Ok(Err(PlanError::Refused(Refusal::NoRoom(no_room)))))),
                Ok(Ok(_)) => {
                    let mut request = request;
                    self.observe(request.resource.clone(), request.trace.take(), Waiter::Plan(request, reply));
                }
            },
            Done::Learned { resource, rule, learned } => self.core.on_learned(&resource, &rule, learned, now),
            Done::Recorded => self.core.on_recorded(),
            Done::RetryDue => {
                self.is_retrying = false;
                self.adopt(self.evicted.keys().cloned().collect());
            }
            Done::Adopted { which, adopted } => self.on_adopted(which, adopted, now),
            Done::Replayed { to, job, joined } => self.on_replayed(to, job, joined),
        }
    }

    /// What the core is told of a reservation.
    fn decided(&self, decided: Result<Result<Reserved, NoRoom>, StoreError>) -> Option<Result<Reserved, NoRoom>> {
        decided
            .inspect_err(|error| tracing::warn!(error = error as &dyn std::error::Error, "no place is reserved"))
            .ok()
    }

    fn pruned(&mut self, as_of: Timestamp, removed: Result<Pruned, StoreError>) {
        self.is_pruning = false;
        match removed {
            Ok(Pruned { jobs, more }) => {
                let jobs: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
                self.projections.table.remove(&jobs);
                if more {
                    self.prune(as_of);
                }
            }
            // Nothing rests on it, and the next housekeeping tries again.
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "old jobs could not be removed");
            }
        }
    }

    /// Removes what is no longer kept, a little at a time, so that commits are not held up.
    fn clean_up(&mut self) {
        let now = self.clock.now();
        self.core.forget(now);
        // With a store that is slow or stuck, one round is enough.
        if !self.is_pruning {
            self.prune(now);
        }
    }

    fn prune(&mut self, as_of: Timestamp) {
        self.is_pruning = true;
        let (store, retention) = (self.store.clone(), self.retention);
        self.tasks.spawn_local(async move { Done::Pruned { as_of, removed: store.prune(retention, as_of).await } });
    }

    fn perform(&mut self) {
        let mut units = Vec::new();
        loop {
            let effects = self.core.take_effects();
            if effects.is_empty() {
                break;
            }
            effects.into_iter().for_each(|effect| self.perform_one(effect, &mut units));
        }
        if !units.is_empty() {
            self.commits.begin(self.clock.now());
            let (count, commit) = (units.len(), self.store.commit(units));
            self.committing.push_back(commit.map(move |results| checked(results, count)).boxed_local());
        }
    }

    fn perform_one(&mut self, effect: Effect, units: &mut Vec<Unit>) {
        match effect {
            Effect::Commit(unit) => units.push(unit),
            Effect::Reserve(to, wish) => self.reserve(to, *wish),
            Effect::GiveBack(reservation) => self.store.give_back(reservation),
            Effect::Adopt(resource) if self.evicted.contains_key(&resource) => {}
            Effect::Adopt(resource) => self.adopt(vec![resource]),
            Effect::Evicted { resource, jobs } => self.evict(resource, jobs),
            Effect::Call { resource, id, call, origin } => self.call(resource, id, call, origin),
            Effect::ChangeTogether(changes) => self.change_together(changes),
            Effect::Record(observations) => self.record(observations),
            Effect::Observe(resource) => self.observe(resource, None, Waiter::Policy),
            Effect::Learn(resource, assignment) => self.learn(resource, *assignment),
            Effect::Watch(resource, metrics) => self.watch(resource, metrics),
            Effect::UnreadablePolicy(resource) => tracing::error!(
                %resource,
                "the policy of the resource makes no sense to this release: it is kept, and not followed"
            ),
            Effect::PolicyEnded { resource, is_in_file: true } => tracing::warn!(
                %resource,
                "the configuration file has a policy for the resource: the one that was put, and its claims, have ended"
            ),
            Effect::PolicyEnded { resource, is_in_file: false } => tracing::warn!(
                %resource,
                "the configuration file has no policy for the resource any more: its policy, claims and job have ended"
            ),
            Effect::FollowInCircle(circle) => tell_of_circle(&circle),
            Effect::SourcesRefused(resource, problems) => tell_of_refused_sources(&resource, &problems),
            Effect::PublishDecision(decision) => self.projections.tell_decision(*decision),
            Effect::PublishPolicy(news) => self.projections.feed.tell_policy(news),
            Effect::PublishJob(event) => self.projections.show(event, &self.clock),
            Effect::PublishGroup(status) => self.projections.groups.publish(status),
            Effect::ForgetGroup(id) => self.projections.groups.remove(id),
            Effect::PublishHistory(resource, entry) => self.projections.tell(resource, entry),
            Effect::Reply(to, answer) => self.answer(to, answer),
            Effect::Replay { to, job, joined } => self.replay(to, job, joined),
            Effect::Abandon(to) => self.abandon(to),
            Effect::Log(resource, notice) => log(&resource, &notice),
        }
    }

    /// Reserves at once if the store can tell at once, as it mostly can.
    fn reserve(&mut self, to: ReplyTo, wish: Wish) {
        let store = Arc::clone(&self.store);
        let mut reserving = Box::pin(async move { store.reserve(wish).await });
        match (&mut reserving).now_or_never() {
            Some(decided) => self.core.on_reserved(to, self.decided(decided), self.clock.now()),
            None => drop(self.tasks.spawn_local(async move { Done::Reserved { to, decided: reserving.await } })),
        }
    }
}

/// The results of so many units. With one more or less, each later unit would get the result of another.
fn checked(results: CommitResults, count: usize) -> CommitResults {
    assert_eq!(results.len(), count, "the store gives one result for each unit");
    results
}

/// What is done; nothing, if it was given up. A panic must not leave a lane waiting for an answer that never comes.
fn unless_panicked(done: Result<Done, JoinError>) -> Option<Done> {
    match done {
        Ok(done) => Some(done),
        Err(error) if error.is_cancelled() => None,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

fn tell_of_refused_sources(resource: &Alias, problems: &[Problem]) {
    for Problem { pointer, detail } in problems {
        tracing::warn!(%resource, "a source of the policy is not asked, and its metric is missing: {pointer} {detail}");
    }
}

fn tell_of_circle(circle: &[Alias]) {
    let circle: Vec<&str> = circle.iter().map(Alias::as_str).collect();
    tracing::error!(
        resource = circle.first(),
        "policies follow each other in a circle: {}; none of them changes anything until one is changed or deleted",
        circle.join(" follows ")
    );
}

fn log(resource: &Alias, notice: &Notice) {
    let Notice { job, warning, message } = notice;
    if *warning {
        tracing::warn!(%job, %resource, "{message}");
    } else {
        tracing::info!(%job, %resource, "{message}");
    }
}
