-- Names are compared byte by byte, whatever the collation of the database, so that lists have the order that the gateway
-- gives them. What is always read and written whole is a record in JSON, kept as text: its numbers come back as they were.

-- Each running replica; the counter rises with every renewal of its lease. A replica that is taken for dead has no row.
CREATE TABLE replicas (
    id            TEXT   COLLATE "C" PRIMARY KEY,
    counter       BIGINT NOT NULL,
    since_ms      BIGINT NOT NULL,
    version       TEXT   NOT NULL,
    configuration TEXT   NOT NULL
);
-- The number of the last transaction that each replica committed. Apart from the lease, so that a slow commit does not
-- hold up its renewal.
CREATE TABLE commits (
    replica TEXT   COLLATE "C" PRIMARY KEY REFERENCES replicas ON DELETE CASCADE,
    number  BIGINT NOT NULL
);

-- Whose each lane is, and since which adoption.
CREATE SEQUENCE epochs;
CREATE TABLE owners (
    resource TEXT   COLLATE "C" PRIMARY KEY,
    owner    TEXT   COLLATE "C" REFERENCES replicas ON DELETE SET NULL,
    epoch    BIGINT NOT NULL
);
CREATE INDEX owners_by_owner ON owners (owner) WHERE owner IS NOT NULL;

-- Places of requests on their way to becoming durable, with the resource and the bytes of text of each job.
CREATE TABLE reservations (
    id         BIGINT  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    replica    TEXT    COLLATE "C" NOT NULL REFERENCES replicas ON DELETE CASCADE,
    owner      TEXT    COLLATE "C",
    key        TEXT    COLLATE "C",
    resources  TEXT[]  COLLATE "C" NOT NULL,
    text_bytes BIGINT[] NOT NULL
);
CREATE INDEX reservations_by_replica ON reservations (replica);

-- The lock of all that has an order: ids of versions, audit entries, tallies.
CREATE TABLE log (
    single     BOOLEAN PRIMARY KEY DEFAULT true CHECK (single),
    next_event BIGINT  NOT NULL
);
INSERT INTO log (next_event) VALUES ((extract(epoch FROM now()))::BIGINT * 1000);

-- The place of a job among the others is the id of its first version.
CREATE TABLE jobs (
    seq         BIGINT  PRIMARY KEY,
    id          TEXT    COLLATE "C" NOT NULL UNIQUE,
    resource    TEXT    COLLATE "C" NOT NULL,
    state       TEXT    COLLATE "C" NOT NULL,
    created_at  TEXT    NOT NULL,
    finished_ms BIGINT,
    record      TEXT    NOT NULL,
    event       BIGINT  NOT NULL,
    owner       TEXT    COLLATE "C",
    text_bytes  BIGINT  NOT NULL,
    of_policy   BOOLEAN NOT NULL,
    group_id    TEXT    COLLATE "C"
);
CREATE INDEX jobs_by_state ON jobs (state, seq);
CREATE INDEX jobs_by_resource_and_state ON jobs (resource, state, seq);
CREATE INDEX jobs_by_end ON jobs (finished_ms) WHERE finished_ms IS NOT NULL;
CREATE INDEX jobs_by_owner ON jobs (owner, seq) WHERE owner IS NOT NULL;

CREATE INDEX jobs_by_group ON jobs (group_id, seq) WHERE group_id IS NOT NULL;

-- Groups of jobs, with the resources of their members. As long as a group is not over, its jobs are kept; after that it is
-- kept as long as one of them.
CREATE TABLE groups (
    seq       BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id        TEXT   COLLATE "C" NOT NULL UNIQUE,
    ended_ms  BIGINT,
    resources TEXT[] COLLATE "C" NOT NULL,
    record    TEXT   NOT NULL
);
CREATE INDEX groups_unfinished ON groups (seq) WHERE ended_ms IS NULL;

-- How many jobs there are in all, for each resource and for each API key: all of them, unfinished ones, and of these
-- those of policies; and the bytes of their texts.
CREATE TABLE tallies (
    kind       TEXT   COLLATE "C" NOT NULL CHECK (kind IN ('all', 'resource', 'owner')),
    name       TEXT   COLLATE "C" NOT NULL,
    jobs       BIGINT NOT NULL,
    text_bytes BIGINT NOT NULL,
    unfinished BIGINT NOT NULL,
    of_policy  BIGINT NOT NULL,
    PRIMARY KEY (kind, name)
) WITH (fillfactor = 50);
INSERT INTO tallies VALUES ('all', '', 0, 0, 0, 0);

CREATE TABLE versions (
    seq           BIGINT PRIMARY KEY,
    job           TEXT   COLLATE "C" NOT NULL,
    resource      TEXT   COLLATE "C" NOT NULL,
    earlier_steps BIGINT NOT NULL,
    record        TEXT   NOT NULL,
    previous      BIGINT NOT NULL
);

CREATE TABLE lanes (
    resource        TEXT   COLLATE "C" PRIMARY KEY,
    changed_ms      BIGINT,
    op              TEXT,
    cooldown_ms     BIGINT,
    settle_ms       BIGINT,
    fresh_from_ms   BIGINT,
    expected        BIGINT,
    provisioning_ms BIGINT,
    change          TEXT,
    step_durations  TEXT
);

CREATE TABLE answers (
    key         TEXT    COLLATE "C" PRIMARY KEY,
    owner       TEXT    COLLATE "C",
    fingerprint BYTEA   NOT NULL,
    joined      BOOLEAN NOT NULL,
    answered_ms BIGINT  NOT NULL,
    made        TEXT    COLLATE "C" NOT NULL
);
CREATE INDEX answers_by_age ON answers (answered_ms);
CREATE INDEX answers_by_owner ON answers (owner, answered_ms);
CREATE INDEX answers_by_made ON answers (made);

CREATE TABLE timeline (
    resource TEXT   COLLATE "C" NOT NULL,
    number   BIGINT NOT NULL,
    at_ms    BIGINT NOT NULL,
    record   TEXT   NOT NULL,
    PRIMARY KEY (resource, number)
);
CREATE INDEX timeline_by_age ON timeline (at_ms);

CREATE TABLE keys (
    seq        BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id         TEXT   COLLATE "C" NOT NULL UNIQUE,
    name       TEXT   NOT NULL,
    scope      TEXT   NOT NULL,
    resources  TEXT,
    hash       BYTEA  NOT NULL,
    created_ms BIGINT NOT NULL,
    expires_ms BIGINT,
    revoked_ms BIGINT,
    used_ms    BIGINT
);
-- That there was a key is remembered when all keys are gone.
CREATE TABLE first_key (
    single  BOOLEAN PRIMARY KEY DEFAULT true CHECK (single),
    made_ms BIGINT  NOT NULL
);
-- Rises with each change of the keys.
CREATE TABLE keys_state (
    single  BOOLEAN PRIMARY KEY DEFAULT true CHECK (single),
    changes BIGINT  NOT NULL
);
INSERT INTO keys_state (changes) VALUES (0);

CREATE TABLE audit (
    seq    BIGINT PRIMARY KEY,
    class  TEXT   COLLATE "C" NOT NULL,
    at     TEXT   NOT NULL,
    owner  TEXT   COLLATE "C",
    record TEXT   NOT NULL
);
CREATE INDEX audit_by_class ON audit (class, owner, seq);

CREATE TABLE policies (
    resource TEXT   COLLATE "C" PRIMARY KEY,
    revision BIGINT NOT NULL
);
CREATE TABLE policy_revisions (
    resource TEXT   COLLATE "C" NOT NULL,
    number   BIGINT NOT NULL,
    at_ms    BIGINT NOT NULL,
    actor    TEXT,
    document TEXT,
    PRIMARY KEY (resource, number)
);
CREATE TABLE policy_states (
    resource TEXT   COLLATE "C" PRIMARY KEY,
    at_ms    BIGINT NOT NULL,
    state    TEXT   NOT NULL
) WITH (fillfactor = 50);
CREATE TABLE claims (
    resource TEXT COLLATE "C" NOT NULL,
    id       TEXT COLLATE "C" NOT NULL,
    record   TEXT NOT NULL,
    PRIMARY KEY (resource, id)
);
CREATE TABLE holds (
    resource TEXT COLLATE "C" PRIMARY KEY,
    record   TEXT NOT NULL
);
CREATE TABLE predictions (
    resource    TEXT   COLLATE "C" NOT NULL,
    metric      TEXT   COLLATE "C" NOT NULL,
    points      TEXT   NOT NULL,
    received_ms BIGINT,
    PRIMARY KEY (resource, metric)
);
CREATE TABLE decisions (
    resource TEXT   COLLATE "C" NOT NULL,
    number   BIGINT NOT NULL,
    id       TEXT   COLLATE "C" NOT NULL,
    last_ms  BIGINT NOT NULL,
    record   TEXT   NOT NULL,
    PRIMARY KEY (resource, number)
);
CREATE INDEX decisions_by_age ON decisions (last_ms);

CREATE TABLE series (
    id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    resource   TEXT   COLLATE "C" NOT NULL,
    metric     TEXT   COLLATE "C" NOT NULL,
    newest_ms  BIGINT NOT NULL,
    newest     DOUBLE PRECISION NOT NULL,
    retired_ms BIGINT,
    UNIQUE (resource, metric)
) WITH (fillfactor = 50);
CREATE TABLE samples_raw (
    series BIGINT NOT NULL,
    second BIGINT NOT NULL,
    millis BIGINT NOT NULL,
    value  DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (series, second)
);
CREATE INDEX samples_raw_by_age ON samples_raw (second);
CREATE TABLE samples_minute (
    series BIGINT NOT NULL,
    minute BIGINT NOT NULL,
    sum    DOUBLE PRECISION NOT NULL,
    most   DOUBLE PRECISION NOT NULL,
    count  BIGINT NOT NULL,
    PRIMARY KEY (series, minute)
);
CREATE INDEX samples_minute_by_age ON samples_minute (minute);
-- What was put into minutes: the samples of the minutes before this one, and in it those of the series up to this one.
CREATE TABLE minutes_done (
    single BOOLEAN PRIMARY KEY DEFAULT true CHECK (single),
    minute BIGINT  NOT NULL,
    series BIGINT  NOT NULL
);
INSERT INTO minutes_done (minute, series) VALUES (-9000000000000, 0);
