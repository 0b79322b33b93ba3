//! The document as it is written, before anything is made of it.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use toml::Value as Toml;

use super::problem::{Problem, child};

/// Largest text of a policy: what a request may have. Sixteen metrics and thirty-two rules with sensible names and queries
/// have a tenth of it.
pub const MAX_DOCUMENT_BYTES: usize = 64 * 1024;

/// A policy as it was written, in JSON or TOML, with what is wrong with it as a text: names given twice and numbers that
/// are not finite.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Document {
    pub(super) value: Value,
    pub(super) problems: Vec<Problem>,
}

/// Why a text is no document.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// It is too long.
    #[error("has more than {MAX_DOCUMENT_BYTES} bytes")]
    TooLarge,
    /// It is not JSON.
    #[error("is not JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// It is not TOML.
    #[error("is not TOML: {}", .0.to_string().trim_end())]
    Toml(#[from] Box<toml::de::Error>),
}

impl Document {
    /// The document in a text in JSON.
    ///
    /// # Errors
    /// If it is too long or not JSON.
    pub fn from_json(text: &str) -> Result<Self, Unreadable> {
        if text.len() > MAX_DOCUMENT_BYTES {
            return Err(Unreadable::TooLarge);
        }
        Ok(serde_json::from_str(text)?)
    }

    /// The document in a text in TOML.
    ///
    /// # Errors
    /// If it is too long or not TOML.
    pub fn from_toml(text: &str) -> Result<Self, Unreadable> {
        if text.len() > MAX_DOCUMENT_BYTES {
            return Err(Unreadable::TooLarge);
        }
        Ok(Self::from_table(&toml::from_str(text).map_err(Box::new)?))
    }

    /// The document in a table of a configuration file. Dates and times become the texts that JSON has in their place.
    pub fn from_table(table: &toml::Table) -> Self {
        let mut problems = Vec::new();
        let value = object_of(table, "", &mut problems);
        Self { value, problems }
    }

    /// The document in JSON, for a reader elsewhere.
    ///
    /// # Errors
    /// What is wrong with its text, which JSON could not tell.
    pub fn into_json(self) -> Result<Value, Vec<Problem>> {
        if self.problems.is_empty() { Ok(self.value) } else { Err(self.problems) }
    }
}

impl From<Value> for Document {
    fn from(value: Value) -> Self {
        Self { value, problems: Vec::new() }
    }
}

fn object_of(table: &toml::Table, at: &str, problems: &mut Vec<Problem>) -> Value {
    let fields = table.iter().map(|(name, value)| (name.clone(), json_of(value, &child(at, name), problems)));
    Value::Object(fields.collect())
}

fn json_of(value: &Toml, at: &str, problems: &mut Vec<Problem>) -> Value {
    match value {
        Toml::String(text) => text.clone().into(),
        Toml::Integer(number) => (*number).into(),
        Toml::Float(number) => finite(*number, at, problems),
        Toml::Boolean(is_on) => (*is_on).into(),
        Toml::Datetime(time) => time.to_string().into(),
        Toml::Array(items) => {
            items.iter().enumerate().map(|(index, item)| json_of(item, &format!("{at}/{index}"), problems)).collect()
        }
        Toml::Table(table) => object_of(table, at, problems),
    }
}

/// `number` as JSON has it. What JSON has not is a problem and becomes null.
fn finite(number: f64, at: &str, problems: &mut Vec<Problem>) -> Value {
    if !number.is_finite() {
        problems.push(Problem { pointer: at.to_owned(), detail: "must be a finite number".to_owned() });
    }
    number.into()
}

impl<'de> serde::Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (mut at, mut problems) = (String::new(), Vec::new());
        let value = Node { at: &mut at, problems: &mut problems }.deserialize(deserializer)?;
        Ok(Self { value, problems })
    }
}

/// Reads one value. The library's own reading keeps the last of several fields of one name without a word.
struct Node<'a> {
    /// The place, which is the same again when the value is read.
    at: &'a mut String,
    problems: &'a mut Vec<Problem>,
}

impl Node<'_> {
    /// The value at `place`, a pointer that begins with that of this node.
    fn below(&mut self, place: String) -> Node<'_> {
        *self.at = place;
        Node { at: self.at, problems: self.problems }
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(finite(value, self.at, self.problems))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<Value, A::Error> {
        let here = self.at.clone();
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self.below(format!("{here}/{}", list.len())))? {
            list.push(item);
        }
        *self.at = here;
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut fields: A) -> Result<Value, A::Error> {
        let here = self.at.clone();
        let mut object = Map::new();
        while let Some(name) = fields.next_key::<String>()? {
            let place = child(&here, &name);
            let value = fields.next_value_seed(self.below(place.clone()))?;
            if object.contains_key(&name) {
                self.problems.push(Problem { pointer: place, detail: "is given twice".to_owned() });
            } else {
                object.insert(name, value);
            }
        }
        *self.at = here;
        Ok(Value::Object(object))
    }
}
