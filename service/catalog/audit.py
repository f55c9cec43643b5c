"""The table `audit_log`: who did what, and how it ended. Rows are only ever added.

The rows of one transfer share the caller and the correlation id. A started row without an outcome is one whose server
died.
"""

import asyncio
import contextlib
import json
import logging
import threading
import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from service.catalog.actions import TRANSFERS, Action, Result
from service.catalog.database import CatalogError, Cursor, Database, now, utc
from service.pools import settle

log = logging.getLogger(__name__)

MAX_INTEGER = 2**31 - 1  # of the column duration_ms: 24 days in milliseconds

ADD = """
    INSERT INTO audit_log (id, timestamp, user_id, action, resource, params, result, duration_ms, params_before,
                           client_ip, client_kind, correlation_id)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
PAGE = """
    SELECT id, epoch_us(timestamp) AS us, user_id, action, resource, params, result, duration_ms, params_before,
           client_ip, client_kind, correlation_id
    FROM audit_log
    WHERE user_id = ?
    ORDER BY timestamp DESC, id DESC
    LIMIT ? OFFSET ?
"""
COUNT = "SELECT count(*) AS total FROM audit_log WHERE user_id = ?"
# A caller may use one request id for several requests, so outcomes are counted, not merely looked for. The latest
# started rows of a request are the ones without a partner. Nearly all requests have their outcomes, so that first
# only a sum for each is made, by hashes alone: of a million rows a tenth of a second, where the window takes one.
UNFINISHED = """
    WITH unfinished AS (
        SELECT hash(row.user_id, row.resource, row.correlation_id, replace(row.action, '_started', '')) AS request
        FROM audit_log AS row
        WHERE row.action IN (?, ?, ?, ?)
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
        WHERE row.action IN (?, ?, ?, ?)
            AND hash(row.user_id, row.resource, row.correlation_id, replace(row.action, '_started', ''))
                IN (SELECT request FROM unfinished)
        WINDOW same_request AS (
            PARTITION BY row.user_id, row.resource, row.correlation_id, replace(row.action, '_started', '')
        )
    )
    SELECT id, epoch_us(timestamp) AS us, user_id, action, resource, params, client_ip, client_kind, correlation_id
    FROM counted
    WHERE is_the_start AND nth_of_request > outcomes_of_request
    ORDER BY timestamp, id
"""


@dataclass(frozen=True, slots=True)
class Event:
    """A row to be written. `duration_ms` is milliseconds; `params_before` is what a change replaced."""

    user_id: str | None
    action: Action
    resource: str
    params: dict[str, Any]
    result: Result
    correlation_id: str | None
    client_ip: str | None = None
    client_kind: str | None = None
    duration_ms: int | None = None
    params_before: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class AuditRow:
    """A row of the log, with `timestamp` aware in UTC and the JSON decoded."""

    id: str
    timestamp: datetime
    user_id: str | None
    action: str
    resource: str | None
    params: Any
    result: str | None
    duration_ms: int | None
    params_before: Any
    client_ip: str | None
    client_kind: str | None
    correlation_id: str | None


class AuditLog:
    def __init__(self, database: Database) -> None:
        self._database = database
        self.failures = 0  # writes that failed, since the start
        self._pending: list[tuple[list[Event], datetime]] = []  # with the time at which it happened
        self._flushing = threading.Lock()  # one thread writes the pending rows

    async def write(self, event: Event) -> None:
        """Add one row; see `write_all`."""
        await self.write_all([event])

    async def write_all(self, events: list[Event]) -> None:
        """Add rows, all or none; they are on disk when this returns. Raises CatalogError.

        If the caller is cancelled, it waits for the write first: CancelledError means that the rows are on disk.
        """
        happened = now()

        def work(cursor: Cursor) -> None:
            _add_all(cursor, events, happened)
            with contextlib.suppress(CatalogError):  # these rows are on disk, the others stay pending
                self._flush(cursor)

        writing = self._database.run(work)
        try:
            try:
                await asyncio.shield(writing)
            except asyncio.CancelledError:
                await settle(writing)
                writing.result()
                raise
        except CatalogError:
            self.failures += 1
            raise

    def keep_pending(self, events: list[Event]) -> None:
        """Keep rows that could not be written. The next successful write takes them along, or `write_pending` does."""
        self._pending.append((events, now()))

    async def write_pending(self) -> int:
        """Try to write the pending rows; returns how many are left. Raises nothing."""
        if self._pending:
            with contextlib.suppress(CatalogError):  # the rows stay pending, and the result says so
                await self._database.run(self._flush)
        return sum(len(events) for events, _ in self._pending)

    def _flush(self, cursor: Cursor) -> None:
        with self._flushing:
            while self._pending:
                _add_all(cursor, *self._pending[0])
                del self._pending[0]

    async def page(self, user_id: str, limit: int, offset: int) -> list[AuditRow]:
        """A page of what the user did, newest first. Raises CatalogError."""
        return [_row(**row) for row in await self._database.query(PAGE, [user_id, limit, offset])]

    async def count(self, user_id: str) -> int:
        """How many rows the user has. Raises CatalogError."""
        total: int = (await self._database.query(COUNT, [user_id]))[0]["total"]
        return total

    async def close_unfinished(self) -> int:
        """Write the outcome `interrupted` for each transfer that a dead server left; returns how many there were.

        The counted numbers are unknown and null; the duration is the time until now, an upper bound. Only for the
        start: a transfer that is running has no outcome either. Raises CatalogError.
        """

        def work(cursor: Cursor) -> int:
            names = [action.row_name(result) for action in TRANSFERS for result in (Result.SUCCESS, Result.STARTED)]
            rows = cursor.query(UNFINISHED, [*names, *names])
            _add_all(cursor, [_interrupted(row) for row in rows], now())
            return len(rows)

        return await self._database.run(work)


def _add_all(cursor: Cursor, events: list[Event], happened: datetime) -> None:
    """All or none."""
    if len(events) == 1:
        _add(cursor, events[0], happened)
    else:
        with cursor.transaction():
            for event in events:
                _add(cursor, event, happened)


def _add(cursor: Cursor, event: Event, happened: datetime) -> None:
    duration = None if event.duration_ms is None else min(max(event.duration_ms, 0), MAX_INTEGER)
    cursor.query(
        ADD,
        [
            uuid.uuid4().hex,
            happened,
            event.user_id,
            event.action.row_name(event.result),
            event.resource,
            json.dumps(event.params),
            event.result.value,
            duration,
            None if event.params_before is None else json.dumps(event.params_before),
            event.client_ip,
            event.client_kind,
            event.correlation_id,
        ],
    )


def _row(us: int, params: str | None, params_before: str | None, **same: Any) -> AuditRow:
    timestamp = utc(us)
    assert timestamp is not None  # noqa: S101 - the column is NOT NULL
    return AuditRow(timestamp=timestamp, params=_decoded(params), params_before=_decoded(params_before), **same)


def _decoded(text: str | None) -> Any:
    return None if text is None else json.loads(text)


def _interrupted(started: dict[str, Any]) -> Event:
    """The outcome for a row of UNFINISHED."""
    action = next(action for action in TRANSFERS if action.row_name(Result.STARTED) == started["action"])
    began = utc(started["us"])
    assert began is not None  # noqa: S101 - the column is NOT NULL
    elapsed = now() - began.replace(tzinfo=None)
    return Event(
        user_id=started["user_id"],
        action=action,
        resource=started["resource"],
        params=(_decoded(started["params"]) or {}) | dict.fromkeys(action.counted),
        result=Result.INTERRUPTED,
        correlation_id=started["correlation_id"],
        client_ip=started["client_ip"],
        client_kind=started["client_kind"],
        duration_ms=int(elapsed.total_seconds() * 1000),
    )
