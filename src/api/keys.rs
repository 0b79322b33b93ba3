//! API keys: made, listed and revoked by admins.

use std::sync::Arc;
use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, get, post, web};
use serde::{Deserialize, Serialize};
use strum::{EnumMessage, VariantArray};
use utoipa::ToSchema;
use utoipa::openapi::Ref;
use utoipa::openapi::schema::{Array, ArrayBuilder, SchemaType, Type};

use super::ApiState;
use super::caller::{Caller, note_subject};
use super::guard::{RevokeError, unreadable};
use super::input::JsonBody;
use super::openapi::examples;
use super::problem::{ApiError, Code, FieldError};
use super::routes::Route;
use super::view::WireTime;
use crate::access::{KeyProblem, MAX_KEYS, NewKey};
use crate::clock::wall_now;
use crate::domain::{
    Action, Alias, AuditVerdict, KeyId, KeyRecord, MAX_KEY_RESOURCES, Reach, Scope, Subject, Timestamp,
};
use crate::store::{KeyChange, StoreError};

/// A key to be made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = NewKey)]
pub struct KeyWish {
    /// What the key is for, for people: at most 100 bytes in UTF-8, which can be fewer characters, and no control or format
    /// characters (categories Cc, Cf, Zl and Zp of Unicode; the pattern has those below U+10000).
    #[serde(default)]
    #[schema(
        required = true,
        min_length = 1,
        max_length = 100,
        pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f\\u00ad\\u0600-\\u0605\\u061c\\u06dd\\u070f\\u0890\\u0891\\u08e2\\u180e\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ufeff\\ufff9-\\ufffb]*$",
        example = "ci"
    )]
    pub name: String,
    /// What the key allows.
    pub scope: Scope,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = resources_schema)]
    pub resources: Option<Vec<String>>,
    /// How long the key is good, in seconds, at most ten years. Left out, it is good until it is revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 315_360_000)]
    pub expires_in_seconds: Option<f64>,
}

/// The derivation cannot say what the items of a list are like.
fn resources_schema() -> Array {
    ArrayBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Array, Type::Null]))
        .description(Some(
            "The only resources that the key may touch. Left out, it may touch all. Not for keys with the scope `admin`.",
        ))
        .items(Ref::from_schema_name(Alias::name()))
        .min_items(Some(1))
        .max_items(Some(MAX_KEY_RESOURCES))
        .examples([serde_json::json!(["worker"])])
        .build()
}

/// An API key, without its secret.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Key)]
pub struct KeyView {
    /// The public part of the key, which follows `sg_` in it.
    #[schema(pattern = "^[0-9A-Za-z]{10}$", example = "4fJ2kQ9xZa")]
    pub id: String,
    /// What the key is for.
    pub name: String,
    /// What the key allows.
    pub scope: Scope,
    /// The only resources that the key may touch; `null` for all.
    #[schema(value_type = Option<Vec<Alias>>)]
    pub resources: Option<Vec<String>>,
    /// Whether the key is good.
    pub state: KeyState,
    /// Whether the key comes from the configuration of the gateway. Only the configuration can take such a key away.
    pub configured: bool,
    /// When the key was made, or, for one from the configuration, when the gateway started.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: WireTime,
    /// When the key expires; `null` if it does not.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<WireTime>,
    /// When the key was revoked; `null` if it was not.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub revoked_at: Option<WireTime>,
    /// When the key was last used, give or take ten minutes; `null` if it never was.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_used_at: Option<WireTime>,
}

/// Whether a key is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, EnumMessage, VariantArray)]
#[serde(rename_all = "snake_case")]
pub enum KeyState {
    /// Requests with it are admitted.
    Active,
    /// Its time is over: requests with it are refused.
    Expired,
    /// It was revoked: requests with it are refused.
    Revoked,
}

/// A key that was just made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreatedKey {
    /// The key itself. It is shown here and never again.
    #[schema(example = "sg_4fJ2kQ9xZa…")]
    pub secret: String,
    /// What the gateway keeps of the key.
    pub key: KeyView,
}

/// The API keys of the gateway, without their secrets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct KeyList {
    /// The keys, oldest first; the one from the configuration comes before all others.
    pub keys: Vec<KeyView>,
}

/// The scopes, the audit action and the problems of each operation.
pub(super) const ROUTES: &[Route] = {
    use Code::*;
    &[
        Route::post("/v1/keys").needs(&[Scope::Admin]).records(Action::CreateKey).problems(&[
            BodyTimeout,
            TooManyKeys,
            BodyTooLarge,
            UnsupportedMediaType,
            ValidationFailed,
            OutcomeUnknown,
        ]),
        Route::get("/v1/keys").needs(&[Scope::Admin]),
        Route::get("/v1/keys/{id}").needs(&[Scope::Admin]).problems(&[KeyNotFound]),
        Route::post("/v1/keys/{id}/revoke").needs(&[Scope::Admin]).records(Action::RevokeKey).problems(&[
            KeyNotFound,
            KeyConfigured,
            RevocationNotWritten,
            OutcomeUnknown,
        ]),
    ]
};

/// Make an API key
///
/// The answer has the key itself, which is shown this once: the gateway keeps only its SHA-256. At most 1000 keys can be
/// good at a time.
#[utoipa::path(
    operation_id = "createKey", tag = "access",
    request_body(content = KeyWish, description = "What the key is for.", examples(
        ("scale" = (summary = "To scale one resource", value = json!({"name": "queue watcher", "scope": "scale", "resources": ["worker"]}))),
        ("read" = (summary = "To look, for a day", value = json!({"name": "dashboard", "scope": "read", "expiresInSeconds": 86400})))
    )),
    responses(
        (status = 201, description = "The key, with its secret.", body = CreatedKey, headers(
            ("Location" = String, description = "The address of what the gateway keeps of the key.")),
            example = json!(examples::example_created_key())),
    )
)]
#[post("/v1/keys")]
pub async fn create_key(
    state: web::Data<ApiState>,
    request: HttpRequest,
    caller: Caller,
    body: JsonBody<KeyWish>,
) -> Result<HttpResponse, ApiError> {
    let wanted = body.0.parse()?;
    let (guard, now) = (&state.guard, wall_now());
    let usable = guard
        .keyring()
        .list()
        .await
        .map_err(|error| unreadable(&error))?
        .iter()
        .filter(|key| key.is_usable(now))
        .count();
    if usable >= MAX_KEYS {
        let detail = format!("{MAX_KEYS} keys are good already. Revoke some first.");
        return Err(ApiError::new(Code::TooManyKeys, detail));
    }
    if caller.key.is_none()
        && wanted.scope != Scope::Admin
        && !guard.keyring().has_any().await.map_err(|error| unreadable(&error))?
    {
        let detail = "must be admin for the first key: from then on nobody is admitted without a key".to_owned();
        return Err(ApiError::invalid(vec![FieldError { pointer: "/scope".to_owned(), detail }]));
    }
    let (token, record) = wanted.issue(now).map_err(|error| {
        tracing::error!(%error, "the system gives no randomness for a key");
        ApiError::new(Code::InternalError, "The system gives no randomness for a key.")
    })?;
    let subject = Subject { key: Some(record.id.clone()), ..Subject::default() };
    note_subject(&request, subject.clone());
    let entry = guard.recorder().entry(&caller, Action::CreateKey, subject, AuditVerdict::Accepted);
    guard.change_keys(KeyChange::Added(record.clone()), entry).await.map_err(not_written)?;
    let created = CreatedKey { secret: token.expose().to_owned(), key: KeyView::new(&record, false, now) };
    Ok(HttpResponse::Created().insert_header(("Location", key_path(&record.id))).json(created))
}

/// List API keys
///
/// Without their secrets. Keys that were revoked or have expired stay on the list for a while: the newest 1000.
#[utoipa::path(
    operation_id = "listKeys", tag = "access",
    responses(
        (status = 200, description = "All keys, without their secrets.", body = KeyList, example = json!({"keys": [examples::example_key()]})),
    )
)]
#[get("/v1/keys")]
pub async fn list_keys(state: web::Data<ApiState>, _: Caller) -> Result<HttpResponse, ApiError> {
    let keyring = state.guard.keyring();
    let (keys, now) = (keyring.list().await.map_err(|error| unreadable(&error))?, wall_now());
    let keys = keys.iter().map(|key| KeyView::new(key, keyring.is_configured(&key.id), now)).collect();
    Ok(HttpResponse::Ok().json(KeyList { keys }))
}

/// Look at an API key
///
/// Without its secret.
#[utoipa::path(
    operation_id = "getKey", tag = "access",
    params(("id" = String, Path, description = "The id of the key, which follows `sg_` in it.", example = "4fJ2kQ9xZa")),
    responses(
        (status = 200, description = "The key, without its secret.", body = KeyView, example = json!(examples::example_key())),
    )
)]
#[get("/v1/keys/{id}")]
pub async fn get_key(state: web::Data<ApiState>, _: Caller, path: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let key = find(&state, &path).await?;
    let configured = state.guard.keyring().is_configured(&key.id);
    Ok(HttpResponse::Ok().json(KeyView::new(&key, configured, wall_now())))
}

/// Revoke an API key
///
/// No request with it is admitted from now on, and streams that were opened with it end before anything else is told. What
/// was done with it before stays. RevokeError it twice is no error. 200 says that the revocation is durable; 503
/// `revocation_not_written` that the key is refused, and will be durably as soon as the store can be written, but is good again if
/// the gateway is restarted before.
#[utoipa::path(
    operation_id = "revokeKey", tag = "access",
    params(("id" = String, Path, description = "The id of the key, which follows `sg_` in it.", example = "4fJ2kQ9xZa")),
    responses(
        (status = 200, description = "The key, which is revoked.", body = KeyView, example = json!(examples::example_revoked_key())),
    )
)]
#[post("/v1/keys/{id}/revoke")]
pub async fn revoke_key(
    state: web::Data<ApiState>,
    request: HttpRequest,
    caller: Caller,
    path: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let key = find(&state, &path).await?;
    let subject = Subject { key: Some(key.id.clone()), ..Subject::default() };
    note_subject(&request, subject.clone());
    let (guard, now) = (&state.guard, wall_now());
    if guard.keyring().is_configured(&key.id) {
        let detail = format!("The key {} is given by the gateway's configuration. Take it out there.", key.id);
        return Err(ApiError::new(Code::KeyConfigured, detail));
    }
    let verdict = if key.revoked_at.is_some() { AuditVerdict::Unchanged } else { AuditVerdict::Accepted };
    let entry = guard.recorder().entry(&caller, Action::RevokeKey, subject, verdict);
    // A second attempt does not change when it was.
    let at = key.revoked_at.unwrap_or(now);
    // Streams find out at once rather than when they next have something to tell.
    let revoking = guard.revoke_key(&key.id, at, entry, || state.feed.call_the_roll()).await;
    revoking.map_err(|error| not_revoked(&key.id, error))?;
    let revoked = KeyRecord { revoked_at: Some(at), ..KeyRecord::clone(&key) };
    Ok(HttpResponse::Ok().json(KeyView::new(&revoked, false, now)))
}

async fn find(state: &ApiState, id: &str) -> Result<Arc<KeyRecord>, ApiError> {
    let no_such_key = || {
        let id: String = id.chars().take(64).collect();
        ApiError::new(Code::KeyNotFound, format!("There is no key {id}."))
    };
    let id: KeyId = id.parse().map_err(|_| no_such_key())?;
    state.guard.keyring().get(&id).await.map_err(|error| unreadable(&error))?.ok_or_else(no_such_key)
}

fn key_path(id: &KeyId) -> String {
    format!("/v1/keys/{id}")
}

fn not_written(error: StoreError) -> ApiError {
    tracing::error!(error = &error as &dyn std::error::Error, "cannot change the API keys");
    let (code, detail) = match error {
        StoreError::Congested => {
            (Code::StorageUnavailable, "Too much waits to be written already. The change was not made.")
        }
        StoreError::Slow => (
            Code::OutcomeUnknown,
            "The store does not answer in time. The change may still be made: look at the keys before asking again.",
        ),
        _ => (
            Code::StorageUnavailable,
            "The store cannot be written at present. The change may be on the disk all the same.",
        ),
    };
    ApiError::new(code, detail)
}

fn not_revoked(id: &KeyId, error: RevokeError) -> ApiError {
    let error = match error {
        RevokeError::KeysUnreadable(error) => return unreadable(&error),
        RevokeError::NotRecorded(error) => return not_written(error),
        RevokeError::NotDurable(error) => error,
    };
    tracing::error!(
        error = &error as &dyn std::error::Error,
        key = id.as_str(),
        "the key is refused from now on, but its revocation is not on the disk yet: a restart before it is lets the key in again"
    );
    let detail = format!(
        "The key {id} is refused from now on, but the store cannot be written at present: its revocation becomes durable as soon as \
         the store works again. If the gateway is restarted before that, revoke the key again."
    );
    ApiError::new(Code::RevocationNotWritten, detail)
}

impl KeyWish {
    /// The wish in the terms of those who make keys.
    ///
    /// # Errors
    /// Everything in it that does not make sense, at once.
    fn parse(self) -> Result<NewKey, ApiError> {
        let mut errors = Vec::new();
        let mut refuse = |pointer: String, detail: String| errors.push(FieldError { pointer, detail });
        let mut aliases: Vec<Alias> = Vec::new();
        for (index, text) in self.resources.iter().flatten().enumerate() {
            match text.parse() {
                Ok(alias) => aliases.push(alias),
                Err(error) => refuse(format!("/resources/{index}"), format!("{error}")),
            }
        }
        let is_whole = aliases.len() == self.resources.as_ref().map_or(0, Vec::len);
        let lifetime = self.expires_in_seconds.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default());
        let wanted = NewKey {
            name: self.name,
            scope: self.scope,
            reach: if self.resources.is_some() { Reach::only(aliases) } else { Reach::EVERYTHING },
            lifetime,
        };
        for problem in wanted.problems() {
            let pointer = match problem {
                KeyProblem::Name => "/name",
                KeyProblem::Resources if !is_whole => continue,
                KeyProblem::Resources | KeyProblem::LimitedAdmin => "/resources",
                KeyProblem::Lifetime => "/expiresInSeconds",
            };
            refuse(pointer.to_owned(), problem.to_string());
        }
        if errors.is_empty() { Ok(wanted) } else { Err(ApiError::invalid(errors)) }
    }
}

impl KeyView {
    /// The key in `record` as it is at `now`.
    pub fn new(record: &KeyRecord, configured: bool, now: Timestamp) -> Self {
        let resources = record.reach.resources();
        Self {
            id: record.id.to_string(),
            name: record.name.clone(),
            scope: record.scope,
            resources: resources.map(|all| all.iter().map(|resource| resource.as_str().to_owned()).collect()),
            state: match record {
                _ if record.is_usable(now) => KeyState::Active,
                KeyRecord { revoked_at: Some(_), .. } => KeyState::Revoked,
                _ => KeyState::Expired,
            },
            configured,
            created_at: WireTime(record.created_at),
            expires_at: record.expires_at.map(WireTime),
            revoked_at: record.revoked_at.map(WireTime),
            last_used_at: record.last_used_at.map(WireTime),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_wrong_with_a_wish_is_named() {
        let pointers = |wish: KeyWish| -> Vec<String> {
            let document = wish.parse().expect_err("refused").document(uuid::Uuid::nil());
            document.errors.into_iter().map(|error| error.pointer).collect()
        };
        let wish = || KeyWish { name: "ci".into(), ..KeyWish::default() };
        assert!(wish().parse().is_ok());
        let resources = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
        assert_eq!(pointers(KeyWish { name: String::new(), ..wish() }), ["/name"]);
        assert_eq!(pointers(KeyWish { resources: resources(&[]), ..wish() }), ["/resources"]);
        assert_eq!(
            pointers(KeyWish { resources: resources(&["a", "..", ""]), ..wish() }),
            ["/resources/1", "/resources/2"]
        );
        for seconds in [0.0, -1.0, f64::NAN, 1e300] {
            assert_eq!(pointers(KeyWish { expires_in_seconds: Some(seconds), ..wish() }), ["/expiresInSeconds"]);
        }
        let limited_admin = KeyWish { scope: Scope::Admin, resources: resources(&["a"]), name: "x\n".into(), ..wish() };
        assert_eq!(pointers(limited_admin), ["/name", "/resources"]);
    }
}
