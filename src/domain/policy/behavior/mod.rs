//! How fast wishes are followed: stabilisation, then limits of speed.
//!
//! What there is is raised to the least wish of the window for rises, then lowered to the greatest wish of the window for
//! falls. So a rise waits until all wishes of its window ask for one. Rejected: the greatest wish for rises as well,
//! which adds capacity while the load is low.

mod allowance;
#[cfg(test)]
mod tests;
mod wishes;

use serde::{Deserialize, Serialize};

use super::super::capacity::Capacity;
use super::super::time::Timestamp;
use super::document::{Behavior, Smoothing};
use super::rules::plus;
use super::time_words::{clock, seconds};
use super::timer::Timer;
use allowance::{Allowance, Moves};
pub use wishes::Wishes;

/// What `behavior` remembers: at most 256 entries of 60 bytes of JSON, thus 16 KiB.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BehaviorMemory {
    /// What was wanted.
    pub wishes: Wishes,
    rises: Moves,
    falls: Moves,
}

/// A number after this stage, and why it is another one than before.
#[derive(Clone, Debug, PartialEq)]
pub struct Smoothed {
    /// The number.
    pub value: Capacity,
    /// The reason, as a sentence fragment.
    pub detail: Option<String>,
}

impl BehaviorMemory {
    /// Enters `wanted` as the wish of `now`, and follows the wishes from what there is as fast as allowed.
    pub fn follow(
        &mut self,
        behavior: &Behavior,
        wanted: Capacity,
        present: Capacity,
        now: Timestamp,
        timer: &mut Timer,
    ) -> Smoothed {
        self.wishes.enter(wanted, now);
        let (stable, waits_until) = self.stabilise(behavior, wanted, present, now, timer);
        let (value, allowance) = self.limit_speed(behavior, stable, present, now);
        let detail = if value != stable {
            if let Some(at) = allowance.and_then(|allowance| allowance.changes_at) {
                timer.note(at);
            }
            let (side, is_rise) = if stable > present { (&behavior.up, true) } else { (&behavior.down, false) };
            Some(limit_in_words(side, is_rise, value.distance(present), allowance, now))
        } else if value != wanted {
            let (direction, window) = if wanted > present {
                ("up", behavior.up.stabilization)
            } else {
                ("down", behavior.down.stabilization)
            };
            let until = waits_until.map_or(String::new(), |at| format!(", not before {}", clock(at, now)));
            Some(format!("{direction} only as far as all wishes of the last {} agree{until}", seconds(window)))
        } else {
            None
        };
        Smoothed { value, detail }
    }

    /// What there is, moved as far as all wishes of a window agree, and when it moves next.
    fn stabilise(
        &self,
        behavior: &Behavior,
        wanted: Capacity,
        present: Capacity,
        now: Timestamp,
        timer: &mut Timer,
    ) -> (Capacity, Option<Timestamp>) {
        let (least, least_until) = self.wishes.least(behavior.up.stabilization, now).unwrap_or((wanted, None));
        let (greatest, greatest_until) =
            self.wishes.greatest(behavior.down.stabilization, now).unwrap_or((wanted, None));
        let stable = present.max(least).min(greatest);
        // Only the side on which the present wish lies beyond can move by time alone.
        let next = if wanted > stable {
            least_until
        } else if wanted < stable {
            greatest_until
        } else {
            None
        };
        if let Some(at) = next {
            timer.note(at);
        }
        (stable, next)
    }

    fn limit_speed(
        &self,
        behavior: &Behavior,
        stable: Capacity,
        present: Capacity,
        now: Timestamp,
    ) -> (Capacity, Option<Allowance>) {
        if stable > present {
            let left = self.rises.left(&behavior.up, present, now);
            (left.map_or(stable, |left| stable.min(plus(present, i64::from(left.units)))), left)
        } else {
            let left = self.falls.left(&behavior.down, present, now);
            (left.map_or(stable, |left| stable.max(plus(present, -i64::from(left.units)))), left)
        }
    }

    /// Applies `change` to each point in time in it.
    pub fn change_times(&mut self, change: &mut impl FnMut(&mut Timestamp)) {
        self.wishes.change_times(change);
        self.rises.change_times(change);
        self.falls.change_times(change);
    }

    /// Notes that the target is moved from what there is to `value` because of the rules.
    pub fn note_move(&mut self, behavior: &Behavior, present: Capacity, value: Capacity, now: Timestamp) {
        let units = value.distance(present);
        if value > present {
            self.rises.note(present, units, &behavior.up, now);
        } else {
            self.falls.note(present, units, &behavior.down, now);
        }
    }
}

/// That a move of the rules is limited to `units`, and until when. A move that begins its period counts from `now`.
fn limit_in_words(side: &Smoothing, is_rise: bool, units: u32, allowance: Option<Allowance>, now: Timestamp) -> String {
    let (more, change) = if is_rise { ("more", "rise") } else { ("less", "fall") };
    let until = match allowance {
        Some(Allowance { units: 0, changes_at: None }) => return format!("the policy allows no {change}"),
        Some(Allowance { changes_at: Some(at), .. }) => at,
        _ => now + side.period,
    };
    let amount = if units == 0 { format!("no further {change}") } else { format!("at most {units} {more}") };
    format!("{amount} within {}, until {}", seconds(side.period), clock(until, now))
}
