//! How a process carries on with a lane where another process, or itself before an eviction, stopped.
//!
//! It must never depend on anything but the adoption and the time: the same adoption leads to the same effects in the same
//! order, so that a recovery can be repeated under simulation.
//!
//! Rejected: putting lanes together on several threads, because what they ask for would have to be sorted again to come in
//! this order.

use std::sync::Arc;

use super::Core;
use crate::domain::{Lane, ScalingConfig, Timestamp};
use crate::store::{AdoptedLane, Adoption, Unit};

impl Core {
    /// Carries on from `adoption` at `now`: adopts all of its lanes, in their order.
    pub fn recover(scaling: Arc<ScalingConfig>, adoption: Adoption, now: Timestamp) -> Self {
        Self::new(scaling, None).carry_on(adoption, now)
    }

    /// The same with a core that was made for it, which nothing has happened to yet.
    pub fn carry_on(mut self, adoption: Adoption, now: Timestamp) -> Self {
        // A clock that was set back does not put it into the future.
        self.restored_at = adoption.restored_at.map(|at| at.min(now));
        for lane in adoption.lanes {
            self.adopt(lane, now);
        }
        self.adopt_groups(adoption.groups, &[], now);
        // A policy in the file needs a lane even if its resource never had one.
        let scaling = Arc::clone(&self.scaling);
        for resource in scaling.policies.keys().filter(|resource| self.lane(resource).is_none()).collect::<Vec<_>>() {
            self.ask_for_lane(resource);
        }
        self
    }

    /// Takes a lane over from the store and lets it begin.
    pub fn adopt(&mut self, adopted: AdoptedLane, now: Timestamp) {
        let AdoptedLane { epoch, mut record, jobs, policy } = adopted;
        let resource = record.resource.clone();
        self.adopting.remove(&resource);
        if let Some(at) = self.restored_at {
            record.suppose_unknown_change(at, &self.scaling.in_force(&resource).settings);
        }
        if !self.scaling.resources.contains_key(&resource) {
            self.unlisted.add(&resource, jobs.first().and_then(|event| event.job.submitted_with()));
        }
        self.lanes.insert(Lane::restore(record, jobs.into_iter().map(|event| event.job)), epoch);
        let ended = match policy {
            None if !self.scaling.policies.contains_key(&resource) => None,
            record => self.adopt_standing(&resource, record.map(|record| *record).unwrap_or_default(), now),
        };
        let outcome = self.run(&resource, now, |lane, turn| lane.recover(turn));
        self.apply_outcome(&resource, outcome, Unit::default(), Vec::new(), now);
        if let Some(revision) = ended {
            self.end_policy(&resource, revision, now);
        }
        self.place_waiting(&resource, now);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::time::Duration;

    use super::super::Effect;
    use super::*;
    use crate::domain::{
        Actor, Alias, CallId, Capacity, Change, ChangeState, Goal, Job, JobEvent, JobId, JobRequest, JobState,
        LaneRecord, Move, Op, SentChange, Settings, Stage,
    };

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
    const RESOURCES: usize = 700;

    fn named(resource: usize) -> Alias {
        format!("r{resource}").parse().expect("an alias")
    }

    /// Several jobs for each resource, the first of which is over and the second mostly running, with deadlines and submitters that
    /// differ; two thirds of the resources have a record, some of those a change under way.
    fn adoption() -> Adoption {
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
            LaneRecord { change_state, change, ..LaneRecord::new(named(resource)) }
        };
        let mut jobs_of: HashMap<Alias, Vec<JobEvent>> = HashMap::new();
        for event in (0..RESOURCES * 4).map(job).filter(|event| event.job.ended().is_none()) {
            jobs_of.entry(event.job.resource.clone()).or_default().push(event);
        }
        let records = (0..RESOURCES).rev().map(|resource| match resource % 3 {
            0 => LaneRecord::new(named(resource)),
            _ => record(resource),
        });
        let lanes = records.zip(1..).map(|(record, epoch)| {
            let jobs = jobs_of.remove(&record.resource).unwrap_or_default();
            AdoptedLane { epoch, record, jobs, policy: None }
        });
        Adoption { lanes: lanes.collect(), ..Adoption::default() }
    }

    fn actor(number: usize) -> Actor {
        Actor::Key { key: format!("key{number}key{number}ab").parse().expect("an id"), name: "".into() }
    }

    fn recovered(adoption: Adoption) -> Core {
        Core::recover(Arc::new(ScalingConfig::default()), adoption, NOW)
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
        let adoption = adoption();
        let core = recovered(adoption.clone());
        assert_eq!(core.unfinished_jobs(), RESOURCES * 3);
        assert_eq!(core.lanes.all().count(), RESOURCES);
        for AdoptedLane { epoch, record, jobs, .. } in adoption.lanes {
            let lane = core.lane(&record.resource).expect("a lane");
            let found = lane.jobs().map(|job| job.id).collect::<Vec<_>>();
            assert_eq!(found, jobs.iter().map(|event| event.job.id).collect::<Vec<_>>());
            assert_eq!(lane.change_state().last_change, record.change_state.last_change);
            assert_eq!(lane.change().is_some(), record.change.is_some());
            assert_eq!(core.lanes.epoch(&record.resource), Some(epoch));
        }
    }

    #[test]
    fn each_lane_has_its_timer() {
        let mut core = recovered(adoption());
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
        let mut core = recovered(adoption());
        let ids: Vec<CallId> = read_calls(&mut core).into_iter().map(|(id, _)| id).collect();
        assert_eq!(ids.len(), RESOURCES);
        assert!(ids.is_sorted_by(|one, next| one < next) && ids.last().is_some_and(|last| *last < core.next_call));
    }

    #[test]
    fn lanes_begin_in_the_order_of_the_adoption() {
        let adoption = adoption();
        let adopted: Vec<Alias> = adoption.lanes.iter().map(|lane| lane.record.resource.clone()).collect();
        let asked = read_calls(&mut recovered(adoption)).into_iter().map(|(_, resource)| resource);
        assert_eq!(asked.collect::<Vec<_>>(), adopted);
    }
}
