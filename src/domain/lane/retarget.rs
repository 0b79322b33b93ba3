//! How a policy gives its unfinished job another target.
//!
//! It must never touch a change that may have been sent, nor the job of a person. An intent that is still on its way to
//! the disk is judged anew when its commit is reported: see [`Lane::on_intent_committed`].
//!
//! Rejected: to cancel the job and submit another, because every wiggle of a metric would leave a job behind, and waits
//! would begin anew each time.

use std::sync::Arc;

use super::super::capacity::Capacity;
use super::super::change_state::Stage;
use super::super::job::Job;
use super::super::job_id::JobId;
use super::super::policy::DecisionId;
use super::super::time::Timestamp;
use super::super::waiting::Waiting;
use super::{Activity, Lane, Turn, next_version, pace};

impl Lane {
    /// Gives the unfinished job `id` of a policy the target `to`; whether it has it now. It has not if there is no such
    /// job, or if it is about to end as canceled or superseded.
    pub fn retarget(&mut self, id: JobId, to: Capacity, decision: DecisionId, turn: &mut Turn) -> bool {
        let can_be = |job: &Job| job.is_of_policy() && job.ending.is_none();
        let Some(job) = self.job(id).filter(|job| can_be(job)) else { return false };
        let Some(from) = job.target else { return false };
        if from == to {
            return true;
        }
        turn.note(id, format!("target changed from {from} to {to} by decision {decision}"));
        if self.active.as_ref().is_some_and(|active| active.id == id) {
            self.event(turn, |lane, turn| {
                if let Some(active) = &mut lane.active {
                    Arc::make_mut(active).retarget(from, to, decision, turn.now);
                }
                lane.read_in_time(turn.now);
            });
            return true;
        }
        self.queue.for_each(|queued| {
            if queued.id == id {
                let job = Arc::make_mut(queued);
                job.retarget(from, to, decision, turn.now);
                job.waiting = Some(Waiting::for_turn(job.deadline_at));
                turn.outcome.jobs.push(next_version(queued, turn.now));
            }
        });
        true
    }

    /// Reads sooner if what the lane sleeps for was right for another target: the new one may be reached already, or lie
    /// in a direction that has nothing to wait for. Never sooner than two readings are apart, however often a target changes.
    fn read_in_time(&mut self, now: Timestamp) {
        let (Activity::Sleeping { until }, Some(job)) = (self.activity, &self.active) else { return };
        let is_unknown = self.change.is_some_and(|change| matches!(change.stage, Stage::Unknown { .. }));
        let Some(expected) = self.change.map(|change| change.movement.to).or(job.current) else { return };
        let cools_down = self.change_state.next_change_at(job.settings.cooldown).is_some_and(|end| now < end);
        if is_unknown || self.failed_reads > 0 || (cools_down && job.target != Some(expected)) {
            return;
        }
        let next = pace::next_reading(job, &self.change_state, expected, now);
        self.activity = Activity::Sleeping { until: until.min(next) };
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::super::access::Actor;
    use super::super::super::capacity::{Move, Op};
    use super::super::super::job::{Ending, Goal, JobRequest, OnConflict, StepOutcome};
    use super::super::super::reading::{Reading, Status};
    use super::super::super::scaling::ScalingConfig;
    use super::super::super::settings::Settings;
    use super::super::super::waiting::WaitReason;
    use super::super::{Admission, Call, CallId, ChangeAnswer, Outcome};
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn units(units: u32) -> Capacity {
        Capacity::try_from(units).expect("a small number")
    }

    fn id(number: u128) -> JobId {
        JobId::from_u128(number)
    }

    /// A lane, the calls it made and the time.
    struct Scene {
        lane: Lane,
        next_call: CallId,
        now: Timestamp,
    }

    impl Scene {
        fn new() -> Self {
            let resource = JobRequest::for_worker(Goal::Target(units(0))).resource;
            Self { lane: Lane::new(resource), next_call: 1, now: NOW }
        }

        fn turn(&mut self, event: impl FnOnce(&mut Lane, &mut Turn)) -> Outcome {
            let rules = ScalingConfig::default().in_force(self.lane.resource());
            let mut turn = Turn::new(self.now, rules, true, &mut self.next_call);
            event(&mut self.lane, &mut turn);
            turn.outcome
        }

        fn submit(&mut self, number: u128, to: u32, by: Option<Actor>, on_conflict: OnConflict) -> Outcome {
            let request = JobRequest::for_worker(Goal::Target(units(to)));
            let settings = Settings { step_size: 2, ..Settings::DEFAULT };
            let job = Job { submitted_by: by, ..Job::accept(id(number), request, settings, self.now) };
            self.turn(|lane, turn| lane.submit(job, on_conflict, turn))
        }

        fn submit_policy(&mut self, number: u128, to: u32) -> Outcome {
            self.submit(number, to, Some(Actor::Policy { revision: 1 }), OnConflict::Supersede)
        }

        fn retarget(&mut self, number: u128, to: u32) -> bool {
            let mut done = false;
            self.turn(|lane, turn| done = lane.retarget(id(number), units(to), DecisionId::nil(), turn));
            done
        }

        /// Answers the reading under way.
        fn read(&mut self, status: &str, capacity: u32) -> Outcome {
            let Activity::Reading { call } = self.lane.activity else { panic!("{:?}", self.lane.activity) };
            let (status, capacity, stamp) = (Status::new(status), units(capacity), Some(self.now));
            let (asked_at, received_at) = (self.now, self.now);
            let reading = Reading { status, capacity, stamp, wall_set_at: None, asked_at, received_at };
            self.turn(|lane, turn| lane.on_reading(call, Ok(reading), turn))
        }

        /// Lets time pass until the lane is to be woken, and wakes it.
        fn wake(&mut self) -> Outcome {
            self.now = self.lane.wake_at().expect("a time");
            self.turn(|lane, turn| lane.on_wake(turn))
        }

        fn commit(&mut self) -> Option<Call> {
            self.turn(|lane, turn| lane.on_intent_committed(turn)).call.map(|(_, call)| call)
        }

        /// Accepts the change under way.
        fn acknowledge(&mut self) {
            let Activity::Sending { call } = self.lane.activity else { panic!("{:?}", self.lane.activity) };
            self.turn(|lane, turn| lane.on_change_answer(call, ChangeAnswer::Acknowledged, turn));
        }

        fn job(&self) -> &Job {
            self.lane.active().expect("a job")
        }
    }

    /// From 4, a policy that wanted 8 (or 0) wants something else while the intent is on its way to the disk.
    #[test]
    fn an_intent_that_does_not_fit_the_new_target_is_withdrawn() {
        for (first, then, is_sent) in [
            (8, 9, true),
            (8, 6, true),
            (8, 5, false),
            (8, 4, false),
            (8, 1, false),
            (0, 1, true),
            (0, 2, true),
            (0, 3, false),
            (0, 4, false),
            (0, 9, false),
        ] {
            let mut scene = Scene::new();
            scene.submit_policy(1, first);
            let intended = scene.read("ACTIVE", 4);
            assert!(intended.intent);
            assert!(scene.retarget(1, then));
            let call = scene.commit();
            let movement = Move::toward(units(4), units(first), 2).expect("a distance");
            if is_sent {
                assert_eq!(call, Some(Call::Change(movement)), "from {first} to {then}");
                continue;
            }
            assert_eq!(call, Some(Call::Read), "from {first} to {then}: it decides anew at once");
            let [step] = &scene.job().steps[..] else { panic!("{:?}", scene.job()) };
            assert_eq!((step.outcome, step.sent_at), (StepOutcome::NotApplied, None));
            assert!(scene.lane.change().is_none());
            let next = scene.read("ACTIVE", 4);
            let found = scene.lane.change().map(|change| change.movement);
            assert_eq!(found, Move::toward(units(4), units(then), 2), "from {first} to {then}");
            assert_eq!(next.intent, then != 4);
        }
    }

    #[test]
    fn a_change_in_flight_stays_and_is_the_only_one() {
        let mut scene = Scene::new();
        scene.submit_policy(1, 8);
        scene.read("ACTIVE", 4);
        assert!(matches!(scene.commit(), Some(Call::Change(_))));
        let before = scene.lane.change().copied();
        for target in [9, 5, 1, 4] {
            assert!(scene.retarget(1, target));
            assert_eq!(scene.lane.change().copied(), before, "while it is sent");
        }
        scene.acknowledge();
        assert!(scene.retarget(1, 3));
        assert_eq!(scene.lane.change().map(|change| change.movement), before.map(|change| change.movement));
        scene.wake();
        scene.read("ACTIVE", 6);
        assert_eq!(scene.job().waiting.as_ref().map(|waiting| waiting.reason), Some(WaitReason::Cooldown));
        scene.wake();
        scene.read("ACTIVE", 6);
        let next = scene.lane.change().map(|change| (change.movement.op, change.movement.to));
        assert_eq!(next, Some((Op::Remove, units(4))));
        assert_eq!(scene.now, before.expect("a change").sent.at + Settings::DEFAULT.cooldown);
    }

    #[test]
    fn a_cooldown_goes_on_and_a_target_that_is_there_ends_the_job() {
        let mut scene = Scene::new();
        scene.submit_policy(1, 8);
        scene.read("ACTIVE", 4);
        scene.commit();
        scene.acknowledge();
        scene.wake();
        scene.read("ACTIVE", 6);
        let until = scene.lane.wake_at();
        for target in [9, 7, 2] {
            scene.retarget(1, target);
            assert_eq!(scene.lane.wake_at(), until, "still cooling down");
        }
        scene.retarget(1, 6);
        assert!(scene.lane.wake_at() < until, "nothing is left to wait for");
        scene.wake();
        let ended = scene.read("ACTIVE", 6);
        assert_eq!(ended.jobs.last().and_then(|job| job.ended()), Some(&Ending::Succeeded));
    }

    /// A resource that is stuck in MODIFYING, under a metric that wiggles every second.
    #[test]
    fn a_wiggling_target_keeps_no_job_from_its_active_timeout() {
        let mut scene = Scene::new();
        scene.submit_policy(1, 8);
        let limit = NOW + Settings::DEFAULT.active_timeout;
        let mut target = 8;
        while scene.lane.active().is_some() {
            assert!(scene.now <= limit, "{}", scene.now);
            if matches!(scene.lane.activity, Activity::Reading { .. }) {
                scene.read("MODIFYING", 4);
            }
            target = 17 - target;
            scene.retarget(1, target);
            scene.now = scene.now + Duration::from_secs(1);
            scene.turn(|lane, turn| lane.on_wake(turn));
        }
        assert!(scene.now >= limit, "{}", scene.now);
    }

    #[test]
    fn only_the_unfinished_job_of_a_policy_can_be_retargeted() {
        let mut scene = Scene::new();
        scene.submit(1, 8, None, OnConflict::Reject);
        assert!(!scene.retarget(1, 9), "the job of a person");
        let mut scene = Scene::new();
        scene.submit_policy(1, 8);
        assert!(!scene.retarget(2, 9), "another job");
        scene.read("ACTIVE", 4);
        scene.commit();
        scene.turn(|lane, turn| {
            lane.cancel(id(1), None, turn);
        });
        assert!(!scene.retarget(1, 9), "about to be canceled");
        assert_eq!(scene.job().target, Some(units(8)));
        let mut scene = Scene::new();
        scene.submit_policy(1, 8);
        scene.read("ACTIVE", 4);
        scene.commit();
        scene.submit_policy(2, 8);
        assert!(!scene.retarget(1, 9), "about to be superseded");
        assert!(scene.retarget(2, 9), "waiting for its turn");
        let queued = scene.lane.job(id(2)).expect("a job");
        assert_eq!((queued.target, queued.retargets.count), (Some(units(9)), 1));
    }

    #[test]
    fn a_request_of_a_person_takes_the_place_of_the_job_of_a_policy() {
        for on_conflict in [OnConflict::Reject, OnConflict::Queue, OnConflict::Supersede] {
            for is_in_flight in [false, true] {
                let mut scene = Scene::new();
                scene.submit_policy(1, 8);
                if is_in_flight {
                    scene.read("ACTIVE", 4);
                    scene.commit();
                }
                let admission = scene.lane.admit(Goal::Target(units(8)), on_conflict, 0);
                assert_eq!(admission, Admission::Accept, "{on_conflict:?}: not even joined");
                let outcome = scene.submit(2, 8, None, on_conflict);
                let policy = outcome.jobs.iter().find(|job| job.id == id(1)).expect("a new version");
                assert_eq!(policy.superseded_by(), Some(id(2)));
                assert_eq!(policy.ended().is_some(), !is_in_flight);
                assert_eq!(scene.lane.admit_policy().map_err(|job| job.id), Err(id(2)));
                let other = scene.lane.admit(Goal::Target(units(3)), OnConflict::Reject, 9);
                assert!(matches!(other, Admission::Busy(job) if job.id == id(2)));
            }
        }
        assert_eq!(Scene::new().lane.admit_policy(), Ok(()));
    }
}
