"""The catalog in a DuckDB file: one connection, and a cursor of its own for each piece of work.

- A connection that threads share gives wrong results; a cursor for each piece of work does not.
- After some failures (a checkpoint on a full disk) DuckDB refuses everything until the file is opened again. The next
  work does that.
- All work shares DuckDB's memory. Work that runs out of it runs once more, alone. What does not fit even then spills
  into a directory beside the file.
- DuckDB does not notice when its file is removed or replaced, and all rows would be lost. So nothing is read or written
  until the file is back.
- A checkpoint removes the `.wal` at the path, whichever file it belongs to. So a checkpoint runs only if the file at
  the path is the one that was opened, and DuckDB's own checkpoint on close is off.
- DuckDB shifts aware times into the host's time zone, so times are kept as naive UTC.
- Secondary indexes and upserts have caused fatal errors, so neither is used.
"""

import asyncio
import logging
import math
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import duckdb

from service.catalog.database import CatalogError, CatalogUnusable, Cursor, Database, Row
from service.catalog.schema import prepare_schema
from service.pools import Pool

T = TypeVar("T")

log = logging.getLogger(__name__)

FRESH = 1  # seconds for which a successful check is reused: a check writes, and anybody may request one
PAUSE = 1  # seconds between attempts to open the file again

MIN_FREE = 1024 * 1024  # bytes: the last block of a full disk may have room for WRITE, but not for a row

# The smallest change that reaches the disk: about 70 bytes, and no row.
WRITE = "SELECT nextval('readiness')"

# Remedies for an operator, by a part of DuckDB's message.
REMEDIES = {
    "No space left on device": "free space on the catalog's disk, the service then goes on by itself",
    "Disk quota exceeded": "raise the quota on the catalog's disk, the service then goes on by itself",
    "Read-only file system": "make the catalog's file system writable, the service then goes on by itself",
    "Out of Memory Error": "raise catalog.memory_limit",
    "Corrupt": "restore the catalog from a backup; to move it and its .wal away begins an empty one",
    "Permission denied": "let the service's user read and write the catalog's file and directory",
}


class CatalogInvalidated(CatalogError):
    """DuckDB has invalidated the database: every query fails until the file is opened again."""


class OutOfMemory(CatalogError):
    """All work together needs more than `catalog.memory_limit`."""


class DuckdbCursor(Cursor):
    def __init__(self, cursor: duckdb.DuckDBPyConnection) -> None:
        self._cursor = cursor

    def query(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        with _translated_errors():
            result = self._cursor.execute(sql, parameters)
            names = [column[0] for column in result.description or ()]
            return [dict(zip(names, row, strict=True)) for row in result.fetchall()]

    def insert(self, sql: str, parameters: Sequence[object]) -> None:
        self.query(sql, parameters)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self.query("BEGIN TRANSACTION")
        try:
            yield
        except BaseException:
            self.query("ROLLBACK")
            raise
        self.query("COMMIT")

    snapshot = transaction  # all of DuckDB's transactions are snapshots


class DuckdbDatabase(Database):
    exclusive = True
    clock_offset = timedelta(0)

    def __init__(self, path: Path, pool: Pool, memory_limit: str) -> None:
        """Open the file; create it and its directory if missing. Blocks. Raises CatalogUnusable."""
        self._path = path
        self._pool = pool
        self._memory_limit = memory_limit
        self._closed = False
        self._checked = -math.inf  # when a check last succeeded, on the monotonic clock
        self._entry = threading.RLock()  # held while work begins, and by work that runs alone until its end
        self._using = 0  # threads that work with the connection
        self._changed = threading.Condition()  # guards the fields below; notified when one of them or `_using` changes
        self._usable = True
        self._attempted = -math.inf  # when the last attempt was made to open the file again
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CatalogUnusable(_why_unusable(path, error)) from error
        self._connection = _connect(path, memory_limit)
        self._file = _identity(path)

    def run(self, work: Callable[[Cursor], T]) -> asyncio.Future[T]:
        if self._closed:
            raise CatalogError("the catalog is closed")
        return self._pool.run(self._work, work)

    async def check(self) -> None:
        """Raises CatalogError unless rows can be written. It writes, unless a check succeeded a moment ago."""
        if time.monotonic() - self._checked > FRESH:
            await self.run(self._check)
            self._checked = time.monotonic()

    def close(self) -> None:
        """Wait for all work, then merge everything into the file."""
        if self._closed:
            return
        self._closed = True
        self._pool.close()
        try:
            if self._usable and _identity(self._path) == self._file:
                with _translated_errors():
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
        if free < MIN_FREE:
            raise CatalogError(f"catalog {self._path}: {REMEDIES['No space left on device']}")

    def _work(self, work: Callable[[Cursor], T]) -> T:
        try:
            with suppress(OutOfMemory):
                return self._work_once(work)
            with self._alone():
                return self._work_once(work)
        except CatalogError:
            self._checked = -math.inf
            raise

    def _work_once(self, work: Callable[[Cursor], T]) -> T:
        with self._in_use() as connection, closing(_cursor(connection)) as cursor:
            return work(DuckdbCursor(cursor))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """No other thread works with the connection inside the block."""
        with self._entry:
            with self._changed:
                self._changed.wait_for(lambda: not self._using)
            yield

    @contextmanager
    def _in_use(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """The connection, which stays open inside the block. An unusable one is replaced first."""
        with self._entry, self._changed:
            while not self._usable and self._using:
                self._changed.wait()
            if not self._usable:
                self._open_again()
            self._check_file()
            self._using += 1
            connection = self._connection
        try:
            yield connection
        except (
            CatalogInvalidated
        ) as error:  # handled while the connection is in use, so that no newer one is marked instead
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
        """Open the file again. Call it only while no thread uses the connection. Raises CatalogError."""
        if time.monotonic() - self._attempted < PAUSE:
            raise CatalogError(f"catalog {self._path}: could not be opened again a moment ago")
        self._attempted = time.monotonic()
        self._connection.close()  # or DuckDB would hand out the one that gave up
        self._check_file()
        self._connection = _connect(self._path, self._memory_limit)
        self._usable = True
        log.warning("catalog %s: open again", self._path)

    def _check_file(self) -> None:
        if _identity(self._path) != self._file:
            raise CatalogError(f"catalog {self._path}: the file is gone or replaced; put it back, or restart")


def _connect(path: Path, memory_limit: str) -> duckdb.DuckDBPyConnection:
    """Open the file, or make it, and bring its tables up to date. Raises CatalogUnusable."""
    try:
        connection = duckdb.connect(
            path,
            config={
                "memory_limit": memory_limit,
                # Queries run in the pool's threads; threads inside DuckDB would take cores from the exports.
                "threads": 1,
                # Size of the .wal at which it is merged into the file. After a kill the start replays it row by row:
                # 4,000 rows take a second, DuckDB's default of 16 MB five.
                "checkpoint_threshold": "2MB",
                # No statement of this service reads files or loads code, so both are disabled.
                "enable_external_access": False,
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
            },
        )
    except (duckdb.Error, OSError) as error:
        raise CatalogUnusable(_why_unusable(path, error)) from error
    try:
        with _translated_errors():
            connection.execute("PRAGMA disable_checkpoint_on_shutdown")
            connection.execute("SET GLOBAL TimeZone = 'UTC'; SET GLOBAL lock_configuration = true")
        prepare_schema(DuckdbCursor(connection), "duckdb")
    except CatalogError as error:
        connection.close()
        raise CatalogUnusable(f"catalog {path}: {error}") from error
    return connection


def _cursor(connection: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    with _translated_errors():
        return connection.cursor()


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file is at the path; None if there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


@contextmanager
def _translated_errors() -> Iterator[None]:
    try:
        yield
    except (duckdb.FatalException, duckdb.InternalException) as error:
        raise CatalogInvalidated(_sentence(error)) from error
    except duckdb.OutOfMemoryException as error:
        raise OutOfMemory(_sentence(error)) from error
    # duckdb raises RuntimeError for a value it cannot convert, such as text with a lone surrogate
    except (duckdb.Error, RuntimeError) as error:
        raise CatalogError(_sentence(error)) from error


def _sentence(error: Exception) -> str:
    """The error in one line, with a remedy where one is known."""
    text = " ".join(str(error).split())
    remedies = [remedy for words, remedy in REMEDIES.items() if words in text]
    return "; ".join([text, *remedies])


def _why_unusable(path: Path, error: Exception) -> str:
    text = " ".join(str(error).split())
    if holder := re.search(r"lock is held in (\S+) \(PID (\d+)\)", text):
        return f"catalog {path}: another process holds it: PID {holder[2]}, {holder[1]}; stop that one first"
    if "not a valid DuckDB database file" in text:
        return f"catalog {path}: not a DuckDB database file; move it away, or set catalog.url to another"
    if "we can only read versions" in text:
        return (
            f"catalog {path}: made by a newer DuckDB than {duckdb.__version__}, which is installed; install the newer "
            "one again, such as pip install 'duckdb>=2'"
        )
    return f"catalog {path}: cannot be opened or made: {_sentence(error)}"
