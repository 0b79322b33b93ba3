//! The engine's I/O: feeds [`Core`] with what happens and does what it says.
//!
//! One task owns the core. Tasks of their own exist only for what is waited for: calls to the sidecar, and what is asked of the
//! store besides commits. If a unit is refused, its lanes are given up and adopted anew from the store, exactly as after a crash:
//! there is one way to recover, and it is used for both.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::future::pending;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::FuturesOrdered;
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{AbortHandle, JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout, timeout_at};
use uuid::{ContextV7, Uuid};

use super::commits::CommitsUnderWay;
use super::core::{Core, Effect};
use super::handle::{Command, Health, Look, PlanError, SidecarContact, Submitted, Unavailable};
use super::looks::{Asker, LookNumber, Looks, Source};
use super::projections::Projections;
use super::requests::{Answer, JobPlan, Refusal, ReplyTo};
use crate::clock::{Clock, WallWatch, wall_now};
use crate::domain::{
    Alias, Call, CallId, ChangeAnswer, EventId, JobEvent, JobId, JobRequest, Move, Notice, Origin, ReadFailure,
    Reading, Retention, ScalingConfig, Timestamp, TraceContext,
};
use crate::sidecar::{RawReading, Sidecar};
use crate::store::{Adoption, Commit, NoRoom, Pruned, Reserved, Store, StoreError, StoreReader, Unit, Which, Wish};

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
    parts.projections.show_first(adoption.lanes.iter().flat_map(|lane| &lane.jobs));
    let mut engine = Engine {
        core: Core::recover(parts.scaling, adoption, parts.clock.now()),
        sidecar: Rc::new(parts.sidecar),
        store: parts.store,
        reader: parts.reader,
        projections: parts.projections,
        retention: parts.retention,
        clock: parts.clock,
        wall: parts.wall,
        ids: ContextV7::new(),
        contact: SidecarContact::default(),
        commits: CommitsUnderWay::default(),
        committing: FuturesOrdered::new(),
        is_pruning: false,
        tasks: JoinSet::new(),
        reads: HashMap::new(),
        changes: HashMap::new(),
        looks: Looks::default(),
        waiting: HashMap::new(),
        next_reply: 0,
        lost: BTreeMap::new(),
        is_retrying: false,
        outage: None,
    };
    let _ = begun.send(Ok(()));
    engine.work(&mut commands, &mut stop).await;
}

fn report_failure(error: &StoreError) {
    tracing::error!(
        error = error as &dyn std::error::Error,
        "the store failed: no job is accepted or moved on until it works again"
    );
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
    Reserved { to: ReplyTo, decided: Result<Result<Reserved, NoRoom>, StoreError> },
    RetryDue,
    Adopted { which: Vec<Alias>, adopted: Result<Readopted, StoreError> },
    PlanAdmitted { request: Box<JobRequest>, reply: PlanReply, decided: Result<Result<Reserved, NoRoom>, StoreError> },
    Replayed { to: ReplyTo, answer: Result<Submitted, Unavailable> },
}

/// Lanes that were adopted, and what was missed of their jobs.
struct Readopted {
    adoption: Adoption,
    ended: Vec<JobEvent>,
    gone: Vec<JobId>,
    last_event: EventId,
}

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
    committing: FuturesOrdered<Commit>,
    is_pruning: bool,
    /// Calls to the sidecar, and what is asked of the store besides commits.
    tasks: JoinSet<Done>,
    /// The reading on its way for each resource, if there is one.
    reads: HashMap<Alias, (CallId, AbortHandle)>,
    /// The change on its way for each resource, if there is one.
    changes: HashMap<Alias, AbortHandle>,
    looks: Looks,
    waiting: HashMap<ReplyTo, Waiting>,
    next_reply: ReplyTo,
    /// The lanes that were evicted and are to be adopted again, with the jobs of which more may be durable than was shown.
    lost: BTreeMap<Alias, BTreeSet<JobId>>,
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
            let wake_at = self.core.next_wake().into_iter().chain(self.commits.look_at()).min();
            let wake_in = wake_at.map(|at| at.since(self.clock.now()));
            tokio::select! {
                Some(results) = self.committing.next() => self.on_committed(results),
                Some(done) = self.tasks.join_next() => self.on_done(unless_panicked(done)),
                command = commands.recv() => match command {
                    Some(command) => self.take(command),
                    None => return,
                },
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
        // What is done already is not stuck, even if its result was not looked at.
        while let Some(Some(results)) = self.committing.next().now_or_never() {
            self.on_committed(results);
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
    }

    /// The oldest commit is done, with these results of its units.
    fn on_committed(&mut self, results: Vec<Result<EventId, StoreError>>) {
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

    fn on_refused(&mut self, error: &StoreError) {
        match error {
            // No attempt will ever succeed: it takes a new process.
            StoreError::Closed => panic!("the thread of the store is gone"),
            StoreError::NotOwned | StoreError::Congested => {}
            _ if self.outage.is_none() => {
                report_failure(error);
                self.outage = Some(storage_unavailable(error));
                self.retry_soon();
            }
            _ => {}
        }
    }

    // ---- requests ---------------------------------------------------------------------------------------------

    fn take(&mut self, command: Command) {
        let now = self.clock.now();
        if let Some(outage) = &self.outage {
            return command.refuse(outage);
        }
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
            Command::Plan(request, reply) => self.admit_plan(request, reply, now),
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

    /// What would be refused as a job is refused as a plan, before it costs a call.
    fn admit_plan(&mut self, mut request: Box<JobRequest>, reply: PlanReply, now: Timestamp) {
        let wish = match self.core.would_need(&request, now) {
            Ok(wish) => wish,
            Err(refusal) => return drop(reply.send(Ok(Err(PlanError::Refused(refusal))))),
        };
        // A plan says nothing of them, and many plans may wait.
        (request.reason, request.labels) = (None, BTreeMap::new());
        let store = Arc::clone(&self.store);
        self.tasks.spawn_local(async move {
            let decided = store.reserve(wish).await;
            if let Ok(Ok(Reserved::Granted(reservation))) = decided {
                store.give_back(reservation);
            }
            Done::PlanAdmitted { request, reply, decided }
        });
    }

    fn new_job_id(&self, now: Timestamp) -> JobId {
        let millis = u64::try_from(now.as_millis()).unwrap_or(0);
        let (seconds, nanos) = (millis / 1000, (millis % 1000) as u32 * 1_000_000);
        Uuid::new_v7(uuid::Timestamp::from_unix(&self.ids, seconds, nanos))
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
        let (sidecar, clock, origin) = (Rc::clone(&self.sidecar), self.clock, Origin { job: None, trace });
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

    // ---- what happened ----------------------------------------------------------------------------------------

    fn on_done(&mut self, done: Option<Done>) {
        let Some(done) = done else { return };
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
            Done::Change { resource, call, answer } => {
                self.changes.remove(&resource);
                self.core.on_change_answer(&resource, call, answer, now);
            }
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
            Done::Pruned { as_of, removed } => self.pruned(as_of, removed),
            Done::Reserved { to, decided } => self.core.on_reserved(to, self.decided(decided), now),
            Done::PlanAdmitted { request, reply, decided } => match decided {
                Err(error) => drop(reply.send(Err(storage_unavailable(&error)))),
                Ok(Err(no_room)) => drop(reply.send(Ok(Err(PlanError::Refused(Refusal::NoRoom(no_room)))))),
                Ok(Ok(_)) => {
                    let mut request = request;
                    self.look(request.resource.clone(), request.trace.take(), Asker::Plan(request, reply));
                }
            },
            Done::RetryDue => {
                self.is_retrying = false;
                self.adopt(self.lost.keys().cloned().collect());
            }
            Done::Adopted { which, adopted } => self.on_adopted(which, adopted, now),
            Done::Replayed { to, answer } => {
                if let Some(Waiting::Submit(reply)) = self.waiting.remove(&to) {
                    drop(reply.send(answer));
                }
            }
        }
    }

    /// What the core is told of a reservation.
    fn decided(&self, decided: Result<Result<Reserved, NoRoom>, StoreError>) -> Option<Result<Reserved, NoRoom>> {
        decided
            .inspect_err(|error| tracing::warn!(error = error as &dyn std::error::Error, "no place is reserved"))
            .ok()
    }

    /// Takes over the lanes that were lost, or that a request is the first one for.
    fn on_adopted(&mut self, which: Vec<Alias>, adopted: Result<Readopted, StoreError>, now: Timestamp) {
        let Readopted { adoption, ended, gone, last_event } = match adopted {
            Ok(adopted) => adopted,
            Err(StoreError::Closed) => panic!("the thread of the store is gone"),
            Err(error) => return self.on_adoption_failed(&which, &error),
        };
        let lost: Vec<&Alias> = which.iter().filter(|resource| self.lost.contains_key(*resource)).collect();
        if !lost.is_empty() {
            let missed = adoption.lanes.iter().filter(|lane| lost.contains(&&lane.record.resource));
            let missed = missed.flat_map(|lane| &lane.jobs).chain(&ended);
            self.projections.show_missed(missed, &self.clock);
            self.projections.table.remove(&gone);
            self.projections.feed.reloaded(last_event + 1);
        }
        if self.outage.take().is_some() {
            tracing::warn!(lanes = lost.len(), "the store works again: carrying on from it");
        }
        for lane in adoption.lanes {
            self.lost.remove(&lane.record.resource);
            self.core.adopt(lane, now);
        }
    }

    fn on_adoption_failed(&mut self, which: &[Alias], error: &StoreError) {
        let outage = storage_unavailable(error);
        match &self.outage {
            None => report_failure(error),
            Some(before) if *before != outage => {
                tracing::error!(error = error as &dyn std::error::Error, "the store still fails, in another way");
            }
            Some(_) => {}
        }
        self.outage = Some(outage);
        which.iter().for_each(|resource| self.core.on_adoption_failed(resource));
        self.retry_soon();
    }

    /// Has the lanes adopted again that are lost by then, and the store opened again if it failed.
    fn retry_soon(&mut self) {
        if !std::mem::replace(&mut self.is_retrying, true) {
            self.tasks.spawn_local(async {
                sleep(STORE_RETRY).await;
                Done::RetryDue
            });
        }
    }

    fn adopt(&mut self, which: Vec<Alias>) {
        let (store, reader) = (Arc::clone(&self.store), Arc::clone(&self.reader));
        let jobs = which.iter().filter_map(|resource| self.lost.get(resource)).flatten().copied().collect();
        self.tasks.spawn_local(async move {
            let adopted = readopt(&*store, &*reader, &which, jobs).await;
            Done::Adopted { which, adopted }
        });
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
            self.prune(now);
        }
    }

    fn prune(&mut self, as_of: Timestamp) {
        self.is_pruning = true;
        let (store, retention) = (self.store.clone(), self.retention);
        self.tasks.spawn_local(async move { Done::Pruned { as_of, removed: store.prune(retention, as_of).await } });
    }

    // ---- what is to be done -----------------------------------------------------------------------------------

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
            self.committing.push_back(self.store.commit(units));
        }
    }

    fn perform_one(&mut self, effect: Effect, units: &mut Vec<Unit>) {
        match effect {
            Effect::Commit(unit) => units.push(unit),
            Effect::Reserve(to, wish) => self.reserve(to, *wish),
            Effect::GiveBack(reservation) => self.store.give_back(reservation),
            Effect::Adopt(resource) if self.lost.contains_key(&resource) => {}
            Effect::Adopt(resource) => self.adopt(vec![resource]),
            Effect::Evicted { resource, jobs } => self.evicted(resource, jobs),
            Effect::Call { resource, id, call, origin } => self.call(resource, id, call, origin),
            Effect::PublishJob(event) => self.projections.show(event, &self.clock),
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

    /// Calls of a lane that is lost are given up, with their connections: as far as the sidecar can tell, the process died.
    fn evicted(&mut self, resource: Alias, jobs: BTreeSet<JobId>) {
        let read = self.reads.remove(&resource).map(|(_, read)| read);
        read.into_iter().chain(self.changes.remove(&resource)).for_each(|call| call.abort());
        self.lost.entry(resource).or_default().extend(jobs);
        self.retry_soon();
    }

    /// Whether what was asked for is on the disk will only be known when the store works again.
    fn abandon(&mut self, to: ReplyTo) {
        let unavailable = match &self.outage {
            Some(Unavailable::Storage(why)) => {
                Unavailable::Storage(format!("{why}; what was asked for just then may still be done"))
            }
            _ => Unavailable::Interrupted,
        };
        match self.waiting.remove(&to) {
            Some(Waiting::Submit(reply)) => drop(reply.send(Err(unavailable))),
            Some(Waiting::Cancel(reply)) => drop(reply.send(Err(unavailable))),
            None => {}
        }
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
        let (sidecar, clock, of) = (Rc::clone(&self.sidecar), self.clock, resource.clone());
        let reading = self.tasks.spawn_local(async move {
            let reading = timed(sidecar.read(&of, &origin), clock).await;
            Done::Read { resource: of, call, reading }
        });
        if let Some((_, earlier)) = self.reads.insert(resource, (call, reading)) {
            earlier.abort();
        }
    }

    fn change(&mut self, resource: Alias, call: CallId, change: Move, origin: Origin) {
        let (sidecar, of) = (Rc::clone(&self.sidecar), resource.clone());
        let changing = self.tasks.spawn_local(async move {
            let answer = sidecar.change(&of, change, &origin).await;
            Done::Change { resource: of, call, answer }
        });
        // The lane has no other change on its way.
        self.changes.insert(resource, changing);
    }

    fn answer(&mut self, to: ReplyTo, answer: Answer) {
        // Whoever asked may have hung up; there is nobody left to tell then.
        match self.waiting.remove(&to) {
            Some(Waiting::Submit(reply)) => drop(reply.send(Ok(Submitted::Answer(answer)))),
            Some(Waiting::Cancel(reply)) => drop(reply.send(Ok(answer))),
            None => {}
        }
    }

    fn replay(&mut self, to: ReplyTo, job: JobId, joined: bool) {
        let shown = self.projections.table.get(job).map(|shown| Arc::clone(shown.job()));
        let reader = Arc::clone(&self.reader);
        self.tasks.spawn_local(async move {
            let job = match shown {
                Some(job) => Ok(Some(job)),
                // It is not shown any more, or not yet.
                None => reader.job(job).await.map(|event| event.map(|event| event.job)),
            };
            let answer = match job {
                Ok(Some(job)) => Ok(Submitted::Replayed { job, joined }),
                Ok(None) => Ok(Submitted::Gone),
                Err(error) => Err(storage_unavailable(&error)),
            };
            Done::Replayed { to, answer }
        });
    }
}

/// Adopts lanes again, and reads what became of `jobs` of theirs that are not unfinished any more.
async fn readopt(
    store: &dyn Store,
    reader: &dyn StoreReader,
    which: &[Alias],
    jobs: BTreeSet<JobId>,
) -> Result<Readopted, StoreError> {
    let adoption = store.adopt(Which::These(which.to_vec())).await?;
    let unfinished: BTreeSet<JobId> =
        adoption.lanes.iter().flat_map(|lane| &lane.jobs).map(|event| event.job.id).collect();
    let (mut ended, mut gone) = (Vec::new(), Vec::new());
    for id in jobs.difference(&unfinished) {
        match reader.job(*id).await? {
            Some(event) => ended.push(event),
            None => gone.push(*id),
        }
    }
    let last_event = reader.last_event().await?;
    Ok(Readopted { adoption, ended, gone, last_event })
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
