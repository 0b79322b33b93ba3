//! Who may do what: API keys as they are kept, what they allow, and who has done something.
//!
//! What is secret about a key never comes here: a record has only its hash. Rejected: roles made of single permissions,
//! because four scopes and a list of resources say all there is to say about this API.

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

/// What a key allows. `admin` includes `scale`, and `scale` includes `read` and `push`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema, EnumMessage, VariantArray,
)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// The key may push values of metrics, and do nothing else.
    Push,
    /// The key may look at jobs and resources, and plan jobs.
    #[default]
    Read,
    /// The key may also submit jobs and cancel them, push values of metrics, and make and end holds and claims.
    Scale,
    /// The key may also make and revoke keys, put and delete policies, and read who tried to change what.
    Admin,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Push, Self::Read, Self::Scale, Self::Admin];

    /// Whether a key with this scope may do what takes one of the scopes `needed`.
    pub fn suffices_for(self, needed: &[Self]) -> bool {
        needed.iter().any(|needed| self.includes(*needed))
    }

    /// Whether a key with this scope may do all that one with `other` may do.
    const fn includes(self, other: Self) -> bool {
        match self {
            Self::Push => matches!(other, Self::Push),
            Self::Read => matches!(other, Self::Read),
            Self::Scale => !matches!(other, Self::Admin),
            Self::Admin => true,
        }
    }

    /// The scope as it appears in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Push => "push",
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
        Actor::Key { key: self.id.clone(), name: self.name.as_str().into() }
    }
}

/// Who did something.
///
/// As JSON, which is part of stored records, a key has no `kind`: so keys stand in the records of earlier releases.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "StoredActor", into = "StoredActor")]
pub enum Actor {
    /// A caller with a key.
    Key {
        /// The key.
        key: KeyId,
        /// Its name.
        name: Arc<str>,
    },
    /// The policy of the resource concerned.
    Policy {
        /// The revision of its document.
        revision: u64,
    },
    /// The operator, through the command line or the configuration file.
    Operator,
}

/// The kinds of actors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema, EnumMessage, VariantArray)]
#[serde(rename_all = "snake_case")]
pub enum ActorKind {
    /// A caller with an API key.
    Key,
    /// The policy of the resource.
    Policy,
    /// The operator, through the command line or the configuration file.
    Operator,
}

impl Actor {
    /// What kind of actor it is.
    pub const fn kind(&self) -> ActorKind {
        match self {
            Self::Key { .. } => ActorKind::Key,
            Self::Policy { .. } => ActorKind::Policy,
            Self::Operator => ActorKind::Operator,
        }
    }

    /// The key, if it is one.
    pub const fn key(&self) -> Option<&KeyId> {
        match self {
            Self::Key { key, .. } => Some(key),
            Self::Policy { .. } | Self::Operator => None,
        }
    }

    /// Whether it is a policy.
    pub const fn is_policy(&self) -> bool {
        matches!(self, Self::Policy { .. })
    }
}

/// An [`Actor`] in stored records.
#[derive(Serialize, Deserialize)]
struct StoredActor {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kind: Option<ActorKind>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<KeyId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revision: Option<u64>,
}

/// A stored actor lacks what belongs to its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an actor must have a key and a name, or be a policy with a revision or the operator")]
struct IncompleteActor;

impl TryFrom<StoredActor> for Actor {
    type Error = IncompleteActor;

    fn try_from(StoredActor { kind, key, name, revision }: StoredActor) -> Result<Self, IncompleteActor> {
        match (kind.unwrap_or(ActorKind::Key), key, name, revision) {
            (ActorKind::Key, Some(key), Some(name), _) => Ok(Self::Key { key, name }),
            (ActorKind::Policy, _, _, Some(revision)) => Ok(Self::Policy { revision }),
            (ActorKind::Operator, ..) => Ok(Self::Operator),
            (ActorKind::Key | ActorKind::Policy, ..) => Err(IncompleteActor),
        }
    }
}

impl From<Actor> for StoredActor {
    fn from(actor: Actor) -> Self {
        let kind = Some(actor.kind()).filter(|kind| *kind != ActorKind::Key);
        let none = Self { kind, key: None, name: None, revision: None };
        match actor {
            Actor::Key { key, name } => Self { key: Some(key), name: Some(name), ..none },
            Actor::Policy { revision } => Self { revision: Some(revision), ..none },
            Actor::Operator => none,
        }
    }
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

    /// The first one is how the releases before policies wrote it.
    #[test]
    fn actors_are_kept_as_they_were_and_read_back() {
        let key = Actor::Key { key: "Ab0Ab0Ab0A".parse().expect("an id"), name: "ci".into() };
        for (actor, json) in [
            (key, r#"{"key":"Ab0Ab0Ab0A","name":"ci"}"#),
            (Actor::Policy { revision: 7 }, r#"{"kind":"policy","revision":7}"#),
            (Actor::Operator, r#"{"kind":"operator"}"#),
        ] {
            assert_eq!(serde_json::to_string(&actor).expect("JSON"), json);
            assert_eq!(serde_json::from_str::<Actor>(json).expect("an actor"), actor);
        }
        for incomplete in [r#"{"key":"Ab0Ab0Ab0A"}"#, r#"{"kind":"policy"}"#, r#"{"kind":"key","name":"ci"}"#, "{}"] {
            assert!(serde_json::from_str::<Actor>(incomplete).is_err(), "{incomplete}");
        }
    }

    #[test]
    fn a_scope_suffices_for_what_it_includes() {
        use Scope::{Admin, Push, Read, Scale};
        for (needed, sufficient) in [
            (&[Push][..], &[Push, Scale, Admin][..]),
            (&[Read], &[Read, Scale, Admin]),
            (&[Scale], &[Scale, Admin]),
            (&[Admin], &[Admin]),
            (&[Push, Read], &[Push, Read, Scale, Admin]),
            (&[], &[]),
        ] {
            let found: Vec<Scope> = Scope::ALL.into_iter().filter(|scope| scope.suffices_for(needed)).collect();
            assert_eq!(found, sufficient, "{needed:?}");
        }
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
