"""The table `audit_log`: who did what, and how it ended. Rows are only ever added.

A download leaves two rows: `<action>_started` before its first byte and `<action>` with the outcome. They share
user, resource and correlation id; a started row that found no partner is one whose server died.
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

from service.catalog.database import CatalogError, Cursor, Database, now, utc
from service.pools import settle

log = logging.getLogger(__name__)

DOWNLOADS = ("session_bulk_download", "session_download")
MAX_INTEGER = 2**31 - 1  # of the column duration_ms: 24 days in milliseconds

ADD = """
    INSERT INTO audit_log (id, timestamp, user_id, action, resource, params, result, duration_ms, params_before,
                           client_ip, client_kind, correlation_id)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL, ?, ?, ?)
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
    """What is to be written down. `duration_ms` is milliseconds."""

    user_id: str | None
    action: str
    resource: str
    params: dict[str, Any]
    result: str
    correlation_id: str | None
    client_ip: str | None = None
    client_kind: str | None = None
    duration_ms: int | None = None


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
        self.failures = 0  # rows that could not be written, since the start
        self._owed: list[tuple[Event, datetime]] = []  # with the time at which it happened
        self._paying = threading.Lock()  # whoever holds it writes what is owed

    async def write(self, event: Event) -> None:
        """Add a row; it is on disk when this returns. Raises CatalogError.

        Whoever is cancelled meanwhile (its client left) waits for the row all the same; CancelledError means that it
        is on disk.
        """

        def work(cursor: Cursor) -> None:
            _add(cursor, event, now())
            with contextlib.suppress(CatalogError):  # this row is on disk, the others stay owed
                self._pay(cursor)

        try:
            row = self._database.run(work)
            try:
                await asyncio.shield(row)
            except asyncio.CancelledError:
                await settle(row)
                row.result()
                raise
        except CatalogError:
            self.failures += 1
            raise

    def owe(self, event: Event) -> None:
        """Keep a row that could not be written; the next one that can be brings it along, or `pay` does."""
        self._owed.append((event, now()))

    async def pay(self) -> int:
        """Write the rows that are owed, as far as that is possible. Returns how many are left; raises nothing."""
        if self._owed:
            with contextlib.suppress(CatalogError):  # what is returned says it
                await self._database.run(self._pay)
        return len(self._owed)

    def _pay(self, cursor: Cursor) -> None:
        with self._paying:
            while self._owed:
                _add(cursor, *self._owed[0])
                del self._owed[0]

    async def page(self, user_id: str, limit: int, offset: int) -> list[AuditRow]:
        """A page of what the user did, newest first. Raises CatalogError."""
        return [_row(**row) for row in await self._database.query(PAGE, [user_id, limit, offset])]

    async def count(self, user_id: str) -> int:
        """How many rows the user has. Raises CatalogError."""
        total: int = (await self._database.query(COUNT, [user_id]))[0]["total"]
        return total

    async def close_unfinished(self) -> int:
        """Give each download that a dead server left open the outcome `interrupted`; returns how many there were.

        What nobody can know any more (how much was sent) is null, and the duration is the time until now, an upper
        bound. Only for the start: a download that is running has no outcome either. Raises CatalogError.
        """

        def work(cursor: Cursor) -> int:
            actions = [action + suffix for action in DOWNLOADS for suffix in ("", "_started")]
            rows = cursor.query(UNFINISHED, [*actions, *actions])
            with cursor.transaction():
                for row in rows:
                    _add(cursor, _interrupted(row), now())
            return len(rows)

        return await self._database.run(work)


def _add(cursor: Cursor, event: Event, happened: datetime) -> None:
    duration = None if event.duration_ms is None else min(max(event.duration_ms, 0), MAX_INTEGER)
    cursor.query(
        ADD,
        [
            uuid.uuid4().hex,
            happened,
            event.user_id,
            event.action,
            event.resource,
            json.dumps(event.params),
            event.result,
            duration,
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
    action = started["action"].removesuffix("_started")
    unknown: dict[str, None] = {"bytes_sent": None}
    if action == "session_bulk_download":
        unknown |= {"total_bytes": None, "skipped": None}
    began = utc(started["us"])
    assert began is not None  # noqa: S101 - the column is NOT NULL
    elapsed = now() - began.replace(tzinfo=None)
    return Event(
        user_id=started["user_id"],
        action=action,
        resource=started["resource"],
        params=(_decoded(started["params"]) or {}) | unknown,
        result="interrupted",
        correlation_id=started["correlation_id"],
        client_ip=started["client_ip"],
        client_kind=started["client_kind"],
        duration_ms=int(elapsed.total_seconds() * 1000),
    )
