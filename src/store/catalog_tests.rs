use super::super::fixtures::{NOW, alias, directory, ended, eventful_job, job, jobs, open, readings, shell};
use super::super::rows::TRIMMED_TOGETHER;
use super::super::{Batch, Journal as _, MAX_LOGGED_VERSIONS, MAX_TIMELINE, SqliteJournal};
use super::*;
use crate::domain::{Ending, ErrorCode, Job, JobError, JobEvent, JobId, JobState, Reach, ResourceEvent};

// ---- lists ------------------------------------------------------------------------------------------------------

/// All pages, joined.
fn list(catalog: &SqliteCatalog, filter: &JobFilter, size: usize) -> Vec<u128> {
    let mut ids = Vec::new();
    let mut after = None;
    loop {
        let page = catalog.page(filter, after, size).expect("a page");
        assert!(page.entries.len() <= size && (page.next.is_none() || page.entries.len() == size));
        after = page.next;
        ids.extend(page.items().iter().map(|id| id.as_u128()));
        if after.is_none() {
            return ids;
        }
    }
}

#[test]
fn lists_every_combination_of_filters_newest_first() {
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
    journal.commit(&[jobs(all.clone())]).expect("committed");
    let catalog = SqliteCatalog::open(directory.path()).expect("readable");
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
                assert_eq!(list(&catalog, &filter, size), expected, "{filter:?}, {size} a page");
            }
        }
    }
    let twice = JobFilter { resources: Reach::EVERYTHING, states: vec![StateName::Running; 2] };
    assert_eq!(list(&catalog, &twice, 2).len(), 7, "a state given twice counts once");
}

#[test]
fn a_page_ends_where_the_next_begins_whatever_happens_in_between() {
    let directory = directory();
    let mut journal = open(directory.path());
    journal.commit(&[jobs((0..10).map(|id| ended(id, Ending::Succeeded, NOW)))]).expect("committed");
    let catalog = SqliteCatalog::open(directory.path()).expect("readable");
    let all = JobFilter::default();
    let first = catalog.page(&all, None, 4).expect("a page");
    let next = first.next;
    assert_eq!(first.items(), [9, 8, 7, 6].map(JobId::from_u128));
    // New jobs come, and what the next page was to begin with goes.
    journal.commit(&[jobs((10..13).map(|id| job(id, "worker")))]).expect("committed");
    shell(directory.path()).execute("DELETE FROM jobs WHERE seq BETWEEN 6 AND 7", []).expect("removed");
    let second = catalog.page(&all, next, 4).expect("a page");
    let next = second.next;
    assert_eq!(second.items(), [4, 3, 2, 1].map(JobId::from_u128));
    let last = catalog.page(&all, next, 4).expect("a page");
    assert_eq!((last.next, last.items()), (None, vec![JobId::from_u128(0)]));
}

#[test]
fn no_query_reads_more_than_it_shows() {
    let directory = directory();
    let mut journal = open(directory.path());
    journal.commit(&[jobs((0..100).map(|id| ended(id, Ending::Succeeded, NOW)))]).expect("committed");
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
    journal.commit(&[Batch { jobs: events, ..Batch::default() }]).expect("committed");
}

#[test]
fn the_log_gives_back_every_version_of_whom_one_asks_for() {
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
    let catalog = SqliteCatalog::open(directory.path()).expect("readable");
    let job_1 = EventFilter::Job(JobId::from_u128(1));
    let changed = |filter, after, until| -> Vec<u128> {
        let (oldest, mut jobs) = catalog.changed_jobs(&filter, after, until).expect("readable");
        assert_eq!(oldest, Some(11));
        jobs.sort();
        jobs.iter().map(|id| id.as_u128()).collect()
    };
    assert_eq!(changed(EventFilter::ALL, 0, 99), [1, 2, 7]);
    assert_eq!(changed(EventFilter::ALL, 12, 13), [1]);
    assert_eq!(changed(only(&["api"]), 0, 99), [2]);
    assert_eq!(changed(job_1.clone(), 11, 99), [1]);
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
        let page = catalog.versions(&filter, after, until, size).expect("a page");
        assert_eq!(page.oldest, Some(11));
        let ids: Vec<EventId> = page.versions.iter().map(|(id, _)| *id).collect();
        assert_eq!(ids, expected, "{filter:?} after {after} until {until}");
        for (id, abridged) in page.versions {
            let original = events.iter().find(|event| event.id == id).expect("one of them");
            assert_eq!(abridged, AbridgedJob::of(&original.job));
        }
    }
}

#[test]
fn the_log_keeps_the_newest_versions() {
    let directory = directory();
    let mut journal = open(directory.path());
    let catalog = SqliteCatalog::open(directory.path()).expect("readable");
    let oldest = || catalog.versions(&EventFilter::ALL, 0, 0, 1).expect("a page").oldest;
    assert_eq!(oldest(), None);
    commit(&mut journal, vec![event(1, job(1, "worker")), event(2, job(2, "worker"))]);
    commit(&mut journal, vec![event(MAX_LOGGED_VERSIONS, job(3, "worker"))]);
    assert_eq!(oldest(), Some(1));
    let together = TRIMMED_TOGETHER;
    commit(
        &mut journal,
        vec![event(MAX_LOGGED_VERSIONS + together - MAX_LOGGED_VERSIONS % together, job(4, "worker"))],
    );
    assert_eq!(oldest(), Some(MAX_LOGGED_VERSIONS));
}

// ---- timelines --------------------------------------------------------------------------------------------------

/// The capacities of all readings in the timeline of `worker`, newest first, by pages of `size`.
fn capacities(catalog: &SqliteCatalog, size: usize) -> Vec<u32> {
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let page = catalog.timeline(&alias("worker"), after, size).expect("a page");
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

#[test]
fn timelines_are_paged_newest_first_each_on_its_own() {
    let directory = directory();
    let mut journal = open(directory.path());
    let catalog = SqliteCatalog::open(directory.path()).expect("readable");
    assert_eq!(capacities(&catalog, 3), [0; 0]);
    let others = readings(NOW, 90..=99).into_iter().map(|(_, entry)| (alias("api"), entry));
    let history = readings(NOW, 1..=3).into_iter().chain(others).chain(readings(NOW, 4..=7)).collect();
    journal.commit(&[Batch { history, ..Batch::default() }]).expect("committed");
    for size in [1, 2, 3, 7, 8] {
        assert_eq!(capacities(&catalog, size), [7, 6, 5, 4, 3, 2, 1], "by {size}");
    }
    assert_eq!(catalog.timeline(&alias("api"), None, 200).expect("a page").entries.len(), 10);
}

#[test]
fn a_timeline_keeps_the_newest_entries() {
    let directory = directory();
    let mut journal = open(directory.path());
    let catalog = SqliteCatalog::open(directory.path()).expect("readable");
    journal.commit(&[Batch { history: readings(NOW, 1..=MAX_TIMELINE), ..Batch::default() }]).expect("committed");
    assert_eq!(capacities(&catalog, 1000).last(), Some(&1));
    let together = TRIMMED_TOGETHER as u32;
    let more = readings(NOW, MAX_TIMELINE + 1..=MAX_TIMELINE + 2 * together);
    journal.commit(&[Batch { history: more, ..Batch::default() }]).expect("committed");
    let kept = capacities(&catalog, 1000);
    let too_many = kept.len() - MAX_TIMELINE as usize;
    assert!(too_many < together as usize, "{too_many} too many");
    assert_eq!(kept.last(), Some(&(2 * together + 1 - too_many as u32)), "the oldest ones are gone");
}
