-- What PostgreSQL needs besides schema.sql.

-- A row for each process that serves. All times are the database's, so no replica's clock counts.
CREATE TABLE IF NOT EXISTS replicas (
    id           VARCHAR PRIMARY KEY,  -- new with each process, so that none is taken for its predecessor
    host         VARCHAR NOT NULL,
    seen_at      TIMESTAMP NOT NULL,
    steady_since TIMESTAMP NOT NULL    -- since when it has been seen without a gap
);

-- A row for each transfer that has no outcome yet, with the id of its started row in the audit log.
-- Deleting this row is the right to write the outcome, so there is exactly one.
CREATE TABLE IF NOT EXISTS running (
    id         VARCHAR PRIMARY KEY,
    replica_id VARCHAR NOT NULL REFERENCES replicas (id)
);
CREATE INDEX IF NOT EXISTS running_by_replica ON running (replica_id);

-- The activity page: filter, order and limit come from the index alone.
CREATE INDEX IF NOT EXISTS audit_log_by_user ON audit_log (user_id, timestamp DESC, id DESC);
-- Whose sessions: the rows about a user.
CREATE INDEX IF NOT EXISTS audit_log_by_resource ON audit_log (resource text_pattern_ops, timestamp DESC, id DESC);
-- The log as a whole, newest first.
CREATE INDEX IF NOT EXISTS audit_log_by_time ON audit_log (timestamp DESC, id DESC);
CREATE INDEX IF NOT EXISTS usage_by_user_id ON usage_session_summary (user_id);
CREATE INDEX IF NOT EXISTS usage_by_username ON usage_session_summary (username);
-- A user's sessions, and the sessions of all users, newest first.
CREATE INDEX IF NOT EXISTS session_index_by_user ON session_index (user_id, session_file);
CREATE INDEX IF NOT EXISTS session_index_by_time ON session_index (span_begin DESC, user_id COLLATE "C", session_file COLLATE "C");
