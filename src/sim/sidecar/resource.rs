//! One simulated resource: its true state now, and what it was a while ago.

use std::collections::VecDeque;

use crate::domain::{Capacity, Timestamp};

/// Most past states kept per resource. They matter only for as long as readings lag, and a thousand changes within one
/// lag are far beyond any test; should it happen, the oldest reading is a little fresher than asked for.
const MAX_STATES: usize = 1_000;

/// A resource's states in the order in which they came about; the last one is the present.
///
/// Keeping the history, instead of updating fields when a delay is over, makes "as it was four seconds ago" a look-up
/// and leaves no timers to run.
#[derive(Clone, Debug)]
pub(super) struct Resource {
    states: VecDeque<State>,
    largest: Capacity,
}

/// What a resource is from one change until the next.
#[derive(Clone, Copy, Debug)]
struct State {
    since: Timestamp,
    capacity: Capacity,
    /// When `capacity` is provisioned; `None` is never.
    ready_at: Option<Timestamp>,
    /// The capacity that was provisioned when this state began.
    provisioned_before: Capacity,
}

impl State {
    fn is_ready(&self, now: Timestamp) -> bool {
        self.ready_at.is_some_and(|ready_at| ready_at <= now)
    }

    fn provisioned(&self, now: Timestamp) -> Capacity {
        if self.is_ready(now) { self.capacity } else { self.provisioned_before }
    }
}

/// A resource as it was at some moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Snapshot {
    /// The capacity that all changes applied until then amount to.
    pub goal: Capacity,
    /// The capacity that was up and running.
    pub provisioned: Capacity,
    /// Whether all changes applied until then were provisioned.
    pub is_ready: bool,
}

impl Resource {
    /// A resource that has had `capacity` since ever.
    pub(super) fn new(capacity: Capacity) -> Self {
        let since = Timestamp::from_millis(i64::MIN);
        let state = State { since, capacity, ready_at: Some(since), provisioned_before: capacity };
        Self { states: VecDeque::from([state]), largest: capacity }
    }

    fn latest(&self) -> State {
        // There is always one: `new` makes it and `set` takes none away without adding one.
        self.states[self.states.len() - 1]
    }

    /// The capacity that all changes applied so far amount to.
    pub(super) fn capacity(&self) -> Capacity {
        self.latest().capacity
    }

    /// The largest capacity there has ever been.
    pub(super) const fn largest(&self) -> Capacity {
        self.largest
    }

    /// Whether all changes applied so far are provisioned at `now`.
    pub(super) fn is_ready(&self, now: Timestamp) -> bool {
        self.latest().is_ready(now)
    }

    /// Makes `capacity` the capacity from `at` on, provisioned at `ready_at` or never.
    pub(super) fn set(&mut self, at: Timestamp, capacity: Capacity, ready_at: Option<Timestamp>) {
        let provisioned_before = self.latest().provisioned(at);
        if self.states.len() == MAX_STATES {
            self.states.pop_front();
        }
        self.states.push_back(State { since: at, capacity, ready_at, provisioned_before });
        self.largest = self.largest.max(capacity);
    }

    /// The resource as it was at `at`.
    pub(super) fn as_of(&self, at: Timestamp) -> Snapshot {
        let state = self.states.iter().rev().find(|state| state.since <= at).unwrap_or(&self.states[0]);
        let at = at.max(state.since);
        Snapshot { goal: state.capacity, provisioned: state.provisioned(at), is_ready: state.is_ready(at) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn units(units: i64) -> Capacity {
        Capacity::new(units).expect("a small number")
    }

    fn snapshot(goal: i64, provisioned: i64, is_ready: bool) -> Snapshot {
        Snapshot { goal: units(goal), provisioned: units(provisioned), is_ready }
    }

    #[test]
    fn remembers_what_it_was() {
        let mut resource = Resource::new(units(1));
        resource.set(at(100), units(3), Some(at(200)));
        resource.set(at(150), units(2), Some(at(250)));
        resource.set(at(300), units(5), None);
        for (when, expected) in [
            (i64::MIN, snapshot(1, 1, true)),
            (99, snapshot(1, 1, true)),
            (100, snapshot(3, 1, false)),
            (149, snapshot(3, 1, false)),
            (150, snapshot(2, 1, false)),
            (249, snapshot(2, 1, false)),
            (250, snapshot(2, 2, true)),
            (300, snapshot(5, 2, false)),
            (i64::MAX, snapshot(5, 2, false)),
        ] {
            assert_eq!(resource.as_of(at(when)), expected, "at {when}");
        }
        assert_eq!((resource.capacity(), resource.largest()), (units(5), units(5)));
    }

    #[test]
    fn a_clock_set_back_does_not_bring_the_past_back() {
        let mut resource = Resource::new(units(1));
        resource.set(at(1_000), units(2), Some(at(1_000)));
        resource.set(at(500), units(3), Some(at(500)));
        assert_eq!(resource.as_of(at(600)), snapshot(3, 3, true));
        assert_eq!(resource.as_of(at(2_000)), snapshot(3, 3, true));
    }

    #[test]
    fn keeps_a_bounded_past_and_the_largest_capacity_of_all() {
        let mut resource = Resource::new(units(1));
        resource.set(at(0), units(9), Some(at(0)));
        for step in 1..=2 * MAX_STATES as i64 {
            resource.set(at(step), units(step % 2), Some(at(step)));
        }
        assert_eq!(resource.states.len(), MAX_STATES);
        assert_eq!(resource.largest(), units(9));
        assert!(resource.as_of(at(0)).is_ready, "the past beyond memory is the oldest one remembered");
    }
}
