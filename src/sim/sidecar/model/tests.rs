use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::domain::{Bounds, MAX_CAPACITY};

mod faults;

const PROVISIONING: Duration = Duration::from_secs(60);

/// A time in seconds after noon, 31 January 2026.
fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(1_769_860_800_000 + seconds * 1_000)
}

fn worker() -> Alias {
    "worker".parse().expect("an alias")
}

fn units(units: i64) -> Capacity {
    Capacity::new(units).expect("a small number")
}

/// A model of resources that start at 1, within 0..=10, and take a minute to provision, changed by `change`.
fn model(change: impl FnOnce(&mut Behaviour)) -> Model {
    let mut behaviour = Behaviour {
        bounds: Bounds { min: units(0), max: units(10) },
        provisioning: PROVISIONING,
        ..Behaviour::default()
    };
    change(&mut behaviour);
    Model::new(behaviour, 1)
}

fn body(answer: &Answer, expected_status: u16) -> Value {
    match &answer.reply {
        Reply::Response { status, body } if *status == expected_status => serde_json::from_str(body).expect("JSON"),
        other => panic!("expected a {expected_status}, got {other:?}"),
    }
}

/// Status and capacity as a client sees them.
fn seen(model: &mut Model, seconds: i64) -> (String, i64) {
    let reading = body(&model.read(at(seconds), &worker()), 200);
    let status = reading["status"].as_str().expect("a status").to_owned();
    (status, reading["currentCapacity"].as_i64().expect("a capacity"))
}

fn add(model: &mut Model, seconds: i64, units: i64) -> Answer {
    model.change(at(seconds), &worker(), Op::Add, units)
}

fn remove(model: &mut Model, seconds: i64, units: i64) -> Answer {
    model.change(at(seconds), &worker(), Op::Remove, units)
}

fn capacity(model: &mut Model, seconds: i64) -> u32 {
    model.true_capacity(at(seconds), &worker()).units()
}

fn all(model: &mut Model, seconds: i64) -> Vec<(RecordKind, i64)> {
    model.records(at(seconds)).iter().map(|record| (record.kind, record.units)).collect()
}

#[test]
fn answers_have_the_documented_form() {
    let mut model = model(|_| {});
    assert_eq!(
        body(&model.read(at(0), &worker()), 200),
        json!({"instanceId": "instance-simulated", "resourceId": "r-worker", "resourceAlias": "worker",
               "status": "ACTIVE", "currentCapacity": 1, "lastObservedTimestamp": "2026-01-31T12:00:00.000Z"})
    );
    let changed = json!({"instanceId": "instance-simulated", "resourceId": "r-worker", "resourceAlias": "worker"});
    assert_eq!(body(&add(&mut model, 0, 2), 200), changed);
    assert_eq!(body(&remove(&mut model, 0, 1), 200), changed);
    let mut refusal = body(&add(&mut model, 0, 0), 400);
    let id = refusal["id"].take();
    assert!(id.as_str().is_some_and(|id| id.starts_with("sim-")), "{id}");
    assert_eq!(
        refusal,
        json!({"name": "bad_request", "id": null, "message": "0 is not a number of units to add",
               "temporary": false, "timeout": false, "fault": false})
    );
}

#[test]
fn a_change_counts_at_once_and_is_active_when_provisioned() {
    for (goal_while_modifying, status, shown) in [(true, "MODIFYING", 3), (false, "SCALING", 1)] {
        let mut model = model(|behaviour| behaviour.goal_while_modifying = goal_while_modifying);
        body(&add(&mut model, 0, 2), 200);
        assert_eq!(capacity(&mut model, 0), 3);
        assert_eq!(seen(&mut model, 0), (status.to_owned(), shown));
        assert_eq!(seen(&mut model, 59), (status.to_owned(), shown));
        assert_eq!(seen(&mut model, 60), ("ACTIVE".to_owned(), 3));
    }
}

#[test]
fn units_are_positive_and_believable() {
    let mut model = model(|behaviour| behaviour.bounds = Bounds::NONE);
    for wrong in [0, -1, i64::MIN, i64::MAX, i64::from(MAX_CAPACITY) + 1] {
        body(&add(&mut model, 0, wrong), 400);
        body(&remove(&mut model, 0, wrong), 400);
    }
    assert_eq!(capacity(&mut model, 0), 1);
    body(&add(&mut model, 0, i64::from(MAX_CAPACITY) - 1), 200);
    body(&add(&mut model, 0, 1), 400);
    assert_eq!(capacity(&mut model, 0), MAX_CAPACITY);
}

#[test]
fn the_bounds_hold_in_the_way_chosen() {
    let from_5 = |outside_bounds| {
        model(|behaviour| {
            behaviour.start_capacity = units(5);
            behaviour.bounds = Bounds { min: units(3), max: units(7) };
            behaviour.outside_bounds = outside_bounds;
        })
    };
    for (outside_bounds, status, after_add, after_remove) in
        [(OutsideBounds::Reject, 400, 5, 5), (OutsideBounds::Clamp, 200, 7, 3), (OutsideBounds::Ignore, 200, 5, 5)]
    {
        let (mut up, mut down) = (from_5(outside_bounds), from_5(outside_bounds));
        body(&add(&mut up, 0, 3), status);
        assert_eq!(capacity(&mut up, 0), after_add, "{outside_bounds:?}");
        body(&remove(&mut down, 0, 3), status);
        assert_eq!(capacity(&mut down, 0), after_remove, "{outside_bounds:?}");

        let (mut up, mut down) = (from_5(outside_bounds), from_5(outside_bounds));
        body(&add(&mut up, 0, 2), 200);
        body(&remove(&mut down, 0, 2), 200);
        assert_eq!((capacity(&mut up, 0), capacity(&mut down, 0)), (7, 3), "{outside_bounds:?}");
    }
}

#[test]
fn a_capacity_outside_the_bounds_is_never_moved_the_wrong_way() {
    let mut model = model(|behaviour| {
        behaviour.bounds = Bounds { min: units(3), max: units(7) };
        behaviour.outside_bounds = OutsideBounds::Clamp;
    });
    for (outside, op, expected) in [(9, Op::Add, 9), (9, Op::Remove, 8), (1, Op::Remove, 1), (1, Op::Add, 2)] {
        assert!(model.set_capacity(at(0), &worker(), units(outside)));
        body(&model.change(at(0), &worker(), op, 1), 200);
        assert_eq!(capacity(&mut model, 0), expected, "{op} at {outside}");
    }
    let moved: Vec<_> = all(&mut model, 0).into_iter().filter(|(kind, _)| !kind.is_request()).collect();
    let set = RecordKind::SetByOther;
    let expected =
        [(set, 8), (set, 0), (RecordKind::RemoveApplied, 1), (set, 7), (set, 0), (RecordKind::AddApplied, 1)];
    assert_eq!(moved, expected, "what moves nothing was not applied");
}

#[test]
fn a_late_application_shows_nothing_until_it_happens() {
    let mut model = model(|behaviour| behaviour.apply_delay = Duration::from_secs(30));
    body(&add(&mut model, 0, 2), 200);
    body(&add(&mut model, 5, 3), 200);
    assert_eq!((capacity(&mut model, 29), seen(&mut model, 29)), (1, ("ACTIVE".to_owned(), 1)));
    assert_eq!((capacity(&mut model, 30), seen(&mut model, 30)), (3, ("MODIFYING".to_owned(), 3)));
    // No request came when the second one fell due, and still it happened then.
    assert_eq!(seen(&mut model, 94), ("MODIFYING".to_owned(), 6));
    assert_eq!(seen(&mut model, 95), ("ACTIVE".to_owned(), 6));
    let applied: Vec<_> =
        model.records(at(95)).iter().filter(|r| r.kind == RecordKind::AddApplied).map(|r| (r.at, r.units)).collect();
    assert_eq!(applied, [(at(30), 2), (at(35), 3)]);
}

#[test]
fn late_applications_stay_within_the_bounds() {
    let mut model = model(|behaviour| behaviour.apply_delay = Duration::from_secs(30));
    body(&add(&mut model, 0, 6), 200);
    body(&add(&mut model, 0, 6), 200);
    assert_eq!(capacity(&mut model, 30), 10);
    assert_eq!(all(&mut model, 30)[2..], [(RecordKind::AddApplied, 6), (RecordKind::AddApplied, 3)]);
}

#[test]
fn readings_lag_and_say_so_as_chosen() {
    for (timestamps, stamp) in [
        (TimestampMode::Honest, json!("2026-01-31T12:00:03.999Z")),
        (TimestampMode::Fresh, json!("2026-01-31T12:00:13.999Z")),
        (TimestampMode::Missing, Value::Null),
        (TimestampMode::Zero, json!("0001-01-01T00:00:00Z")),
    ] {
        let mut model = model(|behaviour| {
            behaviour.read_lag = Duration::from_secs(10);
            behaviour.timestamps = timestamps;
        });
        model.change(at(4), &worker(), Op::Add, 2);
        let almost = at(14) - Duration::from_millis(1);
        let reading = body(&model.read(almost, &worker()), 200);
        assert_eq!((&reading["status"], &reading["currentCapacity"]), (&json!("ACTIVE"), &json!(1)));
        assert_eq!(reading.get("lastObservedTimestamp").unwrap_or(&Value::Null), &stamp);
        assert_eq!(reading.get("lastObservedTimestamp").is_none(), timestamps == TimestampMode::Missing);
        assert_eq!(seen(&mut model, 14), ("MODIFYING".to_owned(), 3));
        assert_eq!(seen(&mut model, 73), ("MODIFYING".to_owned(), 3));
        assert_eq!(seen(&mut model, 74), ("ACTIVE".to_owned(), 3));
    }
}

#[test]
fn zero_has_a_status_of_its_own() {
    for status in ["PAUSED", "UNKNOWN", "DEPLOYING", "ACTIVE"] {
        let mut model = model(|behaviour| behaviour.status_at_zero = status.to_owned());
        remove(&mut model, 0, 1);
        assert_eq!(seen(&mut model, 59), ("MODIFYING".to_owned(), 0));
        assert_eq!(seen(&mut model, 60), (status.to_owned(), 0));
        add(&mut model, 60, 1);
        assert_eq!(seen(&mut model, 120), ("ACTIVE".to_owned(), 1));
    }
}

#[test]
fn may_never_become_active_again() {
    let mut model = model(|behaviour| behaviour.never_active = true);
    assert_eq!(seen(&mut model, 0), ("ACTIVE".to_owned(), 1), "nothing has changed yet");
    add(&mut model, 0, 1);
    assert_eq!(seen(&mut model, 1_000_000), ("MODIFYING".to_owned(), 2));
    model.behaviour_mut().never_active = false;
    add(&mut model, 1_000_000, 1);
    assert_eq!(seen(&mut model, 1_000_060), ("ACTIVE".to_owned(), 3));
}

#[test]
fn an_overridden_status_hides_every_other() {
    let mut model = model(|behaviour| behaviour.status_override = Some("FAILED".to_owned()));
    assert_eq!(seen(&mut model, 0), ("FAILED".to_owned(), 1));
    add(&mut model, 0, 1);
    assert_eq!(seen(&mut model, 1), ("FAILED".to_owned(), 2));
    model.behaviour_mut().status_override = None;
    assert_eq!(seen(&mut model, 1), ("MODIFYING".to_owned(), 2));
}

#[test]
fn a_busy_resource_may_refuse_changes() {
    let delay = Duration::from_secs(30);
    for busy_conflict in [false, true] {
        let mut model = model(|behaviour| {
            behaviour.busy_conflict = busy_conflict;
            behaviour.apply_delay = delay;
        });
        add(&mut model, 0, 1);
        let while_busy = if busy_conflict { 409 } else { 200 };
        let waiting = body(&add(&mut model, 29, 1), while_busy);
        body(&model.change(at(29), &"other".parse().expect("an alias"), Op::Add, 1), 200);
        body(&add(&mut model, 89, 1), while_busy);
        if busy_conflict {
            assert_eq!(waiting["name"], "invalid_state");
            body(&add(&mut model, 90, 1), 200);
            assert_eq!(capacity(&mut model, 120), 3);
        }
    }
}

#[test]
fn only_known_resources_exist_if_any_are_known() {
    let mut model = model(|behaviour| behaviour.known = Some(BTreeSet::from([worker()])));
    let ghost: Alias = "ghost".parse().expect("an alias");
    body(&model.read(at(0), &worker()), 200);
    assert_eq!(body(&model.read(at(0), &ghost), 404)["name"], "not_found");
    body(&model.change(at(0), &ghost, Op::Add, 1), 404);
    assert!(!model.set_capacity(at(0), &ghost, units(3)));
    assert_eq!(model.true_capacity(at(0), &ghost), Capacity::ZERO);
}

#[test]
fn resources_and_waiting_changes_are_limited() {
    let mut model = model(|behaviour| {
        behaviour.apply_delay = Duration::from_secs(1);
        behaviour.max_records = Some(10);
    });
    for _ in 0..MAX_PENDING {
        body(&add(&mut model, 0, 1), 200);
    }
    body(&add(&mut model, 0, 1), 400);
    assert_eq!(model.records(at(0)).len(), 10);
    for number in 1..MAX_RESOURCES {
        model.read(at(0), &format!("r{number}").parse().expect("an alias"));
    }
    body(&model.read(at(0), &"one-more".parse().expect("an alias")), 404);
    assert_eq!(capacity(&mut model, 1), 10, "those that exist go on");
}

#[test]
fn a_group_is_changed_part_by_part() {
    let mut model = model(|_| {});
    let api: Alias = "api".parse().expect("an alias");
    let parts = [(api.clone(), 2), (worker(), 3)];
    assert_eq!(
        body(&model.change_group(at(0), Op::Add, &parts), 200),
        json!({"instanceId": "instance-simulated", "resources": [
            {"resourceAlias": "api", "resourceId": "r-api"}, {"resourceAlias": "worker", "resourceId": "r-worker"}]})
    );
    assert_eq!((model.true_capacity(at(0), &api), capacity(&mut model, 0)), (units(3), 4));

    body(&model.change_group(at(1), Op::Remove, &[(api.clone(), 9), (worker(), 1)]), 400);
    assert_eq!((model.true_capacity(at(1), &api), capacity(&mut model, 1)), (units(3), 3));

    model.script_change(Fault::ErrorBefore);
    body(&model.change_group(at(2), Op::Add, &parts), 500);
    assert_eq!((model.true_capacity(at(2), &api), capacity(&mut model, 2)), (units(3), 3));
    body(&model.change_group(at(3), Op::Add, &[]), 400);
}

#[test]
fn changes_of_another_program_are_seen_and_logged() {
    let mut model = model(|_| {});
    assert!(model.set_capacity(at(0), &worker(), units(8)));
    assert_eq!(seen(&mut model, 59), ("MODIFYING".to_owned(), 8));
    assert_eq!(seen(&mut model, 60), ("ACTIVE".to_owned(), 8));
    let record = &model.records(at(60))[0];
    assert_eq!(
        (record.kind, record.capacity_before, record.capacity_after),
        (RecordKind::SetByOther, units(1), units(8))
    );
}

#[test]
fn the_log_is_a_referees() {
    let mut model = model(|_| {});
    model.read(at(0), &worker());
    add(&mut model, 1, 4);
    remove(&mut model, 2, 3);
    add(&mut model, 3, 99);
    let expected = [
        (at(0), RecordKind::Read, 0, 1, 1, Some(200)),
        (at(1), RecordKind::Add, 4, 1, 1, Some(200)),
        (at(1), RecordKind::AddApplied, 4, 1, 5, None),
        (at(2), RecordKind::Remove, 3, 5, 5, Some(200)),
        (at(2), RecordKind::RemoveApplied, 3, 5, 2, None),
        (at(3), RecordKind::Add, 99, 2, 2, Some(400)),
    ];
    let records: Vec<_> = model
        .records(at(3))
        .iter()
        .map(|r| (r.at, r.kind, r.units, r.capacity_before.units(), r.capacity_after.units(), r.status))
        .collect();
    assert_eq!(records, expected);
    assert_eq!(model.largest_capacity(at(3), &worker()), units(5));
}

#[test]
fn the_log_keeps_the_newest_or_all() {
    for (max_records, kept) in [(Some(3), 3), (None, 20_000)] {
        let mut model = model(|behaviour| behaviour.max_records = max_records);
        (0..20_000).for_each(|second| drop(model.read(at(second), &worker())));
        let records = model.records(at(20_000));
        assert_eq!((records.len(), records.back().map(|record| record.at)), (kept, Some(at(19_999))));
    }
}
