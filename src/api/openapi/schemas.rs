//! What the derivation of schemas cannot say, added to its result.
//!
//! Generators of clients read the document. They name a type after its schema, put descriptions beside fields, and ignore what
//! they do not understand: each function here mends one thing that came out wrong in generated clients. It must never change
//! what a request or an answer may be. Rejected: schemas written by hand, because they would differ from the types after the
//! first change.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use strum::{EnumMessage, VariantArray};
use utoipa::openapi::schema::{Discriminator, Object};
use utoipa::openapi::{Ref, RefOr, Schema};

use crate::api::audit::AuditOutcome;
use crate::api::hooks::AlertOutcome;
use crate::api::keys::KeyState;
use crate::api::problem::Code;
use crate::api::view::{MetricStateName, NotReadyReason};
use crate::domain::policy::{
    self, Aggregate, ClaimKind, ConditionCode, DayOfWeek, Direction, ForecastSource, ForecastState, Limiter, Missing,
    Mode, Ready, Trigger,
};
use crate::domain::{
    Action, ActorKind, ErrorCode, GroupState, OnConflict, OnFailure, Op, Scope, StateName, StepOutcome, WaitReason,
};
use crate::policy::WarningCode;

type Schemas = BTreeMap<String, RefOr<Schema>>;

/// What requests may leave out; every other schema is one of answers.
const REQUESTS: [&str; 32] = [
    "AlertmanagerAlert",
    "AlertmanagerNotification",
    "BacktestPlantOverrides",
    "BandRule",
    "ClaimRenewal",
    "DecisionAlternative",
    "ExpressionRule",
    "FollowRule",
    "GroupMemberWish",
    "HttpSource",
    "NewBacktest",
    "NewClaim",
    "NewGroup",
    "NewHold",
    "NewJob",
    "NewKey",
    "NewSamples",
    "Policy",
    "PolicyBehavior",
    "PolicyEvaluation",
    "PolicyIdle",
    "PolicyJob",
    "PolicyMetric",
    "PolicySmoothing",
    "PolicyStep",
    "PrometheusSource",
    "PushSource",
    "ScheduleRule",
    "ScrapeSource",
    "StepRule",
    "TargetRule",
    "UtilizationRule",
];
const MAY_GROW: &str = "Later releases may add values. A client should expect values that it does not know.";

/// Completes the derived schemas.
pub fn complete(schemas: &mut Schemas) {
    name_variants(schemas, "TimelineEntry", "kind", "Entry");
    name_variants(schemas, "PolicyRule", "type", "Rule");
    name_variants(schemas, "MetricSource", "type", "Source");
    require_all_fields_of_answers(schemas);
    require_one_goal(schemas);
    forbid_limited_admins(schemas);
    describe_optional_references(schemas);
    explain_all_values(schemas);
}

/// Makes a schema of its own of each variant of `name`, called after the value of `tag` in it and `what` it is. Generators would number variants
/// without a name, and try one after the other where nothing tells which one it is.
fn name_variants(schemas: &mut Schemas, name: &str, tag: &str, what: &str) {
    let Some(RefOr::T(Schema::OneOf(choice))) = schemas.get_mut(name) else { return };
    let mut variants = Schemas::new();
    let mut mapping: Vec<(String, String)> = Vec::new();
    for item in &mut choice.items {
        let RefOr::T(Schema::Object(object)) = item else { continue };
        let Some(RefOr::T(Schema::Object(tagged))) = object.properties.get_mut(tag) else { continue };
        tagged.description = Some(format!("What kind of {} this is.", what.to_lowercase()));
        let Some(value) = tagged.enum_values.iter().flatten().find_map(Value::as_str) else { continue };
        let variant = format!("{}{what}", pascal_case(value));
        let reference = Ref::from_schema_name(&variant);
        mapping.push((value.to_owned(), reference.ref_location.clone()));
        variants.insert(variant, std::mem::replace(item, RefOr::Ref(reference)));
    }
    choice.discriminator = Some(Discriminator::with_mapping(tag, mapping));
    schemas.extend(variants);
}

/// Answers have all their fields, `null` or not. The derivation takes a field that can be `null` for one that can be
/// absent, which is true of requests and problem documents alone.
fn require_all_fields_of_answers(schemas: &mut Schemas) {
    for (name, schema) in schemas {
        if let RefOr::T(Schema::Object(object)) = schema
            && !REQUESTS.contains(&name.as_str())
            && name != "Problem"
        {
            object.required = object.properties.keys().cloned().collect();
        }
    }
}

/// A new job has either a target or a delta, and so has a member of a group.
fn require_one_goal(schemas: &mut Schemas) {
    let by_a_delta = json!({"required": ["delta"], "properties": {"delta": {"type": "integer"}}});
    let no_target = json!({"properties": {"targetCapacity": {"type": "null"}, "delta": {"not": {"const": 0}}}});
    let a_target = json!({"required": ["targetCapacity"], "properties": {"targetCapacity": {"type": "integer"}}});
    for schema in ["NewJob", "GroupMemberWish"] {
        let conditions = [("if", by_a_delta.clone()), ("then", no_target.clone()), ("else", a_target.clone())];
        require(schemas, schema, conditions);
    }
}

/// A key with the scope `admin` cannot be limited to resources.
fn forbid_limited_admins(schemas: &mut Schemas) {
    let an_admin = json!({"required": ["scope"], "properties": {"scope": {"const": "admin"}}});
    let no_limit = json!({"properties": {"resources": {"type": "null"}}});
    require(schemas, "NewKey", [("if", an_admin), ("then", no_limit)]);
}

/// Adds what holds between fields. Generators leave conditions alone. Rejected: `anyOf` beside the fields, because it makes
/// them generate types for its options instead, or nothing at all.
fn require<const N: usize>(schemas: &mut Schemas, schema: &str, conditions: [(&str, Value); N]) {
    if let Some(RefOr::T(Schema::Object(object))) = schemas.get_mut(schema) {
        // There are no fields for these keywords; extensions are written out as they are.
        object.extensions = Some(conditions.into_iter().collect());
    }
}

/// Puts the description of a reference that can be `null` where that of every other field is.
fn describe_optional_references(schemas: &mut Schemas) {
    for property in objects(schemas).flat_map(|object| object.properties.values_mut()) {
        let RefOr::T(Schema::OneOf(choice)) = property else { continue };
        for item in &mut choice.items {
            if let RefOr::Ref(reference) = item
                && !reference.description.is_empty()
            {
                choice.description = Some(std::mem::take(&mut reference.description));
            }
        }
    }
}

fn objects(schemas: &mut Schemas) -> impl Iterator<Item = &mut Object> {
    schemas.values_mut().filter_map(|schema| match schema {
        RefOr::T(Schema::Object(object)) => Some(object),
        _ => None,
    })
}

/// Says of every enumeration what its values mean.
fn explain_all_values(schemas: &mut Schemas) {
    explain(schemas, "ActorKind", &meanings::<ActorKind>());
    explain(schemas, "AlertOutcome", &meanings::<AlertOutcome>());
    explain(schemas, "AuditAction", &meanings::<Action>());
    explain(schemas, "AuditOutcome", &meanings::<AuditOutcome>());
    explain(schemas, "ClaimKind", &meanings::<ClaimKind>());
    explain(schemas, "DayOfWeek", &meanings::<DayOfWeek>());
    explain(schemas, "DecisionAction", &meanings::<policy::Action>());
    explain(schemas, "DecisionStage", &meanings::<Limiter>());
    explain(schemas, "DecisionTrigger", &meanings::<Trigger>());
    explain(schemas, "Direction", &meanings::<Direction>());
    explain(schemas, "ForecastSource", &meanings::<ForecastSource>());
    explain(schemas, "ForecastState", &meanings::<ForecastState>());
    explain(schemas, "GroupState", &meanings::<GroupState>());
    explain(schemas, "JobErrorCode", &meanings::<ErrorCode>());
    explain(schemas, "JobState", &meanings::<StateName>());
    explain(schemas, "KeyState", &meanings::<KeyState>());
    explain(schemas, "MetricAggregate", &meanings::<Aggregate>());
    explain(schemas, "MetricFreshness", &meanings::<MetricStateName>());
    explain(schemas, "MetricMissingReason", &meanings::<Missing>());
    explain(schemas, "NotReadyReason", &meanings::<NotReadyReason>());
    explain(schemas, "OnConflict", &meanings::<OnConflict>());
    explain(schemas, "OnFailure", &meanings::<OnFailure>());
    explain(schemas, "PolicyConditionCode", &meanings::<ConditionCode>());
    explain(schemas, "PolicyMode", &meanings::<Mode>());
    explain(schemas, "PolicyWarningCode", &meanings::<WarningCode>());
    let titles: Vec<String> = Code::ALL.iter().map(|code| format!("{}.", code.title())).collect();
    explain(schemas, "ProblemCode", &titles);
    explain(schemas, "Scope", &meanings::<Scope>());
    explain(schemas, "StepOp", &meanings::<Op>());
    explain(schemas, "StepOutcome", &meanings::<StepOutcome>());
    explain(schemas, "WindowReady", &meanings::<Ready>());
    explain(schemas, "WaitReason", &meanings::<WaitReason>());
}

/// The documentation of the values of `T`, in their order.
fn meanings<T: EnumMessage + VariantArray>() -> Vec<String> {
    T::VARIANTS.iter().map(|value| value.get_documentation().unwrap_or_default().replace('\n', " ")).collect()
}

fn explain(schemas: &mut Schemas, name: &str, meanings: &[String]) {
    let Some(RefOr::T(Schema::Object(object))) = schemas.get_mut(name) else { return };
    let mut description = object.description.take().unwrap_or_default();
    description.push_str("\n\n");
    for (value, meaning) in object.enum_values.iter().flatten().filter_map(Value::as_str).zip(meanings) {
        description.push_str(&format!("- `{value}`: {meaning}\n"));
    }
    // What only requests have is never read by a client, and a week has no other days.
    if !["OnConflict", "DayOfWeek"].contains(&name) {
        description.push_str(&format!("\n{MAY_GROW}"));
    }
    object.description = Some(description.trim_end().to_owned());
}

/// `snake_case` as `PascalCase`.
pub(super) fn pascal_case(name: &str) -> String {
    let capitalised = |word: &str| {
        let mut letters = word.chars();
        letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
    };
    name.split('_').map(capitalised).collect()
}
