"""The interface of a catalog, for both engines. `open_catalog` chooses the engine.

SQL is written once: `$1, $2, …` for parameters, and what DuckDB 1.5 and PostgreSQL 14 both understand. Times are kept
as naive UTC.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, TypeVar

T = TypeVar("T")
Row = dict[str, Any]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EARLIEST = datetime.min.replace(tzinfo=UTC) - EPOCH
LATEST = datetime.max.replace(tzinfo=UTC) - EPOCH


class CatalogError(Exception):
    """A query failed. The text is for the log, never for a client."""


class CatalogUncertain(CatalogError):
    """The connection broke while the work ran: it may have been committed."""


class CatalogUnusable(CatalogError):
    """The catalog cannot be opened; the text is one line for the operator with the reason."""


class Cursor(Protocol):
    """Runs the statements of one piece of work. Errors are CatalogError."""

    def query(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        """Run one statement, and return its rows by the names of their columns."""

    def insert(self, sql: str, parameters: Sequence[object]) -> None:
        """Run an INSERT. Work may run a second time after it was committed, so existing rows are no error."""

    def transaction(self) -> AbstractContextManager[None]:
        """All statements inside are committed, or none."""

    def snapshot(self) -> AbstractContextManager[None]:
        """All queries inside see the same state."""


class Database(Protocol):
    """The only way to the catalog. Its methods are called in the event loop's thread."""

    exclusive: bool  # no other process can have this catalog open
    clock_offset: timedelta  # the catalog's clock minus this machine's

    def run(self, work: Callable[[Cursor], T]) -> asyncio.Future[T]:
        """Run `work` in a thread of the catalog's pool, with a cursor of its own. Raises CatalogError.

        The work starts at once, not only when the future is awaited, and `close` waits for it. It may run twice if a
        connection breaks or memory runs out, so create ids and times outside it, and use `Cursor.insert`.
        """

    async def query(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        """Run one statement, and return its rows. Raises CatalogError."""
        return await self.run(lambda cursor: cursor.query(sql, parameters))

    async def check(self) -> None:
        """Raises CatalogError unless the catalog answers."""

    def close(self) -> None:
        """Wait for all work, then close the catalog and its pool. Blocks; may be called twice."""


def now() -> datetime:
    """The time as the catalog keeps it: naive UTC."""
    return datetime.now(UTC).replace(tzinfo=None)


def utc(microseconds: int | None) -> datetime | None:
    """Microseconds since the epoch as an aware time in UTC.

    A catalog can hold times outside Python's range; they become the nearest time in it.
    """
    if microseconds is None:
        return None
    return EPOCH + min(max(timedelta(microseconds=microseconds), EARLIEST), LATEST)


def naive(moment: datetime | None) -> datetime | None:
    """An aware time as the catalog keeps it: the inverse of `utc`."""
    return None if moment is None else moment.astimezone(UTC).replace(tzinfo=None)
