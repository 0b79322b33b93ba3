//! In which line of the configuration file each part of a policy is.
//!
//! Rejected: lines in the values that policies are read from, because HTTP and the command line read policies too, and JSON
//! has none.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::DeValue;

use crate::policy::child_pointer;

/// Lines, from 1, by JSON pointer into the table of the policy.
#[derive(Clone, Default)]
pub(super) struct Lines(BTreeMap<String, usize>);

impl Lines {
    /// Those of what is in `table`, which is a part of `text`.
    pub fn of(table: &DeValue<'_>, text: &str) -> Self {
        let mut lines = Self::default();
        lines.note_all(table, "", text);
        lines
    }

    fn note_all(&mut self, value: &DeValue<'_>, at: &str, text: &str) {
        match value {
            DeValue::Table(fields) => {
                for (name, field) in fields {
                    let place = child_pointer(at, name.get_ref());
                    self.note_all(field.get_ref(), &place, text);
                    self.0.insert(place, line_of(name, text));
                }
            }
            DeValue::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    let place = child_pointer(at, &index.to_string());
                    self.note_all(item.get_ref(), &place, text);
                    self.0.insert(place, line_of(item, text));
                }
            }
            DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_) => {}
        }
    }

    /// The line of what is at `pointer`, or else of what it would be in; none outside of everything.
    pub fn nearest(&self, pointer: &str) -> Option<usize> {
        let mut place = pointer;
        loop {
            if let Some(line) = self.0.get(place) {
                return Some(*line);
            }
            (place, _) = place.rsplit_once('/')?;
        }
    }
}

/// The line of `text` in which `part` of it begins, from 1.
pub(super) fn line_of<T>(part: &Spanned<T>, text: &str) -> usize {
    1 + text[..part.span().start].matches('\n').count()
}
