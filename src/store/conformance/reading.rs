//! What readers see.

use super::{House, Scene};
use crate::domain::{
    AbridgedJob, Action, AuditEntry, Ending, ErrorCode, EventId, Job, JobError, JobEvent, JobId, JobState, Reach,
    ResourceEvent, Retention, StateName,
};
use crate::store::fixtures::{NOW, accepted_at, alias, ended, eventful_job, job, jobs, readings};
use crate::store::{EventFilter, JobFilter, LastOutcome, Page, Position, Unit, begins_after};

/// All pages that `read` gives, joined; each is as large as it may be.
pub(super) async fn all<T>(size: usize, read: impl AsyncFn(Option<Position>) -> Page<T>) -> Vec<T> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = read(after).await;
        assert!(page.entries.len() <= size && (page.next.is_none() || page.entries.len() == size));
        after = page.next;
        found.extend(page.items());
        if after.is_none() {
            return found;
        }
    }
}

async fn list(scene: &Scene<'_>, filter: &JobFilter, size: usize) -> Vec<u128> {
    let read = async |after| scene.reader.jobs_page(filter, after, size).await.expect("a page");
    all(size, read).await.iter().map(|event| event.job.id.as_u128()).collect()
}

fn ids(page: Page<JobEvent>) -> Vec<u128> {
    page.items().iter().map(|event| event.job.id.as_u128()).collect()
}

fn some(names: &[&str]) -> Reach {
    Reach::only(names.iter().map(|name| alias(name)))
}

pub async fn jobs_are_listed_newest_first_by_every_filter(house: &mut dyn House) {
    let scene = Scene::set(house).await;
    let error = JobError::new(ErrorCode::NoProgress, "");
    let state = |id: u128| match id % 6 {
        0 => JobState::Queued,
        1 => JobState::Running,
        2 => JobState::Ended(Ending::Succeeded),
        3 => JobState::Ended(Ending::Failed(error.clone())),
        4 => JobState::Ended(Ending::Canceled),
        _ => JobState::Ended(Ending::Superseded { by: JobId::from_u128(0) }),
    };
    let jobs_there: Vec<Job> = (0..40_u128)
        .map(|id| Job { state: state(id), ..job(id, ["worker", "api", "db"][(id * 7 % 11 % 3) as usize]) })
        .collect();
    scene.put(jobs(jobs_there.clone())).await;
    let names = [&["worker"][..], &["db"], &["unheard-of"], &["worker", "x", "db"], &[]];
    for resources in names.map(some).into_iter().chain([Reach::EVERYTHING]) {
        for chosen in 0..1_u32 << StateName::ALL.len() {
            let states: Vec<_> =
                (0..).zip(StateName::ALL).filter(|(bit, _)| chosen & 1 << bit != 0).map(|(_, state)| state).collect();
            let filter = JobFilter { resources: resources.clone(), states };
            let wanted = jobs_there.iter().rev().filter(|job| filter.admits(job)).map(|job| job.id.as_u128());
            let expected: Vec<u128> = wanted.collect();
            for size in [1, 3, 40] {
                assert_eq!(list(&scene, &filter, size).await, expected, "{filter:?}, {size} a page");
            }
        }
    }
    let twice = JobFilter { resources: Reach::EVERYTHING, states: vec![StateName::Running; 2] };
    assert_eq!(list(&scene, &twice, 2).await.len(), 7, "a state given twice counts once");
}

pub async fn a_page_ends_where_the_next_begins(house: &mut dyn House) {
    let scene = Scene::set(house).await;
    // The ones that the second page would begin with go first.
    let end = |id: u128| NOW + std::time::Duration::from_millis(u64::from(![4, 5].contains(&id)));
    scene.put(jobs((0..10).map(|id| ended(id, Ending::Succeeded, end(id))))).await;
    let page = async |after| scene.reader.jobs_page(&JobFilter::default(), after, 4).await.expect("a page");
    let first = page(None).await;
    let next = first.next;
    assert_eq!(ids(first), [9, 8, 7, 6]);
    scene.put(jobs((10..13).map(|id| job(id, "worker")))).await;
    assert_eq!(scene.prune(Retention { age: std::time::Duration::ZERO, count: 10 }, NOW).await, [4, 5]);
    let second = page(next).await;
    let next = second.next;
    assert_eq!(ids(second), [3, 2, 1, 0]);
    assert_eq!(next, None);
}

pub async fn jobs_are_found_and_counted(house: &mut dyn House) {
    let scene = Scene::set(house).await;
    let first = scene.put(jobs((1..=3).map(|id| ended(id, Ending::Succeeded, NOW)).chain([eventful_job()]))).await;
    let found = scene.reader.job(JobId::from_u128(7)).await.expect("readable").expect("there");
    assert_eq!((found.id, &*found.job), (first + 3, &eventful_job()));
    assert_eq!(scene.reader.job(JobId::from_u128(5)).await.expect("readable"), None);
    let counts = scene.reader.job_counts().await.expect("readable");
    assert_eq!(counts.map(|(state, _)| state), StateName::ALL);
    let counted: Vec<_> = counts.into_iter().filter(|(_, number)| *number > 0).collect();
    assert_eq!(counted, [(StateName::Running, 1), (StateName::Succeeded, 3)]);
}

/// A job that was canceled or superseded does not count, nor one that is not kept.
pub async fn the_last_outcome_is_that_of_the_job_that_ended_last(house: &mut dyn House) {
    let mut scene = Scene::set(house).await;
    let at = |millis| NOW + std::time::Duration::from_millis(millis);
    let failed = || Ending::Failed(JobError::new(ErrorCode::NoProgress, ""));
    let of = |resource: &str, id, ending, millis| Job { resource: alias(resource), ..ended(id, ending, at(millis)) };
    let superseded = Ending::Superseded { by: JobId::from_u128(9) };
    scene
        .put(jobs([
            of("good", 1, failed(), 1),
            of("good", 2, Ending::Succeeded, 2),
            of("bad", 3, Ending::Succeeded, 3),
            of("bad", 4, failed(), 4),
            of("bad", 5, Ending::Canceled, 5),
            of("bad", 6, superseded, 6),
            // It was given up while it waited for the one before it.
            of("waited", 7, Ending::Succeeded, 8),
            of("waited", 8, failed(), 7),
            of("canceled", 9, Ending::Canceled, 9),
            job(10, "busy"),
        ]))
        .await;
    scene.restart().await;
    let asked = || ["good", "bad", "waited", "canceled", "busy", "unheard-of"].map(alias).to_vec();
    let outcome = |id, error, millis| LastOutcome { job: JobId::from_u128(id), error, at: at(millis) };
    let found = scene.reader.last_outcomes(asked()).await.expect("readable");
    let expected = [
        (alias("good"), outcome(2, None, 2)),
        (alias("bad"), outcome(4, Some(ErrorCode::NoProgress), 4)),
        (alias("waited"), outcome(7, None, 8)),
    ];
    assert_eq!(found, expected.into());
    scene.prune(Retention { age: std::time::Duration::ZERO, count: 0 }, at(9)).await;
    assert_eq!(scene.reader.last_outcomes(asked()).await.expect("readable"), [].into());
}

pub async fn a_stream_goes_on_after_any_version(house: &mut dyn House) {
    let scene = Scene::set(house).await;
    let version = |version, job| Job { version, ..job };
    let written =
        [version(1, job(1, "worker")), version(1, job(2, "api")), version(2, job(1, "worker")), eventful_job()];
    let first = scene.put(jobs(written.clone())).await;
    let last = scene.reader.last_event().await.expect("readable");
    assert_eq!(last, first + 3);
    let (worker, none) = (EventFilter::Resources(some(&["worker", "x"])), EventFilter::Resources(some(&["other"])));
    let job_1 = EventFilter::Job(JobId::from_u128(1));
    for (filter, after, until, size, expected) in [
        (&EventFilter::ALL, 0, last, 9, &[0, 1, 2, 3][..]),
        (&EventFilter::ALL, first, first + 2, 9, &[1, 2]),
        (&EventFilter::ALL, first, last, 2, &[1, 2]),
        (&EventFilter::ALL, last, last, 9, &[]),
        (&worker, 0, last, 9, &[0, 2, 3]),
        (&none, 0, last, 9, &[]),
        (&job_1, 0, last, 9, &[0, 2]),
        (&job_1, first, last, 9, &[2]),
    ] {
        let page = scene.reader.versions(filter, after, until, size).await.expect("a page");
        assert_eq!(page.oldest, Some(first));
        let ids: Vec<EventId> = page.versions.iter().map(|(id, _)| *id - first).collect();
        assert_eq!(ids, expected, "{filter:?} after {after} until {until}");
        // The next part begins where this one ends.
        assert_eq!(page.until, if expected.len() == size { first + expected[size - 1] } else { until });
        for (id, abridged) in page.versions {
            assert_eq!(abridged, AbridgedJob::of(&written[(id - first) as usize]));
        }
    }
}

pub async fn a_stream_knows_what_it_missed(house: &mut dyn House) {
    let scene = Scene::set(house).await;
    let empty = scene.reader.versions(&EventFilter::ALL, 0, 0, 9).await.expect("a page");
    assert_eq!(empty.oldest, None);
    let finished = Job { resource: alias("api"), ..ended(2, Ending::Succeeded, NOW) };
    let first = scene.put(jobs([job(1, "worker"), finished, job(3, "worker")])).await;
    let last = first + 2;
    let has_all =
        async |filter: &EventFilter, after| scene.reader.has_all_after(filter, after, last).await.expect("readable");
    let (api, worker) = (EventFilter::Resources(some(&["api"])), EventFilter::Resources(some(&["worker"])));
    let job_2 = EventFilter::Job(JobId::from_u128(2));
    for filter in [&EventFilter::ALL, &api, &job_2] {
        assert!(has_all(filter, first - 1).await, "{filter:?}");
        assert!(!has_all(filter, first - 2).await, "{filter:?}: the log begins later");
    }
    assert!(begins_after(Some(first), first - 2, last) && !begins_after(Some(first), first - 1, last));
    let none_kept = Retention { age: std::time::Duration::ZERO, count: 0 };
    assert_eq!(scene.prune(none_kept, NOW).await, [2]);
    for filter in [&EventFilter::ALL, &api, &job_2] {
        assert!(!has_all(filter, first - 1).await, "{filter:?}: a job is gone");
    }
    assert!(has_all(&EventFilter::ALL, first + 1).await, "it is about later versions");
    assert!(has_all(&worker, first - 1).await, "it is about other jobs");
    assert_eq!(scene.reader.last_event().await.expect("readable"), last, "no id is given out again");
}

pub async fn timelines_are_paged_newest_first(house: &mut dyn House) {
    let mut scene = Scene::set(house).await;
    let others = readings(NOW, 90..=99).into_iter().map(|(_, entry)| (alias("api"), entry));
    let history = readings(NOW, 1..=3).into_iter().chain(others).chain(readings(NOW, 4..=7)).collect();
    scene.put(Unit { history, ..Unit::default() }).await;
    for size in [1, 2, 3, 7, 8, 1] {
        let read = async |after| scene.reader.timeline(&alias("worker"), after, size).await.expect("a page");
        let capacities: Vec<u32> = all(size, read)
            .await
            .iter()
            .map(|entry| match entry.what {
                ResourceEvent::Reading { capacity, .. } => capacity.units(),
                _ => panic!("{entry:?} was not committed"),
            })
            .collect();
        assert_eq!(capacities, [7, 6, 5, 4, 3, 2, 1], "by {size}");
        scene.restart().await;
    }
    assert_eq!(scene.reader.timeline(&alias("api"), None, 200).await.expect("a page").entries.len(), 10);
    assert_eq!(scene.reader.timeline(&alias("x"), None, 200).await.expect("a page").entries.len(), 0);
}

pub async fn attempts_are_paged_newest_first(house: &mut dyn House) {
    let scene = Scene::set(house).await;
    let action = |number: i64| if number % 2 == 0 { Action::SubmitJob } else { Action::RevokeKey };
    let entries: Vec<AuditEntry> =
        (1..=7).map(|number| AuditEntry { action: action(number), ..accepted_at(number) }).collect();
    for entry in &entries {
        scene.put(Unit { audit: vec![entry.clone()], ..Unit::default() }).await;
    }
    for size in [1, 3, 7, 8] {
        let read = async |after| scene.reader.audit(after, size).await.expect("a page");
        let found = all(size, read).await;
        assert!(found.iter().eq(entries.iter().rev()), "by {size}: {found:?}");
    }
}
