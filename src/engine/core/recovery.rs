//! How a process carries on where another one stopped.
//!
//! There may be a million lanes, everybody waits for the last of them, and nearly all of the time goes into fetching memory
//! that was not looked at for a while. So what belongs to the same partition of the lanes is gathered first, and then all
//! cores put partitions together, one after the other; each lane is put together and begins in one go.

use std::sync::Arc;

use super::lanes::{LaneNumber, NameHash, PARTITIONS, Partition};
use super::unfinished::Unfinished;
use super::{AfterCommit, Core};
use crate::domain::{Alias, CallId, Job, JobId, Lane, LaneRecord, Outcome, ScalingConfig, Timestamp, Turn};
use crate::parallel;
use crate::store::{Batch, Snapshot};

/// How many jobs and lanes make it worth while to start threads: a millisecond of work.
const WORTH_THREADS: usize = 1000;

impl Core {
    /// Carries on from `snapshot` at `now`. The same snapshot leads to the same effects in the same order.
    pub fn recover(scaling: Arc<ScalingConfig>, snapshot: &Snapshot, now: Timestamp) -> Self {
        let is_large = snapshot.jobs.len() + snapshot.lanes.len() >= WORTH_THREADS;
        Self::recover_with(if is_large { parallel::threads() } else { 1 }, scaling, snapshot, now)
    }

    fn recover_with(threads: usize, scaling: Arc<ScalingConfig>, snapshot: &Snapshot, now: Timestamp) -> Self {
        // A clock that was set back does not put it into the future.
        let restored_at = snapshot.restored_at.map(|at| at.min(now));
        let mut core = Self::new(scaling, snapshot.next_event, restored_at);
        snapshot.keys.iter().for_each(|used| core.keys.insert(used.clone()));
        let (gathered, unfinished) = gather(snapshot, threads);
        core.unfinished = unfinished;
        let start = Start { scaling: &core.scaling, next_call: core.next_call, restored_at, now };
        let put_together = |place| Begun::new(place, &gathered, &start);
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
        outcomes.sort_unstable_by_key(|(rank, ..)| *rank);
        for (_, resource, outcome) in outcomes {
            self.emit_effects(&resource, outcome, Batch::default(), AfterCommit::default());
        }
    }
}

/// Whose turn it is to ask for something.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// Lanes with a record, in the order of those.
    Recorded(usize),
    /// Then the others, in the order of their first jobs.
    Unrecorded(JobId),
}

/// The record of a lane, with the hash of its name and its number in the snapshot.
type Recorded<'a> = (NameHash, usize, &'a LaneRecord);

/// An unfinished job, with the hash of its resource's name.
type Hashed<'a> = (NameHash, &'a Arc<Job>);

/// What is in a piece of a snapshot, in the order of the hashes: what belongs to the same partition stands together.
struct Gathered<'a> {
    records: Vec<Recorded<'a>>,
    /// Those of the same resource in the order of their submission.
    jobs: Vec<Hashed<'a>>,
}

/// For each of so many `pieces` of `snapshot`, in their order, what belongs to which partition; and how many jobs are
/// unfinished.
fn gather(snapshot: &Snapshot, pieces: usize) -> (Vec<Gathered<'_>>, Unfinished) {
    let jobs = split(&snapshot.jobs, pieces).map(|(_, jobs)| jobs);
    let lanes = split(&snapshot.lanes, pieces);
    let gathered = parallel::map(pieces, jobs.zip(lanes).collect(), |(jobs, (first, records))| {
        let mut unfinished = Unfinished::default();
        let jobs = jobs.iter().map(|event| &event.job).filter(|job| job.ended().is_none());
        let jobs = jobs.inspect(|job| unfinished.add(job));
        let mut jobs: Vec<_> = jobs.map(|job| (NameHash::of(&job.resource), job)).collect();
        jobs.sort_by_key(|(hash, _)| *hash);
        let records = (first..).zip(records);
        let mut records: Vec<_> =
            records.map(|(number, record)| (NameHash::of(&record.resource), number, record)).collect();
        records.sort_by_key(|(hash, ..)| *hash);
        (Gathered { records, jobs }, unfinished)
    });
    let mut all = Unfinished::default();
    let gathered = gathered.into_iter().map(|(gathered, unfinished)| {
        all.add_all(unfinished);
        gathered
    });
    (gathered.collect(), all)
}

/// What of `sorted` belongs to the partition at `place`.
fn within<T>(place: usize, sorted: &[T], hash: impl Fn(&T) -> NameHash) -> &[T] {
    let rest = &sorted[sorted.partition_point(|one| hash(one).place() < place)..];
    &rest[..rest.partition_point(|one| hash(one).place() == place)]
}

/// `all` in so many `pieces`, each with the place where it begins.
fn split<T>(all: &[T], pieces: usize) -> impl Iterator<Item = (usize, &[T])> {
    let length = all.len().div_ceil(pieces);
    let begin = move |piece: usize| (piece * length).min(all.len());
    (0..pieces).map(move |piece| (begin(piece), &all[begin(piece)..begin(piece + 1)]))
}

/// What a lane is put together of.
struct Parts<'a> {
    hash: NameHash,
    resource: &'a Alias,
    record: Option<&'a LaneRecord>,
    jobs: &'a [Hashed<'a>],
    rank: Rank,
}

impl<'a> Parts<'a> {
    /// Those of a lane of which there are only `jobs`.
    fn without_record(jobs: &'a [Hashed<'a>]) -> Self {
        let (hash, first) = jobs[0];
        Self { hash, resource: &first.resource, record: None, jobs, rank: Rank::Unrecorded(first.id) }
    }
}

/// The lanes that `records` and `jobs` are parts of. A pass of its own: names that are compared one after the other, with nothing
/// else done in between, are fetched several at a time.
fn join<'a>(records: &mut [Recorded<'a>], jobs: &'a mut [Hashed<'a>]) -> Vec<Parts<'a>> {
    // Names are looked at only where their hashes are the same. Jobs of the same resource stay in their order.
    records.sort_by(|(hash, _, record), (other_hash, _, other)| {
        hash.cmp(other_hash).then_with(|| record.resource.cmp(&other.resource))
    });
    jobs.sort_by(|(hash, job), (other_hash, other)| {
        hash.cmp(other_hash).then_with(|| job.resource.cmp(&other.resource))
    });
    let jobs: &'a [Hashed<'a>] = jobs;
    let name = |jobs: &[Hashed<'a>]| (jobs[0].0, &jobs[0].1.resource);
    let mut jobs = jobs.chunk_by(|one, other| one.0 == other.0 && one.1.resource == other.1.resource).peekable();
    let mut parts = Vec::with_capacity(records.len());
    for &mut (hash, number, record) in records {
        let own = (hash, &record.resource);
        parts.extend(std::iter::from_fn(|| jobs.next_if(|jobs| name(jobs) < own)).map(Parts::without_record));
        let jobs = jobs.next_if(|jobs| name(jobs) == own).unwrap_or_default();
        // A lane and its jobs share one and the same name.
        let resource = jobs.first().map_or(&record.resource, |(_, job)| &job.resource);
        parts.push(Parts { hash, resource, record: Some(record), jobs, rank: Rank::Recorded(number) });
    }
    parts.extend(jobs.map(Parts::without_record));
    parts
}

/// What all lanes begin with.
struct Start<'a> {
    scaling: &'a ScalingConfig,
    next_call: CallId,
    restored_at: Option<Timestamp>,
    now: Timestamp,
}

/// A partition whose lanes have begun.
struct Begun {
    lanes: Partition,
    /// When to wake them.
    timers: Vec<(Timestamp, LaneNumber)>,
    /// What they ask for.
    outcomes: Vec<(Rank, Alias, Outcome)>,
    /// The ids of calls are told apart within a lane only: partitions begin with the same.
    next_call: CallId,
}

impl Begun {
    /// Puts together the partition that is at `place` in all that was `gathered`.
    fn new(place: usize, gathered: &[Gathered], start: &Start) -> Self {
        let records = gathered.iter().flat_map(|piece| within(place, &piece.records, |(hash, ..)| *hash));
        let jobs = gathered.iter().flat_map(|piece| within(place, &piece.jobs, |(hash, _)| *hash));
        let (mut records, mut jobs): (Vec<Recorded>, Vec<Hashed>) =
            (records.copied().collect(), jobs.copied().collect());
        let parts = join(&mut records, &mut jobs);

        let lanes = Partition::with_capacity(place, parts.len());
        let mut begun = Self { lanes, timers: Vec::new(), outcomes: Vec::new(), next_call: start.next_call };
        parts.into_iter().for_each(|parts| begun.begin(parts, start));
        // Here rather than when they become a tree, which is done on one core.
        begun.timers.sort_unstable();
        begun
    }

    /// Puts a lane together and lets it begin.
    fn begin(&mut self, Parts { hash, resource, record, jobs, rank }: Parts, start: &Start) {
        let (change_state, change) =
            record.map_or_else(Default::default, |record| (record.change_state, record.change));
        let mut known = LaneRecord { resource: resource.clone(), change_state, change };
        if let Some(at) = start.restored_at {
            known.suppose_unknown_change(at, &start.scaling.in_force(resource).settings);
        }
        let mut lane = Lane::restore(known, jobs.iter().map(|(_, job)| Arc::clone(job)));
        let mut turn = Turn::new(start.now, start.scaling.in_force(lane.resource()), true, &mut self.next_call);
        lane.recover(&mut turn);
        let outcome = turn.outcome;
        if !outcome.is_empty() {
            self.outcomes.push((rank, lane.resource().clone(), outcome));
        }
        let timer = lane.wake_at();
        let number = self.lanes.insert(hash, lane, timer);
        self.timers.extend(timer.map(|at| (at, number)));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::Effect;
    use super::*;
    use crate::domain::{
        Actor, Capacity, Change, ChangeState, Goal, JobEvent, JobRequest, JobState, Move, Op, SentChange, Settings,
        Stage,
    };

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
            let submitted_by = Some(actor(number % 3));
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
            let change_state = ChangeState { last_change: Some(sent), ..ChangeState::default() };
            LaneRecord { resource: named(resource), change_state, change }
        };
        Snapshot {
            lanes: (0..RESOURCES).rev().filter(|resource| resource % 3 > 0).map(record).collect(),
            jobs: (0..RESOURCES * 4).map(job).collect(),
            keys: Vec::new(),
            next_event: 1_000_000,
            restored_at: None,
        }
    }

    fn actor(number: usize) -> Actor {
        Actor { key: format!("key{number}key{number}ab").parse().expect("an id"), name: "".into() }
    }

    fn recovered(threads: usize, snapshot: &Snapshot) -> Core {
        Core::recover_with(threads, Arc::new(ScalingConfig::default()), snapshot, NOW)
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
                assert_eq!(lane.change_state().last_change, record.and_then(|record| record.change_state.last_change));
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

    #[test]
    fn names_with_the_same_hash_are_told_apart() {
        let hash = NameHash(7);
        let snapshot = snapshot();
        // Some have a record only.
        let has_jobs = |resource: &Alias| (0..RESOURCES).step_by(5).all(|number| named(number) != *resource);
        let jobs = snapshot.jobs.iter().map(|event| (hash, &event.job));
        let mut jobs: Vec<Hashed> = jobs.filter(|(_, job)| has_jobs(&job.resource)).collect();
        let mut records: Vec<Recorded> =
            snapshot.lanes.iter().enumerate().map(|(place, record)| (hash, place, record)).collect();
        let parts = join(&mut records, &mut jobs);
        assert!(parts.windows(2).all(|two| two[0].resource < two[1].resource), "one of each");
        assert_eq!(parts.len(), (0..RESOURCES).filter(|number| number % 3 > 0 || number % 5 > 0).count());
        for Parts { resource, record, jobs, rank, .. } in parts {
            let known = snapshot.lanes.iter().position(|record| record.resource == *resource);
            assert_eq!(record, known.map(|place| &snapshot.lanes[place]));
            assert!(
                matches!((rank, known), (Rank::Recorded(number), Some(known)) if number == known) || known.is_none()
            );
            assert_eq!(jobs.len(), if has_jobs(resource) { 4 } else { 0 });
            assert!(jobs.iter().all(|(_, job)| job.resource == *resource) && jobs.is_sorted_by_key(|(_, job)| job.id));
        }
    }
}
