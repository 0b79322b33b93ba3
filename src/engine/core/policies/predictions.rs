//! Predictions of metrics that callers send. Like values of metrics, they count at once, are written within a second, and the
//! answer does not wait for that.
//!
//! A prediction takes the place of the one before as a whole. Rejected: putting the points of both together, because what a
//! later prediction leaves out would go on to count, and nobody could take it back.

use std::collections::BTreeMap;

use super::super::Core;
use super::InForce;
use super::recording::Unwritten;
use crate::domain::forecast::Prediction;
use crate::domain::policy::{Name, Policy, Trigger};
use crate::domain::{Alias, Timestamp};
use crate::engine::policy_requests::{PolicyAnswer, PolicyRefusal};

impl Core {
    /// Takes in the prediction of a metric. Without any points, it takes away the one that there is; one that is over by `now`
    /// changes nothing.
    pub(super) fn predict(
        &mut self,
        resource: &Alias,
        name: Name,
        points: Vec<(Timestamp, f64)>,
        now: Timestamp,
    ) -> PolicyAnswer {
        let Some(in_force) = self.standings.in_force_mut(resource) else {
            return PolicyAnswer::Refused(PolicyRefusal::NoPolicy);
        };
        if let Some(refusal) = refuse_prediction(&in_force.policy, &name, &points) {
            return PolicyAnswer::Refused(refusal);
        }
        let all = points.len();
        let rest = Prediction::new(points).rest(now).received(now);
        let accepted = rest.points().len();
        if all == 0 || accepted > 0 {
            in_force.replace_prediction(name, rest);
            self.standings.write_soon(resource, now);
            self.standings.trigger(resource, Trigger::Metric);
        }
        PolicyAnswer::Pushed { accepted: accepted as u64, ignored: (all - accepted) as u64 }
    }
}

/// A metric that is pulled can be predicted as well: what will be is known elsewhere than what is.
fn refuse_prediction(policy: &Policy, name: &Name, points: &[(Timestamp, f64)]) -> Option<PolicyRefusal> {
    let name = name.clone();
    let Some(metric) = policy.metrics.get(&name) else { return Some(PolicyRefusal::NoMetric { name }) };
    let is_negative = !metric.allow_negative && points.iter().any(|(_, value)| *value < 0.0);
    is_negative.then_some(PolicyRefusal::NegativePrediction { name })
}

impl Unwritten {
    /// Has those of `predictions` taken away whose metrics `policy` does not have.
    pub(super) fn take_away(&mut self, predictions: &BTreeMap<Name, Prediction>, policy: &Policy) {
        let gone = predictions.keys().filter(|name| !policy.metrics.contains_key(*name));
        self.predictions.extend(gone.cloned());
    }
}

impl InForce {
    fn replace_prediction(&mut self, name: Name, prediction: Prediction) {
        self.unwritten.predictions.insert(name.clone());
        if prediction.points().is_empty() {
            self.foreseen.predictions.remove(&name);
        } else {
            self.foreseen.predictions.insert(name, prediction);
        }
    }

    /// Takes over the predictions that a process before it wrote. Those of metrics that the policy does not have are taken away
    /// with what is written next.
    pub(super) fn take_over_predictions(&mut self, predictions: BTreeMap<Name, Prediction>) {
        self.unwritten.take_away(&predictions, &self.policy);
        self.foreseen.predictions = predictions;
        self.foreseen.predictions.retain(|name, _| self.policy.metrics.contains_key(name));
    }

    /// Takes the predictions that are to be written: from now on they count as written.
    pub(super) fn take_unwritten_predictions(&mut self) -> Vec<(Name, Prediction)> {
        let names = std::mem::take(&mut self.unwritten.predictions);
        let present = |name: Name| {
            let prediction = self.foreseen.predictions.get(&name).cloned().unwrap_or_default();
            (name, prediction)
        };
        names.into_iter().map(present).collect()
    }
}
