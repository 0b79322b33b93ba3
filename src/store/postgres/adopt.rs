//! Taking lanes over: which of them, and what their owner needs to carry on.
//!
//! A lane that belongs to another replica stays with that one: it is free once that replica has stopped, or was taken for dead.

use std::collections::{BTreeMap, HashMap};

use tokio_postgres::{Client, Row};

use super::batch::{Batch, parameters, query};
use super::error::Fault;
use super::groups;
use super::records::{Named, read_count, short_answer};
use super::rows::{read_job, read_lane, samples};
use super::transaction::{Promise, begin, commit};
use crate::domain::forecast::Prediction;
use crate::domain::policy::{Claim, Decision, Hold, Name, Sample};
use crate::domain::{Alias, JobEvent, LaneRecord, Timestamp};
use crate::store::{ADOPTED_SAMPLES, AdoptedLane, Adoption, Epoch, PolicyRecord, PolicyState, Revision, Which};

/// What is in force: a record, an unfinished job, a policy or its state, claims, a hold, a place in an unfinished group.
const IN_FORCE: &str = "\
    SELECT resource FROM lanes UNION SELECT resource FROM jobs WHERE state IN ('queued', 'running') \
    UNION SELECT resource FROM policies UNION SELECT resource FROM policy_states \
    UNION SELECT resource FROM claims UNION SELECT resource FROM holds \
    UNION SELECT unnest(resources) FROM groups WHERE ended_ms IS NULL";

/// Only one replica at a time takes all that is free.
const LOCK: &str = "SELECT pg_advisory_xact_lock(hashtextextended('scalegate adopts all', 0))";

const TAKE: &str = "\
    INSERT INTO owners AS known (resource, owner, epoch) SELECT resource, $1, nextval('epochs') FROM wanted \
    ON CONFLICT (resource) DO UPDATE SET owner = excluded.owner, epoch = excluded.epoch \
    WHERE known.owner IS NULL OR known.owner = excluded.owner RETURNING resource, epoch";

/// Lanes as they were read, before anything is made of them.
pub(super) struct Taken {
    epochs: Vec<(Alias, Epoch)>,
    found: Vec<Vec<Row>>,
}

/// Takes lanes for `replica` and reads them; none if it was taken for dead.
///
/// # Errors
/// If they may not be taken, or cannot be read.
pub(super) async fn take(db: &Client, replica: &str, which: &Which) -> Result<Option<Taken>, Fault> {
    let mut opening = Batch::default();
    begin(&mut opening, Promise::Durable);
    opening.add("SELECT replica FROM commits WHERE replica = $1 FOR UPDATE", parameters![replica.to_owned()]);
    match which {
        Which::All => take_all(&mut opening, replica),
        Which::These(resources) => {
            let names: Vec<String> = resources.iter().map(|resource| resource.as_str().to_owned()).collect();
            let wanted = "WITH wanted AS (SELECT DISTINCT name COLLATE \"C\" AS resource FROM unnest($2) AS asked (name) \
                ORDER BY resource)";
            opening.add(format!("{wanted} {TAKE}"), parameters![replica.to_owned(), names]);
        }
    }
    let answers = opening.run(db).await?;
    let (Some(alive), Some(taken)) = (answers.get(2), answers.last()) else { return Err(short_answer()) };
    if alive.is_empty() {
        query(db, "ROLLBACK", Vec::new()).await?;
        return Ok(None);
    }
    let taken = taken.iter().map(|row| {
        let owner = Named::new("owner of", row);
        Ok((owner.parsed(0)?, read_count(owner.get(1)?)))
    });
    let epochs: Vec<(Alias, Epoch)> = taken.collect::<Result<_, Fault>>()?;
    let mut found = reading(&epochs).run(db).await?;
    found.pop();
    Ok(Some(Taken { epochs, found }))
}

fn take_all(batch: &mut Batch, replica: &str) {
    batch.add(LOCK, Vec::new());
    // What is not in force needs no owner any more.
    let forget = format!(
        "DELETE FROM owners WHERE resource IN (SELECT resource FROM owners WHERE (owner = $1 OR owner IS NULL) \
         AND resource NOT IN ({IN_FORCE}) ORDER BY resource FOR UPDATE)"
    );
    batch.add(forget, parameters![replica.to_owned()]);
    let wanted = format!(
        "WITH wanted AS (SELECT resource FROM ({IN_FORCE}) AS force WHERE NOT EXISTS (SELECT 1 FROM owners \
         WHERE owners.resource = force.resource AND owner <> $1) ORDER BY resource)"
    );
    batch.add(format!("{wanted} {TAKE}"), parameters![replica.to_owned()]);
}

/// The queries for all that is about these lanes, in the order in which [`Taken::read`] reads their rows, and the commit.
fn reading(epochs: &[(Alias, Epoch)]) -> Batch {
    let names: Vec<String> = epochs.iter().map(|(resource, _)| resource.as_str().to_owned()).collect();
    let mut batch = Batch::default();
    for sql in [
        "SELECT id, record FROM groups WHERE ended_ms IS NULL AND resources && $1 ORDER BY seq",
        "SELECT id, record, event FROM jobs WHERE group_id IN (SELECT id FROM groups WHERE ended_ms IS NULL \
         AND resources && $1) ORDER BY seq",
        "SELECT resource, changed_ms, op, cooldown_ms, settle_ms, fresh_from_ms, expected, provisioning_ms, change, \
         step_durations FROM lanes WHERE resource = ANY($1) ORDER BY resource",
        "SELECT id, record, event FROM jobs WHERE resource = ANY($1) AND state IN ('queued', 'running') ORDER BY seq",
        "SELECT of.resource, number, at_ms, actor, document FROM unnest($1) AS of (resource) CROSS JOIN LATERAL ( \
         SELECT number, at_ms, actor, document FROM policy_revisions WHERE policy_revisions.resource = of.resource \
         ORDER BY number DESC LIMIT 1) AS latest",
        "SELECT resource, at_ms, state FROM policy_states WHERE resource = ANY($1)",
        "SELECT resource, record FROM claims WHERE resource = ANY($1) ORDER BY id",
        "SELECT resource, record FROM holds WHERE resource = ANY($1)",
        "SELECT resource, metric, points, received_ms FROM predictions WHERE resource = ANY($1)",
        "SELECT of.resource, record FROM unnest($1) AS of (resource) CROSS JOIN LATERAL ( \
         SELECT record FROM decisions WHERE decisions.resource = of.resource ORDER BY number DESC LIMIT 1) AS latest",
        "SELECT resource, metric, newest_ms, newest FROM series WHERE resource = ANY($1) AND retired_ms IS NULL",
    ] {
        batch.add(sql, parameters![names.clone()]);
    }
    batch.add(
        "SELECT resource, metric, second, millis, value FROM series JOIN samples_raw ON samples_raw.series = series.id \
         WHERE resource = ANY($1) AND retired_ms IS NULL AND second >= floor((newest_ms - $2) / 1000.0)::BIGINT ORDER BY second",
        parameters![names, super::records::stored(ADOPTED_SAMPLES.as_millis())],
    );
    commit(&mut batch);
    batch
}

impl Taken {
    /// Which adoption of each lane counts from now on.
    pub fn epochs(&self) -> &[(Alias, Epoch)] {
        &self.epochs
    }

    /// The lanes in the order that `which` asks for.
    ///
    /// # Errors
    /// If what is in a row makes no sense.
    pub fn read(&self, which: &Which) -> Result<Adoption, Fault> {
        let [groups, jobs_of_groups, lanes, jobs, policies @ ..] = &self.found[..] else { return Err(short_answer()) };
        let mut records = HashMap::new();
        let mut order: Vec<Alias> = Vec::new();
        for row in lanes {
            let record = read_lane(row)?;
            order.push(record.resource.clone());
            records.insert(record.resource.clone(), record);
        }
        let mut jobs_of: HashMap<Alias, Vec<JobEvent>> = HashMap::new();
        for row in jobs {
            let job = read_job(row)?;
            let jobs = jobs_of.entry(job.job.resource.clone()).or_default();
            if jobs.is_empty() && !records.contains_key(&job.job.resource) {
                order.push(job.job.resource.clone());
            }
            jobs.push(job);
        }
        let mut policy_of = read_policies(policies)?;
        let mut others: Vec<&Alias> = self.epochs.iter().map(|(resource, _)| resource).collect();
        others.retain(|resource| !records.contains_key(*resource) && !jobs_of.contains_key(*resource));
        others.sort_unstable();
        order.extend(others.into_iter().cloned());
        let epochs: HashMap<&Alias, Epoch> = self.epochs.iter().map(|(resource, epoch)| (resource, *epoch)).collect();
        let is_all = match which {
            Which::All => true,
            Which::These(asked) => {
                order = asked.iter().filter(|resource| epochs.contains_key(resource)).cloned().collect();
                false
            }
        };
        let lanes = order.into_iter().map(|resource| AdoptedLane {
            epoch: epochs.get(&resource).copied().unwrap_or_default(),
            jobs: jobs_of.remove(&resource).unwrap_or_default(),
            policy: policy_of.remove(&resource).filter(|policy| !is_all || is_in_force(policy)).map(Box::new),
            record: records.remove(&resource).unwrap_or_else(|| LaneRecord::new(resource)),
        });
        Ok(Adoption {
            lanes: lanes.collect(),
            groups: groups::read_adopted(groups, jobs_of_groups)?,
            restored_at: None,
        })
    }
}

fn is_in_force(policy: &PolicyRecord) -> bool {
    let has_document = policy.revision.as_ref().is_some_and(|revision| revision.document.is_some());
    has_document || policy.state.is_some() || !policy.claims.is_empty() || policy.hold.is_some()
}

/// The revision in a row of `resource`, `number`, `at_ms`, `actor` and `document`.
pub(super) fn read_revision(row: &Row) -> Result<Revision, Fault> {
    let revision = Named::new("policy of", row);
    Ok(Revision {
        number: read_count(revision.get(1)?),
        at: Timestamp::from_millis(revision.get(2)?),
        by: revision.record_or_null(3)?,
        document: revision.get(4)?,
    })
}

/// The prediction in a row of `resource`, `metric`, `points` and `received_ms`.
pub(super) fn read_prediction(row: &Row) -> Result<Prediction, Fault> {
    let named = Named::new("prediction for", row);
    let prediction = Prediction::new(named.record(2)?);
    let received_at: Option<i64> = named.get(3)?;
    Ok(match received_at {
        Some(at) => prediction.received(Timestamp::from_millis(at)),
        None => prediction,
    })
}

/// What is kept about policies, of resources about which there is anything.
fn read_policies(found: &[Vec<Row>]) -> Result<HashMap<Alias, PolicyRecord>, Fault> {
    let [revisions, states, claims, holds, predictions, decisions, series, raw] = found else {
        return Err(short_answer());
    };
    let mut policies: HashMap<Alias, PolicyRecord> = HashMap::new();
    let of = |what: &'static str, row| Named::new(what, row).parsed::<Alias>(0);
    for row in revisions {
        policies.entry(of("policy of", row)?).or_default().revision = Some(read_revision(row)?);
    }
    for row in states {
        let state = Named::new("state of the policy of", row);
        let record = PolicyState { at: Timestamp::from_millis(state.get(1)?), text: state.get(2)? };
        policies.entry(state.parsed(0)?).or_default().state = Some(record);
    }
    for row in claims {
        let claim = Named::new("claim on", row);
        policies.entry(claim.parsed(0)?).or_default().claims.push(claim.record::<Claim>(1)?);
    }
    for row in holds {
        let hold = Named::new("hold of", row);
        policies.entry(hold.parsed(0)?).or_default().hold = Some(hold.record::<Hold>(1)?);
    }
    for row in predictions {
        let metric: Name = Named::new("prediction for", row).parsed(1)?;
        let record = policies.entry(of("prediction for", row)?).or_default();
        record.predictions.insert(metric, read_prediction(row)?);
    }
    for row in decisions {
        let decision = Named::new("newest decision about", row);
        policies.entry(decision.parsed(0)?).or_default().last_decision =
            Some(Box::new(decision.record::<Decision>(1)?));
    }
    for (resource, samples) in read_samples(series, raw)? {
        policies.entry(resource).or_default().samples = samples;
    }
    Ok(policies)
}

type SamplesOf = HashMap<Alias, BTreeMap<Name, Vec<Sample>>>;

/// The samples of the last hour before the newest one of each metric, and the newest one, which may have been so long ago that
/// it is not kept as it came.
fn read_samples(series: &[Row], raw: &[Row]) -> Result<SamplesOf, Fault> {
    let mut found: SamplesOf = HashMap::new();
    let metric = |row| {
        let metric = Named::new("metric of", row);
        Ok::<_, Fault>((metric.parsed::<Alias>(0)?, metric.parsed::<Name>(1)?))
    };
    for row in raw {
        let ((resource, name), sample) = (metric(row)?, Named::new("sample of", row));
        let at = samples::moment(sample.get(2)?, sample.get(3)?);
        let samples = found.entry(resource).or_default().entry(name).or_default();
        samples.push(Sample { at, value: sample.get(4)? });
    }
    for row in series {
        let ((resource, name), newest) = (metric(row)?, Named::new("metric of", row));
        let newest = Sample { at: Timestamp::from_millis(newest.get(2)?), value: newest.get(3)? };
        let samples = found.entry(resource).or_default().entry(name).or_default();
        if samples.last().is_none_or(|last| last.at < newest.at) {
            samples.push(newest);
        }
    }
    Ok(found)
}
