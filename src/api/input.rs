//! How requests are read: bodies and headers, each within limits.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::header::{self, HeaderMap};
use actix_web::{FromRequest, HttpRequest, web};
use futures_util::StreamExt as _;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_path_to_error::{Path, Segment};
use sha2::{Digest as _, Sha256};

use super::connections::Connection;
use super::problem::{ApiError, Code};
use crate::domain::{Alias, InvalidAlias, JobId, KeyId};
use crate::store::SubmitKey;

/// Largest body. The largest sensible job has a tenth of it.
pub const MAX_BODY_BYTES: usize = 64 * 1024;
/// Longest time a body may take to arrive: a client that trickles holds a connection, but not for long.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest idempotency key, in bytes.
const MAX_KEY_BYTES: usize = 255;
/// Longest wait a caller can ask for with `Prefer: wait`. Proxies and load balancers like to cut longer ones.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// The body of a request, which has to be a JSON object.
pub struct JsonBody<T>(pub T);

impl<T: DeserializeOwned + 'static> FromRequest for JsonBody<T> {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let body = Body::of(request, payload);
        Box::pin(async move { parse_json(&body.read().await?).map(Self) })
    }
}

/// The body of a request that can do without one: an empty body stands for the default.
pub struct OptionalJsonBody<T>(pub T);

impl<T: DeserializeOwned + Default + 'static> FromRequest for OptionalJsonBody<T> {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let body = Body::of(request, payload);
        Box::pin(async move {
            let body = body.read_if_any().await?;
            Ok(Self(if body.trim_ascii().is_empty() { T::default() } else { parse_json(&body)? }))
        })
    }
}

/// A body that is still to be read, and what the headers say about it.
struct Body {
    is_json: bool,
    is_encoded: bool,
    length: Option<usize>,
    payload: Payload,
    connection: Option<Connection>,
}

impl Body {
    fn of(request: &HttpRequest, payload: &mut Payload) -> Self {
        Self {
            is_json: is_json(request.headers()),
            is_encoded: is_encoded(request.headers()),
            length: content_length(request.headers()),
            payload: payload.take(),
            connection: request.conn_data::<Connection>().cloned(),
        }
    }

    /// The whole body, which has to be declared as JSON.
    async fn read(self) -> Result<Vec<u8>, ApiError> {
        if !self.is_json {
            return Err(undeclared());
        }
        if self.is_encoded {
            let detail = "Send the body as it is, without Content-Encoding.";
            return Err(ApiError::new(Code::UnsupportedMediaType, detail));
        }
        self.receive().await
    }

    /// The same of a body that may be empty, and need not be declared then.
    async fn read_if_any(self) -> Result<Vec<u8>, ApiError> {
        if self.is_json || self.length.is_some_and(|length| length > 0) {
            return self.read().await;
        }
        let body = self.receive().await?;
        if body.is_empty() { Ok(body) } else { Err(undeclared()) }
    }

    async fn receive(self) -> Result<Vec<u8>, ApiError> {
        if self.length.is_some_and(|length| length > MAX_BODY_BYTES) {
            return Err(too_large());
        }
        let reading = self.connection.map(|connection| connection.read_body());
        let body = tokio::time::timeout(BODY_TIMEOUT, receive(self.payload)).await;
        drop(reading);
        body.map_err(|_| {
            let detail = format!("The body did not arrive within {} s.", BODY_TIMEOUT.as_secs());
            ApiError::new(Code::BodyTimeout, detail)
        })?
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(declared) = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()) else { return false };
    let essence = declared.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

/// Whether the body is said to be compressed or otherwise encoded, which is not undone here.
fn is_encoded(headers: &HeaderMap) -> bool {
    let is_none = |value: &header::HeaderValue| value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity");
    !headers.get_all(header::CONTENT_ENCODING).all(is_none)
}

fn content_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn undeclared() -> ApiError {
    ApiError::new(Code::UnsupportedMediaType, "Send the body with Content-Type: application/json.")
}

fn too_large() -> ApiError {
    ApiError::new(Code::BodyTooLarge, format!("The body has more than {MAX_BODY_BYTES} bytes."))
}

async fn receive(mut payload: Payload) -> Result<Vec<u8>, ApiError> {
    let mut body = Vec::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk
            .map_err(|error| ApiError::new(Code::MalformedRequest, format!("The body could not be read: {error}.")))?;
        if body.len() + chunk.len() > MAX_BODY_BYTES {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The object in `body`. Text that is not JSON is malformed; JSON that is something else does not make sense.
fn parse_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    let mut text = serde_json::Deserializer::from_slice(body);
    let parsed: Result<Object<T>, _> = serde_path_to_error::deserialize(&mut text);
    let Object(parsed) = parsed.map_err(|error| {
        let mut pointer = pointer(error.path());
        let error = error.into_inner();
        if let Some(other) = other_than_object(body) {
            return ApiError::invalid_field("", format!("must be an object, not {other}"));
        }
        // What cannot be a value of its type can be JSON all the same: a number where a word is expected, say.
        if !error.is_data() && !is_json_text(body) {
            return ApiError::new(Code::MalformedRequest, format!("The body is not JSON: {error}."));
        }
        let said = error.to_string();
        let mut detail = format!("cannot be read: {said}");
        // The path ends before a key that is refused for being there twice, or for not being there.
        for (kind, words) in [("duplicate field `", "is given twice"), ("missing field `", "is required")] {
            if let Some((name, _)) = said.strip_prefix(kind).and_then(|rest| rest.split_once('`')) {
                pointer = format!("{pointer}/{}", escaped(name));
                detail = words.to_owned();
            }
        }
        ApiError::invalid_field(pointer, detail)
    })?;
    text.end()
        .map_err(|error| ApiError::new(Code::MalformedRequest, format!("The body goes on after its JSON: {error}.")))?;
    Ok(parsed)
}

fn is_json_text(body: &[u8]) -> bool {
    std::str::from_utf8(body).is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok())
}

/// What the JSON text `body` is, unless it is an object.
fn other_than_object(body: &[u8]) -> Option<&'static str> {
    let first = body.trim_ascii_start().first().filter(|_| is_json_text(body))?;
    match first {
        b'{' => None,
        b'[' => Some("an array"),
        b'"' => Some("a string"),
        b't' | b'f' => Some("a boolean"),
        b'n' => Some("null"),
        _ => Some("a number"),
    }
}

/// What is an object. The derived form would also take an array of the fields' values in their order.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(fields))
            }
        }

        deserializer.deserialize_map(Fields(PhantomData)).map(Self)
    }
}

/// The JSON Pointer (RFC 6901) to what is at `path`.
fn pointer(path: &Path) -> String {
    let tokens = path.iter().map(|segment| match segment {
        Segment::Seq { index } => format!("/{index}"),
        Segment::Map { key } => format!("/{}", escaped(key)),
        Segment::Enum { .. } | Segment::Unknown => String::new(),
    });
    tokens.collect()
}

/// `name` as part of a JSON Pointer.
pub fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// The idempotency key of a request by the API key `owner` with this `submission`, if it has one.
///
/// # Errors
/// If the key is empty, too long, or not plain text.
pub fn idempotency_key(
    headers: &HeaderMap,
    owner: Option<&KeyId>,
    submission: &impl Serialize,
) -> Result<Option<SubmitKey>, ApiError> {
    let mut values = headers.get_all("Idempotency-Key");
    let Some(value) = values.next() else { return Ok(None) };
    let invalid = |detail: &str| ApiError::invalid_field("/header/Idempotency-Key", detail);
    if values.next().is_some() {
        return Err(invalid("must be given once"));
    }
    let text = value.to_str().ok().filter(|text| !text.contains('\t'));
    let text = text.ok_or_else(|| invalid("must consist of printable ASCII characters"))?.trim();
    let quoted = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    let key = quoted.unwrap_or(text);
    if key.is_empty() || key.len() > MAX_KEY_BYTES {
        return Err(invalid("must have 1 to 255 bytes"));
    }
    // A submission's fields are serialised in a fixed order, so this form does not depend on white space or order.
    let canonical = serde_json::to_vec(submission)
        .map_err(|error| ApiError::new(Code::InternalError, format!("The request cannot be serialised: {error}.")))?;
    Ok(Some(SubmitKey::new(owner, key.to_owned(), Sha256::digest(canonical).into())))
}

/// The job id in the path.
///
/// # Errors
/// What is no id is the id of no job.
pub fn job_id(path: &web::Path<String>) -> Result<JobId, ApiError> {
    JobId::parse_str(path).map_err(|_| ApiError::no_such_job(path))
}

/// The alias in the path.
///
/// # Errors
/// If it is none.
pub fn alias(path: &web::Path<String>) -> Result<Alias, ApiError> {
    path.parse().map_err(|error: InvalidAlias| ApiError::invalid_field("/path/alias", error.to_string()))
}

/// How long the caller wants to wait for the job to be over (`Prefer: wait=…`, RFC 7240), at most a minute.
pub fn preferred_wait(headers: &HeaderMap) -> Option<Duration> {
    let preferences = headers.get_all("Prefer").filter_map(|value| value.to_str().ok());
    let mut waits = preferences.flat_map(|value| value.split(',')).filter_map(|preference| {
        let (name, value) = preference.split(';').next()?.split_once('=')?;
        name.trim().eq_ignore_ascii_case("wait").then(|| value.trim().trim_matches('"').parse::<u32>().ok())?
    });
    waits.next().map(|seconds| Duration::from_secs(seconds.into()).min(MAX_WAIT))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Submission;
    use actix_web::http::header::{HeaderName, HeaderValue};

    fn headers(name: &'static str, values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).expect("a header"));
        }
        headers
    }

    #[test]
    fn bodies_are_malformed_or_senseless() {
        for (body, code) in [
            ("", Code::MalformedRequest),
            ("{", Code::MalformedRequest),
            ("{\"resource\":\"w\"} x", Code::MalformedRequest),
            ("\u{feff}{}", Code::MalformedRequest),
            ("null", Code::ValidationFailed),
            ("[]", Code::ValidationFailed),
            ("[\"w\",5]", Code::ValidationFailed),
            ("{\"resource\":5}", Code::ValidationFailed),
            ("{\"resource\":\"w\",\"resource\":\"w\"}", Code::ValidationFailed),
            ("{\"resource\":\"w\",\"colour\":1}", Code::ValidationFailed),
            ("{\"resource\":\"w\",\"targetCapacity\":5.5}", Code::ValidationFailed),
            ("{\"resource\":\"w\",\"targetCapacity\":99999999999999999999}", Code::ValidationFailed),
        ] {
            assert_eq!(parse_json::<Submission>(body.as_bytes()).map_err(|error| error.code()), Err(code), "{body}");
        }
        let deep = "[".repeat(50_000);
        assert_eq!(
            parse_json::<Submission>(deep.as_bytes()).map_err(|error| error.code()).err(),
            Some(Code::ValidationFailed)
        );
        assert_eq!(parse_json::<Submission>(&[0xff, 0xfe]).map_err(|error| error.code()), Err(Code::MalformedRequest));
    }

    /// In the words of `scalegate policy check`.
    #[test]
    fn what_is_no_object_is_told_as_what_it_is() {
        use crate::policy::Document;
        for body in ["[]", "null", " 5", "\"x\"", "true", "[1, {}]"] {
            let told: Vec<(String, String)> = match parse_json::<Document>(body.as_bytes()) {
                Ok(_) => panic!("{body} is no object"),
                Err(error) => {
                    let errors = error.document(uuid::Uuid::nil()).errors;
                    errors.into_iter().map(|error| (error.pointer, error.detail)).collect()
                }
            };
            let problems = Document::from_json(body).expect("JSON").policy().expect_err("no object");
            let checked: Vec<(String, String)> =
                problems.into_iter().map(|problem| (problem.pointer, problem.detail)).collect();
            assert_eq!(told, checked, "{body}");
        }
    }

    #[test]
    fn pointers_lead_to_what_is_wrong() {
        for (body, pointer) in [
            ("5", ""),
            (r#"{"resource": 5}"#, "/resource"),
            (r#"{"resource": "w", "a/b": 1}"#, "/a~1b"),
            (r#"{"resource": "w", "resource": "w"}"#, "/resource"),
            (r#"{"resource": "w", "onConflict": 1}"#, "/onConflict"),
            (r#"{"resource": "w", "targetCapacity": 1e999}"#, "/targetCapacity"),
            (r#"{"resource": "w", "labels": []}"#, "/labels"),
            (r#"{"resource": "w", "labels": {"a.b": 1}}"#, "/labels/a.b"),
            (r#"{"resource": "w", "labels": {"a/b~c": null}}"#, "/labels/a~1b~0c"),
            (r#"{"resource": "w", "labels": {"a": "1", "a": "2"}}"#, "/labels/a"),
        ] {
            let problem = parse_json::<Submission>(body.as_bytes()).expect_err("wrong").document(uuid::Uuid::nil());
            let pointers: Vec<&str> = problem.errors.iter().map(|error| error.pointer.as_str()).collect();
            assert_eq!(pointers, [pointer], "{body}");
        }
    }

    #[test]
    fn keys_may_be_bare_or_quoted_and_ignore_form() {
        let submission = |text: &str| parse_json::<Submission>(text.as_bytes()).expect("a submission");
        let a = submission(r#"{"resource":"w","targetCapacity":5,"stepSize":1}"#);
        let b = submission(r#" { "stepSize" : 1, "targetCapacity" : 5, "resource" : "w" } "#);
        let c = submission(r#"{"resource":"w","targetCapacity":6,"stepSize":1}"#);
        let key = |values: &[&str], body| idempotency_key(&headers("idempotency-key", values), None, body);
        let bare = key(&["abc"], &a).expect("valid").expect("given");
        assert_eq!(key(&["\"abc\""], &b).expect("valid"), Some(bare.clone()));
        assert_ne!(key(&["abc"], &c).expect("valid").expect("given").fingerprint, bare.fingerprint);
        assert_eq!(key(&[], &a).expect("valid"), None);
        for bad in [&[""][..], &["\"\""], &["a", "b"], &[&"x".repeat(256)]] {
            assert!(key(bad, &a).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn waits_are_preferences() {
        let wait = |values: &[&str]| preferred_wait(&headers("prefer", values)).map(|wait| wait.as_secs());
        assert_eq!(wait(&["wait=30"]), Some(30));
        assert_eq!(wait(&["respond-async, WAIT = 5; x=y"]), Some(5));
        assert_eq!(wait(&["respond-async", "wait=\"7\""]), Some(7));
        assert_eq!(wait(&["wait=86400"]), Some(60));
        for ignored in [&[][..], &["wait"], &["wait=-1"], &["wait=soon"], &["waiting=5"]] {
            assert_eq!(wait(ignored), None, "{ignored:?}");
        }
    }
}
