//! How transactions begin, and which locks they take in which order: `commits`, `owners` by name, `log`, `minutes_done`, all
//! else. Transactions that keep to that order never wait in a circle.

use std::collections::HashMap;

use tokio_postgres::Row;

use super::batch::{Batch, parameters};
use super::error::Fault;
use super::records::{Named, stored};
use crate::domain::Alias;
use crate::store::Epoch;

/// When the database has to answer that a transaction is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Promise {
    /// When it survives the end of the database's machine, and of all that it waits for.
    Durable,
    /// Before that: the last moments may be lost with the machine.
    Soon,
}

/// How long a transaction waits for a lock, and how long it may be left alone: a replica that dies in the middle of one must
/// not keep its locks for longer.
const PATIENCE: &str = "5s";

/// Adds the beginning of a transaction. What it sets ends with it.
pub(super) fn begin(batch: &mut Batch, promise: Promise) {
    batch.add("BEGIN", Vec::new());
    let synchronous = if promise == Promise::Durable { "on" } else { "off" };
    batch.add(
        "SELECT set_config('synchronous_commit', $1, true), set_config('lock_timeout', $2, true), \
         set_config('idle_in_transaction_session_timeout', $2, true)",
        parameters![synchronous.to_owned(), PATIENCE.to_owned()],
    );
}

/// Adds the beginning of a transaction that reads as of one moment.
pub(super) fn begin_to_read(batch: &mut Batch) {
    batch.add("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", Vec::new());
}

pub(super) fn commit(batch: &mut Batch) {
    batch.add("COMMIT", Vec::new());
}

/// Adds the query for the owners of lanes, which stay as they are until the transaction ends.
pub(super) fn lock_owners<'a>(batch: &mut Batch, resources: impl Iterator<Item = &'a Alias>) {
    let mut names: Vec<String> = resources.map(|resource| resource.as_str().to_owned()).collect();
    names.sort_unstable();
    names.dedup();
    let sql = "SELECT resource, owner, epoch FROM owners WHERE resource = ANY($1) ORDER BY resource FOR SHARE";
    batch.add(sql, parameters![names]);
}

/// Whose lanes are.
pub(super) struct Owners(HashMap<String, (Option<String>, i64)>);

impl Owners {
    pub fn read(rows: &[Row]) -> Result<Self, Fault> {
        let owner = |row| {
            let owner = Named::new("owner of", row);
            Ok((owner.get(0)?, (owner.get(1)?, owner.get(2)?)))
        };
        rows.iter().map(owner).collect::<Result<_, Fault>>().map(Self)
    }

    /// Whether the lane of `resource` belongs to `replica` since `epoch`.
    pub fn has(&self, resource: &Alias, replica: &str, epoch: Epoch) -> bool {
        let owned = self.0.get(resource.as_str());
        owned.is_some_and(|(owner, since)| owner.as_deref() == Some(replica) && *since == stored(epoch))
    }
}
