//! The text of policies: a JSON document read into a [`Policy`](crate::domain::policy::Policy) and written back.
//!
//! One reader serves HTTP, the configuration file and the command line, so that their verdicts agree: the file holds the
//! very document as a TOML table, with the same names in camel case. Rejected: names in snake case there, as the other
//! keys of the file have them, because a policy that was tried with `scalegate policy check` would have to be written
//! anew, and every message, which names fields, would be wrong in one of the two.
//!
//! The reader tells all mistakes at once, each with its place, and never repairs one: what is unknown, misplaced, given
//! twice or of another type is an error. It knows nothing of the resource: what depends on that is checked by
//! [`problems_for`]. What makes sense and is surely not meant is a [`Warning`].
//!
//! Nothing here panics, whatever the document says, and nothing reads a clock.

mod canonical;
mod document;
mod fields;
mod metrics;
mod problem;
mod read;
mod resource;
mod rules;
mod scalars;
mod schedule;
mod summary;
#[cfg(test)]
mod tests;
mod warnings;

pub use canonical::{Object, canonical};
pub use document::{Document, MAX_DOCUMENT_BYTES, Unreadable};
pub(crate) use metrics::header_name;
pub use problem::Problem;
pub(crate) use problem::child as child_pointer;
pub use read::READ_ONLY;
pub use resource::{followed, problems_for};
pub use summary::summary;
pub use warnings::{Warning, WarningCode, warnings};
