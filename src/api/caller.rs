//! The admitted caller of a request.

use std::future::{Ready, ready};
use std::net::IpAddr;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage as _, HttpRequest};
use tracing_actix_web::RequestId;

use super::problem::{ApiError, Code};
use crate::access::LimitKey;
use crate::domain::{Alias, Attempt, KeyId, KeyRecord, Reach, Subject};

/// The caller of a request. Only requests that were admitted have one. Each handler that needs a key asks for it, also where it
/// does not matter which caller it is, so that it does nothing for a request that got past the guard.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The key that was shown; `None` where none is needed.
    pub key: Option<Arc<KeyRecord>>,
    /// The address that the request came from, as far as it shows.
    pub address: Option<IpAddr>,
    /// The id of the request.
    pub request: Option<uuid::Uuid>,
}

impl Caller {
    /// The caller of `request` with this `key`.
    pub fn of(request: &HttpRequest, key: Option<Arc<KeyRecord>>) -> Self {
        let id = request.extensions().get::<RequestId>().map(|id| **id);
        Self { key, address: request.peer_addr().map(|address| address.ip().to_canonical()), request: id }
    }

    /// The resources that it may touch.
    pub fn reach(&self) -> &Reach {
        self.key.as_ref().map_or(&Reach::EVERYTHING, |key| &key.reach)
    }

    /// The id of its key.
    pub fn key_id(&self) -> Option<&KeyId> {
        self.key.as_ref().map(|key| &key.id)
    }

    /// What its requests are counted by, if they have limits.
    pub fn limit_key(&self) -> Option<LimitKey> {
        match &self.key {
            Some(key) => Some(LimitKey::Key(key.id.clone())),
            None => self.address.and_then(LimitKey::at),
        }
    }

    /// Checks that it may touch `resource`.
    ///
    /// # Errors
    /// If it may not.
    pub fn may_touch(&self, resource: &Alias) -> Result<(), ApiError> {
        if self.reach().includes(resource) { Ok(()) } else { Err(self.out_of_reach(resource)) }
    }

    /// The resources that it may touch, or `wanted` alone.
    ///
    /// # Errors
    /// If it may not touch that one.
    pub fn narrowed_to(&self, wanted: Option<Alias>) -> Result<Reach, ApiError> {
        let refused = wanted.as_ref().map(|wanted| self.out_of_reach(wanted));
        let narrowed = self.reach().narrowed_to(wanted);
        narrowed.ok_or_else(|| refused.unwrap_or_else(|| ApiError::new(Code::ResourceForbidden, "It is out of reach.")))
    }

    fn out_of_reach(&self, resource: &Alias) -> ApiError {
        let refused =
            ApiError::new(Code::ResourceForbidden, format!("This key is not for the resource \"{resource}\"."));
        match self.meant(resource) {
            Some(meant) => refused.suggesting(&meant),
            None => refused,
        }
    }

    /// Its request, for the audit record.
    pub fn attempt(&self) -> Attempt {
        Attempt { request: self.request, actor: self.key.as_ref().map(|key| key.actor()), address: self.address }
    }
}

impl FromRequest for Caller {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let caller = request.extensions().get::<Self>().cloned();
        ready(caller.ok_or_else(|| ApiError::new(Code::InternalError, "The caller of this request is not known.")))
    }
}

/// Notes what `request` is about, for the record of attempts.
pub fn note_subject(request: &HttpRequest, subject: Subject) {
    request.extensions_mut().insert(subject);
}
