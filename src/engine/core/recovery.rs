//! How a process carries on where another one stopped.
//!
//! It must never depend on anything but the snapshot and the time: the same snapshot leads to the same effects in the same
//! order, so that a recovery can be repeated under simulation. Lanes with a record come first, in the order of the records,
//! then those with jobs only, in the order of their first jobs.
//!
//! Rejected: putting lanes together on several threads, because what they ask for would have to be sorted again to come in
//! this order.

use std::collections::HashMap;
use std::sync::Arc;

use super::{AfterCommit, Core};
use crate::domain::{Job, Lane, LaneRecord, ScalingConfig, Timestamp};
use crate::store::{Batch, Snapshot};

impl Core {
    /// Carries on from `snapshot` at `now`.
    pub fn recover(scaling: Arc<ScalingConfig>, snapshot: &Snapshot, now: Timestamp) -> Self {
        // A clock that was set back does not put it into the future.
        let restored_at = snapshot.restored_at.map(|at| at.min(now));
        let mut core = Self::new(scaling, snapshot.next_event, restored_at);
        snapshot.keys.iter().for_each(|used| core.keys.insert(used.clone()));

        let unfinished = || snapshot.jobs.iter().map(|event| &event.job).filter(|job| job.ended().is_none());
        let mut jobs_of: HashMap<_, Vec<Arc<Job>>> = HashMap::new();
        for job in unfinished() {
            core.unfinished.add(job);
            jobs_of.entry(&job.resource).or_default().push(Arc::clone(job));
        }
        for record in &snapshot.lanes {
            let jobs = jobs_of.remove(&record.resource).unwrap_or_default();
            core.recover_lane(record.clone(), jobs, now);
        }
        for job in unfinished() {
            if let Some(jobs) = jobs_of.remove(&job.resource) {
                core.recover_lane(LaneRecord::new(job.resource.clone()), jobs, now);
            }
        }
        core
    }

    /// Puts a lane together and lets it begin.
    fn recover_lane(&mut self, mut record: LaneRecord, jobs: Vec<Arc<Job>>, now: Timestamp) {
        let resource = record.resource.clone();
        if let Some(at) = self.restored_at {
            record.suppose_unknown_change(at, &self.scaling.in_force(&resource).settings);
        }
        let first = jobs.first().cloned();
        self.insert_lane(Lane::restore(record, jobs), first.as_deref());
        let outcome = self.run(&resource, now, |lane, turn| lane.recover(turn));
        self.apply_outcome(&resource, outcome, Batch::default(), AfterCommit::default());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::Effect;
    use super::*;
    use crate::domain::{
        Actor, Alias, CallId, Capacity, Change, ChangeState, Goal, JobEvent, JobId, JobRequest, JobState, Move, Op,
        SentChange, Settings, Stage,
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
            let (job, effect_timeout, stage) = (JobId::nil(), Duration::from_hours(1), Stage::Acknowledged);
            let change = resource.is_multiple_of(7).then_some(Change { job, movement, sent, effect_timeout, stage });
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

    fn recovered(snapshot: &Snapshot) -> Core {
        Core::recover(Arc::new(ScalingConfig::default()), snapshot, NOW)
    }

    fn read_calls(core: &mut Core) -> Vec<(CallId, Alias)> {
        let calls = core.take_effects().into_iter().filter_map(|effect| match effect {
            Effect::Call { resource, id, .. } => Some((id, resource)),
            _ => None,
        });
        calls.collect()
    }

    #[test]
    fn each_lane_has_its_record_and_its_jobs_in_order() {
        let snapshot = snapshot();
        let core = recovered(&snapshot);
        assert_eq!(core.unfinished_jobs(), RESOURCES * 3);
        assert_eq!((0..3).map(|key| core.unfinished.of_key(&actor(key).key)).sum::<usize>(), RESOURCES * 3);
        assert_eq!(core.lanes.all().count(), RESOURCES);
        for resource in (0..RESOURCES).map(named) {
            let lane = core.lane(&resource).expect("a lane");
            let jobs = lane.active().into_iter().chain(lane.queue()).map(|job| job.id);
            let unfinished = snapshot.jobs.iter().map(|event| &event.job).filter(|job| job.ended().is_none());
            let expected = unfinished.filter(|job| job.resource == resource).map(|job| job.id);
            assert_eq!(jobs.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
            let record = snapshot.lanes.iter().find(|record| record.resource == resource);
            assert_eq!(lane.change_state().last_change, record.and_then(|record| record.change_state.last_change));
            assert_eq!(lane.change().is_some(), record.is_some_and(|record| record.change.is_some()));
        }
    }

    #[test]
    fn each_lane_has_its_timer() {
        let mut core = recovered(&snapshot());
        let wanted = core.lanes.all().filter_map(|lane| Some((lane.wake_at()?, lane.resource().clone())));
        let mut wanted: Vec<(Timestamp, Alias)> = wanted.collect();
        wanted.sort();
        assert!(wanted.len() > RESOURCES / 2, "most wait for something");
        let due = std::iter::from_fn(|| {
            let at = core.lanes.next_wake()?;
            core.lanes.take_due(at).map(|resource| (at, resource))
        });
        assert_eq!(due.collect::<Vec<_>>(), wanted);
    }

    #[test]
    fn no_id_of_a_call_is_given_out_twice() {
        let mut core = recovered(&snapshot());
        let ids: Vec<CallId> = read_calls(&mut core).into_iter().map(|(id, _)| id).collect();
        assert_eq!(ids.len(), RESOURCES);
        assert!(ids.is_sorted_by(|one, next| one < next) && ids.last().is_some_and(|last| *last < core.next_call));
    }

    #[test]
    fn lanes_with_a_record_come_first_and_the_others_by_their_jobs() {
        let snapshot = snapshot();
        let asked = read_calls(&mut recovered(&snapshot)).into_iter().map(|(_, resource)| resource);
        let recorded = snapshot.lanes.iter().map(|record| record.resource.clone());
        let others = (RESOURCES..2 * RESOURCES).map(|number| named(number * 11 % RESOURCES));
        let others = others.filter(|name| !snapshot.lanes.iter().any(|record| record.resource == *name));
        assert_eq!(asked.collect::<Vec<_>>(), recorded.chain(others).collect::<Vec<_>>());
    }
}
