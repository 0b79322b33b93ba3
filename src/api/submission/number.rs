//! Whole numbers in requests, in any form that JSON has for them.

use std::fmt;

use serde::Deserializer;
use serde::de::{Unexpected, Visitor};

/// A whole number in any form JSON has for it: `5`, `5.0` and `5e0` are the same, and not every language can choose.
pub fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    /// Up to here all whole numbers can be told apart in the form they are read in.
    const MOST: f64 = 9_007_199_254_740_992.0;

    struct Whole;

    impl<'de> Visitor<'de> for Whole {
        type Value = Option<i64>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a whole number")
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
            Ok(Some(number))
        }

        fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Self::Value, E> {
            i64::try_from(number).map(Some).map_err(|_| E::invalid_value(Unexpected::Unsigned(number), &self))
        }

        fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Self::Value, E> {
            if number.fract() == 0.0 && number.abs() <= MOST {
                Ok(Some(number as i64))
            } else {
                Err(E::invalid_value(Unexpected::Float(number), &self))
            }
        }
    }

    deserializer.deserialize_any(Whole)
}
