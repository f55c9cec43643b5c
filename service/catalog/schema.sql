-- What the service needs; tables that are there already may have more columns.
-- No secondary index and no upsert: both have led DuckDB into fatal errors.

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

-- Only ever added to.
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

-- Counts checks of readiness, which must write something to know that rows can be written.
CREATE SEQUENCE IF NOT EXISTS readiness CYCLE;
