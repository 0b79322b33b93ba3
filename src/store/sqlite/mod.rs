//! The store in an SQLite file in a data directory, which one gateway at a time has open.
//!
//! [`SqliteStore`] and [`SqliteReader`] implement the port. The thread of the former (`writer.rs`) writes to the
//! [`SqliteJournal`], which alone has a connection that writes, and holds the lock on the directory; readers have
//! connections of their own. Beside them: [`KeyStore`], by which `scalegate keys` works while a gateway is running, and
//! [`back_up`].
//!
//! The units of a commit are written in one transaction and fail together. Must never be opened where other users can
//! write.

mod backup;
mod clock_row;
#[cfg(test)]
mod conformance_tests;
mod connection;
mod decisions;
mod directory;
mod error;
#[cfg(test)]
mod fixtures;
mod groups;
mod journal;
mod key_changes;
mod key_rows;
mod keys;
mod lane_reader;
mod lanes;
mod lock;
mod log_length;
mod minutes;
mod policies;
mod prune;
mod queries;
mod reader;
mod records;
mod reserve;
mod rows;
mod samples;
mod samples_clock;
mod schema;
mod series;
mod spare_room;
mod store;
mod wal;
mod writer;

pub use backup::{Backup, BackupError, back_up};
pub use directory::is_of_store;
pub use error::SqliteError;
pub use journal::{SqliteJournal, check_large};
pub use keys::KeyStore;
pub use lane_reader::LaneReader;
pub use reader::{SqliteReader, log_length};
pub use store::{SqliteStore, StoreInbox};
pub use writer::{Journal, Opened};
