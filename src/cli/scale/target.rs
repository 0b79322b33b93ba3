//! What to scale to, as it is written on the command line.

use std::str::FromStr;

/// A capacity to reach, or units to add or remove. Its range is for the gateway to judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// `5`
    Capacity(i64),
    /// `+2`, `-1`; never 0.
    Delta(i64),
}

/// A text that is no [`Target`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTarget {
    /// Not a number as expected.
    #[error("write a capacity (5), or units to add (+2) or to remove (-1)")]
    Malformed,
    /// `+0` or `-0`.
    #[error("adding or removing 0 units changes nothing")]
    Nothing,
}

impl FromStr for Target {
    type Err = InvalidTarget;

    fn from_str(text: &str) -> Result<Self, InvalidTarget> {
        let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(InvalidTarget::Malformed);
        }
        let units: i64 = text.parse().map_err(|_| InvalidTarget::Malformed)?;
        match (digits.len() < text.len(), units) {
            (true, 0) => Err(InvalidTarget::Nothing),
            (true, units) => Ok(Self::Delta(units)),
            (false, units) => Ok(Self::Capacity(units)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_makes_a_delta() {
        for (text, target) in [
            ("5", Ok(Target::Capacity(5))),
            ("0", Ok(Target::Capacity(0))),
            ("+2", Ok(Target::Delta(2))),
            ("-1", Ok(Target::Delta(-1))),
            ("+0", Err(InvalidTarget::Nothing)),
            ("-0", Err(InvalidTarget::Nothing)),
            ("", Err(InvalidTarget::Malformed)),
            ("+", Err(InvalidTarget::Malformed)),
            ("+-2", Err(InvalidTarget::Malformed)),
            ("1.5", Err(InvalidTarget::Malformed)),
            ("five", Err(InvalidTarget::Malformed)),
            ("99999999999999999999", Err(InvalidTarget::Malformed)),
        ] {
            assert_eq!(text.parse(), target, "{text:?}");
        }
    }
}
