//! Random choices that follow from a seed.

use std::time::Duration;

use scalegate::simulator::SplitMix64;

/// A source of choices.
pub struct Dice(SplitMix64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        // Neighbouring seeds must not give neighbouring lives.
        Self(SplitMix64::new(SplitMix64::new(seed).next_u64()))
    }

    /// From `least` to `most`, both included.
    pub fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.0.next_u64() % (most - least + 1)
    }

    pub fn chance(&mut self, percent: u64) -> bool {
        self.between(1, 100) <= percent
    }

    pub fn pick<T: Copy>(&mut self, among: &[T]) -> T {
        among[self.0.next_u64() as usize % among.len()]
    }

    /// Up to `most`, to the millisecond.
    pub fn duration(&mut self, most: Duration) -> Duration {
        Duration::from_millis(self.between(0, most.as_millis() as u64))
    }

    pub fn seconds(&mut self, among: &[u64]) -> Duration {
        Duration::from_secs(self.pick(among))
    }
}
