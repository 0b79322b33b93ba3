//! What a caller knows of a policy that it wants to change: `If-Match` and `If-None-Match`.

use actix_web::http::header::{HeaderMap, IF_MATCH, IF_NONE_MATCH};

use crate::api::problem::ApiError;
use crate::engine::Precondition;

/// What must be in force for the request with these `headers` to be carried out.
///
/// # Errors
/// If they make no sense.
pub fn precondition(headers: &HeaderMap) -> Result<Precondition, ApiError> {
    let text = |name| -> Option<String> {
        let values: Vec<&str> = headers.get_all(name).map(|value| value.to_str().unwrap_or("?")).collect();
        (!values.is_empty()).then(|| values.join(","))
    };
    match (text(IF_MATCH), text(IF_NONE_MATCH)) {
        (None, None) => Ok(Precondition::None),
        (Some(_), Some(_)) => Err(ApiError::invalid_field("/header/If-Match", "cannot come with If-None-Match")),
        (None, Some(none)) if none.trim() == "*" => Ok(Precondition::Absent),
        (None, Some(_)) => Err(ApiError::invalid_field("/header/If-None-Match", "must be *")),
        (Some(tags), None) if tags.trim() == "*" => Ok(Precondition::Present),
        (Some(tags), None) => revisions(&tags).ok_or_else(|| {
            ApiError::invalid_field("/header/If-Match", "must be * or ETags that this gateway gave, like \"7\"")
        }),
    }
}

/// The revisions that `tags` name. A weak tag names none: a policy is replaced only as it is known.
fn revisions(tags: &str) -> Option<Precondition> {
    let numbers: Option<Vec<u64>> = tags.split(',').map(|tag| number(tag.trim())).collect();
    numbers.map(Precondition::Revisions)
}

fn number(tag: &str) -> Option<u64> {
    tag.strip_prefix('"')?.strip_suffix('"')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    #[test]
    fn headers_name_revisions_or_are_refused() {
        let read = |given: &[(&str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in given {
                headers.append(name.parse().expect("a name"), HeaderValue::from_static(value));
            }
            precondition(&headers).ok()
        };
        for (headers, expected) in [
            (&[][..], Some(Precondition::None)),
            (&[("if-none-match", "*")], Some(Precondition::Absent)),
            (&[("if-match", "*")], Some(Precondition::Present)),
            (&[("if-match", "\"7\"")], Some(Precondition::Revisions(vec![7]))),
            (&[("if-match", "\"7\", \"9\"")], Some(Precondition::Revisions(vec![7, 9]))),
            (&[("if-match", "\"7\""), ("if-match", "\"9\"")], Some(Precondition::Revisions(vec![7, 9]))),
            (&[("if-match", "7")], None),
            (&[("if-match", "W/\"7\"")], None),
            (&[("if-match", "")], None),
            (&[("if-none-match", "\"7\"")], None),
            (&[("if-match", "*"), ("if-none-match", "*")], None),
        ] {
            assert_eq!(read(headers), expected, "{headers:?}");
        }
    }
}
