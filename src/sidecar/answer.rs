//! What the sidecar's answers mean, whichever way they came.

use serde::Deserialize;
use serde_json::Value;

use super::RawReading;
use crate::domain::{Alias, Capacity, ChangeAnswer, GroupedAnswer, ReadFailure, SidecarAnswer, Status, Timestamp};

/// How much of an answer is kept to be shown.
const MAX_SHOWN_CHARS: usize = 2000;

/// The reading in an answer with this `status` and `body`.
///
/// # Errors
/// If there is none that can be believed.
pub fn interpret_reading(status: u16, body: &[u8]) -> Result<RawReading, ReadFailure> {
    parse_reading(status, body).map_err(|detail| ReadFailure {
        not_found: status == 404,
        detail,
        answer: Some(shown(status, body)),
    })
}

/// What an answer says about a change. 2xx is a yes and 4xx a no, except those that only ask to try again: they do not
/// rule out that something was done.
pub fn interpret_change(status: u16, body: &[u8]) -> ChangeAnswer {
    match status {
        200..=299 => ChangeAnswer::Acknowledged,
        // Request Timeout, Too Early, Too Many Requests.
        408 | 425 | 429 => unknown(status, body),
        400..=499 => ChangeAnswer::Rejected(shown(status, body)),
        _ => unknown(status, body),
    }
}

/// What an answer says about a request that changes `resources`. 2xx is a yes for those that it lists. The platform carries the
/// parts out side by side, so that any other answer says nothing: some may have been done. 404 and 405 are what a sidecar says
/// that has nothing at this path.
pub fn interpret_grouped_change(status: u16, body: &[u8], resources: &[&Alias]) -> GroupedAnswer {
    let listed = match status {
        200..=299 => serde_json::from_slice::<ChangedBody>(body).map(|body| body.resources).unwrap_or_default(),
        _ => Vec::new(),
    };
    let of = |resource: &&Alias| match listed.iter().any(|part| part.resource_alias == resource.as_str()) {
        true => ChangeAnswer::Acknowledged,
        false => unknown(status, body),
    };
    GroupedAnswer { answers: resources.iter().map(of).collect(), has_path: !matches!(status, 404 | 405) }
}

#[derive(Deserialize)]
struct ChangedBody {
    resources: Vec<ChangedPart>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ChangedPart {
    resource_alias: String,
}

fn unknown(status: u16, body: &[u8]) -> ChangeAnswer {
    let detail = format!("the sidecar answered with status {status}");
    ChangeAnswer::Unknown { detail, answer: Some(shown(status, body)) }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CapacityBody {
    status: String,
    current_capacity: i64,
    /// Of whatever type: a timestamp that makes no sense is as good as none.
    #[serde(default)]
    last_observed_timestamp: Value,
}

fn parse_reading(status: u16, body: &[u8]) -> Result<RawReading, String> {
    if status != 200 {
        return Err(format!("the sidecar answered with status {}", status));
    }
    let body: CapacityBody =
        serde_json::from_slice(body).map_err(|error| format!("the sidecar's answer makes no sense: {error}"))?;
    let capacity = Capacity::new(body.current_capacity)
        .map_err(|_| format!("the sidecar claims a capacity of {}", body.current_capacity))?;
    let stamp = body.last_observed_timestamp.as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok());
    Ok(RawReading {
        status: Status::new(&body.status),
        capacity,
        stamp: stamp.map(|stamp| Timestamp::from_millis(stamp.as_millisecond())),
    })
}

fn shown(status: u16, body: &[u8]) -> SidecarAnswer {
    let text = String::from_utf8_lossy(body);
    SidecarAnswer { status, body: text.chars().take(MAX_SHOWN_CHARS).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_are_parsed_leniently_but_never_guessed() {
        let parse = |text: &str| parse_reading(200, text.as_bytes());
        let good = r#"{"instanceId":"i","resourceId":"r","resourceAlias":"w","status":"active","currentCapacity":5,
            "lastObservedTimestamp":"2025-11-05T12:34:56.789Z","new":[1]}"#;
        let reading = parse(good).expect("the guide's own example");
        assert_eq!(reading.status, Status::new("ACTIVE"));
        assert_eq!(reading.capacity.units(), 5);
        assert_eq!(reading.stamp.map(|stamp| stamp.to_string()), Some("2025-11-05T12:34:56.789Z".into()));
        for without_stamp in [
            r#"{"status":"ACTIVE","currentCapacity":0}"#,
            r#"{"status":"ACTIVE","currentCapacity":0,"lastObservedTimestamp":null}"#,
            r#"{"status":"ACTIVE","currentCapacity":0,"lastObservedTimestamp":"soon"}"#,
            r#"{"status":"ACTIVE","currentCapacity":0,"lastObservedTimestamp":1762346096}"#,
        ] {
            assert_eq!(parse(without_stamp).map(|reading| reading.stamp), Ok(None), "{without_stamp}");
        }
        for bad in [
            "",
            "null",
            "[]",
            "<html>",
            r#"{"currentCapacity":5}"#,
            r#"{"status":"ACTIVE"}"#,
            r#"{"status":null,"currentCapacity":5}"#,
            r#"{"status":"ACTIVE","currentCapacity":"5"}"#,
            r#"{"status":"ACTIVE","currentCapacity":5.5}"#,
            r#"{"status":"ACTIVE","currentCapacity":-1}"#,
            r#"{"status":"ACTIVE","currentCapacity":99999999999}"#,
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert!(parse_reading(204, good.as_bytes()).is_err());
    }

    #[test]
    fn of_a_grouped_change_only_what_is_listed_is_acknowledged() {
        let [api, web]: [Alias; 2] = ["api", "web"].map(|name| name.parse().expect("an alias"));
        let answers = |status, body: &str| interpret_grouped_change(status, body.as_bytes(), &[&api, &web]);
        let lists =
            r#"{"instanceId":"i","resources":[{"resourceAlias":"web","resourceId":"r"},{"resourceAlias":"db"}]}"#;
        for status in 100..=599 {
            let GroupedAnswer { answers, has_path } = answers(status, lists);
            assert_eq!(has_path, ![404, 405].contains(&status), "{status}");
            let [of_api, of_web] = &answers[..] else { panic!("one for each, not {answers:?}") };
            let is_unknown = |answer: &ChangeAnswer| matches!(answer, ChangeAnswer::Unknown { .. });
            assert!(is_unknown(of_api), "{status}");
            assert_eq!(is_unknown(of_web), !(200..=299).contains(&status), "{status}");
        }
        for nonsense in ["", "{}", "[]", r#"{"resources":{}}"#, r#"{"resources":[{"resourceAlias":1}]}"#] {
            let is_unknown = |answer: &ChangeAnswer| matches!(answer, ChangeAnswer::Unknown { .. });
            assert!(answers(200, nonsense).answers.iter().all(is_unknown), "{nonsense}");
        }
    }

    #[test]
    fn statuses_tell_yes_no_or_perhaps() {
        for status in 100..=599 {
            let answer = interpret_change(status, b"words");
            let expected = match status {
                200..=299 => ChangeAnswer::Acknowledged,
                408 | 425 | 429 | 100..=199 | 300..=399 | 500..=599 => ChangeAnswer::Unknown {
                    detail: format!("the sidecar answered with status {status}"),
                    answer: Some(SidecarAnswer { status, body: "words".into() }),
                },
                _ => ChangeAnswer::Rejected(SidecarAnswer { status, body: "words".into() }),
            };
            assert_eq!(answer, expected, "{status}");
        }
    }
}
