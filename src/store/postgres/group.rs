//! A group of units in one transaction, in two trips to the database: the first tells whose the lanes are and takes the locks,
//! the second writes and commits.
//!
//! Each transaction leaves its number in the row of its replica. If the answer to a commit is lost, that number tells what
//! became of it: reading it waits for the transaction, wherever that is, since it holds the row. A replica without a row is
//! taken for dead by another one, and nothing of what it asks for is done.
//!
//! It must never send a commit again before it is known what became of the last one. Rejected: a savepoint for each unit,
//! because each is two more statements, and hardly any unit fails: a group that fails is written unit by unit instead.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::batch::{Batch, parameters};
use super::connections::{Connections, Lent};
use super::error::Fault;
use super::records::{only, short_answer, stored};
use super::rows;
use super::rows::samples;
use super::transaction::{Owners, Promise, begin, commit, lock_owners};
use crate::domain::EventId;
use crate::store::{Observations, Unit};

/// Longest time for one trip to the database: longer than a lock is waited for.
const TRIP_PATIENCE: Duration = Duration::from_secs(10);
/// Pause between two attempts to learn what became of a commit.
const PAUSE: Duration = Duration::from_millis(100);

/// Of each unit the id of its first version, or none if its lanes belong to another owner, and it was not written.
pub(super) type Admitted = Vec<Option<EventId>>;

/// What became of an attempt to write units.
pub(super) enum Tried {
    /// Those that were admitted are durable.
    Durable(Admitted),
    /// Nothing is durable: the database refused a statement.
    Refused(Fault),
    /// Nothing is durable: the commit was not sent.
    NotSent(Fault),
    /// The answer to the commit was lost.
    Unknown(Admitted, Fault),
    /// Nothing is durable: the replica was taken for dead.
    Dead,
}

/// Whether a transaction was committed whose answer was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Committed,
    NotCommitted,
    /// It cannot be told at present, or never: the replica was taken for dead meanwhile.
    Unknown,
}

/// Writes those of `units` whose lanes belong to `replica`, as its transaction `number`.
pub(super) async fn write(connections: &Connections, replica: &str, number: i64, units: &[&Unit]) -> Tried {
    let lent = match connections.lend().await {
        Ok(lent) => lent,
        Err(fault) => return Tried::NotSent(fault),
    };
    let opened = match open(&lent, replica, number, units).await {
        Ok(Some(opened)) => opened,
        Ok(None) => return Tried::Dead,
        Err(fault) if fault.is_refusal() => return Tried::Refused(fault),
        Err(fault) => return Tried::NotSent(fault),
    };
    let (admitted, writes) = match opened.writes(replica, units) {
        Ok(writes) => writes,
        Err(fault) => return Tried::Refused(fault),
    };
    match timeout(TRIP_PATIENCE, writes.run(&lent)).await {
        Ok(Ok(_)) => {
            lent.give_back();
            Tried::Durable(admitted)
        }
        Ok(Err(error)) => match Fault::Statement(error) {
            fault if fault.is_refusal() => Tried::Refused(fault),
            fault => Tried::Unknown(admitted, fault),
        },
        Err(_) => Tried::Unknown(admitted, Fault::Slow),
    }
}

/// What a transaction reads when it has its locks.
struct Opened {
    owners: Owners,
    next_event: EventId,
}

/// Begins the transaction; none if the replica was taken for dead.
async fn open(lent: &Lent, replica: &str, number: i64, units: &[&Unit]) -> Result<Option<Opened>, Fault> {
    let mut opening = Batch::default();
    begin(&mut opening, Promise::Durable);
    let note = "UPDATE commits SET number = $2 WHERE replica = $1 RETURNING replica";
    opening.add(note, parameters![replica.to_owned(), number]);
    lock_owners(&mut opening, units.iter().flat_map(|unit| &unit.lanes).map(|lane| &lane.resource));
    opening.add("SELECT next_event FROM log FOR UPDATE", Vec::new());
    let answers = timeout(TRIP_PATIENCE, opening.run(lent)).await.map_err(|_| Fault::Slow)??;
    let [_, _, noted, owners, log] = &answers[..] else { return Err(short_answer()) };
    if noted.is_empty() {
        return Ok(None);
    }
    Ok(Some(Opened { owners: Owners::read(owners)?, next_event: only(log, "the row of the log")? }))
}

impl Opened {
    fn writes(&self, replica: &str, units: &[&Unit]) -> Result<(Admitted, Batch), Fault> {
        let is_owned = |unit: &Unit| unit.lanes.iter().all(|lane| self.owners.has(&lane.resource, replica, lane.epoch));
        let mut next_event = self.next_event;
        let (mut admitted, mut owned) = (Vec::new(), Vec::new());
        for unit in units {
            let is_owned = is_owned(unit);
            admitted.push(is_owned.then_some(next_event));
            if is_owned {
                next_event += unit.jobs.len() as EventId;
                owned.push(*unit);
            }
        }
        let mut writes = Batch::default();
        rows::write(&mut writes, &owned, self.next_event)?;
        if next_event > self.next_event {
            writes.add("UPDATE log SET next_event = $1", parameters![stored(next_event)]);
        }
        commit(&mut writes);
        Ok((admitted, writes))
    }
}

/// What became of the transaction `number` of `replica`, asked until `give_up_at`.
pub(super) async fn read_back(connections: &Connections, replica: &str, number: i64, give_up_at: Instant) -> Fate {
    loop {
        let found = connections.run(async |db| {
            let mut batch = Batch::default();
            begin(&mut batch, Promise::Soon);
            batch.add("SELECT number FROM commits WHERE replica = $1 FOR UPDATE", parameters![replica.to_owned()]);
            commit(&mut batch);
            Ok(batch.run(db).await?)
        });
        match found.await {
            Ok(answers) => {
                let latest = answers.get(2).and_then(|rows| rows.first());
                return match latest.and_then(|row| row.try_get::<_, i64>(0).ok()) {
                    Some(latest) if latest == number => Fate::Committed,
                    Some(_) => Fate::NotCommitted,
                    None => Fate::Unknown,
                };
            }
            Err(_) if Instant::now() < give_up_at => sleep(PAUSE).await,
            Err(_) => return Fate::Unknown,
        }
    }
}

/// Writes those of `observations` whose lanes belong to `replica`.
///
/// # Errors
/// If they may not have been written.
pub(super) async fn record(
    connections: &Connections,
    replica: &str,
    observations: Vec<Observations>,
) -> Result<(), Fault> {
    connections
        .run(async |db| {
            let mut opening = Batch::default();
            begin(&mut opening, Promise::Soon);
            lock_owners(&mut opening, observations.iter().map(|of| &of.resource));
            let answers = opening.run(db).await?;
            let owners = Owners::read(answers.last().map_or(&[], Vec::as_slice))?;
            let is_owned = |of: &Observations| owners.has(&of.resource, replica, of.epoch);
            let owned: Vec<Observations> = observations.into_iter().filter(is_owned).collect();
            samples::write(db, &owned).await?;
            let mut writes = Batch::default();
            rows::write_observed(&mut writes, &owned)?;
            commit(&mut writes);
            writes.run(db).await?;
            Ok(())
        })
        .await
}
