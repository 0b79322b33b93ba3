//! The store in a PostgreSQL database, which several gateways, its replicas, have open at a time.
//!
//! [`PostgresStore`] and [`PostgresReader`] implement the port. What the store in a file keeps in the memory of its process is in
//! tables here (`migrations/`), since the replicas share it:
//!
//! | Table | What it is for |
//! |---|---|
//! | `replicas` | a row for each running replica; its counter rises with every renewal of the lease (`replica.rs`) |
//! | `commits` | the number of each replica's last transaction, by which a lost answer is read back (`group.rs`) |
//! | `owners` | which replica each lane belongs to, and since which adoption (`adopt.rs`) |
//! | `reservations`, `answers`, `tallies` | who is admitted (`admissions.rs`): places on their way, idempotency keys, counts of jobs |
//! | `log`, `versions`, `jobs` | ids of versions are handed out by the one row of `log`, so that they have no gaps and the order of commits |
//! | `groups` | groups of jobs (`groups.rs`) |
//! | `lanes`, `timeline`, `audit`, `keys`, `first_key`, `keys_state` | as in the file; `keys_state` tells replicas of each other's changes |
//! | `policies`, `policy_revisions`, `policy_states`, `claims`, `holds`, `predictions`, `decisions` | what is kept about policies |
//! | `series`, `samples_raw`, `samples_minute`, `minutes_done` | samples, as they came and by the minute (`minutes.rs`) |
//!
//! # One owner
//!
//! A unit is written in a transaction that holds the rows of its lanes' owners. A replica is taken for dead by deleting its row,
//! which waits for what it is committing; from then on its lanes have no owner, and nothing that it still sends is done. So at
//! most one replica commits about a lane, however slow, suspended or wrong about the time any of them is.
//!
//! # Poolers
//!
//! Everything ends with its transaction: settings, locks, and statements, which have no names. So each transaction may come
//! over another connection. Only migrations want the database itself.
//!
//! It must never keep what was read for later, nor send a commit again before it knows what became of the last one. Rejected:
//! advisory locks as owners of lanes, because they belong to connections and vanish with them; and `SERIALIZABLE`, because row
//! locks in a fixed order refuse nothing that is in order.

mod address;
mod admissions;
mod adopt;
mod batch;
#[cfg(test)]
mod conformance_tests;
mod connections;
mod error;
mod group;
mod groups;
mod keys;
mod minutes;
#[cfg(test)]
mod proxy;
mod prune;
mod queries;
mod reader;
mod records;
mod replica;
#[cfg(test)]
mod replicas_tests;
mod requests;
mod rows;
mod schema;
mod series;
#[cfg(test)]
mod server;
mod store;
mod tls;
mod transaction;
mod worker;
mod writer;

pub use address::Address;
pub use error::PostgresError;
pub use reader::PostgresReader;
pub use replica::ReplicaFacts;
pub use store::PostgresStore;
