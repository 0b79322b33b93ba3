//! The terms on which a pattern is learned.

use std::time::Duration;

use jiff::tz::TimeZone;

use super::super::time::Timestamp;

/// A pattern to learn.
#[derive(Clone, Debug, PartialEq)]
pub struct Lesson {
    /// Only values from before this time are used.
    pub through: Timestamp,
    /// The zone whose clock the load follows.
    pub zone: TimeZone,
    /// The share of values, from 0 to 1, that the upper end of an expectation covers.
    pub quantile: f64,
    /// How far ahead the pattern has to be good.
    pub lead: Duration,
}
