//! How keys are made: what may be asked for, wherever it is asked.

use std::time::Duration;

use super::token::Token;
use crate::domain::{KeyRecord, MAX_KEY_NAME_BYTES, MAX_KEY_RESOURCES, Reach, Scope, Timestamp};
use crate::printable::is_hidden;

/// Longest life of a key that ends by itself: ten years. For more than that there are keys that do not end.
pub const MAX_LIFETIME: Duration = Duration::from_hours(10 * 365 * 24);
/// Shortest life of a key that ends by itself.
pub const MIN_LIFETIME: Duration = Duration::from_secs(1);
/// Most keys that can be used at a time. A deployment has tens of services; each request looks through none of them, but all
/// are read when one changes.
pub const MAX_KEYS: usize = 1000;

/// A key to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewKey {
    /// What it is for, for people.
    pub name: String,
    /// What it allows.
    pub scope: Scope,
    /// Where.
    pub reach: Reach,
    /// How long, if not until it is revoked.
    pub lifetime: Option<Duration>,
}

/// What can be wrong with a [`NewKey`], as fragments that follow the name of what is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyProblem {
    /// Its name. Characters that are not seen, or change the order of others, make one key look like another in a list.
    #[error("must have 1 to {MAX_KEY_NAME_BYTES} bytes in UTF-8 and no control or format characters")]
    Name,
    /// The number of its resources.
    #[error("must be 1 to {MAX_KEY_RESOURCES} resources, or none for a key that may touch all of them")]
    Resources,
    /// An admin key with resources could make itself one without.
    #[error("cannot be limited for a key with the scope admin, which may make keys without a limit")]
    LimitedAdmin,
    /// Its life.
    #[error("must be between {} s and {} s", MIN_LIFETIME.as_secs(), MAX_LIFETIME.as_secs())]
    Lifetime,
}

impl NewKey {
    /// Everything that is wrong with it.
    pub fn problems(&self) -> Vec<KeyProblem> {
        let is_named = (1..=MAX_KEY_NAME_BYTES).contains(&self.name.len()) && !self.name.contains(is_hidden);
        let number = self.reach.resources().map(|resources| resources.len());
        let fits = number.is_none_or(|number| (1..=MAX_KEY_RESOURCES).contains(&number));
        let is_limited_admin = self.scope == Scope::Admin && number.is_some();
        let lives = self.lifetime.is_none_or(|life| (MIN_LIFETIME..=MAX_LIFETIME).contains(&life));
        let checks = [
            (is_named, KeyProblem::Name),
            (fits, KeyProblem::Resources),
            (!is_limited_admin, KeyProblem::LimitedAdmin),
            (lives, KeyProblem::Lifetime),
        ];
        checks.into_iter().filter(|(is_fine, _)| !is_fine).map(|(_, problem)| problem).collect()
    }

    /// The key, made at `now`, and what is kept of it. Nothing may be wrong with it.
    ///
    /// # Errors
    /// If the system has no randomness to give.
    pub fn issue(self, now: Timestamp) -> Result<(Token, KeyRecord), getrandom::Error> {
        let token = Token::generate()?;
        let record = KeyRecord {
            id: token.id().clone(),
            name: self.name,
            hash: token.hash(),
            scope: self.scope,
            reach: self.reach,
            created_at: now,
            expires_at: self.lifetime.map(|lifetime| now + lifetime),
            revoked_at: None,
            last_used_at: None,
        };
        Ok((token, record))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted() -> NewKey {
        NewKey { name: "ci".into(), scope: Scope::Scale, reach: Reach::EVERYTHING, lifetime: None }
    }

    #[test]
    fn everything_that_is_wrong_is_named() {
        assert_eq!(wanted().problems(), []);
        let only = |count: usize| Reach::only((0..count).map(|n| format!("r{n}").parse().expect("an alias")));
        for (wrong, problems) in [
            (NewKey { name: String::new(), ..wanted() }, &[KeyProblem::Name][..]),
            (NewKey { name: "a\nb".into(), ..wanted() }, &[KeyProblem::Name]),
            (NewKey { name: "ci\u{202e}nimda".into(), ..wanted() }, &[KeyProblem::Name]),
            (NewKey { name: "c\u{200b}i".into(), ..wanted() }, &[KeyProblem::Name]),
            (NewKey { name: "ci\u{2028}".into(), ..wanted() }, &[KeyProblem::Name]),
            (NewKey { name: "ci\u{e0041}".into(), ..wanted() }, &[KeyProblem::Name]),
            (NewKey { name: "x".repeat(101), ..wanted() }, &[KeyProblem::Name]),
            (NewKey { name: "é".repeat(51), ..wanted() }, &[KeyProblem::Name]),
            (NewKey { reach: only(0), ..wanted() }, &[KeyProblem::Resources]),
            (NewKey { reach: only(33), ..wanted() }, &[KeyProblem::Resources]),
            (NewKey { reach: only(1), scope: Scope::Admin, ..wanted() }, &[KeyProblem::LimitedAdmin]),
            (NewKey { lifetime: Some(Duration::ZERO), ..wanted() }, &[KeyProblem::Lifetime]),
            (
                NewKey { lifetime: Some(MAX_LIFETIME * 2), name: String::new(), ..wanted() },
                &[KeyProblem::Name, KeyProblem::Lifetime],
            ),
        ] {
            assert_eq!(wrong.problems(), problems, "{wrong:?}");
        }
        let most = NewKey { name: "é".repeat(50), reach: only(32), lifetime: Some(MAX_LIFETIME), ..wanted() };
        assert_eq!(most.problems(), []);
    }

    #[test]
    fn what_is_kept_of_a_key_fits_it_and_does_not_contain_it() {
        let now = Timestamp::from_millis(1_800_000_000_000);
        let asked = NewKey { lifetime: Some(Duration::from_secs(60)), ..wanted() };
        let (token, record) = asked.issue(now).expect("randomness");
        assert_eq!((&record.id, record.hash), (token.id(), token.hash()));
        assert_eq!(record.expires_at, Some(now + Duration::from_secs(60)));
        let secret = &token.expose()[13..45];
        assert!(!serde_json::to_string(&record).expect("JSON").contains(secret));
    }
}
