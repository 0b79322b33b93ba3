//! How a resource is shown.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::job::SettingsView;
use super::{ClaimView, HoldView, ResourcePolicy, WireTime};
use crate::domain::{
    Alias, DurationSummary, ErrorCode, Op, ReadFailure, Reading, SettingLimits, StateName, StepDurations, Timestamp,
};
use crate::engine::ResourceView;
use crate::store::LastOutcome;

/// A resource, with everything that the gateway knows about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Resource {
    /// The alias of the resource.
    #[schema(value_type = Alias)]
    pub resource: String,
    /// The status by the last reading, in the sidecar's words; `null` if there was no reading.
    pub status: Option<String>,
    /// The capacity by the last reading, be it usable or not; `null` if there was no reading.
    #[schema(maximum = 1_000_000)]
    pub capacity: Option<u32>,
    /// When the last reading was made and received; `null` if there was no reading.
    pub last_observation: Option<Observation>,
    /// Why the sidecar gave no reading just now; `null` if it gave one or was not asked.
    pub read_failure: Option<String>,
    /// The least and the largest capacity that jobs may set.
    pub bounds: BoundsView,
    /// The settings of jobs that bring none of their own.
    pub settings: SettingsView,
    /// How far jobs may go with settings of their own: a request that goes further is refused.
    pub setting_limits: SettingLimitsView,
    /// Time until the next change is allowed, in seconds, with the `settings` shown here.
    #[schema(minimum = 0)]
    pub cooldown_remaining_seconds: f64,
    /// The id of the job that is being worked on; `null` if there is none.
    pub active_job: Option<Uuid>,
    /// The ids of the jobs that wait for their turn, in order.
    pub queue: Vec<Uuid>,
    /// How the last job ended that succeeded or failed; `null` if no such job is kept.
    pub last_outcome: Option<LastOutcomeView>,
    /// Whether the resource is listed in the configuration.
    pub listed: bool,
    /// How long its last steps took.
    pub step_durations: StepDurationsView,
    /// The policy that decides the target; `null` if there is none.
    pub policy: Option<ResourcePolicy>,
    /// The hold that is in force; `null` if there is none.
    pub hold: Option<HoldView>,
    /// The claims that count or will, oldest first; `null` in lists.
    pub claims: Option<Vec<ClaimView>>,
}

impl Resource {
    /// The resource as it is at `now`, and why there is no newer reading.
    pub fn new(
        view: &ResourceView,
        failure: Option<&ReadFailure>,
        outcome: Option<&LastOutcome>,
        now: Timestamp,
    ) -> Self {
        let claims = view.standing.claims.iter().map(|claim| ClaimView::new(&view.resource, claim));
        Self {
            read_failure: failure.map(|failure| failure.detail.clone()),
            policy: ResourcePolicy::of(&view.standing, true),
            claims: Some(claims.collect()),
            ..Self::in_list(view, outcome, now)
        }
    }

    /// The same for a list: without what explains the last decision, which is some kilobytes, and without the claims, of which
    /// there may be a hundred.
    pub fn in_list(view: &ResourceView, outcome: Option<&LastOutcome>, now: Timestamp) -> Self {
        let remaining = view.next_change_at.map_or(Duration::ZERO, |at| at.since(now));
        Self {
            resource: view.resource.as_str().to_owned(),
            status: view.observation.as_ref().map(|reading| reading.status.as_str().to_owned()),
            capacity: view.observation.as_ref().map(|reading| reading.capacity.units()),
            last_observation: view.observation.as_ref().map(Observation::from),
            read_failure: None,
            bounds: BoundsView { min: view.rules.bounds.min.units(), max: view.rules.bounds.max.units() },
            settings: SettingsView::from(&view.rules.settings),
            setting_limits: SettingLimitsView::from(&view.rules.setting_limits),
            cooldown_remaining_seconds: remaining.as_secs_f64(),
            active_job: view.active.as_ref().map(|job| job.id),
            queue: view.queue.clone(),
            last_outcome: outcome.map(LastOutcomeView::from),
            listed: view.listed,
            step_durations: StepDurationsView::from(&view.step_durations),
            policy: ResourcePolicy::of(&view.standing, false),
            hold: view.standing.hold.as_ref().map(|hold| HoldView::new(hold, view.standing.pin_note)),
            claims: None,
        }
    }
}

/// The times of a reading.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Observation {
    /// When the sidecar says that it made the reading; `null` if it does not say.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub observed_at: Option<WireTime>,
    /// When the gateway received the reading.
    #[schema(value_type = String, format = DateTime)]
    pub received_at: WireTime,
}

impl From<&Reading> for Observation {
    fn from(reading: &Reading) -> Self {
        Self { observed_at: reading.stamp.map(WireTime), received_at: WireTime(reading.received_at) }
    }
}

/// How the last job of a resource ended that succeeded or failed. It is kept as long as the job is, over restarts too; jobs
/// that were canceled or superseded do not count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = LastOutcome)]
pub struct LastOutcomeView {
    /// The id of the job.
    pub job: Uuid,
    /// How the job ended: `succeeded` or `failed`.
    pub state: StateName,
    /// The code of its `error`; `null` if it succeeded.
    pub error_code: Option<ErrorCode>,
    /// When the job ended.
    #[schema(value_type = String, format = DateTime)]
    pub at: WireTime,
}

impl From<&LastOutcome> for LastOutcomeView {
    fn from(LastOutcome { job, error, at }: &LastOutcome) -> Self {
        let state = if error.is_some() { StateName::Failed } else { StateName::Succeeded };
        Self { job: *job, state, error_code: *error, at: WireTime(*at) }
    }
}

/// The bounds of a resource, both inclusive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Bounds)]
pub struct BoundsView {
    /// The least capacity that jobs may set.
    #[schema(maximum = 1_000_000)]
    pub min: u32,
    /// The largest capacity that jobs may set.
    #[schema(maximum = 1_000_000)]
    pub max: u32,
}

/// How far jobs for the resource may go with settings of their own. Where the operator has set nothing, as far as the field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SettingLimits)]
pub struct SettingLimitsView {
    /// Least `cooldownSeconds` that a job may ask for.
    #[schema(minimum = 0, maximum = 86_400)]
    pub min_cooldown_seconds: f64,
    /// Largest `stepSize` that a job may ask for.
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub max_step_size: u32,
    /// Least `settleSeconds` that a job may ask for.
    #[schema(minimum = 0, maximum = 86_400)]
    pub min_settle_seconds: f64,
}

impl From<&SettingLimits> for SettingLimitsView {
    fn from(limits: &SettingLimits) -> Self {
        Self {
            min_cooldown_seconds: limits.min_cooldown.as_secs_f64(),
            max_step_size: limits.max_step_size,
            min_settle_seconds: limits.min_settle.as_secs_f64(),
        }
    }
}

/// How long the last steps of a resource took, of each direction at most 50: from sending a change until a reading showed
/// the resource ready. Steps that were not confirmed, that another program interfered with, or that the gateway could not
/// watch are left out. Estimates and plans rest on them from the fifth on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = StepDurations)]
pub struct StepDurationsView {
    /// Those that added units; `null` while there are none.
    pub up: Option<DurationSummaryView>,
    /// Those that removed units; `null` while there are none.
    pub down: Option<DurationSummaryView>,
}

impl From<&StepDurations> for StepDurationsView {
    fn from(durations: &StepDurations) -> Self {
        let of = |op| durations.observed(op).map(DurationSummaryView::from);
        Self { up: of(Op::Add), down: of(Op::Remove) }
    }
}

/// What the last steps of one direction took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DurationSummary)]
pub struct DurationSummaryView {
    /// Half of them took no longer, in seconds.
    #[schema(minimum = 0)]
    pub p50_seconds: f64,
    /// Nine in ten of them took no longer, in seconds.
    #[schema(minimum = 0)]
    pub p90_seconds: f64,
    /// How many they are.
    #[schema(minimum = 1, maximum = 50)]
    pub count: usize,
}

impl From<DurationSummary> for DurationSummaryView {
    fn from(summary: DurationSummary) -> Self {
        Self { p50_seconds: summary.p50.as_secs_f64(), p90_seconds: summary.p90.as_secs_f64(), count: summary.count }
    }
}

/// A page of the resources that are listed in the configuration or were scaled lately.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResourceList {
    /// The resources of the page, in the order of their aliases.
    pub resources: Vec<Resource>,
    /// The `pageToken` of the next page; `null` on the last one.
    pub next_page_token: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_shown_from_the_first_step_of_a_direction_on() {
        let shown = |durations: &StepDurations| serde_json::to_value(StepDurationsView::from(durations)).expect("JSON");
        let mut durations = StepDurations::default();
        assert_eq!(shown(&durations), serde_json::json!({"up": null, "down": null}));
        durations.note(Op::Remove, Duration::from_millis(7250));
        durations.note(Op::Remove, Duration::from_secs(3));
        let down = serde_json::json!({"p50Seconds": 3.0, "p90Seconds": 7.25, "count": 2});
        assert_eq!(shown(&durations), serde_json::json!({"up": null, "down": down}));
    }
}
