//! The configuration file as it is written: keys, values and lines. What they mean is for the [options](super::layers).

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use toml::{Spanned, Value as Toml};

use super::ConfigError;

/// A key of the file and its value.
#[derive(Clone)]
pub(super) struct Entry {
    pub key: String,
    pub value: Toml,
    /// The line of its key, from 1.
    pub line: usize,
}

/// The entries of one table.
pub(super) type Section = Vec<Entry>;

/// What a file says. It has no `Debug`, because secrets are in it.
#[derive(Default)]
pub(super) struct File {
    /// Outside of tables.
    pub general: Section,
    /// The table of secrets.
    pub secrets: SecretTable,
    /// The tables of resources: what stands in the place of the alias, the line of that, and what is in the table.
    pub resources: Vec<(String, usize, Section)>,
}

type Table<T> = BTreeMap<Spanned<String>, T>;

/// What stands in the place of the table of secrets.
#[derive(Default)]
pub(super) enum SecretTable {
    /// Nothing.
    #[default]
    Absent,
    /// The table.
    Present(Section),
    /// Something else, in this line.
    NoTable { line: usize },
}

impl SecretTable {
    /// Its entries.
    pub fn entries(&self) -> &[Entry] {
        match self {
            Self::Present(section) => section,
            Self::Absent | Self::NoTable { .. } => &[],
        }
    }
}

/// The tables of resources.
#[derive(Deserialize)]
struct Resources {
    #[serde(default)]
    resources: Table<Table<Toml>>,
}

/// The table of secrets, if there is one. Read apart, because an error of `serde` shows the value that it is about.
#[derive(Deserialize)]
struct MetricSecrets {
    metric_secrets: Table<Toml>,
}

/// The table of tables of resources.
pub(super) const RESOURCES: &str = "resources";
/// The table of secrets.
pub(super) const METRIC_SECRETS: &str = "metric_secrets";
/// The table of the policy in that of a resource.
pub(super) const POLICY: &str = "policy";
/// What the name of the table of secrets contains even where it is misspelt in the usual ways.
const SECRET: &str = "secret";

impl File {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// If it cannot be read, or is not TOML.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path);
        let text = text.map_err(|error| ConfigError::Unreadable { path: path.to_owned(), error })?;
        let refused = |error| ConfigError::Malformed { path: path.to_owned(), detail: in_words(&text, &error) };
        Self::parse(&text).map_err(refused)
    }

    fn parse(text: &str) -> Result<Self, toml::de::Error> {
        let line = |key: &Spanned<String>| 1 + text[..key.span().start].matches('\n').count();
        let section = |table: Table<Toml>| {
            let mut entries: Section = table
                .into_iter()
                .map(|(key, value)| Entry { line: line(&key), key: key.into_inner(), value })
                .collect();
            entries.sort_by_key(|entry| entry.line);
            entries
        };
        let Resources { resources } = toml::from_str(text)?;
        let mut general = section(toml::from_str(text)?);
        let secrets = match general.iter().find(|entry| entry.key == METRIC_SECRETS) {
            None => SecretTable::Absent,
            Some(Entry { value: Toml::Table(_), .. }) => {
                let MetricSecrets { metric_secrets } = toml::from_str(text)?;
                SecretTable::Present(section(metric_secrets))
            }
            Some(entry) => SecretTable::NoTable { line: entry.line },
        };
        general.retain(|entry| entry.key != RESOURCES && entry.key != METRIC_SECRETS);
        let resources = resources.into_iter().map(|(alias, table)| (line(&alias), alias.into_inner(), section(table)));
        let resources = resources.map(|(line, alias, table)| (alias, line, table)).collect();
        Ok(Self { general, secrets, resources })
    }
}

/// `error` with the line of `text` that it is about, unless that may hold a secret: from the first mention of one on, no
/// line is shown. Where the table of secrets ends cannot be told from a text that is not TOML.
fn in_words(text: &str, error: &toml::de::Error) -> String {
    let start = error.span().map_or(text.len(), |span| span.start.min(text.len()));
    let line_end = text[start..].find('\n').map_or(text.len(), |length| start + length);
    if !text[..line_end].to_ascii_lowercase().contains(SECRET) {
        return error.to_string();
    }
    let line = 1 + text[..start].matches('\n').count();
    format!("TOML parse error in line {line}, which is not shown because it may hold a secret\n{}", error.message())
}
