//! Files in the binary, as they are served: the panel's, those of Swagger UI, and the OpenAPI document.
//!
//! An answer shares the bytes of the file and never copies them, however many callers ask: a copy for each answer that
//! waits to be read was memory that a caller without a key could fill.

use std::borrow::Cow;

use actix_web::HttpResponse;
use actix_web::body::BoxBody;
use actix_web::http::header::{CONTENT_SECURITY_POLICY, ETag, EntityTag, HeaderValue, IfNoneMatch};
use actix_web::web::{self, Bytes};
use sha2::{Digest as _, Sha256};

use super::body::Pieces;

/// What a browser says that it has.
pub(super) type Known = Option<web::Header<IfNoneMatch>>;

/// A file as it is served.
pub(super) struct Served {
    content_type: Cow<'static, str>,
    /// What a browser lets it do, if that differs from what it lets other answers do.
    policy: Option<&'static str>,
    body: Bytes,
    tag: EntityTag,
}

impl Served {
    /// A file with these contents.
    pub fn new(content_type: impl Into<Cow<'static, str>>, policy: Option<&'static str>, body: Bytes) -> Self {
        let digest = Sha256::digest(&body);
        // Half of it tells any two versions of a file apart.
        let tag: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        Self { content_type: content_type.into(), policy, body, tag: EntityTag::new_strong(tag) }
    }

    #[cfg(test)]
    pub fn bytes(&self) -> &Bytes {
        &self.body
    }

    /// The file, or that it is what the browser has.
    pub fn answer(&self, known: Known) -> HttpResponse {
        let unchanged = match known.map(web::Header::into_inner) {
            Some(IfNoneMatch::Any) => true,
            Some(IfNoneMatch::Items(tags)) => tags.iter().any(|known| known.weak_eq(&self.tag)),
            None => false,
        };
        let mut response = if unchanged { HttpResponse::NotModified() } else { HttpResponse::Ok() };
        response
            .insert_header(ETag(self.tag.clone()))
            // Asked for again each time, which costs a 304: after an update no browser mixes old files with new ones.
            .insert_header(("Cache-Control", "no-cache"));
        if let Some(policy) = self.policy {
            response.insert_header((CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy)));
        }
        if unchanged {
            return response.finish();
        }
        response.content_type(self.content_type.as_ref()).body(BoxBody::new(Pieces::in_binary(self.body.clone())))
    }
}
