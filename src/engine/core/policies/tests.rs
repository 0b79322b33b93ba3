//! Policies in the core: what they submit, what becomes durable with it, and what a restart finds.

mod alerts;
mod changing;
mod circles;
mod clocks;
mod following;
mod forecasting;
mod keyed_claims;
mod notes;
mod predicting;
mod recording;
mod sources;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::super::{Core, Effect};
use crate::domain::policy::{
    Action, Assignment, Claim, ClaimKind, Direction, Hold, HoldKind, Limiter, Mode, PinNote, Policy, Sample, Trigger,
};
use crate::domain::{
    Actor, Alias, Bounds, Call, CallId, Capacity, ChangeAnswer, Goal, Job, JobId, JobRequest, LaneRecord, OnConflict,
    Reading, ScalingConfig, Status, Timestamp,
};
use crate::engine::policy_requests::{
    ClaimView, EvaluationRequest, PolicyAnswer, PolicyChangeRequest, PolicyRefusal, PolicyRequest, Precondition,
    StandingView,
};
use crate::engine::requests::{Answer, JobChange, NotedJob, Refusal};
use crate::policy::Document;
use crate::store::{AdoptedLane, Adoption, Observations, PolicyRecord, PolicyWrite, Unit};

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

fn units(units: i64) -> Capacity {
    Capacity::new(units).expect("a small number")
}

fn worker() -> Alias {
    "worker".parse().expect("an alias")
}

fn policy(document: Value) -> Box<Policy> {
    Box::new(Document::from(document).policy().expect("a policy"))
}

/// One unit for each 100 of a pushed metric.
fn by_queue() -> Value {
    json!({"min": 1, "max": 20, "metrics": {"queue": {"source": {"type": "push"}}},
           "rules": [{"name": "queue", "type": "target", "metric": "queue", "perUnit": 100}],
           "behavior": {"down": {"stabilizationSeconds": 0}}})
}

/// A core with a store that makes everything durable at once, and a resource that is at rest.
struct Scene {
    core: Core,
    now: Timestamp,
    capacity: Capacity,
    next_reply: u64,
    next_event: u64,
    units: Vec<Unit>,
    answers: Vec<Answer>,
    calls: Vec<(CallId, Call)>,
    kept: PolicyRecord,
    status: &'static str,
    /// What readings show that no job asked for, instead of what there is, and since when.
    lagging: Option<(Capacity, Option<Timestamp>)>,
    /// Whether commits are on their way until they are released.
    holds_commits: bool,
    held: Vec<Unit>,
    /// What was handed over to be written, and whether that takes until it is ended.
    batches: Vec<Vec<Observations>>,
    holds_records: bool,
    /// The circles that the operator was told of.
    circles: Vec<Vec<Alias>>,
    /// What those who watch were told: how many decisions, and of which policies.
    decisions_told: usize,
    policies_told: Vec<Option<(u64, Mode)>>,
    /// What was to be learned.
    lessons: Vec<Assignment>,
}

impl Scene {
    fn new() -> Self {
        Self {
            core: Core::new(Arc::new(ScalingConfig::default()), None),
            now: NOW,
            capacity: units(3),
            next_reply: 0,
            next_event: 1,
            units: Vec::new(),
            answers: Vec::new(),
            calls: Vec::new(),
            kept: PolicyRecord::default(),
            status: "ACTIVE",
            lagging: None,
            holds_commits: false,
            held: Vec::new(),
            batches: Vec::new(),
            holds_records: false,
            circles: Vec::new(),
            decisions_told: 0,
            policies_told: Vec::new(),
            lessons: Vec::new(),
        }
    }

    /// One with a policy that has decided on a first reading.
    fn with(document: Value) -> Self {
        let mut scene = Self::new();
        scene.put(document);
        scene.wait(60);
        scene.units.clear();
        scene
    }

    fn perform(&mut self) {
        loop {
            let effects = self.core.take_effects();
            if effects.is_empty() {
                return;
            }
            for effect in effects {
                match effect {
                    Effect::Commit(unit) if self.holds_commits => self.held.push(unit),
                    Effect::Commit(unit) => self.commit(unit),
                    Effect::Adopt(resource) => {
                        let record = LaneRecord::new(resource);
                        let lane = AdoptedLane { epoch: 1, record, jobs: Vec::new(), policy: None };
                        self.core.adopt(lane, self.now);
                    }
                    Effect::Record(observations) => {
                        self.batches.push(observations);
                        if !self.holds_records {
                            self.end_record();
                        }
                    }
                    Effect::Observe(resource) => {
                        let mut reading = self.reading();
                        if let Some((capacity, stamp)) = self.lagging {
                            (reading.capacity, reading.stamp) = (capacity, stamp);
                        }
                        self.core.on_observation(&resource, &reading, self.now);
                    }
                    Effect::Call { id, call, .. } => self.calls.push((id, call)),
                    Effect::Reply(_, answer) => self.answers.push(answer),
                    Effect::FollowInCircle(circle) => self.circles.push(circle),
                    Effect::Learn(_, assignment) => self.lessons.push(*assignment),
                    Effect::PublishDecision(_) => self.decisions_told += 1,
                    Effect::PublishPolicy(news) => self.policies_told.push(news.in_force),
                    Effect::Reserve(to, _) => {
                        self.core.on_reserved(to, Some(Ok(crate::store::Reserved::Granted(to))), self.now);
                    }
                    _ => {}
                }
            }
        }
    }

    /// The last batch of observations reaches the disk.
    fn end_record(&mut self) {
        for part in self.batches.last().cloned().into_iter().flatten() {
            self.kept.state = part.state.or(self.kept.state.take());
            for (name, sample) in part.samples {
                self.kept.samples.entry(name).or_default().push(sample);
            }
            self.kept.predictions.extend(part.predictions);
            self.kept.predictions.retain(|_, prediction| !prediction.points().is_empty());
            self.kept.last_decision = part.decisions.last().cloned().map(Box::new).or(self.kept.last_decision.take());
        }
        self.core.on_recorded();
    }

    fn commit(&mut self, unit: Unit) {
        self.keep(&unit);
        let first = self.next_event;
        self.next_event += unit.jobs.len() as u64;
        self.units.push(unit);
        self.core.on_committed(Some(first), self.now);
    }

    /// The commits on their way reach the disk.
    fn release_commits(&mut self) {
        self.holds_commits = false;
        for unit in std::mem::take(&mut self.held) {
            self.commit(unit);
            self.perform();
        }
    }

    fn keep(&mut self, unit: &Unit) {
        for change in &unit.policies {
            match change.write.clone() {
                PolicyWrite::Revision(revision) if revision.document.is_none() => {
                    let hold = self.kept.hold.take();
                    self.kept = PolicyRecord { revision: Some(revision), hold, ..PolicyRecord::default() };
                }
                PolicyWrite::Revision(revision) => self.kept.revision = Some(revision),
                PolicyWrite::State(state) => self.kept.state = Some(state),
                PolicyWrite::Claim(claim) => {
                    self.kept.claims.retain(|other| other.id != claim.id);
                    self.kept.claims.push(claim);
                }
                PolicyWrite::ClaimEnded(id) => self.kept.claims.retain(|claim| claim.id != id),
                PolicyWrite::Hold(hold) => self.kept.hold = hold,
                PolicyWrite::Decision(decision) => self.kept.last_decision = Some(decision),
            }
        }
    }

    fn reading(&self) -> Reading {
        Reading {
            status: Status::new(self.status),
            capacity: self.capacity,
            stamp: Some(self.now),
            wall_set_at: None,
            asked_at: self.now,
            received_at: self.now,
        }
    }

    /// Lets the time pass and everything happen that is due.
    fn wait(&mut self, seconds: u64) {
        let end = self.now + Duration::from_secs(seconds);
        self.perform();
        while let Some(at) = self.core.next_wake().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.core.wake_due(self.now);
            self.perform();
        }
        self.now = end;
    }

    fn ask(&mut self, change: PolicyChangeRequest) -> PolicyAnswer {
        self.ask_as(None, change)
    }

    fn ask_as(&mut self, actor: Option<Actor>, change: PolicyChangeRequest) -> PolicyAnswer {
        self.next_reply += 1;
        let attempt = crate::domain::Attempt { request: None, actor, address: None };
        let request = PolicyRequest { resource: worker(), change, attempt: Some(attempt), key: None };
        self.core.change_policy(request, self.next_reply, self.now);
        self.perform();
        match self.answers.pop() {
            Some(Answer::Policy(answer)) => answer,
            other => panic!("{other:?}"),
        }
    }

    fn put(&mut self, document: Value) {
        self.ask(PolicyChangeRequest::Put { policy: policy(document), precondition: Precondition::None });
    }

    fn push(&mut self, value: f64) {
        let samples = BTreeMap::from([("queue".parse().expect("a name"), vec![Sample { at: self.now, value }])]);
        let answer = self.ask(PolicyChangeRequest::Push(samples));
        assert_eq!(answer, PolicyAnswer::Pushed { accepted: 1, ignored: 0 });
        self.wait(0);
    }

    fn submit(&mut self, target: i64) -> Answer {
        self.next_reply += 1;
        let request =
            JobRequest { on_conflict: OnConflict::Reject, ..JobRequest::for_worker(Goal::Target(units(target))) };
        let id = JobId::from_u128(u128::from(self.next_reply));
        self.core.submit(id, request, None, self.next_reply, self.now);
        self.perform();
        self.answers.pop().expect("an answer")
    }

    /// A person cancels the job.
    fn cancel(&mut self) -> NotedJob {
        let job = self.job().expect("a job").id;
        self.next_reply += 1;
        self.core.change(job, JobChange::Cancel, &worker(), None, self.next_reply, self.now);
        self.perform();
        match self.answers.pop() {
            Some(Answer::Changed(noted)) => noted,
            other => panic!("{other:?}"),
        }
    }

    /// The sidecar answers what it was asked: readings show what there is, and changes are done.
    fn answer_calls(&mut self) {
        for (id, call) in std::mem::take(&mut self.calls) {
            match call {
                Call::Read => {
                    let reading = self.reading();
                    self.core.on_reading(&worker(), id, Ok(reading), self.now);
                }
                Call::Change(change) => {
                    self.capacity = change.to;
                    self.core.on_change_answer(&worker(), id, ChangeAnswer::Acknowledged, self.now);
                }
            }
            self.perform();
        }
    }

    /// Lets jobs run for some time.
    fn run(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.answer_calls();
            self.wait(1);
        }
        self.answer_calls();
    }

    fn job(&self) -> Option<&Job> {
        self.core.lane(&worker()).and_then(|lane| lane.jobs().last()).map(|job| &**job)
    }

    fn target(&self) -> Option<u32> {
        self.job().and_then(|job| job.target).map(Capacity::units)
    }

    fn standing(&self) -> StandingView {
        self.core.standing(&worker(), self.now)
    }

    /// The process dies; another one carries on from what is durable.
    fn restart(&mut self) {
        self.restart_with(ScalingConfig::default());
    }

    fn restart_with(&mut self, scaling: ScalingConfig) {
        self.restart_on(scaling, self.now, self.now);
    }

    /// The same with what is kept carried over from a clock that shows `here` to one that shows `there`.
    fn restart_on(&mut self, scaling: ScalingConfig, here: Timestamp, there: Timestamp) {
        let jobs = self.core.lane(&worker()).into_iter().flat_map(|lane| lane.jobs());
        let jobs = jobs.map(|job| crate::domain::JobEvent { id: 1, job: Arc::clone(job) }).collect();
        let record = self.core.lane(&worker()).map_or_else(|| LaneRecord::new(worker()), |lane| lane.record());
        let lane = AdoptedLane { epoch: 2, record, jobs, policy: Some(Box::new(self.kept.clone())) };
        let mut adoption = Adoption { lanes: vec![lane], ..Adoption::default() };
        adoption.carry_over(here, there);
        self.kept.carry_over(here, there);
        self.now = there;
        self.core = Core::recover(Arc::new(scaling), adoption, self.now);
        self.perform();
    }
}

fn hold(kind: HoldKind) -> PolicyChangeRequest {
    PolicyChangeRequest::Hold(a_hold(kind))
}

fn a_hold(kind: HoldKind) -> Hold {
    Hold { kind, until: NOW + Duration::from_hours(1), reason: None, by: None, created_at: NOW }
}

fn claim(id: u128, asked: i64, until: u64) -> Claim {
    Claim {
        id: uuid::Uuid::from_u128(id),
        units: units(asked),
        kind: ClaimKind::AtLeast,
        from: NOW,
        until: NOW + Duration::from_secs(until),
        owner: None,
        reason: None,
        by: None,
        created_at: NOW,
        alert: None,
    }
}

#[test]
fn a_sample_becomes_a_job_with_its_decision_in_one_unit() {
    let mut scene = Scene::with(by_queue());
    scene.push(812.0);
    assert_eq!(scene.target(), Some(9));
    assert!(scene.job().is_some_and(|job| job.submitted_by == Some(Actor::Policy { revision: 1 })));
    let unit = scene.units.iter().find(|unit| !unit.jobs.is_empty()).expect("a unit with the job");
    let has = |wanted: fn(&PolicyWrite) -> bool| unit.policies.iter().any(|change| wanted(&change.write));
    assert!(
        has(|write| matches!(write, PolicyWrite::Decision(_))) && has(|write| matches!(write, PolicyWrite::State(_)))
    );
    assert!(unit.covers_policies());
    let decision = scene.standing().policy.and_then(|policy| policy.decision).expect("a decision");
    assert_eq!((decision.action, decision.decided), (Action::Submitted, Some(units(9))));
    assert_eq!(decision.job_id, scene.job().map(|job| job.id));
}

#[test]
fn a_job_is_retargeted_in_place() {
    let mut scene = Scene::with(by_queue());
    scene.push(812.0);
    let first = scene.job().expect("a job").id;
    scene.wait(2);
    scene.push(1105.0);
    assert_eq!((scene.target(), scene.job().map(|job| job.id)), (Some(12), Some(first)));
    assert_eq!(scene.core.lane(&worker()).map(|lane| lane.jobs().count()), Some(1));
}

#[test]
fn what_comes_within_a_second_is_decided_on_together() {
    let mut scene = Scene::with(by_queue());
    let decided_at = |scene: &Scene| scene.standing().policy.and_then(|policy| policy.decision).map(|it| it.last_at);
    scene.push(500.0);
    assert_eq!(decided_at(&scene), Some(scene.now), "the first at once");
    let first = scene.now;
    scene.now = scene.now + Duration::from_millis(100);
    scene.push(600.0);
    assert_eq!((scene.target(), decided_at(&scene)), (Some(5), Some(first)));
    scene.wait(1);
    assert_eq!((scene.target(), decided_at(&scene)), (Some(6), Some(first + Duration::from_secs(1))));
}

/// What a person did is told, although a value came before it.
#[test]
fn of_what_is_decided_on_together_the_most_telling_is_named() {
    let trigger = |scene: &Scene| scene.standing().policy.and_then(|policy| policy.decision).map(|it| it.trigger);
    let mut scene = Scene::with(by_queue());
    scene.push(500.0);
    assert_eq!(trigger(&scene), Some(Trigger::Metric));
    scene.now = scene.now + Duration::from_millis(100);
    scene.push(600.0);
    scene.ask(hold(HoldKind::Direction(Direction::Both)));
    scene.wait(1);
    assert_eq!(trigger(&scene), Some(Trigger::Hold));
    scene.wait(5);
    scene.push(700.0);
    scene.now = scene.now + Duration::from_millis(100);
    scene.push(900.0);
    scene.ask(PolicyChangeRequest::EndHold);
    scene.wait(1);
    assert_eq!((scene.target(), trigger(&scene)), (Some(9), Some(Trigger::Hold)));
}

#[test]
fn an_idle_policy_is_woken_by_readings_alone() {
    let mut scene = Scene::with(by_queue());
    scene.push(300.0);
    scene.wait(600);
    let wakes = std::iter::from_fn(|| {
        let at = scene.core.next_wake()?;
        scene.now = at;
        scene.core.wake_due(at);
        scene.perform();
        Some(at)
    });
    let wakes: Vec<Timestamp> = wakes.take(10).collect();
    assert!(wakes.windows(2).all(|pair| pair[1].since(pair[0]) >= Duration::from_secs(29)), "{wakes:?}");
}

#[test]
fn people_come_first_and_the_policy_waits() {
    let mut scene = Scene::with(by_queue());
    scene.push(812.0);
    let own = scene.job().expect("a job").id;
    let Answer::Created(NotedJob { job, .. }) = scene.submit(5) else { panic!("refused") };
    scene.answer_calls();
    assert!(scene.core.lane(&worker()).is_some_and(|lane| lane.job(own).is_none_or(|job| job.ending.is_some())));
    scene.wait(2);
    scene.push(1500.0);
    assert_eq!(scene.job().map(|job| job.id), Some(job.id), "nothing is submitted meanwhile");
}

#[test]
fn a_hold_stops_new_jobs_and_ends_by_itself() {
    let mut scene = Scene::with(by_queue());
    assert!(matches!(scene.ask(hold(HoldKind::Direction(Direction::Up))), PolicyAnswer::Hold { note: None, .. }));
    assert!(matches!(scene.submit(9), Answer::Refused(Refusal::Held(_))));
    scene.wait(2);
    scene.push(812.0);
    scene.wait(2);
    assert_eq!(scene.target(), None);
    let decision = scene.standing().policy.and_then(|policy| policy.decision).expect("a decision");
    assert_eq!(decision.limited_by, Some(Limiter::Hold));
    scene.now = NOW + Duration::from_hours(1);
    scene.push(812.0);
    scene.wait(2);
    assert_eq!((scene.target(), scene.standing().hold), (Some(9), None));
    assert_eq!(scene.kept.hold, None, "its end is durable");
}

#[test]
fn a_pin_needs_a_policy_that_acts() {
    let mut scene = Scene::new();
    let refused = PolicyAnswer::Refused(PolicyRefusal::NoActivePolicy);
    assert_eq!(scene.ask(hold(HoldKind::Capacity(units(5)))), refused);
    let mut scene = Scene::with(by_queue());
    scene.ask(hold(HoldKind::Capacity(units(5))));
    scene.wait(2);
    assert_eq!(scene.target(), Some(5));
}

#[test]
fn a_pin_outside_the_bounds_counts_and_says_so() {
    let mut scene = Scene::with(by_queue());
    let bounds = Bounds { min: units(1), max: units(20) };
    for (pin, note) in [
        (20, None),
        (25, Some(PinNote::BeyondPolicy { pin: units(25), bounds })),
        (0, Some(PinNote::BeyondPolicy { pin: units(0), bounds })),
    ] {
        let answer = scene.ask(hold(HoldKind::Capacity(units(pin))));
        assert!(matches!(answer, PolicyAnswer::Hold { note: said, .. } if said == note), "{pin}: {answer:?}");
        assert_eq!(scene.standing().pin_note, note, "{pin}");
        scene.wait(2);
        assert_eq!(scene.target(), Some(u32::try_from(pin).expect("small")), "it counts all the same");
    }
    let in_file = Bounds { min: units(2), max: units(10) };
    let pinned = |pin| a_hold(HoldKind::Capacity(units(pin)));
    for (pin, kept) in [(25, 10), (0, 2)] {
        let note = PinNote::about(&pinned(pin), &policy(by_queue()), in_file);
        assert_eq!(note, Some(PinNote::BeyondFile { kept: units(kept), bounds: in_file }));
    }
    assert_eq!(PinNote::about(&pinned(25), &policy(in_mode("off")), in_file), None, "nothing is kept");
}

#[test]
fn claims_raise_what_is_decided_until_they_end() {
    let mut scene = Scene::with(by_queue());
    scene.push(300.0);
    let answer = scene.ask(PolicyChangeRequest::Claim(claim(1, 8, 3600)));
    assert!(matches!(answer, PolicyAnswer::Claim(view) if !view.is_satisfied));
    scene.wait(2);
    assert_eq!(scene.target(), Some(8));
    scene.run(2000);
    assert_eq!((scene.capacity, scene.standing().claims[0].is_satisfied), (units(8), true));
    scene.now = NOW + Duration::from_hours(1);
    scene.push(300.0);
    scene.wait(2);
    assert_eq!((scene.target(), scene.kept.claims.len()), (Some(3), 0));
}

#[test]
fn a_claim_that_is_met_stays_so_until_something_else_is_decided() {
    let mut scene = Scene::with(by_queue());
    scene.push(300.0);
    let first = PolicyAnswer::Claim(ClaimView { claim: claim(1, 8, 3600), is_satisfied: false });
    assert_eq!(scene.ask(PolicyChangeRequest::Claim(claim(1, 8, 3600))), first);
    scene.run(2000);
    assert!(scene.standing().claims[0].is_satisfied);
    let until = scene.now + Duration::from_hours(1);
    let renewal = PolicyChangeRequest::RenewClaim { id: claim(1, 8, 0).id, until, is_admin: true };
    assert!(matches!(scene.ask(renewal), PolicyAnswer::Claim(view) if view.is_satisfied && view.claim.until == until));
    // What is to be decided on is no change yet, and another claim has not been answered yet.
    let more = Claim { kind: ClaimKind::Extra, until, ..claim(2, 2, 3600) };
    assert!(matches!(scene.ask(PolicyChangeRequest::Claim(more)), PolicyAnswer::Claim(view) if !view.is_satisfied));
    let satisfied =
        |scene: &Scene| -> Vec<bool> { scene.standing().claims.iter().map(|claim| claim.is_satisfied).collect() };
    assert_eq!(satisfied(&scene), [true, false]);
    scene.wait(2);
    assert_eq!((scene.target(), satisfied(&scene)), (Some(10), vec![false, false]));
    scene.run(2000);
    assert_eq!((scene.capacity, satisfied(&scene)), (units(10), vec![true, true]));
}

#[test]
fn claims_are_limited_and_belong_to_their_keys() {
    let key = |id: &str| Some(Actor::Key { key: id.parse().expect("an id"), name: "ci".into() });
    let (one, other) = (key("0123456789"), key("abcdefghij"));
    let mut scene = Scene::with(by_queue());
    let above = PolicyRefusal::ClaimAboveMax { max: units(20) };
    assert_eq!(scene.ask(PolicyChangeRequest::Claim(claim(1, 21, 60))), PolicyAnswer::Refused(above));
    for id in 0..20 {
        let claim = Claim { by: one.clone(), ..claim(id, 1, 3600) };
        assert!(matches!(scene.ask_as(one.clone(), PolicyChangeRequest::Claim(claim)), PolicyAnswer::Claim(_)));
    }
    let more = Claim { by: one.clone(), ..claim(99, 1, 3600) };
    let too_many = PolicyAnswer::Refused(PolicyRefusal::TooManyClaimsOfKey { limit: 20 });
    assert_eq!(scene.ask_as(one, PolicyChangeRequest::Claim(more)), too_many);
    let end = |is_admin| PolicyChangeRequest::EndClaim { id: uuid::Uuid::from_u128(7), is_admin };
    assert_eq!(scene.ask_as(other.clone(), end(false)), PolicyAnswer::Refused(PolicyRefusal::NotYours));
    assert_eq!(scene.ask_as(other.clone(), end(true)), PolicyAnswer::Gone);
    assert_eq!(scene.ask_as(other, end(true)), PolicyAnswer::Refused(PolicyRefusal::NoClaim));
}

#[test]
fn a_restart_decides_as_if_there_had_been_none() {
    let document = json!({"min": 1, "max": 20, "metrics": {"queue": {"source": {"type": "push"}}},
        "rules": [{"name": "queue", "type": "target", "metric": "queue", "perUnit": 100}],
        "behavior": {"down": {"stabilizationSeconds": 300}}});
    let decided = |restarts: bool| {
        let mut scene = Scene::with(document.clone());
        scene.push(900.0);
        scene.run(2500);
        scene.push(200.0);
        scene.run(100);
        if restarts {
            scene.restart();
        }
        scene.push(250.0);
        let mut decided = Vec::new();
        for _ in 0..30 {
            scene.push(250.0);
            scene.run(10);
            decided.push(
                scene.standing().policy.and_then(|it| it.decision).and_then(|it| it.decided).map(Capacity::units),
            );
        }
        decided
    };
    let without = decided(false);
    assert!(
        without.contains(&Some(9)) && without.ends_with(&[Some(3)]),
        "it falls after the stabilisation: {without:?}"
    );
    assert_eq!(decided(true), without);
}

#[test]
fn the_first_reading_after_a_restart_is_decided_on_at_once() {
    let mut scene = Scene::with(by_queue());
    scene.push(300.0);
    scene.wait(2);
    scene.restart();
    scene.wait(0);
    let seen =
        |scene: &Scene| scene.standing().policy.and_then(|policy| policy.decision).and_then(|last| last.capacity);
    assert_eq!(seen(&scene), None, "it has decided without one");
    scene.now = scene.now + Duration::from_millis(100);
    let reading = scene.reading();
    scene.core.on_observation(&worker(), &reading, scene.now);
    scene.wait(0);
    assert_eq!(seen(&scene), Some(scene.capacity));
}

#[test]
fn a_policy_that_advises_or_is_off_changes_nothing() {
    for mode in ["advise", "off"] {
        let mut document = by_queue();
        document["mode"] = json!(mode);
        let mut scene = Scene::with(document);
        scene.push(812.0);
        scene.wait(10);
        assert_eq!(scene.target(), None, "{mode}");
        let action = scene.standing().policy.and_then(|policy| policy.decision).map(|decision| decision.action);
        assert_eq!(action, (mode == "advise").then_some(Action::Advised));
    }
}

/// By queue, in another mode.
fn in_mode(mode: &str) -> Value {
    let mut document = by_queue();
    document["mode"] = json!(mode);
    document
}

#[test]
fn a_policy_that_is_off_tells_of_no_decision_and_has_none() {
    let mut scene = Scene::with(by_queue());
    scene.push(250.0);
    let last = |scene: &Scene| scene.standing().policy.expect("a policy").decision;
    assert!(last(&scene).is_some());
    scene.put(in_mode("off"));
    assert_eq!(last(&scene), None, "what it decided before says nothing about the present");
    scene.wait(5);
    let before = scene.decisions_told;
    scene.push(812.0);
    scene.wait(60);
    assert_eq!((scene.decisions_told, last(&scene)), (before, None));
    assert_eq!(scene.standing().prospects.map(|prospects| prospects.wanted), Some(scene.capacity));
    scene.put(by_queue());
    scene.wait(2);
    assert!(scene.decisions_told > before && last(&scene).is_some_and(|decision| decision.policy_revision == 3));
}

#[test]
fn those_who_watch_are_told_of_each_other_policy_once_it_is_durable() {
    let mut scene = Scene::with(by_queue());
    scene.put(by_queue());
    assert_eq!(scene.policies_told, [Some((1, Mode::Active))], "the same again is no news");
    scene.holds_commits = true;
    scene.next_reply += 1;
    let off = PolicyChangeRequest::Put { policy: policy(in_mode("off")), precondition: Precondition::None };
    let request = PolicyRequest { resource: worker(), change: off, attempt: None, key: None };
    scene.core.change_policy(request, scene.next_reply, scene.now);
    scene.perform();
    assert_eq!(scene.policies_told.len(), 1, "it is not durable yet");
    scene.release_commits();
    scene.ask(PolicyChangeRequest::Delete { precondition: Precondition::None });
    assert_eq!(scene.policies_told[1..], [Some((2, Mode::Off)), None]);
}

#[test]
fn preconditions_revisions_and_deletion() {
    let mut scene = Scene::with(by_queue());
    let put = |document, precondition| PolicyChangeRequest::Put { policy: policy(document), precondition };
    let mut other = by_queue();
    other["max"] = json!(30);
    let failed = PolicyAnswer::Refused(PolicyRefusal::Precondition { revision: Some(1) });
    assert_eq!(scene.ask(put(other.clone(), Precondition::Absent)), failed);
    assert_eq!(scene.ask(put(other.clone(), Precondition::Revisions(vec![2]))), failed);
    let same = scene.ask(put(by_queue(), Precondition::None));
    assert!(matches!(same, PolicyAnswer::Put { view, is_new: false } if view.revision == 1), "nothing changes");
    let changed = scene.ask(put(other, Precondition::Revisions(vec![1])));
    assert!(matches!(changed, PolicyAnswer::Put { view, is_new: false } if view.revision == 2));
    scene.push(812.0);
    scene.wait(2);
    assert!(scene.target().is_some());
    let delete = || PolicyChangeRequest::Delete { precondition: Precondition::None };
    assert_eq!(scene.ask(delete()), PolicyAnswer::Gone);
    assert_eq!(scene.target(), None, "its job goes with it");
    assert_eq!(scene.ask(delete()), PolicyAnswer::Refused(PolicyRefusal::NoPolicy));
    let again = scene.ask(put(by_queue(), Precondition::Absent));
    assert!(matches!(again, PolicyAnswer::Put { view, is_new: true } if view.revision == 4), "numbers go on");
}

#[test]
fn an_evaluation_changes_nothing() {
    let mut scene = Scene::with(by_queue());
    scene.push(300.0);
    scene.units.clear();
    let given = |name: &str, value| EvaluationRequest {
        values: BTreeMap::from([(name.parse().expect("a name"), value)]),
        ..EvaluationRequest::default()
    };
    let decision = scene.core.evaluate(&worker(), &given("queue", 1234.0), scene.now).expect("a decision");
    assert_eq!((decision.decided, decision.action), (Some(units(13)), Action::Submitted));
    let refused = scene.core.evaluate(&worker(), &given("nothing", 1.0), scene.now);
    assert!(matches!(refused, Err(PolicyRefusal::NoMetric { .. })));
    scene.perform();
    assert!(scene.units.is_empty() && scene.target().is_none());
}

#[test]
fn an_evaluation_takes_a_capacity_and_a_status_for_the_reading() {
    let scene = Scene::new();
    let first = EvaluationRequest {
        policy: Some(policy(by_queue())),
        values: BTreeMap::from([("queue".parse().expect("a name"), 900.0)]),
        ..EvaluationRequest::default()
    };
    let tried = |scene: &Scene, asked: &EvaluationRequest| scene.core.evaluate(&worker(), asked, scene.now);
    assert_eq!(tried(&scene, &first).map(|decision| decision.decided), Ok(None), "the resource was never read");
    let status = Some(Status::new("modifying"));
    let of_nothing = EvaluationRequest { status: status.clone(), ..first.clone() };
    assert_eq!(tried(&scene, &of_nothing), Err(PolicyRefusal::NoCapacity));
    let seen = |asked: EvaluationRequest, scene: &Scene| {
        let decision = tried(scene, &asked).expect("a decision");
        (decision.capacity, decision.status.map(|status| status.to_string()), decision.decided, decision.action)
    };
    let (at_2, nine) = (EvaluationRequest { capacity: Some(units(2)), ..first.clone() }, Some(units(9)));
    assert_eq!(seen(at_2, &scene), (Some(units(2)), Some("ACTIVE".to_owned()), nine, Action::Submitted));
    let failed = EvaluationRequest { capacity: Some(units(2)), status: Some(Status::new("FAILED")), ..first.clone() };
    assert_eq!(seen(failed, &scene), (Some(units(2)), Some("FAILED".to_owned()), nine, Action::None));
    let scene = Scene::with(by_queue());
    let there = EvaluationRequest { status, ..first };
    assert_eq!(seen(there, &scene), (Some(scene.capacity), Some("MODIFYING".to_owned()), nine, Action::Submitted));
}

// ---- policies in the configuration file -----------------------------------------------------------------------------

fn with_file(document: Value) -> ScalingConfig {
    let policies = BTreeMap::from([(worker(), Arc::from(policy(document)))]);
    ScalingConfig { policies, ..ScalingConfig::default() }
}

impl Scene {
    fn is_in_file(&self) -> Option<bool> {
        self.core.standing(&worker(), self.now).policy.map(|policy| policy.is_in_file)
    }

    fn unfinished(&self) -> Vec<(Option<Capacity>, bool)> {
        let jobs = self.core.lane(&worker()).into_iter().flat_map(|lane| lane.jobs());
        jobs.map(|job| (job.target, job.ending.is_some())).collect()
    }
}

#[test]
fn a_policy_in_the_file_acts_from_the_first_start_and_cannot_be_changed() {
    let mut scene = Scene::new();
    let nothing = Adoption { lanes: Vec::new(), ..Adoption::default() };
    scene.core = Core::recover(Arc::new(with_file(by_queue())), nothing, NOW);
    scene.wait(60);
    assert_eq!(scene.is_in_file(), Some(true));
    scene.push(900.0);
    assert_eq!(scene.unfinished(), [(Some(units(9)), false)]);
    let refused = PolicyAnswer::Refused(PolicyRefusal::InFile);
    for precondition in [Precondition::None, Precondition::Present, Precondition::Absent] {
        let put = PolicyChangeRequest::Put { policy: policy(by_queue()), precondition: precondition.clone() };
        assert_eq!(scene.ask(put), refused);
        assert_eq!(scene.ask(PolicyChangeRequest::Delete { precondition }), refused);
    }
    assert_eq!(scene.kept.revision, None);
}

#[test]
fn a_policy_in_the_file_deletes_a_stored_one_once_and_keeps_its_state_across_restarts() {
    let mut scene = Scene::with(by_queue());
    scene.ask(PolicyChangeRequest::Claim(claim(1, 2, 3600)));
    let mut document = by_queue();
    document["max"] = json!(5);
    for start in 0..3 {
        scene.restart_with(with_file(document.clone()));
        let kept = scene.kept.revision.clone().expect("a revision");
        assert_eq!((kept.number, kept.by, kept.document), (2, Some(Actor::Operator), None), "{start}");
        assert_eq!(scene.is_in_file(), Some(true));
        scene.wait(10);
        assert!(scene.kept.state.is_some() && scene.kept.claims.is_empty());
    }
    scene.push(900.0);
    let before = scene.core.standing(&worker(), scene.now).policy.and_then(|policy| policy.decision);
    scene.wait(2);
    scene.restart_with(with_file(document));
    let after = scene.core.standing(&worker(), scene.now).policy.and_then(|policy| policy.decision);
    assert_eq!(before.as_ref().map(|decision| decision.decided), Some(Some(units(5))));
    assert_eq!(after.map(|decision| decision.decided), before.map(|decision| decision.decided));
    scene.wait(10);
    assert_eq!(scene.unfinished(), [(Some(units(5)), false)], "the same job goes on");
}

#[test]
fn a_policy_that_is_no_longer_in_the_file_ends_with_its_job() {
    let mut scene = Scene::with(by_queue());
    scene.restart_with(with_file(by_queue()));
    scene.wait(10);
    scene.push(900.0);
    assert_eq!(scene.unfinished(), [(Some(units(9)), false)]);
    scene.wait(2);
    scene.restart();
    assert_eq!((scene.is_in_file(), scene.unfinished()), (None, vec![]));
    assert_eq!((scene.kept.revision.as_ref().map(|kept| kept.number), &scene.kept.state), (Some(3), &None));
    // Once.
    scene.restart();
    assert_eq!(scene.kept.revision.as_ref().map(|kept| kept.number), Some(3));
    let put = PolicyChangeRequest::Put { policy: policy(by_queue()), precondition: Precondition::Absent };
    assert!(matches!(scene.ask(put), PolicyAnswer::Put { is_new: true, .. }));
}
