//! The policies of the configuration file: `[resources.<alias>.policy]`.
//!
//! They are checked like those that come over HTTP, for the resource that they are for, and each mistake is told with its place.
//! Hosts are not checked: the operator, who writes the file, is trusted with them.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value as Json;
use toml::Value as Toml;

use super::error::Problem;
use super::file::{POLICY, Section};
use super::layers::{Layers, in_file};
use super::{table_key, value};
use crate::domain::policy::Policy;
use crate::domain::{Alias, ResourceConfig};
use crate::policy::{self, Document, canonical, followed, problems_for};
use crate::sources::{Secrets, problems_of};

impl Layers<'_> {
    /// The policy in the table of resource `alias`, for which the file lays down `config`; nothing, if there is none or
    /// something is wrong with it.
    pub fn policy(
        &mut self,
        alias: &Alias,
        section: &Section,
        config: &ResourceConfig,
        secrets: &Secrets,
    ) -> Option<Arc<Policy>> {
        let entry = section.iter().find(|entry| entry.key == POLICY)?;
        let key = format!("{}.{POLICY}", table_key(alias));
        let Toml::Table(table) = &entry.value else {
            let (name, value) = (in_file(&key, entry.line, self.file), value::shown(&entry.value));
            self.problems.push(Problem::Value { name, value, detail: "must be a table".to_owned() });
            return None;
        };
        let read = Document::from_table(table).policy();
        let problems = match &read {
            Ok(policy) => [problems_for(policy, alias, config), problems_of(policy, None, secrets)].concat(),
            Err(problems) => problems.clone(),
        };
        let is_good = problems.is_empty();
        for policy::Problem { pointer, detail } in problems {
            let line = entry.lines.nearest(&pointer).unwrap_or(entry.line);
            let name = in_file(&format!("{key}{}", place_of(&pointer)), line, self.file);
            self.problems.push(Problem::Policy { name, detail });
        }
        read.ok().filter(|_| is_good).map(Arc::new)
    }

    /// Notes each policy of `policies` that begins a circle of resources that follow each other.
    pub fn check_circles(&mut self, policies: &BTreeMap<Alias, Arc<Policy>>) {
        for resource in policies.keys() {
            let mut circle = vec![resource];
            if leads_back(policies, &mut circle) && circle.iter().min() == Some(&resource) {
                let circle: Vec<&str> = circle.iter().map(|alias| alias.as_str()).collect();
                let name = format!("{}.{POLICY}", table_key(resource));
                let detail = format!("the resources follow each other in a circle: {}", circle.join(", "));
                self.problems.push(Problem::Policy { name, detail });
            }
        }
    }
}

/// Whether what the last one of `path` follows leads to the first, which then is the last as well.
fn leads_back<'a>(policies: &'a BTreeMap<Alias, Arc<Policy>>, path: &mut Vec<&'a Alias>) -> bool {
    let followed = path.last().and_then(|last| policies.get(*last)).map(|policy| followed(policy)).unwrap_or_default();
    for next in followed {
        let (is_first, is_known) = (path.first() == Some(&next), path.contains(&next));
        path.push(next);
        if is_first || (!is_known && leads_back(policies, path)) {
            return true;
        }
        path.pop();
    }
    false
}

/// A JSON pointer as a place in a TOML document.
fn place_of(pointer: &str) -> String {
    let parts = pointer.split('/').skip(1).map(|part| part.replace("~1", "/").replace("~0", "~"));
    let places = parts.map(|part| match part.parse::<usize>() {
        Ok(index) => format!("[{index}]"),
        Err(_) => format!(".{part}"),
    });
    places.collect()
}

/// `policy` as it is written in one line of the file.
pub(super) fn to_toml(policy: &Policy) -> String {
    let json = serde_json::from_str(&canonical(policy).to_string());
    json.ok().and_then(toml_of).map(|table| table.to_string()).unwrap_or_default()
}

/// `json` as TOML; nothing for null, which TOML has not, and which means the same as nothing in a policy.
fn toml_of(json: Json) -> Option<Toml> {
    Some(match json {
        Json::Null => return None,
        Json::Bool(is_on) => Toml::Boolean(is_on),
        Json::Number(number) => {
            number.as_i64().map_or_else(|| Toml::Float(number.as_f64().unwrap_or_default()), Toml::Integer)
        }
        Json::String(text) => Toml::String(text),
        Json::Array(items) => Toml::Array(items.into_iter().filter_map(toml_of).collect()),
        Json::Object(fields) => {
            Toml::Table(fields.into_iter().filter_map(|(name, field)| Some((name, toml_of(field)?))).collect())
        }
    })
}
