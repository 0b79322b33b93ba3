//! The HTTP contract, over sockets against the real binary: what callers can rely on when they do everything right, or
//! are refused for a reason that is not in their request.

mod alertmanager;
mod backtests;
mod conflicts;
mod groups;
mod idempotency;
mod jobs;
mod policies;
mod polling;
mod predictions;
mod resources;

use super::scene::Scene;
use crate::support::gateway::Response;
use scalegate::api::view::JobView;
use serde_json::json;

/// A job with these settings and more than one step to go waits in its first cooldown for as long as a test lasts.
const LONG_COOLDOWN: [&str; 6] = ["--cooldown", "10m", "--settle", "500ms", "--poll-interval", "100ms"];
const SHORT_COOLDOWN: [&str; 6] = ["--cooldown", "600ms", "--settle", "300ms", "--poll-interval", "50ms"];

impl Scene {
    /// A job that is cooling down and will be for long.
    async fn cooling_job(&self, resource: &str) -> JobView {
        let id = self.gateway.submit(&json!({"resource": resource, "targetCapacity": 8})).await.id;
        let cools = |job: &JobView| job.waiting_for.as_ref().is_some_and(|waiting| waiting.reason == "cooldown");
        self.gateway.wait_for(id, cools).await
    }
}

fn seconds(response: &Response, header: &str) -> u64 {
    response.header(header).unwrap_or_else(|| panic!("no {header}: {response:?}")).parse().expect("a whole number")
}

fn parsed<T: serde::de::DeserializeOwned>(response: &Response) -> T {
    assert_eq!(response.status, 200, "{}", String::from_utf8_lossy(&response.body));
    serde_json::from_slice(&response.body).unwrap_or_else(|error| panic!("{error}: {:?}", response.json()))
}
