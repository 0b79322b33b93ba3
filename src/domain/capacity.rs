//! Capacity units and changes of them.

use std::fmt;

use serde::{Deserialize, Serialize};
use strum::{EnumMessage, VariantArray};
use utoipa::ToSchema;

/// Largest capacity accepted or believed, in units.
///
/// No platform runs a million replicas of one resource; a larger number is a slip of the keyboard or garbage from a
/// broken answer, and refusing it keeps all arithmetic far from overflow.
pub const MAX_CAPACITY: u32 = 1_000_000;

/// A number of capacity units, `0..=MAX_CAPACITY`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Capacity(u32);

/// A number of units outside `0..=MAX_CAPACITY`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("capacity must be between 0 and {MAX_CAPACITY}")]
pub struct CapacityOutOfRange;

impl Capacity {
    /// No units at all.
    pub const ZERO: Self = Self(0);
    /// The largest capacity there is.
    pub const MAX: Self = Self(MAX_CAPACITY);

    /// `units` as a capacity.
    ///
    /// # Errors
    /// If `units` is outside `0..=MAX_CAPACITY`.
    pub fn new(units: i64) -> Result<Self, CapacityOutOfRange> {
        match u32::try_from(units) {
            Ok(units) if units <= MAX_CAPACITY => Ok(Self(units)),
            _ => Err(CapacityOutOfRange),
        }
    }

    /// The number of units.
    pub const fn units(self) -> u32 {
        self.0
    }

    /// The distance to `other` in units.
    pub const fn distance(self, other: Self) -> u32 {
        self.0.abs_diff(other.0)
    }

    /// Whether `self` lies strictly between `a` and `b`, in whichever order they are.
    pub fn is_between(self, a: Self, b: Self) -> bool {
        a.min(b) < self && self < a.max(b)
    }
}

impl TryFrom<u32> for Capacity {
    type Error = CapacityOutOfRange;

    fn try_from(units: u32) -> Result<Self, CapacityOutOfRange> {
        Self::new(i64::from(units))
    }
}

impl From<Capacity> for u32 {
    fn from(capacity: Capacity) -> Self {
        capacity.0
    }
}

impl fmt::Display for Capacity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The direction of a change.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    ToSchema,
    EnumMessage,
    VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[schema(as = StepOp)]
pub enum Op {
    /// Units are added.
    Add,
    /// Units are removed.
    Remove,
}

impl Op {
    /// The operation's name in the API: `add` or `remove`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Remove => "remove",
        }
    }

    /// The operation called so in the API.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Add, Self::Remove].into_iter().find(|op| op.as_str() == name)
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One move of a capacity: by at most `step_size` units toward `target`, never past it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Move {
    /// Direction.
    pub op: Op,
    /// Number of units, at least 1.
    pub units: u32,
    /// Capacity before.
    pub from: Capacity,
    /// Capacity after, if no other program interferes.
    pub to: Capacity,
}

impl Move {
    /// The next move from `from` toward `target`, or `None` if it is reached.
    pub fn toward(from: Capacity, target: Capacity, step_size: u32) -> Option<Self> {
        let units = from.distance(target).min(step_size);
        if units == 0 {
            return None;
        }
        let (op, to) =
            if from < target { (Op::Add, Capacity(from.0 + units)) } else { (Op::Remove, Capacity(from.0 - units)) };
        Some(Self { op, units, from, to })
    }

    /// Whether it leads toward `target`, and not past it.
    pub fn is_toward(&self, target: Capacity) -> bool {
        match self.op {
            Op::Add => self.to <= target,
            Op::Remove => target <= self.to,
        }
    }
}

impl fmt::Display for Move {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ({} -> {})", self.op, self.units, self.from, self.to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capacity(units: u32) -> Capacity {
        Capacity::try_from(units).expect("a small number")
    }

    #[test]
    fn a_move_never_passes_the_target() {
        for from in 0..12 {
            for target in 0..12 {
                for step_size in 1..5 {
                    let Some(step) = Move::toward(capacity(from), capacity(target), step_size) else {
                        assert_eq!(from, target);
                        continue;
                    };
                    assert!(step.units >= 1 && step.units <= step_size);
                    assert_eq!(step.from.distance(step.to), step.units);
                    assert_eq!(from.abs_diff(target), step.units + step.to.distance(capacity(target)));
                    assert_eq!(step.op, if from < target { Op::Add } else { Op::Remove });
                }
            }
        }
    }

    #[test]
    fn refuses_capacities_out_of_range() {
        assert!(Capacity::new(-1).is_err());
        assert!(Capacity::new(i64::from(MAX_CAPACITY) + 1).is_err());
        assert!(Capacity::new(i64::MAX).is_err());
        assert_eq!(Capacity::new(i64::from(MAX_CAPACITY)), Ok(Capacity::MAX));
    }
}
