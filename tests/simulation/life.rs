//! Living a scenario: everything it says is done to a gateway, and the referee watches.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use scalegate::domain::{
    Bounds, Goal, JobId, JobRequest, ResourceConfig, ScalingConfig, SettingLimits, Settings, SettingsOverrides,
};
use scalegate::sidecar::REQUEST_TIMEOUT;
use scalegate::sim::Machine;
use scalegate::store::SubmitKey;

use crate::coverage::Coverage;
use crate::groups::GroupPlan;
use crate::policies::Ledger;
use crate::referee::{ALIASES, Referee, Request, Violation};
use crate::sabotage::Sabotage;
use crate::scenario::{Act, MOST_UNITS, Nature, Scenario, Submission, Tightening, Wish};
use crate::sidecar::capacity;

/// More events than any life has that gets anywhere.
const MOST_EVENTS: usize = 50_000;

/// A life that was lived.
pub struct Life {
    pub violation: Option<Violation>,
    pub coverage: Coverage,
    pub story: Vec<String>,
}

/// Lives `scenario`. A panic of the engine is a violation too.
pub fn live(scenario: &Scenario, sabotage: Option<Sabotage>, with_story: bool) -> Life {
    let mut lived = Lived::new(scenario, sabotage, with_story);
    let outcome = catch_unwind(AssertUnwindSafe(|| lived.all(&scenario.acts)));
    let Referee { violation, coverage, story, .. } = lived.machine.surroundings;
    let violation = match outcome {
        Ok(()) => violation,
        Err(panic) => Some(format!("it panics: {}", words(panic.as_ref()))),
    };
    Life { violation, coverage, story: story.unwrap_or_default() }
}

fn words(panic: &(dyn std::any::Any + Send)) -> String {
    match (panic.downcast_ref::<String>(), panic.downcast_ref::<&str>()) {
        (Some(words), _) => words.clone(),
        (None, Some(words)) => (*words).to_owned(),
        (None, None) => "without words".to_owned(),
    }
}

pub struct Lived {
    pub machine: Machine<Referee>,
    pub sabotage: Option<Sabotage>,
    pub ledger: Ledger,
    /// What the gateway takes for the time in which a change settles.
    settle: Duration,
    tightening: Option<Tightening>,
    restarts: u64,
    submissions: Vec<Submission>,
    pub groups: Vec<GroupPlan>,
    jobs: Vec<JobId>,
}

impl Lived {
    fn new(scenario: &Scenario, sabotage: Option<Sabotage>, with_story: bool) -> Self {
        let referee = Referee::new(scenario, sabotage, with_story);
        let nature = &scenario.nature;
        let mut machine = Machine::new(referee, scaling(nature, settle(nature, sabotage)));
        if let Some(sabotage) = sabotage {
            sabotage.apply(&mut machine);
        }
        let (settle, tightening) = (settle(nature, sabotage), nature.tightening);
        let ledger = Ledger::new(machine.now, scenario.compares_dry_runs());
        let (submissions, groups, jobs) = (Vec::new(), Vec::new(), Vec::new());
        Self { machine, sabotage, ledger, settle, tightening, restarts: 0, submissions, groups, jobs }
    }

    fn all(&mut self, acts: &[Act]) {
        for act in acts {
            let now = self.machine.now;
            self.machine.surroundings.tell(now, || format!("- {act:?}"));
            self.perform(act);
            if self.is_over() {
                return;
            }
        }
        self.machine.surroundings.sidecar.calm_down();
        self.machine.commit_failures.clear();
        self.machine.dispatch_takes = Duration::ZERO;
        self.machine.commit_takes = Duration::from_millis(2);
        self.end_policies();
        if self.is_over() {
            return;
        }
        let mut events = 0;
        while self.machine.core().unfinished_jobs() > 0 || !self.machine.is_committed() {
            events += 1;
            if events > MOST_EVENTS || !self.step() {
                let jobs: Vec<_> = self.machine.disk.jobs().filter(|job| job.ended().is_none()).collect();
                self.machine.surroundings.violation.get_or_insert_with(|| format!("every job ends: not so {jobs:#?}"));
            }
            if self.is_over() {
                return;
            }
        }
        Referee::check_end(&mut self.machine);
    }

    pub fn is_over(&self) -> bool {
        self.machine.surroundings.violation.is_some()
    }

    /// Lets one thing happen, unless nothing can; whether it did.
    fn step(&mut self) -> bool {
        self.expect_decisions();
        let stepped = self.machine.step();
        Referee::check(&mut self.machine);
        self.compare();
        stepped
    }

    fn perform(&mut self, act: &Act) {
        let now = self.machine.now;
        if !matches!(act, Act::Events(_) | Act::Pass(_) | Act::Policy(_)) {
            self.ledger.disturb(now);
        }
        let surroundings = &mut self.machine.surroundings;
        match *act {
            Act::Policy(ref act) => self.perform_on_policy(act),
            Act::Group(ref act) => self.perform_on_group(act),
            Act::Submit(submission) => {
                self.submissions.push(submission);
                self.submit(submission);
            }
            Act::SubmitAgain(which) => {
                if let Some(submission) = self.submissions.get(which).copied() {
                    self.submit(submission);
                }
            }
            Act::Cancel(which) => {
                if let Some(id) = self.jobs.get(which) {
                    surroundings.coverage.count("cancel");
                    self.machine.cancel(*id);
                }
            }
            Act::Events(count) => {
                for _ in 0..count {
                    if !self.step() || self.is_over() {
                        break;
                    }
                }
            }
            Act::Pass(duration) => self.pass(duration),
            Act::Crash { durable, away, reboot } => {
                surroundings.coverage.count(if reboot { "machine restarted" } else { "kill -9" });
                self.restart(durable, away, reboot, false);
            }
            Act::Restart { away } => {
                surroundings.coverage.count("orderly restart");
                surroundings.groups.is_stopping = true;
                self.machine.drain();
                let end = now + REQUEST_TIMEOUT + Duration::from_secs(20);
                while !self.machine.core().is_quiet() && self.machine.next_at().is_some_and(|at| at <= end) {
                    self.step();
                }
                self.restart(0, away, false, true);
            }
            Act::SetClock(millis) => {
                surroundings.coverage.count(if millis < 0 { "clock set back" } else { "clock set forward" });
                self.machine.wall_error += millis;
                surroundings.sidecar.set_wall(now, self.machine.wall_error);
            }
            Act::CommitFails(failure) => self.machine.commit_failures.push_back(failure),
            Act::NextChange(fate) => surroundings.sidecar.next_changes.push_back(fate),
            Act::NextReadings(fate, times) => {
                surroundings.sidecar.next_readings.extend(std::iter::repeat_n(fate, times.into()));
            }
            Act::SidecarDown(down) => {
                surroundings.coverage.count("sidecar up or down");
                surroundings.sidecar.down = down;
            }
            Act::SetCapacity { resource, units } => {
                surroundings.coverage.count("capacity changed by another program");
                surroundings.sidecar.set_capacity(now, resource, units);
            }
            Act::Status { resource, status } => {
                surroundings.coverage.count(match status {
                    Some("FAILED") => "status FAILED",
                    Some(_) => "status out of the ordinary",
                    None => "status back to normal",
                });
                surroundings.sidecar.set_status(resource, status);
            }
            Act::CommitsTake(duration) => self.machine.commit_takes = duration,
            Act::DispatchTakes(duration) => self.machine.dispatch_takes = duration,
            Act::CleanUp => self.machine.clean_up(),
        }
        Referee::check(&mut self.machine);
    }

    pub fn pass(&mut self, duration: Duration) {
        let end = self.machine.now + duration;
        while self.machine.next_at().is_some_and(|at| at <= end) && !self.is_over() {
            self.step();
        }
        self.machine.now = end;
    }

    /// Ends the process one way or other and starts the next. One that was told to stop hears nothing any more.
    pub fn restart(&mut self, durable: usize, away: Duration, reboot: bool, is_orderly: bool) {
        self.restarts += 1;
        let tightened = self.tightening.filter(|tightening| tightening.at_restart == self.restarts);
        let machine = &mut self.machine;
        if let Some(Tightening { limits, .. }) = tightened.filter(|_| self.sabotage != Some(Sabotage::LimitsIgnored)) {
            machine.change_scaling(|scaling| tighten(scaling, limits));
        }
        let before = machine.clock_error;
        let is_comparable = !is_orderly && away <= Duration::from_secs(60) && !reboot && tightened.is_none();
        self.expect_no_amnesia(is_comparable);
        let machine = &mut self.machine;
        // A broken gateway takes every restart for one of the machine.
        machine.boots += u64::from(reboot || self.sabotage == Some(Sabotage::WallClock));
        machine.crash(durable, away);
        let gain = if reboot { machine.clock_error - before } else { 0 };
        let (clock, is_other_clock) = (machine.clock(), machine.clock_error != before);
        if is_other_clock {
            self.ledger.disturb(machine.now);
        }
        let Machine { surroundings, disk, .. } = machine;
        surroundings.policies.restarted(is_other_clock, reboot);
        surroundings.restarted(clock, gain, tightened.map(|tightening| tightening.limits), disk);
        surroundings.clock_error = machine.clock_error;
    }

    fn submit(&mut self, submission: Submission) {
        let key =
            submission.key.map(|key| SubmitKey { key: format!("key-{key}"), fingerprint: fingerprint(&submission) });
        let to = self.machine.next_request();
        let request = Request { key: key.as_ref().map(|key| key.key.clone()) };
        self.machine.surroundings.requests.insert(to, request);
        let id = self.machine.submit(self.request_of(&submission), key);
        self.jobs.push(id);
    }

    pub fn request_of(&self, submission: &Submission) -> JobRequest {
        let Submission { step_size, cooldown, deadline, settles_slowly, .. } = *submission;
        let settle = settles_slowly.then_some(self.settle * 2);
        JobRequest {
            resource: ALIASES[submission.resource].clone(),
            goal: match submission.goal {
                Wish::Target(units) => Goal::Target(capacity(units)),
                Wish::Delta(delta) => Goal::Delta(delta),
            },
            overrides: SettingsOverrides {
                step_size: Some(step_size),
                cooldown: Some(cooldown),
                deadline: Some(deadline),
                settle,
                ..SettingsOverrides::default()
            },
            on_conflict: submission.on_conflict,
            reason: None,
            labels: BTreeMap::new(),
            trace: None,
            attempt: None,
        }
    }
}

fn settle(nature: &Nature, sabotage: Option<Sabotage>) -> Duration {
    sabotage.map_or(nature.settle, |sabotage| sabotage.settle(nature.settle))
}

/// The general settings keep to the limits, or the configuration would be refused.
fn tighten(scaling: &mut ScalingConfig, limits: SettingLimits) {
    for rules in scaling.resources.values_mut() {
        rules.settings = rules.settings.within(&limits);
        rules.setting_limits = limits;
    }
}

fn scaling(nature: &Nature, settle: Duration) -> ScalingConfig {
    let Nature { active_timeout, poll_interval, .. } = *nature;
    let settings = Settings { settle, active_timeout, poll_interval, ..Settings::DEFAULT };
    let bounds = Bounds { min: capacity(0), max: capacity(MOST_UNITS) };
    let rules = ResourceConfig { bounds, settings, setting_limits: SettingLimits::NONE };
    let mut scaling = ScalingConfig {
        resources: ALIASES.iter().map(|alias| (alias.clone(), rules)).collect(),
        ..ScalingConfig::default()
    };
    scaling.limits.queue_length = 3;
    scaling.grouped_calls = nature.seed.is_multiple_of(2);
    scaling
}

/// The same for the same submission, and hardly for another.
pub fn fingerprint(submission: &impl Hash) -> [u8; 32] {
    let mut hasher = DefaultHasher::new();
    submission.hash(&mut hasher);
    let mut fingerprint = [0; 32];
    fingerprint[..8].copy_from_slice(&hasher.finish().to_le_bytes());
    fingerprint
}
