//! The texts of a request that people write, the labels above all: how they are read, described and checked.

use std::collections::BTreeMap;

use serde::{Deserialize as _, Deserializer};
use utoipa::openapi::schema::{Object, ObjectBuilder, SchemaType, Type};

use crate::api::input::escaped;
use crate::api::named::Named;
use crate::api::problem::FieldErrors;

/// Most labels: they are for finding jobs again, not for storing data.
const MAX_LABELS: usize = 16;
/// Longest label name, in bytes.
const MAX_LABEL_NAME_BYTES: usize = 63;
/// Longest label value, in bytes.
const MAX_LABEL_VALUE_BYTES: usize = 255;
/// Text without control characters, as a pattern.
const NO_CONTROL_CHARACTERS: &str = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$";

/// Labels, with each name once.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<BTreeMap<String, String>>, D::Error> {
    Ok(Option::<Named<String>>::deserialize(deserializer)?.map(|labels| labels.0))
}

/// What labels have to be.
pub fn schema() -> Object {
    let text = |least, most| {
        let text = ObjectBuilder::new().schema_type(Type::String).pattern(Some(NO_CONTROL_CHARACTERS));
        text.min_length(least).max_length(Some(most))
    };
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Object, Type::Null]))
        .description(Some(
            "At most 16 labels, by which jobs can be told apart. In UTF-8 names have 1 to 63 bytes and values at most 255, \
             which can be fewer characters. Neither has control characters.",
        ))
        .max_properties(Some(MAX_LABELS))
        .property_names(Some(text(Some(1), MAX_LABEL_NAME_BYTES)))
        .additional_properties(Some(text(None, MAX_LABEL_VALUE_BYTES)))
        .build()
}

/// Checks a text that people write.
pub fn check_text(errors: &mut FieldErrors, pointer: &str, text: &str, most_bytes: usize) {
    if text.len() > most_bytes {
        errors.add(pointer, format!("has more than {most_bytes} bytes"));
    } else if text.chars().any(char::is_control) {
        errors.add(pointer, "contains a control character");
    }
}

/// Checks the number, the names and the values of `labels`.
pub fn check(errors: &mut FieldErrors, labels: &BTreeMap<String, String>) {
    if labels.len() > MAX_LABELS {
        errors.add("/labels", format!("has more than {MAX_LABELS} entries"));
        return;
    }
    for (name, value) in labels {
        let pointer = format!("/labels/{}", escaped(name));
        if name.is_empty() {
            errors.add(&pointer, "has an empty name");
        }
        if name.len() > MAX_LABEL_NAME_BYTES || name.chars().any(char::is_control) {
            let detail = format!("has a name of more than {MAX_LABEL_NAME_BYTES} bytes or with control characters");
            errors.add("/labels", detail);
        } else {
            check_text(errors, &pointer, value, MAX_LABEL_VALUE_BYTES);
        }
    }
}
