//! The examples of alerts.

use serde_json::{Value, json};

/// A notification of Alertmanager with an alert that fires and one that names no resource, without what is ignored.
pub fn example_notification() -> Value {
    json!({
        "truncatedAlerts": 0,
        "alerts": [
            {
                "status": "firing", "startsAt": "2026-01-31T12:00:00.000Z",
                "labels": {"alertname": "QueueLong", "scalegate_resource": "worker", "scalegate_units": "8"},
                "annotations": {"summary": "812 jobs wait"}, "fingerprint": "c5e1a0b3f7d29846"
            },
            {
                "status": "firing", "startsAt": "2026-01-31T12:00:00.000Z", "labels": {"alertname": "Watchdog"},
                "annotations": {}, "fingerprint": "0c4f3b5d9e8a7261"
            }
        ]
    })
}

/// The answer to it.
pub fn example_alert_results() -> Value {
    json!({"unheard": 0, "alerts": [
        {"fingerprint": "c5e1a0b3f7d29846", "resource": "worker", "outcome": "claimed",
         "claim": "0198c3f2-7a00-7000-8000-000000000009", "code": null, "detail": null},
        {"fingerprint": "0c4f3b5d9e8a7261", "resource": null, "outcome": "skipped", "claim": null, "code": null,
         "detail": "The label scalegate_resource is missing."}
    ]})
}
