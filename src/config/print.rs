//! Shows the configuration in effect, as a configuration file.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::layers::{Choice, Choices, Origin, flag, variable};
use super::{Config, one_line, table_key};
use crate::domain::Alias;

/// A configuration, and where each of its values was taken from.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// The configuration file, if there is one.
    pub file: Option<PathBuf>,
    pub(super) general: Choices,
    pub(super) tables: BTreeMap<Alias, Choices>,
}

impl Loaded {
    /// The configuration as a TOML document which, used as the configuration file, gives the same configuration. A
    /// comment at the end of each line says where the value was taken from. The admin key is not in it.
    ///
    /// Settings that a resource takes from the general ones are shown commented out: written out, they would no longer
    /// follow them.
    pub fn to_toml(&self) -> String {
        let mut text: String = self.general.iter().map(|(key, choice)| self.line(key, choice)).collect();
        for (alias, choices) in &self.tables {
            text += &format!("\n[{}]\n", table_key(alias));
            for (key, choice) in choices {
                let is_general = !choice.origin.is_table() && self.general.iter().any(|(name, _)| name == key);
                text += &match is_general {
                    true => {
                        format!("# {key} = {}  # general setting, {}\n", choice.to_toml(), self.source(key, choice))
                    }
                    false => self.line(key, choice),
                };
            }
        }
        text
    }

    fn line(&self, key: &str, choice: &Choice) -> String {
        format!("{key} = {}  # {}\n", choice.to_toml(), self.source(key, choice))
    }

    /// Where option `key` was taken from.
    fn source(&self, key: &str, choice: &Choice) -> String {
        match &choice.origin {
            Origin::Flag => format!("flag {}", flag(key)),
            Origin::Environment => format!("environment {}", variable(key)),
            Origin::File { .. } => format!("file {}", self.file.as_deref().map(one_line).unwrap_or_default()),
            Origin::Default => "default".to_owned(),
        }
    }
}
