//! Callers who only look at a resource or ask for a plan: none of them waits for another, and they share readings.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use scalegate::domain::{Ending, JobRequest, OnConflict};
use scalegate::engine::{Answer, OBSERVE_TIMEOUT, PlanError, Refusal};

use super::fakes::Manner;
use super::rig::{Rig, assert_succeeded, of, to, units};
use crate::support::world::worker;

#[tokio::test]
async fn a_sidecar_that_hangs_holds_up_no_caller_who_only_looks() {
    let rig = Rig::start().await;
    rig.sidecar.on_read.send_replace(Manner::Hang);
    let id = rig.create(to(2)).await;
    let begin = Instant::now();
    let (look, plan, quick) = tokio::join!(
        rig.handle.observe(worker(), None, OBSERVE_TIMEOUT),
        rig.handle.plan(of("api", to(2)), OBSERVE_TIMEOUT),
        async {
            // Meanwhile the engine answers all other callers.
            let health = rig.handle.health().await.expect("healthy");
            let canceled = rig.cancel(id).await;
            assert!(matches!(canceled, Ok(Answer::Changed(_))), "{canceled:?}");
            (health.unfinished_jobs, begin.elapsed())
        },
    );
    assert_eq!(quick.0, 1);
    assert!(quick.1 < Duration::from_secs(2), "{:?}", quick.1);
    let took = begin.elapsed();
    assert!(took >= OBSERVE_TIMEOUT && took < OBSERVE_TIMEOUT + Duration::from_secs(3), "{took:?}");
    let look = look.expect("an answer").expect("a resource");
    assert!(look.failure.is_some_and(|failure| failure.detail.contains("no answer from the sidecar within 10 s")));
    assert!(matches!(plan, Ok(Err(PlanError::NoReading(_)))), "{plan:?}");
    assert_eq!(rig.handle.health().await.expect("healthy").sidecar.reachable, Some(false));
}

/// Jobs that supersede each other faster than the sidecar answers must not use up all connections.
#[tokio::test]
async fn a_resource_has_one_reading_on_its_way_at_most() {
    let rig = Rig::start().await;
    rig.sidecar.on_read.send_replace(Manner::Hang);
    let on_their_way = |rig: &Rig| rig.sidecar.on_read.receiver_count();
    let mut last = rig.create(to(2)).await;
    for target in [3, 2, 3, 2, 3, 2, 3] {
        last = rig.create(JobRequest { on_conflict: OnConflict::Supersede, ..to(target) }).await;
        rig.until("a reading is on its way", |rig| on_their_way(rig) > 0).await;
    }
    rig.until("the others are given up", |rig| on_their_way(rig) == 1).await;
    rig.sidecar.on_read.send_replace(Manner::Prompt);
    assert_eq!(rig.ended(last).await.ended(), Some(&Ending::Succeeded));
}

/// All who look at a resource at the same time share one call, those with plans too.
#[tokio::test]
async fn looks_at_a_resource_share_one_call() {
    let rig = Rig::start().await;
    rig.sidecar.on_read.send_replace(Manner::Hang);
    let looks = join_all((0..60).map(|_| rig.handle.observe(worker(), None, OBSERVE_TIMEOUT)));
    let plans = join_all((0..10).map(|_| rig.handle.plan(to(2), OBSERVE_TIMEOUT)));
    let other = rig.handle.observe("api".parse().expect("an alias"), None, OBSERVE_TIMEOUT);
    let release = async {
        // The engine takes one request after the other: when it answers this one, it has taken all of the others.
        rig.handle.health().await.expect("it works");
        rig.sidecar.reads.subscribe().wait_for(|reads| *reads == 2).await.expect("the sidecar lives");
        rig.sidecar.on_read.send_replace(Manner::Prompt);
    };
    let (looks, plans, other, ()) = tokio::join!(looks, plans, other, release);
    for look in looks.into_iter().chain([other]) {
        let look = look.expect("it works").expect("it may be scaled");
        assert_eq!(look.view.observation.map(|reading| reading.capacity), Some(units(1)));
    }
    assert!(plans.iter().all(|plan| matches!(plan, Ok(Ok(plan)) if plan.estimate.steps.len() == 1)), "{plans:?}");
    assert_eq!(*rig.sidecar.reads.borrow(), 2, "one call for each resource");
    assert!(rig.handle.observe(worker(), None, OBSERVE_TIMEOUT).await.is_ok());
    assert_eq!(*rig.sidecar.reads.borrow(), 3, "a later look gets a reading of its own");
}

/// A caller who looks gets the reading that a job has asked for. The reverse must not be: what a job decides on it asks for itself.
#[tokio::test]
async fn looks_share_the_reading_of_a_job_and_no_job_that_of_a_look() {
    let rig = Rig::start().await;
    rig.sidecar.on_read.send_replace(Manner::Hang);
    let until_read = async |count| {
        rig.sidecar.reads.subscribe().wait_for(|reads| *reads == count).await.expect("the sidecar lives");
    };
    let early = rig.handle.observe(worker(), None, OBSERVE_TIMEOUT);
    let job = async {
        until_read(1).await;
        let id = rig.create(to(1)).await;
        until_read(2).await;
        let late = rig.handle.observe(worker(), None, OBSERVE_TIMEOUT);
        let release = async {
            rig.handle.health().await.expect("it works");
            rig.sidecar.on_read.send_replace(Manner::Prompt);
            id
        };
        tokio::join!(late, release)
    };
    let (early, (late, id)) = tokio::join!(early, job);
    assert_succeeded(&*rig.ended(id).await, &[]);
    for look in [early, late] {
        assert_eq!(look.expect("it works").expect("may be scaled").failure, None);
    }
    assert_eq!(*rig.sidecar.reads.borrow(), 2);
    // Without a look before it.
    rig.sidecar.on_read.send_replace(Manner::Hang);
    let id = rig.create(to(1)).await;
    until_read(3).await;
    let release = async {
        rig.handle.health().await.expect("it works");
        rig.sidecar.on_read.send_replace(Manner::Prompt);
    };
    let (look, ()) = tokio::join!(rig.handle.observe(worker(), None, OBSERVE_TIMEOUT), release);
    assert_eq!(look.expect("it works").expect("may be scaled").failure, None);
    assert_succeeded(&*rig.ended(id).await, &[]);
    assert_eq!(*rig.sidecar.reads.borrow(), 3);
}

/// A plan that would be refused in any case does not wait for the sidecar.
#[tokio::test]
async fn a_plan_that_would_be_refused_asks_nothing() {
    let rig = Rig::start().await;
    rig.sidecar.on_change.send_replace(Manner::Hang);
    let busy = rig.create(to(3)).await;
    rig.until("the change is on its way", |rig| rig.sidecar.changes() == 1).await;
    let reads = *rig.sidecar.reads.borrow();
    let plan = rig.handle.plan(to(7), OBSERVE_TIMEOUT).await;
    assert!(matches!(&plan, Ok(Err(PlanError::Refused(Refusal::Busy { by }))) if by.id == busy), "{plan:?}");
    assert_eq!(*rig.sidecar.reads.borrow(), reads);
}
