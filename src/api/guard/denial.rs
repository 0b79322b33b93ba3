//! Why a request is not admitted, and what its caller is answered.

use std::sync::Arc;

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError as _};

use crate::access::{KeyError, Rate, RateExceeded};
use crate::api::problem::{ApiError, Code};
use crate::domain::{KeyRecord, Scope};
use crate::store::StoreError;

/// Why a request is not admitted.
pub(super) struct Denial {
    pub error: ApiError,
    /// The key that was shown, if the gateway knows it.
    pub owner: Option<Arc<KeyRecord>>,
    /// The `WWW-Authenticate` header: how the caller could be admitted.
    challenge: Option<String>,
    pub rate_exceeded: Option<RateExceeded>,
}

impl Denial {
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        let challenge = match code {
            Code::AuthenticationRequired => Some("Bearer realm=\"scalegate\"".to_owned()),
            Code::InvalidKey | Code::KeyExpired | Code::KeyRevoked => {
                Some("Bearer realm=\"scalegate\", error=\"invalid_token\"".to_owned())
            }
            _ => None,
        };
        Self { error: ApiError::new(code, detail), owner: None, challenge, rate_exceeded: None }
    }

    pub fn scope(needed: &[Scope], shown: Scope) -> Self {
        let needed: Vec<&str> = needed.iter().map(|scope| scope.as_str()).collect();
        // Names with spaces between them is the form that RFC 6750 has for several.
        let named = needed.join(" ");
        let challenge = format!("Bearer realm=\"scalegate\", error=\"insufficient_scope\", scope=\"{named}\"");
        let (needed, shown) = (needed.join(" or "), shown.as_str());
        let detail = format!("This takes a key with the scope {needed}; this one has {shown}.");
        Self { challenge: Some(challenge), ..Self::new(Code::InsufficientScope, detail) }
    }

    pub fn rate(rate_exceeded: RateExceeded) -> Self {
        let detail = format!(
            "More than {} requests came in a second. Send fewer, or let answers be held back.",
            rate_exceeded.limit
        );
        Self { rate_exceeded: Some(rate_exceeded), ..Self::new(Code::RateLimited, detail) }
    }

    pub fn storage(error: &StoreError) -> Self {
        Self { error: unreadable(error), owner: None, challenge: None, rate_exceeded: None }
    }

    pub fn answer(&self) -> HttpResponse {
        let mut response = self.error.error_response();
        let headers = response.headers_mut();
        if let Some(challenge) = self.challenge.as_ref().and_then(|text| HeaderValue::from_str(text).ok()) {
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        if let Some(RateExceeded { limit, wait }) = self.rate_exceeded {
            // To come back too early would be in vain.
            headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1));
            show_rate(headers, Rate { limit, remaining: 0 });
        }
        response
    }
}

impl From<KeyError> for Denial {
    fn from(error: KeyError) -> Self {
        let (code, detail, owner) = match error {
            KeyError::Invalid(why) => (Code::InvalidKey, format!("What was sent as a key {why}."), None),
            KeyError::Unknown => (Code::InvalidKey, "There is no such API key.".to_owned(), None),
            KeyError::Revoked(key) => (Code::KeyRevoked, format!("The API key {} was revoked.", key.id), Some(key)),
            KeyError::Expired(key) => (Code::KeyExpired, format!("The API key {} has expired.", key.id), Some(key)),
        };
        Self { owner, ..Self::new(code, detail) }
    }
}

/// The problem where the API keys cannot be read, so that no caller can be identified.
pub(in crate::api) fn unreadable(error: &StoreError) -> ApiError {
    tracing::error!(error = error as &dyn std::error::Error, "cannot read the API keys");
    ApiError::new(Code::StorageUnavailable, "The API keys cannot be read from the store at present.")
}

/// Adds the headers of the draft standard for rate limits.
pub(super) fn show_rate(headers: &mut HeaderMap, Rate { limit, remaining }: Rate) {
    let policy = format!("\"requests\";q={limit};w=1");
    let state = format!("\"requests\";r={remaining};t=1");
    for (name, text) in [("ratelimit-policy", policy), ("ratelimit", state)] {
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
}
