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
CREATE INDEX IF NOT EXISTS export_figures_by_user ON export_figures (user_id, dialect);

-- How many rows of the audit log a user has: a page says so, and to count half a million takes 100 ms. Each connection
-- counts in one of 16 rows, so that they do not wait for each other.
CREATE TABLE IF NOT EXISTS audit_totals (
    user_id VARCHAR NOT NULL,
    part    INTEGER NOT NULL,
    total   BIGINT NOT NULL,
    PRIMARY KEY (user_id, part)
) WITH (fillfactor = 50);

CREATE OR REPLACE FUNCTION count_audit_rows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit_totals AS counted (user_id, part, total)
    SELECT user_id, pg_backend_pid() % 16, count(*) FROM added WHERE user_id IS NOT NULL GROUP BY user_id ORDER BY user_id
    ON CONFLICT (user_id, part) DO UPDATE SET total = counted.total + excluded.total;
    RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER audit_log_counted AFTER INSERT ON audit_log
REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION count_audit_rows();
