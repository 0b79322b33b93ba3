//! What a metric will be: learned from its past, or predicted elsewhere and pushed.
//!
//! [`learn`] finds the daily or weekly [`Pattern`] of a [`History`]. A pattern says what to expect at a later time, given
//! how far the metric is off the pattern now, and up to where it will stay with a given probability. [`Prediction`] is
//! made by a caller instead. [`Trust`] compares both with the values that came, and with the guess that all stays as it is.
//!
//! Nothing here knows units or policies, reads a clock or does I/O. A gap is never taken for a value: what is not known
//! stays unknown.
//!
//! Rejected: decomposition by LOESS (MSTL). On recorded load it was no better than weighted medians of past days, took thirty
//! times as long, and needs series without gaps in which each day has 24 hours.

mod bins;
mod days;
mod errors;
mod expected;
mod history;
mod learn;
mod lesson;
mod pattern;
mod prediction;
mod profile;
#[cfg(test)]
mod tests;
mod trust;

pub use bins::{BIN, midnight};
pub use expected::Expected;
pub use history::History;
pub use learn::{Learned, learn};
pub use lesson::Lesson;
pub use pattern::{Deviation, Pattern};
pub use prediction::{MAX_POINTS, Prediction};
pub use profile::Shape;
pub use trust::{Accuracy, Trust};
