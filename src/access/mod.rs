//! API keys: their secret form, the keys there are, and how much each of their owners may ask for.
//!
//! It must never keep, log or print a key that it was shown: what leaves this module is an id, a record, or a reason. Which
//! request needs which scope is not decided here but where the routes are.

mod fair_queue;
mod issue;
mod keyring;
mod limits;
mod sample;
mod token;

pub use fair_queue::{FairQueue, QueuePermit};
pub use issue::{KeyProblem, MAX_KEYS, MAX_LIFETIME, MIN_LIFETIME, NewKey};
pub use keyring::{KeyError, Keyring, PriorRevocation, configured};
pub use limits::{CallerLimits, LimitKey, Permit, Permits, Rate, RateExceeded};
pub use sample::{Sampled, Sampler};
pub use token::{InvalidToken, PREFIX, TOKEN_CHARS, Token, masked};
