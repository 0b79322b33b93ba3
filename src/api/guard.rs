//! Who may do what: each request is admitted here or refused, and whoever tries to change something is recorded.
//!
//! It must never look at what a request is about: which resources a key is for is asked where they are known, in the
//! handlers. Limits come before everything that a request costs, and before the record of it.

use std::sync::Arc;
use std::time::Duration;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, HttpRequest, HttpResponse, ResponseError as _, web};

use tokio::sync::oneshot;
use tokio::time::timeout;

use super::attempts::{Kept, Recorder};
use super::caller::Caller;
use super::connections::Connection;
use super::problem::{ApiError, Code};
use super::routes::{Count, Operation, Routes, path_of};
use super::{ApiState, ConnectionLimits};
use crate::access::{CallerLimits, Keyring, LimitKey, Permit, Rate, Rejection, Revocation, TooFast};
use crate::clock::{Clock, wall_now};
use crate::config::Access;
use crate::domain::{AuditEntry, KeyId, KeyRecord, Scope, Timestamp};
use crate::store::{KeyChange, Store, StoreError, Unit, commit_one};

/// Longest wait for the store. A disk that takes longer is stuck, and whoever waits has better to know.
const STORE_PATIENCE: Duration = Duration::from_secs(10);
/// Pause before each attempt to write a revocation that could not be written. The engine tries as often to get the store to work.
const REVOCATION_RETRY: Duration = Duration::from_secs(1);

/// Why a revocation is not done.
#[derive(Debug)]
pub enum Revoking {
    /// The keys cannot be read. Nothing was changed.
    Unreadable(StoreError),
    /// The key is refused, and that is not on the disk yet. It will be as soon as that works, unless the process ends before.
    NotWritten(StoreError),
    /// The key was revoked before, and there may be no record of this attempt to do it again.
    NotRecorded(StoreError),
}

/// Who needs a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyRule {
    /// Everybody.
    Always,
    /// Everybody, once there is one. Until then whoever reaches a loopback address may do everything.
    OnceThereIsOne,
    /// Nobody: somebody insisted.
    Never,
}

impl KeyRule {
    /// The rule for a gateway with this configuration, whose address `is_loopback`.
    pub fn new(access: &Access, is_loopback: bool) -> Self {
        match (access.insecure_no_auth, is_loopback && !access.require_key) {
            (true, _) => Self::Never,
            (false, true) => Self::OnceThereIsOne,
            (false, false) => Self::Always,
        }
    }
}

/// See the module's documentation.
pub struct Guard {
    rule: KeyRule,
    keyring: Arc<Keyring>,
    limits: CallerLimits,
    store: Arc<dyn Store>,
    recorder: Arc<Recorder>,
}

/// What is known of a request before anything is done about it.
struct Seen {
    caller: Caller,
    /// Whether the caller has no valid key.
    is_stranger: bool,
    rate: Option<Rate>,
    refusal: Option<Refusal>,
}

struct Refusal {
    error: ApiError,
    /// Whose key was shown, if it was one of ours.
    owner: Option<Arc<KeyRecord>>,
    /// How the caller could be admitted.
    challenge: Option<String>,
    too_fast: Option<TooFast>,
}

impl Refusal {
    fn new(code: Code, detail: impl Into<String>) -> Self {
        let challenge = match code {
            Code::AuthenticationRequired => Some("Bearer realm=\"scalegate\"".to_owned()),
            Code::InvalidKey | Code::KeyExpired | Code::KeyRevoked => {
                Some("Bearer realm=\"scalegate\", error=\"invalid_token\"".to_owned())
            }
            _ => None,
        };
        Self { error: ApiError::new(code, detail), owner: None, challenge, too_fast: None }
    }

    fn scope(needed: &[Scope], shown: Scope) -> Self {
        let needed: Vec<&str> = needed.iter().map(|scope| scope.as_str()).collect();
        // Names with spaces between them is the form that RFC 6750 has for several.
        let named = needed.join(" ");
        let challenge = format!("Bearer realm=\"scalegate\", error=\"insufficient_scope\", scope=\"{named}\"");
        let (needed, shown) = (needed.join(" or "), shown.as_str());
        let detail = format!("This takes a key with the scope {needed}; this one has {shown}.");
        Self { challenge: Some(challenge), ..Self::new(Code::InsufficientScope, detail) }
    }

    fn rate(too_fast: TooFast) -> Self {
        let detail =
            format!("More than {} requests came in a second. Send fewer, or let answers be held back.", too_fast.limit);
        Self { too_fast: Some(too_fast), ..Self::new(Code::RateLimited, detail) }
    }

    fn storage(error: &StoreError) -> Self {
        Self { error: unreadable(error), owner: None, challenge: None, too_fast: None }
    }

    fn answer(&self) -> HttpResponse {
        let mut response = self.error.error_response();
        let headers = response.headers_mut();
        if let Some(challenge) = self.challenge.as_ref().and_then(|text| HeaderValue::from_str(text).ok()) {
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        if let Some(TooFast { limit, wait }) = self.too_fast {
            // To come back too early would be in vain.
            headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1));
            show_rate(headers, Rate { limit, remaining: 0 });
        }
        response
    }
}

impl Guard {
    /// A guard with these parts; `access` has the limits of each caller. No caller gets more than half of the
    /// `connection_limits`, however low they are, unless streams are not to be limited.
    pub fn new(
        rule: KeyRule,
        access: &Access,
        connection_limits: ConnectionLimits,
        keyring: Keyring,
        store: Arc<dyn Store>,
        clock: Clock,
    ) -> Self {
        let half = |limit: usize| (limit / 2).max(1);
        let limits = CallerLimits::new(
            access.request_rate,
            access.streams_per_key.min(half(connection_limits.streams)),
            half(connection_limits.long_polls),
        );
        let recorder = Arc::new(Recorder::new(store.clone(), clock));
        Self { rule, keyring: Arc::new(keyring), limits, store, recorder }
    }

    /// What records attempts.
    pub fn recorder(&self) -> &Arc<Recorder> {
        &self.recorder
    }

    /// The keys there are.
    pub fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// Makes `change` durable, together with the record of it, and obeys it from then on, also if whoever asked for it hangs
    /// up or it takes longer than anybody waits.
    ///
    /// # Errors
    /// If it may not be durable.
    pub async fn change_keys(&self, change: KeyChange, entry: AuditEntry) -> Result<(), StoreError> {
        let batch = Unit { keys: vec![change], audit: vec![entry], ..Unit::default() };
        let (store, keyring) = (self.store.clone(), Arc::clone(&self.keyring));
        let changed = actix_web::rt::spawn(async move {
            let committed = commit_one(&*store, batch).await;
            // Also if that failed: it may be on the disk all the same.
            keyring.changed();
            committed
        });
        match timeout(STORE_PATIENCE, changed).await {
            Ok(committed) => committed.map_err(|_| StoreError::Closed)?,
            Err(_) => Err(StoreError::Slow),
        }
    }

    /// Refuses the key `id` from now on, whoever shows it, and makes that durable together with the record of it, however long that
    /// takes and whether the caller waits or not. `at` is when, and `and_then` is called when it is refused, before the disk is waited
    /// for.
    ///
    /// Rejected: the disk first, because a leaked key then goes on working for as long as the disk does not.
    ///
    /// # Errors
    /// If it is not on the disk yet, or whether the key is one of ours cannot be told.
    pub async fn revoke_key(
        &self,
        id: &KeyId,
        at: Timestamp,
        entry: AuditEntry,
        and_then: impl FnOnce(),
    ) -> Result<(), Revoking> {
        let before = self.keyring.revoke(id, at).await.map_err(Revoking::Unreadable)?;
        and_then();
        let batch =
            Unit { keys: vec![KeyChange::Revoked { id: id.clone(), at }], audit: vec![entry], ..Unit::default() };
        let (store, keyring, id) = (self.store.clone(), Arc::clone(&self.keyring), id.clone());
        let (tell, told) = oneshot::channel();
        actix_web::rt::spawn(async move {
            let first = commit_one(&*store, batch.clone()).await;
            let mut is_written = first.is_ok();
            // The caller may be gone.
            drop(tell.send(first));
            // One that repeats it leaves that to the first, so that there is one for each key.
            while !is_written && before == Revocation::New {
                tokio::time::sleep(REVOCATION_RETRY).await;
                match commit_one(&*store, batch.clone()).await {
                    Ok(()) => {
                        tracing::info!(key = id.as_str(), "the revocation of the key is on the disk now");
                        is_written = true;
                    }
                    // The process ends, and the caller was told what that means.
                    Err(StoreError::Closed) => return,
                    Err(error) => tracing::debug!(error = &error as &dyn std::error::Error, "still not"),
                }
            }
            if is_written {
                keyring.revocation_written(&id);
            }
        });
        let written = match timeout(STORE_PATIENCE, told).await {
            Ok(written) => written.unwrap_or(Err(StoreError::Closed)),
            Err(_) => Err(StoreError::Slow),
        };
        written.map_err(|error| match before {
            Revocation::New | Revocation::Pending => Revoking::NotWritten(error),
            Revocation::Durable => Revoking::NotRecorded(error),
        })
    }

    /// A permit for one more stream to `caller`; `None` if the limit does not apply to the caller.
    ///
    /// # Errors
    /// If the caller has as many streams as one caller may have.
    pub fn open_stream(&self, caller: &Caller) -> Result<Option<Permit>, ApiError> {
        let Some(limit_key) = caller.limit_key() else { return Ok(None) };
        self.limits.open_stream(limit_key).map(Some).map_err(|limit| {
            let detail = format!("You have {limit} streams open already. Close some, or follow several jobs with one.");
            ApiError::new(Code::TooManyStreamsOfCaller, detail)
        })
    }

    /// A permit for one more held-back answer to `caller`: `None` if the caller has as many as one caller may have,
    /// `Some(None)` if the limit does not apply to the caller.
    pub fn hold_back(&self, caller: &Caller) -> Option<Option<Permit>> {
        let Some(limit_key) = caller.limit_key() else { return Some(None) };
        self.limits.hold_back(limit_key).ok().map(Some)
    }

    /// Whether `caller`, who was admitted before, still would be: his key may have been revoked, or have expired.
    ///
    /// # Errors
    /// If he would not, or that cannot be told.
    pub async fn still_admits(&self, caller: &Caller) -> Result<(), ApiError> {
        let Some(key) = &caller.key else { return self.without_key().await.map_err(|refusal| refusal.error) };
        match self.keyring.recheck(&key.id, wall_now()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(rejection)) => Err(rejected(rejection).error),
            Err(error) => Err(unreadable(&error)),
        }
    }

    /// The caller of `request`, if he has one of the scopes `needed`, for what answers everybody and tells such callers more.
    ///
    /// Rejected: to refuse a key that is not good, because the orchestrator whose probe shows it would restart a gateway that
    /// works. Such keys, and any beyond the rate, count as none. Requests that show no key are not counted, as other probes.
    pub async fn reader(&self, request: &HttpRequest, needed: &[Scope]) -> Option<Caller> {
        if !request.headers().contains_key(AUTHORIZATION) {
            return self.without_key().await.ok().map(|()| Caller::of(request, None));
        }
        let Seen { caller, refusal, .. } = self.see(request, needed).await;
        refusal.is_none().then_some(caller)
    }

    /// Counts a request of a `stranger` that is refused for `reason`: the answer, and how much of it is kept.
    pub(super) fn refuse(&self, stranger: &Caller, reason: &ApiError) -> (HttpResponse, Kept) {
        match stranger.limit_key().map(|limit_key| self.limits.count(&limit_key)) {
            Some(Err(too_fast)) => (Refusal::rate(too_fast).answer(), Kept::Count),
            _ => (reason.error_response(), Kept::Sample),
        }
    }

    /// Identifies the caller of `request`, counts the request, and checks that the caller has one of the scopes `needed`.
    async fn see(&self, request: &HttpRequest, needed: &[Scope]) -> Seen {
        let (caller, mut refusal) = match self.identify(request.headers()).await {
            Ok(key) => (Caller::of(request, key), None),
            Err(refusal) => (Caller::of(request, refusal.owner.clone()), Some(refusal)),
        };
        // Whoever shows a key that is not good is counted where he comes from.
        let is_stranger = refusal.is_some() || caller.key.is_none();
        let limit_key = if refusal.is_some() { caller.address.and_then(LimitKey::at) } else { caller.limit_key() };
        let mut rate = None;
        match limit_key.map(|limit_key| self.limits.count(&limit_key)) {
            Some(Ok(counted)) => rate = counted,
            Some(Err(too_fast)) => refusal = Some(Refusal::rate(too_fast)),
            None => {}
        }
        if refusal.is_none()
            && let Some(key) = caller.key.as_ref().filter(|key| !key.scope.suffices_for(needed))
        {
            refusal = Some(Refusal::scope(needed, key.scope));
        }
        Seen { caller, is_stranger, rate, refusal }
    }

    /// The key that was shown, if one was or had to be.
    async fn identify(&self, headers: &HeaderMap) -> Result<Option<Arc<KeyRecord>>, Refusal> {
        let shown = match bearer(headers) {
            Ok(Some(shown)) => shown,
            Ok(None) => return self.without_key().await.map(|()| None),
            Err(detail) => return Err(Refusal::new(Code::InvalidKey, detail)),
        };
        let now = wall_now();
        match self.keyring.check(shown, now).await {
            Ok(Ok((key, is_news))) => {
                if is_news {
                    self.note_use(&key, now);
                }
                Ok(Some(key))
            }
            Ok(Err(rejection)) => Err(rejected(rejection)),
            Err(error) => Err(Refusal::storage(&error)),
        }
    }

    async fn without_key(&self) -> Result<(), Refusal> {
        let needed = match self.rule {
            KeyRule::Never => false,
            KeyRule::Always => true,
            KeyRule::OnceThereIsOne => self.keyring.has_any().await.map_err(|error| Refusal::storage(&error))?,
        };
        let detail = "This gateway wants an API key: send it as \"Authorization: Bearer sg_…\".";
        if needed { Err(Refusal::new(Code::AuthenticationRequired, detail)) } else { Ok(()) }
    }

    /// Nobody waits for that, and nothing is lost if it fails.
    fn note_use(&self, key: &KeyRecord, at: Timestamp) {
        let (store, change) = (self.store.clone(), KeyChange::Used { id: key.id.clone(), at });
        actix_web::rt::spawn(async move {
            let batch = Unit { keys: vec![change], ..Unit::default() };
            if let Err(error) = commit_one(&*store, batch).await {
                tracing::debug!(error = &error as &dyn std::error::Error, "the use of a key is not noted");
            }
        });
    }
}

/// The API keys cannot be read, and nobody can be told from anybody else.
pub(super) fn unreadable(error: &StoreError) -> ApiError {
    tracing::error!(error = error as &dyn std::error::Error, "cannot read the API keys");
    ApiError::new(Code::StorageUnavailable, "The API keys cannot be read from the store at present.")
}

fn rejected(rejection: Rejection) -> Refusal {
    match rejection {
        Rejection::Invalid(why) => Refusal::new(Code::InvalidKey, format!("What was sent as a key {why}.")),
        Rejection::Unknown => Refusal::new(Code::InvalidKey, "There is no such API key."),
        Rejection::Revoked(key) => {
            let refusal = Refusal::new(Code::KeyRevoked, format!("The API key {} was revoked.", key.id));
            Refusal { owner: Some(key), ..refusal }
        }
        Rejection::Expired(key) => {
            let refusal = Refusal::new(Code::KeyExpired, format!("The API key {} has expired.", key.id));
            Refusal { owner: Some(key), ..refusal }
        }
    }
}

/// The key in the headers, if there is one.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, &'static str> {
    let mut given = headers.get_all(AUTHORIZATION);
    let Some(first) = given.next() else { return Ok(None) };
    if given.next().is_some() {
        return Err("Authorization must be given once.");
    }
    let (scheme, key) = first.to_str().ok().and_then(|text| text.trim().split_once(' ')).unwrap_or_default();
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err("Authorization must be \"Bearer\" and an API key.");
    }
    Ok(Some(key.trim()))
}

/// In the words of the draft standard for such headers.
fn show_rate(headers: &mut HeaderMap, Rate { limit, remaining }: Rate) {
    let policy = format!("\"requests\";q={limit};w=1");
    let state = format!("\"requests\";r={remaining};t=1");
    for (name, text) in [("ratelimit-policy", policy), ("ratelimit", state)] {
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
}

/// The middleware.
pub(super) async fn guard(
    state: web::Data<ApiState>,
    routes: web::Data<Routes>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let operation = routes.operation(request.method(), path_of(request.request())).copied();
    let Some(Operation { needs, action, .. }) = operation.filter(Operation::needs_key) else {
        return for_everybody(&state.guard, operation, request, next).await;
    };
    let Seen { caller, is_stranger, rate, refusal } = state.guard.see(request.request(), needs).await;
    note_caller(&request, &caller);
    let is_flood = refusal.as_ref().is_some_and(|refusal| refusal.too_fast.is_some());
    let too_early = state.check_recovered(Code::StorageUnavailable).err();
    // Nothing is written before the store was read, and who is refused so early should not have to wait for that.
    let kept = Kept::of(is_stranger, is_flood || too_early.is_some());
    let mut response = match (refusal, too_early) {
        (Some(refusal), _) => request.into_response(refusal.answer()),
        (None, Some(too_early)) => request.into_response(too_early.error_response()),
        (None, None) => {
            request.extensions_mut().insert(caller.clone());
            next.call(request).await?.map_into_boxed_body()
        }
    };
    if let Some(rate) = rate {
        show_rate(response.headers_mut(), rate);
    }
    if let Some(action) = action {
        state.guard.recorder.record(&caller, action, &response, kept).await;
    }
    Ok(response)
}

/// Answers what needs no key, or does not exist, at the rate of one address. What is behind a path that is not known here
/// gets no caller, and so refuses to do anything.
async fn for_everybody(
    guard: &Guard,
    operation: Option<Operation>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let stranger = Caller::of(request.request(), None);
    note_caller(&request, &stranger);
    let counted = match (stranger.limit_key(), operation.map_or(Count::Page, |operation| operation.count)) {
        (None, _) | (_, Count::Probe) => Ok(()),
        (Some(limit_key), Count::Page) => guard.limits.count_page(&limit_key),
        (Some(limit_key), Count::Request) => guard.limits.count(&limit_key).map(drop),
    };
    if let Err(too_fast) = counted {
        return Ok(request.into_response(Refusal::rate(too_fast).answer()));
    }
    if operation.is_some() {
        request.extensions_mut().insert(stranger);
    }
    Ok(next.call(request).await?.map_into_boxed_body())
}

/// What waits for `caller` on the connection of `request` counts as his.
fn note_caller(request: &ServiceRequest, caller: &Caller) {
    if let Some(connection) = request.conn_data::<Connection>() {
        connection.note_caller(caller.limit_key().as_ref());
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use actix_web::test::TestRequest;

    use super::*;
    use crate::access::{NewKey, Token};
    use crate::domain::Reach;
    use crate::metrics::Metrics;
    use crate::store::sqlite::{Journal as _, SqliteJournal, SqliteReader, SqliteStore};
    use crate::store::{Observer, StoreReader};

    struct Scene {
        guard: Guard,
        token: Token,
        _directory: tempfile::TempDir,
    }

    /// A guard that wants a key, with one to read in its store, and lets everybody ask twice a second.
    async fn scene() -> Scene {
        let directory = tempfile::tempdir().expect("a directory");
        let mut journal = SqliteJournal::open(directory.path()).expect("a store");
        let wanted = NewKey { name: "ci".into(), scope: Scope::Read, reach: Reach::EVERYTHING, lifetime: None };
        let (token, record) = wanted.issue(wall_now()).expect("randomness");
        journal.commit(&[Unit { keys: vec![KeyChange::Added(record)], ..Unit::default() }], 0).expect("committed");
        let (store, inbox) = SqliteStore::channel();
        let metrics = Arc::new(Metrics::new().expect("consistent"));
        inbox.start(journal, Observer::new(metrics, None)).expect("a thread");
        let reader: Arc<dyn StoreReader> = Arc::new(SqliteReader::open(directory.path()).expect("readable"));
        let keyring = Keyring::open(reader, directory.path(), None).await.expect("readable");
        let access = Access { request_rate: 2, ..Access::default() };
        let guard = Guard::new(
            KeyRule::Always,
            &access,
            ConnectionLimits::within(1024),
            keyring,
            Arc::new(store),
            Clock::start(),
        );
        Scene { guard, token, _directory: directory }
    }

    impl Scene {
        /// The refusal of a request from this address, if it is refused.
        async fn ask(&self, address: &str, key: Option<&str>) -> Option<Code> {
            let address: SocketAddr = format!("{address}:1").parse().expect("an address");
            let request = TestRequest::default().peer_addr(address);
            let request = key.map_or(TestRequest::default().peer_addr(address), |key| {
                request.insert_header((AUTHORIZATION, format!("Bearer {key}")))
            });
            self.guard.see(&request.to_http_request(), &[Scope::Read]).await.refusal.map(|refusal| refusal.error.code())
        }
    }

    /// Whoever guesses is slowed down where he comes from; whoever has a key is not slowed down by others there.
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

    /// Also what is refused because of where it comes from, so that its record has a limit.
    #[actix_web::test]
    async fn requests_of_other_pages_are_counted_before_they_are_recorded() {
        let scene = scene().await;
        let reason = ApiError::new(Code::OriginRefused, "No.");
        let refuse = |address: &str| {
            let address: SocketAddr = format!("{address}:1").parse().expect("an address");
            let request = TestRequest::default().peer_addr(address).to_http_request();
            let (answer, kept) = scene.guard.refuse(&Caller::of(&request, None), &reason);
            (answer.status().as_u16(), kept)
        };
        for _ in 0..2 {
            assert_eq!(refuse("192.0.2.1"), (403, Kept::Sample));
        }
        assert_eq!(refuse("192.0.2.1"), (429, Kept::Count));
        assert_eq!(
            scene.ask("192.0.2.1", None).await,
            Some(Code::RateLimited),
            "they are counted together with others"
        );
        assert_eq!(refuse("192.0.2.2"), (403, Kept::Sample));
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
}
