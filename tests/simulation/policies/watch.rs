//! What callers were promised about policies, holds and claims, what was really measured, and the rules that follow.
//!
//! It knows what was asked for and answered, and judges every decision by its record. It must never ask the engine why.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use scalegate::domain::policy::{
    Action, Claim, ClaimId, ClaimKind, Decision, DecisionId, Direction, Hold, HoldKind, Limiter, MetricState, Missing,
    Mode, Says,
};
use scalegate::domain::{Capacity, Job, JobId, Move, StepOutcome, Timestamp};
use scalegate::engine::{PolicyAnswer, PolicyRefusal, ReplyTo, StandingView};
use scalegate::sim::Disk;
use scalegate::store::Unit;

use super::plan::{CPU_WINDOW, Formula, Metric, Plan, RulePlan};
use crate::referee::{ALIASES, Violation, short};
use crate::scenario::RESOURCES;
use crate::sidecar::index_of;

/// How long a policy may take to hear of a hold: decisions are a second apart, and commits slow.
const HOLD_GRACE: Duration = Duration::from_secs(20);

/// A request about the policy of a resource, until it is answered.
#[derive(Clone, Debug)]
pub enum Asked {
    Put { resource: usize, plan: Box<Plan>, at: Timestamp },
    Delete { resource: usize },
    Hold { resource: usize, hold: Hold },
    EndHold { resource: usize },
    Claim { resource: usize, claim: Claim },
    RenewClaim { resource: usize, id: ClaimId, until: Timestamp },
    EndClaim { resource: usize, id: ClaimId },
    Push { resource: usize, metric: Metric, value: i32, at: Timestamp },
}

impl Asked {
    fn resource(&self) -> usize {
        match self {
            Self::Put { resource, .. }
            | Self::Delete { resource }
            | Self::Hold { resource, .. }
            | Self::EndHold { resource }
            | Self::Claim { resource, .. }
            | Self::RenewClaim { resource, .. }
            | Self::EndClaim { resource, .. }
            | Self::Push { resource, .. } => *resource,
        }
    }
}

/// A policy that was promised, and when it was asked for by the process's clock.
#[derive(Clone, Debug)]
pub struct PutPlan {
    pub plan: Plan,
    pub at: Timestamp,
}

/// A value that was accepted.
#[derive(Clone, Copy, Debug)]
struct Value {
    accepted_at: Timestamp,
    at: Timestamp,
}

/// What is true of a metric.
#[derive(Clone, Debug, Default)]
struct Truth {
    values: Vec<Value>,
    /// When something came that refutes the values before it.
    refuted_at: Option<Timestamp>,
    /// Whether values may have come that are not known here: the clock was changed.
    is_vague: bool,
}

impl Truth {
    /// Whether there was no value at `now`, whatever the gateway says.
    fn is_missing(&self, now: Timestamp, max_age: Duration) -> bool {
        match self.newest(now) {
            None => !self.is_vague && self.values.is_empty(),
            Some(value) => {
                let is_stale = now > value.at + max_age + Duration::from_millis(1);
                is_stale || self.refuted_at.is_some_and(|at| at < now)
            }
        }
    }

    /// A value came. One from before something that refuted the others does not count either.
    fn take(&mut self, value: Value) {
        self.refuted_at.take_if(|at| *at <= value.at);
        self.values.push(value);
    }

    /// The newest value that was known at `now`.
    fn newest(&self, now: Timestamp) -> Option<Value> {
        self.values.iter().rev().find(|value| value.accepted_at <= now).copied()
    }
}

/// What is promised about one resource, and what is known of it.
#[derive(Default)]
struct Watched {
    /// The revision of the policy in force.
    revision: Option<u64>,
    /// The policy in the configuration file, which counts before any that was put.
    in_file: Option<PutPlan>,
    /// The last decision of the policy before it.
    decided_before: Option<(DecisionId, u64)>,
    hold: Option<(Hold, Timestamp)>,
    claims: BTreeMap<ClaimId, (Claim, Timestamp)>,
    /// Whether something may have been done that no answer told of.
    is_unsure: bool,
    /// Whether what stands is to be compared with what is promised.
    is_due: bool,
    metrics: [Truth; Metric::ALL.len()],
    /// The last decision that was told.
    decision: Option<Decision>,
    /// Whether there ever was a claim of extra units.
    had_extra: bool,
    /// When a change took effect that the gateway cannot have missed, as it tells of the new capacity.
    intent_of: Option<JobId>,
    handed: Option<Handed>,
}

/// A change that was handed over.
#[derive(Clone, Copy)]
struct Handed {
    at: Timestamp,
    target: Option<Capacity>,
}

/// A target of a policy's job that a decision has to explain.
struct Unexplained {
    resource: usize,
    job: JobId,
    target: Option<Capacity>,
    /// The decision that asked for it; none if the job is new.
    retarget: Option<DecisionId>,
}

/// See the module's documentation.
#[derive(Default)]
pub struct Watch {
    pub violations: Vec<Violation>,
    pub counts: Vec<&'static str>,
    asked: HashMap<ReplyTo, Asked>,
    resources: [Watched; RESOURCES.len()],
    plans: HashMap<(usize, u64), PutPlan>,
    unexplained: Vec<Unexplained>,
    targets: HashMap<JobId, Capacity>,
    /// Whether a machine was started with another clock, so that nothing is known of the age of values.
    is_lawless: bool,
}

impl Watch {
    fn demand(&mut self, holds: bool, violation: impl FnOnce() -> Violation) {
        if !holds {
            self.violations.push(violation());
        }
    }

    // ---- requests -----------------------------------------------------------------------------------------------

    /// A request is made.
    pub fn ask(&mut self, to: ReplyTo, asked: Asked) {
        self.asked.insert(to, asked);
    }

    /// A request is answered, when the process's clock shows `clock`.
    pub fn answered(&mut self, to: ReplyTo, answer: &PolicyAnswer, clock: Timestamp) {
        let Some(asked) = self.asked.remove(&to) else { return };
        let watched = &mut self.resources[asked.resource()];
        watched.is_due = true;
        match (asked, answer) {
            (asked @ (Asked::Put { .. } | Asked::Delete { .. }), PolicyAnswer::Put { .. } | PolicyAnswer::Gone)
                if watched.in_file.is_some() =>
            {
                self.violations.push(format!("the file has the last word: {asked:?} is answered with {answer:?}"));
            }
            (Asked::Put { resource, plan, at }, PolicyAnswer::Put { view, .. }) => {
                watched.revision = Some(view.revision);
                self.counts.push("policy put");
                self.plans.entry((resource, view.revision)).or_insert(PutPlan { plan: *plan, at });
            }
            (Asked::Delete { .. }, PolicyAnswer::Gone) => {
                watched.revision = None;
                watched.claims.clear();
                self.counts.push("policy deleted");
            }
            (Asked::Hold { hold, .. }, PolicyAnswer::Hold { .. }) => {
                watched.hold = Some((hold, clock));
                self.counts.push("hold made");
            }
            (Asked::EndHold { .. }, PolicyAnswer::Gone) => {
                watched.hold = None;
                self.counts.push("hold ended");
            }
            (Asked::Claim { claim, .. }, PolicyAnswer::Claim(_)) => {
                watched.had_extra |= claim.kind == ClaimKind::Extra;
                watched.claims.insert(claim.id, (claim, clock));
                self.counts.push("claim made");
            }
            (Asked::RenewClaim { id, until, .. }, PolicyAnswer::Claim(_)) => {
                if let Some((claim, since)) = watched.claims.get_mut(&id) {
                    (claim.until, *since) = (until, clock);
                }
                self.counts.push("claim renewed");
            }
            (Asked::EndClaim { id, .. }, PolicyAnswer::Gone) => {
                watched.claims.remove(&id);
                self.counts.push("claim ended");
            }
            (Asked::Push { metric, value, at, .. }, PolicyAnswer::Pushed { accepted, .. }) => {
                if *accepted > 0 {
                    watched.metrics[metric as usize].take(Value { accepted_at: clock, at });
                }
                let is_right = value >= 0;
                self.demand(is_right, || format!("missing is not zero: {value} is taken for a value"));
            }
            (_, PolicyAnswer::Refused(PolicyRefusal::Negative { .. })) => self.counts.push("negative value refused"),
            (_, PolicyAnswer::Refused(_)) => self.counts.push("refused about a policy"),
            (asked, answer) => self.violations.push(format!("a request is answered: {asked:?} with {answer:?}")),
        }
    }

    /// What was asked for may be done or not.
    pub fn abandoned(&mut self, to: ReplyTo) {
        if let Some(asked) = self.asked.remove(&to) {
            self.resources[asked.resource()].is_unsure = true;
            self.note_possible(&asked);
        }
    }

    /// A claim that may count all the same.
    fn note_possible(&mut self, asked: &Asked) {
        let watched = &mut self.resources[asked.resource()];
        watched.had_extra |= matches!(asked, Asked::Claim { claim, .. } if claim.kind == ClaimKind::Extra);
    }

    /// The source of a metric was asked when the clock showed `clock`.
    pub fn pulled(&mut self, resource: usize, metric: Metric, result: Result<u32, Missing>, clock: Timestamp) {
        let watched = &mut self.resources[resource];
        // Nothing is heard without a policy, and after an answer that did not come it is not known whether there is one.
        let is_heard = watched.revision.is_some() && !watched.is_unsure;
        let truth = &mut watched.metrics[metric as usize];
        match result {
            Ok(_) => truth.take(Value { accepted_at: clock, at: clock }),
            Err(Missing::Invalid | Missing::SeveralSeries) if is_heard => {
                truth.refuted_at.get_or_insert(clock);
            }
            Err(_) => {}
        }
    }

    // ---- restarts -----------------------------------------------------------------------------------------------

    /// A new process runs, whose clock may be another one.
    pub fn restarted(&mut self, is_other_clock: bool, is_lawless: bool) {
        self.is_lawless |= is_other_clock && is_lawless;
        for (_, asked) in std::mem::take(&mut self.asked) {
            self.resources[asked.resource()].is_unsure = true;
            self.note_possible(&asked);
        }
        for watched in &mut self.resources {
            watched.is_due = true;
            watched.is_unsure |= is_other_clock || is_lawless;
            watched.decision = None;
            for truth in &mut watched.metrics {
                truth.refuted_at = None;
                if is_other_clock {
                    *truth = Truth { is_vague: true, ..Truth::default() };
                }
            }
        }
    }

    /// The configuration file has `plan` about a resource from the next process on, in place of what was put and claimed.
    /// `disk` is what that process finds.
    pub fn lay_down(&mut self, resource: usize, plan: Option<PutPlan>, disk: &Disk) {
        let watched = &mut self.resources[resource];
        watched.in_file = plan;
        watched.decided_before = disk.decisions(&ALIASES[resource]).last().map(|last| (last.id, last.count));
        watched.is_unsure = true;
    }

    /// Lanes were given up and adopted again.
    pub fn adopted_again(&mut self) {
        for watched in &mut self.resources {
            watched.is_due = true;
            watched.decision = None;
            watched.metrics.iter_mut().for_each(|truth| truth.refuted_at = None);
        }
    }

    /// Whether what stands about a resource is to be looked at.
    pub fn is_due(&self, resource: usize) -> bool {
        self.resources[resource].is_due && !self.asked.values().any(|asked| asked.resource() == resource)
    }

    /// Compares what stands about a resource with what is promised. Everything is on the disk.
    pub fn check_standing(&mut self, resource: usize, standing: &StandingView, clock: Timestamp) {
        let watched = &mut self.resources[resource];
        watched.is_due = false;
        let revision = standing.policy.as_ref().map(|policy| policy.revision);
        let is_in_file = standing.policy.as_ref().is_some_and(|policy| policy.is_in_file);
        let is_laid_down = watched.in_file.is_some();
        if is_in_file != is_laid_down {
            let told = format!("the file has the last word: a policy in it is {is_laid_down}, in force {is_in_file}");
            self.violations.push(told);
            return;
        }
        if std::mem::take(&mut watched.is_unsure) {
            watched.revision = revision;
            watched.hold = standing.hold.clone().map(|hold| (hold, clock));
            let claims = standing.claims.iter().map(|view| (view.claim.id, (view.claim.clone(), clock)));
            watched.claims = claims.collect();
            return;
        }
        let hold = watched.hold.as_ref().map(|(hold, _)| hold.clone()).filter(|hold| hold.counts_at(clock));
        let claims: Vec<Claim> =
            watched.claims.values().map(|(claim, _)| claim.clone()).filter(|claim| clock < claim.until).collect();
        let mut found: Vec<Claim> = standing.claims.iter().map(|view| view.claim.clone()).collect();
        found.sort_by_key(|claim| claim.id);
        let promised = watched.revision;
        self.demand(promised == revision, || {
            format!("no amnesia: revision {promised:?} is promised, {revision:?} in force")
        });
        self.demand(hold == standing.hold, || {
            format!("no amnesia: {hold:?} is promised, {:?} in force", standing.hold)
        });
        self.demand(claims == found, || format!("no amnesia: {claims:?} are promised, {found:?} in force"));
    }

    // ---- jobs ---------------------------------------------------------------------------------------------------

    /// The engine asks for `unit` to be written.
    pub fn asked_to_write(&mut self, unit: &Unit) {
        for job in &unit.jobs {
            self.targets.extend(job.target.map(|target| (job.id, target)));
            let is_intended =
                job.steps.last().is_some_and(|step| step.outcome == StepOutcome::Pending && step.sent_at.is_none());
            if is_intended {
                self.resources[index_of(&job.resource)].intent_of = Some(job.id);
            }
        }
    }

    /// The engine hands over a change, when the process's clock shows `clock`.
    pub fn handed_over(&mut self, resource: usize, change: Move, clock: Timestamp) {
        let watched = &mut self.resources[resource];
        let job = watched.intent_of;
        let target = job.and_then(|job| self.targets.get(&job)).copied();
        watched.handed = Some(Handed { at: clock, target });
        let fits = target.is_none_or(|target| change.is_toward(target));
        self.demand(fits, || {
            format!("never a stale intent: {change} is sent for {:?}, the last target is {target:?}", job.map(short))
        });
    }

    /// The target that the last change of a resource was handed over for.
    pub fn handed_target(&self, resource: usize) -> Option<Capacity> {
        self.resources[resource].handed.and_then(|handed| handed.target)
    }

    /// A change of a policy's job reaches the sidecar.
    pub fn check_sent(&mut self, resource: usize, change: Move) {
        let watched = &self.resources[resource];
        let Some((hold, since)) = watched.hold.clone() else { return };
        let Some(Handed { at, .. }) = watched.handed else { return };
        let is_in_force = since + HOLD_GRACE <= at && hold.counts_at(at) && !self.is_asked_to_hold(resource);
        let is_free = match hold.kind {
            HoldKind::Capacity(pin) => change.is_toward(pin),
            HoldKind::Direction(direction) => is_let_by(direction, change.from, change.to),
        };
        self.demand(!is_in_force || is_free, || {
            format!("under a hold only what its pin asks for: {change} under {hold:?} since {since}")
        });
    }

    fn is_asked_to_hold(&self, resource: usize) -> bool {
        self.asked.values().any(|asked| match asked {
            Asked::Hold { .. } | Asked::EndHold { .. } => asked.resource() == resource,
            _ => false,
        })
    }

    /// A version of a policy's job is about to be written in place of the one `before`.
    pub fn written(&mut self, before: Option<&Job>, job: &Job, disk: &Disk) {
        let count = |job: &Job| job.retargets.count;
        let resource = index_of(&job.resource);
        let unexplained = |retarget| Unexplained { resource, job: job.id, target: job.target, retarget };
        match before {
            None => {
                self.unexplained.push(unexplained(None));
                let is_of_person = |other: &&std::sync::Arc<Job>| {
                    other.resource == job.resource && !other.is_of_policy() && other.ended().is_none()
                };
                let busy = disk.jobs().find(is_of_person).map(|other| short(other.id));
                self.demand(busy.is_none(), || {
                    format!("people come first: {} is submitted while {busy:?} is unfinished", short(job.id))
                });
            }
            Some(before) if count(before) < count(job) => {
                let decision = job.retargets.newest.last().map(|retarget| retarget.decision);
                self.unexplained.push(unexplained(decision));
            }
            Some(_) => {}
        }
    }

    /// Whatever the last unit changed has its decision in the ledger.
    pub fn check_explained(&mut self, disk: &Disk) {
        for Unexplained { resource, job, target, retarget } in std::mem::take(&mut self.unexplained) {
            let ledger = disk.decisions(&ALIASES[resource]);
            let action = if retarget.is_some() { Action::Retargeted } else { Action::Submitted };
            let found = ledger.iter().rev().find(|decision| {
                decision.job_id == Some(job)
                    && decision.action == action
                    && retarget.is_none_or(|retarget| decision.id == retarget)
            });
            let Some(decision) = found.cloned() else {
                self.violations.push(format!("explained: no decision in the ledger {action:?} {}", short(job)));
                continue;
            };
            // While a pause lasts, a job goes no farther than the change under way leads, which the sentence says.
            let is_told = |target: Capacity| decision.detail.starts_with(&format!("To {target} instead of "));
            let is_target = decision.decided == target || target.is_some_and(is_told);
            let shown = decision.stages.last().map(|stage| stage.value);
            let is_whole = is_target
                && decision.stages.first().map(|stage| (stage.stage, Some(stage.value)))
                    == Some((Limiter::Rules, decision.wanted))
                && shown == decision.decided
                && !decision.detail.is_empty()
                && Metric::ALL.iter().all(|metric| decision.metrics.contains_key(metric.name()));
            self.demand(is_whole, || format!("explained: {target:?} is not what {decision:#?} says"));
            let plan = self.plan_of(resource, decision.policy_revision).map(|put| put.plan.clone());
            if let Some(plan) = plan {
                let is_asked = plan.mode == Mode::Active && decision.rules.len() == plan.rules.len();
                self.demand(is_asked, || format!("nothing unasked: a policy with {plan:?} {decision:#?}"));
            }
            if let Some(target) = target {
                self.check_target(resource, &decision, target);
            }
        }
    }

    /// Whether the hold in force lets a decision give a job this target.
    fn check_target(&mut self, resource: usize, decision: &Decision, target: Capacity) {
        let Some((hold, since)) = self.resources[resource].hold.clone() else { return };
        let Some(capacity) = decision.capacity else { return };
        let is_in_force =
            since <= decision.last_at && hold.counts_at(decision.last_at) && !self.is_asked_to_hold(resource);
        let is_free = match hold.kind {
            HoldKind::Capacity(pin) => {
                // As near to the pin as it may go.
                let is_stopped = matches!(decision.limited_by, Some(Limiter::File | Limiter::Platform));
                let way = capacity.min(pin)..=capacity.max(pin);
                target == pin || (is_stopped && way.contains(&target))
            }
            HoldKind::Direction(direction) => is_let_by(direction, capacity, target),
        };
        self.demand(!is_in_force || is_free, || {
            format!("under a hold only what its pin asks for: {target} under {hold:?} since {since}, {decision:#?}")
        });
    }

    // ---- decisions ----------------------------------------------------------------------------------------------

    /// Those who watch are told of a decision. `effect_at` is when the resource last changed, by the process's clock, and
    /// to what; none if that clock or the gateway's readings cannot be trusted.
    pub fn decided(&mut self, decision: &Decision, effect: Option<(Timestamp, u32)>) {
        let resource = index_of(&decision.resource);
        // What the policy before decided is told again when the file has another one.
        let is_told_again = self.resources[resource].decided_before == Some((decision.id, decision.count));
        let put = self.plan_of(resource, decision.policy_revision).filter(|_| !is_told_again).cloned();
        if let (Some(put), Some(_)) = (put, decision.decided) {
            let has_expression = put.plan.rules.iter().any(|rule| matches!(rule, RulePlan::Expression(_)));
            self.counts.extend(has_expression.then_some("expression in a decision"));
            self.check_mode(&put.plan, decision);
            self.check_missing(resource, &put.plan, decision);
            self.check_claims(resource, decision);
            self.check_windows(&put, decision);
            self.check_samples(resource, &put.plan, decision, effect);
        }
        self.counts.push(match decision.action {
            Action::Submitted => "decision: submitted",
            Action::Retargeted => "decision: retargeted",
            Action::Canceled => "decision: canceled",
            Action::None => "decision: none",
            Action::Advised => "decision: advised",
        });
        self.resources[resource].decision = Some(decision.clone());
    }

    fn check_mode(&mut self, plan: &Plan, decision: &Decision) {
        let acts = matches!(decision.action, Action::Submitted | Action::Retargeted);
        let is_asked = decision.mode == plan.mode && (plan.mode == Mode::Active || !acts);
        self.demand(is_asked, || format!("nothing unasked: {:?} {decision:#?}", plan.mode));
    }

    fn check_missing(&mut self, resource: usize, plan: &Plan, decision: &Decision) {
        let now = decision.last_at;
        let metrics = decision.last_metrics.as_ref().unwrap_or(&decision.metrics);
        let mut lacks = false;
        for metric in Metric::ALL {
            let shown = metrics.get(metric.name()).and_then(MetricState::missing_reason);
            let truth = &self.resources[resource].metrics[metric as usize];
            let is_missing = !self.is_lawless && truth.is_missing(now, plan.max_age);
            let told =
                || format!("missing is not zero: {metric:?} has no value ({truth:?}) and is used in {decision:#?}");
            let violation = (is_missing && shown.is_none()).then(told);
            self.violations.extend(violation);
            lacks |= plan.looks_at(metric) && (shown.is_some() || is_missing);
        }
        if !lacks || !plan.holds_when_missing || self.resources[resource].had_extra {
            return;
        }
        self.counts.push("metric missing in a decision");
        let lowers = decision.decided < decision.target
            && !matches!(
                decision.limited_by,
                Some(Limiter::Windows | Limiter::Bounds | Limiter::Hold | Limiter::File | Limiter::Platform)
            );
        let holds = decision.wanted >= decision.target && !lowers;
        self.demand(holds, || format!("missing is not zero: it lowers the capacity in {decision:#?}"));
    }

    fn check_claims(&mut self, resource: usize, decision: &Decision) {
        let counted = self.resources[resource].claims.values().filter(|(claim, since)| {
            claim.kind == ClaimKind::AtLeast && *since <= decision.last_at && claim.counts_at(decision.last_at)
        });
        let Some(least) = counted.map(|(claim, _)| claim.units).max() else { return };
        let is_limited = matches!(
            decision.limited_by,
            Some(Limiter::Windows | Limiter::Bounds | Limiter::Hold | Limiter::File | Limiter::Platform)
        );
        let is_being_ended = self.asked.values().any(|asked| asked.resource() == resource);
        let is_met = decision.decided >= Some(least) || is_limited || is_being_ended;
        self.demand(is_met, || format!("claims count: {least} is asked for, not so in {decision:#?}"));
    }

    fn check_windows(&mut self, put: &PutPlan, decision: &Decision) {
        if matches!(decision.limited_by, Some(Limiter::Hold | Limiter::File | Limiter::Platform)) {
            return;
        }
        let Some(decided) = decision.decided.map(Capacity::units) else { return };
        let bounds = || put.plan.rules.iter().filter_map(RulePlan::bounds);
        let (least_max, greatest_min) =
            (bounds().filter_map(|it| it.max).min(), bounds().filter_map(|it| it.min).max());
        let is_open = |rule: &RulePlan| is_open(rule, put.at, decision.last_at);
        // A window with a date of its own counts before those that recur.
        let is_once = |rule: &&RulePlan| matches!(rule, RulePlan::Once { .. }) && is_open(rule);
        let once = put.plan.rules.iter().any(|rule| is_once(&rule));
        for (index, rule) in put.plan.rules.iter().enumerate() {
            let Some(window) = rule.bounds().filter(|_| is_open(rule) && (is_once(&rule) || !once)) else { continue };
            let is_contradicted = least_max.zip(greatest_min).is_some_and(|(max, min)| min > max);
            let holds = is_contradicted
                || (window.min.is_none_or(|min| decided >= min) && window.max.is_none_or(|max| decided <= max));
            self.demand(holds, || {
                format!("a window means what it says: {:?} is open, not so in {decision:#?}", put.plan.rules[index])
            });
        }
    }

    /// A rule with an average takes no value from before the last change for one from after it.
    fn check_samples(&mut self, resource: usize, plan: &Plan, decision: &Decision, effect: Option<(Timestamp, u32)>) {
        let Some((effect_at, units)) = effect else { return };
        let watched = &self.resources[resource];
        let Some(before) = &watched.decision else { return };
        if before.policy_revision != decision.policy_revision
            || decision.capacity.map(Capacity::units) != Some(units)
            || effect_at >= decision.last_at
        {
            return;
        }
        let Some(newest) = watched.metrics[Metric::Cpu as usize].newest(decision.last_at) else { return };
        let is_fresh = |decision: &Decision| {
            let metrics = decision.last_metrics.as_ref().unwrap_or(&decision.metrics);
            metrics.get(Metric::Cpu.name()).is_some_and(|state| state.fresh().is_some())
        };
        if newest.at >= effect_at + CPU_WINDOW || !is_fresh(before) || !is_fresh(decision) {
            return;
        }
        let by_capacity =
            |rule: &RulePlan| matches!(rule, RulePlan::Utilization | RulePlan::Expression(Formula::Capacity));
        for (index, _) in plan.rules.iter().enumerate().filter(|(_, rule)| by_capacity(rule)) {
            let says = |decision: &Decision| decision.rules.get(index).map(|rule| rule.says);
            let (Some(Says::Wants(Some(old))), Some(Says::Wants(Some(new)))) = (says(before), says(decision)) else {
                continue;
            };
            self.violations.extend((old != new).then(|| {
                format!(
                    "never twice on one sample: of {}, before the change at {effect_at}, {new} instead of {old} in \
                     {decision:#?} after {before:#?}",
                    newest.at
                )
            }));
        }
    }

    /// Whether a machine was started with another clock.
    pub fn is_lawless(&self) -> bool {
        self.is_lawless
    }

    /// The promised policy of a resource.
    pub fn promised(&self, resource: usize) -> Option<&PutPlan> {
        self.plan_of(resource, self.resources[resource].revision?)
    }

    /// The policy that decides as `revision` about a resource.
    fn plan_of(&self, resource: usize, revision: u64) -> Option<&PutPlan> {
        self.resources[resource].in_file.as_ref().or_else(|| self.plans.get(&(resource, revision)))
    }

    /// Whether a hold or a claim may be about a resource.
    pub fn is_asked_of(&self, resource: usize) -> bool {
        self.resources[resource].hold.is_some() || !self.resources[resource].claims.is_empty()
    }
}

fn is_let_by(direction: Direction, from: Capacity, to: Capacity) -> bool {
    match direction {
        Direction::Both => to == from,
        Direction::Up => to <= from,
        Direction::Down => to >= from,
    }
}

/// Whether the window of `rule`, which was put at `put_at`, is open at `now`. Expressions are in UTC, in whole minutes that
/// divide an hour.
fn is_open(rule: &RulePlan, put_at: Timestamp, now: Timestamp) -> bool {
    match *rule {
        RulePlan::Once { opens_after, lasts, .. } => {
            let opens = put_at + opens_after;
            opens <= now && now < opens + lasts
        }
        RulePlan::Cron { every_minutes, lasts, .. } => {
            let since = now.as_millis().rem_euclid(i64::from(every_minutes) * 60_000);
            since < lasts.as_millis() as i64
        }
        _ => false,
    }
}

/// Whether two decisions come to the same for the same reasons.
pub fn is_same(one: &Decision, other: &Decision) -> bool {
    let says = |decision: &Decision| decision.rules.iter().map(|rule| rule.says).collect::<Vec<_>>();
    let states = |decision: &Decision| {
        let metrics = decision.last_metrics.as_ref().unwrap_or(&decision.metrics);
        metrics.values().map(|state| state.fresh().is_some()).collect::<Vec<_>>()
    };
    (one.capacity, one.decided, one.wanted, one.limited_by, one.action)
        == (other.capacity, other.decided, other.wanted, other.limited_by, other.action)
        && says(one) == says(other)
        && states(one) == states(other)
}
