//! The name of a scalable resource.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Longest alias accepted, in bytes (all of them ASCII).
pub const MAX_ALIAS_LEN: usize = 128;

/// A resource's alias: its service key in the platform's compose file.
///
/// `[A-Za-z0-9][A-Za-z0-9._-]{0,127}`. Because the first character is a letter or a digit, `.` and `..` cannot be
/// aliases, and an alias can never change the meaning of the path it is put into. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Alias(Arc<str>);

/// Why a string is not an [`Alias`], as a fragment that follows the name of what holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAlias {
    /// The empty string.
    #[error("must not be empty")]
    Empty,
    /// Longer than [`MAX_ALIAS_LEN`].
    #[error("must have at most {MAX_ALIAS_LEN} characters")]
    TooLong,
    /// The first character is not a letter or digit.
    #[error("must begin with a letter or a digit (A-Z, a-z, 0-9)")]
    BadStart,
    /// A character outside the allowed set.
    #[error("must consist of letters, digits, '.', '_' and '-'")]
    BadCharacter,
}

impl Alias {
    /// The alias as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Alias {
    type Err = InvalidAlias;

    fn from_str(text: &str) -> Result<Self, InvalidAlias> {
        let first = text.bytes().next().ok_or(InvalidAlias::Empty)?;
        if text.len() > MAX_ALIAS_LEN {
            return Err(InvalidAlias::TooLong);
        }
        if !first.is_ascii_alphanumeric() {
            return Err(InvalidAlias::BadStart);
        }
        if !text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-')) {
            return Err(InvalidAlias::BadCharacter);
        }
        Ok(Self(text.into()))
    }
}

impl Serialize for Alias {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Alias {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Visitor)
    }
}

/// Takes the text as it is read, without a copy of it in between.
struct Visitor;

impl de::Visitor<'_> for Visitor {
    type Value = Alias;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a resource")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Alias, E> {
        text.parse().map_err(E::custom)
    }
}

impl Borrow<str> for Alias {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Alias {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Alias {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_exactly_the_documented_form() {
        let longest = "a".repeat(MAX_ALIAS_LEN);
        for good in ["a", "7", "worker", "web-1.eu_west", "A..b", longest.as_str()] {
            let alias: Alias = good.parse().expect("an alias");
            assert_eq!(alias.as_str(), good);
            let json = serde_json::to_string(&alias).expect("JSON");
            assert_eq!((json.as_str(), serde_json::from_str(&json).ok()), (&*format!("\"{good}\""), Some(alias)));
        }
        for (bad, why) in [
            ("", InvalidAlias::Empty),
            (".", InvalidAlias::BadStart),
            ("..", InvalidAlias::BadStart),
            ("-a", InvalidAlias::BadStart),
            ("_a", InvalidAlias::BadStart),
            ("a/b", InvalidAlias::BadCharacter),
            ("a%2fb", InvalidAlias::BadCharacter),
            ("a b", InvalidAlias::BadCharacter),
            ("a\n", InvalidAlias::BadCharacter),
            ("a\u{e9}", InvalidAlias::BadCharacter),
            ("\u{e9}", InvalidAlias::BadStart),
            (&"a".repeat(MAX_ALIAS_LEN + 1), InvalidAlias::TooLong),
        ] {
            assert_eq!(bad.parse::<Alias>(), Err(why), "{bad:?}");
            let refused = serde_json::from_value::<Alias>(bad.into()).expect_err("not an alias");
            assert!(refused.to_string().contains(&why.to_string()), "{bad:?}: {refused}");
        }
    }
}
