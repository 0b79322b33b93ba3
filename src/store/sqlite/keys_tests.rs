use super::super::SqliteReader;
use super::super::fixtures::{NOW, directory, key, key_id as id, open, shell};
use super::super::key_changes::{key_changes_path, look};
use super::*;
use crate::domain::{Action, Actor, Attempt, AuditVerdict, RetentionClass, Subject};
use crate::store::StoreReader as _;

fn entry(number: u32, actor: Option<u32>, verdict: AuditVerdict) -> AuditEntry {
    let actor = actor.map(|number| Actor::Key { key: id(number), name: "ci".into() });
    let attempt = Attempt { request: None, actor, address: Some([192, 0, 2, 1].into()) };
    let subject = Subject { key: Some(id(number)), ..Subject::default() };
    AuditEntry { at: NOW, attempt, action: Action::RevokeKey, subject, verdict }
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
    let changes = key_changes_path(directory.path());
    let mut seen = vec![look(&changes).expect("it can be told")];
    let add = |number| {
        let mut store = KeyStore::open(directory.path()).expect("a store");
        store.apply(KeyChange::Added(key(number)), entry(number, None, AuditVerdict::Accepted)).expect("written");
        store.keys().expect("readable").len()
    };
    let mut is_noticed = || {
        let now = look(&changes).expect("it can be told");
        let is_new = !seen.contains(&now) && look(&changes) == Some(now);
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
