//! The verdict in the end: what clients were promised, what the gateway says it did, and what the sidecar knows.
//!
//! A resource gets the benefit of the doubt if one of its requests reached the sidecar only after `settle` was over and
//! its outcome had been told: that is beyond what is promised, and happens if the machine does not let the sidecar's
//! thread run. It is then judged by what holds all the same, and counted.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::time::Duration;

use scalegate::api::view::{JobView, StepView};
use scalegate::domain::{StateName, Timestamp};
use scalegate::sim::sidecar::{Record, RecordKind};
use uuid::Uuid;

use super::groups::GROUPED;
use super::policies::{POLICED, is_of_policy};
use super::referee::{LABEL, Referee};
use super::{MOST_UNITS, RESOURCES, SETTLE};

/// How far the clocks of two processes may be apart when they show milliseconds of the same moment.
const CLOCK_PLAY: Duration = Duration::from_millis(3);
/// How far they may be apart in the long run, if the system corrects its clock meanwhile. Less than the shortest
/// cooldown, so that it is still clear which step made a request.
const CLOCK_DRIFT: Duration = Duration::from_millis(100);
/// Steps without effect, one after the other, after which a job may give up.
const FRUITLESS_STEPS: usize = 5;

/// Fails if a promise was not kept.
pub fn judge(jobs: &[JobView], records: &[Record], referee: &Referee) -> Tally {
    let jobs_by_id: HashMap<Uuid, &JobView> = jobs.iter().map(|job| (job.id, job)).collect();
    assert_eq!(jobs_by_id.len(), jobs.len(), "a job is listed twice");
    let is_of_person = |job: &JobView| !is_of_policy(job) && job.group_id.is_none();
    let of_people = jobs_by_id.iter().filter(|(_, job)| is_of_person(job)).map(|(id, job)| (*id, *job)).collect();
    assert_promises_kept(&of_people, referee);
    let mut tally = Tally { jobs: jobs.len(), ..Tally::default() };
    for resource in RESOURCES.into_iter().chain(POLICED).chain(GROUPED) {
        let jobs: Vec<&JobView> = jobs.iter().filter(|job| job.resource == resource).collect();
        let requests = requests(records.iter().filter(|record| record.alias.as_str() == resource));
        let history = History::of(&jobs, &requests);
        history.judge();
        jobs.iter().for_each(|job| judge_job(job, &history));
        tally.add(&jobs, &history);
    }
    let faults = records.iter().filter_map(|record| Some((record.kind == RecordKind::Read, record.fault?)));
    for (of_reading, _) in faults {
        *if of_reading { &mut tally.faulty_readings } else { &mut tally.faulty_changes } += 1;
    }
    tally
}

// ---- promises to clients ----------------------------------------------------------------------------------------

fn assert_promises_kept(jobs: &HashMap<Uuid, &JobView>, referee: &Referee) {
    let mut made_of: HashMap<&str, Uuid> = HashMap::new();
    for job in jobs.values() {
        assert!(job.state.is_over(), "{job:#?}");
        let twin = made_of.insert(&job.labels[LABEL], job.id);
        assert_eq!(twin, None, "two jobs of one submission: {job:#?}");
        if let Some(last) = referee.last_sight(job.id) {
            assert!(last.job.version < job.version || last.job == **job, "{:#?} became {job:#?}", last.job);
        }
        if let Some(heir) = job.superseded_by {
            assert_eq!(jobs.get(&heir).map(|heir| &heir.resource), Some(&job.resource), "{job:#?}");
        }
    }
    for (submission, answer) in referee.submissions() {
        let own = made_of.get(submission.number.to_string().as_str()).copied();
        let Some(answer) = answer else {
            // Only without a key no client asks again whether an unanswered submission became a job.
            assert!(own.is_none() || submission.key.is_none(), "refused, and yet a job: {}", submission.body);
            continue;
        };
        assert!(jobs.contains_key(&answer.id), "lost: {} of {}", answer.id, submission.body);
        assert_eq!(own, (answer.status == 202).then_some(answer.id), "{}", submission.body);
    }
    for id in referee.all_canceled() {
        let job = jobs[&id];
        assert!(matches!(job.state, StateName::Canceled | StateName::Superseded), "canceled, and then {job:#?}");
    }
}

// ---- changes ----------------------------------------------------------------------------------------------------

/// A request for a change, as the sidecar saw it.
struct Request<'a> {
    record: &'a Record,
    /// The capacity it led to, if it was applied.
    applied: Option<u32>,
}

fn requests<'a>(records: impl Iterator<Item = &'a Record>) -> Vec<Request<'a>> {
    let mut requests: Vec<Request> = Vec::new();
    for record in records {
        match record.kind {
            RecordKind::Read => {}
            RecordKind::Add | RecordKind::Remove => requests.push(Request { record, applied: None }),
            RecordKind::AddApplied | RecordKind::RemoveApplied => {
                let request = requests.last_mut().filter(|request| request.applied.is_none());
                request.expect("a request comes before its application").applied = Some(record.capacity_after.units());
            }
            RecordKind::SetByOther => panic!("no other program scales here: {record:?}"),
        }
    }
    requests
}

/// A step that was sent or may have been, as the gateway tells it, and the request it made.
struct Sent<'a> {
    job: &'a JobView,
    step: &'a StepView,
    at: Timestamp,
    resolved_at: Timestamp,
    request: Option<&'a Request<'a>>,
}

/// Everything that was sent to one resource, in order.
struct History<'a> {
    sent: Vec<Sent<'a>>,
    /// Whether a request came later than promises allow for.
    has_late: bool,
}

impl<'a> History<'a> {
    fn of(jobs: &[&'a JobView], requests: &'a [Request<'a>]) -> Self {
        let mut sent: Vec<Sent> =
            jobs.iter().flat_map(|job| job.steps.iter().filter_map(|step| sent(job, step))).collect();
        sent.sort_by_key(|sent| sent.at);
        for request in requests {
            let record = request.record;
            // The last step that was sent before the request arrived; there is a cooldown between two.
            let made_by = sent.partition_point(|sent| sent.at <= record.at + CLOCK_DRIFT);
            let made_by = made_by.checked_sub(1).unwrap_or_else(|| panic!("no job made {record:?}"));
            let Sent { job, step, request: earlier, .. } = &mut sent[made_by];
            let what = || format!("{record:?}, step {step:?} of {job:#?}");
            assert!(
                earlier.is_none(),
                "sent twice, or without a step: {:?} and {}",
                earlier.map(|earlier| earlier.record),
                what()
            );
            let op = if record.kind == RecordKind::Add { "add" } else { "remove" };
            assert_eq!(
                (op, record.units),
                (step.op.as_str(), i64::from(step.units)),
                "not what the step says: {}",
                what()
            );
            *earlier = Some(request);
        }
        let has_late = sent.iter().any(Sent::is_late);
        Self { sent, has_late }
    }

    fn judge(&self) {
        self.sent.iter().for_each(Sent::judge_move);
        if self.has_late {
            return;
        }
        self.sent.iter().for_each(Sent::judge_outcome);
        for pair in self.sent.windows(2) {
            assert!(
                pair[0].resolved_at <= pair[1].at,
                "sent while another was unresolved: {:?} {:?} of {:#?} {:#?}",
                pair[0].step,
                pair[1].step,
                pair[0].job,
                pair[1].job
            );
        }
        self.judge_turns();
        self.judge_cooldowns();
    }

    /// Jobs do not interleave.
    fn judge_turns(&self) {
        let mut over: HashSet<Uuid> = HashSet::new();
        for pair in self.sent.windows(2).filter(|pair| pair[0].job.id != pair[1].job.id) {
            over.insert(pair[0].job.id);
            assert!(!over.contains(&pair[1].job.id), "not its turn: {:?} of {:#?}", pair[1].step, pair[1].job);
        }
    }

    fn judge_cooldowns(&self) {
        let arrived: Vec<(&Sent, &Request)> = self.sent.iter().filter_map(|sent| Some((sent, sent.request?))).collect();
        for pair in arrived.windows(2) {
            let [(first, first_request), (second, second_request)] = [pair[0], pair[1]];
            let apart = second_request.record.at.since(first_request.record.at);
            let cooldown = [first, second].map(|sent| sent.job.settings.cooldown_seconds);
            let cooldown = Duration::from_secs_f64(cooldown[0].max(cooldown[1]));
            assert!(
                apart + CLOCK_PLAY >= cooldown,
                "{apart:?} apart, with a cooldown of {cooldown:?}: {:?} of {:#?} and {:?} of {:#?}",
                first.step,
                first.job,
                second.step,
                second.job
            );
        }
    }

    /// The capacity that everything sent before `at` led to. What was sent in that very millisecond came after it: a
    /// job ends later than its last step was sent, and the next one may be quick.
    fn capacity_at(&self, at: Timestamp) -> Option<u32> {
        let before = self.sent.iter().take_while(|sent| sent.at < at);
        let last = before.filter_map(|sent| sent.request).last()?;
        Some(last.applied.unwrap_or(last.record.capacity_before.units()))
    }
}

fn sent<'a>(job: &'a JobView, step: &'a StepView) -> Option<Sent<'a>> {
    assert_ne!(step.outcome, "pending", "{job:#?}");
    let Some(at) = step.sent_at else {
        assert_eq!(step.outcome, "not_applied", "never sent: {step:?} of {job:#?}");
        return None;
    };
    let resolved_at = step.resolved_at.expect("resolved").0;
    Some(Sent { job, step, at: at.0, resolved_at, request: None })
}

/// The target that a job had at `at`, unless a policy has given it too many others since. A delta is known by the time of a step.
fn target_at(job: &JobView, at: Timestamp) -> Option<u32> {
    let last = job.retargets.iter().rev().find(|retarget| retarget.at.0 <= at).map(|retarget| retarget.to);
    let first = job.retargets.first().map_or(job.target_capacity, |first| Some(first.from));
    let is_whole = job.retarget_count == job.retargets.len() as u64;
    last.or(first.filter(|_| is_whole))
}

impl Sent<'_> {
    fn is_late(&self) -> bool {
        let arrived = self.request.map(|request| request.record.at);
        arrived.is_some_and(|at| at > self.at + SETTLE && at + CLOCK_DRIFT >= self.resolved_at)
    }

    /// It goes toward the target, not too far, and stays within the bounds.
    fn judge_move(&self) {
        let Self { job, step, at, .. } = self;
        let what = || format!("{step:?} of {job:#?}");
        // A policy may have changed the target in the very millisecond.
        let targets = [*at, *at - CLOCK_PLAY].map(|at| target_at(job, at));
        let is_toward = |target: u32| {
            let left = [step.from_capacity, step.to_capacity].map(|capacity| capacity.abs_diff(target));
            left[0] == left[1] + step.units
        };
        let is_known = targets.iter().all(Option::is_some);
        assert!(is_known || job.retarget_count > 0, "steps without a target: {}", what());
        assert!(!is_known || targets.into_iter().flatten().any(is_toward), "not toward the target: {}", what());
        assert!(step.units <= job.settings.step_size, "too large a step: {}", what());
        assert!(step.to_capacity <= MOST_UNITS, "out of bounds: {}", what());
    }

    /// It was decided on a true reading, and its outcome is the truth.
    fn judge_outcome(&self) {
        let Self { job, step, request, .. } = self;
        let what = || format!("{step:?} of {job:#?}, {:?}", request.map(|request| request.record));
        let applied = request.and_then(|request| request.applied);
        if let Some(request) = request {
            assert_eq!(request.record.capacity_before.units(), step.from_capacity, "a stale reading: {}", what());
        }
        assert!(applied.is_none_or(|applied| applied == step.to_capacity), "{applied:?}: {}", what());
        match step.outcome.as_str() {
            "confirmed" => assert!(applied.is_some(), "it was not applied: {}", what()),
            "not_applied" => assert_eq!(applied, None, "it was applied: {}", what()),
            // Only a job whose deadline passes before its change is resolved does not know.
            "unknown" => assert!(job.finished_at >= Some(job.deadline_at), "{}", what()),
            _ => panic!("that cannot be: {}", what()),
        }
    }
}

// ---- jobs -------------------------------------------------------------------------------------------------------

fn failure(job: &JobView) -> Option<&str> {
    job.error.as_ref().map(|error| error.code.as_str())
}

fn judge_job(job: &JobView, history: &History) {
    if let (Some(delta), Some(start), Some(target)) = (job.delta, job.start_capacity, job.target_capacity) {
        assert_eq!(i64::from(start) + i64::from(delta), i64::from(target), "{job:#?}");
    }
    if history.has_late {
        return;
    }
    assert_eq!(job.external_changes, [], "no other program scales here: {job:#?}");
    match (job.state, failure(job)) {
        (StateName::Succeeded, None) => {
            let at = job.finished_at.expect("it is over").0;
            let capacity = history.capacity_at(at).unwrap_or(1);
            assert_eq!((Some(capacity), Some(capacity)), (job.target_capacity, job.current_capacity), "{job:#?}");
        }
        (StateName::Canceled | StateName::Superseded, None) => {}
        (StateName::Failed, Some("out_of_bounds")) => assert!(job.delta.is_some(), "{job:#?}"),
        (StateName::Failed, Some("deadline_exceeded")) => {
            assert!(job.settings.deadline_seconds < 3.0, "no deadline was short: {job:#?}");
        }
        (StateName::Failed, Some("no_progress")) => {
            let fruitless = job.steps.iter().rev().filter(|step| step.sent_at.is_some());
            let fruitless = fruitless.take_while(|step| step.outcome == "not_applied").count();
            assert!(fruitless >= FRUITLESS_STEPS, "{job:#?}");
        }
        _ => panic!("no reason to end like this: {job:#?}"),
    }
}

// ---- what there was ---------------------------------------------------------------------------------------------

/// What was judged.
#[derive(Default)]
pub struct Tally {
    jobs: usize,
    endings: BTreeMap<String, usize>,
    steps: BTreeMap<String, usize>,
    requests: usize,
    applied: usize,
    faulty_changes: usize,
    faulty_readings: usize,
    late: usize,
}

impl Tally {
    fn add(&mut self, jobs: &[&JobView], history: &History) {
        for job in jobs {
            let ending = failure(job).map_or_else(|| format!("{:?}", job.state).to_lowercase(), str::to_owned);
            *self.endings.entry(ending).or_default() += 1;
            for step in &job.steps {
                let sent = if step.sent_at.is_some() { "" } else { " (withdrawn)" };
                *self.steps.entry(format!("{}{sent}", step.outcome)).or_default() += 1;
            }
        }
        let requests: Vec<&Request> = history.sent.iter().filter_map(|sent| sent.request).collect();
        self.requests += requests.len();
        self.applied += requests.iter().filter(|request| request.applied.is_some()).count();
        self.late += usize::from(history.has_late);
    }

    /// Fails if so little happened that the verdict means nothing.
    pub fn assert_worth_it(&self, kills: usize) {
        assert!(self.late <= RESOURCES.len() / 2, "the machine was too slow to judge by: {self}");
        assert!(self.applied >= kills / 2 && self.jobs >= kills / 2, "too little happened: {self}");
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |counts: &BTreeMap<String, usize>| {
            counts.iter().map(|(what, count)| format!("{count} {what}")).collect::<Vec<_>>().join(", ")
        };
        writeln!(f, "jobs: {} ({})", self.jobs, list(&self.endings))?;
        writeln!(f, "steps: {}", list(&self.steps))?;
        writeln!(f, "changes that reached the sidecar: {}, applied: {}", self.requests, self.applied)?;
        write!(
            f,
            "faults: {} of changes, {} of readings; resources with late requests: {}",
            self.faulty_changes, self.faulty_readings, self.late
        )
    }
}
