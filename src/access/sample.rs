//! How many refused attempts of strangers are recorded one by one.
//!
//! A stranger, a caller without a valid key, decides how often it is refused. So each network gets some records in a window
//! of time and all strangers together some more, which is enough to see who tries what; the rest is counted. It must never
//! leave anything out without counting it, and never remember more networks than it records attempts.
//!
//! Rejected: a limit for each network alone, because a stranger with many addresses could still fill the disk and push the
//! records of other strangers out.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::limits::network_of;
use crate::domain::Action;

/// How long a window is: the longest time until the number of attempts that were left out is on the disk.
const WINDOW: Duration = Duration::from_mins(10);
/// Most attempts from one network that are recorded in a window: a person who mistypes a key is seen whole.
const OF_NETWORK: u32 = 10;
/// Most attempts of all strangers that are recorded in a window, of a few hundred bytes each. At that rate their ten thousand
/// places in the store last for sixteen hours.
const OF_ALL: u32 = 100;

/// What becomes of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sampled {
    /// It is recorded.
    Recorded,
    /// It is counted. If it is the first one since the count was [taken](Sampler::take_omitted), the count is to be taken
    /// after this time.
    Omitted {
        /// How long the window still lasts.
        count_due_in: Option<Duration>,
    },
}

/// See the module's documentation.
#[derive(Default)]
pub struct Sampler(Mutex<State>);

#[derive(Default)]
struct State {
    window_ends: Option<Instant>,
    of_network: HashMap<IpAddr, u32>,
    of_all: u32,
    omitted: BTreeMap<Action, u64>,
}

impl Sampler {
    /// What becomes of an `action` that was refused to a stranger at `address`.
    pub fn admit(&self, address: Option<IpAddr>, action: Action, now: Instant) -> Sampled {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let window_ends = state.window_at(now);
        if state.has_room(address.map(network_of)) {
            return Sampled::Recorded;
        }
        state.omit(action, window_ends.saturating_duration_since(now))
    }

    /// Counts an `action` that is not recorded in any case.
    pub fn omit(&self, action: Action, now: Instant) -> Sampled {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let window_ends = state.window_at(now);
        state.omit(action, window_ends.saturating_duration_since(now))
    }

    /// How many attempts at what were left out since this was asked last.
    pub fn take_omitted(&self) -> BTreeMap<Action, u64> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner).omitted)
    }
}

impl State {
    /// When the window ends that there is at `now`.
    fn window_at(&mut self, now: Instant) -> Instant {
        match self.window_ends {
            Some(ends) if now < ends => ends,
            _ => {
                let ends = now + WINDOW;
                (self.window_ends, self.of_all) = (Some(ends), 0);
                self.of_network.clear();
                ends
            }
        }
    }

    fn has_room(&mut self, network: Option<IpAddr>) -> bool {
        if self.of_all >= OF_ALL {
            return false;
        }
        if let Some(network) = network {
            let of_network = self.of_network.entry(network).or_default();
            if *of_network >= OF_NETWORK {
                return false;
            }
            *of_network += 1;
        }
        self.of_all += 1;
        true
    }

    fn omit(&mut self, action: Action, window_lasts: Duration) -> Sampled {
        let is_first = self.omitted.is_empty();
        let count = self.omitted.entry(action).or_default();
        *count = count.saturating_add(1);
        Sampled::Omitted { count_due_in: is_first.then_some(window_lasts) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u32) -> Option<IpAddr> {
        Some(IpAddr::from(number.to_be_bytes()))
    }

    #[test]
    fn a_network_gets_some_records_in_a_window_and_the_rest_is_counted() {
        let (sampler, begin) = (Sampler::default(), Instant::now());
        let admit = |address, after| sampler.admit(address, Action::SubmitJob, begin + after);
        let half = WINDOW / 2;
        for _ in 0..OF_NETWORK {
            assert_eq!(admit(address(1), Duration::ZERO), Sampled::Recorded);
        }
        assert_eq!(admit(address(1), half), Sampled::Omitted { count_due_in: Some(half) });
        assert_eq!(admit(address(1), half), Sampled::Omitted { count_due_in: None });
        assert_eq!(admit(address(2), half), Sampled::Recorded, "another network has its own");
        let other = sampler.omit(Action::CancelJob, begin + half);
        assert_eq!(other, Sampled::Omitted { count_due_in: None });
        assert_eq!(admit(address(1), WINDOW), Sampled::Recorded, "a new window");
        let counted = BTreeMap::from([(Action::SubmitJob, 2), (Action::CancelJob, 1)]);
        assert_eq!((sampler.take_omitted(), sampler.take_omitted()), (counted, BTreeMap::new()));
    }

    #[test]
    fn all_strangers_together_have_a_limit_and_so_has_the_memory_of_them() {
        let (sampler, now) = (Sampler::default(), Instant::now());
        let recorded = (0..10 * OF_ALL)
            .filter(|number| sampler.admit(address(*number), Action::CreateKey, now) == Sampled::Recorded)
            .count();
        assert_eq!(recorded, OF_ALL as usize);
        assert!(sampler.0.lock().expect("no panic").of_network.len() <= OF_ALL as usize);
        let nowhere = sampler.admit(None, Action::CreateKey, now);
        assert!(matches!(nowhere, Sampled::Omitted { count_due_in: None }));
        assert_eq!(sampler.take_omitted()[&Action::CreateKey], u64::from(9 * OF_ALL) + 1);
    }

    /// An attacker has all addresses below an IPv6 prefix.
    #[test]
    fn a_network_of_ipv6_counts_as_one() {
        let (sampler, now) = (Sampler::default(), Instant::now());
        let of_prefix = (0..100u128).filter(|low| {
            let address = IpAddr::from((0x2001_0db8_u128 << 96 | low).to_be_bytes());
            sampler.admit(Some(address), Action::SubmitJob, now) == Sampled::Recorded
        });
        assert_eq!(of_prefix.count(), OF_NETWORK as usize);
    }
}
