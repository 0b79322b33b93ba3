//! What a caller wants to play.

use std::time::Duration;

use serde::Deserialize;
use utoipa::ToSchema;

use crate::api::demand::time;
use crate::api::policies::PolicyDocument;
use crate::api::problem::{ApiError, FieldErrors};
use crate::api::view::BacktestDemand;
use crate::backtest::{DemandSpec, PlantOverrides};
use crate::domain::policy::{Name, Policy};
use crate::domain::{Alias, Capacity, MAX_CAPACITY, MAX_WAIT, Timestamp, seconds};
use crate::policy::Document;
use crate::store::MINUTE_RETENTION;

/// How far ahead of the gateway's clock an end may be: it counts as now.
const MAX_AHEAD: Duration = Duration::from_mins(1);
/// How much earlier than all that is kept a beginning may be: a caller that counts back 35 days is not refused for the time that
/// its request took, nor for the hour that a day can be longer.
const GRACE: Duration = Duration::from_hours(24);

/// A backtest. Only `resource` is required.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewBacktest {
    /// The alias of the resource.
    #[serde(default)]
    #[schema(required = true, value_type = Alias)]
    pub resource: String,
    /// The policy to try; the one in force if left out.
    #[serde(default)]
    #[schema(value_type = Option<PolicyDocument>)]
    pub policy: Option<Document>,
    /// Where the policy begins to act, within the last 35 days; at the first value of the demand that is kept if left out.
    #[serde(default)]
    #[schema(format = DateTime)]
    pub from: Option<String>,
    /// Where the backtest ends; now if left out.
    #[serde(default)]
    #[schema(format = DateTime)]
    pub to: Option<String>,
    /// Values from then on are known at the beginning; all that are kept if left out.
    #[serde(default)]
    #[schema(format = DateTime)]
    pub learn_from: Option<String>,
    /// What says how many units were needed; the first `target` or `band` rule if left out, and without one
    /// the first `forecast` rule.
    #[serde(default)]
    pub demand: Option<BacktestDemand>,
    /// What is to be different about the resource than it is.
    #[serde(default)]
    pub plant: Option<PlantRequest>,
}

/// What is to be different about a modelled resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = BacktestPlantOverrides)]
pub struct PlantRequest {
    /// How long units that are added take until they are ready, in seconds; if left out, what half of the last steps took,
    /// rounded up to minutes, and with fewer than 5 of them `expectedChangeSeconds` of the policy.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 86_400)]
    pub provisioning_seconds: Option<f64>,
    /// How long units that are removed are still paid for, in seconds; if left out, what half of the last steps took, rounded up to
    /// minutes, and with fewer than 5 of them 0.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 86_400)]
    pub removal_seconds: Option<f64>,
    /// Most units in one change; that of the policy's jobs if left out.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub step_size: Option<u32>,
    /// Least time between two changes, in seconds; that of the policy's jobs if left out.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 86_400)]
    pub cooldown_seconds: Option<f64>,
    /// The capacity at the beginning; if left out, that of the last usable reading, and without one what was needed then.
    #[serde(default)]
    #[schema(maximum = 1_000_000)]
    pub capacity: Option<u32>,
}

/// What is to be played.
pub struct Asked {
    /// The resource.
    pub resource: Alias,
    /// The policy, if it is not the one in force.
    pub policy: Option<Box<Policy>>,
    /// The beginning.
    pub from: Option<Timestamp>,
    /// The end.
    pub to: Timestamp,
    /// Since when values are known at the beginning.
    pub learn_from: Option<Timestamp>,
    /// What is needed.
    pub demand: Option<DemandSpec>,
    /// What is different about the resource.
    pub plant: PlantOverrides,
    /// Its capacity at the beginning.
    pub capacity: Option<Capacity>,
}

impl NewBacktest {
    /// What is to be played as of `now`.
    ///
    /// # Errors
    /// Everything in it that does not make sense, at once.
    pub fn parse(self, now: Timestamp) -> Result<Asked, ApiError> {
        let mut errors = FieldErrors::default();
        let resource = match self.resource.as_str() {
            "" => errors.refuse("/resource", "is required"),
            resource => errors.keep("/resource", resource.parse::<Alias>()),
        };
        let policy = self.policy.map(|policy| policy.policy()).transpose();
        let policy = policy.unwrap_or_else(|problems| {
            problems.into_iter().for_each(|it| errors.add(format!("/policy{}", it.pointer), it.detail));
            None
        });
        let mut moment = |pointer, text: Option<String>| kept_time(&mut errors, pointer, &text?, now);
        let (from, to) = (moment("/from", self.from), moment("/to", self.to));
        let (learn_from, to) = (moment("/learnFrom", self.learn_from), to.unwrap_or(now).min(now));
        if from.is_some_and(|from| to <= from) {
            errors.add("/from", "must be before to");
        }
        if learn_from.zip(from).is_some_and(|(learn_from, from)| from < learn_from) {
            errors.add("/learnFrom", "must not be after from");
        }
        let demand = self.demand.and_then(|demand| demand_of(&mut errors, demand));
        let plant = self.plant.unwrap_or_default();
        let (overrides, capacity) = (plant.overrides(&mut errors), plant.capacity(&mut errors));
        match (resource, errors.is_empty()) {
            (Some(resource), true) => {
                let policy = policy.map(Box::new);
                Ok(Asked { resource, policy, from, to, learn_from, demand, plant: overrides, capacity })
            }
            _ => Err(ApiError::invalid(errors)),
        }
    }
}

/// The point in time at `pointer`, which must not be before all that is kept, nor in the future.
fn kept_time(errors: &mut FieldErrors, pointer: &str, text: &str, now: Timestamp) -> Option<Timestamp> {
    match time(errors, pointer, text)? {
        at if at < now - MINUTE_RETENTION - GRACE => {
            errors.refuse(pointer, "must be within the last 35 days: values are not kept for longer")
        }
        at if at > now + MAX_AHEAD => errors.refuse(pointer, "must not be in the future"),
        at => Some(at),
    }
}

fn demand_of(errors: &mut FieldErrors, demand: BacktestDemand) -> Option<DemandSpec> {
    let metric = errors.keep("/demand/metric", demand.metric.parse::<Name>());
    if demand.per_unit.is_finite() && demand.per_unit > 0.0 {
        return Some(DemandSpec { metric: metric?, per_unit: demand.per_unit });
    }
    errors.refuse("/demand/perUnit", "must be above 0")
}

impl PlantRequest {
    fn overrides(&self, errors: &mut FieldErrors) -> PlantOverrides {
        let mut duration = |field: &str, given: Option<f64>| {
            let given = given?;
            // What lies outside the range must not be rounded into it.
            if seconds::unrounded(given) > MAX_WAIT {
                return errors.refuse(format!("/plant/{field}"), "must be between 0 and 86400 seconds");
            }
            Some(seconds::rounded(given))
        };
        let provisioning = duration("provisioningSeconds", self.provisioning_seconds);
        let removal = duration("removalSeconds", self.removal_seconds);
        let cooldown = duration("cooldownSeconds", self.cooldown_seconds);
        if self.step_size.is_some_and(|size| !(1..=MAX_CAPACITY).contains(&size)) {
            errors.add("/plant/stepSize", format!("must be between 1 and {MAX_CAPACITY}"));
        }
        PlantOverrides { provisioning, removal, step_size: self.step_size, cooldown }
    }

    fn capacity(&self, errors: &mut FieldErrors) -> Option<Capacity> {
        errors.keep("/plant/capacity", Capacity::try_from(self.capacity?))
    }
}
