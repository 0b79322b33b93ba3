//! This replica among the others: its row, the lease that keeps it, and what becomes of those whose leases end.
//!
//! A replica that was taken for dead goes on under another id: a statement sent under the old one is refused, even if it arrives
//! late. It must never tell by the time of the day, its own or the database's, whether a lease is over.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_postgres::Row;
use uuid::Uuid;

use super::batch::{Batch, parameters};
use super::connections::Connections;
use super::error::Fault;
use super::records::{Named, short_answer};
use super::requests::Own;
use super::transaction::{Promise, begin, commit};
use crate::clock::uptime;
use crate::domain::{Lease, LeaseHolder, LeaseTerms, LeaseWatch, Moment, Timestamp};
use crate::store::requests::Request;

/// Raises the counter of a replica, and reads those of all.
const RENEW: &str = "\
    WITH renewed AS (UPDATE replicas SET counter = counter + 1 WHERE id = $1 RETURNING id) \
    SELECT id, counter, EXISTS (SELECT 1 FROM renewed), EXISTS (SELECT 1 FROM owners WHERE owner IS NULL) FROM replicas";

/// What a replica tells the others about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaFacts {
    /// Since when it runs, by the machine's clock.
    pub since: Timestamp,
    /// Its version.
    pub version: String,
    /// A digest of the configuration that all replicas should have in common.
    pub configuration: String,
}

/// The id by which the database knows this replica at present, and the lease of that.
#[derive(Clone)]
pub(super) struct Identity(Arc<Mutex<Known>>);

struct Known {
    replica: String,
    lease: LeaseHolder,
}

impl Identity {
    /// An id that is registered still.
    pub fn new(terms: LeaseTerms) -> Self {
        let mut lease = LeaseHolder::new(terms, Moment::ZERO);
        lease.on_lost();
        Self(Arc::new(Mutex::new(Known { replica: Uuid::now_v7().to_string(), lease })))
    }

    pub fn replica(&self) -> String {
        self.known().replica.clone()
    }

    pub fn lease(&self) -> Lease {
        self.known().lease.state(uptime())
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn on_renewed(&self, replica: &str, asked_at: Moment) {
        let mut known = self.known();
        if known.replica == replica {
            known.lease.on_renewed(asked_at);
        }
    }

    /// The replica was taken for dead under this id.
    pub fn on_lost(&self, replica: &str) {
        let mut known = self.known();
        if known.replica == replica {
            known.lease.on_lost();
        }
    }
}

/// Registers this replica under a new id.
///
/// # Errors
/// If that may not be durable. A row that is there all the same goes when its lease ends.
pub(super) async fn register(
    connections: &Connections,
    identity: &Identity,
    terms: LeaseTerms,
    facts: &ReplicaFacts,
) -> Result<(), Fault> {
    let (replica, asked_at) = (Uuid::now_v7().to_string(), uptime());
    let ReplicaFacts { since, version, configuration } = facts.clone();
    let mut batch = Batch::default();
    begin(&mut batch, Promise::Durable);
    batch.add(
        "INSERT INTO replicas (id, counter, since_ms, version, configuration) VALUES ($1, 0, $2, $3, $4)",
        parameters![replica.clone(), since.as_millis(), version, configuration],
    );
    batch.add("INSERT INTO commits (replica, number) VALUES ($1, 0)", parameters![replica.clone()]);
    commit(&mut batch);
    connections.query(batch).await?;
    *identity.known() = Known { replica, lease: LeaseHolder::new(terms, asked_at) };
    Ok(())
}

/// Takes this replica's row away: its lanes and its reservations are free at once.
///
/// # Errors
/// If that may not have happened; the lease ends then.
pub(super) async fn leave(connections: &Connections, identity: &Identity) -> Result<(), Fault> {
    end(connections, &identity.replica(), None).await.map(drop)
}

/// Ends a replica, if its counter is this one where one is given; whether it did. Waits for what it is committing.
async fn end(connections: &Connections, replica: &str, counter: Option<i64>) -> Result<bool, Fault> {
    let mut batch = Batch::default();
    begin(&mut batch, Promise::Durable);
    batch.add("SELECT replica FROM commits WHERE replica = $1 FOR UPDATE", parameters![replica.to_owned()]);
    let sql = "DELETE FROM replicas WHERE id = $1 AND counter = coalesce($2, counter) RETURNING id";
    batch.add(sql, parameters![replica.to_owned(), counter]);
    commit(&mut batch);
    let answers = connections.query(batch).await?;
    Ok(answers.get(3).is_some_and(|rows| !rows.is_empty()))
}

/// Keeps the lease, and ends the replicas whose leases are over.
pub(super) struct Keeper {
    pub connections: Connections,
    pub identity: Identity,
    pub terms: LeaseTerms,
    /// Is told when the lease is lost.
    pub writer: mpsc::WeakUnboundedSender<Request<Own>>,
    /// Is raised when lanes are free.
    pub free: watch::Sender<u64>,
}

impl Keeper {
    /// Goes on until the writer is gone.
    pub async fn run(self) {
        let mut ticks = interval(self.terms.renewal);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let begun = Instant::now();
        let mut watch = LeaseWatch::new(self.terms);
        loop {
            ticks.tick().await;
            if self.writer.upgrade().is_none_or(|writer| writer.is_closed()) {
                return;
            }
            let replica = self.identity.replica();
            let (asked_at, asked_on_boot_clock) = (begun.elapsed(), uptime());
            let mut batch = Batch::default();
            batch.add(RENEW, parameters![replica.clone()]);
            match self.connections.query(batch).await.and_then(|answers| Seen::read(&answers, &replica)) {
                Ok(seen) => {
                    if seen.is_renewed {
                        self.identity.on_renewed(&replica, asked_on_boot_clock);
                    } else {
                        self.tell_of_loss(replica);
                    }
                    watch.on_seen(seen.others, asked_at, begun.elapsed());
                    let ended = self.end_dead(&mut watch).await;
                    if ended || seen.is_anything_free {
                        self.free.send_modify(|times| *times += 1);
                    }
                }
                Err(fault) => {
                    let error = fault.explain(&self.connections.at);
                    tracing::warn!(error = &error as &dyn std::error::Error, "the lease was not renewed");
                    // What answers next may be another database.
                    watch.restart();
                }
            }
        }
    }

    fn tell_of_loss(&self, replica: String) {
        self.identity.on_lost(&replica);
        tracing::warn!(replica, "another replica has taken this one for dead: its resources are given up");
        if let Some(writer) = self.writer.upgrade() {
            // If the other end is gone, there is nothing to be lost.
            let _ = writer.send(Request::Own(Own::Lost(replica)));
        }
    }

    /// Whether any were ended.
    async fn end_dead(&self, watch: &mut LeaseWatch<String>) -> bool {
        let mut any = false;
        for (replica, counter) in watch.dead() {
            match end(&self.connections, &replica, Some(counter)).await {
                Ok(ended) => {
                    any |= ended;
                    if ended {
                        tracing::warn!(replica, "a replica has not renewed its lease: its resources are free");
                    }
                }
                Err(fault) => {
                    let error = fault.explain(&self.connections.at);
                    tracing::warn!(replica, error = &error as &dyn std::error::Error, "a dead replica was not ended");
                }
            }
        }
        any
    }
}

/// What a renewal tells.
struct Seen {
    is_renewed: bool,
    is_anything_free: bool,
    others: Vec<(String, i64)>,
}

impl Seen {
    fn read(answers: &[Vec<Row>], replica: &str) -> Result<Self, Fault> {
        let [rows] = answers else { return Err(short_answer()) };
        let mut seen = Self { is_renewed: false, is_anything_free: false, others: Vec::new() };
        for row in rows {
            let row = Named::new("replica", row);
            let (id, counter): (String, i64) = (row.get(0)?, row.get(1)?);
            seen.is_renewed = row.get(2)?;
            seen.is_anything_free = row.get(3)?;
            if id != replica {
                seen.others.push((id, counter));
            }
        }
        Ok(seen)
    }
}

/// Longest time for one renewal: two of them fit into a lease.
pub(super) fn patience(terms: LeaseTerms) -> Duration {
    terms.term / 3
}
