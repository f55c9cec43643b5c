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

-- What the service found in the session files; docs/session-index.md says what each column means. A user's sessions,
-- one row for each file: `facts_version` is null as long as the file was not read. The span is from `started_at` to
-- `ended_at`, or else the time of modification. Rows are replaced by deleting and inserting in one transaction, which
-- DuckDB does right only without a primary key.
CREATE TABLE IF NOT EXISTS session_index (
    user_id               VARCHAR NOT NULL,
    session_file          VARCHAR NOT NULL,
    size_bytes            BIGINT NOT NULL,
    modified_ns           BIGINT NOT NULL,
    modified_at           TIMESTAMP NOT NULL,
    identity              VARCHAR NOT NULL,
    revision              BIGINT NOT NULL,
    facts_version         INTEGER,
    span_begin            TIMESTAMP NOT NULL,
    span_end              TIMESTAMP NOT NULL,
    session_id            VARCHAR,
    started_at            TIMESTAMP,
    ended_at              TIMESTAMP,
    active_seconds        BIGINT,
    wall_seconds          BIGINT,
    user_messages         BIGINT,
    assistant_messages    BIGINT,
    tool_calls            BIGINT,
    mcp_calls             BIGINT,
    subagents             BIGINT,
    tool_errors           BIGINT,
    primary_model         VARCHAR,
    models                VARCHAR,
    input_tokens          BIGINT,
    output_tokens         BIGINT,
    cache_read_tokens     BIGINT,
    cache_creation_tokens BIGINT,
    title                 VARCHAR,
    project               VARCHAR,
    bad_lines             BIGINT
);

-- What exported files came to, so that an export can be resumed without measuring its files again, by another replica or
-- after a restart. A row for each user and dialect of a codec: `figures` are archive/saved_figures.py's, in Base64. A
-- row is replaced by deleting and inserting; where two replicas do so at once, both rows hold what is true.
CREATE TABLE IF NOT EXISTS export_figures (
    user_id  VARCHAR NOT NULL,
    dialect  VARCHAR NOT NULL,
    figures  VARCHAR NOT NULL
);
