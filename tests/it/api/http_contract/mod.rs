//! The HTTP contract, over sockets against the real binary: what callers can rely on when they do everything right, or
//! are refused for a reason that is not in their request.

mod conflicts;
mod idempotency;
mod jobs;
mod polling;
mod resources;

use std::time::Duration;

use crate::support::gateway::{Gateway, Response};
use crate::support::sidecar::Sidecar;
use scalegate::api::view::JobView;
use scalegate::sim::sidecar::{Behaviour, RecordKind};
use serde_json::json;
use tempfile::TempDir;

/// A job with these settings and more than one step to go waits in its first cooldown for as long as a test lasts.
const LONG_COOLDOWN: [&str; 6] = ["--cooldown", "10m", "--settle", "500ms", "--poll-interval", "100ms"];
const SHORT_COOLDOWN: [&str; 6] = ["--cooldown", "600ms", "--settle", "300ms", "--poll-interval", "50ms"];

struct Scene {
    gateway: Gateway,
    sidecar: Sidecar,
    dir: TempDir,
}

impl Scene {
    fn start(more: &[&str]) -> Self {
        let behaviour = Behaviour { provisioning: Duration::from_millis(200), ..Behaviour::default() };
        let (sidecar, dir) = (Sidecar::start(behaviour), TempDir::new().expect("a directory"));
        let gateway = Gateway::start(dir.path(), sidecar.address(), more);
        Self { gateway, sidecar, dir }
    }

    fn restarted(self, more: &[&str]) -> Self {
        let Self { gateway, sidecar, dir } = self;
        gateway.kill();
        let gateway = Gateway::start(dir.path(), sidecar.address(), more);
        Self { gateway, sidecar, dir }
    }

    /// A job that is cooling down and will be for long.
    async fn cooling_job(&self, resource: &str) -> JobView {
        let id = self.gateway.submit(&json!({"resource": resource, "targetCapacity": 8})).await.id;
        let cools = |job: &JobView| job.waiting_for.as_ref().is_some_and(|waiting| waiting.reason == "cooldown");
        self.gateway.wait_for(id, cools).await
    }

    fn changes(&self) -> usize {
        let is_change = |kind| matches!(kind, RecordKind::Add | RecordKind::Remove);
        self.sidecar.with(|model, now| model.records(now).iter().filter(|record| is_change(record.kind)).count())
    }
}

fn seconds(response: &Response, header: &str) -> u64 {
    response.header(header).unwrap_or_else(|| panic!("no {header}: {response:?}")).parse().expect("a whole number")
}

fn parsed<T: serde::de::DeserializeOwned>(response: &Response) -> T {
    assert_eq!(response.status, 200, "{}", String::from_utf8_lossy(&response.body));
    serde_json::from_slice(&response.body).unwrap_or_else(|error| panic!("{error}: {:?}", response.json()))
}
