use std::collections::HashMap;
use std::sync::Mutex as PlainMutex;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use async_trait::async_trait;

use super::*;
use crate::access::NewKey;
use crate::domain::forecast::Prediction;
use crate::domain::policy::{Decision, Name};
use crate::domain::{Alias, AuditEntry, EventId, GroupId, GroupStatus, HistoryEntry, JobEvent, JobId};
use crate::store::{
    EventFilter, GroupFilter, JobCounts, JobFilter, LastOutcome, LogPage, Page, Position, Revision, Series,
};

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// A store that has keys and nothing else, and can break.
#[derive(Default)]
struct Store {
    keys: PlainMutex<Option<Vec<KeyRecord>>>,
    had_key: std::sync::atomic::AtomicBool,
    /// How often another process has told of a change; `u64::MAX` if that cannot be told.
    state: AtomicU64,
}

impl Store {
    fn set(&self, keys: Option<Vec<KeyRecord>>) {
        *self.keys.lock().expect("not poisoned") = keys;
    }
}

#[async_trait]
impl StoreReader for Store {
    async fn keys(&self) -> Result<Vec<KeyRecord>, StoreError> {
        self.keys.lock().expect("not poisoned").clone().ok_or(StoreError::Slow)
    }

    fn keys_state(&self) -> Option<KeysState> {
        let state = self.state.load(Ordering::Relaxed);
        (state != u64::MAX).then_some(KeysState([state; 5]))
    }

    async fn ever_had_key(&self) -> Result<bool, StoreError> {
        Ok(self.had_key.load(Ordering::Relaxed))
    }

    async fn job(&self, _: JobId) -> Result<Option<JobEvent>, StoreError> {
        Err(StoreError::Closed)
    }

    async fn last_event(&self) -> Result<EventId, StoreError> {
        Err(StoreError::Closed)
    }

    async fn jobs_page(&self, _: &JobFilter, _: Option<Position>, _: usize) -> Result<Page<JobEvent>, StoreError> {
        Err(StoreError::Closed)
    }

    async fn last_outcomes(&self, _: Vec<Alias>) -> Result<HashMap<Alias, LastOutcome>, StoreError> {
        Err(StoreError::Closed)
    }

    async fn group(&self, _: GroupId) -> Result<Option<GroupStatus>, StoreError> {
        Err(StoreError::Closed)
    }

    async fn groups_page(
        &self,
        _: &GroupFilter,
        _: Option<Position>,
        _: usize,
    ) -> Result<Page<GroupStatus>, StoreError> {
        Err(StoreError::Closed)
    }

    async fn job_counts(&self) -> Result<JobCounts, StoreError> {
        Err(StoreError::Closed)
    }

    async fn versions(&self, _: &EventFilter, _: EventId, _: EventId, _: usize) -> Result<LogPage, StoreError> {
        Err(StoreError::Closed)
    }

    async fn has_all_after(&self, _: &EventFilter, _: EventId, _: EventId) -> Result<bool, StoreError> {
        Err(StoreError::Closed)
    }

    async fn timeline(&self, _: &Alias, _: Option<Position>, _: usize) -> Result<Page<HistoryEntry>, StoreError> {
        Err(StoreError::Closed)
    }

    async fn policy_revisions(&self, _: &Alias) -> Result<Vec<Revision>, StoreError> {
        Err(StoreError::Closed)
    }

    async fn decisions(&self, _: &Alias, _: Option<Position>, _: usize) -> Result<Page<Decision>, StoreError> {
        Err(StoreError::Closed)
    }

    async fn metric_names(&self, _: &Alias) -> Result<Vec<Name>, StoreError> {
        Err(StoreError::Closed)
    }

    async fn series(&self, _: &Alias, _: &Name, _: Timestamp, _: Timestamp, _: Duration) -> Result<Series, StoreError> {
        Err(StoreError::Closed)
    }

    async fn prediction(&self, _: &Alias, _: &Name) -> Result<Option<Prediction>, StoreError> {
        Err(StoreError::Closed)
    }

    async fn audit(&self, _: Option<Position>, _: usize) -> Result<Page<AuditEntry>, StoreError> {
        Err(StoreError::Closed)
    }
}

struct Scene {
    store: Arc<Store>,
    keyring: Keyring,
}

async fn scene(keys: Vec<KeyRecord>, configured: Option<KeyRecord>) -> Scene {
    let store = Arc::new(Store::default());
    store.set(Some(keys));
    let reader: Arc<dyn StoreReader> = store.clone();
    let keyring = Keyring::open(reader, configured).await.expect("readable");
    Scene { store, keyring }
}

fn issue(lifetime: Option<Duration>) -> (Token, KeyRecord) {
    let wanted = NewKey { name: "ci".into(), scope: Scope::Scale, reach: Reach::EVERYTHING, lifetime };
    wanted.issue(NOW).expect("randomness")
}

impl Scene {
    /// What becomes of a key, in a word.
    async fn verdict(&self, token: &Token, now: Timestamp) -> &'static str {
        match self.keyring.check(token.expose(), now).await {
            Ok(Ok(_)) => "good",
            Ok(Err(KeyError::Invalid(_))) => "invalid",
            Ok(Err(KeyError::Unknown)) => "unknown",
            Ok(Err(KeyError::Revoked(_))) => "revoked",
            Ok(Err(KeyError::Expired(_))) => "expired",
            Err(_) => "unreadable",
        }
    }
}

#[tokio::test]
async fn keys_are_good_until_they_are_revoked_or_expire() {
    let (token, record) = issue(Some(Duration::from_secs(60)));
    let revoked_record = KeyRecord { revoked_at: Some(NOW), ..record.clone() };
    let end = NOW + Duration::from_secs(60);
    let good = scene(vec![record.clone()], None).await;
    assert_eq!(good.verdict(&token, end - Duration::from_millis(1)).await, "good");
    assert_eq!(good.verdict(&token, end).await, "expired");
    assert!(matches!(good.keyring.recheck(&record.id, NOW).await, Ok(Ok(()))));
    assert!(matches!(good.keyring.recheck(&record.id, end).await, Ok(Err(KeyError::Expired(_)))));
    assert_eq!(scene(vec![revoked_record], None).await.verdict(&token, end).await, "revoked");
    assert_eq!(scene(vec![], None).await.verdict(&token, NOW).await, "unknown");
}

/// The id alone opens nothing.
#[tokio::test]
async fn the_whole_key_has_to_fit() {
    let (token, record) = issue(None);
    let (other, _) = issue(None);
    // Another secret under this id, as a forger would have to guess it.
    let forged = scene(vec![KeyRecord { hash: other.hash(), ..record.clone() }], None).await;
    assert_eq!(forged.verdict(&token, NOW).await, "unknown");
    let stolen_hash = KeyRecord { id: other.id().clone(), ..record };
    assert_eq!(scene(vec![stolen_hash], None).await.verdict(&other, NOW).await, "unknown");
}

#[tokio::test]
async fn changes_by_others_are_seen_at_once_and_only_then_is_the_store_read() {
    let (token, record) = issue(None);
    let scene = scene(vec![record.clone()], None).await;
    scene.store.set(Some(vec![KeyRecord { revoked_at: Some(NOW), ..record.clone() }]));
    assert_eq!(scene.verdict(&token, NOW).await, "good", "as long as no change is announced");
    scene.store.state.fetch_add(1, Ordering::Relaxed);
    assert_eq!(scene.verdict(&token, NOW).await, "revoked");
    assert!(matches!(scene.keyring.recheck(&record.id, NOW).await, Ok(Err(KeyError::Revoked(_)))));
    // Any other state means a change, an earlier one too.
    scene.store.set(Some(vec![record.clone()]));
    scene.store.state.store(0, Ordering::Relaxed);
    assert_eq!(scene.verdict(&token, NOW).await, "good");
    scene.store.set(Some(vec![]));
    scene.keyring.changed();
    assert_eq!(scene.verdict(&token, NOW).await, "unknown");
    assert!(matches!(scene.keyring.recheck(&record.id, NOW).await, Ok(Err(KeyError::Unknown))));
}

#[tokio::test]
async fn a_revocation_holds_before_it_is_on_the_disk_whatever_is_read_meanwhile() {
    let (token, record) = issue(None);
    let (other, other_record) = issue(None);
    let scene = scene(vec![record.clone(), other_record.clone()], None).await;
    let revoke = async |id, at| scene.keyring.revoke(id, at).await.expect("readable");
    assert_eq!(revoke(&record.id, NOW).await, PriorRevocation::None);
    assert_eq!(revoke(&record.id, NOW + Duration::from_secs(1)).await, PriorRevocation::Pending);
    assert_eq!(revoke(other.id(), NOW).await, PriorRevocation::None);
    for _ in 0..2 {
        assert_eq!((scene.verdict(&token, NOW).await, scene.verdict(&other, NOW).await), ("revoked", "revoked"));
        assert!(matches!(scene.keyring.recheck(&record.id, NOW).await, Ok(Err(KeyError::Revoked(_)))));
        let shown = scene.keyring.get(&record.id).await.expect("readable").expect("there");
        assert_eq!(shown.revoked_at, Some(NOW));
        // Another process has changed something; on the disk both are good.
        scene.keyring.changed();
    }
    scene.store.set(Some(vec![KeyRecord { revoked_at: Some(NOW), ..record.clone() }, other_record]));
    scene.keyring.revocation_written(&record.id);
    assert_eq!((scene.verdict(&token, NOW).await, scene.verdict(&other, NOW).await), ("revoked", "revoked"));
    assert_eq!(revoke(&record.id, NOW).await, PriorRevocation::Durable);
    assert_eq!(revoke(Token::generate().expect("randomness").id(), NOW).await, PriorRevocation::Durable);
}

/// As long as it is not known what has changed, any key may be revoked.
#[tokio::test]
async fn no_request_is_admitted_while_changes_cannot_be_read() {
    let (token, record) = issue(None);
    let scene = scene(vec![record.clone()], None).await;
    scene.store.set(None);
    scene.keyring.changed();
    for _ in 0..2 {
        assert_eq!(scene.verdict(&token, NOW).await, "unreadable");
        assert!(scene.keyring.recheck(&record.id, NOW).await.is_err() && scene.keyring.has_any().await.is_err());
    }
    scene.store.set(Some(vec![record]));
    assert_eq!(scene.verdict(&token, NOW).await, "good");
}

#[tokio::test]
async fn the_configured_key_is_there_besides_all_others() {
    let (token, (other, record)) = (Token::generate().expect("randomness"), issue(None));
    let scene = scene(vec![record], Some(configured(&token, NOW))).await;
    assert_eq!((scene.verdict(&token, NOW).await, scene.verdict(&other, NOW).await), ("good", "good"));
    let listed = scene.keyring.list().await.expect("readable");
    assert_eq!(listed.iter().map(|key| key.name.as_str()).collect::<Vec<_>>(), ["configured", "ci"]);
    assert!(scene.keyring.is_configured(token.id()) && !scene.keyring.is_configured(other.id()));
    scene.store.set(Some(vec![]));
    scene.keyring.changed();
    assert_eq!((scene.verdict(&token, NOW).await, scene.verdict(&other, NOW).await), ("good", "unknown"));
}

#[tokio::test]
async fn it_is_known_whether_there_are_keys_and_whether_they_can_be_used() {
    let (_, record) = issue(None);
    let state = async |keys| {
        let scene = scene(keys, None).await;
        (scene.keyring.has_any().await.expect("readable"), scene.keyring.has_usable(NOW).await.expect("readable"))
    };
    assert_eq!(state(vec![]).await, (false, false));
    assert_eq!(state(vec![record.clone()]).await, (true, true));
    assert_eq!(state(vec![KeyRecord { revoked_at: Some(NOW), ..record }]).await, (true, false));
}

#[tokio::test]
async fn a_use_is_news_once_in_a_while() {
    let (token, record) = issue(None);
    let scene = scene(vec![record.clone()], None).await;
    let is_news = async |now| scene.keyring.check(token.expose(), now).await.expect("readable").expect("good").1;
    assert!(is_news(NOW).await);
    assert!(!is_news(NOW).await && !is_news(NOW + (USE_GRAIN - Duration::from_millis(1))).await);
    assert!(is_news(NOW + USE_GRAIN).await);
    assert!(!is_news(NOW).await, "a clock that was set back tells nothing new");
    let shown = scene.keyring.get(&record.id).await.expect("readable").expect("there");
    assert_eq!(shown.last_used_at, Some(NOW + USE_GRAIN));
    // What is read again from the store does not forget what is on its way there.
    scene.keyring.changed();
    assert!(!is_news(NOW + USE_GRAIN).await);
}

/// A key that was there closes the gateway, whatever becomes of the store under it.
#[tokio::test]
async fn an_empty_keyring_that_had_a_key_is_closed() {
    let (_, record) = issue(None);
    let never = scene(vec![], None).await;
    assert!(!never.keyring.has_any().await.expect("readable"));
    never.store.had_key.store(true, Ordering::Relaxed);
    never.keyring.changed();
    assert!(never.keyring.has_any().await.expect("readable"), "the store says so");
    let emptied = scene(vec![record], None).await;
    emptied.store.set(Some(vec![]));
    emptied.keyring.changed();
    assert!(emptied.keyring.has_any().await.expect("readable"), "this process has seen one");
    assert!(!emptied.keyring.has_usable(NOW).await.expect("readable"));
}
