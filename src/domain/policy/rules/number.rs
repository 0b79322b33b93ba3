//! From loads to whole units, without a surprise of floating point.
//!
//! Decimal fractions are not exact: 1.1 / 0.1 is 11.000000000000002, which would need a twelfth unit. A quotient within
//! [`EPSILON`] of a whole number is that number. Rejected: exact fractions, because values arrive as doubles and have
//! lost their digits already.

use super::super::super::capacity::Capacity;

/// How far a quotient may be from a whole number and count as it, as a share of it. The two conversions from decimal and
/// the operations of a rule err by less than 1e-15 together; two values that a caller means to differ are much further apart.
const EPSILON: f64 = 1e-12;

/// ⌈`load` / `per_unit`⌉ as a capacity: 0 for a load of 0 or less, [`Capacity::MAX`] for what is more than that.
pub fn units_for(load: f64, per_unit: f64) -> Capacity {
    whole(load / per_unit, f64::ceil)
}

/// ⌊`load` / `per_unit`⌋ as a capacity, with the same limits.
pub fn full_units(load: f64, per_unit: f64) -> Capacity {
    whole(load / per_unit, f64::floor)
}

/// ⌈`number`⌉ as a capacity, with the same limits.
pub fn rounded_up(number: f64) -> Capacity {
    whole(number, f64::ceil)
}

/// Whether `a` is more than `b`, and not by an error of floating point.
pub fn exceeds(a: f64, b: f64) -> bool {
    a - b > EPSILON * a.abs().max(b.abs())
}

/// `capacity` and `change` units more, with the same limits.
pub fn plus(capacity: Capacity, change: i64) -> Capacity {
    let units = i64::from(capacity.units()).saturating_add(change);
    Capacity::new(units.clamp(0, i64::from(Capacity::MAX.units()))).unwrap_or(Capacity::MAX)
}

fn whole(number: f64, round: fn(f64) -> f64) -> Capacity {
    let nearest = number.round();
    let rounded = if (number - nearest).abs() <= EPSILON * nearest.abs() { nearest } else { round(number) };
    // A comparison that is false for NaN: it has no place here, and 0 would be a number made of nothing.
    if rounded < f64::from(Capacity::MAX.units()) {
        // In range, and whole.
        Capacity::new(rounded.max(0.0) as i64).unwrap_or(Capacity::MAX)
    } else {
        Capacity::MAX
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quotients_that_are_whole_in_decimal_are_not_rounded_up() {
        for (load, per_unit, expected) in [
            (1.1, 0.1, 11),
            (0.3, 0.1, 3),
            (0.6, 0.2, 3),
            (812.0, 100.0, 9),
            (900.0, 100.0, 9),
            (900.000001, 100.0, 10),
            (88.0, 1.0, 88),
            (88.1, 1.0, 89),
            (0.0, 7.0, 0),
            (1e-9, 100.0, 1),
        ] {
            assert_eq!(units_for(load, per_unit).units(), expected, "{load} / {per_unit}");
        }
        assert_eq!((full_units(0.3, 0.1).units(), full_units(0.29, 0.1).units()), (3, 2));
    }

    #[test]
    fn what_is_too_large_is_the_largest_capacity_and_what_is_negative_none() {
        for (load, per_unit, expected) in [
            (2_147_483_648.0, 0.1, Capacity::MAX),
            (f64::MAX, f64::MIN_POSITIVE, Capacity::MAX),
            (f64::MAX, 1.0, Capacity::MAX),
            (-5.0, 0.1, Capacity::ZERO),
            (-f64::MAX, f64::MIN_POSITIVE, Capacity::ZERO),
        ] {
            assert_eq!(units_for(load, per_unit), expected, "{load} / {per_unit}");
        }
        assert_eq!(plus(Capacity::ZERO, -3), Capacity::ZERO);
        assert_eq!(plus(Capacity::MAX, i64::MAX), Capacity::MAX);
    }

    proptest! {
        /// Whole multiples of every decimal fraction come out exactly.
        #[test]
        fn multiples_are_exact(units in 0_u32..100_000, thousandths in 1_u32..1_000_000) {
            let per_unit = f64::from(thousandths) / 1000.0;
            let load = f64::from(units) * f64::from(thousandths) / 1000.0;
            prop_assert_eq!(units_for(load, per_unit).units(), units);
            prop_assert_eq!(full_units(load, per_unit).units(), units);
        }
    }
}
