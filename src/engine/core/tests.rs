use super::*;
use crate::domain::LaneRecord;
use crate::domain::{Capacity, Goal, JobRequest, OnConflict};
use crate::engine::requests::JobChange;
use crate::store::{AdoptedLane, Epoch, NoRoom, Reserved, SubmitKey};

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

fn core(scaling: ScalingConfig) -> Core {
    Core::new(Arc::new(scaling), None)
}

/// A lane that was adopted with nothing in the store about it.
fn empty(resource: &Alias, epoch: Epoch) -> AdoptedLane {
    AdoptedLane { epoch, record: LaneRecord::new(resource.clone()), jobs: Vec::new(), policy: None }
}

/// Submits a request for `resource` with a key of its own, which the store grants; the answer once all is committed.
fn submit(core: &mut Core, resource: &str, number: u128, now: Timestamp) -> Answer {
    let request = JobRequest {
        resource: resource.parse().expect("an alias"),
        ..JobRequest::for_worker(Goal::Target(Capacity::ZERO))
    };
    let key = SubmitKey { key: format!("{resource}-{number}"), fingerprint: [0; 32] };
    core.submit(JobId::from_u128(number), request, Some(key), 0, now);
    let mut answer = None;
    loop {
        let effects = core.take_effects();
        if effects.is_empty() {
            return answer.expect("an answer");
        }
        for effect in effects {
            match effect {
                Effect::Reserve(to, _) => core.on_reserved(to, Some(Ok(Reserved::Granted(1))), now),
                Effect::Adopt(resource) => core.adopt(empty(&resource, 1), now),
                Effect::Commit(_) => core.on_committed(Some(1), now),
                Effect::Reply(_, reply) => answer = Some(reply),
                _ => {}
            }
        }
    }
}

/// Commit k fails with three more pending: none of them sends or answers, and another lane goes on.
#[test]
fn after_a_refused_unit_no_later_one_about_its_lane_sends_or_answers() {
    let mut core = core(ScalingConfig::default());
    submit(&mut core, "api", 0, NOW);
    submit(&mut core, "worker", 1, NOW);
    let request = |resource: &str, target| JobRequest {
        resource: resource.parse().expect("an alias"),
        on_conflict: OnConflict::Queue,
        ..JobRequest::for_worker(Goal::Target(Capacity::new(target).expect("small")))
    };
    for number in 2..6 {
        core.submit(JobId::from_u128(number), request("worker", number as i64), None, number as u64, NOW);
    }
    core.submit(JobId::from_u128(6), request("api", 6), None, 6, NOW);
    let grant = |core: &mut Core| {
        for effect in core.take_effects() {
            if let Effect::Reserve(to, _) = effect {
                core.on_reserved(to, Some(Ok(Reserved::Granted(to))), NOW);
            }
        }
        core.take_effects().iter().filter(|effect| matches!(effect, Effect::Commit(_))).count()
    };
    assert_eq!(grant(&mut core), 5);
    core.on_committed(None, NOW);
    let effects = core.take_effects();
    let evicted: BTreeSet<JobId> = (1..6).map(JobId::from_u128).collect();
    assert!(
        effects.iter().any(|effect| matches!(effect, Effect::Evicted { jobs, .. } if *jobs == evicted)),
        "{effects:?}"
    );
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Abandon(2))));
    assert!(core.lane(&"worker".parse().expect("an alias")).is_none());
    // What the store says of them makes no difference: it refuses them.
    for number in 3..6 {
        core.on_committed(None, NOW);
        let effects = core.take_effects();
        assert!(matches!(effects[..], [Effect::Abandon(to)] if to == number), "{effects:?}");
    }
    core.on_committed(Some(9), NOW);
    let effects = core.take_effects();
    assert!(matches!(&effects[0], Effect::PublishJob(event) if event.id == 9), "{effects:?}");
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Reply(6, Answer::Created(_)))), "{effects:?}");
    assert!(core.is_quiet());
}

/// Callers can ask for any name: only what is listed, or was scaled lately, is remembered.
#[test]
fn readings_of_strangers_are_not_kept() {
    let listed: Alias = "listed".parse().expect("an alias");
    let scaling = ScalingConfig::default();
    let scaling = ScalingConfig { resources: [(listed.clone(), scaling.in_force(&listed))].into(), ..scaling };
    let mut core = core(scaling);
    submit(&mut core, "scaled", 0, NOW);
    let (scaled, stranger) = ("scaled".parse().expect("an alias"), "stranger".parse().expect("an alias"));
    let reading = Reading {
        status: crate::domain::Status::new("ACTIVE"),
        capacity: Capacity::ZERO,
        stamp: None,
        wall_set_at: None,
        asked_at: NOW,
        received_at: NOW,
    };
    for resource in [&listed, &scaled, &stranger, &listed] {
        core.on_observation(resource, &reading, NOW);
    }
    let told = core.take_effects().into_iter().filter_map(|effect| match effect {
        Effect::Commit(unit) => unit.history.into_iter().next().map(|(resource, _)| resource),
        _ => None,
    });
    assert_eq!(told.collect::<Vec<_>>(), [listed.clone(), scaled.clone()], "each once");
    assert!(core.observations.contains_key(&scaled));
    core.change(JobId::from_u128(0), JobChange::Cancel, &scaled, None, 0, NOW);
    while !core.is_quiet() {
        core.on_committed(Some(1), NOW);
    }
    core.forget(NOW);
    assert_eq!(core.observations.keys().collect::<Vec<_>>(), [&listed]);
}

#[test]
fn lanes_that_nothing_has_to_remember_are_forgotten() {
    let mut core = core(ScalingConfig::default());
    let names = ["d", "b", "c", "a"].map(|name| name.parse::<Alias>().expect("an alias"));
    for (number, name) in (0..).zip(&names) {
        submit(&mut core, name.as_str(), number, NOW);
    }
    for number in [0, 1] {
        core.change(JobId::from_u128(number), JobChange::Cancel, &names[number as usize], None, 0, NOW);
    }
    drop(core.take_effects());
    core.on_committed(Some(1), NOW);
    drop(core.take_effects());
    core.forget(NOW);
    let forgotten = core.take_effects().into_iter().filter_map(|effect| match effect {
        Effect::Commit(unit) => unit.lanes.into_iter().next(),
        _ => None,
    });
    let released = |name: &Alias| LaneChange { resource: name.clone(), epoch: 1, record: RecordChange::Remove };
    // The end of the other canceled job is not durable yet: if it is refused, its lane has to be adopted again.
    assert_eq!(forgotten.collect::<Vec<_>>(), [released(&names[0])]);
    assert_eq!(names.map(|name| core.lane(&name).is_some()), [false, true, true, true]);
}

/// The place of a resource whose lane could not be adopted is free again.
#[test]
fn a_failed_adoption_takes_no_place_of_an_unlisted_resource() {
    let mut core = core(ScalingConfig::default());
    for number in 0..2000_u64 {
        let resource: Alias = format!("made-up-{number}").parse().expect("an alias");
        let request = JobRequest { resource: resource.clone(), ..JobRequest::for_worker(Goal::Target(Capacity::ZERO)) };
        core.submit(JobId::from_u128(number.into()), request, None, number, NOW);
        drop(core.take_effects());
        core.on_reserved(number, Some(Ok(Reserved::Granted(1))), NOW);
        let effects = core.take_effects();
        assert!(matches!(&effects[..], [Effect::Adopt(adopted)] if *adopted == resource), "{effects:?}");
        core.on_adoption_failed(&resource);
        assert!(core.take_effects().iter().any(|effect| matches!(effect, Effect::Abandon(to) if *to == number)));
    }
}

#[test]
fn without_room_a_request_is_refused_and_evicts_nothing() {
    let mut core = core(ScalingConfig::default());
    submit(&mut core, "worker", 1, NOW);
    let request = JobRequest {
        on_conflict: OnConflict::Queue,
        ..JobRequest::for_worker(Goal::Target(Capacity::new(7).expect("small")))
    };
    core.submit(JobId::from_u128(2), request, None, 2, NOW);
    assert!(matches!(core.take_effects()[..], [Effect::Reserve(2, _)]));
    core.on_reserved(2, Some(Err(NoRoom::TooManyJobs { limit: 1 })), NOW);
    let effects = core.take_effects();
    assert!(matches!(effects[..], [Effect::Reply(2, Answer::Refused(Refusal::NoRoom(_)))]), "{effects:?}");
    assert_eq!(core.unfinished_jobs(), 1);
}

#[test]
fn an_older_reading_that_comes_late_is_not_shown() {
    let mut core = core(ScalingConfig::default());
    submit(&mut core, "scaled", 0, NOW);
    drop(core.take_effects());
    let scaled: Alias = "scaled".parse().expect("an alias");
    let after = |seconds| NOW + std::time::Duration::from_secs(seconds);
    let mut observe = |capacity, asked, answered| {
        let reading = Reading {
            status: crate::domain::Status::new("ACTIVE"),
            capacity: Capacity::new(capacity).expect("a small number"),
            stamp: None,
            wall_set_at: None,
            asked_at: after(asked),
            received_at: after(answered),
        };
        core.on_observation(&scaled, &reading, after(answered));
        let told = core.take_effects().iter().any(|effect| matches!(effect, Effect::Commit(_)));
        (core.observations[&scaled].capacity.units(), told)
    };
    assert_eq!(observe(5, 6, 7), (5, true));
    assert_eq!(observe(3, 0, 9), (5, false));
    assert_eq!(observe(4, 8, 10), (4, true));
}
