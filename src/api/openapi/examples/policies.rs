//! The examples of policies, decisions, holds and claims.

use serde_json::{Value, json};

/// A policy with a target rule and office hours, as it is answered.
pub fn example_policy() -> Value {
    json!({
        "mode": "active", "min": 1, "max": 20,
        "metrics": {"queue": {
            "source": {"type": "push"}, "maxAgeSeconds": 300, "windowSeconds": 0, "allowNegative": false
        }},
        "rules": [
            {"name": "queue", "type": "target", "metric": "queue", "perUnit": 100, "onMissing": "hold"},
            {"name": "office", "type": "schedule", "timeZone": "Europe/Berlin", "days": ["MON", "TUE", "WED", "THU", "FRI"],
             "from": "09:00", "to": "17:00", "min": 10, "ready": "before"}
        ],
        "behavior": {"up": {"stabilizationSeconds": 0}, "down": {"stabilizationSeconds": 300}},
        "job": {"expectedChangeSeconds": 300},
        "resource": "worker", "revision": 7, "updatedAt": "2026-01-31T09:30:00.000Z",
        "updatedBy": {"kind": "key", "key": "4fJ2kQ9xZa", "name": "ops", "revision": null},
        "summary": ["Keeps worker between 1 and 20."], "warnings": []
    })
}

/// The same policy in a list.
pub fn example_policy_entry() -> Value {
    json!({
        "resource": "worker", "revision": 7, "mode": "active", "inFile": false, "updatedAt": "2026-01-31T09:30:00.000Z",
        "updatedBy": {"kind": "key", "key": "4fJ2kQ9xZa", "name": "ops", "revision": null}
    })
}

/// Its revisions: the last one ended it.
pub fn example_policy_revisions() -> Value {
    json!({"revisions": [{
        "revision": 8, "at": "2026-01-31T18:00:00.000Z",
        "by": {"kind": "key", "key": "4fJ2kQ9xZa", "name": "ops", "revision": null}, "policy": null
    }]})
}

/// A decision of that policy.
pub fn example_decision() -> Value {
    json!({
        "id": "0198c3f2-7a00-7000-8000-00000000000d", "resource": "worker", "at": "2026-01-31T12:00:00.111Z",
        "trigger": "metric", "mode": "active", "policyRevision": 7, "capacity": 3, "status": "ACTIVE", "target": 3,
        "metrics": {"queue": {
            "state": "fresh", "value": 812.0, "observedAt": "2026-01-31T12:00:00.108Z", "ageSeconds": 0.003, "reason": null
        }},
        "lastMetrics": null,
        "rules": [
            {"name": "queue", "wants": 9, "min": null, "max": null, "detail": "812 at 100 per unit needs 9"},
            {"name": "office", "wants": null, "min": 10, "max": null, "detail": "until 17:00 Europe/Berlin"}
        ],
        "stages": [{"stage": "rules", "value": 9, "detail": null}, {"stage": "windows", "value": 10, "detail": "min 10 by office"}],
        "wanted": 9, "decided": 10, "limitedBy": "windows", "action": "submitted",
        "jobId": "0198c3f2-7a00-7000-8000-000000000001",
        "otherwiseIf": [{"rule": "queue", "above": 900.0, "wants": 10}, {"rule": "queue", "atMost": 800.0, "wants": 8}],
        "detail": "From 3 to 10: office needs 10 until 17:00; queue alone would need 9.", "count": 1,
        "lastAt": "2026-01-31T12:00:00.111Z"
    })
}

/// The policy as the resource shows it.
pub fn example_resource_policy() -> Value {
    let decision = example_decision();
    json!({
        "revision": 7, "mode": "active", "inFile": false, "decided": decision["decided"], "decidedAt": decision["lastAt"],
        "detail": decision["detail"], "lastDecision": decision, "jobId": decision["jobId"],
        "conditions": [{
            "code": "back_off", "direction": "remove", "until": "2026-01-31T12:04:00.000Z",
            "detail": "A job failed on the way down (sidecar_rejected); the next one begins after 12:04."
        }],
        "forecasts": []
    })
}

/// What is ahead of that policy.
pub fn example_outlook() -> Value {
    json!({
        "from": "2026-01-31T12:00:00.000Z", "to": "2026-02-01T12:00:00.000Z",
        "transitions": [{
            "at": "2026-01-31T16:00:00.000Z", "local": "2026-01-31T17:00:00+01:00", "rule": "office", "opens": false,
            "min": 10, "max": null
        }],
        "forecast": [{
            "rule": "ahead", "metric": "rps", "state": "trusted",
            "points": [{"at": "2026-01-31T12:00:00.000Z", "middle": 812.0, "upper": 905.5}]
        }],
        "claims": [{
            "id": "0198c3f2-7a00-7000-8000-000000000009", "units": 8, "kind": "atLeast", "from": "2026-01-31T12:00:00.000Z",
            "until": "2026-01-31T14:00:00.000Z"
        }],
        "planned": [
            {"at": "2026-01-31T12:00:00.000Z", "capacity": 10}, {"at": "2026-01-31T16:01:00.000Z", "capacity": 9}
        ]
    })
}

/// A hold on all changes.
pub fn example_hold() -> Value {
    json!({
        "direction": "both", "capacity": null, "until": "2026-01-31T16:00:00.000Z", "reason": "database migration",
        "by": {"kind": "key", "key": "4fJ2kQ9xZa", "name": "ops", "revision": null},
        "createdAt": "2026-01-31T12:00:00.000Z", "note": null
    })
}

/// A claim that is met.
pub fn example_claim() -> Value {
    json!({
        "id": "0198c3f2-7a00-7000-8000-000000000009", "resource": "worker", "units": 8, "kind": "atLeast",
        "from": "2026-01-31T12:00:00.000Z", "until": "2026-01-31T14:00:00.000Z", "owner": "nightly import", "reason": null,
        "by": {"kind": "key", "key": "4fJ2kQ9xZa", "name": "queue watcher", "revision": null},
        "createdAt": "2026-01-31T12:00:00.000Z", "satisfied": true
    })
}

/// A backtest of that policy over a quiet hour.
pub fn example_backtest() -> Value {
    let run = |name: &str, [unmet, share, short, hours, ratio]: [f64; 5], peak: u32, events: Value| {
        let changes = events.as_array().map_or(0, Vec::len);
        json!({
            "name": name, "unmetUnitHours": unmet, "unmetShare": share, "underProvisionedShare": short, "unitHours": hours,
            "costRatio": ratio, "changes": changes, "reversals": 0, "peak": peak, "events": events
        })
    };
    let change = |minute: u32, ready: u32| {
        json!({"at": format!("2026-01-31T12:{minute}:00.000Z"), "op": "add", "units": 1, "from": 3, "to": 4,
               "readyAt": format!("2026-01-31T12:{ready}:00.000Z")})
    };
    json!({
        "resource": "worker", "from": "2026-01-31T12:00:00.000Z", "to": "2026-01-31T13:00:00.000Z",
        "learnFrom": "2025-12-27T13:00:00.000Z", "demand": {"metric": "queue", "perUnit": 100.0},
        "plant": {
            "provisioningSeconds": 300.0, "removalSeconds": 0.0, "stepSize": 1, "cooldownSeconds": 300.0, "capacity": 3
        },
        "leastUnitHours": null,
        "runs": [
            run("policy", [0.08, 0.023, 0.08, 3.5, 0.978], 4, json!([change(30, 35)])),
            run("limit", [0.0, 0.0, 0.0, 3.58, 1.0], 4, json!([change(25, 30)])),
            run("fixed mean", [0.0, 0.0, 0.0, 4.0, 1.117], 4, json!([])),
            run("fixed peak", [0.0, 0.0, 0.0, 4.0, 1.117], 4, json!([]))
        ],
        "warnings": [], "remarks": []
    })
}
