//! The port through which the engine and the API write and read what is durable: what is in the store survives
//! `kill -9`, and a promise is made only of what is in it. How a store is opened, and by which clock, is its own affair.
//!
//! [`Store`] writes and [`StoreReader`] reads; beside them stand the rules that hold for every store: what a [`Unit`]
//! is, who is admitted ([`Admissions`]), and what is kept ([`Holdings`], [`MAX_LOGGED_VERSIONS`] and the like). What
//! implements the port has a folder of its own: [`sqlite`], which keeps a file, and [`postgres`], a database that several
//! gateways share. The suite in `conformance.rs` runs against each.
//!
//! The port must never decide anything about scaling, and name no path, no connection and no query, so that another
//! store can take the place of one without the engine or the API noticing. Rejected: a log of events instead of current
//! records, because jobs are small, their records are what readers want, and a log would need snapshots and compaction
//! of its own.
//!
//! # Times
//!
//! All times in a store are UTC milliseconds. Jobs, lanes, timelines, idempotency keys and `now` are by the clock of
//! the store's owner ([`crate::clock::Clock`]), which was fitted to the store when that was opened, or the store to it.
//! API keys, and the audit entries of `scalegate keys`, are by the machine's wall clock, since people write down when a key
//! expires. No method asks what time it is: it is told.
//!
//! # When the process dies
//!
//! A unit of which a commit was not reported is durable as a whole or not at all; the next adoption of its lanes tells.
//! Reservations are gone, as nothing was promised for them. What [`Store::prune`] was at is done or not, record by
//! record.

mod admissions;
mod adoption;
#[cfg(test)]
mod conformance;
mod epoch;
mod epochs;
mod error;
#[cfg(test)]
mod fixtures;
mod minutes;
mod observer;
mod policy;
pub mod postgres;
mod read;
mod recordings;
mod requests;
mod retention;
mod series;
pub mod sqlite;
mod unit;

use async_trait::async_trait;
use futures_util::future::BoxFuture;

use crate::domain::{EventId, Retention, Timestamp};

pub use admissions::{
    AdmissionRecords, Admissions, JobWish, MAX_IDEMPOTENCY_KEYS, NoRoom, Reserved, UnfinishedJob, Usage, Wish,
};
pub use adoption::{AdoptedGroup, AdoptedLane, Adoption, Which};
pub use epoch::Epoch;
pub use error::StoreError;
pub use minutes::minutes;
pub use observer::Observer;
pub use policy::{Observations, PolicyChange, PolicyRecord, PolicyState, PolicyWrite, Revision};
pub use read::{
    EventFilter, GroupFilter, JobCounts, JobFilter, KeysState, LastOutcome, LogPage, MAX_POINTS, Page, Point, Position,
    Series, StoreReader, begins_after,
};
pub use retention::{
    ADOPTED_SAMPLES, AuditExcess, DECISION_RETENTION, Excess, Held, Holder, Holdings, KEY_RETENTION, MAX_DEAD_KEYS,
    MAX_DECISIONS, MAX_LOGGED_VERSIONS, MAX_REVISIONS, MAX_TEXT_BYTES, MAX_TIMELINE, MINUTE_RETENTION, Pruned,
    PrunedJob, RAW_RETENTION, RETIRED_RETENTION, REVISION_RETENTION,
};
pub use unit::{IdempotencyEntry, KeyChange, LaneChange, RecordChange, ReservationId, SubmitKey, Unit};

/// The results of the units of a commit, in their order: of each, the id of the version that its first job became, by
/// which those of the others follow. Dropping it does not call the commit back.
pub type Commit = BoxFuture<'static, Vec<Result<EventId, StoreError>>>;

/// Whether a batch of observations was written. Dropping it does not call the batch back.
pub type Recording = BoxFuture<'static, Result<(), StoreError>>;

/// The writing side of a store. Its methods may be called by any number of tasks at once.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Makes `units` durable, in their order. They are handed over when this is called, not when its result is awaited:
    /// the units of a later call come after those of an earlier one, and results are known in the same order. A good
    /// result says that the unit survives the end of the process and of the machine, and that readers see it.
    ///
    /// A unit that fails, or that is about a lane whose adoption does not count any more, takes all its lanes from
    /// their owner: no later unit about them is made durable before they are adopted again. Units about other lanes are
    /// not touched by that. Whether a unit that failed is durable itself, only the next adoption tells; with
    /// [`StoreError::NotOwned`] and [`StoreError::Congested`] it is not. Either way its reservation is given back.
    ///
    /// The caller must not act on a unit, nor answer for it, before its result is good; after an error it adopts the
    /// lanes again and carries on from what it gets.
    fn commit(&self, units: Vec<Unit>) -> Commit;

    /// Has `batch` written as soon as no unit waits, a little at a time. It is handed over when this is called; of one
    /// resource, what is handed over later, here or in a unit, is written later. A good result says that it survives the
    /// end of the process, and that readers see it; the end of the machine may take the last moments of it.
    ///
    /// What is about a lane whose adoption does not count any more is left out without an error. An error means that what
    /// was not written yet of this batch never will be, and nothing else: lanes stay with their owners. The first thing
    /// to be given up when the disk becomes full ([`StoreError::Scarce`]).
    ///
    /// The caller has one batch on its way at the most, or batches pile up before a disk that hangs.
    fn record(&self, batch: Vec<Observations>) -> Recording;

    /// Takes lanes over, from an earlier owner too, whose units about them are refused from then on. Also the way to
    /// make a store usable again after an error. Units that were handed over before are durable by then, or never will
    /// be.
    ///
    /// # Errors
    /// If the store cannot be read or makes no sense. The lanes may be taken from their owner all the same; ask again.
    async fn adopt(&self, which: Which) -> Result<Adoption, StoreError>;

    /// Reserves what `wish` needs. Waits as long as another request with the same idempotency key is on its way. A
    /// refusal changes nothing. What is granted lasts until a unit uses it up, it is given back, or the process ends.
    ///
    /// # Errors
    /// If the store cannot tell. Nothing is reserved then.
    async fn reserve(&self, wish: Wish) -> Result<Result<Reserved, NoRoom>, StoreError>;

    /// Gives back a reservation that no unit has used up. The caller that was granted one must do this, or commit a
    /// unit with it.
    fn give_back(&self, reservation: ReservationId);

    /// Removes some of what `retention` no longer covers at `now`. Short, so that commits are not held up: there may be
    /// more.
    ///
    /// # Errors
    /// If the store cannot be written. Some of it may be removed all the same; ask again later.
    async fn prune(&self, retention: Retention, now: Timestamp) -> Result<Pruned, StoreError>;
}

/// Makes `unit`, which is about no lane, durable, however long that takes.
///
/// # Errors
/// As for [`Store::commit`].
pub async fn commit_one(store: &dyn Store, unit: Unit) -> Result<(), StoreError> {
    store.commit(vec![unit]).await.pop().unwrap_or(Err(StoreError::Closed)).map(drop)
}
