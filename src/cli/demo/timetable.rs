//! When things happen on the day that `scalegate demo --policy` plays. Times are minutes since midnight.

use std::time::Duration;

/// Which part of the day is played, and what happens at its times of the clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timetable {
    begin: u64,
    end: u64,
    window_from: u64,
    window_to: u64,
}

const fn clock(hours: u64, minutes: u64) -> u64 {
    60 * hours + minutes
}

/// When the load is at its peak.
const PEAK: u64 = clock(9, 0);
/// A window is open when it is told of, at the first push after its beginning.
const AFTER_OPENING: u64 = 2;

impl Timetable {
    /// The day as it is shown.
    pub const DAY: Self =
        Self { begin: clock(5, 0), end: clock(21, 0), window_from: clock(18, 0), window_to: clock(19, 30) };
    /// Less than half of it. The same things happen: the window opens in the lull after the peak.
    pub const SHORT: Self =
        Self { begin: clock(7, 45), end: clock(14, 10), window_from: clock(13, 30), window_to: clock(13, 50) };

    /// When it begins, after midnight.
    pub fn begin(&self) -> Duration {
        Duration::from_mins(self.begin)
    }

    /// How long it takes.
    pub fn length(&self) -> Duration {
        Duration::from_mins(self.end - self.begin)
    }

    /// Its beginning and its end, as people and policies write them.
    pub fn span(&self) -> (String, String) {
        (written(self.begin), written(self.end))
    }

    /// The same of the window.
    pub fn window(&self) -> (String, String) {
        (written(self.window_from), written(self.window_to))
    }

    /// Times after midnight at which it is told how many units are ready, and why then.
    pub fn marks(&self) -> [(Duration, &'static str); 2] {
        [(PEAK, "the peak begins"), (self.window_from + AFTER_OPENING, "the window reports is open")]
            .map(|(at, what)| (Duration::from_mins(at), what))
    }
}

fn written(minutes: u64) -> String {
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}
