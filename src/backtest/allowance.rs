//! What a backtest may take, and how it is told to end early.
//!
//! A backtest reads no clock, so that who started it keeps the time and tells it to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What a backtest may take.
#[derive(Clone, Debug)]
pub struct Allowance {
    /// Most choices of the [`limit`](super::limit()), one for each capacity at each point of its grid: 12 bytes of memory each,
    /// and 28 if changes take as long as the backtest.
    pub most_choices: u64,
    /// Whether it is to end early.
    pub stop: Stop,
}

impl Allowance {
    /// That of a command: a gigabyte of a machine on which nothing else depends.
    pub const MOST_CHOICES: u64 = 80_000_000;
}

impl Default for Allowance {
    fn default() -> Self {
        Self { most_choices: Self::MOST_CHOICES, stop: Stop::default() }
    }
}

/// Tells a backtest to end early. What comes of it then is worth nothing. Clones are one and the same.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Asks the backtest to end.
    pub fn request(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it is to end.
    pub fn is_requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
