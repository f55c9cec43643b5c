"""The catalog in PostgreSQL 14 or newer: at most one connection for each thread of the catalog's pool.

- If a connection breaks, its work runs once more on a new one, so clients do not notice restarts and killed
  connections. If the response to a commit is lost, it is unknown whether it took place: see `Database.run`.
- The server limits each statement and each wait for a lock. A frozen server enforces no limit: only shutting down the
  socket ends the wait, which `Watchdog` does.
- A pooler may not pass on startup options (PgBouncer). Then these limits must be set on the role, and statements are
  not prepared.
"""

import asyncio
import contextlib
import logging
import math
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeAlias, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import TransactionStatus
from psycopg.rows import dict_row

from service.catalog.database import CatalogError, CatalogUncertain, CatalogUnusable, Cursor, Database, Row, now
from service.catalog.schema import prepare_schema
from service.pools import Pool

T = TypeVar("T")
Connection: TypeAlias = psycopg.Connection[Row]

log = logging.getLogger(__name__)

TIMEOUT = 5.0  # seconds for a statement, and for connecting; work that is retried ends after twice that
FRESH = 1  # seconds for which a successful check is remembered

READ_ONLY = "25006"  # the SQLSTATE of a server that has become a standby: a new connection may find the primary

NEEDED_RIGHTS = (
    "grant the role USAGE and CREATE on the schema (CREATE for the first start and for upgrades), and SELECT, INSERT, "
    "UPDATE and DELETE on its tables"
)

# Remedies for an operator, by a part of PostgreSQL's message.
REMEDIES = {
    "password authentication failed": "check the user and the password of catalog.url, or the file PGPASSFILE",
    "no password supplied": "put the password into catalog.url, or into the file PGPASSFILE",
    "FATAL: database": "make it with createdb, or set catalog.url to another",
    "permission denied": NEEDED_RIGHTS,
    "no schema has been selected": NEEDED_RIGHTS,
    "too many clients": "raise max_connections of PostgreSQL, or lower catalog.threads",
    "remaining connection slots": "raise max_connections of PostgreSQL, or lower catalog.threads",
    "too many connections for": "raise the CONNECTION LIMIT of the role or database, or lower catalog.threads",
    "certificate verify failed": "let sslrootcert in catalog.url name the authority of PostgreSQL's certificate",
    "does not match host name": "use the host name that is in PostgreSQL's certificate",
    "No space left on device": "free space on PostgreSQL's disk, the service then goes on by itself",
}


class PostgresCursor(Cursor):
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def query(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        with _translated_errors(self._connection):
            result = self._connection.execute(sql, [_without_nul(value) for value in parameters] or None)
            return result.fetchall() if result.description else []

    def insert(self, sql: str, parameters: Sequence[object]) -> None:
        self.query(f"{sql} ON CONFLICT DO NOTHING", parameters)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with _translated_errors(self._connection), self._connection.transaction():
            yield

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        with self.transaction():
            self.query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield


class PostgresDatabase(Database):
    exclusive = False

    def __init__(self, url: str, shown: str, pool: Pool, timeout: float = TIMEOUT) -> None:
        """Connect and bring the schema up to date. Blocks. Raises CatalogUnusable; `shown` is the URL in its text."""
        self.clock_offset = timedelta(0)
        self._url = url
        self._pool = pool
        self._timeout = timeout
        self._closed = False
        self._checked = -math.inf  # when the last check succeeded, on the monotonic clock
        self._idle: list[Connection] = []  # the one returned last is taken first
        self._lock = threading.Lock()  # guards `_idle`
        try:
            connection = self._connect()
            self._idle.append(connection)
            prepare_schema(PostgresCursor(connection), "postgres")
        except (CatalogError, psycopg.Error) as error:
            self._close_idle()
            raise CatalogUnusable(f"catalog {shown}: {_sentence(error).replace(url, shown)}") from error
        self._watchdog = Watchdog()

    def run(self, work: Callable[[Cursor], T]) -> asyncio.Future[T]:
        if self._closed:
            raise CatalogError("the catalog is closed")
        return self._pool.run(self._work, work)

    async def check(self) -> None:
        if time.monotonic() - self._checked > FRESH:
            await self.query("SELECT 1")
            self._checked = time.monotonic()

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._pool.close()
        self._watchdog.stop()
        self._close_idle()

    def _work(self, work: Callable[[Cursor], T]) -> T:
        deadline = time.monotonic() + 2 * self._timeout
        try:
            return self._attempt(work, deadline)
        except CatalogUncertain as lost:
            self._checked = -math.inf
            if time.monotonic() > deadline:
                raise
            self._close_idle()  # after a restart all of them are broken
            try:
                return self._attempt(work, deadline)
            except CatalogError as error:  # whether the first attempt was committed is not known
                raise CatalogUncertain(str(error)) from lost

    def _attempt(self, work: Callable[[Cursor], T], deadline: float) -> T:
        connection = self._take()
        try:
            with self._watchdog.watching(connection, deadline):
                return work(PostgresCursor(connection))
        finally:
            self._give_back(connection)

    def _take(self) -> Connection:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        try:
            return self._connect()
        except psycopg.Error as error:
            raise CatalogError(_sentence(error)) from error

    def _give_back(self, connection: Connection) -> None:
        if connection.closed or connection.info.transaction_status != TransactionStatus.IDLE:
            connection.close()
            return
        with self._lock:
            self._idle.append(connection)

    def _close_idle(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _connect(self) -> Connection:
        milliseconds = int(self._timeout * 1000)
        limits = f"-c statement_timeout={milliseconds} -c lock_timeout={milliseconds // 2} -c timezone=UTC"
        options = conninfo_to_dict(self._url).get("options") or ""
        try:
            connection = self._connected(options=f"{options} {limits}")
        except psycopg.OperationalError as error:
            if "startup parameter" not in str(error):
                raise
            connection = self._connected()
        (row,) = connection.execute(
            "SELECT setting, CAST(clock_timestamp() AT TIME ZONE 'UTC' AS TIMESTAMP) AS time "
            "FROM pg_settings WHERE name = 'statement_timeout'"
        )
        self.clock_offset = row["time"] - now()
        if row["setting"] != str(milliseconds):  # another server connection may be used for each transaction
            connection.prepare_threshold = None
        return connection

    def _connected(self, **options: Any) -> Connection:
        return psycopg.connect(
            self._url,
            autocommit=True,
            row_factory=dict_row,
            cursor_factory=psycopg.RawCursor,  # which takes $1, $2
            application_name="session-export",
            connect_timeout=max(2, int(self._timeout)),  # seconds; libpq takes no less than 2
            keepalives_idle=5,
            keepalives_interval=2,
            keepalives_count=3,
            tcp_user_timeout=int(2 * self._timeout * 1000),
            **options,
        )


class Watchdog:
    """Ends the wait for a frozen server, by shutting down the socket of each connection that exceeds its deadline."""

    def __init__(self) -> None:
        self._deadlines: dict[Connection, float] = {}
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="catalog-watchdog", daemon=True)
        self._thread.start()

    @contextmanager
    def watching(self, connection: Connection, deadline: float) -> Iterator[None]:
        """`deadline` is of `time.monotonic`."""
        with self._lock:
            self._deadlines[connection] = deadline
        try:
            yield
        finally:
            with self._lock:
                del self._deadlines[connection]

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stopped.wait(0.25):
            with self._lock:
                for connection, deadline in self._deadlines.items():
                    if time.monotonic() > deadline:
                        _shut_down(connection)


def _without_nul(value: object) -> object:
    """The value with U+FFFD instead of NUL, which PostgreSQL's text cannot hold."""
    if isinstance(value, list):
        return [_without_nul(item) for item in value]
    return value.replace("\0", "\ufffd") if isinstance(value, str) else value


def _shut_down(connection: Connection) -> None:
    """Shut down the socket: the thread that waits for the server gets an end of file."""
    with contextlib.suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as overdue:
        overdue.shutdown(socket.SHUT_RDWR)


@contextmanager
def _translated_errors(connection: Connection) -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        if error.sqlstate == READ_ONLY:
            connection.close()
        kind = CatalogUncertain if connection.closed else CatalogError
        raise kind(_sentence(error)) from error
    except ValueError as error:  # text with NUL or a lone surrogate
        raise CatalogError(_sentence(error)) from error


def _sentence(error: Exception) -> str:
    """The error in one line, with a remedy where one is known."""
    text = " ".join(str(error).split())
    remedies = [remedy for words, remedy in REMEDIES.items() if words in text]
    return "; ".join([text, *remedies])
