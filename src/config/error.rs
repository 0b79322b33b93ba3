//! What can be wrong with a configuration, in words for the person who has to mend it.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::one_line;

/// Why the configuration cannot be used.
///
/// The messages are complete: they contain their cause, and [`source`](std::error::Error::source) adds nothing.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The configuration file could not be read.
    #[error("cannot read the configuration file {}: {error}", one_line(path))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        error: io::Error,
    },
    /// The configuration file is not TOML, or has something else in place of a table.
    #[error("the configuration file {} is not valid\n  {}", one_line(path), detail.trim_end().replace('\n', "\n  "))]
    Malformed {
        /// The file.
        path: PathBuf,
        /// In several lines: the line, unless it may hold a secret, and what was expected.
        detail: String,
    },
    /// Values that were read but cannot be used: all of them, so that they can be mended in one go.
    #[error("the configuration is not valid{}", Listed(problems))]
    Invalid {
        /// At least one.
        problems: Vec<Problem>,
    },
}

/// One thing wrong with the configuration. `name` is always the option as the user spelled it: `--cooldown`,
/// `SCALEGATE_COOLDOWN`, `cooldown in line 1 of FILE` or `resources.worker.cooldown in line 5 of FILE`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// A value that does not parse or is out of range.
    #[error("{name}: {value} {detail}")]
    Value {
        /// The option.
        name: String,
        /// What it was given.
        value: String,
        /// What is wrong with that.
        detail: String,
    },
    /// Something in a policy.
    #[error("{name}: {detail}")]
    Policy {
        /// Its place.
        name: String,
        /// What is wrong there.
        detail: String,
    },
    /// Bounds of a resource that nothing lies between.
    #[error("{name}: min = {min} is greater than max = {max}")]
    BoundsReversed {
        /// The resource's table.
        name: String,
        /// Its least capacity, in units.
        min: u32,
        /// Its largest capacity, in units.
        max: u32,
    },
    /// A setting with less care than the limit that binds it.
    #[error("{name}: {value} contradicts {limit_name}, {limit}; set {setting} to {limit}, or {limit_key} to {value}")]
    Contradiction {
        /// The option that gives the setting.
        name: String,
        /// What it gives.
        value: String,
        /// The option that gives the limit.
        limit_name: String,
        /// What that gives.
        limit: String,
        /// The key of the setting.
        setting: &'static str,
        /// The key of the limit.
        limit_key: &'static str,
    },
    /// Only listed resources may be scaled, and none is listed.
    #[error(
        "{name}: only listed resources may be scaled, but none is listed; add a table [resources.<alias>] for each to the \
         file given by --config"
    )]
    NothingListed {
        /// The option.
        name: String,
    },
    /// Something that another option needs.
    #[error("{name}: is missing; {what}")]
    Missing {
        /// The option.
        name: String,
        /// Why it is needed.
        what: String,
    },
    /// A secret cannot be used. It is not shown.
    #[error("{name}: {detail}")]
    Secret {
        /// The option, variable or key.
        name: String,
        /// Why.
        detail: String,
    },
    /// An environment variable or a key of the file that does not exist.
    #[error("{name}: no such {what}; {hint}")]
    Unknown {
        /// The variable or key.
        name: String,
        /// Which of the two it is.
        what: &'static str,
        /// The one meant, or all there are.
        hint: String,
    },
    /// The name of a table that can be none of a resource.
    #[error("{name}: {detail}")]
    Alias {
        /// The table.
        name: String,
        /// Why.
        detail: String,
    },
}

/// The problems, on the same line if it is only one.
struct Listed<'a>(&'a [Problem]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [only] => write!(f, ": {only}"),
            several => several.iter().try_for_each(|problem| write!(f, "\n  - {problem}")),
        }
    }
}
