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
        if metrics.is_empty() {
            self.sources.remove(&resource);
        } else {
            self.sources.set(&resource, &metrics);
        }
    }

    /// A source was asked.
    pub(super) fn on_metric(&mut self, observation: Observation) {
        let Observation { resource, metric, at, result } = observation;
        if let Err(missing) = &result {
            tracing::debug!(%resource, %metric, "no value: {}", missing.detail);
        }
        self.core.on_metric(&resource, &metric, at, result.map_err(|missing| missing.reason), self.clock.now());
    }
}
