//! Recorded values, and what they demand.

use std::time::Duration;

use super::Span;
use crate::domain::policy::Sample;
use crate::domain::{MAX_CAPACITY, Timestamp};

/// A recorded metric: a value is known from its time on and holds until the next one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recording(Vec<Sample>);

/// Why rows make no recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("row {row} is not later than the one before it")]
pub struct OutOfOrder {
    /// The row, from 1.
    pub row: usize,
}

impl Recording {
    /// The recording with these rows.
    ///
    /// # Errors
    /// If they are not in the order of time.
    pub fn new(rows: Vec<Sample>) -> Result<Self, OutOfOrder> {
        match rows.windows(2).position(|pair| pair[1].at <= pair[0].at) {
            Some(before) => Err(OutOfOrder { row: before + 2 }),
            None => Ok(Self(rows)),
        }
    }

    /// The rows, in the order of time.
    pub fn rows(&self) -> &[Sample] {
        &self.0
    }

    /// The usual time from one row to the next: the median; `None` of fewer than two rows.
    pub fn spacing(&self) -> Option<Duration> {
        let mut apart: Vec<Duration> = self.0.windows(2).map(|pair| pair[1].at.since(pair[0].at)).collect();
        apart.sort_unstable();
        apart.get(apart.len() / 2).copied()
    }
}

/// What a recorded metric demands.
#[derive(Clone, Copy, Debug)]
pub struct Demand<'a> {
    /// The load of the whole resource.
    pub recording: &'a Recording,
    /// Load that one unit carries, above 0.
    pub per_unit: f64,
    /// How long a value counts at most: what comes later is not judged.
    pub max_age: Duration,
}

/// The units that are needed from a moment on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// When it begins.
    pub at: Timestamp,
    /// The units; `None` where nothing is known, which is not judged.
    pub units: Option<u32>,
}

/// Each of `needs` within `span` with its end.
pub fn with_ends(needs: &[Need], span: Span) -> impl Iterator<Item = (Need, Timestamp)> + '_ {
    let ends = needs.iter().skip(1).map(|need| need.at).chain([span.to]);
    needs.iter().copied().zip(ends)
}

impl Demand<'_> {
    /// What is needed within `span`: in the order of time, the first one at its beginning.
    pub fn needs(&self, span: Span) -> Vec<Need> {
        let rows = self.recording.rows();
        let mut needs = vec![Need { at: span.from, units: None }];
        for (nth, row) in rows.iter().enumerate() {
            let next = rows.get(nth + 1).map(|next| next.at);
            self.note(&mut needs, Need { at: row.at, units: Some(self.units(row.value)) }, span);
            let stale_at = row.at + self.max_age;
            if next.is_none_or(|next| stale_at < next) {
                self.note(&mut needs, Need { at: stale_at, units: None }, span);
            }
        }
        needs
    }

    fn note(&self, needs: &mut Vec<Need>, need: Need, span: Span) {
        let at = need.at.max(span.from);
        if span.to <= at {
            return;
        }
        match needs.last_mut() {
            Some(last) if last.at == at => last.units = need.units,
            Some(last) if last.units == need.units => {}
            _ => needs.push(Need { at, ..need }),
        }
    }

    /// ⌈value / per_unit⌉, 0 for a value below 0, and the largest capacity for a value that asks for more: sums over years have to
    /// fit their type.
    fn units(&self, value: f64) -> u32 {
        (value / self.per_unit).ceil().clamp(0.0, f64::from(MAX_CAPACITY)) as u32
    }
}
