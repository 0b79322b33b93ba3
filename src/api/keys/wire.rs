//! What keys look like on the wire: what may be asked for, and what is shown of a key.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use strum::{EnumMessage, VariantArray};
use utoipa::ToSchema;
use utoipa::openapi::Ref;
use utoipa::openapi::schema::{Array, ArrayBuilder, SchemaType, Type};

use crate::access::{KeyProblem, NewKey};
use crate::api::problem::{ApiError, FieldErrors};
use crate::api::view::WireTime;
use crate::domain::{Alias, KeyRecord, MAX_KEY_RESOURCES, Reach, Scope, Timestamp};

/// A key to be made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = NewKey)]
pub struct NewKeyRequest {
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

impl NewKeyRequest {
    /// The key that is asked for.
    ///
    /// # Errors
    /// Everything in it that does not make sense, at once.
    pub(super) fn parse(self) -> Result<NewKey, ApiError> {
        let mut errors = FieldErrors::default();
        let number = self.resources.as_ref().map_or(0, Vec::len);
        let aliases = self.resources.iter().flatten().enumerate();
        let aliases: Vec<Alias> =
            aliases.filter_map(|(index, text)| errors.keep(format!("/resources/{index}"), text.parse())).collect();
        let is_whole = aliases.len() == number;
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
            errors.add(pointer, problem.to_string());
        }
        errors.check().map(|()| wanted)
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
    fn everything_that_is_wrong_with_a_request_is_named() {
        let pointers = |request: NewKeyRequest| -> Vec<String> {
            let document = request.parse().expect_err("refused").document(uuid::Uuid::nil());
            document.errors.into_iter().map(|error| error.pointer).collect()
        };
        let request = || NewKeyRequest { name: "ci".into(), ..NewKeyRequest::default() };
        assert!(request().parse().is_ok());
        let resources = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
        assert_eq!(pointers(NewKeyRequest { name: String::new(), ..request() }), ["/name"]);
        assert_eq!(pointers(NewKeyRequest { resources: resources(&[]), ..request() }), ["/resources"]);
        assert_eq!(
            pointers(NewKeyRequest { resources: resources(&["a", "..", ""]), ..request() }),
            ["/resources/1", "/resources/2"]
        );
        for seconds in [0.0, -1.0, f64::NAN, 1e300] {
            assert_eq!(
                pointers(NewKeyRequest { expires_in_seconds: Some(seconds), ..request() }),
                ["/expiresInSeconds"]
            );
        }
        let limited_admin =
            NewKeyRequest { scope: Scope::Admin, resources: resources(&["a"]), name: "x\n".into(), ..request() };
        assert_eq!(pointers(limited_admin), ["/name", "/resources"]);
    }
}
