//! Examples of groups.

use serde_json::{Value, json};

use super::example_actor;

fn waiting() -> Value {
    json!({
        "reason": "stage", "until": "2026-02-01T12:00:00.000Z",
        "detail": "Waiting for the earlier stages of its group to succeed."
    })
}

/// A group in its first of two stages.
pub fn example_group() -> Value {
    json!({
        "id": "0198c3f2-7a00-7000-8000-000000000007", "state": "running",
        "members": [
            {
                "resource": "db", "jobId": "0198c3f2-7a00-7000-8000-000000000008", "stage": 1, "state": "running",
                "targetCapacity": 3, "startCapacity": 1, "currentCapacity": 2,
                "waitingFor": {"reason": "cooldown", "until": "2026-01-31T12:05:00.000Z",
                    "detail": "Cooling down until 2026-01-31T12:05:00.000Z."},
                "error": null, "restore": null
            },
            {
                "resource": "worker", "jobId": "0198c3f2-7a00-7000-8000-000000000009", "stage": 2, "state": "queued",
                "targetCapacity": 2, "startCapacity": null, "currentCapacity": null, "waitingFor": waiting(),
                "error": null, "restore": null
            }
        ],
        "onFailure": "stop",
        "progress": {"completedSteps": 1, "totalSteps": null, "percent": 0, "estimatedCompletionAt": null},
        "error": null, "reason": "new release", "labels": {"team": "data"}, "submittedBy": example_actor(),
        "canceled": false, "canceledBy": null, "createdAt": "2026-01-31T12:00:00.000Z", "finishedAt": null,
        "version": 9
    })
}

/// The same, canceled before its second stage.
pub fn example_canceled_group() -> Value {
    let mut group = example_group();
    group["state"] = json!("canceled");
    group["canceled"] = json!(true);
    group["canceledBy"] = example_actor();
    group["finishedAt"] = json!("2026-01-31T12:02:00.000Z");
    group["version"] = json!(13);
    for member in 0..2 {
        group["members"][member]["state"] = json!("canceled");
        group["members"][member]["waitingFor"] = Value::Null;
    }
    group
}

/// A plan of two stages with a member each.
pub fn example_group_plan() -> Value {
    let mut db = super::example_plan();
    db["resource"] = json!("db");
    json!({
        "stages": [
            {"stage": 1, "members": [db], "estimatedSeconds": 600.0},
            {"stage": 2, "members": [super::example_plan()], "estimatedSeconds": 600.0}
        ],
        "estimatedCompletionAt": "2026-01-31T12:20:00.000Z", "joins": null
    })
}

/// The beginning of a stream.
pub fn example_group_events() -> String {
    format!(
        "retry: 2000\n\nevent: ready\ndata: {{\"resumed\":false}}\n\nid: 9\nevent: group\ndata: {}\n\n",
        example_group()
    )
}
