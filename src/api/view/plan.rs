//! What a request would do.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::WireTime;
use super::job::SettingsView;
use crate::domain::{Alias, Op};
use crate::engine::JobPlan;

/// What a request would do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// The resource that would be scaled.
    #[schema(value_type = Alias)]
    pub resource: String,
    /// The capacity to begin with: the present one, or what the jobs before this one lead to.
    #[schema(maximum = 1_000_000)]
    pub start_capacity: u32,
    /// The capacity to reach.
    #[schema(maximum = 1_000_000)]
    pub target_capacity: u32,
    /// The steps that the job would take, in order.
    pub steps: Vec<PlanStep>,
    /// When the job would probably be over. An estimate, not a promise.
    #[schema(value_type = String, format = DateTime)]
    pub estimated_completion_at: WireTime,
    /// The settings that the job would run with.
    pub settings: SettingsView,
    /// The id of the unfinished job that has the same target and would be joined; `null` if there is none.
    pub joins: Option<Uuid>,
}

impl Plan {
    /// The plan for `resource`.
    pub fn new(resource: String, plan: &JobPlan) -> Self {
        let steps = (1..).zip(&plan.estimate.steps).map(|(index, step)| PlanStep {
            index,
            op: step.movement.op.as_str().to_owned(),
            units: step.movement.units,
            from_capacity: step.movement.from.units(),
            to_capacity: step.movement.to.units(),
            earliest_at: WireTime(step.earliest_at),
        });
        Self {
            resource,
            start_capacity: plan.start.units(),
            target_capacity: plan.target.units(),
            steps: steps.collect(),
            estimated_completion_at: WireTime(plan.estimate.completion_at),
            settings: SettingsView::from(&plan.settings),
            joins: plan.joins.as_ref().map(|job| job.id),
        }
    }
}

/// A step that would be taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanStep {
    /// The number of the step in the plan, from 1.
    #[schema(minimum = 1)]
    pub index: u32,
    /// Whether units would be added or removed.
    #[schema(value_type = Op)]
    pub op: String,
    /// How many units would be added or removed.
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub units: u32,
    /// The capacity before the step.
    #[schema(maximum = 1_000_000)]
    pub from_capacity: u32,
    /// The capacity after the step.
    #[schema(maximum = 1_000_000)]
    pub to_capacity: u32,
    /// When the change could be sent at the earliest.
    #[schema(value_type = String, format = DateTime)]
    pub earliest_at: WireTime,
}
