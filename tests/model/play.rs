//! The operations done to a real gateway, and its answers held against the model's.

use std::collections::BTreeMap;
use std::sync::Arc;

use actix_web::rt::{System, SystemRunner};
use proptest_state_machine::StateMachineTest;
use scalegate::api::view::{JobView, ResourceList};
use scalegate::domain::StateName;
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

use super::plans::Plans;
use super::reference::{Expected, Filter, Goal, Job, Key, LISTED, Model, Operation, Reply, STEP_SIZE, Wish};
use super::sidecar::Platform;
use super::system::{Gateway, Reader, directory, get, get_if_changed, post, text, until};
use crate::support::gateway::Response;

/// Enough for all jobs of a sequence on one page.
const EVERYTHING: &str = "/v1/jobs?pageSize=200";

thread_local! {
    static RUNTIME: SystemRunner = System::new();
}

/// What of an answer must be the same when it is replayed.
#[derive(Debug, PartialEq, Eq)]
pub struct Essence {
    status: u16,
    /// It names the job.
    location: Option<String>,
}

impl Essence {
    pub fn of(response: &Response) -> Self {
        let location = response.header("location").map(str::to_owned);
        Self { status: response.status, location }
    }
}

/// How far a walk through a list has come.
struct Progress {
    /// The page to come, or `None` at the end.
    next: Option<String>,
    seen: Vec<usize>,
}

/// A gateway at play.
pub struct Play {
    gateway: Option<Gateway>,
    platform: Arc<Platform>,
    directory: TempDir,
    reader: Reader,
    /// The ids of the model's jobs.
    ids: Vec<Uuid>,
    answers: BTreeMap<Key, Essence>,
    walks: BTreeMap<usize, Progress>,
}

impl StateMachineTest for Play {
    type SystemUnderTest = Self;
    type Reference = Plans;

    fn init_test(_: &Model) -> Self {
        let (directory, platform) = (directory(), Arc::new(Platform::default()));
        let gateway = block_on(Gateway::start(directory.path(), &platform));
        Self {
            gateway: Some(gateway),
            platform,
            directory,
            reader: Reader::default(),
            ids: Vec::new(),
            answers: BTreeMap::new(),
            walks: BTreeMap::new(),
        }
    }

    fn apply(mut play: Self, model: &Model, operation: Operation) -> Self {
        block_on(async {
            play.perform(model, &operation).await;
            play.compare(model).await;
        });
        play
    }

    fn teardown(mut play: Self, model: Model) {
        block_on(async {
            for walk in play.walks.keys().copied().collect::<Vec<_>>() {
                play.walk_to_the_end(&model, walk).await;
            }
            play.stop().await;
        });
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    RUNTIME.with(|runtime| runtime.block_on(work))
}

impl Play {
    async fn perform(&mut self, model: &Model, operation: &Operation) {
        match operation {
            Operation::Submit { wish, key, reworded } => self.submit(model, wish, *key, *reworded).await,
            Operation::Cancel { job } => {
                let response = self.post(&format!("{}/cancel", self.path(*job)), String::new(), None).await;
                self.check_answer(model, &response);
            }
            Operation::Get { job } => self.poll(model, *job).await,
            Operation::List { filter, size } => self.list(model, filter, *size).await,
            Operation::Walk { walk, filter, size } => {
                let progress = Progress { next: Some(list_path(filter, *size)), seen: Vec::new() };
                self.walks.insert(*walk, progress);
                self.turn(model, *walk).await;
            }
            Operation::Turn { walk } => self.turn(model, *walk).await,
            Operation::Resources => self.check_resources(model).await,
            Operation::Show { resource, sight } => self.platform.show(resource, *sight),
            Operation::Answer { resource, reply } => self.answer(resource, *reply),
            Operation::Restart => self.restart().await,
        }
    }

    // ---- requests about jobs --------------------------------------------------------------------------------------

    async fn submit(&mut self, model: &Model, wish: &Wish, key: Option<Key>, reworded: bool) {
        let header = key.map(|key| if reworded { format!("\"key-{key}\"") } else { format!("key-{key}") });
        let response = self.post("/v1/jobs", body(wish, reworded), header.as_deref()).await;
        if let Expected::Replay(key) = &model.expected {
            assert_eq!(response.header("idempotency-replayed"), Some("true"), "{}", text(&response));
            assert_eq!(Essence::of(&response), self.answers[key], "the same job for the same key");
            return;
        }
        assert_eq!(response.header("idempotency-replayed"), None);
        if let Expected::Job { job, .. } = &model.expected
            && job.number == self.ids.len()
        {
            self.ids.push(response.job().id);
        }
        self.check_answer(model, &response);
        if let Expected::Job { job, .. } = &model.expected {
            assert_eq!(response.header("location"), Some(self.path(job.number).as_str()));
            self.answers.extend(key.map(|key| (key, Essence::of(&response))));
        }
    }

    async fn poll(&mut self, model: &Model, job: usize) {
        let response = self.get(&self.path(job)).await;
        self.check_answer(model, &response);
        if response.status == 200 {
            let tag = response.header("etag").expect("a tag").to_owned();
            let again = get_if_changed(self.address(), &self.path(job), &tag).await;
            // It may have gone on to wait for something else, which is a new version but nothing the model knows.
            assert_eq!(again.header("etag") == Some(tag.as_str()), again.status == 304, "{again:?}");
        }
    }

    fn check_answer(&mut self, model: &Model, response: &Response) {
        match &model.expected {
            Expected::Job { status, job } => {
                assert_eq!(response.status, *status, "{}", text(response));
                let shown = self.reader.see_job(response);
                assert_eq!(Look::at(&shown), self.look_of(job));
            }
            Expected::Refused { status, code, about } => {
                assert_eq!(response.status, *status, "{}", text(response));
                let problem = response.problem();
                assert_eq!(problem.code.as_str(), *code, "{}", problem.detail);
                assert_eq!(problem.job.map(|link| link.id), about.map(|about| self.ids[about]), "{}", problem.detail);
            }
            Expected::Nothing | Expected::Replay(_) => unreachable!("no client asks"),
        }
    }

    // ---- lists ----------------------------------------------------------------------------------------------------

    async fn list(&mut self, model: &Model, filter: &Filter, size: usize) {
        let mut next = Some(list_path(filter, size));
        let mut before = model.jobs.len();
        while let Some(path) = next {
            let (shown, more) = self.page(&path).await;
            self.check_page(model, filter, before, size, &shown, more.is_some());
            before = shown.last().copied().unwrap_or(0);
            next = more;
        }
    }

    /// Shows the page of a walk, whatever has happened since the one before.
    async fn turn(&mut self, model: &Model, walk: usize) {
        let Some(path) = self.walks[&walk].next.clone() else { return };
        let (shown, more) = self.page(&path).await;
        let progress = self.walks.get_mut(&walk).expect("it has begun");
        let before = progress.seen.last().copied().unwrap_or(model.jobs.len());
        progress.seen.extend(&shown);
        progress.next = more;
        let (seen, ended) = (progress.seen.clone(), progress.next.is_none());
        let rules = &model.walks[&walk];
        self.check_page(model, &rules.filter, before, rules.size, &shown, !ended);
        assert!(seen.is_sorted_by(|newer, older| newer > older), "newest first and none twice: {seen:?}");
        if ended {
            let missed = rules.steady.iter().find(|job| !seen.contains(job));
            assert_eq!(missed, None, "it matched all the time but was not among {seen:?}");
        }
    }

    async fn walk_to_the_end(&mut self, model: &Model, walk: usize) {
        while self.walks[&walk].next.is_some() {
            self.turn(model, walk).await;
        }
    }

    fn check_page(&self, model: &Model, filter: &Filter, before: usize, size: usize, shown: &[usize], more: bool) {
        assert_eq!((shown.to_vec(), more), model.page(filter, before, size), "{filter:?}, {size} before {before}");
    }

    /// The numbers of the jobs on a page, and the page after it.
    async fn page(&mut self, path: &str) -> (Vec<usize>, Option<String>) {
        let response = self.get(path).await;
        let (jobs, token) = self.reader.see_page(&response);
        let number = |job: &JobView| self.ids.iter().position(|id| *id == job.id).expect("a job that was accepted");
        let first_page = path.split("&pageToken").next().unwrap_or(path);
        (jobs.iter().map(number).collect(), token.map(|token| format!("{first_page}&pageToken={token}")))
    }

    // ---- the world around it --------------------------------------------------------------------------------------

    fn answer(&self, resource: &str, reply: Reply) {
        assert!(self.platform.answer(resource, reply), "a change of {resource} waits for its answer");
    }

    async fn restart(&mut self) {
        self.platform.lose_answers();
        self.stop().await;
        self.gateway = Some(Gateway::start(self.directory.path(), &self.platform).await);
    }

    async fn stop(&mut self) {
        if let Some(gateway) = self.gateway.take() {
            gateway.stop().await;
        }
    }

    // ---- after each operation ---------------------------------------------------------------------------------------

    /// Waits until everything is as in the model. Which jobs there are must be right at once: whatever was answered to
    /// a caller shows in every answer from then on.
    async fn compare(&mut self, model: &Model) {
        let ids: Vec<Uuid> = self.ids.iter().rev().copied().collect();
        let expected: Vec<Look> = model.jobs.iter().rev().map(|job| self.look_of(job)).collect();
        until(async || {
            let response = self.get(EVERYTHING).await;
            let (jobs, token) = self.reader.see_page(&response);
            assert_eq!(token, None, "everything is on one page");
            assert_eq!(jobs.iter().map(|job| job.id).collect::<Vec<_>>(), ids, "all jobs, newest first");
            let shown: Vec<Look> = jobs.iter().map(Look::at).collect();
            match shown.iter().zip(&expected).find(|(shown, expected)| shown != expected) {
                Some((shown, expected)) => Err(format!("expected {expected:#?}\nbut there is {shown:#?}")),
                None => Ok(()),
            }
        })
        .await;
        for (alias, ..) in LISTED {
            self.compare_changes(model, alias).await;
        }
    }

    /// The changes that reached the sidecar: as many as there should be, and the one that should wait there.
    async fn compare_changes(&self, model: &Model, alias: &str) {
        let expected = (model.changes(alias), model.asked(alias));
        until(async || {
            let found = (self.platform.changes(alias), self.platform.asked(alias));
            assert!(found.0 <= expected.0, "{alias}: {} changes were sent, not {}", found.0, expected.0);
            if found == expected { Ok(()) } else { Err(format!("{alias}: expected {expected:?}, found {found:?}")) }
        })
        .await;
    }

    async fn check_resources(&self, model: &Model) {
        let response = self.get("/v1/resources").await;
        assert_eq!(response.status, 200, "{}", text(&response));
        let shown: ResourceList = serde_json::from_slice(&response.body).expect("resources");
        let lines = shown.resources.into_iter().map(|shown| {
            let line: Vec<Uuid> = shown.active_job.into_iter().chain(shown.queue).collect();
            (shown.resource, (shown.bounds.min, shown.bounds.max), line)
        });
        let expected = LISTED.into_iter().map(|(alias, min, max)| {
            let line: Vec<Uuid> = model.line(alias).iter().map(|number| self.ids[*number]).collect();
            (alias.to_owned(), (min, max), line)
        });
        assert_eq!(lines.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    }

    // ---- the client -----------------------------------------------------------------------------------------------

    fn address(&self) -> std::net::SocketAddr {
        self.gateway.as_ref().expect("it runs").address
    }

    async fn get(&self, path: &str) -> Response {
        get(self.address(), path).await
    }

    async fn post(&self, path: &str, body: String, key: Option<&str>) -> Response {
        post(self.address(), path, body, key).await
    }

    /// The address of a job; a number without a job gets that of a job that does not exist.
    fn path(&self, number: usize) -> String {
        format!("/v1/jobs/{}", self.ids.get(number).copied().unwrap_or(Uuid::from_u128(7)))
    }

    fn look_of(&self, job: &Job) -> Look {
        Look {
            id: self.ids[job.number],
            resource: job.wish.resource.to_owned(),
            state: job.state,
            target: job.target,
            delta: if let Goal::Delta(delta) = job.wish.goal { Some(delta) } else { None },
            capacities: (job.start, job.current),
            ending: job.ending,
            superseded_by: job.superseded_by.map(|by| self.ids[by]),
            error: job.error.map(str::to_owned),
            steps: job.steps.iter().map(|step| (step.from, step.to, step.outcome.to_owned())).collect(),
            external_changes: 0,
            reason: job.wish.reason.map(str::to_owned),
            step_size: job.wish.step_size.unwrap_or(STEP_SIZE),
            waits: !job.state.is_over(),
        }
    }
}

/// What the model can say of a job.
#[derive(Debug, PartialEq, Eq)]
struct Look {
    id: Uuid,
    resource: String,
    state: StateName,
    target: Option<u32>,
    delta: Option<i32>,
    capacities: (Option<u32>, Option<u32>),
    ending: Option<StateName>,
    superseded_by: Option<Uuid>,
    error: Option<String>,
    steps: Vec<(u32, u32, String)>,
    external_changes: usize,
    reason: Option<String>,
    step_size: u32,
    waits: bool,
}

impl Look {
    fn at(job: &JobView) -> Self {
        assert_eq!(job.finished_at.is_some(), job.state.is_over(), "{job:?}");
        let step = |step: &scalegate::api::view::StepView| (step.from_capacity, step.to_capacity, step.outcome.clone());
        Self {
            id: job.id,
            resource: job.resource.clone(),
            state: job.state,
            target: job.target_capacity,
            delta: job.delta,
            capacities: (job.start_capacity, job.current_capacity),
            ending: job.ending_as,
            superseded_by: job.superseded_by,
            error: job.error.as_ref().map(|error| error.code.clone()),
            steps: job.steps.iter().map(step).collect(),
            external_changes: job.external_changes.len(),
            reason: job.reason.clone(),
            step_size: job.settings.step_size,
            waits: job.waiting_for.is_some(),
        }
    }
}

/// The body of a submission, in one form or another.
pub fn body(wish: &Wish, reworded: bool) -> String {
    let mut fields: Vec<(&str, Value)> = vec![("resource", json!(wish.resource))];
    match wish.goal {
        Goal::Target(target) => fields.push(("targetCapacity", json!(target))),
        Goal::Delta(delta) => fields.push(("delta", json!(delta))),
    }
    fields.extend(wish.on_conflict.map(|mode| ("onConflict", json!(mode))));
    fields.extend(wish.step_size.map(|units| ("stepSize", json!(units))));
    fields.extend(wish.reason.map(|reason| ("reason", json!(reason))));
    if reworded {
        fields.reverse();
    }
    let colon = if reworded { " :\n" } else { ":" };
    let fields: Vec<String> = fields.iter().map(|(name, value)| format!("\"{name}\"{colon}{value}")).collect();
    format!("{{{}}}", fields.join(","))
}

/// The address of the first page of a list.
pub fn list_path(filter: &Filter, size: usize) -> String {
    let mut path = format!("/v1/jobs?pageSize={size}");
    path.extend(filter.resource.map(|resource| format!("&resource={resource}")));
    path.extend(filter.states.iter().map(|state| format!("&state={}", state_name(*state))));
    path
}

fn state_name(state: StateName) -> String {
    json!(state).as_str().expect("a word").to_owned()
}
