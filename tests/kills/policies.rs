//! Policies under kills: a client that pushes metrics, makes and ends claims and holds, and knows what it was promised.
//!
//! Two resources have policies. On one of them claims and holds come and go; on the other one load rises and falls, and
//! capacity has to follow the fall when the stabilisation is over, however often the process was killed meanwhile. A
//! window that started over at each start would never end here: no process lives as long as it takes.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use scalegate::api::view::JobView;
use scalegate::domain::{ActorKind, StateName};
use serde_json::{Value, json};
use tokio::sync::watch;
use uuid::Uuid;

use super::support::gateway::{PATIENCE, Response, try_send};
use crate::support::dice::Dice;

/// The resource on which claims and holds are made. First readings after a start are spread by name: these two come early, or
/// most processes would be dead before their policies decide.
pub const CLAIMED: &str = "held";
/// The resource whose load rises and falls.
pub const STEADY: &str = "load";
/// The resources that have policies.
pub const POLICED: [&str; 2] = [CLAIMED, STEADY];
/// Load that one unit carries.
const PER_UNIT: u64 = 10;
/// How long all wishes agree before capacity falls.
const STABILIZATION: Duration = Duration::from_secs(8);
/// How much later than that it may fall: until a process has lived long enough to write down that the load fell, and another
/// one to act on it.
const FALL_SLACK: Duration = Duration::from_secs(60);
/// How far the clocks of client and gateway may be apart.
const CLOCK_PLAY: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_millis(80);
const RETRY: Duration = Duration::from_millis(5);
/// Most claims at a time.
const MOST_CLAIMS: usize = 6;

/// What clients were promised.
#[derive(Default)]
pub struct Promised {
    /// The claims that count, by id.
    claims: BTreeMap<Uuid, Value>,
    /// The claims that were made.
    made: usize,
    hold: Option<Value>,
    holds: usize,
    pushes: usize,
    looks: usize,
    /// When the load fell and when the fall could have been known, by the clock of the client.
    falls: Vec<(Duration, Duration)>,
}

/// The promises that the clients and those who judge them share.
pub type Promises = Rc<RefCell<Promised>>;

/// One client and how it finds the gateway.
pub struct Client {
    promises: Promises,
    way: watch::Receiver<Option<SocketAddr>>,
    dice: Dice,
    http: awc::Client,
}

impl Client {
    pub fn new(promises: &Promises, way: &watch::Receiver<Option<SocketAddr>>, seed: u64, number: u64) -> Self {
        Self {
            promises: Rc::clone(promises),
            way: way.clone(),
            dice: Dice::for_part(seed, number),
            http: awc::Client::default(),
        }
    }

    /// Puts both policies.
    pub async fn put_policies(&mut self) {
        for (resource, stabilization) in [(CLAIMED, Duration::ZERO), (STEADY, STABILIZATION)] {
            let policy = json!({
                "min": 0, "max": super::MOST_UNITS,
                "metrics": {"load": {"source": {"type": "push"}}},
                "rules": [{"name": "load", "type": "target", "metric": "load", "perUnit": PER_UNIT}],
                "behavior": {"down": {"stabilizationSeconds": stabilization.as_secs()}},
                "job": {"stepSize": 8},
            });
            let path = format!("/v1/resources/{resource}/policy");
            let answer = self.ask("PUT", &path, Some(&policy), None).await;
            assert!(matches!(answer.status, 200 | 201), "{}", answer.text());
        }
    }

    /// Makes and ends claims and holds, pushes, and looks whether everything is still there.
    pub async fn run_claims(mut self, stop: Rc<Cell<bool>>) {
        while !stop.get() {
            match self.dice.between(0, 99) {
                0..40 => {
                    let value = self.dice.between(0, PER_UNIT * u64::from(super::MOST_UNITS));
                    self.push(CLAIMED, value).await;
                }
                40..52 => self.make_claim().await,
                52..62 => self.end_claim().await,
                62..68 => self.make_hold().await,
                68..76 => self.end_hold().await,
                _ => self.look().await,
            }
            let pause = self.dice.duration(LONGEST_PAUSE);
            tokio::time::sleep(pause).await;
        }
    }

    /// Lets load rise and fall, and notes when it fell.
    pub async fn run_load(mut self, stop: Rc<Cell<bool>>) {
        let (high, low) = (PER_UNIT * 6, PER_UNIT);
        while !stop.get() {
            self.push_until(high, 6, &stop).await;
            let before = since_1970();
            self.push(STEADY, low).await;
            let after = since_1970();
            self.push_until(low, 1, &stop).await;
            if !stop.get() {
                self.promises.borrow_mut().falls.push((before, after));
            }
        }
    }

    /// Pushes `value` until the resource has so many units.
    async fn push_until(&mut self, value: u64, units: u64, stop: &Rc<Cell<bool>>) {
        let begin = Instant::now();
        while !stop.get() {
            self.push(STEADY, value).await;
            let resource = self.ask("GET", &format!("/v1/resources/{STEADY}"), None, None).await.json();
            if resource["capacity"] == json!(units) {
                return;
            }
            assert!(begin.elapsed() < PATIENCE * 3, "{units} units are not reached: {resource:#}");
            let pause = self.dice.duration(LONGEST_PAUSE * 3);
            tokio::time::sleep(pause).await;
        }
    }

    async fn push(&mut self, resource: &str, value: u64) {
        let path = format!("/v1/resources/{resource}/metrics/load");
        let answer = self.ask("POST", &path, Some(&json!({"value": value})), None).await;
        assert_eq!(answer.status, 202, "{}", answer.text());
        self.promises.borrow_mut().pushes += 1;
    }

    async fn make_claim(&mut self) {
        if self.promises.borrow().claims.len() >= MOST_CLAIMS {
            return;
        }
        let number = self.promises.borrow().made;
        let body = json!({"units": self.dice.between(1, 4), "forSeconds": 3600, "owner": format!("kills {number}")});
        let key = format!("claim-{number}");
        let answer = self.ask("POST", &format!("/v1/resources/{CLAIMED}/claims"), Some(&body), Some(&key)).await;
        assert!(matches!(answer.status, 200 | 201), "{} {}", answer.status, answer.text());
        let claim = answer.json();
        assert_eq!(claim["owner"], body["owner"], "another's claim");
        let id = claim["id"].as_str().and_then(|id| id.parse().ok()).expect("an id");
        let mut promises = self.promises.borrow_mut();
        promises.made += 1;
        assert!(promises.claims.insert(id, lasting(&claim)).is_none(), "two claims of one id");
    }

    async fn end_claim(&mut self) {
        let ids: Vec<Uuid> = self.promises.borrow().claims.keys().copied().collect();
        if ids.is_empty() {
            return;
        }
        let id = ids[self.dice.index(ids.len())];
        let answer = self.ask("DELETE", &format!("/v1/resources/{CLAIMED}/claims/{id}"), None, None).await;
        // Not found, if it was asked before and not answered.
        assert!(matches!(answer.status, 204 | 404), "{}", answer.text());
        self.promises.borrow_mut().claims.remove(&id);
    }

    async fn make_hold(&mut self) {
        let body = match self.dice.between(0, 3) {
            0 => json!({"forSeconds": 3600, "direction": "up"}),
            1 => json!({"forSeconds": 3600, "direction": "down"}),
            2 => json!({"forSeconds": 3600, "direction": "both"}),
            _ => json!({"forSeconds": 3600, "capacity": self.dice.between(0, 6)}),
        };
        let answer = self.ask("PUT", &format!("/v1/resources/{CLAIMED}/hold"), Some(&body), None).await;
        assert!(matches!(answer.status, 200 | 201), "{}", answer.text());
        let mut promises = self.promises.borrow_mut();
        promises.hold = Some(lasting(&answer.json()));
        promises.holds += 1;
    }

    async fn end_hold(&mut self) {
        let answer = self.ask("DELETE", &format!("/v1/resources/{CLAIMED}/hold"), None, None).await;
        assert!(matches!(answer.status, 204 | 404), "{}", answer.text());
        self.promises.borrow_mut().hold = None;
    }

    /// Fails if anything that was promised is not there, or anything else is.
    pub async fn look(&mut self) {
        let resource = self.ask("GET", &format!("/v1/resources/{CLAIMED}"), None, None).await;
        let Some(resource) = Some(resource).filter(|answer| answer.status == 200).map(|answer| answer.json()) else {
            return;
        };
        self.promises.borrow_mut().looks += 1;
        let hold = Some(&resource["hold"]).filter(|hold| !hold.is_null()).map(lasting);
        assert_eq!(hold, self.promises.borrow().hold, "the hold that was promised");
        let claims = self.ask("GET", &format!("/v1/resources/{CLAIMED}/claims"), None, None).await.json();
        let found: BTreeMap<Uuid, Value> = claims["claims"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|claim| (claim["id"].as_str().and_then(|id| id.parse().ok()).expect("an id"), lasting(claim)))
            .collect();
        assert_eq!(found, self.promises.borrow().claims, "the claims that were promised");
    }

    /// All decisions about `resource`, newest first.
    async fn decisions(&mut self, resource: &str) -> Vec<Value> {
        let (mut all, mut token) = (Vec::new(), String::new());
        loop {
            let path = format!("/v1/resources/{resource}/decisions?pageSize=200{token}");
            let page = self.ask("GET", &path, None, None).await.json();
            all.extend(page["decisions"].as_array().expect("a list").clone());
            match page["nextPageToken"].as_str() {
                Some(next) => token = format!("&pageToken={next}"),
                None => return all,
            }
        }
    }

    /// What there is in the end, when nothing is killed any more; ends the policies.
    pub async fn finish(mut self) -> Ledger {
        self.look().await;
        let mut decisions = BTreeMap::new();
        for resource in POLICED {
            let answer = self.ask("DELETE", &format!("/v1/resources/{resource}/policy"), None, None).await;
            assert_eq!(answer.status, 204, "{}", answer.text());
            decisions.insert(resource, self.decisions(resource).await);
        }
        let promised = self.promises.take();
        Ledger { decisions, promised }
    }

    /// Asks until there is an answer.
    async fn ask(&mut self, method: &str, path: &str, body: Option<&Value>, key: Option<&str>) -> Response {
        let begin = Instant::now();
        loop {
            assert!(begin.elapsed() < PATIENCE, "no answer to {method} {path}");
            let way = self.way.wait_for(Option::is_some).await.expect("the gateway comes back").expect("it is there");
            let method = method.parse().expect("a method");
            let mut request = self.http.request(method, format!("http://{way}{path}")).content_type("application/json");
            if let Some(key) = key {
                request = request.insert_header(("Idempotency-Key", key));
            }
            let body = body.map(|body| body.to_string().into_bytes());
            match try_send(request, body).await {
                Ok(response) if response.status != 503 => return response,
                Ok(_) | Err(_) => tokio::time::sleep(RETRY).await,
            }
        }
    }
}

/// What of a claim or a hold stays as it is as long as it lasts.
fn lasting(what: &Value) -> Value {
    let mut what = what.clone();
    if let Some(fields) = what.as_object_mut() {
        fields.remove("satisfied");
    }
    what
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970")
}

/// What the gateway says that policies decided, and what was promised.
pub struct Ledger {
    decisions: BTreeMap<&'static str, Vec<Value>>,
    promised: Promised,
}

impl Ledger {
    /// Fails if a target of a policy's job has no decision, or capacity fell too early or too late.
    pub fn judge(&self, jobs: &[JobView]) {
        let of_policies: Vec<&JobView> = jobs.iter().filter(|job| is_of_policy(job)).collect();
        for job in &of_policies {
            let decisions = &self.decisions[job.resource.as_str()];
            let decided = |action: &str, id: Option<Uuid>| {
                decisions.iter().any(|decision| {
                    decision["action"] == action
                        && decision["jobId"] == json!(job.id)
                        && id.is_none_or(|id| decision["id"] == json!(id))
                })
            };
            assert!(decided("submitted", None), "no decision says why there is {job:#?}");
            for retarget in &job.retargets {
                assert!(decided("retargeted", Some(retarget.decision_id)), "no decision for {retarget:?} of {job:#?}");
            }
        }
        let has_failed = of_policies.iter().any(|job| job.resource == STEADY && job.state == StateName::Failed);
        for (before, after) in self.promised.falls.iter().filter(|_| !has_failed) {
            let falls = of_policies.iter().filter(|job| job.resource == STEADY).flat_map(|job| lowered_at(job));
            let fall = falls.filter(|at| *at > *before).min().expect("it fell");
            assert!(fall + CLOCK_PLAY >= *before + STABILIZATION, "it fell {:?} early", *before + STABILIZATION - fall);
            assert!(
                fall <= *after + STABILIZATION + FALL_SLACK,
                "a window started over: it fell {:?} after the load did",
                fall - *before
            );
        }
    }

    /// Fails if so little happened that the verdict means nothing.
    pub fn assert_worth_it(&self, kills: usize) {
        let Promised { made, holds, looks, falls, .. } = &self.promised;
        let is_enough = *made >= kills / 20 && *holds >= kills / 50 && *looks >= kills / 10;
        assert!(is_enough, "too little happened to policies: {self}");
        assert!(kills < 100 || self.submitted() > 0, "no policy acted: {self}");
        assert!(kills < 300 || !falls.is_empty(), "no load fell and was followed: {self}");
    }

    /// How many jobs policies have submitted.
    fn submitted(&self) -> usize {
        let all = self.decisions.values().flatten();
        all.filter(|decision| decision["action"] == "submitted").count()
    }
}

/// When a job of a policy was given a target below the one before, or was made to lower the capacity.
fn lowered_at(job: &JobView) -> Vec<Duration> {
    let retargets = job.retargets.iter().filter(|retarget| retarget.to < retarget.from).map(|retarget| retarget.at.0);
    let first = job.retargets.first().map_or(job.target_capacity, |first| Some(first.from));
    let created = (first.is_some() && first < job.start_capacity).then_some(job.created_at.0);
    retargets.chain(created).map(|at| Duration::from_millis(at.as_millis().try_into().expect("after 1970"))).collect()
}

/// Whether the policy of its resource submitted the job.
pub fn is_of_policy(job: &JobView) -> bool {
    job.submitted_by.as_ref().is_some_and(|by| by.kind == ActorKind::Policy)
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Promised { claims, made, holds, pushes, looks, falls, .. } = &self.promised;
        let decisions: usize = self.decisions.values().map(Vec::len).sum();
        write!(
            f,
            "policies: {pushes} values pushed, {made} claims made ({} left), {holds} holds, looked at {looks} times; \
             {decisions} entries in the ledger, {} jobs, {} stabilised falls",
            claims.len(),
            self.submitted(),
            falls.len()
        )
    }
}
