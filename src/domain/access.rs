//! Who may do what: API keys as they are kept, what they allow, and who has done something.
//!
//! What is secret about a key never comes here: a record has only its hash. Rejected: roles made of single permissions,
//! because three scopes, each including the one before it, and a list of resources say all there is to say about this API.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use strum::{EnumMessage, VariantArray};
use utoipa::ToSchema;

use super::alias::Alias;
use super::time::Timestamp;

/// Number of characters of a key's id: enough that no two keys of one gateway ever have the same.
pub const KEY_ID_CHARS: usize = 10;
/// Longest name of a key, in bytes.
pub const MAX_KEY_NAME_BYTES: usize = 100;
/// Most resources one key can be limited to. A caller that needs more of them gets a key without a limit.
pub const MAX_KEY_RESOURCES: usize = 32;

/// The public part of an API key, by which it is listed, revoked and named in records: letters and digits. Cheap to
/// clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyId(Arc<str>);

/// Why a string is not a [`KeyId`], as a fragment that follows the name of what holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be {KEY_ID_CHARS} letters and digits")]
pub struct InvalidKeyId;

impl KeyId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyId {
    type Err = InvalidKeyId;

    fn from_str(text: &str) -> Result<Self, InvalidKeyId> {
        let valid = text.len() == KEY_ID_CHARS && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if valid { Ok(Self(text.into())) } else { Err(InvalidKeyId) }
    }
}

impl TryFrom<String> for KeyId {
    type Error = InvalidKeyId;

    fn try_from(text: String) -> Result<Self, InvalidKeyId> {
        text.parse()
    }
}

impl From<KeyId> for String {
    fn from(id: KeyId) -> Self {
        id.0.as_ref().to_owned()
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a key allows. Each scope includes those before it.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    ToSchema,
    EnumMessage,
    VariantArray,
)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// The key may look at jobs and resources, and plan jobs.
    #[default]
    Read,
    /// The key may also submit jobs and cancel them.
    Scale,
    /// The key may also make and revoke keys, and read who tried to change what.
    Admin,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Read, Self::Scale, Self::Admin];

    /// Whether a key with this scope may do what takes one of the scopes `needed`.
    pub fn suffices_for(self, needed: &[Self]) -> bool {
        needed.iter().any(|needed| self >= *needed)
    }

    /// The scope as it appears in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Scale => "scale",
            Self::Admin => "admin",
        }
    }
}

/// Which resources a key may touch, to look or to scale.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Reach(Option<Arc<BTreeSet<Alias>>>);

impl Reach {
    /// All resources.
    pub const EVERYTHING: Self = Self(None);

    /// These resources only.
    pub fn only(resources: impl IntoIterator<Item = Alias>) -> Self {
        Self(Some(Arc::new(resources.into_iter().collect())))
    }

    /// Whether `resource` is one of them.
    pub fn includes(&self, resource: &Alias) -> bool {
        self.0.as_ref().is_none_or(|resources| resources.contains(resource))
    }

    /// What is left of it for a caller who asks for `wanted` only; nothing if that is not part of it.
    pub fn narrowed_to(&self, wanted: Option<Alias>) -> Option<Self> {
        match wanted {
            None => Some(self.clone()),
            Some(wanted) => self.includes(&wanted).then(|| Self::only([wanted])),
        }
    }

    /// The resources, unless it is all of them.
    pub fn resources(&self) -> Option<&BTreeSet<Alias>> {
        self.0.as_deref()
    }
}

/// An API key as it is kept: everything but the secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRecord {
    /// Its public part.
    pub id: KeyId,
    /// What it is for, for people.
    pub name: String,
    /// SHA-256 of the whole key.
    pub hash: [u8; 32],
    /// What it allows.
    pub scope: Scope,
    /// Where.
    pub reach: Reach,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// When it was used last, give or take some minutes.
    pub last_used_at: Option<Timestamp>,
}

impl KeyRecord {
    /// Whether it is good at `now`.
    pub fn is_usable(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|expires_at| now < expires_at)
    }

    /// Who does what is done with it.
    pub fn actor(&self) -> Actor {
        Actor { key: self.id.clone(), name: self.name.as_str().into() }
    }
}

/// Who did something: the key it was done with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// The key.
    pub key: KeyId,
    /// Its name.
    pub name: Arc<str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_ten_letters_and_digits() {
        for good in ["0123456789", "abcdefghij", "ABCDEFGHIJ"] {
            assert_eq!(good.parse::<KeyId>().map(String::from), Ok(good.to_owned()));
        }
        for bad in ["", "012345678", "01234567890", "012345678_", "01234567é"] {
            assert_eq!(bad.parse::<KeyId>(), Err(InvalidKeyId), "{bad:?}");
        }
    }

    #[test]
    fn scopes_include_those_before_them() {
        assert!(Scope::ALL.is_sorted());
    }

    #[test]
    fn a_key_reaches_what_it_lists_or_everything() {
        let [worker, api]: [Alias; 2] = ["worker", "api"].map(|name| name.parse().expect("an alias"));
        assert!(Reach::EVERYTHING.includes(&worker));
        let one = Reach::only([worker.clone()]);
        assert!(one.includes(&worker) && !one.includes(&api));
        assert!(!Reach::only([]).includes(&worker), "an empty list is not everything");
        assert_eq!(one.narrowed_to(None), Some(one.clone()));
        assert_eq!(
            (one.narrowed_to(Some(worker.clone())), one.narrowed_to(Some(api.clone()))),
            (Some(one.clone()), None)
        );
        assert_eq!(Reach::EVERYTHING.narrowed_to(Some(api.clone())), Some(Reach::only([api])));
        let kept: Reach = serde_json::from_str(&serde_json::to_string(&one).expect("JSON")).expect("JSON");
        assert_eq!(kept, one);
    }
}
