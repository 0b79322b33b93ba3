//! Values of request headers that policies know by name only.
//!
//! They are never shown: not in logs, not by `{:?}`, not in messages about what is wrong with them. A policy can send any
//! of them to any host that it may have asked, so that both lists are the operator's.

use std::collections::BTreeMap;
use std::fmt;

/// Longest value in bytes: what common servers take as one header.
const MAX_VALUE_BYTES: usize = 4096;

/// Secrets by name.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secrets(BTreeMap<String, String>);

/// Why a secret cannot be used, as a fragment that follows its name. It does not contain the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSecret {
    /// The name.
    #[error("must have a name of lower-case letters, digits and '_' that does not begin with a digit")]
    Name,
    /// Nothing is in it.
    #[error("must not be empty")]
    Empty,
    /// No header can have this value.
    #[error("must be at most {MAX_VALUE_BYTES} visible ASCII characters, with blanks only in between")]
    Value,
}

impl Secrets {
    /// Adds the secret `name`, or replaces it.
    ///
    /// # Errors
    /// If the name is none or no header can have this value.
    pub fn insert(&mut self, name: &str, value: &str) -> Result<(), InvalidSecret> {
        // In upper case it is the name of a variable.
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if name.is_empty() || name.starts_with(|first: char| first.is_ascii_digit()) || !name.bytes().all(fits) {
            return Err(InvalidSecret::Name);
        }
        if value.is_empty() {
            return Err(InvalidSecret::Empty);
        }
        let is_visible = value.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
        if !is_visible || value.trim() != value || value.len() > MAX_VALUE_BYTES {
            return Err(InvalidSecret::Value);
        }
        self.0.insert(name.to_owned(), value.to_owned());
        Ok(())
    }

    /// Whether there is a secret called `name`.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The names, in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_one_that_a_header_can_have() {
        let long = "x".repeat(MAX_VALUE_BYTES + 1);
        for (name, value, expected) in [
            ("team_token", "Bearer abc=", Ok(())),
            ("_1", "x", Ok(())),
            ("", "x", Err(InvalidSecret::Name)),
            ("1a", "x", Err(InvalidSecret::Name)),
            ("Token", "x", Err(InvalidSecret::Name)),
            ("a-b", "x", Err(InvalidSecret::Name)),
            ("a", "", Err(InvalidSecret::Empty)),
            ("a", "x\n", Err(InvalidSecret::Value)),
            ("a", "x\r\nHost: y", Err(InvalidSecret::Value)),
            ("a", " x", Err(InvalidSecret::Value)),
            ("a", "ä", Err(InvalidSecret::Value)),
            ("a", &long, Err(InvalidSecret::Value)),
        ] {
            let mut secrets = Secrets::default();
            assert_eq!(secrets.insert(name, value), expected, "{name} {value}");
            assert_eq!(secrets.has(name), expected.is_ok());
        }
    }

    #[test]
    fn values_are_never_shown() {
        let mut secrets = Secrets::default();
        secrets.insert("token", "hunter2").expect("a secret");
        assert_eq!(format!("{secrets:?} {secrets:#?}").matches("hunter2").count(), 0);
        assert_eq!(format!("{secrets:?}"), "{\"token\"}");
    }
}
