//! What happens to work under way when the engine is told to stop.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use scalegate::domain::{JobRequest, OnConflict, Retention, Stage, StepOutcome};

use super::fakes::{Disk, Manner};
use super::rig::{GRACE, Rig, assert_succeeded, closed, millis, to};

#[tokio::test]
async fn stopping_waits_for_the_change_on_its_way_and_records_its_answer() {
    let rig = Rig::start().await;
    rig.sidecar.on_change.send_replace(Manner::Hang);
    let id = rig.create(to(3)).await;
    let queued = rig.create(JobRequest { on_conflict: OnConflict::Queue, ..to(1) }).await;
    rig.until("the change is sent", |rig| rig.sidecar.changes() == 1).await;
    let Rig { engine, sidecar, directory, store, store_thread, .. } = rig;
    let stopping = tokio::spawn(engine.stop(GRACE));
    tokio::time::sleep(millis(200)).await;
    assert!(!stopping.is_finished(), "it waits");
    let begin = Instant::now();
    sidecar.on_change.send_replace(Manner::Prompt);
    assert_eq!(stopping.await.expect("joined"), Ok(()));
    assert!(begin.elapsed() < Duration::from_secs(2), "and no longer than it must");
    let stored = closed(&store, store_thread, &directory).await;
    let change = stored.lanes[0].change.expect("unresolved");
    assert_eq!(change.stage, Stage::Acknowledged);
    assert_eq!(sidecar.changes(), 1, "nothing new was sent");

    // And the next process goes on from there.
    let next = Rig::start_in(directory, Arc::clone(&sidecar), Retention::DEFAULT).await;
    assert_succeeded(&*next.ended(id).await, &[StepOutcome::Confirmed; 2]);
    assert_succeeded(&*next.ended(queued).await, &[StepOutcome::Confirmed; 2]);
    assert_eq!((sidecar.capacity(), sidecar.changes()), (1, 4));
}

#[tokio::test]
async fn stopping_takes_no_longer_than_the_grace_time() {
    let rig = Rig::start().await;
    rig.sidecar.on_change.send_replace(Manner::Hang);
    rig.create(to(3)).await;
    rig.until("the change is sent", |rig| rig.sidecar.changes() == 1).await;
    let begin = Instant::now();
    assert_eq!(rig.engine.stop(millis(400)).await, Ok(()));
    let took = begin.elapsed();
    assert!(took >= millis(400) && took < millis(1500), "{took:?}");
    let change = closed(&rig.store, rig.store_thread, &rig.directory).await.lanes[0].change.expect("unresolved");
    assert_eq!(change.stage, Stage::Intended, "to be read back");
}

/// Not even what is decided already, and on its way to the disk.
#[tokio::test]
async fn stopping_sends_nothing_new() {
    let rig = Rig::start().await;
    Disk::set(&rig.disk.holds_intents, true);
    rig.sidecar.on_read.send_replace(Manner::Hang);
    let id = rig.create(to(3)).await;
    rig.sidecar.on_read.send_replace(Manner::Prompt);
    rig.until("the intent is on its way", |rig| rig.disk.held_intents.load(Ordering::SeqCst) == 1).await;
    let Rig { engine, sidecar, directory, store, store_thread, disk, .. } = rig;
    let stopping = tokio::spawn(engine.stop(GRACE));
    tokio::time::sleep(millis(100)).await;
    Disk::set(&disk.holds_intents, false);
    assert_eq!(stopping.await.expect("joined"), Ok(()));
    assert_eq!(sidecar.changes(), 0);
    let stored = closed(&store, store_thread, &directory).await;
    assert_eq!(stored.lanes[0].change, None, "it is known not to have been sent");
    let outcomes: Vec<_> = stored.jobs[0].steps.iter().map(|step| step.outcome).collect();
    assert_eq!(outcomes, [StepOutcome::NotApplied]);

    let next = Rig::start_in(directory, sidecar, Retention::DEFAULT).await;
    let job = next.ended(id).await;
    assert_succeeded(&job, &[StepOutcome::NotApplied, StepOutcome::Confirmed, StepOutcome::Confirmed]);
}

#[tokio::test]
async fn stopping_does_not_wait_for_a_reading() {
    let rig = Rig::start().await;
    rig.sidecar.on_read.send_replace(Manner::Hang);
    rig.create(to(3)).await;
    let begin = Instant::now();
    assert_eq!(rig.engine.stop(GRACE).await, Ok(()));
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
}
