//! How long it takes to reach a capacity, and when the way there has to begin.
//!
//! A climb is a series of steps that follow each other as soon as the cooldown and the change before allow. Everything is
//! worked out backwards from the moment at which a capacity is due, and without loops over steps.
//! Rejected: a lead time that the document states, because it is wrong as soon as the step size, the cooldown or the
//! platform changes.

use std::time::Duration;

use super::super::capacity::{Capacity, Op};
use super::super::change_state::MAX_DISPATCH;
use super::super::settings::Settings;
use super::super::step_durations::StepDurations;
use super::super::time::Timestamp;

/// How fast the capacity of a resource can change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Most units in one step, at least 1.
    pub step_size: u32,
    /// Least time between two changes.
    pub cooldown: Duration,
    /// Least time between two changes in opposite directions.
    pub settle: Duration,
    /// How long a change that adds units takes, from sending to rest.
    pub up: Duration,
    /// How long a change that removes units takes, from sending to rest.
    pub down: Duration,
}

/// A capacity that is due at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// The least capacity.
    pub min: Capacity,
    /// When it is to be ready.
    pub at: Timestamp,
}

impl Pace {
    /// The pace of steps with these `settings`: each takes as long as nine in ten did, and `expected_change` in a
    /// direction of which too few are known.
    ///
    /// Each step has [`MAX_DISPATCH`] besides: it is read, committed and answered before it counts as sent, and without
    /// that a climb of many steps would end late.
    pub fn learned(settings: &Settings, durations: &StepDurations, expected_change: Duration) -> Self {
        let of = |op| durations.summary(op).map_or(expected_change, |summary| summary.p90) + MAX_DISPATCH;
        let Settings { step_size, cooldown, settle, .. } = *settings;
        let [cooldown, settle] = [cooldown, settle].map(|wait| wait + MAX_DISPATCH);
        Self { step_size, cooldown, settle, up: of(Op::Add), down: of(Op::Remove) }
    }

    /// The time from sending the first step until the last one is at rest; zero if there is nothing to climb.
    pub fn time_to_climb(&self, from: Capacity, to: Capacity) -> Duration {
        self.time_of_steps(self.steps_up(from, to))
    }

    /// The least capacity from which `due` can be met by a climb that is still to begin. `first_change_at` is when its
    /// first change can be sent: now, or at the end of the wait that runs.
    ///
    /// A climb that would have to begin at `first_change_at` itself counts as due: the floor is one step higher then, so
    /// that it begins. Where nothing meets `due` any more, the floor is its `min`: the climb begins at once.
    pub fn floor_ahead(&self, due: Due, first_change_at: Timestamp) -> Capacity {
        let steps = self.steps_before(due, first_change_at);
        let units = due.min.units().saturating_sub(steps.saturating_mul(self.step_size));
        Capacity::try_from(units).unwrap_or(due.min)
    }

    /// When [`floor_ahead`](Self::floor_ahead) is next higher than it is for this `first_change_at`, as time goes by; none
    /// if it is as high as it gets. Never before `first_change_at`.
    pub fn floor_rises_at(&self, due: Due, first_change_at: Timestamp) -> Option<Timestamp> {
        let floor = self.floor_ahead(due, first_change_at);
        (floor < due.min).then(|| due.at - self.time_to_climb(floor, due.min))
    }

    /// When `due` is met by a climb from `from` that begins at `first_change_at`, if that is later than it is due.
    pub fn late_until(&self, from: Capacity, due: Due, first_change_at: Timestamp) -> Option<Timestamp> {
        let met_at = first_change_at + self.time_to_climb(from, due.min);
        (from < due.min && met_at > due.at).then_some(met_at)
    }

    /// Whether the way from `from` to `to`, whose first change is sent at `sent_at`, leaves time to meet `due`: each change can
    /// follow when the cooldown of the one before is over and that one is at rest, and the climb after a fall when that has
    /// settled. All changes of the way count, since a
    /// job may send them without another decision between them. A way after which `due` is met no later than without it
    /// always leaves time, or a climb that is late could not begin.
    pub fn leaves_time(&self, from: Capacity, to: Capacity, sent_at: Timestamp, due: Due) -> bool {
        if to >= due.min || to == from {
            return true;
        }
        let steps = self.steps(from.distance(to));
        let way = if to > from {
            self.period().saturating_mul(steps)
        } else {
            let period = self.cooldown.max(self.down);
            period.saturating_mul(steps).max(period.saturating_mul(steps.saturating_sub(1)).saturating_add(self.settle))
        };
        let without = sent_at + self.time_to_climb(from, due.min);
        let with = sent_at + way.saturating_add(self.time_to_climb(to, due.min));
        with <= due.at.max(without)
    }

    /// The least capacity on the way down from `from` to `to` that [leaves time](Self::leaves_time) to meet `due`.
    pub fn lowest_in_time(&self, from: Capacity, to: Capacity, sent_at: Timestamp, due: Due) -> Capacity {
        if self.leaves_time(from, to, sent_at, due) {
            return to;
        }
        // The lower, the later: what lies between a capacity that is late and one that is not is halved.
        let (mut late, mut in_time) = (to.units(), from.min(due.min).units());
        while in_time.saturating_sub(late) > 1 {
            let middle = late.midpoint(in_time);
            match Capacity::try_from(middle) {
                Ok(units) if self.leaves_time(from, units, sent_at, due) => in_time = middle,
                _ => late = middle,
            }
        }
        Capacity::try_from(in_time).unwrap_or(from)
    }

    /// How long one change takes, from sending to rest.
    pub fn time_of_change(&self, op: Op) -> Duration {
        match op {
            Op::Add => self.up,
            Op::Remove => self.down,
        }
    }

    fn steps_up(&self, from: Capacity, to: Capacity) -> u32 {
        self.steps(to.units().saturating_sub(from.units()))
    }

    fn steps(&self, units: u32) -> u32 {
        units.div_ceil(self.step_size.max(1))
    }

    fn time_of_steps(&self, steps: u32) -> Duration {
        match steps.checked_sub(1) {
            Some(before_last) => self.period().saturating_mul(before_last).saturating_add(self.up),
            None => Duration::ZERO,
        }
    }

    /// The most steps that take less time than there is from `first_change_at` until `due`.
    fn steps_before(&self, due: Due, first_change_at: Timestamp) -> u32 {
        let time = due.at.since(first_change_at);
        let Some(before_last) = time.checked_sub(self.up).filter(|left| !left.is_zero()) else { return 0 };
        // As many periods as fit, but not exactly.
        match (before_last.as_nanos() - 1).checked_div(self.period().as_nanos()) {
            Some(periods) => u32::try_from(periods).unwrap_or(u32::MAX).saturating_add(1),
            None => u32::MAX,
        }
    }

    /// The time from one step to the next.
    fn period(&self) -> Duration {
        self.cooldown.max(self.up)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn units(units: u32) -> Capacity {
        Capacity::try_from(units).expect("a small number")
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000) + Duration::from_secs(seconds)
    }

    fn pace(step_size: u32, cooldown: u64, up: u64, down: u64) -> Pace {
        let [cooldown, up, down] = [cooldown, up, down].map(Duration::from_secs);
        Pace { step_size, cooldown, settle: Duration::ZERO, up, down }
    }

    fn due(min: u32, seconds: u64) -> Due {
        Due { min: units(min), at: at(seconds) }
    }

    #[test]
    fn a_climb_takes_a_wait_between_its_steps_and_one_change_at_its_end() {
        for (pace, from, to, seconds) in [
            (pace(1, 300, 60, 0), 2, 10, 7 * 300 + 60),
            (pace(1, 300, 60, 0), 9, 10, 60),
            (pace(1, 300, 60, 0), 10, 10, 0),
            (pace(1, 300, 60, 0), 12, 10, 0),
            (pace(3, 300, 60, 0), 2, 10, 2 * 300 + 60),
            (pace(3, 300, 60, 0), 1, 10, 2 * 300 + 60),
            (pace(3, 300, 60, 0), 0, 10, 3 * 300 + 60),
            (pace(1, 60, 300, 0), 0, 3, 3 * 300),
            (pace(1, 0, 0, 0), 0, 1_000_000, 0),
            (pace(1_000_000, 300, 60, 0), 0, 1_000_000, 60),
        ] {
            let expected = Duration::from_secs(seconds);
            assert_eq!(pace.time_to_climb(units(from), units(to)), expected, "{from} to {to}: {pace:?}");
        }
    }

    #[test]
    fn steps_take_as_long_as_nine_in_ten_did_or_as_the_document_expects() {
        let mut durations = StepDurations::default();
        for seconds in [40, 50, 60, 70, 80] {
            durations.note(Op::Add, Duration::from_secs(seconds));
        }
        durations.note(Op::Remove, Duration::from_secs(7));
        let settings = Settings { step_size: 2, ..Settings::DEFAULT };
        let learned = Pace::learned(&settings, &durations, Duration::from_secs(900));
        let expected = Pace { settle: Duration::from_secs(91), ..pace(2, 301, 81, 901) };
        assert_eq!(learned, expected, "and a second to be sent");
    }

    /// From 2 to 10 by 1: 8 seconds more than without it.
    #[test]
    fn a_climb_has_time_for_the_dispatch_of_each_step() {
        let settings = Settings { step_size: 1, ..Settings::DEFAULT };
        let learned = Pace::learned(&settings, &StepDurations::default(), Duration::from_mins(1));
        let expected = Duration::from_mins(36) + Duration::from_secs(8);
        assert_eq!(learned.time_to_climb(units(2), units(10)), expected);
    }

    /// From 2 to 10, a step of 1 every 5 minutes and a minute for each change: 36 minutes.
    #[test]
    fn a_climb_begins_exactly_when_it_has_to() {
        let (pace, opens) = (pace(1, 300, 60, 0), 36_000);
        let before = |minutes: u64| at(opens - minutes * 60);
        let floor = |first_change_at| pace.floor_ahead(due(10, opens), first_change_at).units();
        let a_moment = Duration::from_millis(1);
        assert_eq!(floor(before(36) - a_moment), 2, "2 is enough until then");
        assert_eq!(floor(before(36)), 3, "and must be left now");
        assert_eq!(pace.floor_rises_at(due(10, opens), before(300)), Some(before(46)), "10 steps from nothing");
        assert_eq!(pace.floor_rises_at(due(10, opens), before(46)), Some(before(41)));
        assert_eq!(pace.floor_rises_at(due(10, opens), before(36) - a_moment), Some(before(36)));
        assert_eq!(pace.floor_rises_at(due(10, opens), before(36)), Some(before(31)));
        assert_eq!(floor(before(1) - a_moment), 9);
        assert_eq!(floor(before(1)), 10);
        assert_eq!(pace.floor_rises_at(due(10, opens), before(1)), None);
    }

    #[test]
    fn what_can_no_longer_be_met_is_begun_at_once() {
        let pace = pace(1, 300, 60, 0);
        for (first_change_at, why) in
            [(at(3590), "too little time for a single step"), (at(3600), "none"), (at(9999), "late")]
        {
            assert_eq!(pace.floor_ahead(due(10, 3600), first_change_at), units(10), "{why}");
            assert_eq!(pace.floor_rises_at(due(10, 3600), first_change_at), None, "{why}");
        }
        assert_eq!(
            pace.floor_ahead(due(10, 3600), at(3600 - 660)),
            units(8),
            "2 or less are late, and climb to 8 at least"
        );
    }

    /// From 2 to 10: 36 minutes.
    #[test]
    fn a_climb_that_is_late_says_when_it_ends() {
        let pace = pace(1, 300, 60, 0);
        let late = |from, first_change_at| pace.late_until(units(from), due(10, 36 * 60), at(first_change_at));
        assert_eq!(late(2, 0), None, "just in time");
        assert_eq!(late(2, 1), Some(at(36 * 60 + 1)));
        assert_eq!(late(9, 40 * 60), Some(at(41 * 60)));
        assert_eq!(late(10, 40 * 60), None, "it is there, or the change under way leads there");
    }

    #[test]
    fn a_change_that_would_make_a_climb_late_is_told_from_one_that_leaves_time() {
        let pace = pace(1, 300, 60, 120);
        let opens = 36_000;
        let before = |seconds: u64| at(opens - seconds);
        for (from, to, seconds, leaves, why) in [
            (5, 4, 5 * 300 + 60 + 300, true, "six more steps after the cooldown, just in time"),
            (5, 4, 5 * 300 + 60 + 299, false, "a second too late"),
            (5, 6, 5 * 300, true, "a step of the climb, early enough"),
            (5, 6, 100, true, "a step of a climb that is late all the same"),
            (5, 4, 100, false, "it is late already, and would be later"),
            (12, 10, 5, true, "it stays at what is due"),
            (10, 9, 300 + 60, true, "one step after the cooldown"),
            (10, 9, 300 + 59, false, "one step too late"),
            (12, 9, 3 * 300 + 60, true, "one step after three cooldowns"),
            (12, 9, 3 * 300 + 59, false, "one step too late for a way of three"),
            (9, 12, 5, true, "more than is due"),
        ] {
            assert_eq!(pace.leaves_time(units(from), units(to), before(seconds), due(10, opens)), leaves, "{why}");
        }
    }

    #[test]
    fn a_removal_that_takes_longer_than_the_cooldown_is_waited_for() {
        let pace = pace(1, 300, 60, 900);
        assert!(pace.leaves_time(units(10), units(9), at(0), due(10, 900 + 60)));
        assert!(!pace.leaves_time(units(10), units(9), at(0), due(10, 900 + 59)));
    }

    #[test]
    fn a_fall_goes_as_low_as_there_is_time_to_come_back_from() {
        let pace = pace(2, 0, 60, 120);
        let lowest = |time| pace.lowest_in_time(units(12), units(1), at(0), due(10, time)).units();
        let found = [0, 60, 239, 299, 300, 419, 480, 659, 660, 900, 3600].map(lowest);
        assert_eq!(found, [10, 10, 10, 10, 8, 8, 6, 6, 4, 2, 1]);
    }

    #[test]
    fn a_climb_after_a_fall_waits_until_that_has_settled() {
        let pace = Pace { settle: Duration::from_secs(90), ..pace(1, 30, 60, 20) };
        for (to, time, leaves) in
            [(9, 90 + 60, true), (9, 90 + 59, false), (8, 30 + 90 + 120, true), (8, 30 + 90 + 119, false)]
        {
            assert_eq!(pace.leaves_time(units(10), units(to), at(0), due(10, time)), leaves, "{to} in {time} s");
        }
        let slow = Pace { settle: Duration::from_secs(5), ..pace };
        assert!(slow.leaves_time(units(10), units(9), at(0), due(10, 30 + 60)), "the cooldown is longer");
    }

    proptest! {
        /// A resource that does nothing but follow the floor, step by step, has what is due when it is due.
        #[test]
        fn following_the_floor_is_in_time_and_never_early(
            (step_size, cooldown, up) in (1..6u32, 0..900u64, 0..900u64),
            (start, min) in (0..40u32, 0..40u32),
        ) {
            let pace = pace(step_size, cooldown, up, 0);
            let due = due(min, 200_000);
            let (mut now, mut capacity, mut rest_at, mut next_change_at) = (at(0), start, at(0), at(0));
            let mut first_sent_at = None;
            loop {
                let first_change_at = now.max(next_change_at);
                let floor = pace.floor_ahead(due, first_change_at).units();
                if capacity < floor && now == first_change_at {
                    capacity = (capacity + step_size).min(floor);
                    rest_at = now + pace.up;
                    next_change_at = now + pace.cooldown.max(pace.up);
                    first_sent_at = first_sent_at.or(Some(now));
                } else if capacity < floor {
                    now = first_change_at;
                } else if let Some(rises_at) = pace.floor_rises_at(due, first_change_at) {
                    prop_assert!(rises_at > first_change_at);
                    now = rises_at;
                } else {
                    break;
                }
            }
            prop_assert!(capacity >= min && (rest_at <= due.at));
            if let Some(sent_at) = first_sent_at {
                prop_assert_eq!(sent_at + pace.time_to_climb(units(start), due.min), due.at);
            }
        }

        /// The floor is the least capacity that is not late, by the definition.
        #[test]
        fn the_floor_is_what_its_definition_says(
            (step_size, cooldown, up) in (1..6u32, 0..900u64, 0..900u64),
            (min, time) in (0..40u32, 0..20_000u64),
        ) {
            let pace = pace(step_size, cooldown, up, 0);
            let in_time = |capacity: u32| pace.time_to_climb(units(capacity), units(min)) < Duration::from_secs(time);
            let expected = (0..min).find(|capacity| in_time(*capacity)).unwrap_or(min);
            prop_assert_eq!(pace.floor_ahead(due(min, 20_000), at(20_000 - time)).units(), expected);
        }
    }
}
