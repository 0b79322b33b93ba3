//! What was recorded of metrics, as backtests play it: by the minute.
//!
//! The mean of a minute counts from its beginning, for what is needed as for the policy, as in a file of values. Rejected: raw
//! values where there are some, because a backtest would be another one two hours later.

use std::time::Duration;

use crate::api::ApiState;
use crate::api::caller::Caller;
use crate::api::problem::{ApiError, Code};
use crate::backtest::{Recording, Recordings};
use crate::domain::policy::{Name, Policy};
use crate::domain::{Alias, Bounds, Capacity, Timestamp};
use crate::store::{MINUTE_RETENTION, minutes};

const MINUTE: Duration = Duration::from_mins(1);
/// The beginning of all that is kept at `now`.
pub fn begin(now: Timestamp) -> Timestamp {
    now - MINUTE_RETENTION
}

/// The values of the metrics with these `names` from the minute of `from` to before `to`.
///
/// # Errors
/// If the store cannot be read.
pub async fn recordings(
    state: &ApiState,
    caller: &Caller,
    resource: &Alias,
    names: &[&Name],
    from: Timestamp,
    to: Timestamp,
) -> Result<Recordings, ApiError> {
    let mut recordings = Recordings::new();
    for name in names {
        let (resource, metric) = (resource.clone(), (*name).clone());
        let read =
            state.read(caller, "metric", async move |reader| minutes(&*reader, &resource, &metric, from, to).await);
        let rows = read.await?;
        let recording = Recording::new(rows).map_err(|error| {
            tracing::error!(error = &error as &dyn std::error::Error, metric = name.as_str(), "cannot play a metric");
            ApiError::new(Code::InternalError, "What was recorded of a metric is not in the order of time.")
        })?;
        recordings.insert((*name).clone(), recording);
    }
    Ok(recordings)
}

/// `policy` as it is played: a value stands for its minute, and the operator's `bounds` hold as they do live.
pub fn as_recorded(policy: &Policy, bounds: Bounds) -> Policy {
    let mut played = policy.clone();
    for spec in played.metrics.values_mut() {
        spec.max_age = spec.max_age.max(MINUTE);
    }
    let within = |capacity: Capacity| capacity.clamp(bounds.min, bounds.max);
    Policy { min: within(policy.min), max: within(policy.max), ..played }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::policy::Document;

    /// Otherwise a metric that is asked for every 10 s would be missing for half of each minute.
    #[test]
    fn a_value_counts_for_its_minute_and_the_operators_bounds_hold() {
        let source = json!({"type": "push"});
        let document = json!({"min": 1, "max": 20,
            "metrics": {"often": {"source": source, "maxAgeSeconds": 30}, "seldom": {"source": source, "maxAgeSeconds": 90}},
            "rules": [{"name": "often", "type": "target", "metric": "often", "perUnit": 1}]});
        let policy = Document::from(document).policy().expect("a policy");
        let units = |units: u32| Capacity::try_from(units).expect("a small number");
        let played = as_recorded(&policy, Bounds { min: units(2), max: units(9) });
        let ages: Vec<u64> = played.metrics.values().map(|spec| spec.max_age.as_secs()).collect();
        assert_eq!((ages, played.min, played.max), (vec![60, 90], units(2), units(9)));
    }
}
