use std::fs::File;
use std::io::Write as _;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::*;
use crate::access::NewKey;
use crate::domain::{AuditEntry, EventId, HistoryEntry, JobId};
use crate::store::{EventFilter, JobFilter, LogPage, Page, Position};

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// A store that has keys and nothing else, and can break.
#[derive(Default)]
struct Store {
    keys: Mutex<Option<Vec<KeyRecord>>>,
    had_key: std::sync::atomic::AtomicBool,
}

impl Store {
    fn set(&self, keys: Option<Vec<KeyRecord>>) {
        *self.keys.lock().expect("not poisoned") = keys;
    }
}

impl Catalog for Store {
    fn keys(&self) -> Result<Vec<KeyRecord>, StoreError> {
        self.keys.lock().expect("not poisoned").clone().ok_or(StoreError::Slow)
    }

    fn ever_had_key(&self) -> Result<bool, StoreError> {
        Ok(self.had_key.load(Ordering::Relaxed))
    }

    fn page(&self, _: &JobFilter, _: Option<Position>, _: usize) -> Result<Page<JobId>, StoreError> {
        Err(StoreError::Closed)
    }

    fn versions(&self, _: &EventFilter, _: EventId, _: EventId, _: usize) -> Result<LogPage, StoreError> {
        Err(StoreError::Closed)
    }

    fn changed_jobs(
        &self,
        _: &EventFilter,
        _: EventId,
        _: EventId,
    ) -> Result<(Option<EventId>, Vec<JobId>), StoreError> {
        Err(StoreError::Closed)
    }

    fn timeline(
        &self,
        _: &crate::domain::Alias,
        _: Option<Position>,
        _: usize,
    ) -> Result<Page<HistoryEntry>, StoreError> {
        Err(StoreError::Closed)
    }

    fn audit(&self, _: Option<Position>, _: usize) -> Result<Page<AuditEntry>, StoreError> {
        Ok(Page { entries: Vec::new(), next: None })
    }

    fn log_length(&self) -> Result<u64, StoreError> {
        Err(StoreError::Closed)
    }
}

struct Scene {
    store: Arc<Store>,
    keyring: Keyring,
    directory: tempfile::TempDir,
}

fn scene(keys: Vec<KeyRecord>, configured: Option<KeyRecord>) -> Scene {
    let (store, directory) = (Arc::new(Store::default()), tempfile::tempdir().expect("a directory"));
    store.set(Some(keys));
    let catalog: Arc<dyn Catalog> = store.clone();
    let keyring = Keyring::open(catalog, directory.path(), configured).expect("readable");
    Scene { store, keyring, directory }
}

fn issue(lifetime: Option<Duration>) -> (Token, KeyRecord) {
    let wanted = NewKey { name: "ci".into(), scope: Scope::Scale, reach: Reach::EVERYTHING, lifetime };
    wanted.issue(NOW).expect("randomness")
}

impl Scene {
    /// What becomes of a key, in a word.
    fn verdict(&self, token: &Token, now: Timestamp) -> &'static str {
        match self.keyring.check(token.expose(), now) {
            Ok(Ok(_)) => "good",
            Ok(Err(Rejection::Invalid(_))) => "invalid",
            Ok(Err(Rejection::Unknown)) => "unknown",
            Ok(Err(Rejection::Revoked(_))) => "revoked",
            Ok(Err(Rejection::Expired(_))) => "expired",
            Err(_) => "unreadable",
        }
    }
}

#[test]
fn keys_are_good_until_they_are_revoked_or_expire() {
    let (token, record) = issue(Some(Duration::from_secs(60)));
    let revoked_record = KeyRecord { revoked_at: Some(NOW), ..record.clone() };
    let end = NOW + Duration::from_secs(60);
    let good = scene(vec![record.clone()], None);
    assert_eq!(good.verdict(&token, end - Duration::from_millis(1)), "good");
    assert_eq!(good.verdict(&token, end), "expired");
    assert!(matches!(good.keyring.recheck(&record.id, NOW), Ok(Ok(()))));
    assert!(matches!(good.keyring.recheck(&record.id, end), Ok(Err(Rejection::Expired(_)))));
    assert_eq!(scene(vec![revoked_record], None).verdict(&token, end), "revoked");
    assert_eq!(scene(vec![], None).verdict(&token, NOW), "unknown");
}

/// The id alone opens nothing.
#[test]
fn the_whole_key_has_to_fit() {
    let (token, record) = issue(None);
    let (other, _) = issue(None);
    // Somebody else's secret under this id, as a forger would have to guess it.
    let forged = scene(vec![KeyRecord { hash: other.hash(), ..record.clone() }], None);
    assert_eq!(forged.verdict(&token, NOW), "unknown");
    let stolen_hash = KeyRecord { id: other.id().clone(), ..record };
    assert_eq!(scene(vec![stolen_hash], None).verdict(&other, NOW), "unknown");
}

#[test]
fn changes_by_others_are_seen_at_once_and_only_then_is_the_store_read() {
    let (token, record) = issue(None);
    let scene = scene(vec![record.clone()], None);
    let path = scene.directory.path().join("scalegate.key-changes");
    scene.store.set(Some(vec![KeyRecord { revoked_at: Some(NOW), ..record.clone() }]));
    assert_eq!(scene.verdict(&token, NOW), "good", "nobody said that something changed");
    let change = || {
        File::options()
            .create(true)
            .append(true)
            .open(&path)
            .and_then(|mut file| file.write_all(b"."))
            .expect("written")
    };
    change();
    assert_eq!(scene.verdict(&token, NOW), "revoked");
    // Whatever else became of the file meanwhile.
    let link = scene.directory.path().join("backup");
    let remove = || std::fs::remove_file(&path).expect("removed");
    let in_between: [&dyn Fn(); 5] =
        [&|| {}, &remove, &|| std::fs::hard_link(&path, &link).expect("linked"), &remove, &|| {
            std::fs::rename(&path, scene.directory.path().join("moved")).expect("moved")
        }];
    for (happens, is_still_somewhere) in in_between.into_iter().zip([false, false, false, true, true]) {
        for (keys, verdict) in [(vec![record.clone()], "good"), (vec![], "unknown")] {
            scene.store.set(Some(keys));
            change();
            assert_eq!(scene.verdict(&token, NOW), verdict);
        }
        happens();
        scene.store.set(Some(vec![record.clone()]));
        change();
        let begun = Instant::now();
        while scene.verdict(&token, NOW) != "good" {
            assert!(is_still_somewhere && begun.elapsed() < Duration::from_secs(10), "not noticed");
        }
    }
    scene.store.set(Some(vec![KeyRecord { revoked_at: Some(NOW), ..record.clone() }]));
    change();
    assert!(matches!(scene.keyring.recheck(&record.id, NOW), Ok(Err(Rejection::Revoked(_)))));
    scene.store.set(Some(vec![]));
    scene.keyring.changed();
    assert_eq!(scene.verdict(&token, NOW), "unknown");
    assert!(matches!(scene.keyring.recheck(&record.id, NOW), Ok(Err(Rejection::Unknown))));
}

#[test]
fn a_revocation_holds_before_it_is_on_the_disk_whatever_is_read_meanwhile() {
    let (token, record) = issue(None);
    let (other, other_record) = issue(None);
    let scene = scene(vec![record.clone(), other_record.clone()], None);
    let revoke = |id, at| scene.keyring.revoke(id, at).expect("readable");
    assert_eq!(revoke(&record.id, NOW), Revocation::New);
    assert_eq!(revoke(&record.id, NOW + Duration::from_secs(1)), Revocation::Pending);
    assert_eq!(revoke(other.id(), NOW), Revocation::New);
    for _ in 0..2 {
        assert_eq!((scene.verdict(&token, NOW), scene.verdict(&other, NOW)), ("revoked", "revoked"));
        assert!(matches!(scene.keyring.recheck(&record.id, NOW), Ok(Err(Rejection::Revoked(_)))));
        let shown = scene.keyring.get(&record.id).expect("readable").expect("there");
        assert_eq!(shown.revoked_at, Some(NOW));
        // Another process has changed something; on the disk both are good.
        scene.keyring.changed();
    }
    scene.store.set(Some(vec![KeyRecord { revoked_at: Some(NOW), ..record.clone() }, other_record]));
    scene.keyring.revocation_written(&record.id);
    assert_eq!((scene.verdict(&token, NOW), scene.verdict(&other, NOW)), ("revoked", "revoked"));
    assert_eq!(revoke(&record.id, NOW), Revocation::Durable);
    assert_eq!(revoke(Token::generate().expect("randomness").id(), NOW), Revocation::Durable);
}

/// As long as it is not known what has changed, any key may be revoked.
#[test]
fn nobody_is_admitted_while_changes_cannot_be_read() {
    let (token, record) = issue(None);
    let scene = scene(vec![record.clone()], None);
    scene.store.set(None);
    scene.keyring.changed();
    for _ in 0..2 {
        assert_eq!(scene.verdict(&token, NOW), "unreadable");
        assert!(scene.keyring.recheck(&record.id, NOW).is_err() && scene.keyring.has_any().is_err());
    }
    scene.store.set(Some(vec![record]));
    assert_eq!(scene.verdict(&token, NOW), "good");
}

#[test]
fn the_configured_key_is_there_besides_all_others() {
    let (token, (other, record)) = (Token::generate().expect("randomness"), issue(None));
    let scene = scene(vec![record], Some(configured(&token, NOW)));
    assert_eq!((scene.verdict(&token, NOW), scene.verdict(&other, NOW)), ("good", "good"));
    let listed = scene.keyring.list().expect("readable");
    assert_eq!(listed.iter().map(|key| key.name.as_str()).collect::<Vec<_>>(), ["configured", "ci"]);
    assert!(scene.keyring.is_configured(token.id()) && !scene.keyring.is_configured(other.id()));
    scene.store.set(Some(vec![]));
    scene.keyring.changed();
    assert_eq!((scene.verdict(&token, NOW), scene.verdict(&other, NOW)), ("good", "unknown"));
}

#[test]
fn it_is_known_whether_there_are_keys_and_whether_they_can_be_used() {
    let (_, record) = issue(None);
    let state = |keys| {
        let scene = scene(keys, None);
        (scene.keyring.has_any().expect("readable"), scene.keyring.has_usable(NOW).expect("readable"))
    };
    assert_eq!(state(vec![]), (false, false));
    assert_eq!(state(vec![record.clone()]), (true, true));
    assert_eq!(state(vec![KeyRecord { revoked_at: Some(NOW), ..record }]), (true, false));
}

#[test]
fn a_use_is_news_once_in_a_while() {
    let (token, record) = issue(None);
    let scene = scene(vec![record.clone()], None);
    let is_news = |now| scene.keyring.check(token.expose(), now).expect("readable").expect("good").1;
    assert!(is_news(NOW));
    assert!(!is_news(NOW) && !is_news(NOW + (USE_GRAIN - Duration::from_millis(1))));
    assert!(is_news(NOW + USE_GRAIN));
    assert!(!is_news(NOW), "a clock that was set back tells nothing new");
    let shown = scene.keyring.get(&record.id).expect("readable").expect("there");
    assert_eq!(shown.last_used_at, Some(NOW + USE_GRAIN));
    // What is read again from the store does not forget what is on its way there.
    scene.keyring.changed();
    assert!(!is_news(NOW + USE_GRAIN));
}

/// A key that was there closes the gateway, whatever becomes of the store under it.
#[test]
fn an_empty_keyring_that_had_a_key_is_closed() {
    let (_, record) = issue(None);
    let never = scene(vec![], None);
    assert!(!never.keyring.has_any().expect("readable"));
    never.store.had_key.store(true, Ordering::Relaxed);
    never.keyring.changed();
    assert!(never.keyring.has_any().expect("readable"), "the store says so");
    let emptied = scene(vec![record], None);
    emptied.store.set(Some(vec![]));
    emptied.keyring.changed();
    assert!(emptied.keyring.has_any().expect("readable"), "this process has seen one");
    assert!(!emptied.keyring.has_usable(NOW).expect("readable"));
}
