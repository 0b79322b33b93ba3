//! Groups in virtual time: the engine's core over a model disk, with a crash or a failed commit between any two events.

use std::collections::BTreeMap;
use std::time::Duration;

use scalegate::domain::{
    Alias, Capacity, ChangeAnswer, Ending, Goal, Group, GroupRequest, GroupState, GroupedAnswer, JobRequest, Move,
    OnConflict, OnFailure, Op, ReadFailure, ScalingConfig, SettingsOverrides, SidecarAnswer, StateName, Status,
    StepOutcome, Timestamp,
};
use scalegate::engine::{Answer, Refusal, ReplyTo};
use scalegate::sidecar::RawReading;
use scalegate::sim::{CommitFailure, Delayed, Disk, Machine, Surroundings};
use scalegate::store::SubmitKey;

const CALL: Duration = Duration::from_millis(3);
/// How long the answer to a change takes of a slow resource.
const SLOW: Duration = Duration::from_secs(15);
/// More than any of these groups takes.
const LONG: Duration = Duration::from_hours(3);

/// Resources that do at once what they are asked, but for one that refuses and one that answers late.
#[derive(Default)]
struct Plant {
    capacities: BTreeMap<Alias, u32>,
    refuses: Option<Alias>,
    slow: Option<Alias>,
    /// Each change, with the capacities before it.
    changes: Vec<(Alias, Op, BTreeMap<Alias, u32>)>,
    answers: Vec<(ReplyTo, Answer)>,
}

impl Plant {
    fn capacity(&self, resource: &Alias) -> u32 {
        self.capacities.get(resource).copied().unwrap_or(1)
    }
}

impl Surroundings for Plant {
    fn read(&mut self, now: Timestamp, resource: &Alias) -> Delayed<Result<RawReading, ReadFailure>> {
        let capacity = Capacity::new(self.capacity(resource).into()).expect("small");
        (CALL, Ok(RawReading { status: Status::new("ACTIVE"), capacity, stamp: Some(now) }))
    }

    fn change(&mut self, _: Timestamp, resource: &Alias, change: Move, _: &Disk) -> Delayed<ChangeAnswer> {
        if self.refuses.as_ref() == Some(resource) {
            return (CALL, ChangeAnswer::Rejected(SidecarAnswer { status: 400, body: "no".into() }));
        }
        self.changes.push((resource.clone(), change.op, self.capacities.clone()));
        let before = self.capacity(resource);
        let after = if change.op == Op::Add { before + change.units } else { before - change.units };
        self.capacities.insert(resource.clone(), after);
        (if self.slow.as_ref() == Some(resource) { SLOW } else { CALL }, ChangeAnswer::Acknowledged)
    }

    fn change_together(&mut self, _: Timestamp, _: &[(Alias, Move)], _: &Disk) -> Delayed<GroupedAnswer> {
        unreachable!("by default there are single calls")
    }

    fn answered(&mut self, _: Timestamp, to: ReplyTo, answer: Answer, _: &Disk) {
        self.answers.push((to, answer));
    }
}

fn alias(name: &str) -> Alias {
    name.parse().expect("an alias")
}

fn request(resource: &str, goal: Goal, on_conflict: OnConflict) -> JobRequest {
    let (cooldown, settle) = (Some(Duration::from_secs(20)), Some(Duration::from_secs(5)));
    JobRequest {
        resource: alias(resource),
        goal,
        overrides: SettingsOverrides { cooldown, settle, ..SettingsOverrides::default() },
        on_conflict,
        reason: None,
        labels: BTreeMap::new(),
        trace: None,
        attempt: None,
    }
}

fn target(units: i64) -> Goal {
    Goal::Target(Capacity::new(units).expect("small"))
}

/// A group whose members have these resources, targets and stages.
fn group_request(members: &[(&str, i64, usize)], on_failure: OnFailure) -> GroupRequest {
    let member =
        |(resource, units, stage): &(&str, i64, usize)| (request(resource, target(*units), OnConflict::Reject), *stage);
    let members = members.iter().map(member).collect();
    GroupRequest { members, on_failure, reason: None, labels: BTreeMap::new(), attempt: None }
}

/// `db` to 3, then `api` and `worker` to 2.
fn two_stages(on_failure: OnFailure) -> GroupRequest {
    group_request(&[("db", 3, 0), ("api", 2, 1), ("worker", 2, 1)], on_failure)
}

fn machine() -> Machine<Plant> {
    Machine::new(Plant::default(), ScalingConfig::default())
}

fn refusing(resource: &str) -> Machine<Plant> {
    let plant = Plant { refuses: Some(alias(resource)), ..Plant::default() };
    Machine::new(plant, ScalingConfig::default())
}

fn group(machine: &Machine<Plant>) -> Option<&Group> {
    machine.disk.groups().next()
}

fn end(machine: &Machine<Plant>) -> (GroupState, Vec<StateName>, Vec<Option<StateName>>) {
    let end = group(machine).and_then(|group| group.end.as_ref()).expect("the group is over");
    let restored = end.members.iter().map(|member| member.restore.as_ref().map(|restore| restore.state));
    (end.state, end.members.iter().map(|member| member.state).collect(), restored.collect())
}

fn capacities(machine: &Machine<Plant>) -> [u32; 3] {
    ["db", "api", "worker"].map(|name| machine.surroundings.capacity(&alias(name)))
}

/// Runs `life` again and again, each time with another event after which the process dies, having written none or one of the
/// commits under way, or after which a commit fails, with or without being written.
#[track_caller]
fn with_trouble_at_every_event(begin: impl Fn() -> Machine<Plant>, check: impl Fn(&Machine<Plant>)) {
    let mut troubles = 0;
    for trouble in 0..4 {
        for after in 0.. {
            let mut machine = begin();
            let is_over =
                (0..after).any(|_| group(&machine).is_some_and(|group| group.end.is_some()) || !machine.step());
            match trouble {
                0 | 1 => machine.crash(trouble, Duration::from_secs(1)),
                2 => machine.commit_failures.push_back(CommitFailure::NotWritten),
                _ => machine.commit_failures.push_back(CommitFailure::Written),
            }
            machine.run_for(LONG);
            if group(&machine).is_some() {
                troubles += 1;
                check(&machine);
            } else {
                assert!(machine.disk.jobs().next().is_none(), "no member without its group");
                assert!(machine.surroundings.changes.is_empty());
            }
            if is_over {
                break;
            }
        }
    }
    assert!(troubles > 80, "only {troubles}");
}

fn begun(machine: Machine<Plant>, on_failure: OnFailure) -> Machine<Plant> {
    let mut machine = machine;
    machine.submit_group(two_stages(on_failure), None);
    machine
}

#[test]
fn a_group_reaches_its_targets_in_stages_whenever_the_process_dies() {
    with_trouble_at_every_event(
        || begun(machine(), OnFailure::Stop),
        |machine| {
            assert_eq!(end(machine), (GroupState::Succeeded, vec![StateName::Succeeded; 3], vec![None; 3]));
            assert_eq!(capacities(machine), [3, 2, 2]);
            assert_eq!(machine.surroundings.changes.len(), 4, "nothing is sent twice");
            for (resource, _, before) in &machine.surroundings.changes {
                assert!(*resource == alias("db") || before.get(&alias("db")) == Some(&3), "a stage began early");
            }
        },
    );
}

#[test]
fn what_moved_is_taken_back_last_stage_first_whenever_the_process_dies() {
    with_trouble_at_every_event(
        || begun(refusing("worker"), OnFailure::Restore),
        |machine| {
            let (state, members, restored) = end(machine);
            assert_eq!((state, members[0], members[2]), (GroupState::Failed, StateName::Succeeded, StateName::Failed));
            assert_eq!(capacities(machine), [1, 1, 1]);
            assert_eq!((restored[0], restored[2]), (Some(StateName::Succeeded), None));
            for (resource, op, before) in &machine.surroundings.changes {
                let is_back = *op == Op::Remove && *resource == alias("db");
                assert!(
                    !is_back || before.get(&alias("api")).is_none_or(|api| *api == 1),
                    "the last stage comes first"
                );
            }
        },
    );
}

#[test]
fn a_way_back_that_cannot_be_taken_is_told() {
    let mut machine = begun(refusing("worker"), OnFailure::Restore);
    while machine.disk.jobs().all(|job| job.membership.as_ref().is_none_or(|it| !it.restores)) {
        assert!(machine.step());
    }
    machine.surroundings.refuses = Some(alias("db"));
    machine.run_for(LONG);
    let (state, _, restored) = end(&machine);
    assert_eq!((state, restored[0]), (GroupState::Failed, Some(StateName::Failed)));
    assert_eq!(machine.surroundings.capacity(&alias("db")), 3);
}

#[test]
fn a_failure_stops_the_stages_after_it_unless_the_group_continues() {
    let mut stopped = begun(refusing("db"), OnFailure::Stop);
    stopped.run_for(LONG);
    let canceled = StateName::Canceled;
    assert_eq!(end(&stopped).1, [StateName::Failed, canceled, canceled]);
    assert_eq!(capacities(&stopped), [1, 1, 1]);
    let mut continued = begun(refusing("db"), OnFailure::Continue);
    continued.run_for(LONG);
    let (state, members, _) = end(&continued);
    assert_eq!(
        (state, members),
        (GroupState::Failed, vec![StateName::Failed, StateName::Succeeded, StateName::Succeeded])
    );
    assert_eq!(capacities(&continued), [1, 2, 2]);
}

/// `worker` fails while a change of `api` is on its way, and `db` waits for its stage.
#[test]
fn a_failure_cancels_what_has_not_begun_and_ends_what_runs_once_its_change_is_resolved() {
    for (on_failure, left, restored) in
        [(OnFailure::Stop, [1, 2, 1], None), (OnFailure::Restore, [1, 1, 1], Some(StateName::Succeeded))]
    {
        let mut machine = refusing("worker");
        machine.surroundings.slow = Some(alias("api"));
        machine.submit_group(group_request(&[("api", 3, 0), ("worker", 2, 0), ("db", 3, 1)], on_failure), None);
        machine.run_for(LONG);
        let states = vec![StateName::Canceled, StateName::Failed, StateName::Canceled];
        assert_eq!(end(&machine), (GroupState::Failed, states, vec![restored, None, None]));
        assert_eq!(capacities(&machine), left);
        let jobs = group(&machine).expect("accepted").members.iter().filter_map(|it| machine.disk.job(it.job));
        let outcomes = jobs.map(|job| job.steps.iter().map(|step| step.outcome).collect::<Vec<_>>());
        let outcomes: Vec<_> = outcomes.collect();
        assert_eq!(outcomes, [vec![StepOutcome::Confirmed], vec![StepOutcome::Rejected], vec![]]);
    }
}

#[test]
fn a_member_that_was_superseded_is_left_to_the_other_job() {
    let mut machine = machine();
    machine.submit_group(group_request(&[("api", 3, 0), ("worker", 2, 0)], OnFailure::Restore), None);
    machine.run_for(Duration::from_secs(5));
    assert_eq!(capacities(&machine), [1, 2, 2]);
    machine.submit(request("api", target(4), OnConflict::Supersede), None);
    machine.run_for(LONG);
    let states = vec![StateName::Superseded, StateName::Succeeded];
    assert_eq!(end(&machine), (GroupState::Failed, states, vec![None, Some(StateName::Succeeded)]));
    assert_eq!(capacities(&machine), [1, 4, 1]);
}

#[test]
fn a_canceled_group_stops_and_a_member_that_is_canceled_or_superseded_counts_as_failed() {
    let mut canceled = begun(machine(), OnFailure::Restore);
    canceled.run_for(Duration::from_secs(5));
    let id = group(&canceled).expect("accepted").id;
    canceled.cancel_group(id);
    canceled.cancel_group(id);
    canceled.run_for(LONG);
    let (state, members, restored) = end(&canceled);
    assert_eq!((state, members, restored), (GroupState::Canceled, vec![StateName::Canceled; 3], vec![None; 3]));
    assert_eq!(capacities(&canceled), [2, 1, 1]);
    for name in ["db", "worker"] {
        let mut machine = begun(machine(), OnFailure::Stop);
        machine.run_for(Duration::from_secs(5));
        let member = group(&machine).expect("accepted").members.iter().find(|it| it.resource == alias(name));
        let job = member.expect("a member").job;
        machine.cancel_on(&alias(name), job);
        machine.run_for(LONG);
        assert_eq!(end(&machine).0, GroupState::Failed, "{name}");
        assert!(end(&machine).1.iter().all(|state| *state == StateName::Canceled), "{name}");
    }
    let mut superseded = begun(machine(), OnFailure::Stop);
    superseded.run_for(Duration::from_secs(5));
    superseded.submit(request("worker", target(4), OnConflict::Supersede), None);
    superseded.run_for(LONG);
    assert_eq!(end(&superseded).1, [StateName::Canceled, StateName::Canceled, StateName::Superseded]);
    assert_eq!(superseded.surroundings.capacity(&alias("worker")), 4);
}

#[test]
fn a_group_is_accepted_as_a_whole_or_refused_with_every_job_in_the_way() {
    let mut machine = machine();
    let others: Vec<_> =
        ["api", "worker"].map(|name| machine.submit(request(name, target(9), OnConflict::Reject), None)).to_vec();
    machine.run_for(Duration::from_secs(1));
    machine.submit_group(two_stages(OnFailure::Stop), None);
    machine.run_for(Duration::from_secs(1));
    let Some((_, Answer::Refused(Refusal::MembersBusy { by }))) = machine.surroundings.answers.last() else {
        panic!("{:?}", machine.surroundings.answers);
    };
    assert_eq!(by.iter().map(|job| job.id).collect::<Vec<_>>(), others);
    assert_eq!((group(&machine), machine.disk.jobs().count()), (None, 2));
    let mut queued = two_stages(OnFailure::Stop);
    queued.members.iter_mut().for_each(|(member, _)| member.on_conflict = OnConflict::Queue);
    machine.submit_group(queued, None);
    machine.run_for(LONG);
    assert_eq!((end(&machine).0, capacities(&machine)), (GroupState::Succeeded, [3, 2, 2]));
}

#[test]
fn an_equal_unfinished_group_is_joined_and_a_repeated_request_gets_its_answer() {
    let mut machine = machine();
    let key = || Some(SubmitKey { key: "once".into(), fingerprint: [7; 32] });
    machine.submit_group(two_stages(OnFailure::Stop), key());
    machine.submit_group(two_stages(OnFailure::Stop), None);
    machine.run_for(Duration::from_secs(1));
    let id = group(&machine).expect("accepted").id;
    machine.submit(request("db", target(3), OnConflict::Queue), None);
    machine.crash(0, Duration::from_secs(1));
    machine.submit_group(two_stages(OnFailure::Stop), key());
    machine.run_for(LONG);
    let answers: Vec<&Answer> = machine.surroundings.answers.iter().map(|(_, answer)| answer).collect();
    assert!(matches!(answers[..2], [Answer::GroupCreated(created), Answer::GroupJoined(joined)] if created == joined));
    assert!(!answers.iter().any(|answer| matches!(answer, Answer::Joined(_))), "nothing joins a member: {answers:?}");
    assert_eq!(answers.last(), Some(&&Answer::GroupReplayed { group: id, joined: false }));
    assert_eq!(machine.disk.groups().count(), 1);
}

/// A job behind a member waits with it, however long the stage before takes.
#[test]
fn jobs_behind_a_member_that_waits_for_its_stage_wait_too() {
    let mut machine = begun(machine(), OnFailure::Stop);
    machine.run_for(Duration::from_secs(5));
    let behind = machine.submit(request("worker", target(4), OnConflict::Queue), None);
    machine.run_for(Duration::from_secs(5));
    assert_eq!(machine.disk.job(behind).map(|job| job.state.name()), Some(StateName::Queued));
    machine.run_for(LONG);
    assert_eq!(machine.disk.job(behind).and_then(|job| job.ended()), Some(&Ending::Succeeded));
    let workers = machine.disk.versions().iter().filter(|it| it.job.resource == alias("worker")).map(|it| &it.job);
    let first_ended = workers.filter(|job| job.ended().is_some()).map(|job| job.id).next();
    assert_ne!(first_ended, Some(behind));
    assert_eq!(capacities(&machine), [3, 2, 4]);
}

/// They are not asked for by any timer.
#[test]
fn a_job_behind_a_member_that_is_canceled_before_its_stage_begins_at_once() {
    let mut machine = begun(machine(), OnFailure::Continue);
    machine.run_for(Duration::from_secs(5));
    let behind = machine.submit(request("worker", target(4), OnConflict::Queue), None);
    let member = group(&machine).expect("accepted").members.iter().find(|it| it.resource == alias("worker"));
    let job = member.expect("a member").job;
    machine.cancel_on(&alias("worker"), job);
    machine.run_for(Duration::from_secs(5));
    assert_eq!(machine.disk.job(behind).map(|job| job.state.name()), Some(StateName::Running));
}
