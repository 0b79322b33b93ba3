use super::super::decisions::TRIMMED_TOGETHER;
use super::super::fixtures::{NOW, alias, directory, ended, job, jobs, open, readings, shell};
use super::super::queries::{DECISIONS_SQL, ENTRIES_SQL, LAST_OUTCOME_SQL, PIECE_ROWS, Run, VERSION, versions_sql};
use super::super::{Journal as _, SqliteJournal};
use super::*;
use crate::domain::{Ending, Job, JobEvent, JobId, Reach, ResourceEvent};
use crate::store::{MAX_LOGGED_VERSIONS, MAX_TIMELINE, Unit};

// ---- lists ------------------------------------------------------------------------------------------------------

fn ids(page: Page<JobEvent>) -> Vec<JobId> {
    page.items().iter().map(|event| event.job.id).collect()
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
    let outcome = plan(LAST_OUTCOME_SQL);
    let newest = "SEARCH jobs USING COVERING INDEX jobs_by_resource_and_state (resource=? AND state=?)";
    assert!(outcome.matches(newest).count() == 2 && !outcome.contains("SCAN"), "{outcome}");
    for sql in [ENTRIES_SQL, DECISIONS_SQL] {
        assert_plan(sql, "(resource=? AND number<?)");
    }
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

/// As many reads as there are connections go on at a time, and the next one begins when one of them ends. Keys never
/// wait.
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
async fn large_jobs_make_small_pages() {
    let directory = directory();
    let mut journal = open(directory.path());
    let large = |id| Job { reason: Some("x".repeat(PAGE_BYTES / 2)), ..ended(id, Ending::Succeeded, NOW) };
    journal.put(&[jobs((1..=3).map(large).chain([job(4, "worker")]))]).expect("committed");
    let reader = SqliteReader::open(directory.path()).expect("readable");
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
