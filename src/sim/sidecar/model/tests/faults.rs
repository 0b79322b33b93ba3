use super::*;
use crate::sim::sidecar::behaviour::Faults;

#[test]
fn each_fault_of_a_change_does_what_it_says() {
    for (fault, status, applied) in [
        (None, Some(200), true),
        (Some(Fault::AnswerLost), None, true),
        (Some(Fault::RequestLost), None, false),
        (Some(Fault::ErrorBefore), Some(500), false),
        (Some(Fault::ErrorAfter), Some(500), true),
        (Some(Fault::Slow), Some(200), true),
        (Some(Fault::Garbage), Some(200), true),
    ] {
        let mut model = model(|behaviour| behaviour.faults.slow_for = Duration::from_secs(70));
        model.script_change(fault);
        let answer = add(&mut model, 0, 1);
        assert_eq!(answer.reply.status(), status, "{fault:?}");
        assert_eq!(capacity(&mut model, 0) == 2, applied, "{fault:?}");
        assert_eq!(answer.delay, Duration::from_secs(if fault == Some(Fault::Slow) { 70 } else { 0 }));
        if let Reply::Response { body, .. } = &answer.reply {
            assert_eq!(serde_json::from_str::<Value>(body).is_err(), fault == Some(Fault::Garbage));
        }
        let request = model.records(at(0))[0].clone();
        assert_eq!((request.kind, request.fault, request.status), (RecordKind::Add, fault, status));
        assert_eq!(model.records(at(0)).len(), 1 + usize::from(applied));
        body(&add(&mut model, 0, 1), 200);
    }
}

#[test]
fn each_fault_of_a_reading_does_what_it_says() {
    for (fault, status) in [
        (Fault::AnswerLost, None),
        (Fault::RequestLost, None),
        (Fault::ErrorBefore, Some(500)),
        (Fault::ErrorAfter, Some(500)),
        (Fault::Slow, Some(200)),
        (Fault::Garbage, Some(200)),
    ] {
        let mut model = model(|_| {});
        model.script_read(fault);
        let answer = model.read(at(0), &worker());
        assert_eq!((answer.reply.status(), answer.delay.is_zero()), (status, fault != Fault::Slow), "{fault:?}");
        assert_eq!(seen(&mut model, 0), ("ACTIVE".to_owned(), 1));
    }
}

#[test]
fn a_script_comes_before_chance_and_does_not_shift_it() {
    let fates = |scripted: usize| {
        let mut model = model(|behaviour| {
            behaviour.bounds = Bounds::NONE;
            let changes = FaultRates { answer_lost: 0.3, error_before: 0.3, ..FaultRates::default() };
            behaviour.faults = Faults { changes, ..Faults::default() };
        });
        (0..scripted).for_each(|_| model.script_change(Fault::Garbage));
        (0..100).for_each(|second| drop(add(&mut model, second, 1)));
        let requests = model.records(at(100)).iter().filter(|record| record.kind.is_request());
        requests.map(|record| record.fault).collect::<Vec<_>>()
    };
    let by_chance = fates(0);
    assert_eq!(by_chance, fates(0), "the seed decides");
    for fault in [None, Some(Fault::AnswerLost), Some(Fault::ErrorBefore)] {
        assert!(by_chance.iter().filter(|&&fate| fate == fault).count() > 20, "{by_chance:?}");
    }
    let scripted = fates(3);
    assert_eq!(scripted[..3], [Some(Fault::Garbage); 3]);
    assert_eq!(scripted[3..], by_chance[3..]);
}

#[test]
fn a_script_can_spare_the_first_and_be_forgotten() {
    let mut model = model(|_| {});
    model.script_change(None);
    model.script_change(Fault::RequestLost);
    model.script_change(Fault::RequestLost);
    body(&add(&mut model, 0, 1), 200);
    assert_eq!(seen(&mut model, 0).1, 2, "readings have a script of their own");
    assert_eq!(add(&mut model, 0, 1).reply, Reply::ConnectionClosed);
    model.clear_scripts();
    body(&add(&mut model, 0, 1), 200);
}
