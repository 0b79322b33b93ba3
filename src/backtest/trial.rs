//! A backtest with its defaults for everything that a caller leaves out. The command and the API share them.
//!
//! It must never read anything: each caller brings the recordings from where it has them.

use std::time::Duration;

use super::demand_spec::DemandSpec;
use super::no_trial::NoTrial;
use super::tune::tune;
use super::{Allowance, Comparison, Demand, PlantSpec, Recording, Recordings, Setup, Span, Tuned, compare};
use crate::domain::policy::{MetricSpec, Policy, RuleKind};
use crate::domain::{Alias, Capacity, Timestamp};

/// The name of the run that the others stand beside.
const MAIN: &str = "policy";

/// How a policy is to be tried.
#[derive(Clone, Debug)]
pub struct Terms {
    /// The resource that it is for.
    pub resource: Alias,
    /// The metric that the need is counted by.
    pub demand: DemandSpec,
    /// How the resource is.
    pub plant: PlantSpec,
    /// Its capacity at the beginning. Default: the need at that time, within the bounds of the policy.
    pub capacity: Option<Capacity>,
    /// Values from then on are known at the beginning. Default: all values.
    pub learn_from: Option<Timestamp>,
    /// The beginning. Default: the first value of the demand metric.
    pub from: Option<Timestamp>,
    /// The end. Default: the last value of the demand metric.
    pub to: Option<Timestamp>,
    /// The limits of memory and time.
    pub allowance: Allowance,
}

/// See the module's documentation.
#[derive(Clone, Debug)]
pub struct Trial {
    policies: Vec<(String, Policy)>,
    recordings: Recordings,
    demand: DemandSpec,
    /// How long a value of the demand metric counts.
    max_age: Duration,
    setup: Setup,
}

impl Trial {
    /// A trial of `policy` beside others, each with its name.
    ///
    /// # Errors
    /// If there is nothing by which a policy could be judged.
    pub fn new(
        policy: Policy,
        compared: Vec<(String, Policy)>,
        recordings: Recordings,
        terms: Terms,
    ) -> Result<Self, NoTrial> {
        let Terms { resource, demand, plant, capacity, learn_from, from, to, allowance } = terms;
        let recording = recordings.get(&demand.metric);
        let rows = recording.map(Recording::rows).unwrap_or_default();
        let (Some(recording), Some(first), Some(last)) = (recording, rows.first(), rows.last()) else {
            return Err(NoTrial::NoRecording(demand.metric));
        };
        let span = Span { from: from.unwrap_or(first.at), to: to.unwrap_or(last.at) };
        if span.to <= span.from {
            return Err(NoTrial::NoTime(span));
        }
        let max_age = policy.metrics.get(&demand.metric).map_or(MetricSpec::PUSHED_MAX_AGE, |spec| spec.max_age);
        let needs = Demand { recording, per_unit: demand.per_unit, max_age }.needs(span);
        let Some(needed) = needs.iter().find_map(|need| need.units) else {
            return Err(NoTrial::NothingKnown { metric: demand.metric, span });
        };
        let needed = Capacity::try_from(needed).unwrap_or(Capacity::MAX).clamp(policy.min, policy.max);
        let all_from = recordings.values().filter_map(|recording| recording.rows().first()).map(|row| row.at).min();
        let learn_from = learn_from.or(all_from).unwrap_or(span.from).min(span.from);
        let setup = Setup { resource, plant, capacity: capacity.unwrap_or(needed), learn_from, span, allowance };
        let policies = [(MAIN.to_owned(), policy)].into_iter().chain(compared).collect();
        Ok(Self { policies, recordings, demand, max_age, setup })
    }

    /// Plays all policies and scores them.
    pub fn compare(&self) -> Comparison {
        compare(&self.policies, &self.recordings, &self.needed(), &self.setup)
    }

    /// The cheapest policy of the family of the first one that leaves at most the share `most_unmet` of the need unmet.
    ///
    /// # Errors
    /// If the need is not known in a part of the time.
    pub fn tune(&self, most_unmet: f64) -> Result<Tuned, NoTrial> {
        tune(self.policy(), &self.demand, &self.recordings, &self.needed(), &self.setup, most_unmet)
    }

    fn needed(&self) -> Demand<'_> {
        let recording = &self.recordings[&self.demand.metric];
        Demand { recording, per_unit: self.demand.per_unit, max_age: self.max_age }
    }

    /// The policy that others stand beside.
    pub fn policy(&self) -> &Policy {
        &self.policies[0].1
    }

    /// How it is tried.
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// The metric that the need is counted by.
    pub fn demand(&self) -> &DemandSpec {
        &self.demand
    }

    /// Remarks on input that looks like a mistake, without a full stop.
    pub fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        for (name, spec) in self.policies.iter().flat_map(|(_, policy)| &policy.metrics) {
            match self.recordings.get(name).filter(|recording| !recording.rows().is_empty()).map(Recording::spacing) {
                None => remarks.push(format!("metric {name} has no values: it is missing all the time")),
                Some(Some(apart)) if spec.max_age < apart => remarks.push(format!(
                    "values of {name} are {} s apart, and one counts for {} s (maxAgeSeconds): it is missing in between",
                    apart.as_secs_f64(),
                    spec.max_age.as_secs_f64(),
                )),
                Some(_) => {}
            }
        }
        for rule in self.policies.iter().flat_map(|(_, policy)| &policy.rules) {
            if let RuleKind::Follow(follow) = &rule.kind {
                let (rule, resource) = (&rule.name, &follow.resource);
                remarks.push(format!("rule {rule} has no opinion: there is no resource {resource} in a backtest"));
            }
        }
        remarks.sort_unstable();
        remarks.dedup();
        remarks
    }
}
