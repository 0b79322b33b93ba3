//! The ids of decisions and of the jobs that policies submit: UUIDs of version 7, in the order in which they are made.
//!
//! The core makes them itself, since it decides by itself. It must never draw randomness, so that a simulation repeats: what
//! tells two processes apart comes from outside.

use uuid::{Builder, Uuid};

use crate::domain::Timestamp;

/// See the module's documentation.
#[derive(Default)]
pub(super) struct Ids {
    seed: [u8; 6],
    made: u32,
}

impl Ids {
    /// Ids that no process with another `seed` makes.
    pub const fn seeded(seed: [u8; 6]) -> Self {
        Self { seed, made: 0 }
    }

    /// The next id, made at `now`.
    pub fn next(&mut self, now: Timestamp) -> Uuid {
        self.made = self.made.wrapping_add(1);
        let millis = u64::try_from(now.as_millis()).unwrap_or(0);
        let mut rest = [0; 10];
        // The seed comes first, and loses six bits to version and variant. The same seed before all of them leaves ids in order.
        rest[..6].copy_from_slice(&self.seed);
        // The end is what people tell ids apart by: it counts, from a number on that differs between processes.
        let [.., a, b, c, d] = self.seed;
        let first = u32::from_be_bytes([a, b, c, d]) >> 1;
        rest[6..].copy_from_slice(&first.wrapping_add(self.made).to_be_bytes());
        Builder::from_unix_timestamp_millis(millis, &rest).into_uuid()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ids_are_in_order_and_differ_between_processes() {
        let now = Timestamp::from_millis(1_800_000_000_000);
        let mut ids = Ids::seeded([7; 6]);
        let made: Vec<Uuid> = (0..100_000).map(|_| ids.next(now)).collect();
        assert!(made.is_sorted_by(|one, next| one < next), "in order");
        assert_eq!(made[0].get_version_num(), 7);
        let mut other = Ids::seeded([8; 6]);
        let all: BTreeSet<Uuid> = made.iter().copied().chain((0..1000).map(|_| other.next(now))).collect();
        assert_eq!(all.len(), 101_000);
        let ends: BTreeSet<String> = all.iter().map(|id| id.to_string().split_off(28)).collect();
        assert_eq!(ends.len(), 101_000, "the last eight digits tell them apart");
    }
}
