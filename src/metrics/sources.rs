//! Requests for the metrics of policies.

use std::time::Instant;

use prometheus::{Histogram, IntCounterVec, Registry};
use prometheus::{histogram_opts, register_histogram_with_registry, register_int_counter_vec_with_registry};

use super::buckets;

/// Up to the ten seconds after which an answer is no longer waited for.
const LATENCY_SECONDS: [f64; 11] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// What became of a request to a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceOutcome {
    /// An answer with status 200, whatever is in it.
    Ok,
    /// Another status, or an answer that is too large, compressed or no HTTP.
    ErrorAnswer,
    /// No whole answer came.
    NoAnswer,
    /// The gateway no longer waits: it stops.
    GivenUp,
}

impl SourceOutcome {
    const ALL: [Self; 4] = [Self::Ok, Self::ErrorAnswer, Self::NoAnswer, Self::GivenUp];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::ErrorAnswer => "error_answer",
            Self::NoAnswer => "no_answer",
            Self::GivenUp => "given_up",
        }
    }
}

/// Counts and times requests to sources. Hosts and metrics are no labels: policies choose them.
pub struct SourceMetrics {
    requests: IntCounterVec,
    durations: Histogram,
}

impl SourceMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let requests = register_int_counter_vec_with_registry!(
            "scalegate_source_requests_total",
            "Requests for the metrics of policies by outcome: ok; error_answer: a status other than 200, or an answer that \
             cannot be read; no_answer: refused, timed out or broken off; given_up: the gateway stopped meanwhile.",
            &["outcome"],
            registry
        )?;
        let durations = register_histogram_with_registry!(
            histogram_opts!(
                "scalegate_source_request_duration_seconds",
                "Time from asking a source to its whole answer, or to the end of waiting for it.",
                buckets(&LATENCY_SECONDS)
            ),
            registry
        )?;
        // From zero, so that the first failure already shows as an increase.
        for outcome in SourceOutcome::ALL {
            requests.with_label_values(&[outcome.as_str()]);
        }
        Ok(Self { requests, durations })
    }

    /// A request begins.
    pub fn begin(&self) -> SourceTimer<'_> {
        SourceTimer { metrics: self, begun: Instant::now(), outcome: SourceOutcome::GivenUp }
    }
}

/// A request on its way. Dropped without [`SourceTimer::end`], it counts as given up.
pub struct SourceTimer<'a> {
    metrics: &'a SourceMetrics,
    begun: Instant,
    outcome: SourceOutcome,
}

impl SourceTimer<'_> {
    /// The request is over.
    pub fn end(mut self, outcome: SourceOutcome) {
        self.outcome = outcome;
    }
}

impl Drop for SourceTimer<'_> {
    fn drop(&mut self) {
        self.metrics.requests.with_label_values(&[self.outcome.as_str()]).inc();
        self.metrics.durations.observe(self.begun.elapsed().as_secs_f64());
    }
}
