-- The tables, for DuckDB and PostgreSQL. Tables that are there already may have more columns.
-- A change here needs a new VERSION in schema.py. No secondary index: see duckdb.py.

CREATE TABLE IF NOT EXISTS users (
    id         VARCHAR PRIMARY KEY,
    email      VARCHAR UNIQUE NOT NULL,
    name       VARCHAR,
    active     BOOLEAN NOT NULL DEFAULT TRUE,
    created_at TIMESTAMP
);

CREATE TABLE IF NOT EXISTS usage_session_summary (
    session_file      VARCHAR PRIMARY KEY,
    session_id        VARCHAR NOT NULL,
    username          VARCHAR NOT NULL,
    user_id           VARCHAR,
    started_at        TIMESTAMP,
    ended_at          TIMESTAMP,
    active_seconds    INTEGER,
    wall_seconds      INTEGER,
    tool_calls        INTEGER,
    tool_errors       INTEGER,
    primary_model     VARCHAR,
    processor_version INTEGER NOT NULL
);

-- Rows are only ever added.
CREATE TABLE IF NOT EXISTS audit_log (
    id             VARCHAR PRIMARY KEY,
    timestamp      TIMESTAMP NOT NULL,
    user_id        VARCHAR,
    action         VARCHAR NOT NULL,
    resource       VARCHAR,
    params         JSON,
    result         VARCHAR,
    duration_ms    INTEGER,
    params_before  JSON,
    client_ip      VARCHAR,
    client_kind    VARCHAR,
    correlation_id VARCHAR
);

CREATE TABLE IF NOT EXISTS schema_version (
    version INTEGER NOT NULL
);
