//! How much one caller may ask for, so that a noisy one does not starve the others.
//!
//! Callers are told apart by their keys or, without one, by the network they come from. Requests without a key from this
//! machine itself are not limited: behind the loopback address are all its programs and perhaps a proxy with the whole
//! world behind it, and a limit for all of them together is what would let one starve the others.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use dashmap::DashMap;
use governor::clock::{Clock as _, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};

use crate::domain::KeyId;

/// The time in which as many requests as the rate says may come at once.
const WINDOW: Duration = Duration::from_secs(1);
/// So many callers are remembered before those who have been quiet for a while are looked for and forgotten; some hundred
/// kilobytes.
const MANY_CALLERS: usize = 4096;
/// Fewest parts of pages that one address may load in a second, whatever the limit for requests: the panel has some 35, and
/// five people behind one address may open it at once. Each costs some 30 µs.
const PAGE_RATE: NonZeroU32 = NonZeroU32::new(200).expect("it is not 0");
/// Bits of an IPv6 address by which networks are told apart: the owner of a prefix has all addresses below it.
const NETWORK_BITS: u32 = 64;

/// What a limit counts by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LimitKey {
    /// The requests that show this key.
    Key(KeyId),
    /// The requests from this address, or from the network with this prefix.
    Network(IpAddr),
}

impl LimitKey {
    /// A caller from `address` without a key; none that is limited if that is this machine.
    pub fn at(address: IpAddr) -> Option<Self> {
        let network = network_of(address);
        (!network.is_loopback()).then_some(Self::Network(network))
    }
}

/// The network of `address`, or the address itself, by which its callers are told from others.
pub(super) fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        v4 @ IpAddr::V4(_) => v4,
        IpAddr::V6(v6) if v6.is_loopback() => v6.into(),
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & (u128::MAX << (u128::BITS - NETWORK_BITS))).into()),
    }
}

/// How far a caller is from its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Requests in a second.
    pub limit: u32,
    /// Requests that may come right now.
    pub remaining: u32,
}

/// A caller that has to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateExceeded {
    /// Requests in a second.
    pub limit: u32,
    /// For how long.
    pub wait: Duration,
}

type Limiter = RateLimiter<LimitKey, DashMapStateStore<LimitKey>, DefaultClock, StateInformationMiddleware>;

/// See the module's documentation.
pub struct CallerLimits {
    requests: Option<RateLimit>,
    pages: Option<RateLimit>,
    streams: Permits,
    waits: Permits,
}

impl CallerLimits {
    /// Lets each caller send `rate` requests a second, have so many `streams` open and so many answers held back; 0 stands for
    /// no limit.
    pub fn new(rate: u32, streams: usize, waits: usize) -> Self {
        let rate = NonZeroU32::new(rate);
        Self {
            requests: rate.map(RateLimit::new),
            pages: rate.map(|rate| RateLimit::new(rate.max(PAGE_RATE))),
            streams: Permits::new(streams),
            waits: Permits::new(waits),
        }
    }

    /// Counts a request of `limit_key`. `None` if there is no limit.
    ///
    /// # Errors
    /// If it comes too soon after others. It is not counted then.
    pub fn count(&self, limit_key: &LimitKey) -> Result<Option<Rate>, RateExceeded> {
        self.requests.as_ref().map(|limit| limit.count(limit_key)).transpose()
    }

    /// Counts a request of `limit_key` for a part of a page.
    ///
    /// # Errors
    /// As for [`CallerLimits::count`].
    pub fn count_page(&self, limit_key: &LimitKey) -> Result<(), RateExceeded> {
        self.pages.as_ref().map_or(Ok(()), |limit| limit.count(limit_key).map(drop))
    }

    /// A permit for one more stream of `limit_key`.
    ///
    /// # Errors
    /// If it has as many already: how many that is.
    pub fn open_stream(&self, limit_key: LimitKey) -> Result<Permit, usize> {
        self.streams.take(limit_key)
    }

    /// A permit for one more answer to `limit_key` that is held back.
    ///
    /// # Errors
    /// As for [`CallerLimits::open_stream`].
    pub fn hold_back(&self, limit_key: LimitKey) -> Result<Permit, usize> {
        self.waits.take(limit_key)
    }
}

/// How many requests each caller may send in a second.
struct RateLimit {
    rate: NonZeroU32,
    limiter: Limiter,
    clock: DefaultClock,
    /// When the quiet ones are next looked for, in milliseconds since `begun`.
    tidy_at: AtomicU64,
    begun: Instant,
}

impl RateLimit {
    fn new(rate: NonZeroU32) -> Self {
        let limiter = RateLimiter::dashmap(Quota::per_second(rate)).with_middleware::<StateInformationMiddleware>();
        let (clock, tidy_at) = (DefaultClock::default(), AtomicU64::new(0));
        Self { rate, limiter, clock, tidy_at, begun: Instant::now() }
    }

    fn count(&self, limit_key: &LimitKey) -> Result<Rate, RateExceeded> {
        let limit = self.rate.get();
        let counted = self.limiter.check_key(limit_key);
        if self.limiter.len() > MANY_CALLERS {
            self.tidy();
        }
        match counted {
            Ok(state) => Ok(Rate { limit, remaining: state.remaining_burst_capacity() }),
            Err(not_yet) => Err(RateExceeded { limit, wait: not_yet.wait_time_from(self.clock.now()) }),
        }
    }

    /// Forgets each caller that is as good as new, at most once in a window: before that none is.
    fn tidy(&self) {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let (due, now) = (self.tidy_at.load(Ordering::Relaxed), millis(self.begun.elapsed()));
        let next = now.saturating_add(millis(WINDOW));
        if now >= due && self.tidy_at.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            self.limiter.retain_recent();
        }
    }
}

/// A bounded number of permits for each caller.
pub struct Permits {
    /// 0 if there is no limit.
    each: usize,
    taken: Arc<DashMap<LimitKey, usize>>,
}

impl Permits {
    /// So many permits for `each` caller; 0 stands for no limit.
    pub fn new(each: usize) -> Self {
        Self { each, taken: Arc::default() }
    }

    /// A permit for `limit_key`.
    ///
    /// # Errors
    /// If it has as many already: how many that is.
    pub fn take(&self, limit_key: LimitKey) -> Result<Permit, usize> {
        let mut taken = self.taken.entry(limit_key.clone()).or_default();
        if self.each != 0 && *taken >= self.each {
            return Err(self.each);
        }
        *taken += 1;
        drop(taken);
        Ok(Permit { limit_key, taken: Arc::clone(&self.taken) })
    }
}

/// Is taken as long as it lives.
#[derive(Debug)]
pub struct Permit {
    limit_key: LimitKey,
    taken: Arc<DashMap<LimitKey, usize>>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.taken.remove_if_mut(&self.limit_key, |_, taken| {
            *taken -= 1;
            *taken == 0
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit_key(address: &str) -> LimitKey {
        LimitKey::at(address.parse().expect("an address")).expect("a limited one")
    }

    #[test]
    fn networks_are_told_apart_and_this_machine_is_not_limited() {
        assert_eq!(limit_key("192.0.2.1"), limit_key("::ffff:192.0.2.1"));
        assert_ne!(limit_key("192.0.2.1"), limit_key("192.0.2.2"));
        assert_eq!(limit_key("2001:db8:0:1::1"), limit_key("2001:db8:0:1:ffff::2"));
        assert_ne!(limit_key("2001:db8:0:1::1"), limit_key("2001:db8:0:2::1"));
        for own in ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(LimitKey::at(own.parse().expect("an address")), None, "{own}");
        }
    }

    #[test]
    fn one_noisy_caller_is_slowed_down_and_the_others_are_not() {
        let limits = CallerLimits::new(3, 0, 0);
        let (noisy, quiet) = (limit_key("192.0.2.1"), limit_key("192.0.2.2"));
        for remaining in [2, 1, 0] {
            assert_eq!(limits.count(&noisy), Ok(Some(Rate { limit: 3, remaining })));
        }
        let refused = limits.count(&noisy).expect_err("too fast");
        assert!(refused.limit == 3 && refused.wait <= WINDOW / 3, "{refused:?}");
        assert!(limits.count(&quiet).is_ok());
        // Pages are counted by themselves, or a limit for requests would be one for how large a page may be.
        let loaded = (0..300).filter(|_| limits.count_page(&noisy).is_ok()).count();
        assert!((200..250).contains(&loaded), "{loaded}");
        assert!(limits.count_page(&quiet).is_ok());
        assert_eq!(CallerLimits::new(0, 0, 0).count(&noisy), Ok(None));
    }

    #[test]
    fn a_flood_of_callers_is_not_remembered_for_ever() {
        let limits = CallerLimits::new(u32::MAX, 0, 0);
        for number in 0..3 * MANY_CALLERS as u32 {
            limits.count(&LimitKey::Network(IpAddr::from(number.to_be_bytes()))).expect("far from any limit");
        }
        // As if the window was over: at this rate every caller is as good as new at once.
        let requests = limits.requests.as_ref().expect("a rate");
        requests.tidy_at.store(0, Ordering::Relaxed);
        limits.count(&limit_key("192.0.2.1")).expect("far from any limit");
        assert!(requests.limiter.len() <= MANY_CALLERS, "{}", requests.limiter.len());
    }

    #[test]
    fn permits_are_counted_by_caller_and_given_back() {
        let limits = CallerLimits::new(0, 2, 1);
        let (one, other) = (limit_key("192.0.2.1"), limit_key("192.0.2.2"));
        let permits = [limits.open_stream(one.clone()), limits.open_stream(one.clone())];
        assert_eq!(limits.open_stream(one.clone()).map(drop), Err(2));
        assert!(limits.open_stream(other).is_ok());
        drop(permits);
        assert!(limits.streams.taken.is_empty());
        assert!(limits.open_stream(one.clone()).is_ok());
        let wait = limits.hold_back(one.clone());
        assert!(wait.is_ok() && limits.hold_back(one).is_err(), "waits are counted by themselves");
    }
}
