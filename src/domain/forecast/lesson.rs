//! What a pattern is learned for.

use std::time::Duration;

use jiff::tz::TimeZone;

use super::super::time::Timestamp;

/// What is to be learned.
#[derive(Clone, Debug, PartialEq)]
pub struct Lesson {
    /// Only values from before this time are used.
    pub through: Timestamp,
    /// The zone whose clock the load follows.
    pub zone: TimeZone,
    /// The probability with which values are to stay below what is expected at most; within 0 and 1.
    pub quantile: f64,
    /// How far ahead the pattern has to be good.
    pub lead: Duration,
}
