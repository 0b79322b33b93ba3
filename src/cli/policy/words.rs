//! What a policy does and what is wrong with it, for people.

use crate::api::{PlannedCapacity, PolicyDocument, TransitionView};
use crate::cli::{self, table};
use crate::domain::Timestamp;
use crate::policy::{Problem, Warning};

/// Most beginnings and ends of windows that are shown.
pub const MAX_TRANSITIONS: usize = 20;
/// Most planned capacities that are shown: a climb of several steps takes one each.
const MAX_PLANNED: usize = 20;

/// What is wrong with a policy, a line each.
pub fn errors(errors: &[Problem]) -> impl Iterator<Item = String> {
    let place = |pointer: &str| if pointer.is_empty() { "the document".to_owned() } else { pointer.to_owned() };
    errors.iter().map(move |error| format!("error: {} {}", place(&error.pointer), error.detail))
}

/// What is surely not meant, a line each.
pub fn warnings(warnings: &[Warning]) -> impl Iterator<Item = String> {
    warnings.iter().map(|found| format!("warning: {}: {}", found.pointer, found.detail))
}

/// The warnings and the summary that an answer has, a line each.
pub fn explanation(policy: &PolicyDocument) -> Vec<String> {
    let found = policy.warnings.as_deref().unwrap_or_default();
    warnings(found).chain(policy.summary.iter().flatten().cloned()).collect()
}

/// A table of the capacities that a policy leads to, with a header; nothing if none is laid down.
pub fn planned(planned: &[PlannedCapacity], now: Timestamp) -> Vec<String> {
    if planned.is_empty() {
        return Vec::new();
    }
    let rows = planned.iter().take(MAX_PLANNED);
    let rows = rows.map(|point| [cli::words::time_near(point.at.0, now), point.capacity.to_string()]);
    table::lines(["PLANNED FROM", "CAPACITY"], rows)
}

/// A table of windows that open and close, with a header; nothing if there are none.
pub fn transitions(transitions: &[TransitionView]) -> Vec<String> {
    if transitions.is_empty() {
        return Vec::new();
    }
    let bound = |bound: Option<u32>| bound.map_or(String::new(), |bound| bound.to_string());
    let rows = transitions.iter().take(MAX_TRANSITIONS).map(|transition| {
        let does = if transition.opens { "opens" } else { "closes" };
        let (min, max) = (bound(transition.min), bound(transition.max));
        [transition.local.clone(), transition.rule.clone(), does.to_owned(), min, max]
    });
    table::lines(["NEXT", "SCHEDULE", "", "MIN", "MAX"], rows)
}
