//! The I/O of policies: metrics that are pulled, and what is written once a second.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Done, Engine};
use crate::domain::Alias;
use crate::domain::policy::{MetricSpec, Name};
use crate::sidecar::Sidecar;
use crate::sources::Observation;
use crate::store::Observations;

impl<S: Sidecar> Engine<S> {
    /// Has observations written. They are lost if that fails, which the store tells of.
    pub(super) fn record(&mut self, observations: Vec<Observations>) {
        let store = Arc::clone(&self.store);
        self.tasks.spawn_local(async move {
            // The store tells of a failure, and nothing rests on it.
            let _ = store.record(observations).await;
            Done::Recorded
        });
    }

    /// Pulls these metrics of `resource` from now on.
    pub(super) fn watch(&mut self, resource: Alias, metrics: BTreeMap<Name, MetricSpec>) {
        self.failing_sources.retain(|(of, metric), _| *of != resource || metrics.contains_key(metric));
        if metrics.is_empty() {
            self.sources.remove(&resource);
        } else {
            self.sources.set(&resource, &metrics);
        }
    }

    /// A source was asked.
    pub(super) fn on_metric(&mut self, observation: Observation) {
        let Observation { resource, metric, at, result } = observation;
        self.tell_of_source(&resource, &metric, result.as_ref().err().map(|no_value| no_value.detail.as_str()));
        self.core.on_metric(&resource, &metric, at, result, self.clock.now());
    }

    /// Logs why `metric` has no value, once for each cause, and that it has one again.
    fn tell_of_source(&mut self, resource: &Alias, metric: &Name, cause: Option<&str>) {
        let key = (resource.clone(), metric.clone());
        let known = self.failing_sources.get(&key).map(String::as_str);
        match cause {
            Some(cause) if known == Some(cause) => {}
            Some(cause) => {
                tracing::warn!(%resource, %metric, "the metric cannot be fetched: {cause}");
                self.failing_sources.insert(key, cause.to_owned());
            }
            None if known.is_some() => {
                tracing::info!(%resource, %metric, "the metric can be fetched again");
                self.failing_sources.remove(&key);
            }
            None => {}
        }
    }
}
