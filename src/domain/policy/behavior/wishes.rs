//! What was wanted in the last hour: a wish holds until the next one replaces it.
//!
//! Only the greatest and the least wish of a window are ever asked for, so only wishes that can still become one of
//! them are kept. Rejected: a list of all wishes, which grows with the number of evaluations.

use serde::{Deserialize, Serialize};
use std::time::Duration;

use super::super::super::capacity::Capacity;
use super::super::super::time::Timestamp;

/// Longest window that can be asked for.
pub const MAX_STABILIZATION: Duration = Duration::from_hours(1);
/// Most wishes kept for each of the two questions. An hour that needs more is one of steady rise or fall; two of its
/// neighbours become one then, which counts for as long as the later and is as cautious as the earlier.
const MAX_KEPT: usize = 64;

/// The wishes of the last hour.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Wishes {
    greatest: Vec<Wish>,
    least: Vec<Wish>,
}

/// A wish and when the next one replaced it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Wish {
    wants: Capacity,
    replaced_at: Option<Timestamp>,
}

impl Wish {
    fn counts(&self, window: Duration, now: Timestamp) -> bool {
        self.replaced_at.is_none_or(|replaced_at| replaced_at + window > now)
    }
}

impl Wishes {
    /// Enters a wish.
    pub fn enter(&mut self, wants: Capacity, now: Timestamp) {
        enter(&mut self.greatest, wants, now, |old, new| old <= new);
        enter(&mut self.least, wants, now, |old, new| old >= new);
    }

    /// Applies `change` to each point in time in it.
    pub fn change_times(&mut self, change: &mut impl FnMut(&mut Timestamp)) {
        for wish in self.greatest.iter_mut().chain(&mut self.least) {
            wish.replaced_at.iter_mut().for_each(&mut *change);
        }
    }

    /// The greatest wish of the last `window`, and when the next smaller one counts in its place.
    pub fn greatest(&self, window: Duration, now: Timestamp) -> Option<(Capacity, Option<Timestamp>)> {
        first_counted(&self.greatest, window, now)
    }

    /// The least wish of the last `window`, and when the next greater one counts in its place.
    pub fn least(&self, window: Duration, now: Timestamp) -> Option<(Capacity, Option<Timestamp>)> {
        first_counted(&self.least, window, now)
    }
}

/// The kept wishes grow ever less extreme and end ever later: the first that counts is the answer.
fn first_counted(kept: &[Wish], window: Duration, now: Timestamp) -> Option<(Capacity, Option<Timestamp>)> {
    let first = kept.iter().find(|wish| wish.counts(window, now))?;
    Some((first.wants, first.replaced_at.map(|replaced_at| replaced_at + window)))
}

fn enter(kept: &mut Vec<Wish>, wants: Capacity, now: Timestamp, is_covered: fn(Capacity, Capacity) -> bool) {
    if let Some(last) = kept.last_mut() {
        if last.wants == wants {
            return;
        }
        last.replaced_at = Some(now);
    }
    while kept.last().is_some_and(|old| is_covered(old.wants, wants)) {
        kept.pop();
    }
    kept.retain(|wish| wish.counts(MAX_STABILIZATION, now));
    kept.push(Wish { wants, replaced_at: None });
    if kept.len() > MAX_KEPT {
        merge_closest(kept);
    }
}

/// Joins the two that end closest to each other. The last one has no end and is left alone.
fn merge_closest(kept: &mut Vec<Wish>) {
    let gap = |pair: &[Wish]| match pair {
        [Wish { replaced_at: Some(first), .. }, Wish { replaced_at: Some(second), .. }] => second.since(*first),
        _ => Duration::MAX,
    };
    let closest = kept.windows(2).enumerate().min_by_key(|(_, pair)| gap(pair)).map(|(index, _)| index);
    if let Some(index) = closest {
        let later = kept.remove(index + 1);
        if let Some(earlier) = kept.get_mut(index) {
            earlier.replaced_at = later.replaced_at;
        }
    }
}
