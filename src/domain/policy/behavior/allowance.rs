//! How many units may still be added or removed within a period.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::super::capacity::Capacity;
use super::super::super::time::Timestamp;
use super::super::document::Smoothing;

/// Most moves kept for each direction. If a period sees more, two of them become one that counts for as long as the
/// later: the limit is kept, and the next move may come a little later than it could.
const MAX_KEPT: usize = 64;

/// The moves of one direction that limits may have to count.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Moves(Vec<Step>);

/// A decided rise or fall.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Step {
    at: Timestamp,
    /// What there was before it.
    before: Capacity,
    units: u32,
}

/// What is left of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Units.
    pub units: u32,
    /// When there are more or fewer, if the end of an earlier move changes that. With neither units nor this, there are
    /// never any.
    pub changes_at: Option<Timestamp>,
}

impl Moves {
    /// Notes a move that was decided.
    pub fn note(&mut self, before: Capacity, units: u32, smoothing: &Smoothing, now: Timestamp) {
        if units == 0 || limit(smoothing, before).is_none() {
            return;
        }
        self.0.retain(|step| step.at + smoothing.period > now);
        self.0.push(Step { at: now, before, units });
        if self.0.len() > MAX_KEPT {
            merge_closest(&mut self.0);
        }
    }

    /// Applies `change` to each point in time in it.
    pub fn change_times(&mut self, change: &mut impl FnMut(&mut Timestamp)) {
        self.0.iter_mut().for_each(|step| change(&mut step.at));
    }

    /// How much is left of the limits of `smoothing`, given what there is; nothing if they set none.
    pub fn left(&self, smoothing: &Smoothing, present: Capacity, now: Timestamp) -> Option<Allowance> {
        let counted: Vec<Step> = self.0.iter().filter(|step| step.at + smoothing.period > now).copied().collect();
        let units = left_after(&counted, smoothing, present)?;
        let changes_at = counted.iter().enumerate().find_map(|(index, step)| {
            let later = left_after(&counted[index + 1..], smoothing, present)?;
            (later != units).then(|| step.at + smoothing.period)
        });
        Some(Allowance { units, changes_at })
    }
}

/// How much is left where `counted` are the moves of the period; nothing if there is no limit.
fn left_after(counted: &[Step], smoothing: &Smoothing, present: Capacity) -> Option<u32> {
    let before = counted.first().map_or(present, |first| first.before);
    let used = counted.iter().fold(0_u32, |used, step| used.saturating_add(step.units));
    Some(limit(smoothing, before)?.saturating_sub(used))
}

/// The larger of both limits. A share of nothing is one unit if it is above 0: otherwise a resource at 0 stays there.
fn limit(smoothing: &Smoothing, before: Capacity) -> Option<u32> {
    let share = smoothing.max_percent.map(|percent| {
        let units = super::super::rules::units_for(f64::from(before.units().max(1)) * percent, 100.0);
        units.units()
    });
    smoothing.max_units.max(share)
}

fn merge_closest(steps: &mut Vec<Step>) {
    let gap = |pair: &[Step]| match pair {
        [first, second] => second.at.since(first.at),
        _ => Duration::MAX,
    };
    let closest = steps.windows(2).enumerate().min_by_key(|(_, pair)| gap(pair)).map(|(index, _)| index);
    if let Some(index) = closest {
        let later = steps.remove(index + 1);
        if let Some(earlier) = steps.get_mut(index) {
            earlier.at = later.at;
            earlier.units = earlier.units.saturating_add(later.units);
        }
    }
}
