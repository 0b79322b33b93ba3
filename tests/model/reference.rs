//! What callers are promised, as a model simple enough to be right at a glance.
//!
//! A resource is a capacity and a line of unfinished jobs, the first of which is being worked on. The model knows
//! nothing of lanes, stores, versions or times: an operation changes it at once, and it says what the answer to the
//! operation has to be. It is written from the contract (README, OpenAPI document), not from the code under test.

use scalegate::domain::{OnConflict, StateName};
use std::collections::{BTreeMap, BTreeSet};

/// Resources that may be scaled, with their bounds. The last one of [`ALIASES`] is not among them.
pub const LISTED: [(&str, u32, u32); 3] = [("alpha", 0, 6), ("beta", 1, 5), ("gamma", 0, 1000)];
pub const ALIASES: [&str; 4] = ["alpha", "beta", "gamma", "stranger"];
pub const START_CAPACITY: u32 = 2;
pub const STEP_SIZE: u32 = 2;
pub const QUEUE_LENGTH: usize = 2;
pub const ACTIVE_JOBS: usize = 5;

/// What to scale to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    Target(u32),
    Delta(i32),
}

/// A submission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    pub resource: &'static str,
    pub goal: Goal,
    pub on_conflict: Option<OnConflict>,
    pub step_size: Option<u32>,
    pub reason: Option<&'static str>,
}

/// An idempotency key.
pub type Key = u8;

/// What the sidecar's readings show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// Nothing: they do not come.
    Nothing,
    /// The status ACTIVE.
    Active,
    /// The status FAILED.
    Failed,
}

/// What the sidecar says to a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Yes, and the change takes effect.
    Accepted,
    /// Nothing that can be understood, but the change takes effect.
    Lost,
    /// No, and the change has no effect.
    Rejected,
}

/// Which jobs a list shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    pub resource: Option<&'static str>,
    pub states: Vec<StateName>,
}

impl Filter {
    pub fn admits(&self, job: &Job) -> bool {
        self.resource.is_none_or(|resource| resource == job.wish.resource)
            && (self.states.is_empty() || self.states.contains(&job.state))
    }
}

/// Something that is done to the gateway or happens to it. Jobs are numbered in the order in which they were accepted;
/// a number beyond the last is the id of no job.
#[derive(Clone, Debug)]
pub enum Operation {
    /// `POST /v1/jobs`; `reworded` says the same in another form: other white space, order of fields, quotes.
    Submit { wish: Wish, key: Option<Key>, reworded: bool },
    /// `POST /v1/jobs/{id}/cancel`.
    Cancel { job: usize },
    /// `GET /v1/jobs/{id}`.
    Get { job: usize },
    /// `GET /v1/jobs`, all pages at once.
    List { filter: Filter, size: usize },
    /// Begins to walk through a list, with its first page. It takes the place of the walk that had its number.
    Walk { walk: usize, filter: Filter, size: usize },
    /// The next page of the walk, if there is one.
    Turn { walk: usize },
    /// `GET /v1/resources`.
    Resources,
    /// What can be seen of a resource changes.
    Show { resource: &'static str, sight: Sight },
    /// The sidecar answers the change that is on its way.
    Answer { resource: &'static str, reply: Reply },
    /// The gateway stops and starts. Changes on their way take effect, but their answers are lost.
    Restart,
}

/// What the answer to an operation must be.
#[derive(Clone, Debug)]
pub enum Expected {
    /// It has none.
    Nothing,
    /// This status and the job as it is now.
    Job { status: u16, job: Box<Job> },
    /// The answer given the first time the key was used.
    Replay(Key),
    /// A problem, and the job it is about.
    Refused { status: u16, code: &'static str, about: Option<usize> },
}

/// A change of the capacity that a job made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub from: u32,
    pub to: u32,
    pub outcome: &'static str,
}

/// A job.
#[derive(Clone, Debug)]
pub struct Job {
    pub number: usize,
    pub wish: Wish,
    pub state: StateName,
    pub target: Option<u32>,
    pub start: Option<u32>,
    pub current: Option<u32>,
    /// How it will end once its change is resolved, whatever comes.
    pub ending: Option<StateName>,
    pub superseded_by: Option<usize>,
    pub error: Option<&'static str>,
    pub steps: Vec<Step>,
}

/// How far the change of the first job in a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Asked,
    Answered,
}

#[derive(Clone, Debug)]
struct Resource {
    min: u32,
    max: u32,
    capacity: u32,
    sight: Sight,
    line: Vec<usize>,
    change: Option<Change>,
    changes: usize,
}

/// A walk through a list, page by page.
#[derive(Clone, Debug)]
pub struct Walk {
    pub filter: Filter,
    pub size: usize,
    /// The jobs that have matched all the time since it began.
    pub steady: BTreeSet<usize>,
}

/// The model.
#[derive(Clone, Debug)]
pub struct Model {
    pub jobs: Vec<Job>,
    pub expected: Expected,
    pub walks: BTreeMap<usize, Walk>,
    resources: BTreeMap<&'static str, Resource>,
    keys: BTreeMap<Key, Wish>,
}

impl Model {
    pub fn new() -> Self {
        let resource = |(alias, min, max)| {
            let (capacity, sight) = (START_CAPACITY, Sight::Active);
            (alias, Resource { min, max, capacity, sight, line: Vec::new(), change: None, changes: 0 })
        };
        Self {
            jobs: Vec::new(),
            expected: Expected::Nothing,
            walks: BTreeMap::new(),
            resources: LISTED.into_iter().map(resource).collect(),
            keys: BTreeMap::new(),
        }
    }

    // ---- to look at -----------------------------------------------------------------------------------------------

    /// The submissions that came with a key and were accepted.
    pub fn keyed(&self) -> Vec<(Key, Wish)> {
        self.keys.iter().map(|(key, wish)| (*key, wish.clone())).collect()
    }

    /// The unfinished jobs of a resource in order; the first one is being worked on.
    pub fn line(&self, resource: &str) -> &[usize] {
        &self.resources[resource].line
    }

    /// The capacities before and after the change that waits for its answer.
    pub fn asked(&self, resource: &str) -> Option<(u32, u32)> {
        let Resource { change: Some(Change::Asked), line, .. } = &self.resources[resource] else { return None };
        self.jobs[line[0]].steps.last().map(|step| (step.from, step.to))
    }

    /// The number of changes sent so far.
    pub fn changes(&self, resource: &str) -> usize {
        self.resources[resource].changes
    }

    /// The numbers of at most `size` jobs accepted before job `before`, newest first, and whether there are more.
    pub fn page(&self, filter: &Filter, before: usize, size: usize) -> (Vec<usize>, bool) {
        let mut found = self.jobs[..before].iter().rev().filter(|job| filter.admits(job)).map(|job| job.number);
        (found.by_ref().take(size).collect(), found.next().is_some())
    }

    fn unfinished(&self) -> usize {
        self.resources.values().map(|resource| resource.line.len()).sum()
    }

    // ---- operations -----------------------------------------------------------------------------------------------

    pub fn perform(&mut self, operation: &Operation) {
        self.expected = match operation {
            Operation::Submit { wish, key, .. } => self.submit(wish, *key),
            Operation::Cancel { job } => self.cancel(*job),
            Operation::Get { job } => self.get(*job),
            Operation::Walk { walk, filter, size } => {
                let steady = self.jobs.iter().filter(|job| filter.admits(job)).map(|job| job.number).collect();
                self.walks.insert(*walk, Walk { filter: filter.clone(), size: *size, steady });
                Expected::Nothing
            }
            Operation::Show { resource, sight } => {
                self.resource(resource).sight = *sight;
                Expected::Nothing
            }
            Operation::Answer { resource, reply } => {
                self.answer(resource, *reply);
                Expected::Nothing
            }
            Operation::Restart => {
                for (alias, ..) in LISTED {
                    self.answer(alias, Reply::Lost);
                }
                Expected::Nothing
            }
            Operation::List { .. } | Operation::Turn { .. } | Operation::Resources => Expected::Nothing,
        };
        for (alias, ..) in LISTED {
            self.work_on(alias);
        }
        for walk in self.walks.values_mut() {
            walk.steady.retain(|number| walk.filter.admits(&self.jobs[*number]));
        }
    }

    fn submit(&mut self, wish: &Wish, key: Option<Key>) -> Expected {
        let refused = |status, code| Expected::Refused { status, code, about: None };
        if let Some((key, known)) = key.and_then(|key| self.keys.get_key_value(&key)) {
            return if known == wish { Expected::Replay(*key) } else { refused(422, "idempotency_key_reused") };
        }
        let Some(resource) = self.resources.get(wish.resource) else { return refused(404, "resource_not_found") };
        if let Goal::Target(target) = wish.goal
            && !(resource.min..=resource.max).contains(&target)
        {
            return refused(422, "out_of_bounds");
        }
        let mode = wish.on_conflict.unwrap_or(OnConflict::Reject);
        if let Some(last) = resource.line.last().map(|last| &self.jobs[*last]) {
            // A client that supersedes wants it at once, and a job that waits behind another is not that.
            let soon_enough = resource.line.len() == 1 || mode != OnConflict::Supersede;
            let same = matches!(wish.goal, Goal::Target(target) if last.target == Some(target));
            if same && last.ending.is_none() && soon_enough {
                let job = Box::new(last.clone());
                self.keys.extend(key.map(|key| (key, wish.clone())));
                return Expected::Job { status: 200, job };
            }
            match mode {
                OnConflict::Reject => {
                    let about = resource.line.first().copied();
                    return Expected::Refused { status: 409, code: "resource_busy", about };
                }
                OnConflict::Queue if resource.line.len() > QUEUE_LENGTH => return refused(429, "queue_full"),
                OnConflict::Queue | OnConflict::Supersede => {}
            }
        }
        // Superseding takes no more room than it makes.
        let replaces = mode == OnConflict::Supersede && !resource.line.is_empty();
        if self.unfinished() >= ACTIVE_JOBS && !replaces {
            return refused(503, "too_many_jobs");
        }
        self.keys.extend(key.map(|key| (key, wish.clone())));
        Expected::Job { status: 202, job: Box::new(self.accept(wish, replaces)) }
    }

    fn accept(&mut self, wish: &Wish, replaces: bool) -> Job {
        let number = self.jobs.len();
        if replaces {
            for waiting in self.resource(wish.resource).line.split_off(1) {
                self.end_with(waiting, StateName::Superseded, None);
                self.jobs[waiting].superseded_by = Some(number);
            }
            let first = self.line(wish.resource)[0];
            if self.jobs[first].ending.is_none() {
                self.jobs[first].ending = Some(StateName::Superseded);
                self.jobs[first].superseded_by = Some(number);
            }
        }
        self.jobs.push(Job {
            number,
            wish: wish.clone(),
            state: StateName::Queued,
            target: if let Goal::Target(target) = wish.goal { Some(target) } else { None },
            start: None,
            current: None,
            ending: None,
            superseded_by: None,
            error: None,
            steps: Vec::new(),
        });
        self.resource(wish.resource).line.push(number);
        self.move_up(wish.resource);
        self.jobs[number].clone()
    }

    fn cancel(&mut self, number: usize) -> Expected {
        let Some(job) = self.jobs.get(number) else { return not_found() };
        if job.state.is_over() {
            return Expected::Refused { status: 409, code: "job_finished", about: Some(number) };
        }
        let resource = job.wish.resource;
        if self.line(resource)[0] == number {
            self.jobs[number].ending.get_or_insert(StateName::Canceled);
            self.move_up(resource);
        } else {
            self.resource(resource).line.retain(|waiting| *waiting != number);
            self.end_with(number, StateName::Canceled, None);
        }
        Expected::Job { status: 200, job: Box::new(self.jobs[number].clone()) }
    }

    fn get(&self, number: usize) -> Expected {
        match self.jobs.get(number) {
            Some(job) => Expected::Job { status: 200, job: Box::new(job.clone()) },
            None => not_found(),
        }
    }

    fn answer(&mut self, alias: &'static str, reply: Reply) {
        let Some((_, to)) = self.asked(alias) else { return };
        if reply == Reply::Rejected {
            self.resource(alias).change = None;
            self.resolve_step(alias, "rejected");
            self.end_first(alias, StateName::Failed, Some("sidecar_rejected"));
        } else {
            self.resource(alias).change = Some(Change::Answered);
            self.resource(alias).capacity = to;
        }
    }

    // ---- what happens by itself -------------------------------------------------------------------------------------

    /// Lets the first in line begin, and a job end that is to end and has no change under way.
    fn move_up(&mut self, alias: &'static str) {
        while let Some(&first) = self.line(alias).first() {
            self.jobs[first].state = StateName::Running;
            if self.jobs[first].ending.is_none() || self.resources[alias].change.is_some() {
                return;
            }
            self.end_first(alias, StateName::Canceled, None);
        }
    }

    /// Goes on until a change waits for its answer, nothing can be seen, or no job is left.
    fn work_on(&mut self, alias: &'static str) {
        loop {
            self.move_up(alias);
            let Resource { change, sight, .. } = self.resources[alias];
            if self.line(alias).is_empty() || change == Some(Change::Asked) || sight == Sight::Nothing {
                return;
            }
            if change == Some(Change::Answered) {
                self.resource(alias).change = None;
                self.resolve_step(alias, "confirmed");
            }
            self.decide(alias, sight);
        }
    }

    /// What the first in line makes of a reading.
    fn decide(&mut self, alias: &'static str, sight: Sight) {
        let Resource { min, max, capacity, .. } = self.resources[alias];
        let first = self.line(alias)[0];
        let job = &mut self.jobs[first];
        job.current = Some(capacity);
        job.start.get_or_insert(capacity);
        if job.ending.is_some() {
            return self.end_first(alias, StateName::Canceled, None);
        }
        if let Goal::Delta(delta) = job.wish.goal
            && job.target.is_none()
        {
            job.target = capacity.checked_add_signed(delta).filter(|target| (min..=max).contains(target));
        }
        match job.target {
            _ if sight == Sight::Failed => self.end_first(alias, StateName::Failed, Some("resource_failed")),
            None => self.end_first(alias, StateName::Failed, Some("out_of_bounds")),
            Some(target) if target == capacity => self.end_first(alias, StateName::Succeeded, None),
            Some(target) => {
                let most = job.wish.step_size.unwrap_or(STEP_SIZE);
                let to = target.clamp(capacity.saturating_sub(most), capacity + most);
                job.steps.push(Step { from: capacity, to, outcome: "pending" });
                let resource = self.resource(alias);
                resource.change = Some(Change::Asked);
                resource.changes += 1;
            }
        }
    }

    fn resolve_step(&mut self, alias: &'static str, outcome: &'static str) {
        let first = self.line(alias)[0];
        if let Some(step) = self.jobs[first].steps.last_mut() {
            step.outcome = outcome;
        }
    }

    /// Ends the first in line: as it was told to if it was told, whatever else befell it.
    fn end_first(&mut self, alias: &'static str, state: StateName, error: Option<&'static str>) {
        let first = self.resource(alias).line.remove(0);
        match self.jobs[first].ending.take() {
            Some(told) => self.end_with(first, told, None),
            None => self.end_with(first, state, error),
        }
    }

    fn end_with(&mut self, number: usize, state: StateName, error: Option<&'static str>) {
        let job = &mut self.jobs[number];
        (job.state, job.error) = (state, error);
    }

    fn resource(&mut self, alias: &str) -> &mut Resource {
        self.resources.get_mut(alias).expect("a listed resource")
    }
}

fn not_found() -> Expected {
    Expected::Refused { status: 404, code: "job_not_found", about: None }
}
