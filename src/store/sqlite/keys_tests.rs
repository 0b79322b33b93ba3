use std::time::Duration;

use super::super::SqliteReader;
use super::super::fixtures::{ALL_KEPT, NOW, alias, directory, open, shell};
use super::*;
use crate::domain::{Action, Actor, Attempt, AuditVerdict, KeyId, Reach, RetentionClass, Scope, Subject};
use crate::store::MAX_DEAD_KEYS;
use crate::store::StoreReader as _;

fn id(number: u32) -> KeyId {
    format!("{number:010}").parse().expect("an id")
}

fn key(number: u32) -> KeyRecord {
    KeyRecord {
        id: id(number),
        name: format!("key {number}"),
        hash: [number as u8; 32],
        scope: Scope::ALL[number as usize % 3],
        reach: if number.is_multiple_of(2) { Reach::EVERYTHING } else { Reach::only([alias("worker"), alias("api")]) },
        created_at: NOW,
        expires_at: (number == 3).then_some(NOW + Duration::from_secs(1)),
        revoked_at: None,
        last_used_at: None,
    }
}

fn entry(number: u32, actor: Option<u32>, verdict: AuditVerdict) -> AuditEntry {
    let actor = actor.map(|number| Actor { key: id(number), name: "ci".into() });
    let attempt = Attempt { request: None, actor, address: Some([192, 0, 2, 1].into()) };
    let subject = Subject { key: Some(id(number)), ..Subject::default() };
    AuditEntry { at: NOW, attempt, action: Action::RevokeKey, subject, verdict }
}

fn refused() -> AuditVerdict {
    AuditVerdict::Refused { code: "insufficient_scope".into() }
}

#[tokio::test]
async fn keys_come_back_as_they_were_and_change_as_told() {
    let directory = directory();
    let mut journal = open(directory.path());
    let reader = SqliteReader::open(directory.path()).expect("readable");
    assert_eq!(reader.keys().await.expect("readable"), []);
    let mut keys: Vec<KeyRecord> = (0..4).map(key).collect();
    let added = keys.iter().cloned().map(KeyChange::Added).collect();
    journal.put(&[Unit { keys: added, ..Unit::default() }]).expect("committed");
    assert_eq!(reader.keys().await.expect("readable"), keys);
    let later = |seconds| NOW + Duration::from_secs(seconds);
    let changes = vec![
        KeyChange::Revoked { id: id(1), at: later(5) },
        KeyChange::Revoked { id: id(1), at: later(9) },
        KeyChange::Used { id: id(2), at: later(7) },
        KeyChange::Used { id: id(2), at: later(6) },
        KeyChange::Used { id: id(99), at: later(6) },
    ];
    journal.put(&[Unit { keys: changes, ..Unit::default() }]).expect("committed");
    keys[1].revoked_at = Some(later(5));
    keys[2].last_used_at = Some(later(7));
    assert_eq!(reader.keys().await.expect("readable"), keys, "the first revocation and the latest use count");
}

#[test]
fn dead_keys_are_kept_for_a_while_and_living_ones_always() {
    let directory = directory();
    let mut journal = open(directory.path());
    let dead = |number| KeyRecord { revoked_at: Some(NOW), ..key(number) };
    let mut changes = vec![KeyChange::Added(key(10_000))];
    changes.extend((100..=100 + MAX_DEAD_KEYS).map(|number| KeyChange::Added(dead(number))));
    changes.push(KeyChange::Added(key(10_001)));
    journal.put(&[Unit { keys: changes, ..Unit::default() }]).expect("committed");
    let kept = journal.read_api_keys().expect("readable");
    assert_eq!(kept.len(), MAX_DEAD_KEYS as usize + 2);
    assert_eq!((&kept[0].id, &kept[1].id), (&id(10_000), &id(101)), "the oldest dead one is gone");
}

#[tokio::test]
async fn a_key_that_makes_no_sense_is_damage() {
    for damage in ["scope = 'root'", "resources = '1'", "id = 'x'"] {
        let directory = directory();
        let mut journal = open(directory.path());
        journal.put(&[Unit { keys: vec![KeyChange::Added(key(1))], ..Unit::default() }]).expect("committed");
        shell(directory.path()).execute(&format!("UPDATE keys SET {damage}"), []).expect("written");
        let reader = SqliteReader::open(directory.path()).expect("readable");
        assert!(reader.keys().await.is_err(), "{damage}");
    }
}

/// Both ways into the store, and what a gateway beside it sees.
#[tokio::test]
async fn another_process_changes_keys_beside_the_gateway_or_alone() {
    let directory = directory();
    let watch = super::super::KeyChangesWatch::begin(directory.path());
    let mut seen = vec![watch.look().expect("it can be told")];
    let add = |number| {
        let mut store = KeyStore::open(directory.path()).expect("a store");
        store.apply(KeyChange::Added(key(number)), entry(number, None, AuditVerdict::Accepted)).expect("written");
        store.keys().expect("readable").len()
    };
    let mut is_noticed = || {
        let now = watch.look().expect("it can be told");
        let is_new = !seen.contains(&now) && watch.look() == Some(now);
        seen.push(now);
        is_new
    };
    assert_eq!((add(1), is_noticed()), (1, true));
    let journal = open(directory.path());
    assert_eq!((add(2), is_noticed()), (2, true), "beside the one that has the lock");
    let kept = journal.read_api_keys().expect("readable");
    assert_eq!(kept, [key(1), key(2)]);
    drop(journal);
    assert_eq!((add(4), is_noticed()), (3, true));
    let files = std::fs::read_dir(directory.path()).expect("a directory").map(|file| file.expect("a file").file_name());
    let files: Vec<_> = files.filter(|name| name.to_string_lossy().contains("key-changes")).collect();
    assert_eq!(files, ["scalegate.key-changes"], "nothing else is left behind");
    let length = std::fs::metadata(directory.path().join("scalegate.key-changes")).expect("a file").len();
    assert_eq!(length, 0, "it does not grow");
    let reader = SqliteReader::open(directory.path()).expect("readable");
    assert_eq!(reader.audit(None, 9).await.expect("readable").entries.len(), 3);
}

#[test]
fn another_release_is_left_alone_while_it_runs() {
    let directory = directory();
    let journal = open(directory.path());
    shell(directory.path()).pragma_update(None, "user_version", schema::VERSION + 1).expect("written");
    let refused = KeyStore::open(directory.path()).map(drop);
    assert!(matches!(refused, Err(SqliteError::OtherRelease { .. })), "{refused:?}");
    drop(journal);
}

/// What looking at a database made by `sql` gives.
fn look_at(sql: &str) -> Result<Option<Vec<KeyRecord>>, SqliteError> {
    let directory = tempfile::tempdir().expect("a directory");
    let db = Connection::open(database_path(directory.path())).expect("a database");
    db.execute_batch(sql).expect("plain SQL");
    drop(db);
    let looked = KeyStore::look(directory.path());
    assert_eq!(std::fs::read_dir(directory.path()).expect("a directory").count(), 1, "nothing is created");
    looked
}

#[test]
fn stores_without_keys_have_none_and_strange_ones_are_refused() {
    let ours = format!("CREATE TABLE jobs (id TEXT); PRAGMA application_id = {};", schema::APPLICATION_ID);
    assert!(matches!(look_at(""), Ok(Some(keys)) if keys.is_empty()));
    assert!(matches!(look_at(&format!("{ours} PRAGMA user_version = 3")), Ok(Some(keys)) if keys.is_empty()));
    let later = schema::VERSION + 1;
    let looked = look_at(&format!("{ours} PRAGMA user_version = {later}"));
    assert!(matches!(looked, Err(SqliteError::NewerSchema { found, .. }) if found == later), "{looked:?}");
    assert!(matches!(look_at("CREATE TABLE notes (id TEXT)"), Err(SqliteError::Foreign { .. })));
    let nowhere = tempfile::tempdir().expect("a directory");
    assert!(matches!(KeyStore::look(&nowhere.path().join("none")), Ok(None)));
}

// ---- the record of attempts -------------------------------------------------------------------------------------

#[tokio::test]
async fn attempts_are_paged_newest_first() {
    let directory = directory();
    let mut journal = open(directory.path());
    let entries: Vec<AuditEntry> = (1..=7)
        .map(|number| match number % 3 {
            0 => entry(number, Some(1), refused()),
            1 => entry(number, None, refused()),
            _ => entry(number, Some(1), AuditVerdict::Unchanged),
        })
        .collect();
    journal.put(&[Unit { audit: entries.clone(), ..Unit::default() }]).expect("committed");
    let reader = SqliteReader::open(directory.path()).expect("readable");
    for size in [1, 3, 7, 8] {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = reader.audit(after, size).await.expect("a page");
            assert!(page.entries.len() <= size && (page.next.is_none() || page.entries.len() == size));
            after = page.next;
            found.extend(page.items());
            if after.is_none() {
                break;
            }
        }
        assert!(found.iter().eq(entries.iter().rev()), "by {size}");
    }
}

/// Commits these entries and removes what is then too many; what is kept, newest first.
async fn kept_of(directory: &Path, entries: Vec<AuditEntry>) -> Vec<AuditEntry> {
    let mut journal = open(directory);
    journal.put(&[Unit { audit: entries, ..Unit::default() }]).expect("committed");
    while journal.prune(ALL_KEPT, NOW, None).expect("pruned").more {}
    let reader = SqliteReader::open(directory).expect("readable");
    reader.audit(None, usize::MAX - 1).await.expect("a page").items()
}

#[tokio::test]
async fn attempts_that_change_nothing_push_out_no_others() {
    let directory = directory();
    let (strangers, repeated) = (RetentionClass::Strangers.room() as u32, RetentionClass::Repeated.room());
    let made = entry(0, Some(1), AuditVerdict::Accepted);
    let entries = std::iter::once(made.clone())
        .chain((1..=strangers + 7).map(|number| entry(number, None, refused())))
        .chain((0..repeated + 1000).map(|_| entry(0, Some(1), AuditVerdict::Unchanged)))
        .chain([entry(0, Some(1), refused())]);
    let kept = kept_of(directory.path(), entries.collect()).await;
    let of = |class| kept.iter().filter(move |entry| entry.retention_class() == class);
    let counts = RetentionClass::ALL.map(|class| of(class).count());
    assert_eq!(counts, [1, 0, repeated, 1, strangers as usize]);
    assert_eq!(kept.last(), Some(&made));
    let oldest = of(RetentionClass::Strangers).next_back();
    assert_eq!(oldest.and_then(|oldest| oldest.subject.key.clone()), Some(id(8)));
}

/// A key that may only scale can submit as often as it likes.
#[tokio::test]
async fn scaling_pushes_out_neither_the_record_of_a_key_nor_that_of_other_keys() {
    let directory = directory();
    let scaling = |actor| AuditEntry { action: Action::SubmitJob, ..entry(0, Some(actor), AuditVerdict::Accepted) };
    let (made, of_other) = (entry(7, None, AuditVerdict::Accepted), scaling(2));
    let room = RetentionClass::Obeyed.room();
    let entries = [made.clone(), of_other.clone()].into_iter().chain((0..room + 50).map(|_| scaling(1)));
    let kept = kept_of(directory.path(), entries.collect()).await;
    assert_eq!(kept.len(), room + 1);
    assert_eq!(kept[room - 1..], [of_other, made]);
}

#[test]
fn no_query_of_the_record_reads_more_than_it_shows() {
    let directory = directory();
    drop(open(directory.path()));
    let db = shell(directory.path());
    let mut statement =
        db.prepare(&format!("EXPLAIN QUERY PLAN {}", super::super::queries::attempts_sql())).expect("a plan");
    let steps = statement.query_map([1, 1], |row| row.get::<_, String>(3)).expect("a plan");
    let plan = steps.map(|step| step.expect("a step")).collect::<Vec<_>>().join("; ");
    assert!(plan.contains("MERGE (UNION ALL)") && !plan.contains("TEMP B-TREE") && !plan.contains("SCAN"), "{plan}");
    assert_eq!(plan.matches("PRIMARY KEY (shelf=? AND seq<?)").count(), RetentionClass::ALL.len(), "{plan}");
}
