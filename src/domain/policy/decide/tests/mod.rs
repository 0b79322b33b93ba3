//! Whole decisions: the stages, what is done, and what survives a restart.

mod acts;
mod properties;
mod punctual;
mod sentences;
mod stages;

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::super::climb::Pace;
use super::super::decision::Trigger;
use super::super::demand::{Claim, Hold};
use super::super::inputs::OwnJob;
use super::*;
use crate::domain::capacity::Op;
use crate::domain::job::ErrorCode;
use crate::domain::policy::{
    Behavior, ClaimKind, HoldKind, JobEnd, MetricSpec, Occurrence, OnMissing, Ready, Rule, RuleKind, Sample, Smoothing,
    Source, Target, When, Window,
};
use crate::domain::settings::SettingsOverrides;
use crate::domain::{Alias, Bounds, JobId, Status};

/// 2027-01-15T08:00:00Z.
const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const FREE: Smoothing =
    Smoothing { stabilization: Duration::ZERO, max_units: None, max_percent: None, period: Duration::ZERO };
const AT_ONCE: Behavior = Behavior { up: FREE, down: FREE };

fn units(units: u32) -> Capacity {
    Capacity::try_from(units).expect("a small number")
}

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

fn at(seconds: u64) -> Timestamp {
    NOW + Duration::from_secs(seconds)
}

fn target_rule(metric: &str, on_missing: OnMissing) -> Rule {
    let kind = RuleKind::Target(Target { metric: name(metric), per_unit: 100.0, on_missing });
    Rule { name: name(metric), kind }
}

fn window(text: &str, from: u64, to: u64, min: Option<u32>, max: Option<u32>, ready: Ready) -> Rule {
    let when = When::Once(Occurrence::new(at(from), at(to)).expect("some time"));
    let kind = RuleKind::Schedule(Window { when, min: min.map(units), max: max.map(units), ready });
    Rule { name: name(text), kind }
}

/// From `min` to `max`, with `rules` on the metrics `queue` and `rps`.
fn policy(min: u32, max: u32, rules: Vec<Rule>) -> Policy {
    let spec = MetricSpec {
        source: Source::Push,
        interval: Duration::from_secs(30),
        max_age: Duration::from_mins(5),
        window: Duration::ZERO,
        allow_negative: false,
    };
    Policy {
        mode: Mode::Active,
        min: units(min),
        max: units(max),
        metrics: BTreeMap::from([(name("queue"), spec.clone()), (name("rps"), spec)]),
        rules,
        behavior: AT_ONCE,
        idle_after: None,
        job: SettingsOverrides::default(),
        expected_change: Duration::from_mins(5),
    }
}

fn by_queue() -> Policy {
    policy(1, 20, vec![target_rule("queue", OnMissing::Hold)])
}

/// A resource with its policy, as an engine would keep it.
#[derive(Clone)]
struct World {
    policy: Policy,
    state: PolicyState,
    capacity: Option<u32>,
    status: &'static str,
    own_job: Option<OwnJob>,
    ending_job: Option<JobId>,
    others_job: Option<JobId>,
    metrics: BTreeMap<Name, Series>,
    circle: Vec<Alias>,
    claims: Vec<Claim>,
    hold: Option<Hold>,
    file_bounds: Bounds,
    pace: Pace,
    in_flight: Option<Capacity>,
    next_change_at: Option<Timestamp>,
    last_effect_at: Option<Timestamp>,
    jobs: u128,
}

impl World {
    fn new(policy: Policy, capacity: u32) -> Self {
        let minutes = Duration::from_mins(5);
        Self {
            policy,
            state: PolicyState::new(),
            capacity: Some(capacity),
            status: "ACTIVE",
            own_job: None,
            ending_job: None,
            others_job: None,
            metrics: BTreeMap::new(),
            circle: Vec::new(),
            claims: Vec::new(),
            hold: None,
            file_bounds: Bounds::NONE,
            pace: Pace { step_size: 1, cooldown: minutes, settle: Duration::ZERO, up: minutes, down: minutes },
            in_flight: None,
            next_change_at: None,
            last_effect_at: None,
            jobs: 0,
        }
    }

    fn push(&mut self, second: u64, metric: &str, value: f64) {
        let series = self.metrics.entry(name(metric)).or_default();
        series.insert(Sample { at: at(second), value }, Series::MAX_SPAN);
    }

    /// Decides, without taking over what came of it.
    fn look(&self, second: u64) -> Outcome {
        let alias: Alias = "worker".parse().expect("an alias");
        let status = Status::new(self.status);
        let reading = self.capacity.map(|capacity| LastReading {
            capacity: units(capacity),
            status: &status,
            observed_at: at(second),
        });
        let inputs = Inputs {
            id: Uuid::nil(),
            resource: &alias,
            trigger: Trigger::Metric,
            revision: 7,
            reading,
            own_job: self.own_job,
            ending_job: self.ending_job,
            others_job: self.others_job,
            metrics: &self.metrics,
            foreseen: &super::super::inputs::Foreseen::NOTHING,
            followed: &BTreeMap::new(),
            circle: &self.circle,
            claims: &self.claims,
            hold: self.hold.as_ref(),
            file_bounds: self.file_bounds,
            pace: self.pace,
            in_flight: self.in_flight,
            next_change_at: self.next_change_at,
            last_effect_at: self.last_effect_at,
        };
        decide(&self.policy, &inputs, &self.state, at(second))
    }

    /// Decides, and keeps memory and job as the engine would.
    fn go(&mut self, second: u64) -> Outcome {
        let outcome = self.look(second);
        self.state = outcome.state.clone();
        match outcome.act {
            Act::Nothing => {}
            Act::Submit { target } => {
                self.jobs += 1;
                self.own_job = Some(OwnJob { id: Uuid::from_u128(self.jobs), target, is_worn_out: false });
            }
            Act::Retarget { job, target } => self.own_job = Some(OwnJob { id: job, target, is_worn_out: false }),
            Act::Cancel { .. } => self.own_job = None,
        }
        outcome
    }

    fn decided(&mut self, second: u64) -> u32 {
        decision(&self.go(second)).decided.expect("a number").units()
    }

    /// The job reaches its target.
    fn finish(&mut self, second: u64) {
        if let Some(job) = self.own_job.take() {
            self.capacity = Some(job.target.units());
            self.last_effect_at = Some(at(second));
        }
    }

    fn fail(&mut self, second: u64, code: ErrorCode, refused: Option<u32>) {
        self.own_job = None;
        self.state.on_job_ended(Op::Add, JobEnd::Failed { code, refused: refused.map(units) }, at(second));
    }
}

fn decision(outcome: &Outcome) -> &Decision {
    outcome.decision.as_ref().expect("a decision")
}

fn codes(outcome: &Outcome) -> Vec<ConditionCode> {
    outcome.conditions.iter().map(|condition| condition.code).collect()
}

fn own_job(target: u32) -> OwnJob {
    OwnJob { id: Uuid::nil(), target: units(target), is_worn_out: false }
}

fn submit(target: u32) -> Act {
    Act::Submit { target: units(target) }
}

fn claim(count: u32, kind: ClaimKind, from: u64, until: u64) -> Claim {
    Claim {
        id: Uuid::nil(),
        units: units(count),
        kind,
        from: at(from),
        until: at(until),
        owner: None,
        reason: Some(Arc::from("batch")),
        by: None,
        created_at: NOW,
        alert: None,
    }
}

fn hold(kind: HoldKind, until: u64) -> Hold {
    Hold { kind, until: at(until), reason: None, by: None, created_at: NOW }
}
