//! What happens when a part of the engine panics.

use std::time::{Duration, Instant};

use scalegate::engine::{EngineDied, Unavailable};

use super::fakes::{Disk, Manner};
use super::rig::{GRACE, Rig, closed, millis, to};

#[tokio::test]
async fn a_panic_ends_the_engine_loudly() {
    let mut rig = Rig::start().await;
    rig.sidecar.on_change.send_replace(Manner::Panic);
    rig.create(to(2)).await;
    assert_eq!(rig.engine.ended().await, Err(EngineDied));
    assert_eq!(rig.handle.health().await, Err(Unavailable::Stopping));
    assert!(matches!(rig.handle.submit(to(3), None).await, Err(Unavailable::Stopping)));
    let job = &closed(&rig.store, rig.store_thread, &rig.directory).await.jobs[0];
    assert_eq!(job.ended(), None, "the next process carries on");
}

#[tokio::test]
async fn a_panic_while_stopping_is_not_hidden() {
    let rig = Rig::start().await;
    rig.sidecar.on_change.send_replace(Manner::Hang);
    rig.create(to(2)).await;
    rig.until("the change is sent", |rig| rig.sidecar.changes() == 1).await;
    let stopping = tokio::spawn(rig.engine.stop(GRACE));
    tokio::time::sleep(millis(50)).await;
    let begin = Instant::now();
    rig.sidecar.on_change.send_replace(Manner::Panic);
    assert_eq!(stopping.await.expect("joined"), Err(EngineDied));
    assert!(begin.elapsed() < Duration::from_secs(2), "nor waited out");
}

#[tokio::test]
async fn the_engine_does_not_outlive_its_store() {
    let mut rig = Rig::start().await;
    Disk::set(&rig.disk.panics, true);
    let refused = rig.handle.submit(to(2), None).await;
    assert!(matches!(refused, Err(Unavailable::Interrupted)), "{refused:?}");
    assert_eq!(rig.engine.ended().await, Err(EngineDied));
}
