"""The table `audit_log`: who did what, and how it ended. Rows are only ever added.

The rows of one transfer share the caller and the correlation id. `replicas.py` makes sure that each transfer gets its
outcome.
"""

import asyncio
import json
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from service.catalog.actions import Action, Result
from service.catalog.columns import pack, unpack
from service.catalog.database import CatalogError, Cursor, Database, now
from service.catalog.shape import Shape
from service.pools import settle

T = TypeVar("T")

MAX_INTEGER = 2**31 - 1  # of the column duration_ms: 24 days in milliseconds


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
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    timestamp: datetime = field(default_factory=now)  # by this machine's clock


@dataclass(frozen=True, slots=True)
class AuditRow:
    """A row of the log."""

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


AUDIT_ROW = Shape(AuditRow, json_columns=("params", "params_before"))

ADD = f"""
    INSERT INTO audit_log ({AUDIT_ROW.stored})
    VALUES ($1, CAST($2 AS TIMESTAMP), $3, $4, $5, CAST($6 AS JSON), $7, $8, CAST($9 AS JSON), $10, $11, $12)
"""
KINDS = {"timestamp": "TIMESTAMP", "params": "JSON", "params_before": "JSON", "duration_ms": "INTEGER"}
VALUES = ", ".join(unpack(number, KINDS.get(name, "VARCHAR")) for number, name in enumerate(AUDIT_ROW.names, 1))
ADD_MANY = f"INSERT INTO audit_log ({AUDIT_ROW.stored}) SELECT {VALUES}"
BATCH = 500  # rows of one such statement: with more, DuckDB takes more memory
PAGE = f"""
    SELECT {AUDIT_ROW.columns}
    FROM (
        SELECT {AUDIT_ROW.stored} FROM audit_log WHERE user_id = $1
        ORDER BY timestamp DESC, id DESC LIMIT $2 OFFSET $3
    ) AS page
    ORDER BY page.timestamp DESC, page.id DESC
"""
COUNT = "SELECT CAST(coalesce(sum(total), 0) AS BIGINT) AS total FROM audit_totals WHERE user_id = $1"


class AuditLog:
    def __init__(self, database: Database) -> None:
        self._database = database
        self.failures = 0  # writes that failed, since the start

    async def write(self, event: Event) -> None:
        """Add one row; see `write_all`."""
        await self.run_to_end(lambda cursor: self.add(cursor, event))

    async def write_all(self, events: Sequence[Event]) -> None:
        """Add rows, all or none; they are on disk when this returns. Raises CatalogError.

        If the caller is cancelled, wait for the write first: CancelledError then means that the rows are on disk.
        """

        def work(cursor: Cursor) -> None:
            with cursor.transaction():
                self.add_all(cursor, events)

        await self.run_to_end(work)

    async def run_to_end(self, work: Callable[[Cursor], T]) -> T:
        """Run work that writes rows. Errors and cancellation are those of `write_all`."""
        writing = self._database.run(work)
        try:
            try:
                return await asyncio.shield(writing)
            except asyncio.CancelledError:
                await settle(writing)
                writing.result()
                raise
        except CatalogError:
            self.failures += 1
            raise

    def add(self, cursor: Cursor, event: Event) -> None:
        """Add a row, in a thread."""
        cursor.insert(ADD, self._values(event))

    def add_all(self, cursor: Cursor, events: Sequence[Event]) -> None:
        """Add rows, in a thread and inside a transaction."""
        for first in range(0, len(events), BATCH):
            rows = [self._values(event) for event in events[first : first + BATCH]]
            texts = ([None if value is None else str(value) for value in column] for column in zip(*rows, strict=True))
            cursor.insert(ADD_MANY, [pack(column) for column in texts])

    def _values(self, event: Event) -> list[object]:
        """The values of a row, in the order of the columns."""
        return [
            event.id,
            event.timestamp + self._database.clock_offset,
            event.user_id,
            event.action.row_name(event.result),
            event.resource,
            json.dumps(event.params),
            event.result.value,
            None if event.duration_ms is None else min(max(event.duration_ms, 0), MAX_INTEGER),
            None if event.params_before is None else json.dumps(event.params_before),
            event.client_ip,
            event.client_kind,
            event.correlation_id,
        ]

    async def page(self, user_id: str, limit: int, offset: int) -> list[AuditRow]:
        """A page of what the user did, newest first. Raises CatalogError."""
        return [AUDIT_ROW.decode(row) for row in await self._database.query(PAGE, [user_id, limit, offset])]

    async def count(self, user_id: str) -> int:
        """How many rows the user has. Raises CatalogError."""
        total: int = (await self._database.query(COUNT, [user_id]))[0]["total"]
        return total
