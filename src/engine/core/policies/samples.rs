//! Values of metrics that callers send. They are written within a second, and the answer does not wait for that.

use std::collections::BTreeMap;

use super::super::Core;
use super::InForce;
use crate::domain::policy::{Insertion, Name, Policy, Sample, Source, Trigger};
use crate::domain::{Alias, Timestamp};
use crate::engine::policy_requests::{PolicyAnswer, PolicyRefusal};

impl Core {
    /// Takes in values that a caller sent: all of them, or none if one is refused.
    pub(super) fn push(
        &mut self,
        resource: &Alias,
        samples: BTreeMap<Name, Vec<Sample>>,
        now: Timestamp,
    ) -> PolicyAnswer {
        let Some(in_force) = self.standings.in_force_mut(resource) else {
            return PolicyAnswer::Refused(PolicyRefusal::NoPolicy);
        };
        for (name, samples) in &samples {
            if let Some(refusal) = refuse_samples(&in_force.policy, name, samples) {
                return PolicyAnswer::Refused(refusal);
            }
        }
        let (mut all, mut accepted) = (0, 0);
        for (name, mut samples) in samples {
            samples.sort_by_key(|sample| sample.at);
            all += samples.len() as u64;
            accepted += in_force.take_in(&name, samples);
        }
        if accepted > 0 {
            self.standings.write_soon(resource, now);
            self.standings.trigger(resource, Trigger::Metric);
        }
        PolicyAnswer::Pushed { accepted, ignored: all - accepted }
    }
}

fn refuse_samples(policy: &Policy, name: &Name, samples: &[Sample]) -> Option<PolicyRefusal> {
    let name = name.clone();
    let Some(metric) = policy.metrics.get(&name) else { return Some(PolicyRefusal::NoMetric { name }) };
    if metric.source != Source::Push {
        return Some(PolicyRefusal::NotPushed { name });
    }
    let is_negative = !metric.allow_negative && samples.iter().any(|sample| sample.value < 0.0);
    is_negative.then_some(PolicyRefusal::Negative { name })
}

impl InForce {
    /// Takes in `samples` of a metric, oldest first; how many of them are newer than those before.
    pub(super) fn take_in(&mut self, name: &Name, samples: Vec<Sample>) -> u64 {
        let span = self.policy.history_of(name);
        let series = self.series.entry(name.clone()).or_default();
        let mut accepted = 0;
        for sample in samples {
            if series.insert(sample, span) == Insertion::Accepted {
                accepted += 1;
                self.unwritten.add_sample(name, sample);
            }
        }
        accepted
    }
}
