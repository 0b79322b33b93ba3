//! Everything about a simulated sidecar that can be chosen.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::{Alias, Bounds, Capacity};

/// How a simulated sidecar behaves. The default is well-behaved: prompt, truthful and without faults.
#[derive(Clone, Debug, PartialEq)]
pub struct Behaviour {
    /// The resources there are; any other gets 404. `None` creates each resource when it is first mentioned.
    pub known: Option<BTreeSet<Alias>>,
    /// Capacity of every resource at the beginning. The default is 1.
    pub start_capacity: Capacity,
    /// The platform's `minReplicas` and `maxReplicas`. The default is no restriction.
    pub bounds: Bounds,
    /// What becomes of a change that would leave `bounds`.
    pub outside_bounds: OutsideBounds,
    /// Time from the moment a change is applied until the resource is provisioned and ACTIVE again. The default is
    /// 20 s, the quick end of what real changes take.
    pub provisioning: Duration,
    /// Time from the acceptance of a change until it is applied. Until then nothing shows of it.
    pub apply_delay: Duration,
    /// Readings show the resource as it was this long ago.
    pub read_lag: Duration,
    /// What readings say about when they were observed.
    pub timestamps: TimestampMode,
    /// Status of a provisioned resource at capacity 0. The default is `PAUSED`.
    pub status_at_zero: String,
    /// While a change is provisioned: `true` (the default) shows the new capacity at once, with status `MODIFYING`;
    /// `false` shows the old capacity, with status `SCALING`.
    pub goal_while_modifying: bool,
    /// Changes applied while this is set are never provisioned: the resource stays in progress for ever.
    pub never_active: bool,
    /// The status shown by every reading, whatever the truth, for example `FAILED`.
    pub status_override: Option<String>,
    /// Refuses a change with 409 `invalid_state` while an earlier one of the same resource is not provisioned yet.
    pub busy_conflict: bool,
    /// How often requests go wrong at random.
    pub faults: Faults,
    /// Most records kept in the log, the oldest being dropped first; `None` keeps all. The default is 10 000: a day of
    /// one resource being read every ten seconds.
    pub max_records: Option<usize>,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            known: None,
            start_capacity: Capacity::new(1).expect("1 is in range"),
            bounds: Bounds::NONE,
            outside_bounds: OutsideBounds::Reject,
            provisioning: Duration::from_secs(20),
            apply_delay: Duration::ZERO,
            read_lag: Duration::ZERO,
            timestamps: TimestampMode::Honest,
            status_at_zero: "PAUSED".to_owned(),
            goal_while_modifying: true,
            never_active: false,
            status_override: None,
            busy_conflict: false,
            faults: Faults::default(),
            max_records: Some(10_000),
        }
    }
}

/// What becomes of a change that would leave the bounds; the platform does not document it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OutsideBounds {
    /// Refused with 400 `bad_request`.
    #[default]
    Reject,
    /// Accepted, and applied only as far as the bound.
    Clamp,
    /// Accepted, and never applied.
    Ignore,
}

/// What a reading's `lastObservedTimestamp` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimestampMode {
    /// When the state shown was the true one: `read_lag` before the request.
    #[default]
    Honest,
    /// The time of the request, however old the state shown is.
    Fresh,
    /// The field is absent.
    Missing,
    /// `0001-01-01T00:00:00Z`, which is how Go prints a time that was never set.
    Zero,
}

/// How often requests go wrong at random. The default is never.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Faults {
    /// Faults of readings.
    pub reads: FaultRates,
    /// Faults of changes.
    pub changes: FaultRates,
    /// How late the answer of a [`Fault::Slow`] request is. The default is 5 s.
    pub slow_for: Duration,
}

impl Default for Faults {
    fn default() -> Self {
        Self { reads: FaultRates::default(), changes: FaultRates::default(), slow_for: Duration::from_secs(5) }
    }
}

/// The share of requests, `0.0..=1.0`, that each fault befalls. A request has at most one fault: where the rates add up
/// to more than 1, the later ones in [`Fault`]'s order come short.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FaultRates {
    /// Share of [`Fault::AnswerLost`].
    pub answer_lost: f64,
    /// Share of [`Fault::RequestLost`].
    pub request_lost: f64,
    /// Share of [`Fault::ErrorBefore`].
    pub error_before: f64,
    /// Share of [`Fault::ErrorAfter`].
    pub error_after: f64,
    /// Share of [`Fault::Slow`].
    pub slow: f64,
    /// Share of [`Fault::Garbage`].
    pub garbage: f64,
}

/// One way for a request to go wrong.
///
/// "Applied" is about changes; for a reading the lost answer and the lost request look the same, and so do the two
/// errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Applied, and the connection closed without an answer.
    AnswerLost,
    /// Not applied, and the connection closed without an answer.
    RequestLost,
    /// Not applied, and answered with 500.
    ErrorBefore,
    /// Applied, and answered with 500 all the same.
    ErrorAfter,
    /// Applied when the request comes in, and answered [`Faults::slow_for`] later. A reading answered late shows what
    /// was true when it was asked for.
    Slow,
    /// Applied, and answered with 200 and a body that is not JSON.
    Garbage,
}

impl Fault {
    /// Whether the request takes effect in spite of the fault.
    pub const fn lets_through(self) -> bool {
        !matches!(self, Self::RequestLost | Self::ErrorBefore)
    }
}

impl FaultRates {
    /// The fault that `draw`, uniform over `0.0..1.0`, stands for.
    pub(super) fn pick(&self, draw: f64) -> Option<Fault> {
        let mut threshold = 0.0;
        [
            (self.answer_lost, Fault::AnswerLost),
            (self.request_lost, Fault::RequestLost),
            (self.error_before, Fault::ErrorBefore),
            (self.error_after, Fault::ErrorAfter),
            (self.slow, Fault::Slow),
            (self.garbage, Fault::Garbage),
        ]
        .into_iter()
        .find_map(|(rate, fault)| {
            threshold += rate;
            (draw < threshold).then_some(fault)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_divide_the_draws_among_the_faults() {
        let rates = FaultRates { answer_lost: 0.25, error_before: 0.25, garbage: 0.25, ..FaultRates::default() };
        for (draw, fault) in [
            (0.0, Some(Fault::AnswerLost)),
            (0.2499, Some(Fault::AnswerLost)),
            (0.25, Some(Fault::ErrorBefore)),
            (0.5, Some(Fault::Garbage)),
            (0.7499, Some(Fault::Garbage)),
            (0.75, None),
            (0.9999, None),
        ] {
            assert_eq!(rates.pick(draw), fault, "{draw}");
        }
        assert_eq!(FaultRates::default().pick(0.0), None, "a rate of 0 is never");
        let always = FaultRates { slow: 1.0, ..FaultRates::default() };
        assert_eq!(always.pick(1.0 - f64::EPSILON / 2.0), Some(Fault::Slow), "a rate of 1 is always");
    }
}
