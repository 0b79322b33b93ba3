//! What a request to scale looks like on the wire, and how it is parsed into what the domain understands.

mod group;
mod labels;
pub(super) mod number;
#[cfg(test)]
mod tests;

pub use group::{GroupMemberWish, GroupSubmission, GroupTarget};
pub(super) use labels::check_text;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::problem::{ApiError, FieldErrors};
use crate::domain::{Alias, Capacity, Goal, JobRequest, MAX_CAPACITY, OnConflict, SettingsOverrides, seconds};

/// Longest note, in bytes: they are what has to be kept and sent, and a character can have four of them.
const MAX_REASON_BYTES: usize = 500;

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
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "number::whole")]
    #[schema(value_type = Option<i32>, minimum = 0, maximum = 1_000_000)]
    pub target_capacity: Option<i64>,
    /// Units to add or, if negative, to remove, relative to the first usable reading. Not 0.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "number::whole")]
    #[schema(value_type = Option<i32>, minimum = -1_000_000, maximum = 1_000_000)]
    pub delta: Option<i64>,
    /// Most units that are changed in one step.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "number::whole")]
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
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "labels::deserialize")]
    #[schema(schema_with = labels::schema)]
    pub labels: Option<BTreeMap<String, String>>,
}

impl Submission {
    /// The request in the domain's terms.
    ///
    /// # Errors
    /// Everything in it that does not make sense, at once.
    pub fn parse(self) -> Result<JobRequest, ApiError> {
        self.read().map_err(ApiError::invalid)
    }

    /// The same, where more can be wrong besides.
    ///
    /// # Errors
    /// As for [`Submission::parse`].
    pub(in crate::api) fn read(self) -> Result<JobRequest, FieldErrors> {
        let mut errors = FieldErrors::default();
        let resource = match self.resource.as_str() {
            "" => errors.refuse("/resource", "is required"),
            resource => errors.keep("/resource", resource.parse::<Alias>()),
        };
        let goal = self.goal(&mut errors);
        let overrides = self.overrides(&mut errors);
        labels::check_text(&mut errors, "/reason", self.reason.as_deref().unwrap_or_default(), MAX_REASON_BYTES);
        let labels = self.labels.unwrap_or_default();
        labels::check(&mut errors, &labels);
        let (Some(resource), Some(goal), true) = (resource, goal, errors.is_empty()) else {
            return Err(errors);
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

    fn goal(&self, errors: &mut FieldErrors) -> Option<Goal> {
        match (self.target_capacity, self.delta) {
            (Some(target), None) => match Capacity::new(target) {
                Ok(target) => Some(Goal::Target(target)),
                Err(_) => errors.refuse("/targetCapacity", format!("must be between 0 and {MAX_CAPACITY}")),
            },
            (None, Some(delta)) => match i32::try_from(delta) {
                Ok(delta) if delta != 0 && delta.unsigned_abs() <= MAX_CAPACITY => Some(Goal::Delta(delta)),
                _ => errors.refuse("/delta", format!("must be between -{MAX_CAPACITY} and {MAX_CAPACITY}, and not 0")),
            },
            (None, None) => errors.refuse("/targetCapacity", "is required, unless delta is given"),
            (Some(_), Some(_)) => errors.refuse("/delta", "must not be given together with targetCapacity"),
        }
    }

    fn overrides(&self, errors: &mut FieldErrors) -> SettingsOverrides {
        // What lies outside a range must not be rounded into it.
        for invalid in self.overrides_by(seconds::unrounded).problems() {
            errors.add_setting(invalid);
        }
        self.overrides_by(seconds::rounded)
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
