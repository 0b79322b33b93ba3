//! API keys: made, listed and revoked by admins.

mod identity;
mod wire;

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, get, post, web};

use super::ApiState;
use super::caller::{Caller, note_subject};
use super::guard::{RevokeError, unreadable};
use super::input::JsonBody;
use super::openapi::examples;
use super::problem::{ApiError, Code};
use super::routes::{Route, problems};
use crate::access::MAX_KEYS;
use crate::clock::wall_now;
use crate::domain::{Action, AuditVerdict, KeyId, KeyRecord, Scope, Subject};
use crate::store::{KeyChange, StoreError};

pub(super) use identity::WHOAMI_ROUTES;
pub use identity::{WhoAmI, whoami};
pub use wire::{CreatedKey, KeyList, KeyState, KeyView, NewKeyRequest};

/// The scopes, the audit action and the problems of each operation.
pub(super) const ROUTES: &[Route] = &[
    Route::post("/v1/keys").needs(&[Scope::Admin]).records(Action::CreateKey).problems(problems![
        BodyTimeout TooManyKeys BodyTooLarge UnsupportedMediaType ValidationFailed OutcomeUnknown
    ]),
    Route::get("/v1/keys").needs(&[Scope::Admin]),
    Route::get("/v1/keys/{id}").needs(&[Scope::Admin]).problems(problems![KeyNotFound]),
    Route::post("/v1/keys/{id}/revoke").needs(&[Scope::Admin]).records(Action::RevokeKey).problems(problems![
        KeyNotFound KeyConfigured RevocationNotWritten OutcomeUnknown
    ]),
];

/// Make an API key
///
/// The answer has the key itself, which is shown this once: the gateway keeps only its SHA-256. At most 1000 keys can be
/// good at a time.
#[utoipa::path(
    operation_id = "createKey", tag = "access",
    request_body(content = NewKeyRequest, description = "What the key is for.", examples(
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
    body: JsonBody<NewKeyRequest>,
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
        let detail = "must be admin for the first key: from then on no request is admitted without a key";
        return Err(ApiError::invalid_field("/scope", detail));
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
/// was done with it before stays. Revoking it twice is no error. 200 says that the revocation is durable; 503
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
