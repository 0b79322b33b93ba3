//! Who is admitted: reservations as rows, which all replicas count.
//!
//! One request at a time is decided, by a lock that lasts as long as its transaction, so that two replicas never give away the
//! same place. What is given back goes with the next decision at the latest. A reservation is not promised to anyone: its row
//! goes with its replica.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_postgres::{Client, Row};

use super::batch::{Batch, parameters};
use super::connections::Connections;
use super::error::Fault;
use super::records::{Named, read_count, short_answer, stored};
use super::replica::Identity;
use super::transaction::{Promise, begin, commit};
use crate::domain::Timestamp;
use crate::store::{IdempotencyEntry, KEY_RETENTION, NoRoom, ReservationId, Reserved, StoreError, Usage, Wish};

/// Pause before what was given back in vain is given back again.
const RETRY: Duration = Duration::from_secs(1);

const LOCK: &str = "SELECT pg_advisory_xact_lock(hashtextextended('scalegate admits', 0))";
const ANSWER: &str =
    "SELECT key, fingerprint, joined, made, answered_ms FROM answers WHERE key = $1 AND answered_ms > $2";
const UNDER_WAY: &str = "SELECT 1 FROM reservations WHERE key = $1 LIMIT 1";
const GIVE_BACK: &str = "DELETE FROM reservations WHERE id = ANY($1)";
const RESERVE: &str = "INSERT INTO reservations (replica, owner, key, resources, text_bytes) \
    VALUES ($1, $2, $3, $4, $5) RETURNING id";

/// How much is taken, for the API key in the first parameter and the resources in the second; keys are live that were used after
/// the third. More than enough keys are not counted to the end.
const USAGE: &str = "\
    WITH reserved AS ( \
        SELECT count(*) FILTER (WHERE key IS NOT NULL AND is_own) AS keys, coalesce(sum(jobs), 0)::BIGINT AS jobs, \
            coalesce(sum(jobs) FILTER (WHERE is_own), 0)::BIGINT AS own_jobs, \
            coalesce(sum(text) FILTER (WHERE is_own), 0)::BIGINT AS own_text \
        FROM (SELECT key, owner IS NOT DISTINCT FROM $1 AS is_own, cardinality(resources) AS jobs, \
            (SELECT sum(bytes) FROM unnest(text_bytes) AS each_of (bytes)) AS text FROM reservations) AS each \
    ), own AS ( \
        SELECT coalesce(sum(unfinished), 0)::BIGINT AS jobs, coalesce(sum(text_bytes), 0)::BIGINT AS text_bytes \
        FROM tallies WHERE kind = 'owner' AND name = $1 \
    ) SELECT \
        reserved.keys + (SELECT count(*) FROM (SELECT 1 FROM answers \
            WHERE (owner = $1 OR $1 IS NULL AND owner IS NULL) AND answered_ms > $3 LIMIT $4) AS live), \
        reserved.jobs + (SELECT unfinished - of_policy FROM tallies WHERE kind = 'all'), \
        reserved.own_jobs + own.jobs, \
        ARRAY(SELECT coalesce((SELECT sum(of_job.bytes) FROM reservations, \
                unnest(resources, text_bytes) AS of_job (resource, bytes) WHERE of_job.resource = asked.resource), 0)::BIGINT \
            + coalesce((SELECT text_bytes FROM tallies WHERE kind = 'resource' AND name = asked.resource), 0) \
            FROM unnest($2) WITH ORDINALITY AS asked (resource, place) ORDER BY place), \
        CASE WHEN $1 IS NULL THEN 0 ELSE reserved.own_text + own.text_bytes END \
    FROM reserved, own";

/// The answer to a wish; none if a request with the same idempotency key is on its way.
pub(super) type Decided = Option<Result<Reserved, NoRoom>>;

/// What is asked of the task.
pub(super) enum Ask {
    Reserve(Box<Wish>, oneshot::Sender<Result<Decided, StoreError>>),
    GiveBack(ReservationId),
}

/// The task's own.
pub(super) struct Admissions {
    connections: Connections,
    identity: Identity,
    /// Reservations that are still to be given back.
    given_back: Vec<i64>,
}

impl Admissions {
    pub fn new(connections: Connections, identity: Identity) -> Self {
        Self { connections, identity, given_back: Vec::new() }
    }

    pub async fn run(mut self, mut inbox: mpsc::UnboundedReceiver<Ask>) {
        loop {
            let next = match self.given_back.is_empty() {
                true => inbox.recv().await,
                false => match timeout(RETRY, inbox.recv()).await {
                    Ok(next) => next,
                    Err(_) => {
                        self.give_back().await;
                        continue;
                    }
                },
            };
            match next {
                None => break,
                Some(Ask::GiveBack(reservation)) => {
                    self.given_back.push(stored(reservation));
                    if inbox.is_empty() {
                        self.give_back().await;
                    }
                }
                Some(Ask::Reserve(wish, reply)) => {
                    let decided = self.decide(&wish).await.map_err(|fault| fault.explain(&self.connections.at).into());
                    // A caller may be gone by the time of its answer.
                    if let Err(Ok(Some(Ok(Reserved::Granted(reservation))))) = reply.send(decided) {
                        self.given_back.push(stored(reservation));
                    }
                }
            }
        }
    }

    /// What cannot be given back now stays for the next attempt.
    async fn give_back(&mut self) {
        let mut batch = Batch::default();
        begin(&mut batch, Promise::Soon);
        batch.add(GIVE_BACK, parameters![self.given_back.clone()]);
        commit(&mut batch);
        match self.connections.query(batch).await {
            Ok(_) => self.given_back.clear(),
            Err(fault) => {
                let error = fault.explain(&self.connections.at);
                tracing::debug!(%error, "places are not given back yet");
            }
        }
    }

    async fn decide(&mut self, wish: &Wish) -> Result<Decided, Fault> {
        let (given_back, replica) = (self.given_back.clone(), self.identity.replica());
        let decided = self.connections.run(async |db| decide(db, &replica, given_back, wish).await).await?;
        self.given_back.clear();
        Ok(decided)
    }
}

async fn decide(db: &Client, replica: &str, given_back: Vec<i64>, wish: &Wish) -> Result<Decided, Fault> {
    let live_after = (wish.now - KEY_RETENTION).as_millis();
    let owner = wish.owner.as_ref().map(|owner| owner.as_str().to_owned());
    let resources: Vec<String> = wish.jobs.iter().map(|job| job.resource.as_str().to_owned()).collect();
    let key = wish.key.as_ref().map(|key| key.key.clone());
    let mut opening = Batch::default();
    begin(&mut opening, Promise::Soon);
    opening.add(GIVE_BACK, parameters![given_back]);
    opening.add(LOCK, Vec::new());
    opening.add(ANSWER, parameters![key.clone(), live_after]);
    opening.add(UNDER_WAY, parameters![key.clone()]);
    let enough = stored(crate::store::MAX_IDEMPOTENCY_KEYS);
    opening.add(USAGE, parameters![owner.clone(), resources.clone(), live_after, enough]);
    let answers = opening.run(db).await?;
    let [.., known, under_way, usage] = &answers[..] else { return Err(short_answer()) };
    let decided = match (&wish.key, known.first()) {
        (Some(key), Some(known)) => Some(Reserved::again(&read_entry(known)?, key)),
        _ if !under_way.is_empty() => None,
        _ => match read_usage(usage)?.admits(wish) {
            Err(refusal) => Some(Err(refusal)),
            Ok(()) => {
                let text_bytes: Vec<i64> = wish.jobs.iter().map(|job| stored(job.text_bytes)).collect();
                let row = parameters![replica.to_owned(), owner, key, resources, text_bytes];
                let mut closing = Batch::default();
                closing.add(RESERVE, row);
                commit(&mut closing);
                let answers = closing.run(db).await?;
                let id = answers.first().and_then(|rows| rows.first()).ok_or_else(short_answer)?;
                return Ok(Some(Ok(Reserved::Granted(read_count(Named::new("reservation", id).get(0)?)))));
            }
        },
    };
    let mut closing = Batch::default();
    commit(&mut closing);
    closing.run(db).await?;
    Ok(decided)
}

fn read_entry(row: &Row) -> Result<IdempotencyEntry, Fault> {
    let entry = Named::new("idempotency key", row);
    let fingerprint: &[u8] = entry.get(1)?;
    Ok(IdempotencyEntry {
        key: entry.get(0)?,
        fingerprint: fingerprint.try_into().map_err(|error| entry.senseless(error))?,
        joined: entry.get(2)?,
        made: entry.parsed(3)?,
        answered_at: Timestamp::from_millis(entry.get(4)?),
    })
}

fn read_usage(rows: &[Row]) -> Result<Usage, Fault> {
    let row = Named::new("what is taken", rows.first().ok_or_else(short_answer)?);
    let count = |column| Ok::<_, Fault>(read_count(row.get(column)?));
    let number = |column| Ok::<_, Fault>(usize::try_from(count(column)?).unwrap_or(usize::MAX));
    Ok(Usage {
        keys_of_owner: number(0)?,
        jobs: number(1)?,
        jobs_of_owner: number(2)?,
        texts_of_resources: row.get::<Vec<i64>>(3)?.into_iter().map(read_count).collect(),
        text_of_owner: count(4)?,
    })
}
