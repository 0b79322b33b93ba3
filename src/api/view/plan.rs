//! What a request would do.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::WireTime;
use super::job::{OpName, SettingsView};
use crate::engine::JobPlan;

/// What a request would do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// The resource.
    pub resource: String,
    /// The capacity to begin with: the present one, or what the jobs before this one lead to.
    pub start_capacity: u32,
    /// The capacity to reach.
    pub target_capacity: u32,
    /// The steps it would take.
    pub steps: Vec<PlanStep>,
    /// When it would probably be over. An estimate, not a promise.
    #[schema(value_type = String, format = DateTime)]
    pub estimated_completion_at: WireTime,
    /// The settings it would run with.
    pub settings: SettingsView,
    /// The unfinished job that does the same already and would be joined.
    pub joins: Option<Uuid>,
}

impl Plan {
    /// The plan for `resource`.
    pub fn new(resource: String, plan: &JobPlan) -> Self {
        let steps = (1..).zip(&plan.forecast.steps).map(|(index, step)| PlanStep {
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
            estimated_completion_at: WireTime(plan.forecast.completion_at),
            settings: SettingsView::from(&plan.settings),
            joins: plan.joins.as_ref().map(|job| job.id),
        }
    }
}

/// A step that would be taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanStep {
    /// Counts from 1.
    #[schema(minimum = 1)]
    pub index: u32,
    /// Direction.
    #[schema(value_type = OpName)]
    pub op: String,
    /// Units.
    pub units: u32,
    /// Capacity before.
    pub from_capacity: u32,
    /// Capacity after.
    pub to_capacity: u32,
    /// When it could be sent at the earliest.
    #[schema(value_type = String, format = DateTime)]
    pub earliest_at: WireTime,
}
