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

/// Whoever makes a request. Handlers get one only for requests that were admitted: each handler that is not for everybody
/// asks for one, also where it does not matter who it is, so that it does nothing for somebody who got past the guard.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The key he showed; `None` where none is needed.
    pub key: Option<Arc<KeyRecord>>,
    /// Where he is, as far as can be seen from here.
    pub address: Option<IpAddr>,
    /// The id of the request.
    pub request: Option<uuid::Uuid>,
}

impl Caller {
    /// Whoever makes `request` with this `key`.
    pub fn of(request: &HttpRequest, key: Option<Arc<KeyRecord>>) -> Self {
        let id = request.extensions().get::<RequestId>().map(|id| **id);
        Self { key, address: request.peer_addr().map(|address| address.ip().to_canonical()), request: id }
    }

    /// The resources that are any of his business.
    pub fn reach(&self) -> &Reach {
        self.key.as_ref().map_or(&Reach::EVERYTHING, |key| &key.reach)
    }

    /// The id of his key.
    pub fn key_id(&self) -> Option<&KeyId> {
        self.key.as_ref().map(|key| &key.id)
    }

    /// Whom limits for him are counted by, if there are any.
    pub fn limit_key(&self) -> Option<LimitKey> {
        match &self.key {
            Some(key) => Some(LimitKey::Key(key.id.clone())),
            None => self.address.and_then(LimitKey::at),
        }
    }

    /// Refuses him what concerns `resource`, unless it is his business.
    ///
    /// # Errors
    /// If it is not.
    pub fn may_touch(&self, resource: &Alias) -> Result<(), ApiError> {
        if self.reach().includes(resource) { Ok(()) } else { Err(Self::out_of_reach(resource)) }
    }

    /// What is left of his resources if he asks for `wanted` only.
    ///
    /// # Errors
    /// If that is not his business.
    pub fn narrowed_to(&self, wanted: Option<Alias>) -> Result<Reach, ApiError> {
        let refused = wanted.as_ref().map(Self::out_of_reach);
        let narrowed = self.reach().narrowed_to(wanted);
        narrowed.ok_or_else(|| refused.unwrap_or_else(|| ApiError::new(Code::ResourceForbidden, "It is out of reach.")))
    }

    fn out_of_reach(resource: &Alias) -> ApiError {
        ApiError::new(Code::ResourceForbidden, format!("This key is not for the resource \"{resource}\"."))
    }

    /// His request, for the record.
    pub fn attempt(&self) -> Attempt {
        Attempt { request: self.request, actor: self.key.as_ref().map(|key| key.actor()), address: self.address }
    }
}

impl FromRequest for Caller {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let caller = request.extensions().get::<Self>().cloned();
        ready(caller.ok_or_else(|| ApiError::new(Code::InternalError, "Nobody knows who asks.")))
    }
}

/// Notes what `request` is about, for the record of attempts.
pub fn note_subject(request: &HttpRequest, subject: Subject) {
    request.extensions_mut().insert(subject);
}
