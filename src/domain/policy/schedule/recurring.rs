//! The occurrences of a window that recurs on local dates, found date by date.
//!
//! The search is bounded: backwards by the longest occurrence, forwards by [`HORIZON_YEARS`]. Months in which nothing can
//! begin are left out at once, so that an expression that never matches costs microseconds.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::super::super::time::Timestamp;
use super::Occurrence;
use super::local::{date_at, first_instant};

/// How far ahead an occurrence is looked for. A 29 February can be eight years away.
const HORIZON_YEARS: i16 = 10;

/// A window whose occurrences begin on local dates.
pub(super) trait Recurring {
    /// The zone of its local times.
    fn zone(&self) -> &TimeZone;

    /// Whether it may begin in the month of `date`.
    fn may_open_in_month_of(&self, date: Date) -> bool;

    /// The occurrences that begin at local times of `date`, in any order and without empty ones.
    fn occurrences_on(&self, date: Date) -> Vec<Occurrence>;

    /// The length that no occurrence exceeds.
    fn longest(&self) -> Duration;
}

/// The occurrence that holds at `now`; of several, the one that ends last.
pub(super) fn open_at(window: &impl Recurring, now: Timestamp) -> Option<Occurrence> {
    let on_date = |date| {
        let all = window.occurrences_on(date).into_iter();
        all.filter(|occurrence| occurrence.holds_at(now)).max_by_key(|occurrence| occurrence.closes)
    };
    // Where clocks go back over midnight, times of tomorrow and of yesterday are beside each other.
    let mut date = date_at(window.zone(), now)?.tomorrow().ok()?;
    let earliest = date_at(window.zone(), now - window.longest())?.yesterday().ok()?;
    while date >= earliest {
        if !window.may_open_in_month_of(date) {
            date = date.first_of_month().yesterday().ok()?;
            continue;
        }
        let found = on_date(date);
        date = date.yesterday().ok()?;
        if found.is_some() {
            // The one that begins last ends last, and on the date before one may begin later.
            return found.into_iter().chain(on_date(date)).max_by_key(|occurrence| occurrence.closes);
        }
    }
    None
}

/// The occurrences that begin after `now`, in the order of their beginnings; of those that begin at the same time, the one
/// that ends last first.
pub(super) fn opening_after<R: Recurring>(window: &R, now: Timestamp) -> impl Iterator<Item = Occurrence> + '_ {
    Search::new(window, now).into_iter().flatten().filter(move |occurrence| occurrence.opens > now)
}

/// Dates in their order and the occurrences found on them.
struct Search<'a, R> {
    window: &'a R,
    /// The next date to look at.
    date: Date,
    /// The last one.
    last: Date,
    /// What begins before this is in `found` if it exists.
    complete_until: Timestamp,
    /// Found and not yet returned, in order.
    found: VecDeque<Occurrence>,
}

impl<'a, R: Recurring> Search<'a, R> {
    fn new(window: &'a R, now: Timestamp) -> Option<Self> {
        let date = date_at(window.zone(), now)?.yesterday().ok()?;
        let last = date.with().year(date.year().checked_add(HORIZON_YEARS)?).day(1).build().ok()?;
        Some(Self { window, date, last, complete_until: now, found: VecDeque::new() })
    }

    /// Looks at one more date; none at the end of the calendar.
    fn look_further(&mut self) -> Option<()> {
        if self.window.may_open_in_month_of(self.date) {
            let before = self.found.len();
            self.found.extend(self.window.occurrences_on(self.date));
            if self.found.len() > before {
                self.found.make_contiguous().sort_by_key(|occurrence| (occurrence.opens, Reverse(occurrence.closes)));
            }
            self.date = self.date.tomorrow().ok()?;
        } else {
            self.date = self.date.last_of_month().tomorrow().ok()?;
        }
        // However far clocks go back, first instants are in the order of their local times.
        self.complete_until = first_instant(self.window.zone(), self.date.at(0, 0, 0, 0))?;
        Some(())
    }
}

impl<R: Recurring> Iterator for Search<'_, R> {
    type Item = Occurrence;

    fn next(&mut self) -> Option<Occurrence> {
        loop {
            let over = self.date > self.last;
            match self.found.front() {
                Some(first) if over || first.opens < self.complete_until => return self.found.pop_front(),
                _ if over => return None,
                _ => self.look_further()?,
            }
        }
    }
}
