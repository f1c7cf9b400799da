-- A row is a job, or one worker's part ("unit") of a job for all. Times named _us are wall-clock
-- microseconds; due and lease are boot-clock milliseconds (see clock.rs).
CREATE TABLE jobs (
    seq         INTEGER PRIMARY KEY,         -- order of submission
    id          BLOB    NOT NULL,
    parent      INTEGER NOT NULL DEFAULT 0,  -- of a unit: the seq of its job; else 0
    state       INTEGER NOT NULL,            -- see state.rs
    route       TEXT,                        -- who may claim it; NULL: nobody, its units do the work
    due         INTEGER NOT NULL,
    lease       INTEGER,
    serial      INTEGER NOT NULL DEFAULT 0,  -- how often it was handed out
    attempts    INTEGER NOT NULL DEFAULT 0,
    open_units  INTEGER NOT NULL DEFAULT 0,  -- of a job for all: units that have not ended
    dlq         INTEGER NOT NULL DEFAULT 0,
    created_us  INTEGER NOT NULL,
    started_us  INTEGER,
    finished_us INTEGER,
    operation   TEXT    NOT NULL,
    target      TEXT    NOT NULL,
    worker      TEXT,
    key         TEXT,
    error       TEXT,
    timeline    TEXT    NOT NULL DEFAULT '', -- JSON events after submission, each with a comma behind
    result      TEXT,
    data        TEXT    NOT NULL
) STRICT;

CREATE UNIQUE INDEX jobs_id ON jobs (id);
CREATE UNIQUE INDEX jobs_key ON jobs (key) WHERE key IS NOT NULL;
CREATE INDEX jobs_waiting ON jobs (route, due) WHERE state IN (0, 2);
CREATE INDEX jobs_state ON jobs (state, parent);
CREATE INDEX jobs_parent ON jobs (parent);
CREATE INDEX jobs_finished ON jobs (finished_us) WHERE finished_us IS NOT NULL AND parent = 0;

-- Jobs per operation and state, kept in the transactions that change them. State 6 is the
-- dead-letter queue, a part of the failed.
CREATE TABLE counts (
    operation TEXT    NOT NULL,
    state     INTEGER NOT NULL,
    n         INTEGER NOT NULL,
    PRIMARY KEY (operation, state)
) STRICT, WITHOUT ROWID;

CREATE TABLE workers (
    name       TEXT    PRIMARY KEY,
    instance   BLOB    NOT NULL,
    hostname   TEXT    NOT NULL,
    labels     TEXT    NOT NULL,
    slots      INTEGER NOT NULL,
    active     INTEGER NOT NULL DEFAULT 0,
    processed  INTEGER NOT NULL DEFAULT 0,
    draining   INTEGER NOT NULL DEFAULT 0,
    started_us INTEGER NOT NULL,
    seen_us    INTEGER NOT NULL,
    seen_boot  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
