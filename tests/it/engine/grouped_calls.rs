//! Changes of several members of a group in one request, in virtual time, with everything that can befall such a request.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use scalegate::domain::{
    Alias, Capacity, ChangeAnswer, Goal, Group, GroupRequest, GroupState, GroupedAnswer, JobRequest, Move, OnConflict,
    OnFailure, Op, ReadFailure, ScalingConfig, SettingsOverrides, SidecarAnswer, StateName, Status, StepOutcome,
    Timestamp,
};
use scalegate::engine::{Answer, ReplyTo};
use scalegate::sidecar::{RawReading, interpret_grouped_change};
use scalegate::sim::{CommitFailure, Delayed, Disk, Machine, Surroundings};
use scalegate::store::Unit;

const CALL: Duration = Duration::from_millis(3);
/// How long the platform takes at most to apply what it was asked for: less than `settle`.
const LATE: Duration = Duration::from_secs(4);
const COOLDOWN: Duration = Duration::from_secs(20);
const SETTLE: Duration = Duration::from_secs(5);
/// More than any of these groups takes.
const LONG: Duration = Duration::from_hours(3);

/// What befalls a request with several changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// All is done, and the answer lists all.
    Accepted,
    /// All is done, and no answer comes.
    AnswerLost,
    /// All is done some seconds later, and no answer comes.
    AppliedLate,
    /// Nothing is done, and no answer comes.
    RequestLost,
    /// All is done, and the answer lists the first part alone.
    ListsOne,
    /// The first part is done, and the answer is a refusal.
    HalfRefused,
    /// Nothing is done, and the answer is a refusal.
    Refused,
    /// All is done, and done once more some seconds later, and no answer comes.
    AppliedTwice,
    /// The sidecar has nothing at this path.
    NoPath,
}

const FATES: [Fate; 9] = [
    Fate::Accepted,
    Fate::AnswerLost,
    Fate::AppliedLate,
    Fate::RequestLost,
    Fate::ListsOne,
    Fate::HalfRefused,
    Fate::Refused,
    Fate::AppliedTwice,
    Fate::NoPath,
];

/// A platform, and what it was asked for.
#[derive(Default)]
struct Plant {
    /// Each value of a capacity with the time from which on it holds.
    capacities: BTreeMap<Alias, Vec<(Timestamp, u32)>>,
    /// What befalls the next requests with several changes.
    fates: VecDeque<Fate>,
    /// The resources of each request, with what befell it if it had several.
    requests: Vec<(Vec<Alias>, Option<Fate>)>,
    /// When the last change of each resource came.
    arrivals: BTreeMap<Alias, Timestamp>,
    /// Refuses single changes of this one.
    refuses: Option<Alias>,
    /// How many intents each of the commits had that had any.
    intents: Vec<usize>,
}

impl Plant {
    fn capacity(&self, resource: &Alias, now: Timestamp) -> u32 {
        let values = self.capacities.get(resource).into_iter().flatten();
        values.rev().find(|(since, _)| *since <= now).map_or(1, |(_, units)| *units)
    }

    fn apply(&mut self, at: Timestamp, resource: &Alias, change: Move) {
        let before = self.capacity(resource, at + LONG);
        let after = if change.op == Op::Add { before + change.units } else { before - change.units };
        self.capacities.entry(resource.clone()).or_default().push((at, after));
    }

    /// Notes that a change comes: never a second one within the cooldown, and never one without an intent on the disk.
    fn note(&mut self, now: Timestamp, resource: &Alias, change: Move, disk: &Disk) {
        let earlier = self.arrivals.insert(resource.clone(), now);
        assert!(earlier.is_none_or(|earlier| now.since(earlier) >= COOLDOWN), "{resource} within the cooldown");
        let intended = disk.jobs().filter(|job| job.resource == *resource).any(|job| {
            job.steps
                .iter()
                .any(|step| step.outcome == StepOutcome::Pending && (step.from, step.to) == (change.from, change.to))
        });
        assert!(intended, "{change} of {resource} without an intent");
    }
}

impl Surroundings for Plant {
    fn read(&mut self, now: Timestamp, resource: &Alias) -> Delayed<Result<RawReading, ReadFailure>> {
        let capacity = Capacity::new(self.capacity(resource, now).into()).expect("small");
        (CALL, Ok(RawReading { status: Status::new("ACTIVE"), capacity, stamp: Some(now) }))
    }

    fn change(&mut self, now: Timestamp, resource: &Alias, change: Move, disk: &Disk) -> Delayed<ChangeAnswer> {
        self.note(now, resource, change, disk);
        self.requests.push((vec![resource.clone()], None));
        if self.refuses.as_ref() == Some(resource) {
            return (CALL, ChangeAnswer::Rejected(SidecarAnswer { status: 400, body: "no".into() }));
        }
        self.apply(now, resource, change);
        (CALL, ChangeAnswer::Acknowledged)
    }

    fn change_together(&mut self, now: Timestamp, changes: &[(Alias, Move)], disk: &Disk) -> Delayed<GroupedAnswer> {
        assert!(changes.len() > 1 && changes.iter().all(|(_, change)| change.op == changes[0].1.op), "{changes:?}");
        let fate = self.fates.pop_front().unwrap_or(Fate::Accepted);
        let resources: Vec<Alias> = changes.iter().map(|(resource, _)| resource.clone()).collect();
        self.requests.push((resources.clone(), Some(fate)));
        for (index, (resource, change)) in changes.iter().enumerate() {
            self.note(now, resource, *change, disk);
            match fate {
                Fate::Accepted | Fate::AnswerLost | Fate::ListsOne => self.apply(now, resource, *change),
                Fate::AppliedLate => self.apply(now + LATE, resource, *change),
                Fate::HalfRefused if index == 0 => self.apply(now, resource, *change),
                Fate::AppliedTwice => {
                    self.apply(now, resource, *change);
                    self.apply(now + LATE, resource, *change);
                }
                Fate::HalfRefused | Fate::Refused | Fate::RequestLost | Fate::NoPath => {}
            }
        }
        let listed = if fate == Fate::ListsOne { &resources[..1] } else { &resources[..] };
        let parts: Vec<String> = listed.iter().map(|name| format!("{{\"resourceAlias\":\"{name}\"}}")).collect();
        let body = format!("{{\"resources\":[{}]}}", parts.join(","));
        let answer = |status| interpret_grouped_change(status, body.as_bytes(), &resources.iter().collect::<Vec<_>>());
        let lost = ChangeAnswer::Unknown { detail: "connection closed".into(), answer: None };
        let answer = match fate {
            Fate::Accepted | Fate::ListsOne => answer(200),
            Fate::HalfRefused | Fate::Refused => answer(409),
            Fate::NoPath => answer(404),
            _ => GroupedAnswer { answers: vec![lost; changes.len()], has_path: true },
        };
        (CALL, answer)
    }

    fn asked(&mut self, _: Timestamp, unit: &Unit) {
        let intends = |job: &&std::sync::Arc<scalegate::domain::Job>| {
            job.steps.last().is_some_and(|step| step.outcome == StepOutcome::Pending && step.sent_at.is_none())
        };
        let intents = unit.jobs.iter().filter(intends).count();
        if intents > 0 {
            self.intents.push(intents);
        }
    }

    fn answered(&mut self, _: Timestamp, _: ReplyTo, _: Answer, _: &Disk) {}
}

fn alias(name: &str) -> Alias {
    name.parse().expect("an alias")
}

fn member((resource, units, stage): (&str, i64, usize)) -> (JobRequest, usize) {
    let overrides =
        SettingsOverrides { cooldown: Some(COOLDOWN), settle: Some(SETTLE), ..SettingsOverrides::default() };
    let request = JobRequest {
        resource: alias(resource),
        goal: Goal::Target(Capacity::new(units).expect("small")),
        overrides,
        on_conflict: OnConflict::Reject,
        reason: None,
        labels: BTreeMap::new(),
        trace: None,
        attempt: None,
    };
    (request, stage)
}

fn request(members: &[(&str, i64, usize)], on_failure: OnFailure) -> GroupRequest {
    let members = members.iter().copied().map(member).collect();
    GroupRequest { members, on_failure, reason: None, labels: BTreeMap::new(), attempt: None }
}

/// `db` to 3, then `api` and `worker` to 2.
fn two_stages() -> GroupRequest {
    request(&[("db", 3, 0), ("api", 2, 1), ("worker", 2, 1)], OnFailure::Stop)
}

fn machine(fates: impl IntoIterator<Item = Fate>) -> Machine<Plant> {
    let plant = Plant { fates: fates.into_iter().collect(), ..Plant::default() };
    Machine::new(plant, ScalingConfig { grouped_calls: true, ..ScalingConfig::default() })
}

fn group(machine: &Machine<Plant>) -> Option<&Group> {
    machine.disk.groups().next()
}

fn capacities(machine: &Machine<Plant>) -> [u32; 3] {
    ["db", "api", "worker"].map(|name| machine.surroundings.capacity(&alias(name), machine.now))
}

fn ended(machine: &Machine<Plant>) -> GroupState {
    group(machine).and_then(|group| group.end.as_ref()).expect("the group is over").state
}

fn requests(machine: &Machine<Plant>) -> Vec<String> {
    let words =
        |(resources, _): &(Vec<Alias>, Option<Fate>)| resources.iter().map(Alias::as_str).collect::<Vec<_>>().join("+");
    machine.surroundings.requests.iter().map(words).collect()
}

#[test]
fn what_is_due_together_is_one_commit_and_one_request() {
    let mut machine = machine([]);
    machine.submit_group(request(&[("db", 2, 0), ("api", 3, 0), ("worker", 2, 0)], OnFailure::Stop), None);
    machine.run_for(LONG);
    assert_eq!(ended(&machine), GroupState::Succeeded);
    assert_eq!(requests(&machine), ["db+api+worker", "api"], "a member that goes on alone is changed alone");
    assert_eq!(machine.surroundings.intents, [3, 1]);
    assert_eq!(capacities(&machine), [2, 3, 2]);
}

#[test]
fn what_adds_and_what_removes_are_two_requests() {
    let mut machine = machine([]);
    machine.surroundings.capacities.insert(alias("db"), vec![(machine.now, 3)]);
    machine.surroundings.capacities.insert(alias("api"), vec![(machine.now, 3)]);
    let members = [("db", 2, 0), ("api", 2, 0), ("worker", 2, 0), ("web", 2, 0)];
    machine.submit_group(request(&members, OnFailure::Stop), None);
    machine.run_for(LONG);
    assert_eq!(ended(&machine), GroupState::Succeeded);
    let mut requests = requests(&machine);
    requests.sort();
    assert_eq!(requests, ["db+api", "worker+web"]);
}

/// A refusal of a single change is about that member alone; one of several says nothing of any.
#[test]
fn after_a_refusal_each_is_read_back_and_changed_alone() {
    let mut machine = machine([Fate::HalfRefused]);
    machine.surroundings.refuses = Some(alias("worker"));
    let members = [("db", 2, 0), ("api", 2, 0), ("worker", 2, 0)];
    machine.submit_group(request(&members, OnFailure::Continue), None);
    machine.run_for(LONG);
    assert_eq!(requests(&machine), ["db+api+worker", "api", "worker"]);
    assert_eq!(capacities(&machine), [2, 2, 1]);
    let group = group(&machine).expect("kept");
    let states: Vec<StateName> = group.end.iter().flat_map(|end| &end.members).map(|member| member.state).collect();
    assert_eq!(states, [StateName::Succeeded, StateName::Succeeded, StateName::Failed]);
}

#[test]
fn without_the_path_there_are_single_calls_for_an_hour() {
    let mut machine = machine([Fate::NoPath]);
    let again = |machine: &mut Machine<Plant>, units| {
        machine.submit_group(request(&[("db", units, 0), ("api", units, 0)], OnFailure::Stop), None);
        machine.run_for(Duration::from_mins(5));
    };
    again(&mut machine, 2);
    again(&mut machine, 3);
    let requests_so_far = requests(&machine);
    assert_eq!((requests_so_far.len(), requests_so_far[0].as_str()), (5, "db+api"), "{requests_so_far:?}");
    assert!(requests_so_far[1..].iter().all(|request| !request.contains('+')), "{requests_so_far:?}");
    machine.run_for(Duration::from_hours(1));
    again(&mut machine, 4);
    assert_eq!(requests(&machine).last().map(String::as_str), Some("db+api"));
}

/// The process dies, or a commit fails, after any event, and any fate befalls the request.
#[test]
fn each_member_reaches_its_target_whatever_befalls_the_request() {
    let mut troubles = 0;
    // A commit that fails has the lanes adopted again, whatever the sidecar said.
    let troubles_of = |fate: Fate| if fate == Fate::AnswerLost { 0..4 } else { 0..2 };
    for (fate, trouble) in FATES.into_iter().flat_map(|fate| troubles_of(fate).map(move |trouble| (fate, trouble))) {
        for after in 0.. {
            let mut machine = machine([fate, fate]);
            machine.submit_group(two_stages(), None);
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
                assert_eq!(ended(&machine), GroupState::Succeeded, "{fate:?}, trouble {trouble} after {after}");
                assert_eq!(capacities(&machine), [3, 2, 2], "{fate:?}, trouble {trouble} after {after}");
            }
            if is_over {
                break;
            }
        }
    }
    assert!(troubles > 300, "only {troubles}");
}
