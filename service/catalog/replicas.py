"""The tables `replicas` and `running`: the serving processes, and the transfers that have no outcome yet.

A replica is alive as long as it refreshes its row. If it has not for DEAD_AFTER seconds it is dead, and another replica
writes `interrupted` for the transfers that it left. Each rule prevents a race:

- Deleting a transfer's row in `running` is the right to write its outcome, in the same transaction. A replica that
  deletes nothing is too late, because it was taken for dead: it breaks the transfer off.
- A transfer begins only under a replica whose row exists: nothing begins that nobody would ever end.
- A replica may declare others dead only if its own heartbeats had no gap for DEAD_AFTER seconds. After an outage of the
  database all rows are old, and no replica is declared dead for that.
- All times are the database's.

Where one process holds the catalog alone (DuckDB), none of this is needed, and it would make a transfer's rows half as
expensive again: nobody else can write an outcome, and at the start the log itself says which transfers have none. The
exception is an export across users. Its outcomes have other resources than its started row, so it is in `running` too.
"""

import contextlib
import json
import logging
import socket
import threading
import time
import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from service.catalog.actions import TRANSFERS, USERS, Result
from service.catalog.audit import AuditLog, Event
from service.catalog.database import CatalogError, Cursor, Database, Row, now, utc
from service.catalog.shape import TIME

log = logging.getLogger(__name__)

BEAT = 5  # seconds between heartbeats
DEAD_AFTER = 30  # seconds without one; more than three times the time that a query may take

NOW = "(clock_timestamp() AT TIME ZONE 'UTC')"

REGISTER = """
    INSERT INTO replicas (id, host, seen_at, steady_since)
    VALUES ($1, $2, CAST(now() AT TIME ZONE 'UTC' AS TIMESTAMP), CAST(now() AT TIME ZONE 'UTC' AS TIMESTAMP))
"""
SEEN = f"""
    UPDATE replicas
    SET steady_since = CASE WHEN seen_at > {NOW} - make_interval(secs => $2) THEN steady_since ELSE {NOW} END,
        seen_at = {NOW}
    WHERE id = $1
    RETURNING {NOW} - steady_since >= make_interval(secs => $2) AS is_steady
"""
# SKIP LOCKED: only one replica handles each dead one. FOR UPDATE: a late heartbeat of the dead replica waits, and so
# does a transfer that it begins.
DEAD = f"""
    SELECT id, host FROM replicas WHERE seen_at < {NOW} - make_interval(secs => $1)
    FOR UPDATE SKIP LOCKED
"""
LEFT = "DELETE FROM running WHERE replica_id = $1 RETURNING id"
FORGET = "DELETE FROM replicas WHERE id = $1"
FIRST = "SELECT min(id) AS id FROM replicas"
LEAVE = "DELETE FROM replicas WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM running WHERE replica_id = $1)"

BEGIN = "INSERT INTO running (id, replica_id) VALUES ($1, $2)"
END = "DELETE FROM running WHERE id = $1 RETURNING id"
LEFT_BY_LAST = "DELETE FROM running RETURNING id"
IS_WRITTEN = "SELECT 1 FROM audit_log WHERE id = $1"
STARTED = f"""
    SELECT id, {TIME.format("timestamp")}, user_id, action, resource, CAST(params AS VARCHAR) AS params, client_ip,
           client_kind, correlation_id
    FROM audit_log WHERE id = $1
"""


# For DuckDB. A caller may use one request id for several requests, so outcomes are counted. The latest started rows of
# a request are the ones without an outcome. Nearly all requests have theirs, so a first step only counts by hashes: a
# tenth of a second for a million rows, where the window takes a second. Exports across users are in `running`.
UNFINISHED = f"""
    WITH unfinished AS (
        SELECT hash(row.user_id, row.resource, row.correlation_id, replace(row.action, '_started', '')) AS request
        FROM audit_log AS row
        WHERE row.action IN (SELECT unnest(string_to_array($1, ','))) AND row.resource IS DISTINCT FROM 'sessions'
        GROUP BY ALL
        HAVING count(*) FILTER (suffix(row.action, '_started')) > count(*) FILTER (NOT suffix(row.action, '_started'))
    ), counted AS (
        SELECT row.id, row.timestamp, row.user_id, row.action, row.resource, row.params, row.client_ip,
               row.client_kind, row.correlation_id, suffix(row.action, '_started') AS is_the_start,
               count(*) FILTER (NOT suffix(row.action, '_started')) OVER same_request AS outcomes_of_request,
               count(*) FILTER (suffix(row.action, '_started')) OVER (
                   same_request ORDER BY row.timestamp, row.id
               ) AS nth_of_request
        FROM audit_log AS row
        WHERE row.action IN (SELECT unnest(string_to_array($1, ',')))
            AND hash(row.user_id, row.resource, row.correlation_id, replace(row.action, '_started', ''))
                IN (SELECT request FROM unfinished)
        WINDOW same_request AS (
            PARTITION BY row.user_id, row.resource, row.correlation_id, replace(row.action, '_started', '')
        )
    )
    SELECT id, {TIME.format("timestamp")}, user_id, action, resource, CAST(params AS VARCHAR) AS params, client_ip,
           client_kind, correlation_id
    FROM counted
    WHERE is_the_start AND nth_of_request > outcomes_of_request
"""


class Superseded(Exception):
    """Another replica declared this one dead and has written the transfer's outcome."""


class Replica:
    """This process among the replicas. Call `register` first."""

    def __init__(self, database: Database, audit: AuditLog) -> None:
        self._database = database
        self._audit = audit
        self._id = ""
        self._last_beat = time.monotonic()
        self._across: set[str] = set()  # ids of the started rows of running exports across users
        self._pending: list[tuple[str, Sequence[Event]]] = []  # started row's id, and the outcomes to be written
        self._flushing = threading.Lock()  # one thread writes the pending rows

    async def register(self) -> None:
        """Begin under a new id; where this is the only process, end what the last one left. Raises CatalogError."""
        if self._database.exclusive:
            await self._database.run(self._end_unfinished)
            return
        replica_id = uuid.uuid4().hex
        host = socket.gethostname()
        await self._database.run(lambda cursor: cursor.insert(REGISTER, [replica_id, host]))
        self._id = replica_id
        self._last_beat = time.monotonic()

    async def beat(self) -> None:
        """Write the heartbeat, and end the transfers that dead replicas left. Raises CatalogError."""
        if self._database.exclusive:
            return
        rows = await self._database.query(SEEN, [self._id, DEAD_AFTER])
        self._last_beat = time.monotonic()
        if not rows:
            log.error("this replica was taken for dead, and its transfers are interrupted; it goes on under a new id")
            await self.register()
        elif rows[0]["is_steady"]:
            await self._database.run(self._interrupt_dead)

    async def leads(self) -> bool:
        """Whether this replica does the work that only one replica should do. For moments, two or none may lead.
        Raises CatalogError."""
        if self._database.exclusive:
            return True
        return bool((await self._database.query(FIRST))[0]["id"] == self._id)

    async def leave(self) -> None:
        """Unregister on shutdown. If outcomes could not be written, the row stays, and another replica writes them."""
        if not self._database.exclusive:
            await self._database.query(LEAVE, [self._id])

    async def check(self) -> None:
        """Raises CatalogError unless rows can be written."""
        await self._database.check()
        if not self._database.exclusive and time.monotonic() - self._last_beat > 3 * BEAT:
            raise CatalogError(f"no heartbeat could be written for {time.monotonic() - self._last_beat:.0f} s")

    async def begin(self, started: Event) -> None:
        """Write a transfer's started row; it is on disk when this returns. Errors and cancellation are those of
        `AuditLog.write_all`."""
        replica_id = self._id
        if USERS in started.params:
            self._across.add(started.id)

        def work(cursor: Cursor) -> None:
            if self._has_running_row(started.id):
                with cursor.transaction():
                    cursor.insert(BEGIN, [started.id, replica_id])
                    self._audit.add(cursor, started)
            else:
                self._audit.add(cursor, started)
            self._try_to_flush(cursor)

        await self._audit.run_to_end(work)

    async def end(self, started_id: str, outcomes: Sequence[Event]) -> None:
        """Write the transfer's outcome; as `begin`. Raises Superseded."""

        def work(cursor: Cursor) -> None:
            self._end(cursor, started_id, outcomes)
            self._try_to_flush(cursor)

        await self._audit.run_to_end(work)

    def keep_pending(self, started_id: str, outcomes: Sequence[Event]) -> None:
        """Keep an outcome that could not be written. It is flushed with the next write, or by `write_pending`."""
        self._pending.append((started_id, outcomes))

    async def write_pending(self) -> int:
        """Try to write the pending outcomes; returns how many rows are left. Raises nothing."""
        if self._pending:
            with contextlib.suppress(CatalogError):  # the rows stay pending, and the result says so
                await self._database.run(self._flush)
        return sum(len(outcomes) for _, outcomes in self._pending)

    def _end(self, cursor: Cursor, started_id: str, outcomes: Sequence[Event]) -> None:
        if not self._has_running_row(started_id):
            self._audit.add_all(cursor, outcomes)
            return
        with cursor.transaction():
            if cursor.query(END, [started_id]):
                self._audit.add_all(cursor, outcomes)
            elif not cursor.query(IS_WRITTEN, [outcomes[0].id]):  # by this very work, if its first run was committed
                raise Superseded
        self._across.discard(started_id)

    def _has_running_row(self, started_id: str) -> bool:
        return not self._database.exclusive or started_id in self._across

    def _try_to_flush(self, cursor: Cursor) -> None:
        with contextlib.suppress(CatalogError):  # the work that came before is committed; these rows stay pending
            self._flush(cursor)

    def _flush(self, cursor: Cursor) -> None:
        with self._flushing:
            while self._pending:
                with contextlib.suppress(Superseded):
                    self._end(cursor, *self._pending[0])
                del self._pending[0]

    def _interrupt_dead(self, cursor: Cursor) -> None:
        """Write `interrupted` for the transfers that dead replicas left."""
        with cursor.transaction():
            for replica in cursor.query(DEAD, [DEAD_AFTER]):
                left = [row["id"] for row in cursor.query(LEFT, [replica["id"]])]
                self._interrupt(cursor, [row for started_id in left for row in cursor.query(STARTED, [started_id])])
                cursor.query(FORGET, [replica["id"]])

    def _end_unfinished(self, cursor: Cursor) -> None:
        """Write `interrupted` for each transfer that the last process left without an outcome."""
        names = [action.row_name(result) for action in TRANSFERS for result in (Result.STARTED, Result.SUCCESS)]
        with cursor.transaction():
            across = [row for left in cursor.query(LEFT_BY_LAST) for row in cursor.query(STARTED, [left["id"]])]
            self._interrupt(cursor, across + cursor.query(UNFINISHED, [",".join(names)]))

    def _interrupt(self, cursor: Cursor, started: list[Row]) -> None:
        if started:
            self._audit.add_all(cursor, [event for row in started for event in self._interrupted(row)])
            log.warning("transfers that a dead server left, now in the audit log as interrupted: %d", len(started))

    def _interrupted(self, started: Row) -> list[Event]:
        """The outcome for a row of STARTED, of an export across users one for each of them. The counted numbers are
        unknown; the duration is an upper bound."""
        action = next(action for action in TRANSFERS if action.row_name(Result.STARTED) == started["action"])
        params: dict[str, Any] = json.loads(started["params"] or "{}")
        resources = [f"users/{user_id}/sessions" for user_id in params.pop(USERS, [])] or [started["resource"]]
        ended = now()
        duration = ended + self._database.clock_offset - _began(started)
        return [
            Event(
                user_id=started["user_id"],
                action=action,
                resource=resource,
                params=params | dict.fromkeys(action.counted),
                result=Result.INTERRUPTED,
                correlation_id=started["correlation_id"],
                client_ip=started["client_ip"],
                client_kind=started["client_kind"],
                duration_ms=int(duration.total_seconds() * 1000),
                timestamp=ended,
            )
            for resource in resources
        ]


def _began(started: Row) -> datetime:
    began = utc(started["timestamp"])
    assert began is not None  # noqa: S101 - the column is NOT NULL
    return began.replace(tzinfo=None)
