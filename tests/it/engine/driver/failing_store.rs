//! What happens when the store fails, and when it works again.

use std::sync::atomic::Ordering;
use std::time::Instant;

use scalegate::domain::{Reach, StepOutcome};
use scalegate::engine::{NotedJob, Submitted, Unavailable};
use scalegate::metrics::Scrape;
use scalegate::store::SubmitKey;

use super::fakes::{Disk, Manner};
use super::rig::{GRACE, Rig, assert_succeeded, millis, of, to};

#[tokio::test]
async fn a_job_that_cannot_be_made_durable_is_not_accepted() {
    let rig = Rig::start().await;
    let before = rig.create(to(2)).await;
    rig.ended(before).await;
    Disk::set(&rig.disk.broken, true);
    Disk::set(&rig.disk.unreadable, true);
    let refused = rig.handle.submit(to(3), None).await;
    assert!(matches!(&refused, Err(Unavailable::Storage(why)) if why.contains("no space left")), "{refused:?}");
    for _ in 0..3 {
        assert!(matches!(rig.handle.submit(to(3), None).await, Err(Unavailable::Storage(_))));
        assert!(matches!(rig.cancel(before).await, Err(Unavailable::Storage(_))));
        assert!(matches!(rig.handle.health().await, Err(Unavailable::Storage(_))));
        assert!(matches!(rig.handle.resources(Reach::EVERYTHING, None, 1).await, Err(Unavailable::Storage(_))));
    }
    assert_eq!(rig.table.len(), 1, "what was refused is not shown");

    Disk::set(&rig.disk.broken, false);
    Disk::set(&rig.disk.unreadable, false);
    rig.healthy().await;
    let after = rig.create(to(3)).await;
    assert_succeeded(&*rig.ended(after).await, &[StepOutcome::Confirmed]);
    assert_eq!((rig.sidecar.capacity(), rig.sidecar.changes()), (3, 2));
    let (stopped, stored) = rig.stop().await;
    assert_eq!(stopped, Ok(()));
    assert_eq!(stored.jobs.iter().map(|job| job.id).collect::<Vec<_>>(), [before, after]);
}

/// What is under way when the store fails goes on when it works again, and nothing is sent twice.
#[tokio::test]
async fn jobs_go_on_by_themselves_when_the_store_works_again() {
    for keeps in [false, true] {
        let rig = Rig::start().await;
        rig.sidecar.on_change.send_replace(Manner::Hang);
        let in_flight = rig.create(to(2)).await;
        let api = rig.create(of("api", to(1))).await;
        rig.until("the change is sent", |rig| rig.sidecar.changes() == 1).await;
        rig.ended(api).await;
        Disk::set(&rig.disk.keeps, keeps);
        Disk::set(&rig.disk.broken, true);
        rig.sidecar.on_change.send_replace(Manner::Prompt);
        rig.unhealthy().await;
        Disk::set(&rig.disk.broken, false);
        let job = rig.ended(in_flight).await;
        assert_succeeded(&job, &[StepOutcome::Confirmed]);
        assert_eq!((rig.sidecar.capacity(), rig.sidecar.changes()), (2, 1), "kept: {keeps}");
        let (stopped, stored) = rig.stop().await;
        assert_eq!(stopped, Ok(()));
        assert_eq!(stored.jobs.iter().find(|job| job.id == in_flight), Some(&job), "shown as stored");
    }
}

#[tokio::test]
async fn a_submission_whose_commit_failed_after_it_was_durable_is_carried_out_all_the_same() {
    let rig = Rig::start().await;
    // The intent of the first change must not be in the same group.
    rig.sidecar.on_read.send_replace(Manner::Hang);
    Disk::set(&rig.disk.keeps, true);
    Disk::set(&rig.disk.broken, true);
    let key = || Some(SubmitKey { key: "k".into(), fingerprint: [1; 32] });
    assert!(matches!(rig.handle.submit(to(2), key()).await, Err(Unavailable::Storage(_))));
    Disk::set(&rig.disk.broken, false);
    rig.healthy().await;
    // The submitter does what one does, and tries again.
    let Ok(Submitted::Replayed { job: NotedJob { job, .. }, .. }) = rig.handle.submit(to(2), key()).await else {
        panic!("not replayed")
    };
    assert!(rig.table.get(job.id).is_some(), "shown before anything else happens to it");
    rig.sidecar.on_read.send_replace(Manner::Prompt);
    assert_succeeded(&*rig.ended(job.id).await, &[StepOutcome::Confirmed]);
    assert_eq!((rig.table.len(), rig.sidecar.changes()), (1, 1));
    let counted = rig.metrics.render(Scrape::default()).expect("writable");
    assert!(counted.contains("scalegate_jobs_accepted_total 1\n"), "it is counted like any other: {counted}");
}

#[tokio::test]
async fn without_a_durable_intent_nothing_is_sent() {
    for keeps in [false, true] {
        let rig = Rig::start().await;
        Disk::set(&rig.disk.keeps, keeps);
        Disk::set(&rig.disk.breaks_at_intent, true);
        rig.sidecar.on_read.send_replace(Manner::Hang);
        let id = rig.create(to(2)).await;
        rig.sidecar.on_read.send_replace(Manner::Prompt);
        rig.unhealthy().await;
        tokio::time::sleep(millis(50)).await;
        assert_eq!(rig.sidecar.changes(), 0);
        Disk::set(&rig.disk.broken, false);
        let job = rig.ended(id).await;
        // An intent on the disk may have been sent, for all a new process knows.
        let first = keeps.then_some(StepOutcome::NotApplied);
        let outcomes: Vec<_> = first.into_iter().chain([StepOutcome::Confirmed]).collect();
        assert_succeeded(&job, &outcomes);
        assert_eq!((rig.sidecar.capacity(), rig.sidecar.changes()), (2, 1));
    }
}

/// A full disk: everything can be read, nothing written.
#[tokio::test]
async fn a_store_that_can_only_be_read_is_not_tried_again_and_again() {
    let rig = Rig::start().await;
    rig.sidecar.on_change.send_replace(Manner::Hang);
    rig.create(to(2)).await;
    rig.until("the change is sent", |rig| rig.sidecar.changes() == 1).await;
    Disk::set(&rig.disk.broken, true);
    let loads = rig.disk.loads.load(Ordering::SeqCst);
    rig.sidecar.on_change.send_replace(Manner::Prompt);
    tokio::time::sleep(millis(2500)).await;
    let loads = rig.disk.loads.load(Ordering::SeqCst) - loads;
    assert!((1..=3).contains(&loads), "{loads} times in 2.5 s");
    assert_eq!(rig.sidecar.changes(), 1);
}

#[tokio::test]
async fn stopping_does_not_wait_for_a_store_that_does_not_work() {
    let rig = Rig::start().await;
    Disk::set(&rig.disk.broken, true);
    Disk::set(&rig.disk.unreadable, true);
    assert!(rig.handle.submit(to(2), None).await.is_err());
    let begin = Instant::now();
    assert_eq!(rig.engine.stop(GRACE).await, Ok(()));
    assert!(begin.elapsed() < millis(500), "{:?}", begin.elapsed());
}
