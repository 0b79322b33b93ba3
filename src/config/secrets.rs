//! Secrets that policies know by name: the table `[metric_secrets]` of the file, and a variable for each.
//!
//! They are no options: their names are the operator's, there is no flag because other processes can see flags, and no
//! value of one may ever be shown. Messages therefore name what is wrong and never repeat it.

use std::collections::BTreeMap;
use std::ffi::OsString;

use toml::Value as Toml;

use super::environment::METRIC_SECRET;
use super::error::Problem;
use super::file::{METRIC_SECRETS, SecretTable};
use super::layers::{Layers, Origin, in_file};
use crate::sources::{InvalidSecret, Secrets};

/// Where each secret was taken from, by its name.
pub(super) type SecretOrigins = BTreeMap<String, Origin>;

impl Layers<'_> {
    /// The secrets that the `table` of the file and the `variables` give, which are stronger.
    pub fn metric_secrets(
        &mut self,
        table: &SecretTable,
        variables: &[(String, OsString)],
    ) -> (Secrets, SecretOrigins) {
        let (mut secrets, mut origins) = (Secrets::default(), SecretOrigins::new());
        if let SecretTable::NoTable { line } = table {
            let name = in_file(METRIC_SECRETS, *line, self.file);
            self.problems.push(Problem::Secret { name, detail: "must be a table of texts".to_owned() });
        }
        for entry in table.entries() {
            let added = match &entry.value {
                Toml::String(value) => secrets.insert(&entry.key, value).map_err(|why| why.to_string()),
                _ => Err("must be a text in quotes".to_owned()),
            };
            let origin = Origin::File { line: entry.line, resource: None };
            match added {
                Ok(()) => drop(origins.insert(entry.key.clone(), origin)),
                Err(detail) => {
                    let name = in_file(&format!("{METRIC_SECRETS}.{}", shown_key(&entry.key)), entry.line, self.file);
                    self.problems.push(Problem::Secret { name, detail });
                }
            }
        }
        for (name, value) in variables {
            match add_variable(&mut secrets, name, value) {
                Ok(name) => drop(origins.insert(name, Origin::Environment)),
                Err(detail) => self.problems.push(Problem::Secret { name: name.clone(), detail }),
            }
        }
        (secrets, origins)
    }
}

/// Adds the value of the variable `name`; the name of its secret.
fn add_variable(secrets: &mut Secrets, variable: &str, value: &OsString) -> Result<String, String> {
    let name = variable.strip_prefix(METRIC_SECRET).unwrap_or_default();
    let refused = |why| match why {
        InvalidSecret::Name => {
            "must end in a name of capital letters, digits and '_' that does not begin with a digit".to_owned()
        }
        InvalidSecret::Empty | InvalidSecret::Value => why.to_string(),
    };
    if name.contains(|letter: char| letter.is_ascii_lowercase()) {
        return Err(refused(InvalidSecret::Name));
    }
    let name = name.to_ascii_lowercase();
    let value = value.to_str().ok_or_else(|| refused(InvalidSecret::Value))?;
    secrets.insert(&name, value).map_err(refused)?;
    Ok(name)
}

/// A key as it is written in the file.
fn shown_key(key: &str) -> String {
    let is_bare = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if is_bare { key.to_owned() } else { crate::printable::toml(key) }
}
