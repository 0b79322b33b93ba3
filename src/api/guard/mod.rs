//! Which requests are admitted: authentication, rate limits and scopes, and the record of attempts to change something.
//!
//! It must never look at what a request is about: which resources a key is for is asked where they are known, in the
//! handlers. Limits come before everything that a request costs but the look at its key, and before the record of it.

mod denial;
mod key_changes;
mod middleware;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use actix_web::http::header::{AUTHORIZATION, HeaderMap};
use actix_web::{HttpRequest, HttpResponse, ResponseError as _};

use super::ConnectionLimits;
use super::audit::{AuditLevel, AuditRecorder};
use super::caller::Caller;
use super::problem::{ApiError, Code};
use crate::access::{CallerLimits, Keyring, LimitKey, Permit, Rate};
use crate::clock::{Clock, wall_now};
use crate::config::Access;
use crate::domain::{KeyRecord, Scope};
use crate::store::Store;

use denial::Denial;
pub(super) use denial::unreadable;
pub(super) use key_changes::RevokeError;
pub(super) use middleware::guard;

/// Which requests need a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyRule {
    /// All.
    Always,
    /// All, once there is a key. Until then every program that reaches the loopback address may do everything.
    OnceThereIsOne,
    /// None: the operator has switched keys off.
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
    recorder: Arc<AuditRecorder>,
}

/// What the guard finds out about a request before the handler sees it.
struct AccessCheck {
    caller: Caller,
    /// Whether the caller has no valid key.
    is_stranger: bool,
    rate: Option<Rate>,
    denial: Option<Denial>,
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
        let recorder = Arc::new(AuditRecorder::new(store.clone(), clock));
        Self { rule, keyring: Arc::new(keyring), limits, store, recorder }
    }

    /// The record of attempts to change something.
    pub fn recorder(&self) -> &Arc<AuditRecorder> {
        &self.recorder
    }

    /// The API keys.
    pub fn keyring(&self) -> &Keyring {
        &self.keyring
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

    /// Checks that `caller`, which was admitted before, still would be: its key may have been revoked, or have expired.
    ///
    /// # Errors
    /// If it would not, or the keys cannot be read.
    pub async fn still_admits(&self, caller: &Caller) -> Result<(), ApiError> {
        let Some(key) = &caller.key else { return self.without_key().await.map_err(|denial| denial.error) };
        match self.keyring.recheck(&key.id, wall_now()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Denial::from(error).error),
            Err(error) => Err(unreadable(&error)),
        }
    }

    /// The caller of `request`, if it has one of the scopes `needed`, for routes that need no key and tell such callers more.
    ///
    /// Rejected: to refuse an invalid key, because the orchestrator whose probe shows it would restart a gateway that works.
    /// Such keys, and any beyond the rate, count as none. Requests that show no key are not counted, as other probes.
    pub async fn reader(&self, request: &HttpRequest, needed: &[Scope]) -> Option<Caller> {
        if !request.headers().contains_key(AUTHORIZATION) {
            return self.without_key().await.ok().map(|()| Caller::of(request, None));
        }
        let AccessCheck { caller, denial, .. } = self.check(request, needed).await;
        denial.is_none().then_some(caller)
    }

    /// Counts a request of a `stranger` that is refused for `reason`: the answer, and at which level it is recorded.
    pub(super) fn refuse(&self, stranger: &Caller, reason: &ApiError) -> (HttpResponse, AuditLevel) {
        match stranger.limit_key().map(|limit_key| self.limits.count(&limit_key)) {
            Some(Err(rate_exceeded)) => (Denial::rate(rate_exceeded).answer(), AuditLevel::CountOnly),
            _ => (reason.error_response(), AuditLevel::Sample),
        }
    }

    /// Identifies the caller of `request`, counts the request, and checks that the caller has one of the scopes `needed`.
    async fn check(&self, request: &HttpRequest, needed: &[Scope]) -> AccessCheck {
        let (caller, mut denial) = match self.identify(request.headers()).await {
            Ok(key) => (Caller::of(request, key), None),
            Err(denial) => (Caller::of(request, denial.owner.clone()), Some(denial)),
        };
        // A caller with an invalid key is counted by its address.
        let is_stranger = denial.is_some() || caller.key.is_none();
        let limit_key = if denial.is_some() { caller.address.and_then(LimitKey::at) } else { caller.limit_key() };
        let mut rate = None;
        match limit_key.map(|limit_key| self.limits.count(&limit_key)) {
            Some(Ok(counted)) => rate = counted,
            Some(Err(rate_exceeded)) => denial = Some(Denial::rate(rate_exceeded)),
            None => {}
        }
        if denial.is_none()
            && let Some(key) = caller.key.as_ref().filter(|key| !key.scope.suffices_for(needed))
        {
            denial = Some(Denial::scope(needed, key.scope));
        }
        AccessCheck { caller, is_stranger, rate, denial }
    }

    /// The key that was shown, if one was or had to be.
    async fn identify(&self, headers: &HeaderMap) -> Result<Option<Arc<KeyRecord>>, Denial> {
        let shown = match bearer(headers) {
            Ok(Some(shown)) => shown,
            Ok(None) => return self.without_key().await.map(|()| None),
            Err(detail) => return Err(Denial::new(Code::InvalidKey, detail)),
        };
        let now = wall_now();
        match self.keyring.check(shown, now).await {
            Ok(Ok((key, use_is_news))) => {
                if use_is_news {
                    self.note_use(&key, now);
                }
                Ok(Some(key))
            }
            Ok(Err(error)) => Err(error.into()),
            Err(error) => Err(Denial::storage(&error)),
        }
    }

    /// Admits a request without a key, unless one is needed.
    async fn without_key(&self) -> Result<(), Denial> {
        let needed = match self.rule {
            KeyRule::Never => false,
            KeyRule::Always => true,
            KeyRule::OnceThereIsOne => self.keyring.has_any().await.map_err(|error| Denial::storage(&error))?,
        };
        let detail = "This gateway wants an API key: send it as \"Authorization: Bearer sg_…\".";
        if needed { Err(Denial::new(Code::AuthenticationRequired, detail)) } else { Ok(()) }
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
