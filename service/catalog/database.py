"""The DuckDB file: one connection, a cursor for each piece of work, the schema.

- A connection shared between threads gives wrong results; a cursor for each piece of work does not.
- After some failures (a checkpoint on a full disk) DuckDB refuses everything until the file is opened again. That is
  done here, by the next work that comes.
- DuckDB goes on as if nothing were wrong when the file is removed or replaced, and all rows would be lost. Nothing is
  read or written then, until the file is back.
- A checkpoint removes the `.wal` at the path, whichever file it belongs to. So there is none unless the file is the one
  that was opened, and DuckDB's own at the end is off.
- Times are kept as naive UTC: DuckDB shifts aware ones into the host's zone.
"""

import asyncio
import logging
import math
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

import duckdb

from service.pools import Pool

T = TypeVar("T")
Row = dict[str, Any]

log = logging.getLogger(__name__)

FRESH = 1  # seconds that a successful check of readiness holds: it writes, and anybody may ask for it
PAUSE = 1  # seconds between attempts to open the file again

ROOM = 1024 * 1024  # bytes that must be free: in a full disk's last block there is room for WRITE, and not for a row

# The smallest change that reaches the disk: about 70 bytes, and no row.
WRITE = "SELECT nextval('readiness')"

# What an operator can do about words in DuckDB's own sentences.
REMEDIES = {
    "No space left on device": "free space on the catalog's disk, the service then goes on by itself",
    "Disk quota exceeded": "raise the quota on the catalog's disk, the service then goes on by itself",
    "Read-only file system": "make the catalog's file system writable, the service then goes on by itself",
    "Corrupt": "restore the catalog from a backup; to move it and its .wal away begins an empty one",
    "Permission denied": "let the service's user read and write the catalog's file and directory",
}

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EARLIEST = datetime.min.replace(tzinfo=UTC) - EPOCH
LATEST = datetime.max.replace(tzinfo=UTC) - EPOCH


class CatalogError(Exception):
    """A query failed. The text is for the log, never for a client."""


class CatalogInvalidated(CatalogError):
    """DuckDB has given up: nothing works any more until the file is opened again."""


class CatalogUnusable(CatalogError):
    """The catalog cannot be opened; the text is one line that tells an operator why."""


class Cursor:
    """A piece of work's way to the database. Errors come as CatalogError."""

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
        self._path = path
        self._pool = pool
        self._memory_limit = memory_limit
        self._closed = False
        self._checked = -math.inf  # when something could last be written, on the monotonic clock
        self._using = 0  # threads that work with the connection
        self._changed = threading.Condition()  # guards what follows, and says that it or `_using` is another
        self._usable = True
        self._attempted = -math.inf  # when it was last tried to open the file again
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CatalogUnusable(_why_unusable(path, error)) from error
        self._connection = _connected(path, memory_limit)
        self._file = _identity(path)

    def run(self, work: Callable[[Cursor], T]) -> asyncio.Future[T]:
        """Run `work` in a thread of the catalog's pool, with a cursor of its own. Raises CatalogError.

        It is handed in at once, not only when it is awaited: `close` waits for it.
        """
        if self._closed:
            raise CatalogError("the catalog is closed")
        return self._pool.run(self._work, work)

    async def query(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        """One statement; its rows. Raises CatalogError."""
        return await self.run(lambda cursor: cursor.query(sql, parameters))

    async def check(self) -> None:
        """Raises CatalogError unless rows can be written: something is, unless that went well a moment ago."""
        if time.monotonic() - self._checked > FRESH:
            await self.run(self._check)
            self._checked = time.monotonic()

    def close(self) -> None:
        """Let the queries that were handed in end, then write everything into the file. May be called twice."""
        if self._closed:
            return
        self._closed = True
        self._pool.close()
        try:
            if self._usable and _identity(self._path) == self._file:
                with _translated():
                    self._connection.execute("CHECKPOINT")
        except CatalogError as error:
            log.warning("catalog %s: closed with rows in its .wal, the next start reads them: %s", self._path, error)
        self._connection.close()

    def _check(self, cursor: Cursor) -> None:
        cursor.query(WRITE)
        try:
            free = shutil.disk_usage(self._path.parent).free
        except OSError as error:
            raise CatalogError(f"catalog {self._path}: {error}") from error
        if free < ROOM:
            raise CatalogError(f"catalog {self._path}: {REMEDIES['No space left on device']}")

    def _work(self, work: Callable[[Cursor], T]) -> T:
        try:
            with self._in_use() as connection, closing(_cursor(connection)) as cursor:
                return work(Cursor(cursor))
        except CatalogError:
            self._checked = -math.inf
            raise

    @contextmanager
    def _in_use(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """The connection, which stays open inside; one that has become unusable is replaced before."""
        with self._changed:
            while not self._usable and self._using:
                self._changed.wait()
            if not self._usable:
                self._open_again()
            self._demand_its_file()
            self._using += 1
            connection = self._connection
        try:
            yield connection
        except CatalogInvalidated as error:  # said while it still counts as in use: it is this one that gave up
            self._give_up(error)
            raise
        finally:
            with self._changed:
                self._using -= 1
                self._changed.notify_all()

    def _give_up(self, error: CatalogInvalidated) -> None:
        with self._changed:
            if self._usable:
                log.error("catalog %s: DuckDB gave up, it will be opened again: %s", self._path, error)
            self._usable = False

    def _open_again(self) -> None:
        """Nobody uses the connection. Raises CatalogError."""
        if time.monotonic() - self._attempted < PAUSE:
            raise CatalogError(f"catalog {self._path}: was tried to be opened again a moment ago, in vain")
        self._attempted = time.monotonic()
        self._connection.close()  # or DuckDB would hand out the one that gave up
        self._demand_its_file()
        self._connection = _connected(self._path, self._memory_limit)
        self._usable = True
        log.warning("catalog %s: open again", self._path)

    def _demand_its_file(self) -> None:
        if _identity(self._path) != self._file:
            raise CatalogError(f"catalog {self._path}: the file is gone or another; put it back, or restart")


def _connected(path: Path, memory_limit: str) -> duckdb.DuckDBPyConnection:
    """The file, opened or made, with its tables. Raises CatalogUnusable."""
    try:
        connection = duckdb.connect(
            path,
            config={
                "memory_limit": memory_limit,
                # Queries run in the pool's threads; more inside DuckDB would take cores from the exports.
                "threads": 1,
                # Bytes of log after which it is merged into the file. After a kill the start plays it back, row by
                # row: 4,000 rows take a second, DuckDB's default of 16 MB five.
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
            connection.execute("PRAGMA disable_checkpoint_on_shutdown")
            connection.execute(files(__package__).joinpath("schema.sql").read_text("utf-8"))
            connection.execute("SET GLOBAL TimeZone = 'UTC'; SET GLOBAL lock_configuration = true")
    except CatalogError as error:
        connection.close()
        raise CatalogUnusable(f"catalog {path}: its tables cannot be made: {error}") from error
    return connection


def _cursor(connection: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    with _translated():
        return connection.cursor()


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file is there, if one is."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (duckdb.FatalException, duckdb.InternalException) as error:
        raise CatalogInvalidated(_sentence(error)) from error
    # duckdb raises RuntimeError for a value it cannot convert, such as text with a lone surrogate
    except (duckdb.Error, RuntimeError) as error:
        raise CatalogError(_sentence(error)) from error


def _sentence(error: Exception) -> str:
    """The error in one line, with what can be done about it where that is known."""
    text = " ".join(str(error).split())
    remedies = [remedy for words, remedy in REMEDIES.items() if words in text]
    return "; ".join([text, *remedies])


def _why_unusable(path: Path, error: Exception) -> str:
    text = " ".join(str(error).split())
    if holder := re.search(r"lock is held in (\S+) \(PID (\d+)\)", text):
        return f"catalog {path}: another process holds it: PID {holder[2]}, {holder[1]}; stop that one first"
    if "not a valid DuckDB database file" in text:
        return f"catalog {path}: not a DuckDB database file; move it away, or set catalog.url to another"
    return f"catalog {path}: cannot be opened or made: {_sentence(error)}"


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
