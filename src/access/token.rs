//! The secret form of an API key: `sg_`, its id, the secret, and a checksum; 51 characters that survive a double click.
//!
//! The prefix and the checksum are for programs that search code and logs for leaked keys: they can tell a key from
//! anything else without asking the gateway. The checksum guards nothing; the secret does, with 190 bits of randomness. Because
//! of that many, a plain SHA-256 is enough to keep it by, and a slow hash, as passwords need it, would only make requests
//! slow.

use std::borrow::Cow;
use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::domain::{KEY_ID_CHARS, KeyId};

/// What every key begins with.
pub const PREFIX: &str = "sg_";
/// Characters of the secret part: 62^32 is more than 2^190.
const SECRET_CHARS: usize = 32;
/// Characters of the checksum: 62^6 is more than 2^32.
const CHECKSUM_CHARS: usize = 6;
/// The length of a key, in characters.
pub const TOKEN_CHARS: usize = PREFIX.len() + KEY_ID_CHARS + SECRET_CHARS + CHECKSUM_CHARS;
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// An API key in its secret form. It cannot be printed, only [exposed](Token::expose).
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    text: String,
    id: KeyId,
}

/// Why a string is no API key. Says nothing of the string: it may be a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidToken {
    /// Not of the form of a key at all.
    #[error("is no API key: one begins with {PREFIX} and has {TOKEN_CHARS} letters and digits with it")]
    Form,
    /// The checksum does not fit.
    #[error("is not a whole API key: its checksum does not fit, so it was cut off or mistyped")]
    Checksum,
}

impl Token {
    /// A new key.
    ///
    /// # Errors
    /// If the system has no randomness to give.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut text = String::from(PREFIX);
        while text.len() < TOKEN_CHARS - CHECKSUM_CHARS {
            let mut bytes = [0; 64];
            getrandom::fill(&mut bytes)?;
            // Four times 62: what lies beyond would make some digits likelier than others.
            let fair =
                bytes.into_iter().filter(|byte| *byte < 248).map(|byte| DIGITS[usize::from(byte) % DIGITS.len()]);
            text.extend(fair.take(TOKEN_CHARS - CHECKSUM_CHARS - text.len()).map(char::from));
        }
        text.push_str(&checksum(&text));
        let id = text[PREFIX.len()..][..KEY_ID_CHARS].parse().expect("made of letters and digits");
        Ok(Self { text, id })
    }

    /// Its public part.
    pub fn id(&self) -> &KeyId {
        &self.id
    }

    /// What is kept of it: its SHA-256.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(&self.text).into()
    }

    /// The secret itself, to be shown once.
    pub fn expose(&self) -> &str {
        &self.text
    }
}

impl std::str::FromStr for Token {
    type Err = InvalidToken;

    fn from_str(text: &str) -> Result<Self, InvalidToken> {
        let rest = text.strip_prefix(PREFIX).filter(|_| text.len() == TOKEN_CHARS).ok_or(InvalidToken::Form)?;
        if !rest.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(InvalidToken::Form);
        }
        let (body, end) = text.split_at(TOKEN_CHARS - CHECKSUM_CHARS);
        if checksum(body) != end {
            return Err(InvalidToken::Checksum);
        }
        let id = rest[..KEY_ID_CHARS].parse().map_err(|_| InvalidToken::Form)?;
        Ok(Self { text: text.to_owned(), id })
    }
}

/// `text` with the secret part of everything in it left out that may be a key, whole or not: a person may have given one in the
/// wrong place.
pub fn masked(text: &str) -> Cow<'_, str> {
    let mut masked = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(PREFIX) {
        let (before, from_key) = rest.split_at(at);
        let is_part = |c: char| c.is_ascii_alphanumeric();
        let length =
            PREFIX.len() + from_key[PREFIX.len()..].find(|c| !is_part(c)).unwrap_or(from_key.len() - PREFIX.len());
        let shown = length.min(PREFIX.len() + KEY_ID_CHARS);
        masked.push_str(before);
        masked.push_str(&from_key[..shown]);
        if length > shown {
            masked.push('…');
        }
        rest = &from_key[length..];
    }
    if masked.is_empty() { Cow::Borrowed(text) } else { Cow::Owned(masked + rest) }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}…", self.id)
    }
}

/// The CRC-32 of `text` in base 62.
fn checksum(text: &str) -> String {
    let mut rest = crc32fast::hash(text.as_bytes()) as usize;
    let mut digits = [b'0'; CHECKSUM_CHARS];
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS[rest % DIGITS.len()];
        rest /= DIGITS.len();
    }
    digits.into_iter().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_recognised_and_differ() {
        let (one, another) = (Token::generate().expect("randomness"), Token::generate().expect("randomness"));
        assert_ne!(one, another);
        assert_eq!(one.expose().len(), TOKEN_CHARS);
        assert_eq!(one.expose().parse(), Ok(one.clone()));
        assert!(one.expose()[PREFIX.len()..].starts_with(one.id().as_str()));
        assert_ne!(one.hash(), another.hash());
    }

    #[test]
    fn all_digits_occur() {
        let text: String =
            (0..200).map(|_| Token::generate().expect("randomness").expose()[PREFIX.len()..45].to_owned()).collect();
        assert!(DIGITS.iter().all(|digit| text.contains(char::from(*digit))));
    }

    #[test]
    fn what_is_not_a_whole_key_is_refused_without_being_repeated() {
        let token = Token::generate().expect("randomness");
        let text = token.expose();
        let swapped = format!("{}{}{}", &text[..20], if &text[20..21] == "a" { "b" } else { "a" }, &text[21..]);
        assert_eq!(swapped.parse::<Token>(), Err(InvalidToken::Checksum));
        for bad in ["", "sg_", &text[1..], &text[..50], &format!("{text}0"), &text.replace("sg_", "sk_"), "sg_é"] {
            let refused = bad.parse::<Token>().expect_err(bad);
            assert_eq!(refused, InvalidToken::Form);
            assert!(!refused.to_string().contains(&text[13..45]));
        }
        let with_a_sign = format!("{}-{}", &text[..20], &text[21..]);
        assert_eq!(with_a_sign.parse::<Token>(), Err(InvalidToken::Form));
        assert!(!format!("{token:?}").contains(&text[13..45]));
    }

    #[test]
    fn a_key_in_a_text_is_masked_whole_or_not() {
        let token = Token::generate().expect("randomness");
        let (key, id) = (token.expose(), token.id());
        for (text, shown) in [
            (format!("unexpected argument '{key}' found"), format!("unexpected argument 'sg_{id}…' found")),
            (format!("{key} {key}"), format!("sg_{id}… sg_{id}…")),
            (format!("--x={}", &key[..30]), format!("--x=sg_{id}…")),
            (format!("{key}0\u{e9}"), format!("sg_{id}…\u{e9}")),
            (format!("sg_{id}"), format!("sg_{id}")),
            ("no key, sg_ neither".to_owned(), "no key, sg_ neither".to_owned()),
        ] {
            assert_eq!(masked(&text), shown);
        }
    }

    /// A known key, so that scanners made for today's keys find tomorrow's.
    #[test]
    fn the_form_stays() {
        let known = format!("sg_{}{}", "0123456789", "abcdefghijabcdefghijabcdefghijab");
        let known = format!("{known}{}", checksum(&known));
        assert_eq!(known, "sg_0123456789abcdefghijabcdefghijabcdefghijab04WgJO");
        assert!(known.parse::<Token>().is_ok());
    }
}
