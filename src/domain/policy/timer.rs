//! When time alone can change a decision.

use super::super::time::Timestamp;

/// The earliest of many such times. What is not in the future is not noted: it has been taken into account.
#[derive(Clone, Copy, Debug)]
pub struct Timer {
    now: Timestamp,
    at: Option<Timestamp>,
}

impl Timer {
    /// A timer without a time.
    pub fn new(now: Timestamp) -> Self {
        Self { now, at: None }
    }

    /// The time that is compared with.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Notes `at`.
    pub fn note(&mut self, at: Timestamp) {
        if at > self.now {
            self.at = Some(self.at.map_or(at, |earlier| earlier.min(at)));
        }
    }

    /// The earliest time noted.
    pub fn at(&self) -> Option<Timestamp> {
        self.at
    }
}
