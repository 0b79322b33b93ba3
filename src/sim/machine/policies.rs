//! The side of a machine that policies are asked and told by: requests about them, values of metrics, and what the
//! process before would have decided.

use super::{Machine, Surroundings};
use crate::domain::policy::{Decision, Name, NoValue};
use crate::domain::{Alias, Move, Reading, StepOutcome, Timestamp};
use crate::engine::{Core, Effect, EvaluationRequest, PolicyChangeRequest, PolicyRequest, ReplyTo};
use crate::store::Unit;

impl<S: Surroundings> Machine<S> {
    /// Asks for `change` of what stands about `resource`; the number under which it is answered.
    pub fn change_policy(&mut self, resource: &Alias, change: PolicyChangeRequest) -> ReplyTo {
        let (to, clock) = (self.take_request(), self.clock());
        let request = PolicyRequest { resource: resource.clone(), change, attempt: None, key: None };
        let is_observed = matches!(request.change, PolicyChangeRequest::Push(_) | PolicyChangeRequest::Predict { .. });
        if let Some(predecessor) = self.predecessor.as_mut().filter(|_| is_observed) {
            predecessor.change_policy(request.clone(), to, clock);
        }
        self.core.change_policy(request, to, clock);
        self.perform();
        to
    }

    /// The source of a metric that is pulled was asked at `at`, by the process's clock, with this result.
    pub fn on_metric(&mut self, resource: &Alias, name: &Name, at: Timestamp, result: Result<f64, NoValue>) {
        let clock = self.clock();
        if let Some(predecessor) = &mut self.predecessor {
            predecessor.on_metric(resource, name, at, result.clone(), clock);
        }
        self.core.on_metric(resource, name, at, result, clock);
        self.perform();
    }

    /// The decision that the policy of `resource` would take at `at`, by the process's clock, if it has one.
    pub fn would_decide(core: &Core, resource: &Alias, at: Timestamp) -> Option<Decision> {
        core.evaluate(resource, &EvaluationRequest::default(), at).ok()
    }

    /// Whether all that the process knows of policies is on the disk.
    pub fn is_recorded(&self) -> bool {
        self.is_committed() && self.core.is_recorded()
    }

    /// The process before hears of a reading, too.
    pub(super) fn tell_predecessor(&mut self, resource: &Alias, reading: &Reading) {
        let clock = self.clock();
        if let Some(predecessor) = &mut self.predecessor {
            predecessor.on_observation(resource, reading, clock);
        }
    }

    /// The process before goes on by itself: what it writes is on a disk of its own, and its calls are not answered.
    pub(super) fn move_predecessor(&mut self) {
        let clock = self.clock();
        let Some(predecessor) = &mut self.predecessor else { return };
        predecessor.wake_due(clock);
        loop {
            let effects = predecessor.take_effects();
            if effects.is_empty() {
                return;
            }
            for effect in effects {
                match effect {
                    Effect::Commit(_) => predecessor.on_committed(Some(1), clock),
                    Effect::Record(_) => predecessor.on_recorded(),
                    _ => {}
                }
            }
        }
    }

    /// Sends the change that `unit` intends although the engine has withdrawn it.
    pub(super) fn send_if_withdrawn(&mut self, unit: &Unit) {
        let jobs = unit.jobs.iter().filter_map(|job| Some((&job.resource, job.id, job.steps.last()?)));
        let intended = jobs.filter(|(.., step)| step.outcome == StepOutcome::Pending && step.sent_at.is_none());
        for (resource, id, step) in intended {
            let is_withdrawn = self.core.lane(resource).is_some_and(|lane| {
                let job = lane.job(id);
                lane.change().is_none() && job.is_some_and(|job| job.ending.is_none())
            });
            if is_withdrawn {
                let change = Move { op: step.op, units: step.units, from: step.from, to: step.to };
                self.surroundings.handed_over(self.now, resource, change);
                self.surroundings.change(self.now, resource, change, &self.disk);
            }
        }
    }
}
