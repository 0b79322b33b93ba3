//! Single values of a document: each function tells what it wanted as a fragment that follows the name of the field.

use std::time::Duration;

use serde::Serialize;
use serde_json::{Number, Value};
use strum::VariantArray;
use url::Url;

use crate::domain::policy::Name;
use crate::domain::{Alias, Capacity, MAX_CAPACITY, seconds};
use crate::suggest;

/// Longest URL, in bytes: what servers and proxies agree to accept.
const MAX_URL_BYTES: usize = 2048;
/// Up to here all whole numbers can be told apart in the form that JSON has for them.
const MAX_WHOLE: f64 = 9_007_199_254_740_992.0;

/// What `value` is, for a message that wanted another kind.
pub(super) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

fn not_a(wanted: &str, value: &Value) -> String {
    match value {
        Value::String(text) if wanted.contains("number") && text.trim().parse::<f64>().is_ok() => {
            format!("must be {wanted}, written without quotes")
        }
        _ => format!("must be {wanted}, not {}", kind_of(value)),
    }
}

fn real(value: &Value) -> Result<f64, String> {
    value.as_f64().filter(|number| number.is_finite()).ok_or_else(|| not_a("a number", value))
}

/// A finite number.
pub(super) fn number(value: &Value) -> Result<f64, String> {
    real(value)
}

/// A finite number above 0.
pub(super) fn above_zero(value: &Value) -> Result<f64, String> {
    let number = real(value)?;
    if number > 0.0 { Ok(number) } else { Err("must be above 0".to_owned()) }
}

/// A number from `least` to `most`.
pub(super) fn between(least: f64, most: f64) -> impl Fn(&Value) -> Result<f64, String> {
    move |value| {
        let number = real(value)?;
        if (least..=most).contains(&number) { Ok(number) } else { Err(format!("must be between {least} and {most}")) }
    }
}

/// A whole number from `least` to `most` in any form that JSON has for it: `5`, `5.0` and `5e0` are the same, and not
/// every language can choose.
pub(super) fn whole(least: i64, most: i64) -> impl Fn(&Value) -> Result<i64, String> {
    move |value| {
        let Value::Number(number) = value else { return Err(not_a("a whole number", value)) };
        let whole = whole_of(number).ok_or("must be a whole number")?;
        if (least..=most).contains(&whole) { Ok(whole) } else { Err(format!("must be between {least} and {most}")) }
    }
}

/// The whole number that `number` is. One that is too large for the range of any field becomes the largest there is.
fn whole_of(number: &Number) -> Option<i64> {
    if number.is_u64() || number.is_i64() {
        return Some(number.as_i64().unwrap_or(i64::MAX));
    }
    let real = number.as_f64().filter(|real| real.fract() == 0.0)?;
    Some(real.clamp(-MAX_WHOLE, MAX_WHOLE) as i64)
}

/// Units that are not a capacity, from 0.
pub(super) fn units(value: &Value) -> Result<u32, String> {
    let units = whole(0, MAX_CAPACITY.into())(value)?;
    u32::try_from(units).map_err(|error| error.to_string())
}

/// Units to add or, if negative, to remove.
pub(super) fn change(value: &Value) -> Result<i32, String> {
    let change = whole(-i64::from(MAX_CAPACITY), MAX_CAPACITY.into())(value)?;
    i32::try_from(change).map_err(|error| error.to_string())
}

/// A capacity.
pub(super) fn capacity(value: &Value) -> Result<Capacity, String> {
    let units = whole(0, MAX_CAPACITY.into())(value)?;
    Capacity::new(units).map_err(|_| format!("must be between 0 and {MAX_CAPACITY}"))
}

/// Seconds as a duration of whole milliseconds from `least` to `most`, which are whole milliseconds themselves.
pub(super) fn duration(least: Duration, most: Duration) -> impl Fn(&Value) -> Result<Duration, String> {
    move |value| {
        let given = value.as_f64().ok_or_else(|| not_a("a number of seconds", value))?;
        // What lies outside the range must not be rounded into it.
        if (least..=most).contains(&seconds::unrounded(given)) {
            Ok(seconds::rounded(given))
        } else {
            Err(format!("must be between {} and {} seconds", least.as_secs_f64(), most.as_secs_f64()))
        }
    }
}

/// Seconds as a duration, of which the range is checked elsewhere, by `read`.
pub(super) fn seconds_by(read: fn(f64) -> Duration) -> impl Fn(&Value) -> Result<Duration, String> {
    move |value| value.as_f64().map(read).ok_or_else(|| not_a("a number of seconds", value))
}

/// `true` or `false`.
pub(super) fn boolean(value: &Value) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| match value {
        Value::String(text) if matches!(text.as_str(), "true" | "false") => {
            "must be true or false, written without quotes".to_owned()
        }
        _ => not_a("true or false", value),
    })
}

/// A text of 1 to `most` bytes without control characters.
pub(super) fn text(most: usize) -> impl Fn(&Value) -> Result<String, String> {
    move |value| {
        let text = string(value)?;
        if text.is_empty() {
            Err("must not be empty".to_owned())
        } else if text.len() > most {
            Err(format!("has more than {most} bytes"))
        } else if text.chars().any(char::is_control) {
            Err("contains a control character".to_owned())
        } else {
            Ok(text.to_owned())
        }
    }
}

/// A text of any kind.
pub(super) fn string(value: &Value) -> Result<&str, String> {
    value.as_str().ok_or_else(|| not_a("a string", value))
}

/// The name of a metric or a rule.
pub(super) fn name(value: &Value) -> Result<Name, String> {
    string(value)?.parse().map_err(|invalid: crate::domain::policy::InvalidName| invalid.to_string())
}

/// The name of a resource.
pub(super) fn alias(value: &Value) -> Result<Alias, String> {
    string(value)?.parse().map_err(|invalid: crate::domain::InvalidAlias| invalid.to_string())
}

/// The name that `choice` has in documents.
pub(super) fn name_of<T: Serialize>(choice: &T) -> String {
    match serde_json::to_value(choice) {
        Ok(Value::String(name)) => name,
        other => format!("{other:?}"),
    }
}

/// One of the choices that there are.
pub(super) fn choice<T: Serialize + VariantArray + Copy>(value: &Value) -> Result<T, String> {
    let given = string(value)?;
    let names: Vec<String> = T::VARIANTS.iter().map(name_of).collect();
    let found = T::VARIANTS.iter().zip(&names).find(|(_, name)| *name == given);
    found.map(|(choice, _)| *choice).ok_or_else(|| {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        none_of(given, &names)
    })
}

/// That `given` is none of `names`.
pub(super) fn none_of(given: &str, names: &[&str]) -> String {
    match suggest::nearest(given, names) {
        Some(meant) => format!("must be {}; did you mean {meant}?", either(names)),
        None => format!("must be {}", either(names)),
    }
}

/// `a, b or c`.
fn either(names: &[&str]) -> String {
    match names {
        [all @ .., last] if !all.is_empty() => format!("{} or {last}", all.join(", ")),
        _ => names.concat(),
    }
}

/// An address that can be asked over HTTP. What a URL parser would repair is refused.
pub(super) fn url(value: &Value) -> Result<String, String> {
    let text = text(MAX_URL_BYTES)(value)?;
    if text.contains(|letter: char| letter.is_whitespace() || letter == '\\') {
        return Err("contains white space or a backslash".to_owned());
    }
    let is_http = ["http://", "https://"].iter().any(|scheme| text.starts_with(scheme));
    if !is_http || text.contains(":///") {
        return Err("must begin with http:// or https:// and a host".to_owned());
    }
    let url = Url::parse(&text).map_err(|error| format!("is not a URL: {error}"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not contain a user name or password; use headers with a secret".to_owned());
    }
    if url.fragment().is_some() {
        return Err("must not contain a fragment (the part after '#')".to_owned());
    }
    if url.port() == Some(0) {
        return Err("has a port that is not a number between 1 and 65535".to_owned());
    }
    Ok(text)
}

/// An address to which paths are appended.
pub(super) fn base_url(value: &Value) -> Result<String, String> {
    let text = url(value)?;
    if text.contains('?') {
        return Err("must not contain a query (the part after '?'): paths are appended to it".to_owned());
    }
    Ok(text)
}

/// A JSON pointer (RFC 6901); the empty one is the whole document.
pub(super) fn json_pointer(value: &Value) -> Result<String, String> {
    const MOST_BYTES: usize = 1024;
    let text = string(value)?;
    let escapes_are_whole = text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    if text.len() > MOST_BYTES {
        Err(format!("has more than {MOST_BYTES} bytes"))
    } else if (text.is_empty() || text.starts_with('/')) && escapes_are_whole {
        Ok(text.to_owned())
    } else {
        Err("must be a JSON pointer such as /queue/ready".to_owned())
    }
}
