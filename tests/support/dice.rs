//! Random choices that follow from a seed.

use std::time::Duration;

use scalegate::sim::sidecar::SplitMix64;

/// A source of choices.
#[derive(Clone)]
pub struct Dice(SplitMix64);

impl Dice {
    /// Choices that have nothing to do with those of a neighbouring seed.
    pub fn new(seed: u64) -> Self {
        Self(SplitMix64::new(SplitMix64::new(seed).next_u64()))
    }

    /// Choices of its own for each `part` of something with this `seed`.
    pub fn for_part(seed: u64, part: u64) -> Self {
        Self(SplitMix64::new(SplitMix64::new(seed).next_u64() ^ SplitMix64::new(part).next_u64()))
    }

    /// From `least` to `most`, both included.
    pub fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.0.next_u64() % (most - least + 1)
    }

    /// Whether something happens that happens in so many of a hundred cases.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.between(1, 100) <= percent
    }

    pub fn pick<T: Copy>(&mut self, among: &[T]) -> T {
        among[self.0.next_u64() as usize % among.len()]
    }

    /// One of so many.
    pub fn index(&mut self, count: usize) -> usize {
        self.between(0, count as u64 - 1) as usize
    }

    /// At most `most`, to the microsecond.
    pub fn duration(&mut self, most: Duration) -> Duration {
        Duration::from_micros(self.between(0, most.as_micros() as u64))
    }
}
