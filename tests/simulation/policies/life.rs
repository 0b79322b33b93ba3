//! Does what a life does about policies, and what has to be compared while time passes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use scalegate::domain::policy::{
    Claim, ClaimKind, Decision, DecisionId, Hold, HoldKind, Missing, Mode, NoValue, Sample,
};
use scalegate::domain::{Alias, Timestamp};
use scalegate::engine::{Core, PolicyChangeRequest, Precondition};
use scalegate::sim::{Machine, shifted};
use uuid::Uuid;

use super::plan::{Metric, Plan, PolicyAct, RulePlan};
use super::watch::{Asked, PutPlan, is_same};
use crate::life::Lived;
use crate::referee::{ALIASES, Referee};
use crate::sabotage::Sabotage;
use crate::scenario::RESOURCES;
use crate::sidecar::capacity;

/// How much earlier than it has to a window's climb can begin in a life, besides the time of its steps: the end of a wait
/// that runs, a reading and slow commits.
const WINDOW_TIME: Duration = Duration::from_secs(420);

/// For how long two processes may disagree: each decides once a second, and not in the same moment of it.
const PHASE: Duration = Duration::from_secs(3);

/// What a life remembers of its policies.
pub struct Ledger {
    plans: [Option<Plan>; RESOURCES.len()],
    /// Whether the configuration file has a policy of a resource.
    in_file: [bool; RESOURCES.len()],
    pushes: [[Option<(i32, Timestamp)>; Metric::ALL.len()]; RESOURCES.len()],
    claims: Vec<(usize, Claim)>,
    windows: Vec<Ahead>,
    /// Since when nothing happened that could keep a window from being ready.
    quiet_since: Timestamp,
    /// The resources that a process would have gone on to decide about as the next one does.
    expecting: [bool; RESOURCES.len()],
    /// Since when the two do not agree.
    differing_since: [Option<Timestamp>; RESOURCES.len()],
    /// Whether decisions are compared with dry runs.
    compares_dry_runs: bool,
    /// What policies would decide in the step that comes.
    dry_runs: Vec<DryRun>,
}

/// What a policy would decide, and the number of its last decision.
struct DryRun {
    resource: usize,
    before: Option<(DecisionId, u64)>,
    expected: Decision,
}

/// A window that has to be ready when it opens, by true time.
struct Ahead {
    resource: usize,
    opens: Timestamp,
    min: u32,
    /// What it takes at most.
    climb: Duration,
}

impl Ledger {
    pub fn new(now: Timestamp, compares_dry_runs: bool) -> Self {
        Self {
            plans: [const { None }; RESOURCES.len()],
            in_file: [false; RESOURCES.len()],
            pushes: Default::default(),
            claims: Vec::new(),
            windows: Vec::new(),
            quiet_since: now,
            expecting: [false; RESOURCES.len()],
            differing_since: [None; RESOURCES.len()],
            compares_dry_runs,
            dry_runs: Vec::new(),
        }
    }

    /// Something happens that policies may have to do with.
    pub fn disturb(&mut self, now: Timestamp) {
        self.quiet_since = now;
        self.expecting = [false; RESOURCES.len()];
    }
}

impl Lived {
    pub fn perform_on_policy(&mut self, act: &PolicyAct) {
        let clock = self.machine.clock();
        let now = self.machine.now;
        if !act.is_quiet() {
            self.ledger.disturb(now);
        }
        if !matches!(act, PolicyAct::Push { .. } | PolicyAct::Feed { .. } | PolicyAct::Pull { .. }) {
            self.ledger.expecting = [false; RESOURCES.len()];
        }
        match act {
            PolicyAct::Put { resource, plan } => self.put(*resource, plan),
            PolicyAct::Mode { resource, mode } => {
                if let Some(plan) = self.ledger.plans[*resource].clone() {
                    self.put(*resource, &Plan { mode: *mode, ..plan });
                }
            }
            PolicyAct::Delete { resource } => self.delete(*resource),
            PolicyAct::File { resource, plan } => {
                let what = if plan.is_some() { "policy laid down in the file" } else { "policy taken out of the file" };
                self.machine.surroundings.coverage.count(what);
                self.lay_down(*resource, plan.as_deref());
            }
            PolicyAct::Push { resource, metric, value, age } => {
                self.push(*resource, *metric, *value, clock - *age);
            }
            PolicyAct::PushAgain { resource, metric } => {
                if let Some((value, at)) = self.ledger.pushes[*resource][*metric as usize] {
                    self.machine.surroundings.coverage.count("value pushed twice");
                    self.push(*resource, *metric, value, at);
                }
            }
            PolicyAct::Feed { resource, metric, value, every, times } => {
                for _ in 0..*times {
                    let at = self.machine.clock();
                    self.push(*resource, *metric, *value, at);
                    self.pass(*every);
                }
            }
            PolicyAct::Pull { resource, metric, result } => self.pull(*resource, *metric, *result),
            PolicyAct::Hold { resource, kind, lasts } => self.hold(*resource, *kind, clock, *lasts),
            PolicyAct::EndHold { resource } => {
                self.ask(*resource, PolicyChangeRequest::EndHold, Asked::EndHold { resource: *resource });
            }
            PolicyAct::Claim { resource, units, kind, after, lasts } => {
                self.claim(*resource, *units, *kind, clock + *after, *lasts);
            }
            PolicyAct::RenewClaim { which, lasts } => {
                if let Some((resource, claim)) = self.ledger.claims.get(*which).cloned() {
                    let (id, until) = (claim.id, clock.max(claim.from) + *lasts);
                    let change = PolicyChangeRequest::RenewClaim { id, until, is_admin: true };
                    self.ask(resource, change, Asked::RenewClaim { resource, id, until });
                }
            }
            PolicyAct::EndClaim { which } => {
                if let Some((resource, claim)) = self.ledger.claims.get(*which).cloned() {
                    let change = PolicyChangeRequest::EndClaim { id: claim.id, is_admin: true };
                    self.ask(resource, change, Asked::EndClaim { resource, id: claim.id });
                }
            }
            PolicyAct::Cancel { resource } => {
                let is_its = |job: &&std::sync::Arc<scalegate::domain::Job>| {
                    job.is_of_policy() && job.ended().is_none() && job.resource == ALIASES[*resource]
                };
                let found = self.machine.disk.jobs().find(is_its).map(|job| job.id);
                if let Some(id) = found {
                    self.machine.surroundings.coverage.count("job of a policy canceled");
                    self.machine.cancel_on(&ALIASES[*resource], id);
                }
            }
        }
    }

    fn ask(&mut self, resource: usize, change: PolicyChangeRequest, asked: Asked) {
        let to = self.machine.next_request();
        self.machine.surroundings.policies.ask(to, asked);
        self.machine.change_policy(&ALIASES[resource], change);
    }

    fn put(&mut self, resource: usize, plan: &Plan) {
        let at = self.machine.clock();
        let policy = Box::new(self.given(plan).policy(resource, at));
        let change = PolicyChangeRequest::Put { policy, precondition: Precondition::None };
        self.ask(resource, change, Asked::Put { resource, plan: Box::new(plan.clone()), at });
        // It is refused where the file has a policy.
        if !self.ledger.in_file[resource] {
            self.ledger.plans[resource] = Some(plan.clone());
            self.expect_windows(resource, plan);
        }
    }

    /// The policy that the gateway works with.
    fn given(&self, plan: &Plan) -> Plan {
        match self.sabotage {
            Some(sabotage) => sabotage.plan(plan.clone()),
            None => plan.clone(),
        }
    }

    /// Puts `plan` into the configuration file in place of what it has about `resource`, and starts the next process.
    fn lay_down(&mut self, resource: usize, plan: Option<&Plan>) {
        let at = self.machine.clock();
        let policy = plan.map(|plan| Arc::new(self.given(plan).policy(resource, at)));
        if self.sabotage != Some(Sabotage::FileIgnored) {
            self.machine.change_scaling(|scaling| match policy {
                Some(policy) => drop(scaling.policies.insert(ALIASES[resource].clone(), policy)),
                None => drop(scaling.policies.remove(&ALIASES[resource])),
            });
        }
        self.ledger.in_file[resource] = plan.is_some();
        self.ledger.windows.retain(|ahead| ahead.resource != resource);
        let plan_in_file = plan.map(|plan| PutPlan { plan: plan.clone(), at });
        let Machine { surroundings, disk, .. } = &mut self.machine;
        surroundings.policies.lay_down(resource, plan_in_file, disk);
        // The process before had another policy: what it would have decided says nothing.
        self.restart(0, Duration::ZERO, false, true);
        if let Some(plan) = plan {
            self.ledger.plans[resource] = Some(plan.clone());
            self.expect_windows(resource, plan);
        }
    }

    fn expect_windows(&mut self, resource: usize, plan: &Plan) {
        self.ledger.windows.retain(|ahead| ahead.resource != resource);
        let now = self.machine.now;
        for rule in &plan.rules {
            let RulePlan::Once { opens_after, bounds, .. } = *rule else { continue };
            let Some(min) = bounds.min.filter(|min| bounds.is_before && *min <= plan.least_max()) else { continue };
            let step = (plan.cooldown + Duration::from_secs(1)).max(plan.expected_change + Duration::from_secs(1));
            let climb = step * min.div_ceil(plan.step_size) + step + WINDOW_TIME;
            if plan.mode == Mode::Active {
                self.ledger.windows.push(Ahead { resource, opens: now + opens_after, min, climb });
            }
        }
    }

    fn delete(&mut self, resource: usize) {
        let change = PolicyChangeRequest::Delete { precondition: Precondition::None };
        self.ask(resource, change, Asked::Delete { resource });
        self.ledger.windows.retain(|ahead| ahead.resource != resource);
    }

    /// A value that was observed at `at`.
    fn push(&mut self, resource: usize, metric: Metric, value: i32, at: Timestamp) {
        let clock = self.machine.clock();
        if at + Duration::from_millis(1) < clock {
            self.machine.surroundings.coverage.count("value pushed late");
        }
        self.ledger.pushes[resource][metric as usize] = Some((value, at));
        // A broken gateway takes whatever comes for new.
        let taken_at = if self.sabotage == Some(Sabotage::SamplesAlwaysNew) { clock } else { at.min(clock) };
        let sample = Sample { at: taken_at, value: f64::from(value) };
        let samples = BTreeMap::from([(metric.name().clone(), vec![sample])]);
        let asked = Asked::Push { resource, metric, value, at: at.min(clock) };
        self.ask(resource, PolicyChangeRequest::Push(samples), asked);
    }

    fn pull(&mut self, resource: usize, metric: Metric, result: Result<u32, Missing>) {
        let clock = self.machine.clock();
        let surroundings = &mut self.machine.surroundings;
        surroundings.coverage.count(if result.is_ok() { "value pulled" } else { "source of a metric failed" });
        surroundings.policies.pulled(resource, metric, result, clock);
        let result = match result {
            Err(_) if self.sabotage == Some(Sabotage::MissingIsZero) => Ok(0),
            result => result,
        };
        self.machine.on_metric(&ALIASES[resource], metric.name(), clock, result.map(f64::from).map_err(NoValue::from));
    }

    fn hold(&mut self, resource: usize, kind: HoldKind, clock: Timestamp, lasts: Duration) {
        let hold = Hold { kind, until: clock + lasts, reason: None, by: None, created_at: clock };
        let given = match self.sabotage {
            Some(Sabotage::HoldsIgnored) => Hold { until: clock + Duration::from_millis(1), ..hold.clone() },
            _ => hold.clone(),
        };
        self.ask(resource, PolicyChangeRequest::Hold(given), Asked::Hold { resource, hold });
    }

    fn claim(&mut self, resource: usize, units: u32, kind: ClaimKind, from: Timestamp, lasts: Duration) {
        let claim = Claim {
            id: Uuid::from_u128(self.ledger.claims.len() as u128 + 1),
            units: capacity(units),
            kind,
            from,
            until: from + lasts,
            owner: None,
            reason: None,
            by: None,
            created_at: self.machine.clock(),
            alert: None,
        };
        self.ledger.claims.push((resource, claim.clone()));
        self.ask(resource, PolicyChangeRequest::Claim(claim.clone()), Asked::Claim { resource, claim });
    }

    // ---- while time passes ----------------------------------------------------------------------------------------

    /// Before a process ends: what it knows now is what the next one has to decide by, if all of that is on the disk.
    pub fn expect_no_amnesia(&mut self, is_comparable: bool) {
        let is_comparable =
            is_comparable && self.machine.is_recorded() && !self.machine.surroundings.policies.is_lawless();
        for (resource, name) in ALIASES.iter().enumerate() {
            let core = self.machine.core();
            let has_policy = core.standing(name, self.machine.clock()).policy.is_some();
            let is_idle = core.lane(name).is_some_and(|lane| lane.jobs().next().is_none() && lane.change().is_none());
            let is_alone = !self.follows(resource);
            self.ledger.differing_since[resource] = None;
            self.ledger.expecting[resource] = is_comparable && has_policy && is_idle && is_alone;
        }
    }

    /// Whether a policy of a resource that was put lately looks at the other resource.
    fn follows(&self, resource: usize) -> bool {
        let plan = self.ledger.plans[resource].as_ref();
        plan.is_some_and(|plan| plan.rules.iter().any(|rule| matches!(rule, RulePlan::Follow { .. })))
    }

    /// The last decision about a resource, and its number.
    fn last_decision(&self, name: &Alias) -> Option<Decision> {
        self.machine.core().standing(name, self.machine.clock()).policy.and_then(|policy| policy.decision)
    }

    /// Before a step: what policies would decide in it, if they do.
    pub fn expect_decisions(&mut self) {
        if !self.ledger.compares_dry_runs {
            return;
        }
        let Some(at) = self.machine.next_at() else { return };
        let at = shifted(at.max(self.machine.now), self.machine.clock_error);
        for (resource, name) in ALIASES.iter().enumerate() {
            let core = self.machine.core();
            // A lane that moves on at the same time may change what is decided.
            let moves_on =
                |name: &Alias| core.lane(name).and_then(|lane| lane.wake_at()).is_some_and(|wake| wake <= at);
            // So may another policy that it follows.
            if ALIASES.iter().any(moves_on) || self.follows(resource) || core.next_wake().is_none_or(|wake| wake > at) {
                continue;
            }
            if let Some(expected) = Machine::<Referee>::would_decide(core, name, at) {
                let before = self.last_decision(name).map(|last| (last.id, last.count));
                self.ledger.dry_runs.push(DryRun { resource, before, expected });
            }
        }
    }

    /// After a step: what a new process decides first, and what is due.
    pub fn compare(&mut self) {
        self.compare_with_dry_runs();
        self.compare_with_predecessor();
        self.check_windows();
    }

    fn compare_with_dry_runs(&mut self) {
        for DryRun { resource, before, expected } in std::mem::take(&mut self.ledger.dry_runs) {
            let decided = self.last_decision(&ALIASES[resource]);
            // A policy that is off decides nothing, and is tried as if it advised.
            let decided = decided.filter(|decided| {
                before != Some((decided.id, decided.count)) && decided.policy_revision == expected.policy_revision
            });
            let Some(decided) = decided else { continue };
            let referee = &mut self.machine.surroundings;
            referee.coverage.count("decision compared with a dry run");
            referee.demand(is_same(&expected, &decided), || {
                format!("same code: a dry run said {expected:#?}, then {decided:#?}")
            });
        }
    }

    fn compare_with_predecessor(&mut self) {
        if self.ledger.expecting == [false; RESOURCES.len()] {
            self.machine.predecessor = None;
            return;
        }
        let clock = self.machine.clock();
        for (resource, name) in ALIASES.iter().enumerate() {
            let Some(predecessor) = self.machine.predecessor.as_ref().filter(|_| self.ledger.expecting[resource])
            else {
                continue;
            };
            let core = self.machine.core();
            let [is, would_be] = [core, predecessor].map(|core| Machine::<Referee>::would_decide(core, name, clock));
            let (Some(is), Some(would_be)) = (is, would_be) else { continue };
            let has_job = |core: &Core| core.lane(name).is_some_and(|lane| lane.jobs().next().is_some());
            let (acts, would_act) = (has_job(core), has_job(predecessor));
            // Nothing is decided before there is a reading; and once both act, only one of them is answered.
            if is.capacity.is_none() || is.capacity != would_be.capacity {
                self.ledger.expecting[resource] &= !acts;
                continue;
            }
            if acts && would_act {
                self.ledger.expecting[resource] = false;
                self.ledger.differing_since[resource] = None;
                continue;
            }
            self.machine.surroundings.coverage.count("decision compared across a restart");
            let agree = if acts || would_act {
                is.decided == would_be.decided && acts == would_act
            } else {
                is_same(&is, &would_be)
            };
            if agree {
                self.ledger.differing_since[resource] = None;
                continue;
            }
            let since = *self.ledger.differing_since[resource].get_or_insert(clock);
            self.machine.surroundings.demand(clock.since(since) < PHASE, || {
                format!("no amnesia: without the restart it would have decided {would_be:#?}, not {is:#?}")
            });
        }
    }

    fn check_windows(&mut self) {
        let now = self.machine.now;
        let Some(place) = self.ledger.windows.iter().position(|ahead| ahead.opens <= now) else { return };
        let Ahead { resource, opens, min, climb } = self.ledger.windows.remove(place);
        let quiet_since = self.ledger.quiet_since;
        let referee = &mut self.machine.surroundings;
        let is_promised = referee.policies.promised(resource).is_some_and(|put| put.plan.mode == Mode::Active);
        let is_undisturbed = quiet_since + climb <= opens && !referee.policies.is_asked_of(resource);
        let of_people = self.machine.disk.jobs().filter(|job| job.resource == ALIASES[resource] && !job.is_of_policy());
        let is_free = of_people.into_iter().all(|job| job.finished_at.is_some_and(|at| at <= quiet_since));
        if !(referee.is_steady && is_promised && is_undisturbed && is_free) {
            return;
        }
        let ready = referee.sidecar.resource(now, resource).ready_units_at(opens);
        referee.coverage.count("window ready on time");
        referee.demand(ready >= min, || {
            format!("ready on time: {ready} of {min} units of {} were ready at {opens}", RESOURCES[resource])
        });
    }

    /// Ends all policies, holds and claims, so that nothing is asked for any more.
    pub fn end_policies(&mut self) {
        if self.ledger.plans.iter().all(Option::is_none) {
            return;
        }
        for resource in (0..RESOURCES.len()).filter(|resource| self.ledger.in_file[*resource]).collect::<Vec<_>>() {
            self.lay_down(resource, None);
        }
        for _ in 0..20 {
            let clock = self.machine.clock();
            let is_in_force = |name: &Alias| self.machine.core().standing(name, clock).policy.is_some();
            let left: Vec<usize> = (0..RESOURCES.len()).filter(|resource| is_in_force(&ALIASES[*resource])).collect();
            if left.is_empty() && self.machine.is_committed() {
                return;
            }
            left.into_iter().for_each(|resource| self.delete(resource));
            self.pass(Duration::from_secs(10));
            if self.is_over() {
                return;
            }
        }
        self.machine.surroundings.demand(false, || "every policy ends: not so".to_owned());
    }
}
