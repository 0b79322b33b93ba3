//! What answers look like on the wire.

mod backtest;
mod decision;
mod group;
mod health;
mod job;
mod plan;
mod resource;
mod standing;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::domain::{Alias, Timestamp};

pub use backtest::{BacktestDemand, BacktestPlant, BacktestReport};
pub use decision::{AlternativeView, DecisionView, MetricStateName, MetricStateView};
pub use group::{
    GroupErrorView, GroupList, GroupMemberView, GroupPlan, GroupPlanStage, GroupRestoreView, GroupView, group_path,
};
pub use health::{Alive, NotReadyReason, Ready, SidecarContactView};
pub use job::{
    ActorView, ExternalChangeView, JobErrorView, JobList, JobView, ProgressView, RetargetView, SettingsView,
    SidecarView, StepView, WaitingView, job_path, render_job,
};
pub use plan::{Plan, PlanStep};
pub use resource::{BoundsView, Observation, Resource, ResourceList};
pub use standing::{ClaimView, ConditionView, HoldView, ResourcePolicy};

/// The pattern of an alias, which is what [`Alias`] admits.
const ALIAS: &str = "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$";

impl PartialSchema for Alias {
    fn schema() -> RefOr<Schema> {
        let alias = ObjectBuilder::new().schema_type(Type::String).pattern(Some(ALIAS));
        let description = "The alias of a resource: its service key in the compose file.";
        alias.description(Some(description)).examples([serde_json::json!("worker")]).into()
    }
}

impl ToSchema for Alias {
    fn name() -> Cow<'static, str> {
        "ResourceAlias".into()
    }
}

/// A point in time: RFC 3339, UTC, with milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WireTime(pub Timestamp);

impl Serialize for WireTime {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for WireTime {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let parsed: jiff::Timestamp = text.parse().map_err(serde::de::Error::custom)?;
        Ok(Self(Timestamp::from_millis(parsed.as_millisecond())))
    }
}
