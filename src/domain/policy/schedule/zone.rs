//! Time zones by name.
//!
//! Names are looked up in the database that is part of the binary, never in files of the system: a small image has none,
//! and two replicas must not disagree.

use std::fmt;

use jiff::tz::{TimeZone, TimeZoneDatabase};

/// Longest name that a suggestion is worked out for; the longest name there is has 32 characters.
const LONGEST_MISSPELT: usize = 64;

/// A name that no time zone has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct UnknownZone {
    meant: Option<String>,
}

impl fmt::Display for UnknownZone {
    /// As a fragment that follows the name of the field.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.meant {
            Some(meant) => write!(f, "is not a known time zone: did you mean {meant}?"),
            None => f.write_str("is not a known time zone: expected a name such as UTC or Europe/Berlin"),
        }
    }
}

/// The time zone called `name`, in either case of letters.
///
/// # Errors
/// If there is none.
pub fn zone(name: &str) -> Result<TimeZone, UnknownZone> {
    match TimeZoneDatabase::bundled().get(name) {
        Ok(zone) if !zone.is_unknown() => Ok(zone),
        _ => Err(UnknownZone { meant: nearest(name) }),
    }
}

/// The name that `written` probably stands for: as a whole, or the city alone.
fn nearest(written: &str) -> Option<String> {
    if written.len() > LONGEST_MISSPELT {
        return None;
    }
    let plain = |name: &str| name.to_ascii_lowercase().replace([' ', '-'], "_");
    let written = plain(written);
    let edits = |name: &str| {
        let city = name.rsplit('/').next().unwrap_or(name);
        strsim::levenshtein(&written, name).min(strsim::levenshtein(&written, city))
    };
    let database = TimeZoneDatabase::bundled();
    let (edits, meant) =
        database.available().map(|name| (edits(&plain(name.as_str())), name.as_str().to_owned())).min()?;
    (edits <= written.chars().count() / 4).then_some(meant)
}
