"""The DuckDB file: one connection, a cursor for each thread of its pool, the schema.

A connection shared between threads gives wrong results; a cursor for each thread does not. Times are kept as naive
UTC: DuckDB shifts aware ones into the host's zone.
"""

import asyncio
import re
import threading
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

import duckdb

from service.pools import Pool

T = TypeVar("T")
Row = dict[str, Any]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EARLIEST = datetime.min.replace(tzinfo=UTC) - EPOCH
LATEST = datetime.max.replace(tzinfo=UTC) - EPOCH


class CatalogError(Exception):
    """A query failed. The text is for the log, never for a client."""


class CatalogUnusable(CatalogError):
    """The catalog cannot be opened; the text is one line that tells an operator why."""


class Cursor:
    """One thread's way to the database. Errors come as CatalogError."""

    def __init__(self, cursor: duckdb.DuckDBPyConnection) -> None:
        self._cursor = cursor

    def query(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        """Run one statement, and give its rows by the names of their columns."""
        with _translated():
            result = self._cursor.execute(sql, parameters)
            names = [column[0] for column in result.description or ()]
            return [dict(zip(names, row, strict=True)) for row in result.fetchall()]

    @contextmanager
    def transaction(self) -> Any:
        """All of the statements inside are committed, or none."""
        self.query("BEGIN TRANSACTION")
        try:
            yield
        except BaseException:
            self.query("ROLLBACK")
            raise
        self.query("COMMIT")


class Database:
    """The only door to the catalog's file."""

    def __init__(self, path: Path, pool: Pool, memory_limit: str) -> None:
        """Open the file, making it and its directory when missing. Blocks. Raises CatalogUnusable."""
        self._pool = pool
        self._local = threading.local()
        self._closed = False
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = duckdb.connect(
                path,
                config={
                    "memory_limit": memory_limit,
                    # Queries run in the pool's threads; more inside DuckDB would take cores from the exports.
                    "threads": 1,
                    # Bytes of log after which it is merged into the file. After a kill the start plays it back, row
                    # by row: 4,000 rows take a second, DuckDB's default of 16 MB five.
                    "checkpoint_threshold": "2MB",
                    # No statement of ours reads files or loads code, so none ever shall.
                    "enable_external_access": False,
                    "autoinstall_known_extensions": False,
                    "autoload_known_extensions": False,
                },
            )
        except (duckdb.Error, OSError) as error:
            raise CatalogUnusable(_why_unusable(path, error)) from error
        try:
            with _translated():
                self._connection.execute(files(__package__).joinpath("schema.sql").read_text("utf-8"))
                self._connection.execute("SET GLOBAL TimeZone = 'UTC'; SET GLOBAL lock_configuration = true")
        except CatalogError as error:
            self._connection.close()
            raise CatalogUnusable(f"catalog {path}: its tables cannot be made: {error}") from error

    def run(self, work: Callable[[Cursor], T]) -> asyncio.Future[T]:
        """Run `work` in a thread of the catalog's pool, with that thread's cursor. Raises CatalogError.

        It is handed in at once, not only when it is awaited: `close` waits for it.
        """
        if self._closed:
            raise CatalogError("the catalog is closed")
        return self._pool.run(lambda: work(self._cursor()))

    async def query(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        """One statement; its rows. Raises CatalogError."""
        return await self.run(lambda cursor: cursor.query(sql, parameters))

    def close(self) -> None:
        """Let the queries that were handed in end, then write everything into the file. May be called twice."""
        self._closed = True
        self._pool.close()
        self._connection.close()

    def _cursor(self) -> Cursor:
        if not hasattr(self._local, "cursor"):
            with _translated():
                self._local.cursor = Cursor(self._connection.cursor())
        cursor: Cursor = self._local.cursor
        return cursor


@contextmanager
def _translated() -> Any:
    try:
        yield
    # duckdb raises RuntimeError for a value it cannot convert, such as text with a lone surrogate
    except (duckdb.Error, RuntimeError) as error:
        raise CatalogError(" ".join(str(error).split())) from error


def _why_unusable(path: Path, error: Exception) -> str:
    text = " ".join(str(error).split())
    if holder := re.search(r"lock is held in (\S+) \(PID (\d+)\)", text):
        return f"catalog {path}: another process holds it: PID {holder[2]}, {holder[1]}; stop that one first"
    if "not a valid DuckDB database file" in text:
        return f"catalog {path}: not a DuckDB database file; move it away, or set catalog.url to another"
    return f"catalog {path}: cannot be opened or made: {text}"


def now() -> datetime:
    """The time as the catalog keeps it: naive UTC."""
    return datetime.now(UTC).replace(tzinfo=None)


def utc(microseconds: int | None) -> datetime | None:
    """What SQL's `epoch_us` gave, as an aware time in UTC: it means the same whether a column has a zone or not.

    DuckDB holds times that Python does not; they become the nearest that it does.
    """
    if microseconds is None:
        return None
    return EPOCH + min(max(timedelta(microseconds=microseconds), EARLIEST), LATEST)


def microseconds(moment: datetime | None) -> int | None:
    """An aware time for SQL's `make_timestamp`; the inverse of `utc`."""
    return None if moment is None else (moment - EPOCH) // timedelta(microseconds=1)
