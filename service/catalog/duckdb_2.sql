-- Transfers that a server of version 1 left without an outcome: they were found by their rows in the audit log. They
-- become those of a replica that is dead, and get their outcome as its would.
--
-- A caller may use one request id for several requests, so outcomes are counted. The latest started rows of a request
-- are the ones without an outcome. Nearly all requests have theirs, so a first step only counts by hashes: a tenth of a
-- second for a million rows, where the window takes a second.

INSERT INTO replicas (id, host, seen_at, steady_since)
VALUES ('version-1', 'unknown', TIMESTAMP '1970-01-01', TIMESTAMP '1970-01-01');

INSERT INTO running (id, replica_id)
WITH unfinished AS (
    SELECT hash(row.user_id, row.resource, row.correlation_id, replace(row.action, '_started', '')) AS request
    FROM audit_log AS row
    WHERE row.action IN ('session_bulk_download_started', 'session_bulk_download',
                         'session_download_started', 'session_download')
    GROUP BY ALL
    HAVING count(*) FILTER (suffix(row.action, '_started')) > count(*) FILTER (NOT suffix(row.action, '_started'))
), counted AS (
    SELECT row.id, suffix(row.action, '_started') AS is_the_start,
           count(*) FILTER (NOT suffix(row.action, '_started')) OVER same_request AS outcomes_of_request,
           count(*) FILTER (suffix(row.action, '_started')) OVER (
               same_request ORDER BY row.timestamp, row.id
           ) AS nth_of_request
    FROM audit_log AS row
    WHERE row.action IN ('session_bulk_download_started', 'session_bulk_download',
                         'session_download_started', 'session_download')
        AND hash(row.user_id, row.resource, row.correlation_id, replace(row.action, '_started', ''))
            IN (SELECT request FROM unfinished)
    WINDOW same_request AS (
        PARTITION BY row.user_id, row.resource, row.correlation_id, replace(row.action, '_started', '')
    )
)
SELECT id, 'version-1'
FROM counted
WHERE is_the_start AND nth_of_request > outcomes_of_request;
