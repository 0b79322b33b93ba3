//! Leases of replicas: whether a replica may still act for its lanes, and when another one may take it for dead.
//!
//! A holder knows that its lease lasts as long as no other replica can have watched it stand still for the whole term, so it
//! counts from the moment it *asked* for a renewal, by a clock that goes on while the machine is suspended. A claimant counts
//! from the moment it *received* what it saw first up to the moment it *asked* for what it saw last, by its own clock. So each
//! errs on the side of the other, however slow the answers and however wrong the clocks of the day.
//!
//! It must never be told a time by the database: its clock can jump when another machine takes its place. Rejected: a time of
//! expiry in the row, for that reason.

use std::collections::BTreeMap;
use std::time::Duration;

/// A moment, as the time since some other moment in the past that is the same for all of a clock.
pub type Moment = Duration;

/// For how long leases last, and how often they are renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseTerms {
    /// A replica whose counter stands still for so long is dead.
    pub term: Duration,
    /// Time from one renewal to the next.
    pub renewal: Duration,
}

impl LeaseTerms {
    /// Two renewals in a row can fail, and each be late, before a lease is in doubt.
    pub const DEFAULT: Self = Self { term: Duration::from_secs(10), renewal: Duration::from_secs(3) };
}

/// What a replica knows about its own lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lease {
    /// No other replica can have taken it for dead.
    Holding,
    /// Another one may have. Nothing may be done for its lanes until the next renewal tells.
    Doubtful,
    /// Another one has.
    Lost,
}

/// The lease of this replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseHolder {
    terms: LeaseTerms,
    renewed_at: Moment,
    is_lost: bool,
}

impl LeaseHolder {
    /// A lease that was asked for at this moment, and granted.
    pub fn new(terms: LeaseTerms, asked_at: Moment) -> Self {
        Self { terms, renewed_at: asked_at, is_lost: false }
    }

    /// A renewal that was asked for at this moment succeeded.
    pub fn on_renewed(&mut self, asked_at: Moment) {
        self.renewed_at = self.renewed_at.max(asked_at);
    }

    /// A renewal found that the lease is gone.
    pub fn on_lost(&mut self) {
        self.is_lost = true;
    }

    /// Whether the replica may act at `now`.
    pub fn state(&self, now: Moment) -> Lease {
        match now.checked_sub(self.renewed_at) {
            _ if self.is_lost => Lease::Lost,
            Some(age) if age < self.terms.term => Lease::Holding,
            Some(_) => Lease::Doubtful,
            // By a clock that was set back nothing can be told.
            None => Lease::Doubtful,
        }
    }
}

/// What a replica sees of the leases of others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseWatch<K> {
    terms: LeaseTerms,
    seen: BTreeMap<K, Seen>,
}

/// A counter as it was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    counter: i64,
    first_received_at: Moment,
    last_asked_at: Moment,
}

impl<K: Ord + Clone> LeaseWatch<K> {
    /// Nothing was seen so far.
    pub fn new(terms: LeaseTerms) -> Self {
        Self { terms, seen: BTreeMap::new() }
    }

    /// Begins anew: what is seen from now on may be of another database, or of an earlier state of it.
    pub fn restart(&mut self) {
        self.seen.clear();
    }

    /// These were the counters of all others when it was asked for them at one moment, and the answer came at another.
    pub fn on_seen(&mut self, counters: impl IntoIterator<Item = (K, i64)>, asked_at: Moment, received_at: Moment) {
        let mut before = std::mem::take(&mut self.seen);
        for (replica, counter) in counters {
            // A counter that went back was renewed as well, only by a database that lost something.
            let seen = match before.remove(&replica).filter(|before| before.counter == counter) {
                Some(before) => Seen { last_asked_at: asked_at, ..before },
                None => Seen { counter, first_received_at: received_at, last_asked_at: asked_at },
            };
            self.seen.insert(replica, seen);
        }
    }

    /// Those whose counters stood still for the whole term, with the counters.
    pub fn dead(&self) -> Vec<(K, i64)> {
        let stood_still = |seen: &Seen| seen.last_asked_at.saturating_sub(seen.first_received_at) >= self.terms.term;
        let dead = self.seen.iter().filter(|(_, seen)| stood_still(seen));
        dead.map(|(replica, seen)| (replica.clone(), seen.counter)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: LeaseTerms = LeaseTerms::DEFAULT;

    fn at(seconds: u64) -> Moment {
        Duration::from_secs(1000 + seconds)
    }

    #[test]
    fn a_lease_counts_from_the_moment_it_was_asked_for() {
        let mut holder = LeaseHolder::new(TERMS, at(0));
        assert_eq!(holder.state(at(9)), Lease::Holding);
        assert_eq!(holder.state(at(10)), Lease::Doubtful);
        holder.on_renewed(at(4));
        assert_eq!([13, 14].map(|second| holder.state(at(second))), [Lease::Holding, Lease::Doubtful]);
        holder.on_renewed(at(2));
        assert_eq!(holder.state(at(13)), Lease::Holding, "an answer that was overtaken takes nothing away");
        holder.on_renewed(at(20));
        assert_eq!(holder.state(at(21)), Lease::Holding, "what was in doubt may turn out to be good");
        assert_eq!(holder.state(at(19)), Lease::Doubtful, "the clock went back");
        holder.on_lost();
        holder.on_renewed(at(22));
        assert_eq!(holder.state(at(22)), Lease::Lost, "for ever");
    }

    #[test]
    fn a_replica_is_dead_once_its_counter_stood_still_for_the_whole_term() {
        let mut watch = LeaseWatch::new(TERMS);
        watch.on_seen([("a", 1), ("b", 1)], at(0), at(2));
        watch.on_seen([("a", 1), ("b", 2)], at(11), at(15));
        assert_eq!(watch.dead(), [], "it was seen at 2 at the latest, and at 11 at the earliest");
        watch.on_seen([("a", 1), ("b", 2)], at(12), at(12));
        assert_eq!(watch.dead(), [("a", 1)]);
        watch.on_seen([("a", 0), ("b", 2)], at(24), at(24));
        assert_eq!(watch.dead(), [], "a counter that went back lives, and b was seen at 15");
        watch.on_seen([("b", 2)], at(25), at(25));
        assert_eq!(watch.dead(), [("b", 2)]);
    }

    #[test]
    fn what_was_seen_before_a_new_beginning_does_not_count() {
        let mut watch = LeaseWatch::new(TERMS);
        watch.on_seen([("a", 1)], at(0), at(0));
        watch.restart();
        watch.on_seen([("a", 1)], at(10), at(10));
        assert_eq!(watch.dead(), []);
        // One that was not there for a while is another one.
        watch.on_seen([], at(15), at(15));
        watch.on_seen([("a", 1)], at(20), at(20));
        assert_eq!(watch.dead(), []);
    }

    /// However the answers are delayed: as long as a holder is sure of its lease, no claimant takes it for dead.
    #[test]
    fn a_holder_that_is_sure_is_dead_to_nobody() {
        for renewal_delay in 0..8 {
            for look in 0..30 {
                let (asked, arrived) = (at(5), at(5 + renewal_delay));
                let holder = LeaseHolder::new(TERMS, asked);
                let mut watch = LeaseWatch::new(TERMS);
                // The counter is raised when the request arrives, and is seen then at the earliest.
                watch.on_seen([("a", 1)], arrived, arrived);
                let now = arrived + Duration::from_secs(look);
                watch.on_seen([("a", 1)], now, now);
                assert!(holder.state(now) != Lease::Holding || watch.dead().is_empty(), "{renewal_delay} {look}");
            }
        }
    }
}
