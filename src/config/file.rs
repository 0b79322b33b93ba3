//! The configuration file as it is written: keys, values and lines. What they mean is for the [options](super::layers).

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use toml::{Spanned, Value as Toml};

use super::ConfigError;

/// A key of the file and its value.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub key: String,
    pub value: Toml,
    /// The line of its key, from 1.
    pub line: usize,
}

/// The entries of one table.
pub(super) type Section = Vec<Entry>;

/// What a file says.
#[derive(Debug, Default)]
pub(super) struct File {
    /// Outside of tables.
    pub general: Section,
    /// The tables of resources: what stands in the place of the alias, the line of that, and what is in the table.
    pub resources: Vec<(String, usize, Section)>,
}

type Table<T> = BTreeMap<Spanned<String>, T>;

/// The only tables there are.
#[derive(Deserialize)]
struct Tables {
    #[serde(default)]
    resources: Table<Table<Toml>>,
}

/// The table of tables of resources.
pub(super) const RESOURCES: &str = "resources";

impl File {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// If it cannot be read, or is not TOML.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path);
        let text = text.map_err(|error| ConfigError::Unreadable { path: path.to_owned(), error })?;
        Self::parse(&text).map_err(|error| ConfigError::Malformed { path: path.to_owned(), error: Box::new(error) })
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
        let Tables { resources } = toml::from_str(text)?;
        let mut general = section(toml::from_str(text)?);
        general.retain(|entry| entry.key != RESOURCES);
        let resources = resources.into_iter().map(|(alias, table)| (line(&alias), alias.into_inner(), section(table)));
        Ok(Self { general, resources: resources.map(|(line, alias, table)| (alias, line, table)).collect() })
    }
}
