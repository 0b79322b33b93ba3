//! The clock that the seconds of samples are by.

use rusqlite::{Connection, Row};

use crate::domain::Timestamp;

/// The clock that the seconds of samples are by, and up to where minutes were worked out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SamplesClock {
    /// How many seconds it is behind the clock of the store.
    behind: i64,
    /// What came before this minute is in minutes, and in it that of the series up to this one.
    pub worked_out: (i64, i64),
}

impl SamplesClock {
    pub(super) fn read(db: &Connection) -> rusqlite::Result<Self> {
        let sql = "SELECT behind, minute, series FROM samples_clock";
        let clock = |row: &Row| Ok(Self { behind: row.get(0)?, worked_out: (row.get(1)?, row.get(2)?) });
        db.prepare_cached(sql)?.query_row([], clock)
    }

    /// The second of `at`, and the milliseconds in it.
    pub(super) fn second(&self, at: Timestamp) -> (i64, i64) {
        let millis = at.as_millis();
        (millis.div_euclid(1000).saturating_sub(self.behind), millis.rem_euclid(1000))
    }

    /// The first minute of `series` that is not worked out.
    pub(super) fn first_open_minute(&self, series: i64) -> i64 {
        let (minute, up_to) = self.worked_out;
        if series > up_to { minute } else { minute.saturating_add(1) }
    }

    /// The moment so many milliseconds after the beginning of `second`.
    pub(super) fn moment(&self, second: i64, millis: i64) -> Timestamp {
        Timestamp::from_millis(second.saturating_add(self.behind).saturating_mul(1000).saturating_add(millis))
    }
}
