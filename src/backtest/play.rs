//! A policy in virtual time.
//!
//! What happens at one moment happens in the order in which it does live: a change ends, values arrive, the policy decides,
//! and a change that can be sent is sent.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Allowance, Plant, PlantSpec, Recording, Run, Span};
use crate::domain::forecast::{History, learn};
use crate::domain::policy::{
    Act, DecisionId, Foreseen, Inputs, JobEnd, LastReading, Mode, Name, OwnJob, Pace, Policy, PolicyState, RuleKind,
    Series, TOGETHER, Trigger, assignments, decide,
};
use crate::domain::{Alias, Bounds, Capacity, JobId, Op, Settings, Status, StepDurations, Timestamp};

/// Before everything.
const LONG_AGO: Timestamp = Timestamp::from_millis(i64::MIN);

/// The recording of each metric. A metric without one is missing.
pub type Recordings = BTreeMap<Name, Recording>;

/// How a policy is tried.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The resource that it is for.
    pub resource: Alias,
    /// How the resource is.
    pub plant: PlantSpec,
    /// The capacity of the resource at the beginning.
    pub capacity: Capacity,
    /// Values from then on are known at the beginning.
    pub learn_from: Timestamp,
    /// The time over which the policy decides.
    pub span: Span,
    /// What the backtest may take.
    pub allowance: Allowance,
}

/// Runs `policy` as if it were active.
pub fn play(policy: &Policy, recordings: &Recordings, setup: &Setup) -> Run {
    let span = setup.span;
    let mut player = Player::new(policy, recordings, setup);
    player.hear(setup.learn_from, span.from - Duration::from_millis(1));
    player.run.levels.push(player.plant.level(span.from));
    let mut now = span.from;
    while now < span.to && !setup.allowance.stop.is_requested() {
        player.go(now);
        match player.next_at(now) {
            Some(next) => now = next,
            None => break,
        }
    }
    player.run
}

/// The rows of a metric, and how many were heard of.
struct Tape<'a> {
    name: &'a Name,
    recording: &'a Recording,
    heard: usize,
    /// How far back rules look.
    span: Duration,
}

impl Tape<'_> {
    fn next_at(&self) -> Option<Timestamp> {
        self.recording.rows().get(self.heard).map(|row| row.at)
    }
}

struct Player<'a> {
    policy: Policy,
    resource: &'a Alias,
    settings: Settings,
    tapes: Vec<Tape<'a>>,
    plant: Plant,
    active: Status,
    modifying: Status,
    state: PolicyState,
    series: BTreeMap<Name, Series>,
    /// The past of the metrics that rules forecast.
    histories: BTreeMap<Name, History>,
    foreseen: Foreseen,
    durations: StepDurations,
    job: Option<OwnJob>,
    jobs: u128,
    last_effect_at: Option<Timestamp>,
    trigger: Option<Trigger>,
    decided_at: Option<Timestamp>,
    wake_at: Option<Timestamp>,
    run: Run,
}

impl<'a> Player<'a> {
    fn new(policy: &Policy, recordings: &'a Recordings, setup: &'a Setup) -> Self {
        let of_policy = recordings.iter().filter(|(name, _)| policy.metrics.contains_key(*name));
        let tape = |(name, recording)| Tape { name, recording, heard: 0, span: policy.history_of(name) };
        let PlantSpec { step_size, cooldown, .. } = setup.plant;
        Self {
            policy: Policy { mode: Mode::Active, ..policy.clone() },
            resource: &setup.resource,
            // Readings are exact: nothing has to settle.
            settings: Settings { step_size, cooldown, settle: Duration::ZERO, ..Settings::DEFAULT.with(&policy.job) },
            tapes: of_policy.map(tape).collect(),
            plant: Plant::new(setup.plant, setup.capacity),
            active: Status::new("ACTIVE"),
            modifying: Status::new("MODIFYING"),
            state: PolicyState::new(),
            series: BTreeMap::new(),
            histories: histories(policy),
            foreseen: Foreseen::default(),
            durations: StepDurations::default(),
            job: None,
            jobs: 0,
            last_effect_at: None,
            trigger: Some(Trigger::Start),
            decided_at: None,
            wake_at: None,
            run: Run::default(),
        }
    }

    /// Everything that happens at `now`.
    fn go(&mut self, now: Timestamp) {
        if let Some(change) = self.plant.finish(now) {
            self.durations.note(change.movement.op, change.ready_at.since(change.at));
            self.last_effect_at = Some(now);
            self.run.levels.push(self.plant.level(now));
            self.trigger = Some(Trigger::Reading);
        }
        self.end_job_if_done(now);
        self.hear(LONG_AGO, now);
        if self.wake_at.is_some_and(|at| at <= now) {
            self.trigger.get_or_insert(Trigger::Time);
        }
        if self.decides_at().is_some_and(|at| at <= now) {
            self.decide(now);
            self.end_job_if_done(now);
        }
        if let Some(change) = self.job.and_then(|job| self.plant.send(job.target, now)) {
            self.run.changes.push(change);
            self.run.levels.push(self.plant.level(now));
            self.trigger.get_or_insert(Trigger::Reading);
        }
    }

    /// When something happens next, after `now`.
    fn next_at(&self, now: Timestamp) -> Option<Timestamp> {
        let rows = self.tapes.iter().filter_map(Tape::next_at);
        let rest = self.plant.under_way().map(|change| change.ready_at);
        let to_send = self.job.is_some_and(|job| job.target != self.plant.capacity()) && rest.is_none();
        let cooled_at = self.plant.cooled_at().filter(|_| to_send);
        let next = rows.chain(rest).chain(cooled_at).chain(self.decides_at()).chain(self.wake_at);
        next.filter(|at| *at > now).min()
    }

    fn decides_at(&self) -> Option<Timestamp> {
        let at = self.decided_at.map_or(LONG_AGO, |at| at + TOGETHER);
        self.trigger.map(|_| at)
    }

    /// Takes in the rows from `from` until `now`.
    fn hear(&mut self, from: Timestamp, now: Timestamp) {
        for tape in &mut self.tapes {
            while let Some(row) = tape.recording.rows().get(tape.heard).filter(|row| row.at <= now) {
                tape.heard += 1;
                if from <= row.at {
                    if let Some(history) = self.histories.get_mut(tape.name) {
                        history.note(row.at, row.value);
                    }
                    self.series.entry(tape.name.clone()).or_default().insert(*row, tape.span);
                    self.trigger = Some(Trigger::Metric);
                }
            }
        }
    }

    /// Learns what is due, from the rows that were heard of before.
    fn learn(&mut self, pace: &Pace, now: Timestamp) {
        for due in assignments(&self.policy, &self.foreseen, &self.state, || *pace, now) {
            if let Some(history) = self.histories.get(&due.metric) {
                self.foreseen.learned.insert(due.rule, learn(history, &due.lesson));
            }
        }
    }

    fn end_job_if_done(&mut self, now: Timestamp) {
        let is_at_rest = self.plant.under_way().is_none();
        if self.job.take_if(|job| is_at_rest && job.target == self.plant.capacity()).is_some() {
            let op = self.run.changes.last().map_or(Op::Add, |change| change.movement.op);
            self.state.on_job_ended(op, JobEnd::Succeeded, now);
            self.trigger = Some(Trigger::Job);
        }
    }

    fn decide(&mut self, now: Timestamp) {
        let pace = Pace::learned(&self.settings, &self.durations, self.policy.expected_change);
        self.learn(&pace, now);
        let change = self.plant.under_way();
        let status = if change.is_some() { &self.modifying } else { &self.active };
        let rest_at = change.map(|change| change.at + pace.time_of_change(change.movement.op));
        let followed = BTreeMap::new();
        let inputs = Inputs {
            id: DecisionId::nil(),
            resource: self.resource,
            trigger: self.trigger.take().unwrap_or(Trigger::Time),
            revision: 0,
            reading: Some(LastReading { capacity: self.plant.capacity(), status, observed_at: now }),
            own_job: self.job,
            ending_job: None,
            others_job: None,
            metrics: &self.series,
            foreseen: &self.foreseen,
            followed: &followed,
            circle: &[],
            claims: &[],
            hold: None,
            file_bounds: Bounds::NONE,
            pace,
            in_flight: None,
            next_change_at: self.plant.cooled_at().max(rest_at),
            last_effect_at: self.last_effect_at,
        };
        let outcome = decide(&self.policy, &inputs, &self.state, now);
        (self.state, self.wake_at, self.decided_at) = (outcome.state, outcome.wake_at, Some(now));
        match outcome.act {
            Act::Nothing => {}
            Act::Submit { target } => {
                self.jobs += 1;
                self.job = Some(OwnJob { id: JobId::from_u128(self.jobs), target, is_worn_out: false });
            }
            Act::Retarget { job, target } => self.job = Some(OwnJob { id: job, target, is_worn_out: false }),
            Act::Cancel { .. } => self.job = None,
        }
    }
}

/// An empty history for each metric that a rule forecasts.
fn histories(policy: &Policy) -> BTreeMap<Name, History> {
    let forecast = policy.rules.iter().filter_map(|rule| match &rule.kind {
        RuleKind::Forecast(forecast) => Some(&forecast.metric),
        _ => None,
    });
    let histories = forecast.filter_map(|metric| {
        let max_age = policy.metrics.get(metric)?.max_age;
        Some((metric.clone(), History::new(max_age)))
    });
    histories.collect()
}
