//! Who may do what: each request is admitted here or refused, and whoever tries to change something is recorded.
//!
//! It must never look at what a request is about: which resources a key is for is asked where they are known, in the
//! handlers. A refusal is durable before it is answered, so that nobody can try faster than it is written down; requests
//! beyond the rate limit are only logged, or the limit would protect nothing.

use std::sync::Arc;
use std::time::Duration;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, HttpResponse, ResponseError as _, web};

use tokio::time::timeout;

use super::caller::Caller;
use super::finish::generic;
use super::problem::{ApiError, Code};
use super::routes::{Operation, Routes, path_of};
use super::{ApiState, Room};
use crate::access::{CallerLimits, Keyring, Party, Rate, Rejection, Seat, TooFast};
use crate::clock::{Clock, wall_now};
use crate::config::Access;
use crate::domain::{Action, AuditEntry, KeyRecord, Scope, Subject, Timestamp, Verdict};
use crate::store::{Batch, KeyChange, StoreClient, StoreError};

/// Longest wait for the store. A disk that takes longer is stuck, and whoever waits has better to know.
const STORE_PATIENCE: Duration = Duration::from_secs(10);
/// Longest time an answer that refuses something waits for the record of it.
const RECORD_PATIENCE: Duration = Duration::from_secs(1);

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
        match (access.insecure_no_auth, is_loopback) {
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
    store: StoreClient,
    clock: Clock,
}

/// What is known of a request before anything is done about it.
struct Seen {
    caller: Caller,
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

    fn scope(needed: Scope, shown: Scope) -> Self {
        let (needed, shown) = (needed.as_str(), shown.as_str());
        let challenge = format!("Bearer realm=\"scalegate\", error=\"insufficient_scope\", scope=\"{needed}\"");
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
    /// A guard with these parts; `access` has the limits. Of the `room` there is nobody gets more than half, however small
    /// it is, unless streams are not to be limited.
    pub fn new(rule: KeyRule, access: &Access, room: Room, keyring: Keyring, store: StoreClient, clock: Clock) -> Self {
        let half = |seats: usize| (seats / 2).max(1);
        let limits = CallerLimits::new(
            access.request_rate,
            access.streams_per_key.min(half(room.streams)),
            half(room.long_polls),
        );
        Self { rule, keyring: Arc::new(keyring), limits, store, clock }
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
        let batch = Batch { keys: vec![change], audit: vec![entry], ..Batch::default() };
        let (store, keyring) = (self.store.clone(), Arc::clone(&self.keyring));
        let changed = actix_web::rt::spawn(async move {
            let committed = store.commit(batch).await;
            // Also if that failed: it may be on the disk all the same.
            keyring.changed();
            committed
        });
        match timeout(STORE_PATIENCE, changed).await {
            Ok(committed) => committed.map_err(|_| StoreError::Closed)?,
            Err(_) => Err(StoreError::Slow),
        }
    }

    /// The record of what `caller` did or was refused.
    pub fn entry(&self, caller: &Caller, action: Action, subject: Subject, verdict: Verdict) -> AuditEntry {
        AuditEntry { at: self.clock.now(), attempt: caller.attempt(), action, subject, verdict }
    }

    /// A seat for a stream to `caller`, where they are counted.
    ///
    /// # Errors
    /// If he has too many.
    pub fn open_stream(&self, caller: &Caller) -> Result<Option<Seat>, ApiError> {
        let Some(party) = caller.party() else { return Ok(None) };
        self.limits.open_stream(party).map(Some).map_err(|limit| {
            let detail = format!("You have {limit} streams open already. Close some, or follow several jobs with one.");
            ApiError::new(Code::TooManyStreamsOfCaller, detail)
        })
    }

    /// A seat for an answer to `caller` that is held back, where they are counted; `None` if he has too many.
    pub fn hold_back(&self, caller: &Caller) -> Option<Option<Seat>> {
        let Some(party) = caller.party() else { return Some(None) };
        self.limits.hold_back(party).ok().map(Some)
    }

    /// Whether `caller`, who was admitted before, still would be: his key may have been revoked, or have expired.
    ///
    /// # Errors
    /// If he would not, or that cannot be told.
    pub fn still_admits(&self, caller: &Caller) -> Result<(), ApiError> {
        let Some(key) = &caller.key else { return self.without_key().map_err(|refusal| refusal.error) };
        match self.keyring.recheck(&key.id, wall_now()) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(rejection)) => Err(rejected(rejection).error),
            Err(error) => Err(unreadable(&error)),
        }
    }

    /// Finds out who makes `request`, and whether he may do what needs the scope `needed`.
    fn see(&self, request: &ServiceRequest, needed: Scope) -> Seen {
        let (caller, mut refusal) = match self.identify(request.headers()) {
            Ok(key) => (Caller::of(request.request(), key), None),
            Err(refusal) => (Caller::of(request.request(), refusal.owner.clone()), Some(refusal)),
        };
        // Whoever shows a key that is not good is counted where he comes from.
        let party = if refusal.is_some() { caller.address.and_then(Party::at) } else { caller.party() };
        let mut rate = None;
        match party.map(|party| self.limits.count(&party)) {
            Some(Ok(counted)) => rate = counted,
            Some(Err(too_fast)) => refusal = Some(Refusal::rate(too_fast)),
            None => {}
        }
        if refusal.is_none()
            && let Some(key) = caller.key.as_ref().filter(|key| key.scope < needed)
        {
            refusal = Some(Refusal::scope(needed, key.scope));
        }
        Seen { caller, rate, refusal }
    }

    /// The key that was shown, if one was or had to be.
    fn identify(&self, headers: &HeaderMap) -> Result<Option<Arc<KeyRecord>>, Refusal> {
        let shown = match bearer(headers) {
            Ok(Some(shown)) => shown,
            Ok(None) => return self.without_key().map(|()| None),
            Err(detail) => return Err(Refusal::new(Code::InvalidKey, detail)),
        };
        let now = wall_now();
        match self.keyring.check(shown, now) {
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

    fn without_key(&self) -> Result<(), Refusal> {
        let needed = match self.rule {
            KeyRule::Never => false,
            KeyRule::Always => true,
            KeyRule::OnceThereIsOne => self.keyring.has_any().map_err(|error| Refusal::storage(&error))?,
        };
        let detail = "This gateway wants an API key: send it as \"Authorization: Bearer sg_…\".";
        if needed { Err(Refusal::new(Code::AuthenticationRequired, detail)) } else { Ok(()) }
    }

    /// Nobody waits for that, and nothing is lost if it fails.
    fn note_use(&self, key: &KeyRecord, at: Timestamp) {
        let (store, change) = (self.store.clone(), KeyChange::Used { id: key.id.clone(), at });
        actix_web::rt::spawn(async move {
            let batch = Batch { keys: vec![change], ..Batch::default() };
            if let Err(error) = store.commit(batch).await {
                tracing::debug!(error = &error as &dyn std::error::Error, "the use of a key is not noted");
            }
        });
    }

    /// Makes it durable that `caller` was refused.
    async fn record_refusal(&self, caller: &Caller, action: Action, subject: Subject, code: Code) {
        let verdict = Verdict::Refused { code: code.as_str().to_owned() };
        let batch = Batch { audit: vec![self.entry(caller, action, subject, verdict)], ..Batch::default() };
        // One that takes longer is written all the same, as soon as the store can.
        if let Ok(Err(error)) = timeout(RECORD_PATIENCE, self.store.commit(batch)).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "a refusal is in the log only");
        }
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
    let operation = routes.operation(request.method(), path_of(&request));
    // Whatever is behind a path that is not known here gets no caller, and so refuses to do anything.
    let Some(Operation { needs, action }) = operation.copied() else {
        return Ok(next.call(request).await?.map_into_boxed_body());
    };
    let Some(needed) = needs else {
        let anybody = Caller::of(request.request(), None);
        request.extensions_mut().insert(anybody);
        return Ok(next.call(request).await?.map_into_boxed_body());
    };
    let Seen { caller, rate, refusal } = state.guard.see(&request, needed);
    let is_flood = refusal.as_ref().is_some_and(|refusal| refusal.too_fast.is_some());
    let too_early = state.check_recovered(Code::StorageUnavailable).err();
    // Nothing is written before the store was read; whoever is refused so early should not have to wait for that.
    let only_logged = is_flood || too_early.is_some();
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
        record(&state.guard, &caller, action, &response, only_logged).await;
    }
    Ok(response)
}

/// Tells the log, and whoever asks later, of an attempt to change something. One that was obeyed became durable with what
/// it changed.
pub(super) async fn record(
    guard: &Guard,
    caller: &Caller,
    action: Action,
    response: &ServiceResponse<BoxBody>,
    only_logged: bool,
) {
    let noted = response.request().extensions().get::<Subject>().cloned();
    let subject = noted.unwrap_or_else(|| subject_in(action, response.request().match_info().as_str()));
    let code = refusal_code(response.response());
    let (resource, job, about) = (&subject.resource, &subject.job, &subject.key);
    tracing::info!(
        target: "scalegate::audit",
        action = action.as_str(),
        outcome = outcome(action, response.response(), code),
        code = code.map(Code::as_str),
        key = caller.key_id().map(|key| key.as_str()),
        key_name = caller.key.as_ref().map(|key| key.name.as_str()),
        address = caller.address.map(tracing::field::display),
        resource = resource.as_ref().map(|resource| resource.as_str()),
        job = job.as_ref().map(tracing::field::display),
        about_key = about.as_ref().map(|key| key.as_str()),
        "audit"
    );
    // Of one whose outcome is unknown there will be a record if it is obeyed, and a store that does not work takes none.
    if let Some(code) = code.filter(|code| !matches!(code, Code::OutcomeUnknown | Code::StorageUnavailable))
        && !only_logged
    {
        guard.record_refusal(caller, action, subject, code).await;
    }
}

/// What a request is about that got no further than its path.
fn subject_in(action: Action, path: &str) -> Subject {
    let id = path.split('/').nth(3).unwrap_or_default();
    match action {
        Action::CancelJob => Subject { job: id.parse().ok(), ..Subject::default() },
        Action::RevokeKey => Subject { key: id.parse().ok(), ..Subject::default() },
        Action::SubmitJob | Action::CreateKey => Subject::default(),
    }
}

fn outcome(action: Action, response: &HttpResponse, refused: Option<Code>) -> &'static str {
    match refused {
        Some(Code::OutcomeUnknown) => "unknown",
        Some(_) => "refused",
        None if response.headers().contains_key("idempotency-replayed") => "replayed",
        None if action == Action::SubmitJob && response.status() == StatusCode::OK => "unchanged",
        None => "accepted",
    }
}

fn refusal_code(response: &HttpResponse) -> Option<Code> {
    let status = response.status();
    let is_refused = status.is_client_error() || status.is_server_error();
    let said = response.extensions().get::<ApiError>().map(ApiError::code);
    is_refused.then(|| said.unwrap_or_else(|| generic(status).code()))
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use actix_web::test::TestRequest;

    use super::*;
    use crate::access::{NewKey, Token};
    use crate::domain::Reach;
    use crate::store::{Catalog, Journal as _, SqliteCatalog, SqliteJournal, StoreWriter};

    struct Scene {
        guard: Guard,
        token: Token,
        _writer: StoreWriter,
        _directory: tempfile::TempDir,
    }

    /// A guard that wants a key, with one to read in its store, and lets everybody ask twice a second.
    fn scene() -> Scene {
        let directory = tempfile::tempdir().expect("a directory");
        let mut journal = SqliteJournal::open(directory.path()).expect("a store");
        let wanted = NewKey { name: "ci".into(), scope: Scope::Read, reach: Reach::EVERYTHING, lifetime: None };
        let (token, record) = wanted.issue(wall_now()).expect("randomness");
        journal.commit(&[Batch { keys: vec![KeyChange::Added(record)], ..Batch::default() }]).expect("committed");
        let (writer, inbox) = StoreWriter::to_be();
        inbox.start(journal).expect("a thread");
        let catalog: Arc<dyn Catalog> = Arc::new(SqliteCatalog::open(directory.path()).expect("readable"));
        let keyring = Keyring::open(catalog, directory.path(), None).expect("readable");
        let access = Access { request_rate: 2, ..Access::default() };
        let guard = Guard::new(KeyRule::Always, &access, Room::within(1024), keyring, writer.client(), Clock::start());
        Scene { guard, token, _writer: writer, _directory: directory }
    }

    impl Scene {
        /// The refusal of a request from this address, if it is refused.
        fn ask(&self, address: &str, key: Option<&str>) -> Option<Code> {
            let address: SocketAddr = format!("{address}:1").parse().expect("an address");
            let request = TestRequest::default().peer_addr(address);
            let request = key.map_or(TestRequest::default().peer_addr(address), |key| {
                request.insert_header((AUTHORIZATION, format!("Bearer {key}")))
            });
            self.guard.see(&request.to_srv_request(), Scope::Read).refusal.map(|refusal| refusal.error.code())
        }
    }

    /// Whoever guesses is slowed down where he comes from; whoever has a key is not slowed down by others there.
    #[actix_web::test]
    async fn strangers_are_counted_by_address_and_owners_by_key() {
        let scene = scene();
        let wrong = Token::generate().expect("randomness");
        assert_eq!(scene.ask("192.0.2.1", None), Some(Code::AuthenticationRequired));
        assert_eq!(scene.ask("192.0.2.1", Some(wrong.expose())), Some(Code::InvalidKey));
        for key in [None, Some(wrong.expose())] {
            assert_eq!(scene.ask("192.0.2.1", key), Some(Code::RateLimited));
        }
        assert_eq!(scene.ask("192.0.2.2", None), Some(Code::AuthenticationRequired), "another address");
        let good = Some(scene.token.expose());
        assert_eq!((scene.ask("192.0.2.1", good), scene.ask("192.0.2.2", good)), (None, None));
        assert_eq!(scene.ask("192.0.2.3", good), Some(Code::RateLimited), "wherever the owner is");
    }

    #[test]
    fn the_address_decides_who_needs_a_key() {
        let insecure = Access { insecure_no_auth: true, ..Access::default() };
        assert_eq!(KeyRule::new(&Access::default(), true), KeyRule::OnceThereIsOne);
        assert_eq!(KeyRule::new(&Access::default(), false), KeyRule::Always);
        assert_eq!((KeyRule::new(&insecure, true), KeyRule::new(&insecure, false)), (KeyRule::Never, KeyRule::Never));
    }
}
