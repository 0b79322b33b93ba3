//! Groups under kills: a client that submits and cancels some, knows which it was promised, and judges how they ended.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use scalegate::api::view::{GroupList, GroupView, JobView};
use scalegate::domain::{GroupState, OnFailure, StateName};
use scalegate::sim::sidecar::{Record, RecordKind};
use serde_json::{Value, json};
use tokio::sync::watch;
use uuid::Uuid;

use super::support::gateway::{PATIENCE, Response, try_send};
use crate::support::dice::Dice;

/// The resources that are scaled in groups alone, so that most of these reach their targets.
pub const GROUPED: [&str; 3] = ["back", "db", "front"];
/// Longest pause between two requests.
const LONGEST_PAUSE: Duration = Duration::from_millis(400);
/// Pause after a request that was not answered.
const RETRY: Duration = Duration::from_millis(5);

/// The groups that were accepted, by their ids, with the request for each.
type Promised = BTreeMap<Uuid, Value>;
pub type Promises = Rc<RefCell<Promised>>;

/// A client and how it finds the gateway.
pub struct Client {
    promises: Promises,
    way: watch::Receiver<Option<SocketAddr>>,
    dice: Dice,
    http: awc::Client,
}

impl Client {
    pub fn new(promises: &Promises, way: &watch::Receiver<Option<SocketAddr>>, dice: Dice) -> Self {
        Self { promises: Rc::clone(promises), way: way.clone(), dice, http: awc::Client::default() }
    }

    /// Submits groups, cancels some, and looks whether all are still there.
    pub async fn run(mut self, stop: Rc<Cell<bool>>) {
        for number in 0.. {
            if stop.get() {
                break;
            }
            self.submit(number).await;
            self.look().await;
            match self.dice.between(0, 9) {
                0 => self.cancel().await,
                1 | 2 => self.cancel_member().await,
                _ => {}
            }
            let pause = self.dice.duration(LONGEST_PAUSE);
            tokio::time::sleep(pause).await;
        }
    }

    async fn submit(&mut self, number: usize) {
        let body = self.draw();
        let answer = self.ask("POST", "/v1/groups", Some(&body), Some(&format!("group-{number}"))).await;
        match answer.status {
            200 | 202 => drop(self.promises.borrow_mut().insert(group(&answer).id, body)),
            409 | 429 => {
                let code = answer.problem().code;
                assert!(matches!(code.as_str(), "resource_busy" | "queue_full"), "{}", answer.text());
            }
            _ => panic!("a wrong answer to {body}: {} {}", answer.status, answer.text()),
        }
    }

    fn draw(&mut self) -> Value {
        let dice = &mut self.dice;
        let first = dice.index(GROUPED.len());
        let members = [0, 1, 2].map(|next| GROUPED[(first + next) % GROUPED.len()]);
        let mut targets = serde_json::Map::new();
        for member in members {
            targets.insert(member.into(), dice.between(0, u64::from(super::MOST_UNITS)).into());
        }
        let [one, two, three] = members;
        let stages = if dice.percent(50) { json!([[one], [two, three]]) } else { json!([[two, one], [three]]) };
        json!({
            "targets": targets, "stages": stages, "stepSize": 4,
            "onFailure": dice.pick(&["stop", "continue", "restore"]), "onConflict": dice.pick(&["queue", "queue", "reject"]),
        })
    }

    async fn look(&mut self) {
        let Some(id) = self.some_group() else { return };
        let answer = self.ask("GET", &format!("/v1/groups/{id}"), None, None).await;
        assert_eq!(answer.status, 200, "accepted, and then unknown: {}", answer.text());
    }

    async fn cancel(&mut self) {
        let Some(id) = self.some_group() else { return };
        let answer = self.ask("POST", &format!("/v1/groups/{id}/cancel"), None, None).await;
        assert!(matches!(answer.status, 200 | 409), "{}", answer.text());
    }

    /// What makes a group fail, and go back if it is to.
    async fn cancel_member(&mut self) {
        let Some(id) = self.some_group() else { return };
        let group = group(&self.ask("GET", &format!("/v1/groups/{id}"), None, None).await);
        let job = group.members[self.dice.index(group.members.len())].job_id;
        let answer = self.ask("POST", &format!("/v1/jobs/{job}/cancel"), None, None).await;
        assert!(matches!(answer.status, 200 | 409), "{}", answer.text());
    }

    fn some_group(&mut self) -> Option<Uuid> {
        let promises = self.promises.borrow();
        let latest: Vec<Uuid> = promises.keys().rev().take(5).copied().collect();
        (!latest.is_empty()).then(|| latest[self.dice.index(latest.len())])
    }

    /// Asks until there is an answer that does not only ask to try again.
    async fn ask(&mut self, method: &str, path: &str, body: Option<&Value>, key: Option<&str>) -> Response {
        let begin = Instant::now();
        loop {
            let address =
                self.way.wait_for(Option::is_some).await.expect("the gateway comes back").expect("it is there");
            let url = format!("http://{address}{path}");
            let mut request = if method == "GET" { self.http.get(url) } else { self.http.post(url) };
            if let Some(key) = key {
                request = request.insert_header(("Idempotency-Key", key));
            }
            let bytes = body.map(|body| body.to_string().into_bytes());
            if bytes.is_some() {
                request = request.content_type("application/json");
            }
            match try_send(request, bytes).await {
                Ok(answer) if answer.status != 503 => return answer,
                _ => assert!(begin.elapsed() < PATIENCE, "no answer to {method} {path}"),
            }
            tokio::time::sleep(RETRY).await;
        }
    }
}

fn group(answer: &Response) -> GroupView {
    serde_json::from_slice(&answer.body).expect("a group")
}

/// Waits until all groups are over, and returns them.
pub async fn outlast(gateway: &str) -> Vec<GroupView> {
    let begin = Instant::now();
    loop {
        let groups = all(gateway).await;
        let left = groups.iter().find(|group| !group.state.is_over());
        let Some(left) = left else { return groups };
        assert!(begin.elapsed() < super::PATIENCE, "groups that do not end: {left:#?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn all(gateway: &str) -> Vec<GroupView> {
    let (mut groups, mut after) = (Vec::new(), String::new());
    loop {
        let url = format!("{gateway}/v1/groups?pageSize=200{after}");
        let answer = try_send(awc::Client::default().get(url), None).await.expect("it is not killed any more");
        let page: GroupList = serde_json::from_slice(&answer.body).expect("a list of groups");
        groups.extend(page.groups);
        let Some(token) = page.next_page_token else { return groups };
        after = format!("&pageToken={token}");
    }
}

/// Fails if a promise about groups was not kept. `groups` and `jobs` are all there are, and over; `records` is what the
/// sidecar knows.
pub fn judge(groups: &[GroupView], jobs: &[JobView], records: &[Record], promised: &Promised) -> Tally {
    let jobs: HashMap<Uuid, &JobView> = jobs.iter().map(|job| (job.id, job)).collect();
    let known: HashMap<Uuid, &GroupView> = groups.iter().map(|group| (group.id, group)).collect();
    for (id, body) in promised {
        let group = known.get(id).unwrap_or_else(|| panic!("accepted, and lost: {id}, {body}"));
        assert_eq!(
            group.members.len(),
            body["targets"].as_object().expect("targets").len(),
            "half a group: {group:#?}"
        );
    }
    for job in jobs.values() {
        assert!(job.group_id.is_none_or(|group| known.contains_key(&group)), "a member without its group: {job:#?}");
    }
    let mut tally = Tally { groups: groups.len(), ..Tally::default() };
    for pair in records.windows(2).filter(|pair| are_of_one_request(&pair[0], &pair[1])) {
        tally.together += 1;
        tally.together_with_fault += usize::from(pair[0].fault.is_some());
    }
    for group in groups {
        judge_group(group, &jobs);
        *tally.endings.entry(group.state.as_str()).or_default() += 1;
        tally.restored += group.members.iter().filter(|member| member.restore.is_some()).count();
    }
    tally
}

/// Whether two records that follow each other are the two parts of one request.
fn are_of_one_request(first: &Record, second: &Record) -> bool {
    let is_change = matches!(first.kind, RecordKind::Add | RecordKind::Remove);
    is_change
        && (first.kind, first.at, first.fault) == (second.kind, second.at, second.fault)
        && first.alias != second.alias
}

fn judge_group(group: &GroupView, jobs: &HashMap<Uuid, &JobView>) {
    let job_of = |id: Uuid| *jobs.get(&id).unwrap_or_else(|| panic!("a member without a job: {group:#?}"));
    let all_succeeded = group.members.iter().all(|member| job_of(member.job_id).state == StateName::Succeeded);
    assert_eq!(group.state == GroupState::Succeeded, all_succeeded, "{group:#?}");
    assert!(group.state != GroupState::Canceled || group.canceled, "{group:#?}");
    for member in &group.members {
        let job = job_of(member.job_id);
        assert_eq!((&member.resource, member.state), (&job.resource, job.state), "{group:#?}");
        let begun_at = job.steps.iter().filter_map(|step| step.sent_at).min_by_key(|at| at.0);
        for earlier in group.members.iter().filter(|other| other.stage < member.stage) {
            let earlier = job_of(earlier.job_id);
            let lets_begin = group.on_failure == OnFailure::Continue || earlier.state == StateName::Succeeded;
            let is_after = begun_at.is_none_or(|at| earlier.finished_at.is_some_and(|end| end.0 <= at.0));
            assert!(begun_at.is_none() || lets_begin && is_after, "stages overlap: {earlier:#?} {job:#?}");
        }
        if let Some(restore) = &member.restore {
            let back = job_of(restore.job_id);
            assert_eq!((back.state, back.target_capacity), (restore.state, job.start_capacity), "{group:#?}");
        } else if group.state == GroupState::Failed && group.on_failure == OnFailure::Restore {
            let has_moved = job.steps.iter().any(|step| matches!(step.outcome.as_str(), "confirmed" | "unknown"));
            assert!(!has_moved || job.state == StateName::Superseded, "not taken back: {group:#?}");
        }
    }
}

/// What was judged.
#[derive(Default)]
pub struct Tally {
    groups: usize,
    endings: BTreeMap<&'static str, usize>,
    restored: usize,
    /// Requests with the changes of two members.
    together: usize,
    /// Those of them that went wrong.
    together_with_fault: usize,
}

impl Tally {
    /// Fails if so little happened that the verdict means nothing.
    pub fn assert_worth_it(&self, kills: usize) {
        assert!(self.groups >= kills / 10, "too little happened: {self}");
        // One for every ten kills is usual; a short run may be unlucky.
        assert!(kills < 100 || self.together >= kills / 50, "too few changes of two at once: {self}");
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "groups: {} ({:?}), {} members on their way back; requests with two changes: {}, {} with a fault",
            self.groups, self.endings, self.restored, self.together, self.together_with_fault
        )
    }
}
