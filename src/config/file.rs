//! The configuration file as it is written: keys, values and lines. What they mean is for the [options](super::layers).

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use toml::de::DeTable;
use toml::{Spanned, Value as Toml};

use super::ConfigError;
use super::lines::{Lines, line_of};

/// A key of the file and its value.
#[derive(Clone)]
pub(super) struct Entry {
    pub key: String,
    pub value: Toml,
    /// The line of its key, from 1.
    pub line: usize,
    /// Of a policy, the lines of what is in it.
    pub lines: Lines,
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
        let section = |table: Table<Toml>| {
            let entries = table.into_iter().map(|(key, value)| {
                let line = line_of(&key, text);
                Entry { line, key: key.into_inner(), value, lines: Lines::default() }
            });
            let mut entries: Section = entries.collect();
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
        let document = DeTable::parse(text)?;
        let of_resources = document.get_ref().get(RESOURCES);
        let resources = resources.into_iter().map(|(alias, table)| {
            let (line, alias, mut section) = (line_of(&alias, text), alias.into_inner(), section(table));
            for entry in section.iter_mut().filter(|entry| entry.key == POLICY) {
                let policy = of_resources.and_then(|all| all.get_ref().get(alias.as_str())?.get_ref().get(POLICY));
                entry.lines = policy.map(|policy| Lines::of(policy.get_ref(), text)).unwrap_or_default();
            }
            (alias, line, section)
        });
        Ok(Self { general, secrets, resources: resources.collect() })
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
