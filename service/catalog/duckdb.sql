-- What DuckDB needs besides schema.sql.

-- Counts checks of readiness, which must write something to know that rows can be written.
CREATE SEQUENCE IF NOT EXISTS readiness CYCLE;

-- PostgreSQL's name for a hash of a row, so that one statement is for both.
CREATE MACRO IF NOT EXISTS hash_record_extended(record, seed) AS hash(record);

-- PostgreSQL's lock between processes, of which there is one here.
CREATE MACRO IF NOT EXISTS pg_advisory_xact_lock(key) AS key IS NULL;

-- Exports across users that have no outcome yet, with the ids of their started rows; see replicas.py.
CREATE TABLE IF NOT EXISTS running (
    id         VARCHAR NOT NULL,
    replica_id VARCHAR NOT NULL
);

-- See postgres.sql. DuckDB counts so fast that it needs no table.
CREATE VIEW IF NOT EXISTS audit_totals AS
SELECT user_id, count(*) AS total FROM audit_log GROUP BY user_id;
