//! The one function that decides: live, in dry runs, in backtests and in simulations.
//!
//! It has no clock and no memory of its own: the same inputs, memory and time give the same decision. It must never count
//! a missing value as a number, and never ask for a change unless the mode is active.
//! Rejected: decisions spread over the events that cause them, because no two of them would then agree.
//!
//! A policy in `advise` mode starts each time from what there really is, and takes nothing that it advised for done: the
//! same advice stands until it is followed or the inputs change. Its wishes and breaches evolve as in `active`.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::capacity::Capacity;
use super::super::time::Timestamp;
use super::act::{self, Act};
use super::condition::{Condition, ConditionCode};
use super::decision::{Action, Alternative, Decision, Limiter, Opinion, Says};
use super::document::{Mode, Policy};
use super::explain::sentence;
use super::inputs::{Inputs, LastReading};
use super::metric::{MetricState, Series, stale_at};
use super::name::Name;
use super::rules::{Observed, Recommendation, View, recommend};
use super::stages::{self, Asked, Trace};
use super::state::PolicyState;
use super::timer::Timer;
use super::windows::{Start, Windows, windows};

/// Least time between two decisions of a policy: what comes meanwhile is decided on together.
pub const TOGETHER: Duration = Duration::from_secs(1);

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The decision; none of a policy that is off.
    pub decision: Option<Decision>,
    /// The memory for the next one.
    pub state: PolicyState,
    /// What keeps the policy from acting or from deciding well.
    pub conditions: Vec<Condition>,
    /// What the engine is to do.
    pub act: Act,
    /// When time alone may change the answer, if it may.
    pub wake_at: Option<Timestamp>,
}

/// Decides what the target is at `now`.
pub fn decide(policy: &Policy, inputs: &Inputs<'_>, state: &PolicyState, now: Timestamp) -> Outcome {
    let hold = inputs.hold.filter(|hold| hold.counts_at(now));
    let inputs = &Inputs { hold, ..inputs.clone() };
    let mut state = state.clone();
    if policy.mode == Mode::Off {
        let act = inputs.own_job.map_or(Act::Nothing, |job| Act::Cancel { job: job.id });
        return Outcome { decision: None, state, conditions: Vec::new(), act, wake_at: None };
    }
    let mut timer = Timer::new(now);
    state.see_others(hold.is_some(), inputs.others_job.is_some());
    state.follow_metrics(policy, inputs.metrics, now);
    let metrics = observe(policy, inputs, &state, &mut timer);
    let mut conditions = act::conditions(policy.mode, inputs, &state, &mut timer);
    conditions.extend(missing_metrics(&metrics));
    let mut decision = blank(policy, inputs, &metrics, now);
    let Some(reading) = inputs.reading else {
        if policy.mode != Mode::Active {
            let act = inputs.own_job.map_or(Act::Nothing, |job| Act::Cancel { job: job.id });
            decision.action = act.action();
            return Outcome { decision: Some(decision), state, conditions, act, wake_at: timer.at() };
        }
        return Outcome { decision: Some(decision), state, conditions, act: Act::Nothing, wake_at: timer.at() };
    };
    let has_own_job = inputs.own_job.is_some() || inputs.ending_job.is_some();
    state.see_capacity(reading.capacity, reading.observed_at, has_own_job || inputs.others_job.is_some());
    state.had_own_job = has_own_job;
    let view = view(policy, inputs, &reading, &metrics, &mut state, now);
    let mut calculation = Calculation { policy, inputs, view, state, timer };
    let (opinions, recommendations) = calculation.ask_rules();
    let wanted = calculation.wanted(&recommendations);
    let decided = calculation.run_stages(wanted, &recommendations);
    if let Some(detail) = &decided.windows.contradiction {
        let code = ConditionCode::WindowsContradict;
        conditions.push(Condition { code, direction: None, detail: detail.clone(), until: None });
    }
    let (act, blocked_by) = calculation.act(&decided, &conditions, &mut decision);
    calculation.state.had_own_job |= matches!(act, Act::Submit { .. });
    calculation.write_down(&mut decision, opinions, &recommendations, wanted, decided);
    decision.blocked_by = blocked_by.map(|condition| condition.code);
    decision.detail = sentence(&decision, act, blocked_by);
    let Calculation { state, timer, .. } = calculation;
    Outcome { decision: Some(decision), state, conditions, act, wake_at: timer.at() }
}

fn observe<'a>(
    policy: &'a Policy,
    inputs: &Inputs<'a>,
    state: &PolicyState,
    timer: &mut Timer,
) -> BTreeMap<Name, Observed<'a>> {
    static EMPTY: Series = Series::new();
    let observed = policy.metrics.iter().filter_map(|(name, spec)| {
        let series = inputs.metrics.get(name).unwrap_or(&EMPTY);
        let metric = state.metrics.get(name)?.state(series, spec, timer.now());
        if let MetricState::Fresh(sample) = metric {
            timer.note(stale_at(sample, spec));
        }
        Some((name.clone(), Observed { spec, series, state: metric }))
    });
    observed.collect()
}

fn missing_metrics(metrics: &BTreeMap<Name, Observed<'_>>) -> Vec<Condition> {
    let missing = metrics.iter().filter_map(|(name, observed)| {
        let lack = observed.series.lack(observed.state)?;
        let detail = format!("Metric {name} {lack}.");
        Some(Condition { code: ConditionCode::MetricMissing, direction: None, detail, until: None })
    });
    missing.collect()
}

fn blank(policy: &Policy, inputs: &Inputs<'_>, metrics: &BTreeMap<Name, Observed<'_>>, now: Timestamp) -> Decision {
    let capacity = inputs.reading.map(|reading| reading.capacity);
    Decision {
        id: inputs.id,
        resource: inputs.resource.clone(),
        at: now,
        trigger: inputs.trigger,
        mode: policy.mode,
        policy_revision: inputs.revision,
        capacity,
        status: inputs.reading.map(|reading| reading.status.clone()),
        target: inputs.own_job.map(|job| job.target).or(capacity),
        metrics: metrics.iter().map(|(name, observed)| (name.clone(), observed.state)).collect(),
        last_metrics: None,
        rules: Vec::new(),
        stages: Vec::new(),
        wanted: None,
        decided: None,
        limited_by: None,
        action: Action::None,
        blocked_by: None,
        job_id: None,
        otherwise_if: Vec::new(),
        detail: "Nothing is decided: there is no usable reading yet.".to_owned(),
        count: 1,
        last_at: now,
    }
}

/// Works out what there is, and enters it as a wish where that is due.
fn view<'a>(
    policy: &Policy,
    inputs: &Inputs<'a>,
    reading: &LastReading<'a>,
    metrics: &'a BTreeMap<Name, Observed<'a>>,
    state: &mut PolicyState,
    now: Timestamp,
) -> View<'a> {
    if policy.mode != Mode::Active {
        // Nothing that it advised is in the capacity.
        state.extra = 0;
    }
    let less_extra = |units| super::rules::plus(units, -i64::from(state.extra));
    let present = less_extra(act::target(inputs.own_job, reading.capacity));
    let changed_at = state.seen.and_then(|seen| seen.since);
    let view = View {
        metrics,
        followed: inputs.followed,
        capacity: reading.capacity,
        reached: less_extra(reading.capacity),
        status: reading.status,
        at_rest: reading.status.is_at_rest(reading.capacity),
        present,
        settled_at: inputs.last_effect_at.max(changed_at),
        foreseen: inputs.foreseen,
        pace: inputs.pace,
        first_change_at: inputs.next_change_at.map_or(now, |at| at.max(now)),
        min: policy.min,
        max: policy.max,
        now,
    };
    if state.enters_present {
        state.behavior.wishes.enter(present, now);
        state.enters_present = false;
    }
    view
}

/// What the stages came to.
struct Decided {
    trace: Trace,
    windows: Windows,
    /// The number after the stage `behavior`.
    smoothed: Capacity,
    /// The extra units of claims in the number.
    extra: u32,
}

struct Calculation<'a, 'b> {
    policy: &'a Policy,
    inputs: &'a Inputs<'b>,
    view: View<'a>,
    state: PolicyState,
    timer: Timer,
}

impl Calculation<'_, '_> {
    /// What the rules say, schedules left out: their place in the list is filled later.
    fn ask_rules(&mut self) -> (Vec<Opinion>, Vec<(Name, Recommendation)>) {
        let (mut opinions, mut recommendations) = (Vec::new(), Vec::new());
        for rule in &self.policy.rules {
            let mut memory = self.state.rules.remove(&rule.name).unwrap_or_default();
            let Some(said) = recommend(rule, &self.view, &mut memory, &mut self.timer) else { continue };
            if memory != super::rules::RuleMemory::default() {
                self.state.rules.insert(rule.name.clone(), memory);
            }
            let says = Says::Wants(said.wants);
            opinions.push(Opinion { name: rule.name.clone(), says, detail: said.detail.clone() });
            recommendations.push((rule.name.clone(), said));
        }
        (opinions, recommendations)
    }

    fn wanted(&self, recommendations: &[(Name, Recommendation)]) -> Capacity {
        if recommendations.is_empty() {
            return self.policy.min;
        }
        let wishes = |raises_only| {
            let said = recommendations.iter().filter(move |(_, said)| said.raises_only == raises_only);
            said.filter_map(|(_, said)| said.wants).max()
        };
        // What only raises takes nothing away where no other rule has an opinion.
        wishes(false).unwrap_or(self.view.present).max(wishes(true).unwrap_or(Capacity::ZERO))
    }

    fn run_stages(&mut self, wanted: Capacity, recommendations: &[(Name, Recommendation)]) -> Decided {
        let (policy, inputs, now) = (self.policy, self.inputs, self.view.now);
        let (capacity, present, sent_at) = (self.view.capacity, self.view.present, self.view.first_change_at);
        let mut trace = Trace::new(wanted);
        let smoothed = self.state.behavior.follow(&policy.behavior, wanted, present, now, &mut self.timer);
        trace.set(Limiter::Behavior, smoothed.value, || smoothed.detail.unwrap_or_default());
        let start = Start { from: inputs.in_flight.unwrap_or(capacity), first_change_at: sent_at };
        let windows = windows(policy, &inputs.pace, start, now, &mut self.timer);
        let asked = stages::asked(inputs.claims, now, &mut self.timer);
        self.go_idle(&mut trace, recommendations, &windows, &asked);
        let before_claims = trace.value;
        stages::claims(&mut trace, &asked, now);
        stages::windows(&mut trace, &windows, &inputs.pace, start);
        stages::bounds(&mut trace, policy);
        stages::hold(&mut trace, inputs, capacity, now);
        stages::file(&mut trace, inputs);
        stages::platform(&mut trace, &self.state, capacity, now);
        let extra = asked.extra.min(trace.value.units().saturating_sub(before_claims.units()));
        Decided { trace, windows, smoothed: smoothed.value, extra }
    }

    fn go_idle(
        &mut self,
        trace: &mut Trace,
        recommendations: &[(Name, Recommendation)],
        windows: &Windows,
        asked: &Asked,
    ) {
        let window_asks = windows.min.as_ref().is_some_and(|min| min.units > Capacity::ZERO);
        let demand = stages::demand(recommendations, window_asks || asked.at_least > 0 || asked.extra > 0);
        self.state.idle_since = demand.is_none().then(|| self.state.idle_since.unwrap_or(self.view.now));
        let present = self.view.present;
        stages::idle(trace, self.policy, self.state.idle_since, demand.is_some(), present, &mut self.timer);
    }

    /// Chooses what is done, and remembers what follows from it.
    fn act<'c>(
        &mut self,
        decided: &Decided,
        conditions: &'c [Condition],
        decision: &mut Decision,
    ) -> (Act, Option<&'c Condition>) {
        let (value, present, now) = (decided.trace.value, self.view.present, self.view.now);
        let before = act::target(self.inputs.own_job, self.view.capacity);
        let (chosen, blocked_by) = act::act(value, self.view.capacity, self.inputs, conditions);
        if self.policy.mode != Mode::Active {
            let leaving = self.inputs.own_job.map_or(Act::Nothing, |job| Act::Cancel { job: job.id });
            decision.action = match (leaving, chosen) {
                (Act::Nothing, Act::Nothing) => Action::None,
                (Act::Nothing, _) => Action::Advised,
                (leaving, _) => leaving.action(),
            };
            decision.job_id = leaving.job();
            return (leaving, blocked_by);
        }
        if let Some(target) = chosen.target() {
            let moved = super::rules::plus(target, -i64::from(decided.extra));
            let (low, high) = (present.min(decided.smoothed), present.max(decided.smoothed));
            self.state.behavior.note_move(&self.policy.behavior, present, moved.clamp(low, high), now);
        }
        if chosen.target().unwrap_or(before) == value {
            self.state.extra = decided.extra;
        }
        decision.action = chosen.action();
        decision.job_id = chosen.job();
        (chosen, blocked_by)
    }

    /// Fills in what explains the decision.
    fn write_down(
        &self,
        decision: &mut Decision,
        opinions: Vec<Opinion>,
        recommendations: &[(Name, Recommendation)],
        wanted: Capacity,
        decided: Decided,
    ) {
        let windows = decided.windows.says.into_iter().map(|(name, says, detail)| Opinion { name, says, detail });
        let mut rules: BTreeMap<Name, Opinion> =
            opinions.into_iter().chain(windows).map(|opinion| (opinion.name.clone(), opinion)).collect();
        decision.rules = self.policy.rules.iter().filter_map(|rule| rules.remove(&rule.name)).collect();
        let alternatives = recommendations.iter().flat_map(|(name, said)| {
            said.turns.iter().map(|(at, wants)| Alternative { rule: name.clone(), at: *at, wants: *wants })
        });
        decision.otherwise_if = alternatives.collect();
        decision.wanted = Some(wanted);
        decision.decided = Some(decided.trace.value);
        decision.limited_by = decided.trace.limited_by();
        decision.stages = decided.trace.stages;
    }
}
