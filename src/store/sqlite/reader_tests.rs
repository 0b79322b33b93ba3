use super::super::fixtures::{NOW, alias, directory, ended, eventful_job, job, jobs, open, readings, shell};
use super::super::queries::{ENTRIES_SQL, PIECE_ROWS, Run, VERSION, versions_sql};
use super::super::rows::TRIMMED_TOGETHER;
use super::super::{Journal as _, SqliteJournal};
use super::*;
use crate::domain::{Ending, ErrorCode, Job, JobError, JobEvent, JobId, JobState, Reach, ResourceEvent};
use crate::store::{MAX_LOGGED_VERSIONS, MAX_TIMELINE, Unit};

// ---- lists ------------------------------------------------------------------------------------------------------

/// All pages, joined.
async fn list(reader: &SqliteReader, filter: &JobFilter, size: usize) -> Vec<u128> {
    let mut ids = Vec::new();
    let mut after = None;
    loop {
        let page = reader.jobs_page(filter, after, size).await.expect("a page");
        assert!(page.entries.len() <= size && (page.next.is_none() || page.entries.len() == size));
        after = page.next;
        ids.extend(page.items().iter().map(|event| event.job.id.as_u128()));
        if after.is_none() {
            return ids;
        }
    }
}

fn ids(page: Page<JobEvent>) -> Vec<JobId> {
    page.items().iter().map(|event| event.job.id).collect()
}

#[tokio::test]
async fn lists_every_combination_of_filters_newest_first() {
    let directory = directory();
    let mut journal = open(directory.path());
    let error = JobError::new(ErrorCode::NoProgress, "");
    let state = |id: u128| match id % 6 {
        0 => JobState::Queued,
        1 => JobState::Running,
        2 => JobState::Ended(Ending::Succeeded),
        3 => JobState::Ended(Ending::Failed(error.clone())),
        4 => JobState::Ended(Ending::Canceled),
        _ => JobState::Ended(Ending::Superseded { by: JobId::from_u128(0) }),
    };
    let all: Vec<Job> = (0..40_u128)
        .map(|id| Job { state: state(id), ..job(id, ["worker", "api", "db"][(id * 7 % 11 % 3) as usize]) })
        .collect();
    journal.put(&[jobs(all.clone())]).expect("committed");
    let reader = SqliteReader::open(directory.path()).expect("readable");
    let some = |names: &[&str]| Reach::only(names.iter().map(|name| alias(name)));
    for resources in [
        Reach::EVERYTHING,
        some(&["worker"]),
        some(&["db"]),
        some(&["unheard-of"]),
        some(&["worker", "x", "db"]),
        some(&[]),
    ] {
        for chosen in 0..1_u32 << StateName::ALL.len() {
            let states: Vec<_> =
                (0..).zip(StateName::ALL).filter(|(bit, _)| chosen & 1 << bit != 0).map(|(_, state)| state).collect();
            let wanted = |job: &&Job| {
                resources.includes(&job.resource) && (states.is_empty() || states.contains(&job.state.name()))
            };
            let expected: Vec<u128> = all.iter().rev().filter(wanted).map(|job| job.id.as_u128()).collect();
            let filter = JobFilter { resources: resources.clone(), states: states.clone() };
            for size in [1, 3, 40] {
                assert_eq!(list(&reader, &filter, size).await, expected, "{filter:?}, {size} a page");
            }
        }
    }
    let twice = JobFilter { resources: Reach::EVERYTHING, states: vec![StateName::Running; 2] };
    assert_eq!(list(&reader, &twice, 2).await.len(), 7, "a state given twice counts once");
}

#[tokio::test]
async fn a_page_ends_where_the_next_begins_whatever_happens_in_between() {
    let directory = directory();
    let mut journal = open(directory.path());
    journal.put(&[jobs((0..10).map(|id| ended(id, Ending::Succeeded, NOW)))]).expect("committed");
    let reader = SqliteReader::open(directory.path()).expect("readable");
    let all = JobFilter::default();
    let first = reader.jobs_page(&all, None, 4).await.expect("a page");
    let next = first.next;
    assert_eq!(ids(first), [9, 8, 7, 6].map(JobId::from_u128));
    // New jobs come, and what the next page was to begin with goes.
    journal.put(&[jobs((10..13).map(|id| job(id, "worker")))]).expect("committed");
    shell(directory.path()).execute("DELETE FROM jobs WHERE seq BETWEEN 6 AND 7", []).expect("removed");
    let second = reader.jobs_page(&all, next, 4).await.expect("a page");
    let next = second.next;
    assert_eq!(ids(second), [4, 3, 2, 1].map(JobId::from_u128));
    let last = reader.jobs_page(&all, next, 4).await.expect("a page");
    assert_eq!((last.next, ids(last)), (None, vec![JobId::from_u128(0)]));
}

#[test]
fn no_query_reads_more_than_it_shows() {
    let directory = directory();
    let mut journal = open(directory.path());
    journal.put(&[jobs((0..100).map(|id| ended(id, Ending::Succeeded, NOW)))]).expect("committed");
    let db = shell(directory.path());
    let plan = |sql: &str| -> String {
        let mut statement = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).expect("a plan");
        let parameters = rusqlite::params_from_iter(vec!["1"; statement.parameter_count()]);
        let steps = statement
            .query_map(parameters, |row| row.get::<_, String>(3))
            .expect("a plan")
            .collect::<Result<Vec<_>, _>>()
            .expect("a plan");
        steps.join("; ")
    };
    let assert_plan = |sql: &str, index: &str| {
        let plan = plan(sql);
        assert!(plan.contains(index), "{plan}");
        // The list that was asked for is no table, nor is the chain of versions.
        let tables = plan.replace("SCAN json_each", "").replace("SCAN of_job", "");
        assert!(!tables.contains("SCAN") && !plan.contains("TEMP B-TREE"), "{plan}");
    };
    let (some, every) = (Reach::only([alias("worker")]), Reach::EVERYTHING);
    let (one, two) = ([StateName::Failed], [StateName::Queued, StateName::Failed]);
    // The ids are in it: no job is looked up.
    let covering = "COVERING INDEX jobs_by_resource_and_state (resource=? AND state=? AND seq<?)";
    let by_state = "INDEX jobs_by_state (state=? AND seq<?)";
    for (resources, states, index, times) in [
        (&every, &[][..], "INTEGER PRIMARY KEY (rowid<?)", 1),
        (&every, &one[..], by_state, 1),
        (&every, &two[..], "MERGE (UNION ALL)", 1),
        (&every, &two[..], by_state, 2),
        (&some, &[][..], "MERGE (UNION ALL)", 5),
        (&some, &[][..], covering, 6),
        (&some, &one[..], covering, 1),
    ] {
        for run in Run::of(resources, states) {
            assert_plan(&run.sql(), index);
            assert_eq!(plan(&run.sql()).matches(index).count(), times, "{}", run.sql());
        }
    }
    for (filter, index) in [
        (EventFilter::ALL, "INTEGER PRIMARY KEY (rowid>? AND rowid<?)"),
        (only(&["worker"]), "INTEGER PRIMARY KEY (rowid>? AND rowid<?)"),
        (EventFilter::Job(JobId::nil()), "versions USING INTEGER PRIMARY KEY (rowid=?)"),
    ] {
        assert_plan(&versions_sql(&filter, VERSION, "ORDER BY seq LIMIT ?4"), index);
    }
    assert_plan(ENTRIES_SQL, "(resource=? AND number<?)");
}

fn only(resources: &[&str]) -> EventFilter {
    EventFilter::Resources(Reach::only(resources.iter().map(|name| alias(name))))
}

// ---- versions ---------------------------------------------------------------------------------------------------

fn event(id: EventId, job: Job) -> JobEvent {
    JobEvent { id, job: job.into() }
}

fn commit(journal: &mut SqliteJournal, events: Vec<JobEvent>) {
    for JobEvent { id, job } in events {
        journal.commit(&[Unit { jobs: vec![job], ..Unit::default() }], id).expect("committed");
    }
}

#[tokio::test]
async fn the_log_gives_back_every_version_of_whom_one_asks_for() {
    let directory = directory();
    let mut journal = open(directory.path());
    let version = |version, job| Job { version, ..job };
    let events = [
        event(11, version(1, job(1, "worker"))),
        event(12, version(1, job(2, "api"))),
        event(13, version(2, job(1, "worker"))),
        event(14, eventful_job()),
    ];
    commit(&mut journal, events.to_vec());
    let reader = SqliteReader::open(directory.path()).expect("readable");
    let job_1 = EventFilter::Job(JobId::from_u128(1));
    for (filter, after, until, size, expected) in [
        (EventFilter::ALL, 0, 99, 9, &[11, 12, 13, 14][..]),
        (EventFilter::ALL, 11, 13, 9, &[12, 13]),
        (EventFilter::ALL, 11, 99, 2, &[12, 13]),
        (EventFilter::ALL, 14, 99, 9, &[]),
        (only(&["worker", "nothing"]), 0, 99, 9, &[11, 13, 14]),
        (only(&["other"]), 0, 99, 9, &[]),
        (job_1.clone(), 0, 99, 9, &[11, 13]),
        (job_1, 11, 99, 9, &[13]),
    ] {
        let page = reader.versions(&filter, after, until, size).await.expect("a page");
        assert_eq!(page.oldest, Some(11));
        let ids: Vec<EventId> = page.versions.iter().map(|(id, _)| *id).collect();
        assert_eq!(ids, expected, "{filter:?} after {after} until {until}");
        for (id, abridged) in page.versions {
            let original = events.iter().find(|event| event.id == id).expect("one of them");
            assert_eq!(abridged, AbridgedJob::of(&original.job));
        }
    }
    let has_all = async |filter: &EventFilter, after| reader.has_all_after(filter, after, 99).await.expect("readable");
    let (api, job_2) = (only(&["api"]), EventFilter::Job(JobId::from_u128(2)));
    for filter in [&EventFilter::ALL, &api, &job_2] {
        assert!(has_all(filter, 10).await && !has_all(filter, 9).await, "{filter:?}: the log begins with 11");
    }
    shell(directory.path()).execute("DELETE FROM jobs WHERE resource = 'api'", []).expect("removed");
    for filter in [&EventFilter::ALL, &api, &job_2] {
        assert!(!has_all(filter, 10).await, "{filter:?}: a job is gone");
    }
    assert!(has_all(&EventFilter::ALL, 12).await && has_all(&only(&["worker"]), 10).await, "it is about others");
}

/// Other readers have their turns in between.
#[tokio::test]
async fn a_long_log_is_read_in_parts() {
    let directory = directory();
    let versions =
        |ids: std::ops::RangeInclusive<u64>| ids.map(|id| event(id, Job { version: id, ..job(1, "worker") }));
    let end = 2 * PIECE_ROWS as u64 + 10;
    commit(&mut open(directory.path()), versions(1..=end).collect());
    let reader = SqliteReader::open(directory.path()).expect("readable");
    let (mut after, mut ends) = (0, Vec::new());
    while after < end {
        let page = reader.versions(&only(&["other"]), after, end, 9).await.expect("a page");
        assert!(page.versions.is_empty() && page.until > after);
        after = page.until;
        ends.push(after);
    }
    assert_eq!(ends, [PIECE_ROWS as u64, 2 * PIECE_ROWS as u64, end]);
    let full = reader.versions(&EventFilter::ALL, 0, end, 9).await.expect("a page");
    assert_eq!((full.versions.len(), full.until), (9, 9));
    let has_all = async || reader.has_all_after(&EventFilter::ALL, 0, end).await.expect("readable");
    assert!(has_all().await);
    commit(&mut open(directory.path()), vec![event(end + 1, job(2, "worker"))]);
    shell(directory.path()).execute("UPDATE versions SET job = 'gone' WHERE seq = ?1", [end]).expect("changed");
    assert!(!has_all().await, "it is found in the last part");
}

/// As many reads as there are connections go on at a time, and the next one begins when one of them ends. Keys never wait.
#[tokio::test]
async fn reads_do_not_wait_for_each_other_until_there_are_too_many() {
    let directory = directory();
    drop(open(directory.path()));
    let reader = SqliteReader::open(directory.path()).expect("readable");
    let mut slow = Vec::new();
    for _ in 0..READERS {
        let (readers, (begun, is_begun), (end, ended)) =
            (Arc::clone(&reader.readers), tokio::sync::oneshot::channel(), std::sync::mpsc::channel::<()>());
        let read = tokio::spawn(async move {
            let wait = move |_: &Connection| {
                begun.send(()).expect("the test waits");
                // Until the other end is gone.
                ended.recv().expect_err("nothing is sent");
                Ok(())
            };
            readers.read(wait).await.expect("readable");
        });
        is_begun.await.expect("it has a connection of its own");
        slow.push((read, end));
    }
    assert_eq!(reader.keys().await.expect("readable"), []);
    let mut next = Box::pin(reader.job(JobId::nil()));
    assert!(futures_util::FutureExt::now_or_never(&mut next).is_none());
    let (one, end) = slow.pop().expect("one of them");
    drop(end);
    assert_eq!(next.await.expect("readable"), None);
    one.await.expect("no panic");
}

#[tokio::test]
async fn jobs_are_found_by_id_and_counted_and_large_ones_make_small_pages() {
    let directory = directory();
    let mut journal = open(directory.path());
    let large = |id| Job { reason: Some("x".repeat(PAGE_BYTES / 2)), ..ended(id, Ending::Succeeded, NOW) };
    journal.put(&[jobs((1..=3).map(large).chain([job(4, "worker")]))]).expect("committed");
    let reader = SqliteReader::open(directory.path()).expect("readable");
    let found = reader.job(JobId::from_u128(4)).await.expect("readable").expect("there");
    assert_eq!(*found.job, job(4, "worker"));
    assert_eq!(reader.job(JobId::from_u128(5)).await.expect("readable"), None);
    let counted: Vec<_> = reader.job_counts().await.expect("readable").into_iter().filter(|(_, n)| *n > 0).collect();
    assert_eq!(counted, [(StateName::Queued, 1), (StateName::Succeeded, 3)]);
    let first = reader.jobs_page(&JobFilter::default(), None, 9).await.expect("a page");
    let rest = reader.jobs_page(&JobFilter::default(), first.next, 9).await.expect("a page");
    assert_eq!(
        (rest.next, ids(first), ids(rest)),
        (None, [4, 3, 2].map(JobId::from_u128).to_vec(), vec![JobId::from_u128(1)])
    );
    shell(directory.path()).execute("UPDATE jobs SET record = '{' WHERE seq = 1", []).expect("changed");
    let error = reader.job(JobId::from_u128(1)).await.expect_err("no sense");
    assert!(error.to_string().contains("is corrupt (job "), "{error}");
    assert!(reader.jobs_page(&JobFilter::default(), None, 9).await.is_ok(), "it is not on this page");
}

#[tokio::test]
async fn the_log_keeps_the_newest_versions() {
    let directory = directory();
    let mut journal = open(directory.path());
    let reader = SqliteReader::open(directory.path()).expect("readable");
    let oldest = async || reader.versions(&EventFilter::ALL, 0, 0, 1).await.expect("a page").oldest;
    assert_eq!(oldest().await, None);
    commit(&mut journal, vec![event(1, job(1, "worker")), event(2, job(2, "worker"))]);
    commit(&mut journal, vec![event(MAX_LOGGED_VERSIONS, job(3, "worker"))]);
    assert_eq!(oldest().await, Some(1));
    let together = TRIMMED_TOGETHER;
    commit(
        &mut journal,
        vec![event(MAX_LOGGED_VERSIONS + together - MAX_LOGGED_VERSIONS % together, job(4, "worker"))],
    );
    assert_eq!(oldest().await, Some(MAX_LOGGED_VERSIONS));
}

// ---- timelines --------------------------------------------------------------------------------------------------

/// The capacities of all readings in the timeline of `worker`, newest first, by pages of `size`.
async fn capacities(reader: &SqliteReader, size: usize) -> Vec<u32> {
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let page = reader.timeline(&alias("worker"), after, size).await.expect("a page");
        assert!(page.entries.len() <= size && (page.next.is_none() || page.entries.len() == size));
        after = page.next;
        found.extend(page.items().iter().map(|entry| match entry.what {
            ResourceEvent::Reading { capacity, .. } => capacity.units(),
            _ => panic!("{entry:?} was not committed"),
        }));
        if after.is_none() {
            return found;
        }
    }
}

#[tokio::test]
async fn timelines_are_paged_newest_first_each_on_its_own() {
    let directory = directory();
    let mut journal = open(directory.path());
    let reader = SqliteReader::open(directory.path()).expect("readable");
    assert_eq!(capacities(&reader, 3).await, [0; 0]);
    let others = readings(NOW, 90..=99).into_iter().map(|(_, entry)| (alias("api"), entry));
    let history = readings(NOW, 1..=3).into_iter().chain(others).chain(readings(NOW, 4..=7)).collect();
    journal.put(&[Unit { history, ..Unit::default() }]).expect("committed");
    for size in [1, 2, 3, 7, 8] {
        assert_eq!(capacities(&reader, size).await, [7, 6, 5, 4, 3, 2, 1], "by {size}");
    }
    assert_eq!(reader.timeline(&alias("api"), None, 200).await.expect("a page").entries.len(), 10);
}

#[tokio::test]
async fn a_timeline_keeps_the_newest_entries() {
    let directory = directory();
    let mut journal = open(directory.path());
    let reader = SqliteReader::open(directory.path()).expect("readable");
    journal.put(&[Unit { history: readings(NOW, 1..=MAX_TIMELINE), ..Unit::default() }]).expect("committed");
    assert_eq!(capacities(&reader, 1000).await.last(), Some(&1));
    let together = TRIMMED_TOGETHER as u32;
    let more = readings(NOW, MAX_TIMELINE + 1..=MAX_TIMELINE + 2 * together);
    journal.put(&[Unit { history: more, ..Unit::default() }]).expect("committed");
    let kept = capacities(&reader, 1000).await;
    let too_many = kept.len() - MAX_TIMELINE as usize;
    assert!(too_many < together as usize, "{too_many} too many");
    assert_eq!(kept.last(), Some(&(2 * together + 1 - too_many as u32)), "the oldest ones are gone");
}
