//! The examples in the OpenAPI document: one story of a resource, its job, and the keys of its callers. They must fit their
//! types, which the tests below check.

mod alerts;
mod groups;
mod policies;

use serde_json::{Value, json};

pub use alerts::{example_alert_results, example_notification};
pub use groups::{example_canceled_group, example_group, example_group_events, example_group_plan};
pub use policies::{
    example_backtest, example_claim, example_decision, example_hold, example_outlook, example_policy,
    example_policy_entry, example_policy_revisions, example_resource_policy,
};

use crate::api::view::SettingsView;
use crate::domain::Settings;

/// The owner of a key.
fn example_actor() -> Value {
    json!({"kind": "key", "key": "4fJ2kQ9xZa", "name": "queue watcher", "revision": null})
}

/// A job on its way from 1 to 5.
pub fn example_job() -> Value {
    json!({
        "id": "0198c3f2-7a00-7000-8000-000000000001", "resource": "worker", "state": "running",
        "targetCapacity": 5, "delta": null, "startCapacity": 1, "currentCapacity": 2,
        "waitingFor": {
            "reason": "cooldown", "until": "2026-01-31T12:05:00.131Z",
            "detail": "Cooling down until 2026-01-31T12:05:00.131Z after the change at 2026-01-31T12:00:00.111Z."
        },
        "progress": {
            "completedSteps": 1, "totalSteps": 4, "percent": 25, "estimatedCompletionAt": "2026-01-31T12:16:00.131Z"
        },
        "steps": [{
            "index": 1, "op": "add", "units": 1, "fromCapacity": 1, "toCapacity": 2,
            "sentAt": "2026-01-31T12:00:00.111Z", "resolvedAt": "2026-01-31T12:00:31.420Z", "outcome": "confirmed"
        }],
        "groupId": null, "externalChanges": [], "retargets": [], "retargetCount": 0,
        "settings": example_settings(),
        "reason": "queue depth 812", "labels": {"team": "data"},
        "submittedBy": example_actor(), "canceledBy": null, "error": null, "endingAs": null, "supersededBy": null,
        "createdAt": "2026-01-31T12:00:00.007Z", "startedAt": "2026-01-31T12:00:00.007Z",
        "updatedAt": "2026-01-31T12:01:02.004Z", "deadlineAt": "2026-02-01T12:00:00.007Z", "finishedAt": null,
        "version": 7, "note": null
    })
}

/// The same job when it was accepted.
pub fn example_new_job() -> Value {
    let changes = json!({
        "startCapacity": null, "currentCapacity": null,
        "waitingFor": {
            "reason": "sidecar", "until": "2026-01-31T12:15:00.007Z", "detail": "Asked for the current capacity."
        },
        "progress": {"completedSteps": 0, "totalSteps": null, "percent": 0, "estimatedCompletionAt": null},
        "steps": [], "updatedAt": "2026-01-31T12:00:00.007Z", "version": 1
    });
    changed(example_job(), changes)
}

/// The same job after it was canceled.
pub fn example_canceled_job() -> Value {
    let changes = json!({
        "state": "canceled", "waitingFor": null, "endingAs": null,
        "canceledBy": example_actor(),
        "progress": {"completedSteps": 1, "totalSteps": 4, "percent": 25, "estimatedCompletionAt": null},
        "updatedAt": "2026-01-31T12:02:10.300Z", "finishedAt": "2026-01-31T12:02:10.300Z", "version": 8
    });
    changed(example_job(), changes)
}

/// `object` with the fields of `changes` put in.
fn changed(mut object: Value, changes: Value) -> Value {
    if let (Value::Object(object), Value::Object(changes)) = (&mut object, changes) {
        object.extend(changes);
    }
    object
}

fn example_settings() -> Value {
    serde_json::to_value(SettingsView::from(&Settings::DEFAULT)).unwrap_or_default()
}

/// A plan from 1 to 3.
pub fn example_plan() -> Value {
    json!({
        "resource": "worker", "startCapacity": 1, "targetCapacity": 3,
        "steps": [
            {"index": 1, "op": "add", "units": 1, "fromCapacity": 1, "toCapacity": 2,
             "earliestAt": "2026-01-31T12:00:00.000Z"},
            {"index": 2, "op": "add", "units": 1, "fromCapacity": 2, "toCapacity": 3,
             "earliestAt": "2026-01-31T12:05:00.000Z"}
        ],
        "estimatedCompletionAt": "2026-01-31T12:06:00.000Z",
        "settings": example_settings(),
        "joins": null
    })
}

/// The stream of a job that was resumed and is over soon after.
pub fn example_job_events() -> String {
    let job = changed(example_job(), json!({"version": 9}));
    format!("retry: 2000\n\nevent: ready\ndata: {{\"resumed\":true}}\n\nid: 1769860800018\nevent: job\ndata: {job}\n\n")
}

/// The stream of all changes, from now on.
pub fn example_events() -> String {
    let told = json!({"resource": "worker", "entry": example_timeline()["entries"][0]});
    let policy = json!({"resource": "worker", "revision": 7, "mode": "active"});
    format!(
        "retry: 2000\n\nid: 1769860800017\nevent: ready\ndata: {{\"resumed\":false}}\n\nevent: timeline\ndata: {told}\n\n\
         event: policy\ndata: {policy}\n\nevent: decision\ndata: {}\n\nid: 1769860800018\nevent: job\ndata: {}\n\n: heartbeat\n\n",
        example_decision(),
        example_job()
    )
}

/// What happened to a resource lately.
pub fn example_timeline() -> Value {
    let job = "0198c3f2-7a00-7000-8000-000000000001";
    json!({
        "entries": [
            {"at": "2026-01-31T12:01:02.000Z", "detail": "add 1 (1 -> 2) took effect.", "kind": "change_resolved",
             "job": job, "op": "add", "units": 1, "fromCapacity": 1, "toCapacity": 2, "outcome": "confirmed"},
            {"at": "2026-01-31T12:01:02.000Z", "detail": "ACTIVE at capacity 2.", "kind": "reading",
             "status": "ACTIVE", "capacity": 2},
            {"at": "2026-01-31T12:00:00.150Z", "detail": "Sent add 1 (1 -> 2).", "kind": "change_sent",
             "job": job, "op": "add", "units": 1, "fromCapacity": 1, "toCapacity": 2},
            {"at": "2026-01-31T12:00:00.000Z", "detail": "Asked to scale to 5: queue depth 812", "kind": "job_accepted",
             "job": job, "targetCapacity": 5, "delta": null, "reason": "queue depth 812"}
        ],
        "nextPageToken": "1f"
    })
}

/// A key to scale one resource.
pub fn example_key() -> Value {
    json!({
        "id": "4fJ2kQ9xZa", "name": "queue watcher", "scope": "scale", "resources": ["worker"], "state": "active",
        "configured": false, "createdAt": "2026-01-31T11:00:00.000Z", "expiresAt": null, "revokedAt": null,
        "lastUsedAt": "2026-01-31T12:00:00.007Z"
    })
}

/// The same key when it was made.
pub fn example_created_key() -> Value {
    json!({
        "secret": "sg_4fJ2kQ9xZa…", "key": changed(example_key(), json!({"lastUsedAt": null}))
    })
}

/// The same key after it was revoked.
pub fn example_revoked_key() -> Value {
    changed(example_key(), json!({"state": "revoked", "revokedAt": "2026-02-28T09:00:00.000Z"}))
}

/// Who has that key.
pub fn example_whoami() -> Value {
    json!({
        "anonymous": false, "id": "4fJ2kQ9xZa", "name": "queue watcher", "scopes": ["push", "read", "scale"], "resources": ["worker"],
        "admin": false, "expiresAt": null
    })
}

/// Who tried to change what lately.
pub fn example_audit() -> Value {
    let refused = json!({
        "at": "2026-01-31T12:00:05.000Z", "action": "submit_job", "outcome": "refused", "attempts": 1, "code": "authentication_required",
        "actor": null, "address": "192.0.2.7", "requestId": "1b4e28ba-2fa1-41d2-883f-0016d3cca427", "resource": null,
        "job": null, "group": null, "key": null
    });
    let accepted = json!({
        "at": "2026-01-31T12:00:00.007Z", "outcome": "accepted", "code": null,
        "actor": example_actor(), "address": "192.0.2.6",
        "requestId": "0b0b8c0e-7a9c-4a58-a1f5-4bd7e6b3a001", "resource": "worker",
        "job": "0198c3f2-7a00-7000-8000-000000000001"
    });
    json!({"entries": [refused, changed(refused.clone(), accepted)], "nextPageToken": "1f"})
}

/// A resource that is being scaled.
pub fn example_resource() -> Value {
    json!({
        "resource": "worker", "status": "ACTIVE", "capacity": 2,
        "lastObservation": {"observedAt": "2026-01-31T12:01:01.500Z", "receivedAt": "2026-01-31T12:01:02.000Z"},
        "readFailure": null,
        "bounds": {"min": 0, "max": 6},
        "settings": example_settings(),
        "settingLimits": {"minCooldownSeconds": 60.0, "maxStepSize": 2, "minSettleSeconds": 0.0},
        "cooldownRemainingSeconds": 238.1,
        "activeJob": "0198c3f2-7a00-7000-8000-000000000001", "queue": [],
        "lastOutcome": {"job": "0198c3e1-0000-7000-8000-000000000001", "state": "failed", "errorCode": "active_timeout",
                        "at": "2026-01-31T11:20:00.000Z"},
        "listed": true,
        "stepDurations": {"up": {"p50Seconds": 62.4, "p90Seconds": 80.15, "count": 12}, "down": null},
        "policy": example_resource_policy(), "hold": null, "claims": [example_claim()]
    })
}

/// The same resource in a list.
pub fn example_listed_resource() -> Value {
    let mut resource = example_resource();
    resource["policy"]["lastDecision"] = Value::Null;
    resource["claims"] = Value::Null;
    resource
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::audit::AuditList;
    use crate::api::keys::{CreatedKey, KeyView, WhoAmI};
    use crate::api::timeline::Timeline;
    use crate::api::view::{BacktestReport, GroupPlan, GroupView, HoldView, JobView, Plan, Resource};

    #[test]
    fn the_examples_are_what_the_types_say() {
        fn round_trip<T: serde::de::DeserializeOwned + serde::Serialize>(example: &Value) {
            let parsed: T = serde_json::from_value(example.clone()).expect("the example fits its type");
            assert_eq!(&serde_json::to_value(parsed).expect("serialisable"), example);
        }
        round_trip::<JobView>(&example_job());
        round_trip::<JobView>(&example_new_job());
        round_trip::<JobView>(&example_canceled_job());
        round_trip::<Plan>(&example_plan());
        round_trip::<GroupView>(&example_group());
        round_trip::<GroupView>(&example_canceled_group());
        round_trip::<GroupPlan>(&example_group_plan());
        round_trip::<Resource>(&example_resource());
        round_trip::<Resource>(&example_listed_resource());
        round_trip::<HoldView>(&example_hold());
        round_trip::<BacktestReport>(&example_backtest());
        round_trip::<Timeline>(&example_timeline());
        round_trip::<KeyView>(&example_key());
        round_trip::<KeyView>(&example_revoked_key());
        round_trip::<CreatedKey>(&example_created_key());
        round_trip::<WhoAmI>(&example_whoami());
        round_trip::<AuditList>(&example_audit());
    }
}
