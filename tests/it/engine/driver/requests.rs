//! Submissions with a key, and what is kept of jobs.

use std::sync::Arc;
use std::time::Duration;

use scalegate::clock::Clock;
use scalegate::domain::{Ending, Job, JobId, Retention, Settings};
use scalegate::engine::{Answer, NotedJob, Refusal, Submitted};
use scalegate::store::sqlite::{Journal, SqliteJournal};
use scalegate::store::{NoRoom, SubmitKey, Unit};

use super::fakes::FakeSidecar;
use super::rig::{Rig, quick, to};

#[tokio::test]
async fn the_same_key_gets_the_same_answer_before_and_after_a_restart() {
    let rig = Rig::start().await;
    let key = |fingerprint| Some(SubmitKey { key: "k".into(), fingerprint: [fingerprint; 32] });
    let (first, second) = tokio::join!(rig.handle.submit(to(2), key(1)), rig.handle.submit(to(2), key(1)));
    let Ok(Submitted::Answer(Answer::Created(NotedJob { job: created, .. }))) = first else {
        panic!("not created: {first:?}")
    };
    let Ok(Submitted::Replayed { job: NotedJob { job, .. }, joined }) = second else {
        panic!("not replayed: {second:?}")
    };
    assert_eq!((job.id, joined), (created.id, false));
    let reused = rig.handle.submit(to(3), key(2)).await;
    assert!(matches!(reused, Ok(Submitted::Answer(Answer::Refused(Refusal::NoRoom(NoRoom::KeyReused))))), "{reused:?}");
    let ended = rig.ended(created.id).await;
    let later = rig.handle.submit(to(2), key(1)).await;
    let replayed = Ok(Submitted::Replayed { job: NotedJob { job: ended, note: None }, joined: false });
    assert_eq!(later, replayed, "as it is now, not as it was then");

    let (directory, sidecar) = (Arc::clone(&rig.directory), Arc::clone(&rig.sidecar));
    assert_eq!(rig.stop().await.0, Ok(()));
    let next = Rig::start_in(directory, sidecar, Retention::DEFAULT).await;
    assert_eq!(next.handle.submit(to(2), key(1)).await, replayed, "the table does not know the job any more");
    assert_eq!(next.sidecar.changes(), 1);
}

#[tokio::test]
async fn what_is_no_longer_kept_goes_from_the_store() {
    let directory = Arc::new(tempfile::tempdir().expect("a directory"));
    let minute = Duration::from_secs(60);
    let now = Clock::start().now();
    let job = |id: u128, ended_ago: Option<Duration>| {
        let mut job = Job::accept(JobId::from_u128(id), to(1), Settings::DEFAULT.with(&quick()), now - minute);
        job.version = 1;
        if let Some(ago) = ended_ago {
            job.end(Ending::Canceled, now - ago);
        }
        Arc::new(job)
    };
    let jobs = vec![job(1, Some(minute * 10)), job(2, Some(minute * 4)), job(3, None), job(4, Some(minute * 10))];
    SqliteJournal::open(directory.path())
        .expect("a store")
        .commit(&[Unit { jobs, ..Unit::default() }], 1)
        .expect("committed");
    let rig = Rig::start_in(directory, FakeSidecar::new(), Retention { age: minute * 5, count: 100 }).await;
    // The first time is right after the start.
    rig.until("old jobs go", |rig| rig.disk.pruned.lock().expect("no panic").len() == 2).await;
    assert_eq!(rig.table.len(), 1, "what was over at the start is asked of the store");
    rig.ended(JobId::from_u128(3)).await;
    assert_eq!(*rig.disk.pruned.lock().expect("no panic"), [1, 4].map(JobId::from_u128));
    let (_, stored) = rig.stop().await;
    assert_eq!(stored.jobs.iter().map(|job| job.id.as_u128()).collect::<Vec<_>>(), [2, 3]);
}
