use std::path::Path;

use serde_json::Value;

use super::{KeysArgs, KeysCommand, entry};
use crate::access::{MAX_KEYS, NewKey, Token};
use crate::cli::exit::Exit;
use crate::cli::output::capture::Captured;
use crate::cli::testing;
use crate::clock::wall_now;
use crate::domain::{Action, Actor, AuditEntry, AuditVerdict, KeyRecord, Reach, Scope, Timestamp};
use crate::store::sqlite::{Journal as _, KeyStore, SqliteJournal, SqliteReader};
use crate::store::{KeyChange, StoreReader as _, Unit};

/// What the command does in `directory`.
fn keys(directory: &Path, arguments: &[&str]) -> (Exit, Captured) {
    let directory = directory.to_str().expect("a plain path");
    // The first key of a test may be of any scope.
    let yes = if arguments.first() == Some(&"create") { &["--yes"][..] } else { &[] };
    run(&[arguments, yes, &["--data-dir", directory]].concat())
}

fn run(arguments: &[&str]) -> (Exit, Captured) {
    let args: KeysArgs = testing::parse(arguments).expect("valid arguments");
    let captured = Captured::default();
    let mut output = captured.output();
    let exit = args.run(&mut output);
    (output.finish(exit), captured)
}

fn create(directory: &Path, arguments: &[&str]) -> Token {
    let (exit, captured) = keys(directory, &[&["create"], arguments].concat());
    assert_eq!(exit, Exit::Done, "{}", captured.err());
    let out = captured.out();
    let token: Token = out.trim_end_matches('\n').parse().expect("a key and nothing else");
    assert!(!captured.err().contains(&token.expose()[14..]), "it is on standard output alone");
    assert!(captured.err().contains(token.id().as_str()));
    token
}

fn stored(directory: &Path) -> Vec<KeyRecord> {
    KeyStore::look(directory).expect("readable").expect("a store")
}

fn audit(directory: &Path) -> Vec<AuditEntry> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let reader = SqliteReader::open(directory).expect("readable");
    runtime.block_on(reader.audit(None, 100)).expect("readable").items()
}

fn key(name: &str, now: Timestamp) -> KeyRecord {
    let wanted = NewKey { name: name.to_owned(), scope: Scope::Read, reach: Reach::EVERYTHING, lifetime: None };
    wanted.issue(now).expect("randomness").1
}

#[test]
fn a_key_is_kept_as_it_was_asked_for() {
    let directory = tempfile::tempdir().expect("a directory");
    let asked = ["queue watcher", "--scope", "scale", "--resource", "web", "--resource", "api", "--expires-in", "90d"];
    let limited = create(directory.path(), &asked);
    let admin = create(directory.path(), &["root", "--scope", "admin"]);
    let [first, second] = &stored(directory.path())[..] else { panic!("two keys") };
    assert_eq!((&first.id, first.hash, first.name.as_str()), (limited.id(), limited.hash(), "queue watcher"));
    assert_eq!(
        (first.scope, &first.reach),
        (Scope::Scale, &Reach::only(["api", "web"].map(|name| name.parse().expect("an alias"))))
    );
    let life = first.expires_at.map(|at| at.since(first.created_at));
    assert_eq!(life, Some(std::time::Duration::from_hours(90 * 24)));
    assert_eq!((&second.id, second.scope, &second.reach), (admin.id(), Scope::Admin, &Reach::EVERYTHING));
    assert_eq!((second.expires_at, second.revoked_at, second.last_used_at), (None, None, None));
}

#[test]
fn only_the_first_key_is_said_to_be_the_first() {
    let directory = tempfile::tempdir().expect("a directory");
    let told = || keys(directory.path(), &["create", "x", "--scope", "read"]).1.err();
    let first = "from now on also a gateway that listens on a loopback address wants a key";
    assert!(told().contains(first));
    assert!(!told().contains(first));
}

#[test]
fn every_change_is_recorded_as_one_of_the_command_line() {
    let directory = tempfile::tempdir().expect("a directory");
    let token = create(directory.path(), &["x", "--scope", "read"]);
    for _ in 0..2 {
        assert_eq!(keys(directory.path(), &["revoke", token.id().as_str()]).0, Exit::Done);
    }
    let entries = audit(directory.path());
    let done: Vec<_> = entries.iter().rev().map(|entry| (entry.action, &entry.verdict)).collect();
    assert_eq!(
        done,
        [
            (Action::CreateKey, &AuditVerdict::Accepted),
            (Action::RevokeKey, &AuditVerdict::Accepted),
            (Action::RevokeKey, &AuditVerdict::Unchanged)
        ]
    );
    for entry in entries {
        assert_eq!(entry.subject.key.as_ref(), Some(token.id()));
        assert_eq!(
            (entry.attempt.request, entry.attempt.actor, entry.attempt.address),
            (None, Some(Actor::Operator), None)
        );
    }
}

#[test]
fn what_makes_no_sense_is_refused_in_terms_of_the_flags() {
    let directory = tempfile::tempdir().expect("a directory");
    let elsewhere = directory.path().join("data");
    let many: Vec<String> = (0..33).map(|n| format!("--resource=r{n}")).collect();
    let many: Vec<&str> = ["x", "--scope=read"].into_iter().chain(many.iter().map(String::as_str)).collect();
    for (arguments, words) in [
        (&["", "--scope", "read"][..], "NAME must have 1 to 100 bytes"),
        (&["a\u{7}", "--scope", "read"], "NAME must have 1 to 100 bytes"),
        (&["ci\u{202e}nimda", "--scope", "read"], "no control or format characters"),
        (&["x", "--scope", "admin", "--resource", "web"], "--resource: resources cannot be limited for a key with"),
        (&many, "--resource: there must be 1 to 32 resources"),
        (&["x", "--scope", "read", "--expires-in", "0s"], "--expires-in must be between 1s and 3650d"),
        (&["x", "--scope", "read", "--expires-in", "3651d"], "--expires-in must be between 1s and 3650d"),
    ] {
        let (exit, captured) = keys(&elsewhere, &[&["create"], arguments].concat());
        assert_eq!((exit, captured.out().as_str()), (Exit::Usage, ""));
        assert!(captured.err().contains(words), "{}", captured.err());
        assert_eq!(captured.err().lines().count(), 1, "{}", captured.err());
    }
    assert!(!elsewhere.exists(), "nothing is created for what is refused");
    for arguments in [
        &["create", "x"][..],
        &["create", "--scope", "read"],
        &["create", "x", "--scope", "write"],
        &["create", "x", "--scope", "read", "--expires-in", "90"],
        &["create", "x", "--scope", "read", "--resource", "../etc"],
        &["revoke"],
        &[],
    ] {
        let error = testing::parse::<KeysArgs>(arguments).expect_err("nonsense");
        assert_eq!(error.exit_code(), Exit::Usage as i32, "{arguments:?}");
    }
}

#[test]
fn there_is_an_end_to_the_number_of_good_keys() {
    let directory = tempfile::tempdir().expect("a directory");
    let now = wall_now();
    let many: Vec<_> = (0..MAX_KEYS).map(|_| key("x", now)).collect();
    let added = many.iter().cloned().map(KeyChange::Added).collect();
    let mut journal = SqliteJournal::open(directory.path()).expect("a store");
    journal.commit(&[Unit { keys: added, ..Unit::default() }], 0).expect("written");
    drop(journal);
    let (exit, captured) = keys(directory.path(), &["create", "x", "--scope", "read"]);
    assert_eq!((exit, captured.out().as_str()), (Exit::Refused, ""));
    assert!(captured.err().contains("1000 keys are good already"), "{}", captured.err());
    assert_eq!(stored(directory.path()).len(), MAX_KEYS);
    assert_eq!(keys(directory.path(), &["revoke", many[7].id.as_str()]).0, Exit::Done);
    create(directory.path(), &["x", "--scope", "read"]);
}

#[test]
fn a_key_that_could_not_be_written_is_revoked() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().to_str().expect("a plain path");
    let args: KeysArgs =
        testing::parse(&["create", "x", "--scope", "read", "--yes", "--data-dir", path]).expect("valid arguments");
    let captured = Captured::default();
    let mut output = captured.output();
    output.close();
    assert_eq!(args.run(&mut output), Exit::Failed);
    assert!(captured.err().contains("was revoked: make another one"), "{}", captured.err());
    assert!(stored(directory.path())[0].revoked_at.is_some());
    let actions: Vec<_> = audit(directory.path()).into_iter().map(|entry| entry.action).collect();
    assert_eq!(actions, [Action::RevokeKey, Action::CreateKey]);
}

#[test]
fn the_list_shows_what_became_of_each_key() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut store = KeyStore::open(directory.path()).expect("a store");
    let now = Timestamp::from_millis(1_769_860_831_007);
    let good = KeyRecord { reach: Reach::only(["web".parse().expect("an alias")]), ..key("good", now) };
    let expired = KeyRecord { expires_at: Some(now + std::time::Duration::from_secs(60)), ..key("short lived", now) };
    let revoked = KeyRecord { revoked_at: Some(now), last_used_at: Some(now), ..key("revoked", now) };
    let all = [&good, &expired, &revoked];
    for key in all {
        let record = entry(Action::CreateKey, &key.id, AuditVerdict::Accepted);
        store.apply(KeyChange::Added(key.clone()), record).expect("written");
    }
    drop(store);
    let (exit, captured) = keys(directory.path(), &["list"]);
    let expected = format!(
        "ID          NAME         SCOPE  RESOURCES  STATE    CREATED               EXPIRES               LAST USED\n\
         {}  good         read   web        active   2026-01-31 12:00:31Z  never                 never\n\
         {}  short lived  read   all        expired  2026-01-31 12:00:31Z  2026-01-31 12:01:31Z  never\n\
         {}  revoked      read   all        revoked  2026-01-31 12:00:31Z  never                 2026-01-31 12:00:31Z\n",
        good.id, expired.id, revoked.id
    );
    assert_eq!((exit, captured.out()), (Exit::Done, expected));
    let (exit, captured) = keys(directory.path(), &["list", "--json"]);
    let list: Value = serde_json::from_str(&captured.out()).expect("JSON and nothing else");
    assert_eq!((exit, captured.out().lines().count(), captured.err().as_str()), (Exit::Done, 1, ""));
    let listed: Vec<_> = list["keys"].as_array().expect("keys").iter().map(|key| (&key["id"], &key["state"])).collect();
    let states = ["active", "expired", "revoked"].map(Value::from);
    assert_eq!(listed.len(), 3);
    for ((id, state), (key, expected)) in listed.into_iter().zip(all.into_iter().zip(&states)) {
        assert_eq!((id, state), (&Value::from(key.id.as_str()), expected));
    }
    assert!(!captured.out().contains("hash"));
}

#[test]
fn looking_and_revoking_create_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let elsewhere = directory.path().join("data");
    for arguments in [&["list"][..], &["list", "--json"], &["revoke", "0123456789"]] {
        for place in [&elsewhere, directory.path()] {
            let (exit, captured) = keys(place, arguments);
            assert_eq!((exit, captured.out().as_str()), (Exit::Failed, ""));
            assert!(captured.err().contains("--data-dir says where to look"), "{}", captured.err());
        }
    }
    assert_eq!(std::fs::read_dir(directory.path()).expect("a directory").count(), 0);
}

#[test]
fn an_empty_list_says_so() {
    let directory = tempfile::tempdir().expect("a directory");
    drop(SqliteJournal::open(directory.path()).expect("a store"));
    let (exit, captured) = keys(directory.path(), &["list"]);
    assert_eq!((exit, captured.out().as_str()), (Exit::Done, ""));
    assert!(captured.err().contains("there are no keys"), "{}", captured.err());
    assert_eq!(keys(directory.path(), &["list", "--json"]).1.out(), "{\"keys\":[]}\n");
}

#[test]
fn a_first_key_that_locks_everybody_out_is_not_made_by_chance() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().to_str().expect("a plain path");
    for scope in ["push", "read", "scale"] {
        let (exit, captured) = run(&["create", "x", "--scope", scope, "--data-dir", path]);
        assert_eq!((exit, captured.out().as_str()), (Exit::Refused, ""), "{scope}");
        let advice = format!("`scalegate keys create operator --scope admin --data-dir {path}`; or say --yes");
        assert!(captured.err().contains("locks out") && captured.err().contains(&advice), "{}", captured.err());
    }
    assert_eq!(stored(directory.path()), []);
    assert_eq!(run(&["create", "x", "--scope", "admin", "--data-dir", path]).0, Exit::Done);
    assert_eq!(run(&["create", "x", "--scope", "scale", "--data-dir", path]).0, Exit::Done);
}

#[test]
fn only_an_id_is_taken_for_one_and_nothing_else_is_repeated() {
    let directory = tempfile::tempdir().expect("a directory");
    let token = create(directory.path(), &["x", "--scope", "read"]);
    let whole = token.expose();
    let (exit, captured) = keys(directory.path(), &["revoke", whole]);
    assert_eq!(exit, Exit::Usage);
    assert!(captured.err().ends_with(&format!("give its id only, {}\n", token.id())), "{}", captured.err());
    let mistyped = [&whole[..50], &whole[..13], &whole[3..], "sg_", "", "--id", "two words"];
    for text in [&[whole][..], &mistyped].concat() {
        let (exit, captured) = keys(directory.path(), &["revoke", text]);
        assert_eq!((exit, captured.out().as_str()), (Exit::Usage, ""), "{text}");
        assert!(captured.err().starts_with("scalegate: ID"), "{}", captured.err());
        assert!(!captured.err().contains(&whole[14..30]), "{}", captured.err());
        assert_eq!(captured.err().lines().count(), 1, "{}", captured.err());
    }
    let (exit, captured) = keys(directory.path(), &["revoke", "0123456789"]);
    assert_eq!(exit, Exit::Refused);
    assert!(captured.err().starts_with("scalegate: there is no key 0123456789 in "), "{}", captured.err());
    assert!(captured.err().contains("`scalegate keys list --data-dir /"), "{}", captured.err());
    assert!(stored(directory.path())[0].revoked_at.is_none());
}

#[test]
fn a_generated_key_is_whole_and_of_no_store() {
    let args: KeysArgs = testing::parse(&["generate"]).expect("valid arguments");
    assert!(matches!(args.command, KeysCommand::Generate(_)));
    let captured = Captured::default();
    assert_eq!(args.run(&mut captured.output()), Exit::Done);
    let token: Token = captured.out().trim_end().parse().expect("a key and nothing else");
    assert!(captured.err().contains(token.id().as_str()) && !captured.err().contains(token.expose()));
}

/// With the directory in the configuration file, the key must not be made for another one.
#[test]
fn the_directory_is_the_one_that_the_gateway_would_use() {
    let directory = tempfile::tempdir().expect("a directory");
    let (file, data) = (directory.path().join("scalegate.toml"), directory.path().join("data"));
    std::fs::write(&file, format!("data_dir = {:?}\ncooldown = \"5m\"\n", data.to_str().expect("plain")))
        .expect("written");
    let file = file.to_str().expect("a plain path");
    let args: KeysArgs =
        testing::parse(&["create", "x", "--scope", "read", "--yes", "--config", file]).expect("valid arguments");
    assert_eq!(args.run(&mut Captured::default().output()), Exit::Done);
    assert_eq!(stored(&data).len(), 1);
    std::fs::write(file, "data_dir = 5\n").expect("written");
    let args: KeysArgs = testing::parse(&["list", "--config", file]).expect("valid arguments");
    assert_eq!(args.run(&mut Captured::default().output()), Exit::Usage);
}
