//! Shows the configuration in effect, as a configuration file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::file::{METRIC_SECRETS, POLICY};
use super::layers::{Choice, Choices, Origin, flag, variable};
use super::secrets::SecretOrigins;
use super::{Config, one_line, policies, table_key};
use crate::domain::Alias;

/// A configuration, and where each of its values was taken from.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// The configuration file, if there is one.
    pub file: Option<PathBuf>,
    pub(super) general: Choices,
    pub(super) secrets: SecretOrigins,
    pub(super) tables: BTreeMap<Alias, Choices>,
}

impl Loaded {
    /// The configuration file, if secrets for policies are in it.
    pub fn file_with_secrets(&self) -> Option<&Path> {
        let has_secrets = self.secrets.values().any(|origin| matches!(origin, Origin::File { .. }));
        self.file.as_deref().filter(|_| has_secrets)
    }

    /// The configuration as a TOML document which, used as the configuration file, gives the same configuration. A
    /// comment at the end of each line says where the value was taken from. Secrets are not in it: of those for policies it has
    /// the names.
    ///
    /// Settings that a resource takes from the general ones are shown commented out: written out, they would no longer
    /// follow them.
    pub fn to_toml(&self) -> String {
        let mut text: String = self.general.iter().map(|(key, choice)| self.line(key, choice)).collect();
        for (name, origin) in &self.secrets {
            let key = format!("{METRIC_SECRETS}_{name}");
            text += &format!("# {METRIC_SECRETS}.{name} is not shown  # {}\n", self.source(&key, origin));
        }
        for (alias, choices) in &self.tables {
            text += &format!("\n[{}]\n", table_key(alias));
            for (key, choice) in choices {
                let is_general = !choice.origin.is_table() && self.general.iter().any(|(name, _)| name == key);
                text += &match is_general {
                    true => {
                        format!(
                            "# {key} = {}  # general setting, {}\n",
                            choice.to_toml(),
                            self.source(key, &choice.origin)
                        )
                    }
                    false => self.line(key, choice),
                };
            }
            if let Some(policy) = self.config.policies.get(alias) {
                let origin = Origin::File { line: 0, resource: None };
                text += &format!("{POLICY} = {}  # {}\n", policies::to_toml(policy), self.source(POLICY, &origin));
            }
        }
        text
    }

    fn line(&self, key: &str, choice: &Choice) -> String {
        format!("{key} = {}  # {}\n", choice.to_toml(), self.source(key, &choice.origin))
    }

    /// Where option `key` was taken from.
    fn source(&self, key: &str, origin: &Origin) -> String {
        match origin {
            Origin::Flag => format!("flag {}", flag(key)),
            Origin::Environment => format!("environment {}", variable(key)),
            Origin::File { .. } => format!("file {}", self.file.as_deref().map(one_line).unwrap_or_default()),
            Origin::Default => "default".to_owned(),
        }
    }
}
