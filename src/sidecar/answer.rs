//! What the sidecar's answers mean, whichever way they came.

use serde::Deserialize;
use serde_json::Value;

use super::RawReading;
use crate::domain::{Capacity, ChangeAnswer, ReadFailure, SidecarAnswer, Status, Timestamp};

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
