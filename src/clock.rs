//! The only place that asks what time it is.
//!
//! Decisions compare durable points in time, so they need UTC; but a wall clock that is set would cut cooldowns short or
//! stretch them. A [`Clock`] therefore shows UTC at its beginning and counts from there what time passes since the machine
//! was started, suspended or not, which no program can set. (Timers do not count a suspended machine's time: after it they are
//! late, never early.)
//!
//! The next process carries on with the same clock: the first one leaves an [`Anchor`] in the store, and as long as the
//! machine is not started anew, it tells what that clock shows by now, whatever was done to the wall's. Only where there is
//! no such anchor the wall's clock is believed, and what a wrong one does is then bounded by the lanes' recovery. It is
//! believed as well when no job is unfinished, or a machine whose clock was wrong at first would keep the wrong time. An
//! anchor per wait instead of one for all would have to be understood by all who compare times.
//!
//! A demonstration that plays a day in minutes has a clock that is [`Clock::fast`]. The gateway is the same: what it waits for
//! takes less real time, and the wall's clock is taken to go with it. Rejected: minutes told as if they were a day, because
//! forecasts look ahead in steps of five minutes, and windows have times of the day.

use std::num::NonZeroU32;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::domain::Timestamp;

/// How far two clocks may be apart and still be taken to show the same: they cannot be asked at the same moment.
const TOLERANCE: Duration = Duration::from_millis(250);
/// The end of the year 9999. No later time can be written down.
const LATEST: Timestamp = Timestamp::from_millis(253_402_300_799_999);

/// UTC at its beginning, and what has passed since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    begun_at: Duration,
    shown_then: Timestamp,
    /// How many times as fast as real time it is, if it is not the clock of this world.
    fast: Option<NonZeroU32>,
}

impl Clock {
    /// A clock that shows the wall's time now.
    pub fn start() -> Self {
        let present = Present::now();
        Self::showing(present.wall, &present)
    }

    /// A clock that showed `shown` at the moment of `present`.
    pub fn showing(shown: Timestamp, present: &Present) -> Self {
        Self { begun_at: present.uptime, shown_then: shown, fast: None }
    }

    /// A clock that shows `shown` now and then goes so many times as `fast` as real time, for demonstrations.
    pub fn fast(shown: Timestamp, fast: NonZeroU32) -> Self {
        Self { begun_at: uptime(), shown_then: shown, fast: Some(fast) }
    }

    /// How many times as fast as real time it is, if it is one for demonstrations.
    pub const fn speed(&self) -> Option<NonZeroU32> {
        self.fast
    }

    /// The time, never less than it was before.
    pub fn now(&self) -> Timestamp {
        self.shown_then + self.shown_in(uptime().saturating_sub(self.begun_at))
    }

    /// How much of its time passes in so much `real` time.
    pub fn shown_in(&self, real: Duration) -> Duration {
        self.fast.map_or(real, |fast| real.saturating_mul(fast.get()))
    }

    /// How long a wait for so much of its time takes.
    pub fn real(&self, shown: Duration) -> Duration {
        self.fast.map_or(shown, |fast| shown / fast.get())
    }

    /// The time on this clock of something that happened at `wall` by the wall's clock as it is set at present.
    ///
    /// Timestamps from other processes on this machine are converted with this: if the wall's clock was set meanwhile,
    /// theirs and ours differ by that much, but the age of what they describe does not.
    pub fn from_wall(&self, wall: Timestamp) -> Timestamp {
        if self.fast.is_some() { wall } else { wall.on_another_clock(wall_now(), self.now()) }
    }

    /// The same the other way round: when `at` was or will be by the wall's clock as it is set at present.
    pub fn to_wall(&self, at: Timestamp) -> Timestamp {
        if self.fast.is_some() { at } else { at.on_another_clock(self.now(), wall_now()) }
    }
}

/// Notices when the wall's clock is set.
///
/// Timestamps from other processes are by the wall's clock as it was set when they were made. As long as it is not set,
/// [`Clock::from_wall`] tells what they mean; when it is, they cannot be told from later or earlier ones for a while.
#[derive(Clone, Copy, Debug)]
pub struct WallWatch {
    ahead_millis: i64,
    set_at: Option<Timestamp>,
}

impl WallWatch {
    /// Begins when a [`Clock`] shows `clock` and the wall's `wall`. Unless the wall's clock `was_set` shortly before, as far
    /// as is known.
    pub fn begin(clock: Timestamp, wall: Timestamp, was_set: bool) -> Self {
        Self { ahead_millis: millis_ahead(wall, clock), set_at: was_set.then_some(clock) }
    }

    /// Compares the two again: when it was last noticed that the wall's clock had been set, by the other one.
    pub fn check(&mut self, clock: Timestamp, wall: Timestamp) -> Option<Timestamp> {
        let ahead_millis = millis_ahead(wall, clock);
        if u128::from(ahead_millis.abs_diff(self.ahead_millis)) > TOLERANCE.as_millis() {
            *self = Self { ahead_millis, set_at: Some(clock) };
        }
        self.set_at
    }
}

fn millis_ahead(one: Timestamp, other: Timestamp) -> i64 {
    one.as_millis().saturating_sub(other.as_millis())
}

/// What a clock showed at some moment since the machine was started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// Which start of which machine.
    pub boot: String,
    /// How long ago the machine was started then, in whole milliseconds.
    pub uptime: Duration,
    /// What the clock showed then.
    pub shown: Timestamp,
}

impl Anchor {
    /// What the clock shows at `present`; `None` if that cannot be told.
    fn shows_at(&self, present: &Present) -> Option<Timestamp> {
        let same_boot = present.boot.as_ref() == Some(&self.boot);
        let passed = present.uptime.checked_sub(self.uptime)?;
        let shows = self.shown + passed;
        (same_boot && self.shown >= Timestamp::from_millis(0) && shows <= LATEST).then_some(shows)
    }
}

/// What the system tells of the time at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Present {
    /// The wall's clock.
    pub wall: Timestamp,
    /// How long ago the machine was started, in whole milliseconds.
    pub uptime: Duration,
    /// Which start of which machine this is, if the system tells.
    pub boot: Option<String>,
}

impl Present {
    /// Asks the system.
    pub fn now() -> Self {
        Self { wall: wall_now(), uptime: uptime(), boot: boot() }
    }

    /// Whether the wall's clock may have been set since the process that left `anchor` began. Without one, there was none.
    pub fn may_have_been_set_since(&self, anchor: Option<&Anchor>) -> bool {
        anchor.is_some_and(|anchor| {
            anchor.shows_at(self).is_none_or(|shows| shows.since(self.wall) + self.wall.since(shows) > TOLERANCE)
        })
    }

    /// The anchor of a clock that shows the wall's time now, if there can be one.
    pub fn anchor(&self) -> Option<Anchor> {
        self.boot.clone().map(|boot| Anchor { boot, uptime: self.uptime, shown: self.wall })
    }
}

/// What the clock of a new process is to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// What the clock of the process before it shows by now.
    Resume(Timestamp),
    /// What the wall's clock shows.
    Wall {
        /// What the clock of the process before it shows by now, if that can be told. The points in time it left behind
        /// are by that clock.
        before: Option<Timestamp>,
    },
}

impl Start {
    /// Decides on it, given the `anchor` that the process before it left, and whether it left any `work` unfinished.
    pub fn decide(anchor: Option<&Anchor>, present: &Present, work: bool) -> Self {
        match anchor.and_then(|anchor| anchor.shows_at(present)) {
            Some(shows) if work => Self::Resume(shows),
            before => Self::Wall { before },
        }
    }
}

/// The wall's clock. A time before 1970 counts as 1970.
pub fn wall_now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(0) + since_epoch
}

/// How long ago the machine was started, counting the time it was suspended, in whole milliseconds: an anchor has no more,
/// and a clock must not lose the rest from one process to the next.
#[cfg(target_os = "linux")]
pub fn uptime() -> Duration {
    use rustix::time::{ClockId, clock_gettime};
    // It is never negative.
    let uptime = Duration::try_from(clock_gettime(ClockId::Boottime)).unwrap_or_default();
    Duration::from_secs(uptime.as_secs()) + Duration::from_millis(uptime.subsec_millis().into())
}

/// How long ago this was first asked for: there are no anchors here to compare it with.
#[cfg(not(target_os = "linux"))]
pub fn uptime() -> Duration {
    static FIRST: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    FIRST.get_or_init(std::time::Instant::now).elapsed()
}

#[cfg(target_os = "linux")]
fn boot() -> Option<String> {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim().to_owned()).filter(|id| !id.is_empty())
}

#[cfg(not(target_os = "linux"))]
fn boot() -> Option<String> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);
    const NOON: Timestamp = Timestamp::from_millis(1_769_860_800_000);

    fn apart(a: Timestamp, b: Timestamp) -> Duration {
        a.since(b) + b.since(a)
    }

    /// Ten hours after the machine was started.
    fn present(wall: Timestamp) -> Present {
        Present { wall, uptime: HOUR * 10, boot: Some("this".into()) }
    }

    /// Left two hours before, at noon.
    fn anchor() -> Anchor {
        Anchor { boot: "this".into(), uptime: HOUR * 8, shown: NOON }
    }

    #[test]
    fn agrees_with_the_wall_until_it_is_set() {
        let clock = Clock::start();
        let wall = wall_now();
        assert!(apart(clock.now(), wall) < Duration::from_secs(5));
        assert!(apart(clock.from_wall(wall), wall) < Duration::from_secs(5));
    }

    #[test]
    fn keeps_ages_when_the_wall_was_set() {
        let present = Present::now();
        for shown in [present.wall + HOUR, present.wall - HOUR] {
            let clock = Clock::showing(shown, &present);
            assert!(apart(clock.now(), shown) < Duration::from_secs(5));
            let a_minute_ago = wall_now() - Duration::from_mins(1);
            let age = clock.now().since(clock.from_wall(a_minute_ago));
            assert!(age.abs_diff(Duration::from_mins(1)) < Duration::from_secs(5), "{age:?}");
            assert!(apart(clock.to_wall(clock.from_wall(a_minute_ago)), a_minute_ago) < Duration::from_secs(5));
        }
    }

    #[test]
    fn a_fast_clock_begins_where_it_is_told_and_takes_the_wall_with_it() {
        let fast = NonZeroU32::new(3600).expect("above 0");
        let clock = Clock::fast(NOON, fast);
        let begin = std::time::Instant::now();
        assert_eq!(clock.real(HOUR), Duration::from_secs(1));
        std::thread::sleep(clock.real(HOUR / 10));
        let shown = clock.now();
        let most = NOON + (begin.elapsed() + Duration::from_millis(1)) * fast.get();
        assert!(shown >= NOON + HOUR / 10 - Duration::from_secs(4) && shown <= most, "{shown} {most}");
        assert_eq!((clock.from_wall(NOON), clock.to_wall(NOON)), (NOON, NOON));
        assert_eq!((Clock::start().speed(), Clock::start().real(HOUR)), (None, HOUR));
    }

    #[test]
    fn goes_on_while_jobs_wait_whatever_the_wall_says() {
        for wall in [NOON, NOON + HOUR * 2, NOON + HOUR * 100, NOON - HOUR * 100, Timestamp::from_millis(0)] {
            let start = Start::decide(Some(&anchor()), &present(wall), true);
            assert_eq!(start, Start::Resume(NOON + HOUR * 2), "{wall}");
        }
    }

    #[test]
    fn takes_the_walls_time_when_no_job_waits() {
        let start = Start::decide(Some(&anchor()), &present(NOON + HOUR * 3), false);
        assert_eq!(start, Start::Wall { before: Some(NOON + HOUR * 2) });
        assert_eq!(Start::decide(None, &present(NOON), false), Start::Wall { before: None });
    }

    #[test]
    fn believes_the_wall_where_the_anchor_does_not_tell() {
        let anchors = [
            ("none", None),
            ("another start", Some(Anchor { boot: "that".into(), ..anchor() })),
            ("in the future", Some(Anchor { uptime: HOUR * 11, ..anchor() })),
            ("before 1970", Some(Anchor { shown: Timestamp::from_millis(-1), ..anchor() })),
            ("after 9999", Some(Anchor { shown: LATEST - HOUR, ..anchor() })),
        ];
        for ((what, anchor), work) in anchors.iter().flat_map(|anchor| [(anchor, true), (anchor, false)]) {
            let start = Start::decide(anchor.as_ref(), &present(NOON), work);
            assert_eq!(start, Start::Wall { before: None }, "{what}");
        }
        let nameless = Present { boot: None, ..present(NOON) };
        assert_eq!(Start::decide(Some(&anchor()), &nameless, true), Start::Wall { before: None });
        assert_eq!(nameless.anchor(), None);
    }

    #[test]
    fn a_clock_that_is_set_is_noticed() {
        let minute = Duration::from_mins(1);
        let mut watch = WallWatch::begin(NOON, NOON + HOUR, false);
        assert_eq!(watch.check(NOON + minute, NOON + HOUR + minute + TOLERANCE), None, "asked one after the other");
        assert_eq!(watch.check(NOON + minute * 2, NOON + minute * 2), Some(NOON + minute * 2), "set back");
        assert_eq!(watch.check(NOON + minute * 3, NOON + minute * 3), Some(NOON + minute * 2), "once");
        assert_eq!(watch.check(NOON + minute * 4, NOON + minute * 5), Some(NOON + minute * 4), "set forward");
        assert_eq!(WallWatch::begin(NOON, NOON, true).check(NOON + minute, NOON + minute), Some(NOON));
    }

    #[test]
    fn a_clock_may_have_been_set_while_no_process_looked() {
        let shown = NOON + HOUR * 2;
        for (anchor, wall, expected, why) in [
            (None, shown, false, "the first look"),
            (Some(anchor()), shown, false, "it shows what it should"),
            (Some(anchor()), shown + TOLERANCE, false, "or nearly"),
            (Some(anchor()), shown + TOLERANCE * 2, true, "set forward"),
            (Some(anchor()), shown - TOLERANCE * 2, true, "set back"),
            (Some(Anchor { boot: "that".into(), ..anchor() }), shown, true, "what it should show is not known"),
        ] {
            assert_eq!(present(wall).may_have_been_set_since(anchor.as_ref()), expected, "{why}");
        }
    }

    #[test]
    fn nothing_is_lost_from_one_clock_to_the_next() {
        let first = present(NOON);
        let second = Present { wall: NOON - HOUR, uptime: first.uptime + Duration::from_millis(1), ..first.clone() };
        let start = Start::decide(first.anchor().as_ref(), &second, true);
        assert_eq!(start, Start::Resume(NOON + Duration::from_millis(1)));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_system_tells_which_start_this_is_and_how_long_ago() {
        let (first, second) = (Present::now(), Present::now());
        assert!(first.boot.is_some());
        assert_eq!(first.boot, second.boot);
        assert!(first.uptime > Duration::ZERO && first.uptime <= second.uptime);
        assert_eq!(first.uptime.subsec_micros() % 1000, 0);
        // The system's own words for it, which have two decimals.
        let words = std::fs::read_to_string("/proc/uptime").expect("readable");
        let told: f64 = words.split(' ').next().and_then(|seconds| seconds.parse().ok()).expect("seconds");
        assert!((told - second.uptime.as_secs_f64()).abs() < 5.0, "{told} {second:?}");
    }
}
