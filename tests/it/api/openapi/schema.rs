//! Whether a value fits a schema of the document.

use std::ops::RangeInclusive;

use serde_json::{Map, Value, json};

/// `value`, or what it refers to.
pub fn following<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(address) => document.pointer(address.trim_start_matches('#')).unwrap_or_else(|| panic!("no {address}")),
        None => value,
    }
}

/// Where `value` does not fit `schema`. Knows the part of JSON Schema that the document uses, and fails on anything
/// else rather than letting it pass unchecked. An object must not have fields that its schema does not list, unless the
/// schema only adds something to another one.
pub fn misfits(document: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    let Value::Object(schema) = schema else { panic!("{at} has no schema: {schema}") };
    let mut found = Vec::new();
    for (keyword, rule) in schema {
        let number = |test: fn(f64, f64) -> bool| {
            value.as_f64().is_none_or(|value| test(value, rule.as_f64().expect("a number")))
        };
        let fits = match keyword.as_str() {
            "description" | "example" | "examples" | "title" | "default" | "discriminator" | "then" | "else" => true,
            "if" => {
                let holds = misfits(document, rule, value, at).is_empty();
                if let Some(branch) = schema.get(if holds { "then" } else { "else" }) {
                    found.extend(misfits(document, branch, value, at));
                }
                true
            }
            "not" => !misfits(document, rule, value, at).is_empty(),
            "const" => rule == value,
            "$ref" => {
                found.extend(misfits(document, following(document, &Value::Object(schema.clone())), value, at));
                true
            }
            "oneOf" | "anyOf" => {
                let options = rule.as_array().expect("options").iter();
                let fitting = options.filter(|option| misfits(document, option, value, at).is_empty()).count();
                fitting == 1 || keyword == "anyOf" && fitting > 1
            }
            "type" => match rule {
                Value::Array(types) => types.iter().any(|name| is_of_type(value, name)),
                name => is_of_type(value, name),
            },
            "enum" => rule.as_array().expect("values").contains(value),
            "format" => has_format(value, rule.as_str().expect("a format")),
            "pattern" => value.as_str().is_none_or(|text| matches_pattern(text, rule.as_str().expect("a pattern"))),
            "minimum" => number(|value, least| value >= least),
            "maximum" => number(|value, most| value <= most),
            "minLength" | "maxLength" => {
                let limit = rule.as_u64().expect("a length");
                let fits = |length| if keyword == "minLength" { length >= limit } else { length <= limit };
                value.as_str().is_none_or(|text| fits(text.chars().count() as u64))
            }
            "minItems" | "maxItems" => {
                let limit = rule.as_u64().expect("a number");
                let fits = |length| if keyword == "minItems" { length >= limit } else { length <= limit };
                value.as_array().is_none_or(|items| fits(items.len() as u64))
            }
            "propertyNames" => {
                for name in value.as_object().into_iter().flat_map(Map::keys) {
                    found.extend(misfits(document, rule, &json!(name), &format!("{at}/{name}")));
                }
                true
            }
            "minProperties" | "maxProperties" => {
                let limit = rule.as_u64().expect("a count");
                let fits = |count| if keyword == "minProperties" { count >= limit } else { count <= limit };
                value.as_object().is_none_or(|object| fits(object.len() as u64))
            }
            "required" => {
                let names = rule.as_array().expect("names").iter().filter_map(Value::as_str);
                value.as_object().is_none_or(|object| names.into_iter().all(|name| object.contains_key(name)))
            }
            "properties" => {
                found.extend(misfit_fields(document, schema, value, at));
                true
            }
            "additionalProperties" => {
                if rule.is_object() {
                    for (name, field) in value.as_object().into_iter().flatten() {
                        found.extend(misfits(document, rule, field, &format!("{at}/{name}")));
                    }
                }
                true
            }
            "items" => {
                for item in value.as_array().into_iter().flatten() {
                    found.extend(misfits(document, rule, item, &format!("{at}/items")));
                }
                true
            }
            _ => panic!("{at}: {keyword} is not known here"),
        };
        if !fits {
            found.push(format!("{at}: {value} does not fit {keyword} {rule}"));
        }
    }
    found
}

fn misfit_fields(document: &Value, schema: &Map<String, Value>, value: &Value, at: &str) -> Vec<String> {
    let fields = value.as_object().into_iter().flatten();
    fields
        .flat_map(|(name, field)| match schema["properties"].get(name) {
            Some(expected) => misfits(document, expected, field, &format!("{at}/{name}")),
            None if schema.get("type").is_none() => vec![],
            None => vec![format!("{at}: {name} is not a field")],
        })
        .collect()
}

fn is_of_type(value: &Value, name: &Value) -> bool {
    match name.as_str().expect("a type") {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("{other} is not a type"),
    }
}

fn has_format(value: &Value, format: &str) -> bool {
    let text = value.as_str();
    match format {
        "uuid" => text.is_none_or(|text| uuid::Uuid::parse_str(text).is_ok_and(|id| id.to_string() == text)),
        // The API's own form is stricter than RFC 3339: UTC, with milliseconds.
        "date-time" => {
            text.is_none_or(|text| text.parse::<jiff::Timestamp>().is_ok_and(|time| format!("{time:.3}") == text))
        }
        "int32" => value.as_i64().is_none_or(|value| i32::try_from(value).is_ok()),
        "int64" | "double" => true,
        other => panic!("{other} is not a format"),
    }
}

/// The characters that a `pattern` such as `^[^\u0000-\u001f\u007f]*$` excludes.
pub fn excluded(pattern: &str) -> Vec<RangeInclusive<char>> {
    let class = pattern.strip_prefix("^[^").and_then(|rest| rest.strip_suffix("]*$")).expect("such a pattern");
    let mut begin = None;
    let ranges = class.split(r"\u").skip(1).filter_map(|part| {
        let digits = part.trim_end_matches('-');
        let c = u32::from_str_radix(digits, 16).ok().and_then(char::from_u32).expect("a character");
        if digits != part {
            begin = Some(c);
            return None;
        }
        Some(begin.take().unwrap_or(c)..=c)
    });
    ranges.collect()
}

fn matches_pattern(text: &str, pattern: &str) -> bool {
    match pattern {
        "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$" => text.parse::<scalegate::domain::Alias>().is_ok(),
        "^[1-9a-f][0-9a-f]{0,14}$" => {
            text.len() <= 15 && !text.starts_with('0') && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        }
        pattern if pattern.starts_with(r"^[^\u") => {
            let excluded = excluded(pattern);
            !text.chars().any(|c| excluded.iter().any(|range| range.contains(&c)))
        }
        // What this one is about is in `idempotency_keys_are_as_documented`.
        pattern if pattern.contains("{0,253}") => !text.is_empty() && text.bytes().all(|b| matches!(b, b' '..=b'~')),
        "^[0-9A-Za-z]{10}$" => text.parse::<scalegate::domain::KeyId>().is_ok(),
        other => panic!("{other} is not known here"),
    }
}
