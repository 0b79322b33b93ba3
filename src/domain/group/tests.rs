//! Groups whose jobs end in any way and order, with a process that acts on what is durable late, twice, or not at all.

use proptest::prelude::*;

use super::super::capacity::{Capacity, Move};
use super::super::job::{Ending, ErrorCode, JobError, JobState, Step, StepOutcome};
use super::super::membership::Membership;
use super::super::settings::Settings;
use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

fn capacity(units: i64) -> Capacity {
    Capacity::new(units).expect("small")
}

fn accepted(stages: &[usize], on_failure: OnFailure) -> (Group, GroupJobs) {
    let asked = |(number, stage): (usize, &usize)| {
        let resource = format!("r{number}").parse().expect("an alias");
        (JobRequest { resource, ..JobRequest::for_worker(Goal::Target(capacity(9))) }, *stage)
    };
    let request = GroupRequest {
        members: stages.iter().enumerate().map(asked).collect(),
        on_failure,
        reason: None,
        labels: BTreeMap::new(),
        attempt: None,
    };
    let mut ids = 0;
    let mut new_id = || {
        ids += 1;
        JobId::from_u128(ids)
    };
    let group = Group::accept(GroupId::nil(), &request, &mut new_id, NOW);
    let jobs = request.members.into_iter().zip(&group.members).map(|((asked, stage), member)| {
        let membership = Membership { group: group.id, stage, awaits_stage: stage > 0, restores: false };
        let job = Job::accept(member.job, asked, Settings::DEFAULT, NOW);
        (member.job, Arc::new(Job { membership: Some(membership), version: 1, ..job }))
    });
    let jobs = jobs.collect();
    (group, jobs)
}

/// Something that happens while a group is under way.
#[derive(Clone, Debug)]
enum Event {
    /// A job that may run does something: it starts, moves or ends.
    Job { which: usize, how: u8 },
    /// What is next is done.
    Lead,
    /// It is found out what is next, and the process dies before it is done.
    Die,
    /// Someone cancels the group.
    Cancel,
}

struct Life {
    group: Group,
    jobs: GroupJobs,
    /// The restores, in the order in which they were submitted, each with those that were unfinished then.
    restored: Vec<(usize, Vec<usize>)>,
}

impl Life {
    fn stage_of(&self, id: JobId) -> usize {
        self.group.members.iter().find(|it| it.job == id || it.restore == id).expect("a member").stage
    }

    fn has_begun_in_order(&self) {
        let begun = |job: &&Arc<Job>| job.started_at.is_some() || (!job.awaits_stage() && job.ended().is_none());
        for job in self.jobs.values().filter(|job| job.membership.as_ref().is_some_and(|it| !it.restores)).filter(begun)
        {
            for earlier in self.group.members.iter().filter(|member| member.stage < self.stage_of(job.id)) {
                let ended = self.jobs[&earlier.job].ended().expect("the stage before is over");
                assert!(self.group.on_failure == OnFailure::Continue || *ended == Ending::Succeeded);
            }
        }
    }

    /// One thing that the lane of a job would do.
    fn step(&mut self, which: usize, how: u8) {
        let open: Vec<JobId> =
            self.jobs.values().filter(|job| job.ended().is_none() && !job.awaits_stage()).map(|job| job.id).collect();
        let Some(id) = open.get(which % open.len().max(1)) else { return };
        let job = Arc::make_mut(self.jobs.get_mut(id).expect("there"));
        job.version += 1;
        if job.state == JobState::Queued {
            job.state = JobState::Running;
            job.started_at = Some(NOW);
            return;
        }
        let ending = match (job.ending.clone(), how % 8) {
            (Some(ending), _) => ending,
            (None, 0) => Ending::Failed(JobError::new(ErrorCode::NoProgress, "no progress")),
            (None, 1) => Ending::Canceled,
            (None, 2) => Ending::Superseded { by: JobId::nil() },
            (None, 3 | 4) => Ending::Succeeded,
            (None, _) => {
                job.start = Some(capacity(1));
                let movement = Move::toward(capacity(1), capacity(9), 1).expect("a way");
                job.steps.push(Step { sent_at: Some(NOW), outcome: StepOutcome::Confirmed, ..Step::pending(movement) });
                return;
            }
        };
        job.end(ending, NOW);
    }

    fn lead(&mut self) {
        for action in self.group.next(&self.jobs) {
            match action {
                GroupAction::Begin { job, .. } => {
                    let job = Arc::make_mut(self.jobs.get_mut(&job).expect("there"));
                    job.version += 1;
                    job.membership.as_mut().expect("a member").awaits_stage = false;
                }
                GroupAction::Cancel { job, .. } => {
                    let job = Arc::make_mut(self.jobs.get_mut(&job).expect("there"));
                    job.version += 1;
                    match job.state {
                        JobState::Queued => job.end(Ending::Canceled, NOW),
                        _ => job.ending = Some(Ending::Canceled),
                    }
                }
                GroupAction::Restore(member) => self.restore(&member),
                GroupAction::End(state) => self.group = self.group.ended(state, &self.jobs, NOW),
            }
        }
    }

    fn restore(&mut self, member: &Member) {
        let scaled = &self.jobs[&member.job];
        assert!(scaled.ended().is_some() && !self.jobs.contains_key(&member.restore));
        let goal = Goal::Target(scaled.start.expect("it moved"));
        let request = JobRequest { resource: member.resource.clone(), ..JobRequest::for_worker(goal) };
        let membership = Membership { group: self.group.id, stage: member.stage, awaits_stage: false, restores: true };
        let job = Job::accept(member.restore, request, scaled.settings, NOW);
        let unfinished = self.jobs.values().filter(|job| job.ended().is_none()).map(|job| self.stage_of(job.id));
        self.restored.push((member.stage, unfinished.collect()));
        self.jobs.insert(job.id, Arc::new(Job { membership: Some(membership), version: 1, ..job }));
    }
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        12 => (any::<usize>(), any::<u8>()).prop_map(|(which, how)| Event::Job { which, how }),
        6 => Just(Event::Lead),
        2 => Just(Event::Die),
        1 => Just(Event::Cancel),
    ]
}

fn on_failure() -> impl Strategy<Value = OnFailure> {
    prop_oneof![Just(OnFailure::Stop), Just(OnFailure::Continue), Just(OnFailure::Restore)]
}

fn lived(stages: &[usize], on_failure: OnFailure, events: Vec<Event>) -> Life {
    let (group, jobs) = accepted(stages, on_failure);
    let mut life = Life { group, jobs, restored: Vec::new() };
    let rest = (0..1000).flat_map(|number| [Event::Lead, Event::Job { which: number, how: (number % 8) as u8 }]);
    for event in events.into_iter().chain(rest) {
        if life.group.end.is_some() {
            break;
        }
        match event {
            Event::Job { which, how } => life.step(which, how),
            Event::Lead => life.lead(),
            Event::Die => drop(life.group.next(&life.jobs)),
            Event::Cancel if life.group.cancellation.is_some() => {}
            Event::Cancel => {
                life.group = life.group.changed(|group| group.cancellation = Some(GroupCancellation { by: None }));
            }
        }
        life.has_begun_in_order();
    }
    life
}

proptest! {
    #[test]
    fn every_group_ends_and_no_stage_overlaps_the_one_before(
        stages in prop::collection::vec(0_usize..4, 1..6),
        on_failure in on_failure(),
        events in prop::collection::vec(event(), 0..60),
    ) {
        let life = lived(&stages, on_failure, events);
        let end = life.group.end.clone().expect("it ends");
        let has_all = life.group.members.iter().all(|it| life.jobs[&it.job].ended() == Some(&Ending::Succeeded));
        prop_assert_eq!(end.state == GroupState::Succeeded, has_all);
        prop_assert!(end.state != GroupState::Canceled || life.group.cancellation.is_some());
        prop_assert!(life.jobs.values().all(|job| job.ended().is_some()), "nothing goes on alone");
        prop_assert_eq!(life.group.next(&life.jobs), vec![]);
    }

    /// With `restore`, each member that moved has its way back in the result, unless another job took it over, and those of later
    /// stages came first.
    #[test]
    fn what_moved_is_taken_back_last_stage_first_or_the_result_says_why_not(
        stages in prop::collection::vec(0_usize..4, 1..6),
        events in prop::collection::vec(event(), 0..60),
    ) {
        let life = lived(&stages, OnFailure::Restore, events);
        let end = life.group.end.clone().expect("it ends");
        for (member, status) in life.group.members.iter().zip(&end.members) {
            let job = &life.jobs[&member.job];
            let is_taken_over = matches!(job.ended(), Some(Ending::Superseded { .. }));
            if end.state == GroupState::Failed {
                prop_assert_eq!(status.restore.is_some(), !job.steps.is_empty() && !is_taken_over);
            }
            if end.state == GroupState::Succeeded {
                prop_assert!(status.restore.is_none());
            }
        }
        for (stage, unfinished) in &life.restored {
            prop_assert!(unfinished.iter().all(|other| other == stage), "{:?}", life.restored);
        }
        prop_assert!(life.restored.is_sorted_by(|(one, _), (next, _)| one >= next), "{:?}", life.restored);
    }
}

#[test]
fn a_group_does_what_is_asked_for_only_if_everything_is_the_same() {
    let (group, _) = accepted(&[0, 1], OnFailure::Stop);
    let request = |stages: &[usize], on_failure, goal| {
        let member = |(number, stage): (usize, &usize)| {
            let resource = format!("r{number}").parse().expect("an alias");
            (JobRequest { resource, ..JobRequest::for_worker(goal) }, *stage)
        };
        let members = stages.iter().enumerate().map(member).collect();
        GroupRequest { members, on_failure, reason: None, labels: BTreeMap::new(), attempt: None }
    };
    let nine = Goal::Target(capacity(9));
    assert!(group.does(&request(&[0, 1], OnFailure::Stop, nine)));
    assert!(!group.does(&request(&[0, 0], OnFailure::Stop, nine)));
    assert!(!group.does(&request(&[0], OnFailure::Stop, nine)));
    assert!(!group.does(&request(&[0, 1], OnFailure::Restore, nine)));
    assert!(!group.does(&request(&[0, 1], OnFailure::Stop, Goal::Target(capacity(8)))));
    assert!(!group.does(&request(&[0, 1], OnFailure::Stop, Goal::Delta(1))));
    let canceled = group.changed(|group| group.cancellation = Some(GroupCancellation { by: None }));
    assert!(!canceled.does(&request(&[0, 1], OnFailure::Stop, nine)));
}
