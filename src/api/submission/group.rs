//! What a request to scale several resources looks like on the wire, and how it is parsed.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer, Serialize};
use utoipa::openapi::schema::{Object, ObjectBuilder, OneOfBuilder, Type};
use utoipa::openapi::{Ref, RefOr, Schema};
use utoipa::{PartialSchema as _, ToSchema};

use super::{MAX_REASON_BYTES, Submission, labels, number};
use crate::api::input::escaped;
use crate::api::named::Named;
use crate::api::problem::{ApiError, FieldErrors};
use crate::domain::{
    Alias, GroupRequest, JobRequest, MAX_CAPACITY, MAX_MEMBERS, OnConflict, OnFailure, SettingsOverrides,
};

/// A request to scale several resources as one piece of work. `targets` is required. Settings beside it are those of all
/// members; a member's own are stronger, and what is left out is the resource's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = NewGroup)]
pub struct GroupSubmission {
    // What they are is said in `targets_schema`.
    #[serde(default, deserialize_with = "targets")]
    #[schema(required = true, schema_with = targets_schema)]
    pub targets: BTreeMap<String, GroupTarget>,
    /// The aliases of each stage, in order; every alias of `targets` in one of them. A stage begins when every member of the one
    /// before has reached its target. Left out, all members are in one stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 1, max_items = 64)]
    pub stages: Option<Vec<Vec<String>>>,
    /// What to do when a member does not reach its target: it failed, or was canceled or superseded by itself; `stop` if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<OnFailure>,
    /// Most units that are changed in one step.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "number::whole")]
    #[schema(value_type = Option<i32>, minimum = 1, maximum = 1_000_000)]
    pub step_size: Option<i64>,
    /// Least time between two changes of a resource, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 86_400)]
    pub cooldown_seconds: Option<f64>,
    /// Longest wait for a resource to become ready, for a change to show, or for a reading, in seconds.
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
    /// Longest life of each job of the group, in seconds, the time that it waits for its stage included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0.01, maximum = 2_592_000)]
    pub deadline_seconds: Option<f64>,
    /// What to do if resources have unfinished jobs, decided for all members at once; `reject` if left out. A group that does the same
    /// is joined in any case (200).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_conflict: Option<OnConflict>,
    /// A note for people, at most 500 bytes in UTF-8, which can be fewer characters, and no control characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$", example = "new release")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "labels::deserialize")]
    #[schema(schema_with = labels::schema)]
    pub labels: Option<BTreeMap<String, String>>,
}

/// What to do with a resource of a group: the capacity to reach, or an object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum GroupTarget {
    /// The capacity to reach.
    Capacity(f64),
    /// The capacity to reach, or a delta, and settings of the member.
    Wish(GroupMemberWish),
}

/// What targets have to be.
fn targets_schema() -> Object {
    let capacity = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0)).maximum(Some(MAX_CAPACITY));
    let target = OneOfBuilder::new().item(capacity).item(Ref::from_schema_name("GroupMemberWish"));
    ObjectBuilder::new()
        .description(Some(
            "What to do with each resource, by alias: a capacity, or an object with `targetCapacity` or `delta` and settings of its \
             own. 1 to 64 resources.",
        ))
        .min_properties(Some(1))
        .max_properties(Some(MAX_MEMBERS))
        .property_names(Some(Alias::schema()))
        .additional_properties(Some(RefOr::T(Schema::OneOf(target.build()))))
        .build()
}

/// What to do with a resource of a group, with settings of its own. One of `targetCapacity` and `delta` is required.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GroupMemberWish {
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
    /// Longest life of each job of the member, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0.01, maximum = 2_592_000)]
    pub deadline_seconds: Option<f64>,
}

fn targets<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, GroupTarget>, D::Error> {
    Ok(Named::deserialize(deserializer)?.0)
}

impl GroupSubmission {
    /// This request with the settings that `overrides` give to all members.
    pub fn with_settings(self, overrides: &SettingsOverrides) -> Self {
        let Submission {
            step_size,
            cooldown_seconds,
            active_timeout_seconds,
            poll_interval_seconds,
            settle_seconds,
            deadline_seconds,
            ..
        } = Submission::default().with_settings(overrides);
        Self {
            step_size,
            cooldown_seconds,
            active_timeout_seconds,
            poll_interval_seconds,
            settle_seconds,
            deadline_seconds,
            ..self
        }
    }

    /// The request in the domain's terms.
    ///
    /// # Errors
    /// Everything in it that does not make sense, at once.
    pub fn parse(self) -> Result<GroupRequest, ApiError> {
        let mut errors = FieldErrors::default();
        if self.targets.is_empty() {
            errors.add("/targets", "is required, with one resource at least");
        } else if self.targets.len() > MAX_MEMBERS {
            errors.add("/targets", format!("has more than {MAX_MEMBERS} resources"));
        }
        labels::check_text(&mut errors, "/reason", self.reason.as_deref().unwrap_or_default(), MAX_REASON_BYTES);
        labels::check(&mut errors, self.labels.as_ref().unwrap_or(&BTreeMap::new()));
        errors.check()?;
        let mut errors = FieldErrors::default();
        let stage_of = self.stages(&mut errors);
        let mut members = Vec::new();
        for (alias, target) in &self.targets {
            match self.member(alias, target) {
                Ok(request) => members.push((request, stage_of.get(alias.as_str()).copied().unwrap_or(0))),
                Err(wrong) => errors.add_within(&format!("/targets/{}", escaped(alias)), wrong),
            }
        }
        errors.check()?;
        let on_failure = self.on_failure.unwrap_or_default();
        let labels = self.labels.unwrap_or_default();
        Ok(GroupRequest { members, on_failure, reason: self.reason, labels, attempt: None })
    }

    /// The stage of each alias.
    fn stages(&self, errors: &mut FieldErrors) -> BTreeMap<&str, usize> {
        let mut stage_of = BTreeMap::new();
        let Some(stages) = &self.stages else { return stage_of };
        for (stage, aliases) in stages.iter().enumerate() {
            if aliases.is_empty() {
                errors.add(format!("/stages/{stage}"), "has no alias");
            }
            for (place, alias) in aliases.iter().enumerate() {
                let pointer = format!("/stages/{stage}/{place}");
                if !self.targets.contains_key(alias) {
                    errors.add(pointer, "is not among the targets");
                } else if stage_of.insert(alias.as_str(), stage).is_some() {
                    errors.add(pointer, "is in a stage already");
                }
            }
        }
        let missing: BTreeSet<&String> =
            self.targets.keys().filter(|alias| !stage_of.contains_key(alias.as_str())).collect();
        for alias in missing {
            errors.add("/stages", format!("has no stage for {}", escaped(alias)));
        }
        stage_of
    }

    /// The request for one member; its resource's name is wrong at the place of the member itself.
    fn member(&self, alias: &str, target: &GroupTarget) -> Result<JobRequest, FieldErrors> {
        if let Err(error) = alias.parse::<Alias>() {
            let mut errors = FieldErrors::default();
            errors.add("", format!("has a name that is no alias: {error}"));
            return Err(errors);
        }
        let wish = match target {
            GroupTarget::Wish(wish) => wish.clone(),
            GroupTarget::Capacity(units) if units.fract() == 0.0 && units.abs() < 1e12 => {
                GroupMemberWish { target_capacity: Some(*units as i64), ..GroupMemberWish::default() }
            }
            GroupTarget::Capacity(_) => {
                let mut errors = FieldErrors::default();
                errors.add("", "must be a whole number");
                return Err(errors);
            }
        };
        Submission {
            resource: alias.to_owned(),
            target_capacity: wish.target_capacity,
            delta: wish.delta,
            step_size: wish.step_size.or(self.step_size),
            cooldown_seconds: wish.cooldown_seconds.or(self.cooldown_seconds),
            active_timeout_seconds: wish.active_timeout_seconds.or(self.active_timeout_seconds),
            poll_interval_seconds: wish.poll_interval_seconds.or(self.poll_interval_seconds),
            settle_seconds: wish.settle_seconds.or(self.settle_seconds),
            deadline_seconds: wish.deadline_seconds.or(self.deadline_seconds),
            on_conflict: self.on_conflict,
            reason: self.reason.clone(),
            labels: self.labels.clone(),
        }
        .read()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn parsed(body: Value) -> Result<GroupRequest, String> {
        let submission: GroupSubmission = serde_json::from_value(body).map_err(|error| error.to_string())?;
        submission.parse().map_err(|error| error.to_string())
    }

    #[test]
    fn a_member_has_its_own_settings_before_those_of_the_group() {
        let request = parsed(json!({
            "targets": {"db": 3, "api": {"delta": 2, "stepSize": 2}, "worker": {"targetCapacity": 2}},
            "stages": [["db"], ["api", "worker"]], "onFailure": "restore", "stepSize": 7, "onConflict": "queue",
            "reason": "release"}));
        let request = request.expect("good");
        let of = |number: usize| {
            let (request, stage) = &request.members[number];
            (request.resource.as_str(), request.goal.to_string(), request.overrides.step_size, *stage)
        };
        assert_eq!(of(0), ("api", "by +2".into(), Some(2), 1));
        assert_eq!(of(1), ("db", "to 3".into(), Some(7), 0));
        assert_eq!(of(2), ("worker", "to 2".into(), Some(7), 1));
        assert_eq!(request.on_failure, OnFailure::Restore);
        let is_alike = |(request, _): &(JobRequest, usize)| {
            request.on_conflict == OnConflict::Queue && request.reason.as_deref() == Some("release")
        };
        assert!(request.members.iter().all(is_alike));
    }

    #[test]
    fn what_makes_no_sense_is_named_with_its_place() {
        let many: BTreeMap<String, i64> = (0..=MAX_MEMBERS).map(|number| (format!("r{number}"), 1)).collect();
        for (body, expected) in [
            (json!({}), "targets is required"),
            (json!({"targets": {}}), "targets is required"),
            (json!({"targets": many}), "has more than 64 resources"),
            (json!({"targets": {"db": -1}}), "targets/db/targetCapacity must be between"),
            (json!({"targets": {"db": 1.5}}), "targets/db must be a whole number"),
            (json!({"targets": {"db": {}}}), "targets/db/targetCapacity is required"),
            (json!({"targets": {"d/b": 1}}), "targets/d~1b has a name that is no alias"),
            (json!({"targets": {"db": 1, "api": 1}, "stages": [["db"]]}), "stages has no stage for api"),
            (json!({"targets": {"db": 1}, "stages": [["db"], ["db"]]}), "stages/1/0 is in a stage already"),
            (json!({"targets": {"db": 1}, "stages": [["db"], []]}), "stages/1 has no alias"),
            (json!({"targets": {"db": 1}, "stages": [["db", "api"]]}), "stages/0/1 is not among the targets"),
            (json!({"targets": {"db": 1}, "cooldownSeconds": -1}), "targets/db/cooldownSeconds"),
        ] {
            let refused = parsed(body.clone()).expect_err("refused");
            assert!(refused.contains(expected), "{body}: {refused}");
        }
    }
}
