//! How a process carries on where another one stopped.
//!
//! There may be a million lanes, everybody waits for the last of them, and nearly all of the time goes into fetching memory
//! that was not looked at for a while. So what belongs to the same partition of the lanes is gathered first, and then all
//! cores put partitions together, one after the other; each lane is put together and begins in one go.

use std::collections::HashMap;
use std::sync::Arc;

use super::lanes::{LaneNumber, Lanes, PARTITIONS, Partition};
use super::unfinished::Unfinished;
use super::{AfterCommit, Core};
use crate::domain::{Alias, CallId, Job, JobEvent, JobId, Lane, LaneRecord, Ledger, Outcome, Policy, Timestamp, Turn};
use crate::parallel;
use crate::store::{Batch, Snapshot};

/// Most threads that put lanes together; more than a few only wait for memory.
const MOST_THREADS: usize = 8;
/// How many jobs and lanes make it worth while to start threads: a millisecond of work.
const WORTH_THREADS: usize = 1000;

impl Core {
    /// Carries on from `snapshot` at `now`. The same snapshot leads to the same effects in the same order.
    pub fn recover(policy: Arc<Policy>, snapshot: &Snapshot, now: Timestamp) -> Self {
        let is_large = snapshot.jobs.len() + snapshot.lanes.len() >= WORTH_THREADS;
        Self::recover_with(if is_large { parallel::threads(MOST_THREADS) } else { 1 }, policy, snapshot, now)
    }

    fn recover_with(threads: usize, policy: Arc<Policy>, snapshot: &Snapshot, now: Timestamp) -> Self {
        let mut core = Self::new(policy, snapshot.next_event);
        snapshot.keys.iter().for_each(|used| core.keys.insert(used.clone()));
        let (gathered, unfinished) = gather(snapshot, threads);
        core.unfinished = unfinished;
        let (policy, next_call) = (&core.policy, core.next_call);
        let put_together = |place| Begun::new(place, &gathered, policy, next_call, now);
        let begun = parallel::map(threads, (0..PARTITIONS).collect(), put_together);
        core.take_in(begun);
        core
    }

    fn take_in(&mut self, begun: Vec<Begun>) {
        let (mut timers, mut outcomes) = (Vec::new(), Vec::new());
        self.lanes = begun
            .into_iter()
            .map(|mut begun| {
                self.next_call = self.next_call.max(begun.next_call);
                timers.append(&mut begun.timers);
                outcomes.append(&mut begun.outcomes);
                begun.lanes
            })
            .collect();
        // They become a tree all at once.
        self.timers = timers.into_iter().collect();
        outcomes.sort_unstable_by_key(|(place, ..)| *place);
        for (_, resource, outcome) in outcomes {
            self.ask_for(&resource, outcome, Batch::default(), AfterCommit::default());
        }
    }
}

/// Whose turn it is to ask for something.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// Lanes with a record, in the order of those.
    Recorded(usize),
    /// Then the others, in the order of their first jobs.
    Unrecorded(JobId),
}

/// What belongs to one partition, from a piece of a snapshot.
#[derive(Clone, Default)]
struct Gathered<'a> {
    /// Each with its place in the snapshot.
    records: Vec<(usize, &'a LaneRecord)>,
    /// Unfinished ones, in the order of their submission.
    jobs: Vec<&'a Arc<Job>>,
}

/// For each of so many `pieces` of `snapshot`, in their order, what belongs to which partition; and how many jobs are
/// unfinished.
fn gather(snapshot: &Snapshot, pieces: usize) -> (Vec<Vec<Gathered<'_>>>, Unfinished) {
    let jobs = split(&snapshot.jobs, pieces).map(|(_, jobs)| jobs);
    let lanes = split(&snapshot.lanes, pieces);
    let gathered = parallel::map(pieces, jobs.zip(lanes).collect(), |(jobs, (first, records))| {
        let (mut partitions, mut unfinished) = (vec![Gathered::default(); PARTITIONS], Unfinished::default());
        for JobEvent { job, .. } in jobs.iter().filter(|event| event.job.ended().is_none()) {
            unfinished.add(job);
            partitions[Lanes::place_of(&job.resource)].jobs.push(job);
        }
        for (place, record) in (first..).zip(records) {
            partitions[Lanes::place_of(&record.resource)].records.push((place, record));
        }
        (partitions, unfinished)
    });
    let mut all = Unfinished::default();
    let partitions = gathered.into_iter().map(|(partitions, unfinished)| {
        all.add_all(unfinished);
        partitions
    });
    (partitions.collect(), all)
}

/// `all` in so many `pieces`, each with the place where it begins.
fn split<T>(all: &[T], pieces: usize) -> impl Iterator<Item = (usize, &[T])> {
    let length = all.len().div_ceil(pieces);
    let begin = move |piece: usize| (piece * length).min(all.len());
    (0..pieces).map(move |piece| (begin(piece), &all[begin(piece)..begin(piece + 1)]))
}

/// A partition whose lanes have begun.
struct Begun {
    lanes: Partition,
    /// When to wake them.
    timers: Vec<(Timestamp, LaneNumber)>,
    /// What they ask for.
    outcomes: Vec<(Place, Alias, Outcome)>,
    /// The ids of calls are told apart within a lane only: partitions begin with the same.
    next_call: CallId,
}

impl Begun {
    /// Puts together the partition that is at `place` in all that was `gathered`.
    fn new(place: usize, gathered: &[Vec<Gathered>], policy: &Policy, next_call: CallId, now: Timestamp) -> Self {
        let pieces = || gathered.iter().map(|partitions| &partitions[place]);
        let mut jobs_of: HashMap<&Alias, JobsOf> = HashMap::with_capacity(pieces().map(|piece| piece.jobs.len()).sum());
        for job in pieces().flat_map(|piece| &piece.jobs) {
            jobs_of.entry(&job.resource).or_default().push(job);
        }
        let records = pieces().map(|piece| piece.records.len()).sum::<usize>();
        let lanes = Partition::with_capacity(place, records.max(jobs_of.len()));
        let mut begun = Self { lanes, timers: Vec::new(), outcomes: Vec::new(), next_call };
        for &(number, record) in pieces().flat_map(|piece| &piece.records) {
            // A lane and its jobs share one and the same name.
            let (resource, jobs) =
                jobs_of.remove_entry(&record.resource).unwrap_or((&record.resource, JobsOf::default()));
            let lane = Lane::restore(LaneRecord { resource: resource.clone(), ..*record }, jobs.in_order());
            begun.begin(lane, Place::Recorded(number), policy, now);
        }
        let mut others: Vec<_> =
            jobs_of.into_iter().filter_map(|(name, jobs)| Some((jobs.first?.id, name, jobs))).collect();
        others.sort_unstable_by_key(|(first, ..)| *first);
        for (first, resource, jobs) in others {
            let record = LaneRecord { resource: resource.clone(), ledger: Ledger::default(), change: None };
            begun.begin(Lane::restore(record, jobs.in_order()), Place::Unrecorded(first), policy, now);
        }
        // Here rather than when they become a tree, which is done on one core.
        begun.timers.sort_unstable();
        begun
    }

    /// Takes in a lane and lets it begin.
    fn begin(&mut self, mut lane: Lane, place: Place, policy: &Policy, now: Timestamp) {
        let mut turn = Turn::new(now, policy.bounds(lane.resource()), true, &mut self.next_call);
        lane.recover(&mut turn);
        let outcome = turn.outcome;
        if !outcome.is_empty() {
            self.outcomes.push((place, lane.resource().clone(), outcome));
        }
        let timer = lane.wake_at();
        let number = self.lanes.insert(lane, timer);
        self.timers.extend(timer.map(|at| (at, number)));
    }
}

/// The jobs of a lane; most have one at the most, which takes no memory of its own.
#[derive(Default)]
struct JobsOf<'a> {
    first: Option<&'a Arc<Job>>,
    others: Vec<&'a Arc<Job>>,
}

impl<'a> JobsOf<'a> {
    fn push(&mut self, job: &'a Arc<Job>) {
        match self.first {
            Some(_) => self.others.push(job),
            None => self.first = Some(job),
        }
    }

    fn in_order(&self) -> impl Iterator<Item = Arc<Job>> {
        self.first.iter().chain(&self.others).map(|job| Arc::clone(job))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::Effect;
    use super::*;
    use crate::domain::{Actor, Capacity, Change, Goal, JobRequest, JobState, Move, Op, SentChange, Settings, Stage};

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
    const RESOURCES: usize = 700;

    fn named(resource: usize) -> Alias {
        format!("r{resource}").parse().expect("an alias")
    }

    /// Several jobs for each resource, the first of which is over and the second mostly running, with deadlines and submitters that
    /// differ; two thirds of the resources have a record, some of those a change under way.
    fn snapshot() -> Snapshot {
        let job = |number: usize| {
            let request = JobRequest {
                resource: named(number * 11 % RESOURCES),
                ..JobRequest::for_worker(Goal::Target(Capacity::ZERO))
            };
            let deadline = Duration::from_secs(7200 - number as u64);
            let settings = Settings { deadline, ..Settings::DEFAULT };
            let id = JobId::from_u128(number as u128);
            let submitted_by = Some(Box::new(actor(number % 3)));
            let mut job = Job { version: 1, submitted_by, ..Job::accept(id, request, settings, NOW) };
            match number / RESOURCES {
                0 => job.end(crate::domain::Ending::Canceled, NOW),
                1 if !number.is_multiple_of(4) => job.state = JobState::Running,
                _ => {}
            }
            JobEvent { id: number as u64, job: Arc::new(job) }
        };
        let record = |resource: usize| {
            let (cooldown, settle) = (Duration::from_secs(1 + resource as u64), Duration::ZERO);
            let sent = SentChange { at: NOW, op: Some(Op::Add), cooldown, settle };
            let movement = Move::toward(Capacity::ZERO, Capacity::new(1).expect("small"), 1).expect("a distance");
            let (job, patience, stage) = (JobId::nil(), Duration::from_hours(1), Stage::Acknowledged);
            let change = resource.is_multiple_of(7).then_some(Change { job, movement, sent, patience, stage });
            let ledger = Ledger { last_change: Some(sent), ..Ledger::default() };
            LaneRecord { resource: named(resource), ledger, change }
        };
        Snapshot {
            lanes: (0..RESOURCES).rev().filter(|resource| resource % 3 > 0).map(record).collect(),
            jobs: (0..RESOURCES * 4).map(job).collect(),
            keys: Vec::new(),
            next_event: 1_000_000,
        }
    }

    fn actor(number: usize) -> Actor {
        Actor { key: format!("key{number}key{number}ab").parse().expect("an id"), name: "".into() }
    }

    fn recovered(threads: usize, snapshot: &Snapshot) -> Core {
        Core::recover_with(threads, Arc::new(Policy::default()), snapshot, NOW)
    }

    #[test]
    fn each_lane_has_its_record_its_jobs_in_order_and_its_timer() {
        let snapshot = snapshot();
        for threads in [1, 3] {
            let mut core = recovered(threads, &snapshot);
            assert_eq!(core.unfinished_jobs(), RESOURCES * 3);
            assert_eq!((0..3).map(|key| core.unfinished.of_key(&actor(key).key)).sum::<usize>(), RESOURCES * 3);
            for resource in (0..RESOURCES).map(named) {
                let lane = core.lane(&resource).expect("a lane");
                let jobs = lane.active().into_iter().chain(lane.queue()).map(|job| job.id);
                let unfinished = snapshot.jobs.iter().map(|event| &event.job).filter(|job| job.ended().is_none());
                let expected = unfinished.filter(|job| job.resource == resource).map(|job| job.id);
                assert_eq!(jobs.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
                let record = snapshot.lanes.iter().find(|record| record.resource == resource);
                assert_eq!(lane.ledger().last_change, record.and_then(|record| record.ledger.last_change));
                assert_eq!(lane.change().is_some(), record.is_some_and(|record| record.change.is_some()));
                let slot = core.lanes.find(&resource).and_then(|number| Some((number, core.lanes.get(number)?)));
                let timer = slot.and_then(|(number, slot)| Some((slot.timer?, number)));
                assert_eq!(timer.map(|(at, _)| at), lane.wake_at());
                assert!(timer.is_none_or(|timer| core.timers.contains(&timer)), "it is woken");
            }
            assert!(core.timers.len() > RESOURCES / 2, "most wait for something");
            let next_call = core.next_call;
            let calls = core.take_effects().into_iter().filter_map(|effect| match effect {
                Effect::Call { id, .. } => Some(id),
                _ => None,
            });
            assert!(calls.max().is_some_and(|last| last < next_call), "no lane gives out an id again");
        }
    }

    #[test]
    fn however_many_threads_put_it_together_it_is_the_same() {
        let snapshot = snapshot();
        let recover = |threads| {
            let mut core = recovered(threads, &snapshot);
            let lanes: Vec<String> = (0..RESOURCES).map(|number| format!("{:?}", core.lane(&named(number)))).collect();
            let effects: Vec<String> = core.take_effects().iter().map(|effect| format!("{effect:?}")).collect();
            (lanes, core.timers, effects)
        };
        let alone = recover(1);
        for threads in [2, 3, 8] {
            assert!(recover(threads) == alone, "{threads} threads");
        }
    }

    #[test]
    fn lanes_with_a_record_come_first_and_the_others_by_their_jobs() {
        let snapshot = snapshot();
        let mut core = recovered(3, &snapshot);
        let asked = core.take_effects().into_iter().filter_map(|effect| match effect {
            Effect::Call { resource, .. } => Some(resource),
            _ => None,
        });
        let recorded = snapshot.lanes.iter().map(|record| record.resource.clone());
        let others = (RESOURCES..2 * RESOURCES).map(|number| named(number * 11 % RESOURCES));
        let others = others.filter(|name| !snapshot.lanes.iter().any(|record| record.resource == *name));
        assert_eq!(asked.collect::<Vec<_>>(), recorded.chain(others).collect::<Vec<_>>());
    }
}
