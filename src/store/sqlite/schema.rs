//! The tables, and how older ones become current ones.
//!
//! Plain tables with text columns, so that `sqlite3 scalegate.db 'select * from jobs'` answers questions at
//! 3 a.m. What is always read and written whole is a record in JSON.

use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior};

use super::records::Unreadable;

/// Marks a database as scalegate's (`PRAGMA application_id`); the letters "scgt".
pub(super) const APPLICATION_ID: i64 = 0x7363_6774;

/// The statements that lead from schema version `index` to `index + 1`. Never change one that was released.
pub(super) const MIGRATIONS: &[&str] = &[
    "
    CREATE TABLE jobs (
        seq         INTEGER PRIMARY KEY,
        id          TEXT    NOT NULL UNIQUE,
        resource    TEXT    NOT NULL,
        state       TEXT    NOT NULL,
        created_at  TEXT    NOT NULL,
        finished_ms INTEGER,
        record      TEXT    NOT NULL
    );
    CREATE INDEX jobs_by_state ON jobs (state, seq);
    CREATE INDEX jobs_by_resource ON jobs (resource, seq);
    CREATE INDEX jobs_by_resource_and_state ON jobs (resource, state, seq);
    CREATE INDEX jobs_by_end ON jobs (finished_ms) WHERE finished_ms IS NOT NULL;

    CREATE TABLE lanes (
        seq      INTEGER PRIMARY KEY,
        resource TEXT NOT NULL UNIQUE,
        record   TEXT NOT NULL
    );

    CREATE TABLE answers (
        seq         INTEGER PRIMARY KEY,
        key         TEXT    NOT NULL UNIQUE,
        fingerprint BLOB    NOT NULL,
        joined      INTEGER NOT NULL,
        answered_ms INTEGER NOT NULL,
        job         TEXT    NOT NULL
    );
    CREATE INDEX answers_by_age ON answers (answered_ms);
",
    "
    CREATE TABLE clock (
        only      INTEGER PRIMARY KEY CHECK (only = 1),
        boot      TEXT    NOT NULL,
        uptime_ms INTEGER NOT NULL,
        shown_ms  INTEGER NOT NULL
    );
",
    "
    ALTER TABLE jobs ADD COLUMN event INTEGER NOT NULL DEFAULT 0;

    CREATE TABLE versions (
        seq           INTEGER PRIMARY KEY,
        job           TEXT    NOT NULL,
        resource      TEXT    NOT NULL,
        earlier_steps INTEGER NOT NULL,
        record        TEXT    NOT NULL
    );
    CREATE INDEX versions_by_job ON versions (job, seq);
    CREATE TABLE versions_begin (
        only  INTEGER PRIMARY KEY CHECK (only = 1),
        first INTEGER NOT NULL
    );
    INSERT INTO versions_begin (only, first) VALUES (1, CAST(strftime('%s', 'now') AS INTEGER) * 1000);

    CREATE TABLE timeline (
        seq      INTEGER PRIMARY KEY,
        resource TEXT    NOT NULL,
        number   INTEGER NOT NULL,
        at_ms    INTEGER NOT NULL,
        record   TEXT    NOT NULL,
        UNIQUE (resource, number)
    );
",
    "
    CREATE TABLE keys (
        seq        INTEGER PRIMARY KEY,
        id         TEXT    NOT NULL UNIQUE,
        name       TEXT    NOT NULL,
        scope      TEXT    NOT NULL,
        resources  TEXT,
        hash       BLOB    NOT NULL,
        created_ms INTEGER NOT NULL,
        expires_ms INTEGER,
        revoked_ms INTEGER,
        used_ms    INTEGER
    );

    CREATE TABLE audit (
        seq    INTEGER PRIMARY KEY,
        shelf  TEXT    NOT NULL,
        number INTEGER NOT NULL,
        at     TEXT    NOT NULL,
        record TEXT    NOT NULL,
        UNIQUE (shelf, number)
    );
",
    // Each tree that a commit changes costs a page written and synced: what can be had from another one goes.
    "
    DROP INDEX jobs_by_resource;

    ALTER TABLE versions ADD COLUMN previous INTEGER NOT NULL DEFAULT 0;
    UPDATE versions SET previous = coalesce(
        (SELECT max(earlier.seq) FROM versions AS earlier WHERE earlier.job = versions.job AND earlier.seq < versions.seq),
        0
    );
    DROP INDEX versions_by_job;

    ALTER TABLE timeline RENAME TO timeline_of_old;
    CREATE TABLE timeline (
        resource TEXT    NOT NULL,
        number   INTEGER NOT NULL,
        at_ms    INTEGER NOT NULL,
        record   TEXT    NOT NULL,
        PRIMARY KEY (resource, number)
    ) WITHOUT ROWID;
    INSERT INTO timeline SELECT resource, number, at_ms, record FROM timeline_of_old ORDER BY resource, number;
    DROP TABLE timeline_of_old;

    ALTER TABLE audit RENAME TO audit_of_old;
    CREATE TABLE audit (
        shelf  TEXT    NOT NULL,
        seq    INTEGER NOT NULL,
        number INTEGER NOT NULL,
        at     TEXT    NOT NULL,
        record TEXT    NOT NULL,
        PRIMARY KEY (shelf, seq)
    ) WITHOUT ROWID;
    INSERT INTO audit SELECT shelf, seq, number, at, record FROM audit_of_old ORDER BY shelf, seq;
    DROP TABLE audit_of_old;
",
    // From here on the record of a job leaves out the sentence that says what it waits for where that follows from the
    // rest, which an earlier release does not understand.
    "
    ALTER TABLE lanes RENAME TO lanes_of_old;
    CREATE TABLE lanes (
        resource        TEXT NOT NULL PRIMARY KEY,
        changed_ms      INTEGER,
        op              TEXT,
        cooldown_ms     INTEGER,
        settle_ms       INTEGER,
        fresh_from_ms   INTEGER,
        expected        INTEGER,
        provisioning_ms INTEGER,
        change          TEXT
    ) WITHOUT ROWID;
    INSERT INTO lanes SELECT
        resource,
        record ->> '$.ledger.last_change.at',
        record ->> '$.ledger.last_change.op',
        record ->> '$.ledger.last_change.cooldown',
        record ->> '$.ledger.last_change.settle',
        record ->> '$.ledger.fresh_from',
        record ->> '$.ledger.expected',
        record ->> '$.ledger.provisioning',
        record ->> '$.change'
    FROM lanes_of_old ORDER BY resource;
    DROP TABLE lanes_of_old;
",
    // The jobs of one resource are anywhere among the others, and a list needs nothing of them but their ids: with
    // those in the index, none is looked up. Jobs in the same state are mostly near each other, and the index of
    // states, in which each job moves several times, stays as small as it is.
    "
    DROP INDEX jobs_by_resource_and_state;
    CREATE INDEX jobs_by_resource_and_state ON jobs (resource, state, seq, id);
",
    // In a backup, when it was made; in a store that was restored, also when the first gateway was started on it.
    "
    CREATE TABLE backup (
        only        INTEGER PRIMARY KEY CHECK (only = 1),
        taken_ms    INTEGER NOT NULL,
        restored_ms INTEGER
    );
",
    // That there was a key is remembered when all keys are gone.
    "
    CREATE TABLE first_key (
        only    INTEGER PRIMARY KEY CHECK (only = 1),
        made_ms INTEGER NOT NULL
    );
    INSERT INTO first_key (only, made_ms) SELECT 1, min(created_ms) FROM keys HAVING count(*) > 0;
",
    // What each job counts against the shares of its resource and its API key; and of an answer its job alone, which is
    // not removed as long as the answer is kept.
    "
    ALTER TABLE jobs ADD COLUMN owner TEXT;
    ALTER TABLE jobs ADD COLUMN text_bytes INTEGER NOT NULL DEFAULT 0;
    UPDATE jobs SET
        owner = record ->> '$.submitted_by.key',
        text_bytes = coalesce(length(CAST(record ->> '$.reason' AS BLOB)), 0) + coalesce((
            SELECT sum(length(CAST(key AS BLOB)) + length(CAST(value AS BLOB))) FROM json_each(record, '$.labels')
        ), 0);
    UPDATE answers SET job = job ->> '$.id';
    CREATE INDEX answers_by_job ON answers (job);
    CREATE INDEX jobs_by_owner ON jobs (owner, seq) WHERE owner IS NOT NULL;
",
    // Audit entries of changes of keys are kept apart from others, and all of them by shares of API keys. A shelf holds
    // the entries of a class.
    "
    ALTER TABLE audit RENAME TO audit_of_old;
    CREATE TABLE audit (
        shelf  TEXT    NOT NULL,
        seq    INTEGER NOT NULL,
        at     TEXT    NOT NULL,
        owner  TEXT,
        record TEXT    NOT NULL,
        PRIMARY KEY (shelf, seq)
    ) WITHOUT ROWID;
    INSERT INTO audit SELECT
        CASE WHEN shelf = 'obeyed' AND record ->> '$.action' IN ('create_key', 'revoke_key') THEN 'keys' ELSE shelf END,
        seq, at, record ->> '$.actor.key', record
    FROM audit_of_old ORDER BY 1, 2;
    DROP TABLE audit_of_old;
",
    // Policies. What is rewritten every second is apart from what is not, and so close together that a thousand
    // resources change some dozen pages of it. The place of a sample is that of its second, since all metrics have one
    // in the same second; by the minute, that of its metric, since those are written once and read along. The
    // seconds of samples and decisions are by a clock that is so far behind the other times in here as `samples_clock`
    // says; what was put into minutes are the samples of the minutes before `minute`, and in that one of the series up to
    // `series`.
    "
    CREATE TABLE policies (
        resource TEXT    NOT NULL PRIMARY KEY,
        revision INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE policy_revisions (
        seq      INTEGER PRIMARY KEY,
        resource TEXT    NOT NULL,
        number   INTEGER NOT NULL,
        at_ms    INTEGER NOT NULL,
        actor    TEXT,
        document TEXT,
        UNIQUE (resource, number)
    );
    CREATE TABLE policy_states (
        seq      INTEGER PRIMARY KEY,
        resource TEXT    NOT NULL UNIQUE,
        at_ms    INTEGER NOT NULL,
        state    TEXT    NOT NULL
    );
    CREATE TABLE claims (
        resource TEXT NOT NULL,
        id       TEXT NOT NULL,
        record   TEXT NOT NULL,
        PRIMARY KEY (resource, id)
    ) WITHOUT ROWID;
    CREATE TABLE holds (
        resource TEXT NOT NULL PRIMARY KEY,
        record   TEXT NOT NULL
    ) WITHOUT ROWID;

    CREATE TABLE decisions (
        seq      INTEGER PRIMARY KEY,
        resource TEXT    NOT NULL,
        number   INTEGER NOT NULL,
        id       TEXT    NOT NULL,
        last     INTEGER NOT NULL,
        record   TEXT    NOT NULL,
        UNIQUE (resource, number)
    );

    CREATE TABLE series (
        id         INTEGER PRIMARY KEY AUTOINCREMENT,
        resource   TEXT    NOT NULL,
        metric     TEXT    NOT NULL,
        newest_ms  INTEGER NOT NULL,
        newest     REAL    NOT NULL,
        retired_ms INTEGER,
        UNIQUE (resource, metric)
    );
    CREATE TABLE samples_raw (
        second INTEGER NOT NULL,
        series INTEGER NOT NULL,
        millis INTEGER NOT NULL,
        value  REAL    NOT NULL,
        PRIMARY KEY (second, series)
    ) WITHOUT ROWID;
    CREATE TABLE samples_minute (
        series INTEGER NOT NULL,
        minute INTEGER NOT NULL,
        sum    REAL    NOT NULL,
        most   REAL    NOT NULL,
        count  INTEGER NOT NULL,
        PRIMARY KEY (series, minute)
    ) WITHOUT ROWID;
    CREATE TABLE samples_clock (
        only   INTEGER PRIMARY KEY CHECK (only = 1),
        behind INTEGER NOT NULL,
        minute INTEGER NOT NULL,
        series INTEGER NOT NULL
    );
    INSERT INTO samples_clock (only, behind, minute, series) VALUES (1, 0, -9000000000000, 0);
",
    // How long the steps of a resource took.
    "
    ALTER TABLE lanes ADD COLUMN step_durations TEXT;
",
    // What metrics are expected to be, as it was pushed: times of the day in milliseconds, and values.
    "
    CREATE TABLE predictions (
        seq      INTEGER PRIMARY KEY,
        resource TEXT    NOT NULL,
        metric   TEXT    NOT NULL,
        points   TEXT    NOT NULL,
        UNIQUE (resource, metric)
    );
",
    // When each of them was received. Nothing tells it of those that are there already.
    "
    ALTER TABLE predictions ADD COLUMN received_ms INTEGER;
",
    // Groups of jobs. As long as a group is not over, its jobs are kept; after that it is kept as long as one of them.
    "
    CREATE TABLE groups (
        seq        INTEGER PRIMARY KEY,
        id         TEXT    NOT NULL UNIQUE,
        created_at TEXT    NOT NULL,
        ended_ms   INTEGER,
        record     TEXT    NOT NULL
    );
    CREATE INDEX groups_unfinished ON groups (seq) WHERE ended_ms IS NULL;
    ALTER TABLE jobs ADD COLUMN group_id TEXT;
    CREATE INDEX jobs_by_group ON jobs (group_id, seq) WHERE group_id IS NOT NULL;
",
];

/// The version this release reads and writes.
pub(super) const VERSION: i64 = MIGRATIONS.len() as i64;

/// What kind of database a connection leads to.
pub(super) enum Kind {
    /// Nothing in it so far, or an older version of ours.
    Ours { version: i64 },
    /// That of another program.
    Foreign,
}

/// What kind of database `db` leads to, as of one moment: another process may be making it.
pub(super) fn identify(db: &Connection) -> rusqlite::Result<Kind> {
    let db = db.unchecked_transaction()?;
    let application_id: i64 = db.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let version: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let tables: i64 = db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let untouched = application_id == 0 && version == 0 && tables == 0;
    Ok(if application_id == APPLICATION_ID || untouched { Kind::Ours { version } } else { Kind::Foreign })
}

/// The version from which on lanes are columns.
const LANES_IN_COLUMNS: i64 = 6;

/// Brings a database of an older `version` up to date, one version a transaction.
pub(super) fn migrate(db: &mut Connection, version: i64) -> Result<(), Unreadable> {
    for (from, statements) in (0i64..).zip(MIGRATIONS).filter(|(from, _)| *from >= version) {
        let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if from + 1 == LANES_IN_COLUMNS {
            check_records_of_lanes(&transaction)?;
        }
        transaction.execute_batch(statements)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", from + 1)?;
        transaction.commit()?;
    }
    Ok(())
}

/// Fails if the record of a lane makes no sense: to the statements that move it into columns, a lane without what they
/// look for would be one that was never scaled.
fn check_records_of_lanes(db: &Connection) -> Result<(), Unreadable> {
    let sql = "
        SELECT resource, CASE
            WHEN typeof(record) IS NOT 'text' OR NOT json_valid(record) THEN 'its record is no JSON'
            WHEN json_type(record, '$.ledger') IS NOT 'object' THEN 'its record has no ledger'
            WHEN json_type(record, '$.ledger.last_change') IS NOT 'null' AND (
                json_type(record, '$.ledger.last_change.at') IS NOT 'integer'
                OR json_type(record, '$.ledger.last_change.cooldown') IS NOT 'integer'
                OR json_type(record, '$.ledger.last_change.settle') IS NOT 'integer'
            ) THEN 'its last change is incomplete'
        END AS why FROM lanes WHERE why IS NOT NULL LIMIT 1";
    match db.query_row(sql, [], |row| Ok((row.get::<_, String>(0)?, row.get(1)?))).optional()? {
        Some((resource, why)) => Err(Unreadable::Row(format!("lane {resource}"), why)),
        None => Ok(()),
    }
}

/// Fails if nothing can be written: a store that can only be read is not usable, and better found out before anything
/// is promised.
pub(super) fn try_to_write(db: &mut Connection) -> rusqlite::Result<()> {
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()
}

#[cfg(test)]
#[path = "schema_tests.rs"]
mod tests;
