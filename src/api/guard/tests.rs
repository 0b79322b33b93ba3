use std::net::SocketAddr;

use actix_web::test::TestRequest;

use super::*;
use crate::access::{NewKey, Token};
use crate::domain::Reach;
use crate::metrics::Metrics;
use crate::store::sqlite::{Journal as _, SqliteJournal, SqliteReader, SqliteStore};
use crate::store::{KeyChange, Observer, StoreReader, Unit};

struct Scene {
    guard: Guard,
    token: Token,
    _directory: tempfile::TempDir,
}

/// A guard that wants a key, with one to read in its store, and lets each caller ask twice a second.
async fn scene() -> Scene {
    scene_with(Scope::Read).await
}

/// The same, but the key has this `scope`.
async fn scene_with(scope: Scope) -> Scene {
    let directory = tempfile::tempdir().expect("a directory");
    let mut journal = SqliteJournal::open(directory.path()).expect("a store");
    let wanted = NewKey { name: "ci".into(), scope, reach: Reach::EVERYTHING, lifetime: None };
    let (token, record) = wanted.issue(wall_now()).expect("randomness");
    journal.commit(&[Unit { keys: vec![KeyChange::Added(record)], ..Unit::default() }], 0).expect("committed");
    let (store, inbox) = SqliteStore::channel();
    let metrics = Arc::new(Metrics::new().expect("consistent"));
    inbox.start(journal, Observer::new(metrics, None)).expect("a thread");
    let reader: Arc<dyn StoreReader> = Arc::new(SqliteReader::open(directory.path()).expect("readable"));
    let keyring = Keyring::open(reader, None).await.expect("readable");
    let access = Access { request_rate: 2, ..Access::default() };
    let guard =
        Guard::new(KeyRule::Always, &access, ConnectionLimits::within(1024), keyring, Arc::new(store), Clock::start());
    Scene { guard, token, _directory: directory }
}

impl Scene {
    /// The denial of a request from this address, if it is refused.
    async fn ask(&self, address: &str, key: Option<&str>) -> Option<Code> {
        self.ask_for(&[Scope::Read], address, key).await
    }

    /// The denial of a request from this address that takes one of the scopes `needed`, if it is refused.
    async fn ask_for(&self, needed: &[Scope], address: &str, key: Option<&str>) -> Option<Code> {
        let address: SocketAddr = format!("{address}:1").parse().expect("an address");
        let request = TestRequest::default().peer_addr(address);
        let request = key.map_or(TestRequest::default().peer_addr(address), |key| {
            request.insert_header((AUTHORIZATION, format!("Bearer {key}")))
        });
        self.guard.check(&request.to_http_request(), needed).await.denial.map(|denial| denial.error.code())
    }
}

/// A caller that guesses keys is slowed down by its address, and the owner of a key at that address is not.
#[actix_web::test]
async fn strangers_are_counted_by_address_and_owners_by_key() {
    let scene = scene().await;
    let wrong = Token::generate().expect("randomness");
    assert_eq!(scene.ask("192.0.2.1", None).await, Some(Code::AuthenticationRequired));
    assert_eq!(scene.ask("192.0.2.1", Some(wrong.expose())).await, Some(Code::InvalidKey));
    for key in [None, Some(wrong.expose())] {
        assert_eq!(scene.ask("192.0.2.1", key).await, Some(Code::RateLimited));
    }
    assert_eq!(scene.ask("192.0.2.2", None).await, Some(Code::AuthenticationRequired), "another address");
    let good = Some(scene.token.expose());
    assert_eq!((scene.ask("192.0.2.1", good).await, scene.ask("192.0.2.2", good).await), (None, None));
    assert_eq!(scene.ask("192.0.2.3", good).await, Some(Code::RateLimited), "wherever the owner is");
}

#[actix_web::test]
async fn a_key_to_push_opens_nothing_but_what_lists_its_scope() {
    let open: [(Scope, &[Option<Code>]); 3] = [
        (Scope::Push, &[None, Some(Code::InsufficientScope)]),
        (Scope::Read, &[Some(Code::InsufficientScope), None]),
        (Scope::Scale, &[None, None]),
    ];
    for (scope, expected) in open {
        let scene = scene_with(scope).await;
        let key = Some(scene.token.expose());
        let mut answers = Vec::new();
        for needed in [Scope::Push, Scope::Read] {
            answers.push(scene.ask_for(&[needed], "192.0.2.1", key).await);
        }
        assert_eq!(answers, expected, "{scope:?}");
    }
}

/// Also what is refused because of where it comes from, so that its record has a limit.
#[actix_web::test]
async fn requests_of_other_pages_are_counted_before_they_are_recorded() {
    let scene = scene().await;
    let reason = ApiError::new(Code::OriginRefused, "No.");
    let refuse = |address: &str| {
        let address: SocketAddr = format!("{address}:1").parse().expect("an address");
        let request = TestRequest::default().peer_addr(address).to_http_request();
        let (answer, audit_level) = scene.guard.refuse(&Caller::of(&request, None), &reason);
        (answer.status().as_u16(), audit_level)
    };
    for _ in 0..2 {
        assert_eq!(refuse("192.0.2.1"), (403, AuditLevel::Sample));
    }
    assert_eq!(refuse("192.0.2.1"), (429, AuditLevel::CountOnly));
    assert_eq!(scene.ask("192.0.2.1", None).await, Some(Code::RateLimited), "they are counted together with others");
    assert_eq!(refuse("192.0.2.2"), (403, AuditLevel::Sample));
}

#[test]
fn the_address_decides_who_needs_a_key() {
    let insecure = Access { insecure_no_auth: true, ..Access::default() };
    assert_eq!(KeyRule::new(&Access::default(), true), KeyRule::OnceThereIsOne);
    assert_eq!(KeyRule::new(&Access::default(), false), KeyRule::Always);
    let required = Access { require_key: true, ..Access::default() };
    assert_eq!((KeyRule::new(&required, true), KeyRule::new(&required, false)), (KeyRule::Always, KeyRule::Always));
    assert_eq!((KeyRule::new(&insecure, true), KeyRule::new(&insecure, false)), (KeyRule::Never, KeyRule::Never));
}
