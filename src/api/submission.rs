//! What a request to scale looks like on the wire, and how it is parsed into what the domain understands.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::de::{Error as _, MapAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, ObjectBuilder, SchemaType, Type};

use super::input::escaped;
use super::problem::{ApiError, FieldError};
use crate::domain::{Alias, Capacity, Goal, JobRequest, MAX_CAPACITY, OnConflict, SettingsOverrides};

/// Longest note, in bytes: they are what has to be kept and sent, and a character can have four of them.
const MAX_REASON_BYTES: usize = 500;
/// Most labels: they are for finding jobs again, not for storing data.
const MAX_LABELS: usize = 16;
/// Longest label name, in bytes.
const MAX_LABEL_NAME_BYTES: usize = 63;
/// Longest label value, in bytes.
const MAX_LABEL_VALUE_BYTES: usize = 255;
/// Text without control characters, as a pattern.
const NO_CONTROL_CHARACTERS: &str = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$";

/// A request to scale a resource. `resource` and one of `targetCapacity` and `delta` are required; every setting left out
/// is the resource's. The operator may bind `stepSize`, `cooldownSeconds` and `settleSeconds` further than their ranges: the
/// `settingLimits` of the resource say so.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = NewJob)]
pub struct Submission {
    /// The resource to scale.
    // Left out it is empty and refused as such, together with whatever else is wrong.
    #[serde(default)]
    #[schema(required = true, value_type = Alias)]
    pub resource: String,
    /// The capacity to reach. Either this or `delta` has to be given.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "whole_number")]
    #[schema(value_type = Option<i32>, minimum = 0, maximum = 1_000_000)]
    pub target_capacity: Option<i64>,
    /// Units to add or, if negative, to remove, relative to the first usable reading. Not 0.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "whole_number")]
    #[schema(value_type = Option<i32>, minimum = -1_000_000, maximum = 1_000_000)]
    pub delta: Option<i64>,
    /// Most units that are changed in one step.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "whole_number")]
    #[schema(value_type = Option<i32>, minimum = 1, maximum = 1_000_000)]
    pub step_size: Option<i64>,
    /// Least time between two changes of the resource, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 86_400)]
    pub cooldown_seconds: Option<f64>,
    /// Longest wait for the resource to become ready, for a change to show, or for a reading, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0.01, maximum = 86_400)]
    pub active_timeout_seconds: Option<f64>,
    /// Longest time between two readings while waiting, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0.01, maximum = 3600)]
    pub poll_interval_seconds: Option<f64>,
    /// How long a change may take to have its effect and to show in readings, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 86_400)]
    pub settle_seconds: Option<f64>,
    /// Longest life of the job, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0.01, maximum = 2_592_000)]
    pub deadline_seconds: Option<f64>,
    /// What to do if the resource has an unfinished job with another target; `reject` if left out. A job with the same
    /// target is joined in any case (200).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_conflict: Option<OnConflict>,
    /// A note for people, at most 500 bytes in UTF-8, which can be fewer characters, and no control characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$", example = "queue depth 812")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "labels")]
    #[schema(schema_with = labels_schema)]
    pub labels: Option<BTreeMap<String, String>>,
}

impl Submission {
    /// The request in the domain's terms.
    ///
    /// # Errors
    /// Everything in it that does not make sense, at once.
    pub fn parse(self) -> Result<JobRequest, ApiError> {
        let mut problems = Problems::default();
        let resource = match self.resource.as_str() {
            "" => problems.add("/resource", "is required".to_owned()),
            resource => problems.keep("/resource", resource.parse::<Alias>()),
        };
        let goal = self.goal(&mut problems);
        let overrides = self.overrides(&mut problems);
        problems.check_text("/reason", self.reason.as_deref().unwrap_or_default(), MAX_REASON_BYTES);
        let labels = self.labels.unwrap_or_default();
        problems.check_labels(&labels);
        let (Some(resource), Some(goal), true) = (resource, goal, problems.0.is_empty()) else {
            return Err(ApiError::invalid(problems.0));
        };
        Ok(JobRequest {
            resource,
            goal,
            overrides,
            on_conflict: self.on_conflict.unwrap_or_default(),
            reason: self.reason,
            labels,
            trace: None,
            attempt: None,
        })
    }

    /// This request with the settings that `overrides` give.
    pub fn with_settings(self, overrides: &SettingsOverrides) -> Self {
        let seconds = |duration: Option<Duration>| duration.map(|duration| duration.as_secs_f64());
        Self {
            step_size: overrides.step_size.map(i64::from),
            cooldown_seconds: seconds(overrides.cooldown),
            active_timeout_seconds: seconds(overrides.active_timeout),
            poll_interval_seconds: seconds(overrides.poll_interval),
            settle_seconds: seconds(overrides.settle),
            deadline_seconds: seconds(overrides.deadline),
            ..self
        }
    }

    fn goal(&self, problems: &mut Problems) -> Option<Goal> {
        match (self.target_capacity, self.delta) {
            (Some(target), None) => match Capacity::new(target) {
                Ok(target) => Some(Goal::Target(target)),
                Err(_) => problems.add("/targetCapacity", format!("must be between 0 and {MAX_CAPACITY}")),
            },
            (None, Some(delta)) => match i32::try_from(delta) {
                Ok(delta) if delta != 0 && delta.unsigned_abs() <= MAX_CAPACITY => Some(Goal::Delta(delta)),
                _ => problems.add("/delta", format!("must be between -{MAX_CAPACITY} and {MAX_CAPACITY}, and not 0")),
            },
            (None, None) => problems.add("/targetCapacity", "is required, unless delta is given".into()),
            (Some(_), Some(_)) => problems.add("/delta", "must not be given together with targetCapacity".into()),
        }
    }

    fn overrides(&self, problems: &mut Problems) -> SettingsOverrides {
        // What lies outside a range must not be rounded into it.
        for invalid in self.overrides_by(unrounded).problems() {
            problems.0.push(FieldError::of_setting(invalid));
        }
        self.overrides_by(rounded)
    }

    fn overrides_by(&self, duration: fn(f64) -> Duration) -> SettingsOverrides {
        SettingsOverrides {
            // Anything that does not fit is out of range in any case.
            step_size: self.step_size.map(|units| u32::try_from(units).unwrap_or(0)),
            cooldown: self.cooldown_seconds.map(duration),
            active_timeout: self.active_timeout_seconds.map(duration),
            poll_interval: self.poll_interval_seconds.map(duration),
            settle: self.settle_seconds.map(duration),
            deadline: self.deadline_seconds.map(duration),
        }
    }
}

/// A duration, rounded to milliseconds. What is negative or too large becomes a duration outside every range.
fn rounded(seconds: f64) -> Duration {
    let millis = (seconds * 1000.0).round();
    if seconds >= 0.0 && millis <= 1e15 { Duration::from_millis(millis as u64) } else { Duration::MAX }
}

/// The same without rounding, as far as it matters: what lies beside a whole millisecond stays on its side of it. All
/// ranges begin and end at whole milliseconds.
fn unrounded(seconds: f64) -> Duration {
    let rounded = rounded(seconds);
    let hair = Duration::from_nanos(1);
    if seconds < rounded.as_millis() as f64 / 1000.0 {
        rounded.saturating_sub(hair)
    } else if seconds > rounded.as_millis() as f64 / 1000.0 {
        rounded.saturating_add(hair)
    } else {
        rounded
    }
}

/// What labels have to be.
fn labels_schema() -> Object {
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

/// A whole number in any form JSON has for it: `5`, `5.0` and `5e0` are the same, and not every language can choose.
fn whole_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    /// Up to here all whole numbers can be told apart in the form they are read in.
    const MOST: f64 = 9_007_199_254_740_992.0;

    struct Whole;

    impl<'de> Visitor<'de> for Whole {
        type Value = Option<i64>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a whole number")
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
            Ok(Some(number))
        }

        fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Self::Value, E> {
            i64::try_from(number).map(Some).map_err(|_| E::invalid_value(Unexpected::Unsigned(number), &self))
        }

        fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Self::Value, E> {
            if number.fract() == 0.0 && number.abs() <= MOST {
                Ok(Some(number as i64))
            } else {
                Err(E::invalid_value(Unexpected::Float(number), &self))
            }
        }
    }

    deserializer.deserialize_any(Whole)
}

/// Labels, refusing a name that comes twice: a map would keep one of its values without a word.
fn labels<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<BTreeMap<String, String>>, D::Error> {
    struct Labels;

    impl<'de> Visitor<'de> for Labels {
        type Value = Option<BTreeMap<String, String>>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object of strings")
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
            let mut labels = BTreeMap::new();
            while let Some((name, value)) = entries.next_entry::<String, String>()? {
                if labels.contains_key(&name) {
                    return Err(A::Error::custom(format_args!("duplicate field `{name}`")));
                }
                labels.insert(name, value);
            }
            Ok(Some(labels))
        }
    }

    deserializer.deserialize_any(Labels)
}

#[derive(Default)]
struct Problems(Vec<FieldError>);

impl Problems {
    fn add<T>(&mut self, pointer: &str, detail: String) -> Option<T> {
        self.0.push(FieldError { pointer: pointer.to_owned(), detail });
        None
    }

    fn keep<T, E: std::fmt::Display>(&mut self, pointer: &str, result: Result<T, E>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => self.add(pointer, error.to_string()),
        }
    }

    fn check_text(&mut self, pointer: &str, text: &str, most_bytes: usize) {
        if text.len() > most_bytes {
            self.add::<()>(pointer, format!("has more than {most_bytes} bytes"));
        } else if text.chars().any(char::is_control) {
            self.add::<()>(pointer, "contains a control character".into());
        }
    }

    fn check_labels(&mut self, labels: &BTreeMap<String, String>) {
        if labels.len() > MAX_LABELS {
            self.add::<()>("/labels", format!("has more than {MAX_LABELS} entries"));
            return;
        }
        for (name, value) in labels {
            let pointer = format!("/labels/{}", escaped(name));
            if name.is_empty() {
                self.add::<()>(&pointer, "has an empty name".into());
            }
            if name.len() > MAX_LABEL_NAME_BYTES || name.chars().any(char::is_control) {
                let detail = format!("has a name of more than {MAX_LABEL_NAME_BYTES} bytes or with control characters");
                self.add::<()>("/labels", detail);
            } else {
                self.check_text(&pointer, value, MAX_LABEL_VALUE_BYTES);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn parse(body: Value) -> Result<JobRequest, Vec<String>> {
        let submission: Submission = serde_json::from_value(body).map_err(|error| vec![error.to_string()])?;
        submission.parse().map_err(|error| {
            let document = error.document(uuid::Uuid::nil());
            document.errors.into_iter().map(|error| error.pointer).collect()
        })
    }

    #[test]
    fn parses_everything_it_documents() {
        let request = parse(json!({
            "resource": "worker", "targetCapacity": 5, "stepSize": 2, "cooldownSeconds": 0.5,
            "activeTimeoutSeconds": 900, "pollIntervalSeconds": 30, "settleSeconds": 90.25, "deadlineSeconds": 7200,
            "onConflict": "supersede", "reason": "queue depth 812", "labels": {"team": "data"}
        }))
        .expect("the documented example");
        assert_eq!(request.goal, Goal::Target(Capacity::new(5).expect("small")));
        assert_eq!(request.on_conflict, OnConflict::Supersede);
        assert_eq!(request.overrides.cooldown, Some(Duration::from_millis(500)));
        assert_eq!(request.overrides.settle, Some(Duration::from_millis(90_250)));
        let least = parse(json!({"resource": "worker", "delta": -2, "reason": null})).expect("the least");
        assert_eq!(least.goal, Goal::Delta(-2));
        assert_eq!(least.overrides, SettingsOverrides::default());
    }

    /// Numbers that are the same number are the same wish, whatever their form.
    #[test]
    fn whole_numbers_have_several_forms() {
        for (body, goal) in [
            (r#"{"resource": "w", "targetCapacity": 5.0}"#, Goal::Target(Capacity::new(5).expect("small"))),
            (r#"{"resource": "w", "targetCapacity": 1e3}"#, Goal::Target(Capacity::new(1000).expect("small"))),
            (r#"{"resource": "w", "targetCapacity": -0.0}"#, Goal::Target(Capacity::ZERO)),
            (r#"{"resource": "w", "delta": -20e-1, "targetCapacity": null}"#, Goal::Delta(-2)),
        ] {
            assert_eq!(parse(serde_json::from_str(body).expect("JSON")).expect(body).goal, goal);
        }
        for number in ["5.5", "1e-3", "1e300", "9007199254740994.0", "18446744073709551615", "\"5\"", "true"] {
            let body = format!(r#"{{"resource": "w", "targetCapacity": {number}}}"#);
            assert!(parse(serde_json::from_str(&body).expect("JSON")).is_err(), "{number}");
        }
    }

    /// What is outside a range by a hair is outside, although durations are rounded.
    #[test]
    fn durations_are_not_rounded_into_their_ranges() {
        for (field, least, most) in [
            ("cooldownSeconds", 0.0_f64, 86_400.0_f64),
            ("activeTimeoutSeconds", 0.01, 86_400.0),
            ("pollIntervalSeconds", 0.01, 3600.0),
            ("settleSeconds", 0.0, 86_400.0),
            ("deadlineSeconds", 0.01, 2_592_000.0),
        ] {
            let with = |seconds: f64| parse(json!({"resource": "w", "targetCapacity": 1, field: seconds}));
            for fine in [least, least.next_up(), 0.57, 1.0004, 1.0006, most.next_down(), most] {
                assert!(with(fine).is_ok(), "{field} {fine}");
            }
            for beyond in [least.next_down(), least - 0.0004, most + 0.0004, most.next_up()] {
                assert_eq!(with(beyond), Err(vec![format!("/{field}")]), "{beyond}");
            }
        }
        let cooldown = |seconds| {
            let request = parse(json!({"resource": "w", "targetCapacity": 1, "cooldownSeconds": seconds}));
            request.expect("valid").overrides.cooldown
        };
        assert_eq!(cooldown(0.57), Some(Duration::from_millis(570)));
        assert_eq!(
            (cooldown(1.0004), cooldown(1.0006)),
            (Some(Duration::from_secs(1)), Some(Duration::from_millis(1001)))
        );
    }

    #[test]
    fn points_at_everything_that_is_wrong() {
        let long = "x".repeat(501);
        for (body, pointers) in [
            (json!({}), vec!["/resource", "/targetCapacity"]),
            (json!({"resource": "worker"}), vec!["/targetCapacity"]),
            (json!({"resource": "../x", "targetCapacity": -1}), vec!["/resource", "/targetCapacity"]),
            (json!({"resource": "w", "targetCapacity": 1, "delta": 1}), vec!["/delta"]),
            (json!({"resource": "w", "delta": 0}), vec!["/delta"]),
            (json!({"resource": "w", "delta": i64::MIN}), vec!["/delta"]),
            (json!({"resource": "w", "targetCapacity": 1_000_001}), vec!["/targetCapacity"]),
            (json!({"resource": "w", "targetCapacity": 1, "stepSize": 0}), vec!["/stepSize"]),
            (json!({"resource": "w", "targetCapacity": 1, "stepSize": -3}), vec!["/stepSize"]),
            (
                json!({"resource": "w", "targetCapacity": 1, "cooldownSeconds": -1, "settleSeconds": 1e300,
                       "pollIntervalSeconds": 0, "activeTimeoutSeconds": 86401, "deadlineSeconds": 0}),
                vec![
                    "/cooldownSeconds",
                    "/activeTimeoutSeconds",
                    "/pollIntervalSeconds",
                    "/settleSeconds",
                    "/deadlineSeconds",
                ],
            ),
            (json!({"resource": "w", "targetCapacity": 1, "reason": long}), vec!["/reason"]),
            (json!({"resource": "w", "targetCapacity": 1, "reason": "a\nb"}), vec!["/reason"]),
            // Few enough characters, and too many bytes.
            (json!({"resource": "w", "targetCapacity": 1, "reason": "ä".repeat(251)}), vec!["/reason"]),
            (json!({"resource": "w", "targetCapacity": 1, "labels": {"ä".repeat(32): "x"}}), vec!["/labels"]),
            (json!({"resource": "w", "targetCapacity": 1, "labels": {"a": "\u{1f600}".repeat(64)}}), vec!["/labels/a"]),
            (json!({"resource": "w", "targetCapacity": 1, "labels": {"": "x"}}), vec!["/labels/"]),
            (json!({"resource": "w", "targetCapacity": 1, "labels": {"a/b~c": "\u{0}"}}), vec!["/labels/a~1b~0c"]),
        ] {
            assert_eq!(parse(body.clone()), Err(pointers.into_iter().map(String::from).collect()), "{body}");
        }
    }
}
