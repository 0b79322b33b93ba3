//! One number in a JSON document.
//!
//! Only a JSON number counts. Rejected: to read numbers in strings, because `""` and `"12 jobs"` then need rules that
//! the owner of the document does not know of.

use serde_json::Value;

use super::finite;
use crate::domain::policy::NoValue;

/// The number at `pointer` in the JSON document `body`. `is_whole` says whether the end of the body is certain: a bare
/// number that was cut off looks like another number.
///
/// # Errors
/// If there is none: what is there instead.
pub fn number_at(body: &[u8], pointer: &str, is_whole: bool) -> Result<f64, NoValue> {
    if body.trim_ascii().is_empty() {
        return Err(NoValue::invalid("the answer is empty"));
    }
    let document: Value = serde_json::from_slice(body).map_err(|error| not_json(body, &error))?;
    if document.is_number() && !is_whole {
        return Err(NoValue::invalid("the answer is a bare number whose end is not certain: it has no Content-Length"));
    }
    let found = document.pointer(pointer);
    match found.map(|value| (value, value.as_f64())) {
        Some((_, Some(number))) => finite(number),
        Some((other, None)) => Err(NoValue::invalid(format!("there is {} {}", kind_of(other), place(pointer)))),
        None => Err(NoValue::invalid(format!("there is nothing {}", place(pointer)))),
    }
}

fn not_json(body: &[u8], error: &serde_json::Error) -> NoValue {
    NoValue::invalid(match body.trim_ascii_start().first() {
        Some(b'<') => "the answer is HTML or XML instead of JSON".to_owned(),
        _ => format!("the answer is not JSON, from line {} column {} on", error.line(), error.column()),
    })
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(text) if text.is_empty() => "an empty string",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn place(pointer: &str) -> String {
    if pointer.is_empty() { "where the whole answer should be a number".to_owned() } else { format!("at {pointer}") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::policy::Missing;

    #[test]
    fn one_json_number_is_taken_and_nothing_else() {
        let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
        for (body, pointer, expected) in [
            (r#"{"queue":{"ready":812}}"#, "/queue/ready", Ok(812.0)),
            (r#"{"queue":{"ready":-0.5e1}}"#, "/queue/ready", Ok(-5.0)),
            (r#"[{"a/b":{"~":7}}]"#, "/0/a~1b/~0", Ok(7.0)),
            (" 12 ", "", Ok(12.0)),
            (r#"{"":3}"#, "/", Ok(3.0)),
            (r#"{"a":0}"#, "/a", Ok(0.0)),
            (r#"{"a":18446744073709551615}"#, "/a", Ok(18_446_744_073_709_551_615.0)),
            (r#"{"a":null}"#, "/a", Err("there is null at /a")),
            (r#"{"a":"12"}"#, "/a", Err("there is a string at /a")),
            (r#"{"a":""}"#, "/a", Err("there is an empty string at /a")),
            (r#"{"a":"NaN"}"#, "/a", Err("there is a string at /a")),
            (r#"{"a":true}"#, "/a", Err("there is true or false at /a")),
            (r#"{"a":[1]}"#, "/a", Err("there is a list at /a")),
            (r#"{"a":{"b":1}}"#, "/a", Err("there is an object at /a")),
            (r#"{"a":1}"#, "", Err("there is an object where the whole answer should be a number")),
            (r#"{"a":1}"#, "/b", Err("there is nothing at /b")),
            (r#"{"a":1}"#, "a", Err("there is nothing at a")),
            (r#"{"a":[1]}"#, "/a/-1", Err("there is nothing at /a/-1")),
            (r#"{"a":NaN}"#, "/a", Err("the answer is not JSON, from line 1 column 6 on")),
            (r#"{"a":1e999}"#, "/a", Err("the answer is not JSON, from line 1 column 10 on")),
            (r#"{"a":1} {"a":2}"#, "/a", Err("the answer is not JSON, from line 1 column 9 on")),
            (r#"{"a":1"#, "/a", Err("the answer is not JSON, from line 1 column 6 on")),
            ("<html>1</html>", "/a", Err("the answer is HTML or XML instead of JSON")),
            ("", "/a", Err("the answer is empty")),
            (" \r\n", "", Err("the answer is empty")),
            (&deep, "", Err("the answer is not JSON, from line 1 column 128 on")),
        ] {
            let expected = expected.map_err(|detail: &str| NoValue { reason: Missing::Invalid, detail: detail.into() });
            assert_eq!(number_at(body.as_bytes(), pointer, true), expected, "{body} {pointer}");
        }
    }

    #[test]
    fn a_bare_number_that_may_be_cut_off_does_not_count() {
        assert_eq!(number_at(b"812", "", true), Ok(812.0));
        assert!(number_at(b"81", "", false).is_err());
        assert_eq!(number_at(br#"{"a":81}"#, "/a", false), Ok(81.0));
    }

    proptest! {
        #[test]
        fn any_body_gives_a_finite_number_or_a_reason(body: Vec<u8>, pointer: String) {
            prop_assert!(number_at(&body, &pointer, true).is_ok_and(f64::is_finite) || number_at(&body, &pointer, true).is_err());
        }

        #[test]
        fn every_number_is_read_as_it_is(number in proptest::num::f64::NORMAL) {
            let body = format!("{{\"a\":{number:e}}}");
            let read = number_at(body.as_bytes(), "/a", true).expect("a number");
            prop_assert!((read - number).abs() <= number.abs() * 1e-15);
        }
    }
}
