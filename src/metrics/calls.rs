//! Calls to the sidecar.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use prometheus::{HistogramVec, IntCounterVec, Registry};
use prometheus::{histogram_opts, register_histogram_vec_with_registry, register_int_counter_vec_with_registry};

use super::{Scrape, buckets};

/// From an answer of a neighbour on the same machine to the minute after which it is no longer waited for.
const LATENCY_SECONDS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 60.0];

/// What is asked of the sidecar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A reading that a job waits for.
    Read,
    /// A reading for a caller that looks at the resource.
    Look,
    /// More units.
    Add,
    /// Fewer.
    Remove,
    /// More units of several resources.
    AddTogether,
    /// Fewer.
    RemoveTogether,
}

impl Operation {
    const ALL: [Self; 6] = [Self::Read, Self::Look, Self::Add, Self::Remove, Self::AddTogether, Self::RemoveTogether];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Look => "look",
            Self::Add => "add",
            Self::Remove => "remove",
            Self::AddTogether => "add_together",
            Self::RemoveTogether => "remove_together",
        }
    }

    /// The outcomes it can have.
    const fn outcomes(self) -> &'static [CallOutcome] {
        use CallOutcome::{ErrorAnswer, GivenUp, NoAnswer, NotFound, NotSent, Ok, Rejected};
        match self {
            Self::Read | Self::Look => &[Ok, NotFound, ErrorAnswer, NoAnswer, GivenUp],
            Self::Add | Self::Remove => &[Ok, Rejected, ErrorAnswer, NoAnswer, NotSent, GivenUp],
            Self::AddTogether | Self::RemoveTogether => &[Ok, ErrorAnswer, NoAnswer, NotSent, GivenUp],
        }
    }
}

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallOutcome {
    /// A reading, or a change that was accepted.
    Ok,
    /// The sidecar does not know the resource.
    NotFound,
    /// It refuses the change.
    Rejected,
    /// Another answer than these, or one that makes no sense.
    ErrorAnswer,
    /// No whole answer came.
    NoAnswer,
    /// A change could not be sent.
    NotSent,
    /// The gateway no longer waits: a newer reading was wanted, the caller that looked was answered, or the gateway stops.
    GivenUp,
}

impl CallOutcome {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::NotFound => "not_found",
            Self::Rejected => "rejected",
            Self::ErrorAnswer => "error_answer",
            Self::NoAnswer => "no_answer",
            Self::NotSent => "not_sent",
            Self::GivenUp => "given_up",
        }
    }
}

/// Counts and times calls.
pub struct CallMetrics {
    calls: IntCounterVec,
    durations: HistogramVec,
    begun: Instant,
    /// When the last call succeeded, in milliseconds after the beginning.
    last_success_millis: AtomicU64,
}

impl CallMetrics {
    pub(super) fn register(registry: &Registry, begun: Instant) -> Result<Self, prometheus::Error> {
        let calls = register_int_counter_vec_with_registry!(
            "scalegate_sidecar_calls_total",
            "Calls to the sidecar by operation (read: for a job; look: for a caller that looks at the resource; \
             add_together and remove_together: of several resources) and outcome: ok; \
             not_found: it does not know the resource; rejected: it refuses the change; error_answer: another status, or \
             nonsense; no_answer: refused, timed out or broken off; not_sent: no connection for a change; given_up: the \
             gateway wanted no answer any more.",
            &["operation", "outcome"],
            registry
        )?;
        let durations = register_histogram_vec_with_registry!(
            histogram_opts!(
                "scalegate_sidecar_call_duration_seconds",
                "Time from asking the sidecar to its answer, or to the end of waiting for it, by operation.",
                buckets(&LATENCY_SECONDS)
            ),
            &["operation"],
            registry
        )?;
        // From zero, so that the first failure already shows as an increase.
        for operation in Operation::ALL {
            durations.with_label_values(&[operation.as_str()]);
            for outcome in operation.outcomes() {
                calls.with_label_values(&[operation.as_str(), outcome.as_str()]);
            }
        }
        Ok(Self { calls, durations, begun, last_success_millis: AtomicU64::new(0) })
    }

    /// A call begins.
    pub fn begin(&self, operation: Operation) -> CallTimer<'_> {
        CallTimer { metrics: self, operation, begun: Instant::now(), outcome: CallOutcome::GivenUp }
    }

    pub(super) fn describe(&self, scrape: &mut Scrape) {
        let last = self.last_success_millis.load(Ordering::Relaxed) as f64 / 1000.0;
        // An age rather than a point in time: the gateway's clock may differ from the clock that it would be subtracted from.
        scrape.gauge(
            "scalegate_sidecar_last_success_age_seconds",
            "Time since the sidecar last gave a reading or accepted a change; before the first time, since the gateway \
             started. It also grows while there is nothing to ask.",
            |family| family.set((self.begun.elapsed().as_secs_f64() - last).max(0.0)),
        );
    }
}

/// A call on its way. Dropped without [`CallTimer::end`], it counts as given up.
pub struct CallTimer<'a> {
    metrics: &'a CallMetrics,
    operation: Operation,
    begun: Instant,
    outcome: CallOutcome,
}

impl CallTimer<'_> {
    /// The call is over.
    pub fn end(mut self, outcome: CallOutcome) {
        self.outcome = outcome;
    }
}

impl Drop for CallTimer<'_> {
    fn drop(&mut self) {
        let Self { metrics, operation, begun, outcome } = self;
        metrics.calls.with_label_values(&[operation.as_str(), outcome.as_str()]).inc();
        metrics.durations.with_label_values(&[operation.as_str()]).observe(begun.elapsed().as_secs_f64());
        if *outcome == CallOutcome::Ok {
            let millis = u64::try_from(metrics.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
            metrics.last_success_millis.fetch_max(millis, Ordering::Relaxed);
        }
    }
}
