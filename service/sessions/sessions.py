"""What sessions a user has: the catalog's rows merged with the store's files.

A `UserSessions` is bound to one user: code that holds one can neither name another user nor reach their files.
"""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TypeVar

from service.catalog import CatalogError, Usage, UsageRow, User, Users, utc
from service.pools import Pool
from service.store import Listing, OpenFile, SessionFile, SessionStore, UserFiles, user_directories
from service.store.layout import email_local

T = TypeVar("T")
log = logging.getLogger(__name__)


class UserNotFound(Exception):
    """The catalog has no such user."""


@dataclass(frozen=True, slots=True)
class Session:
    """One session, processed (the catalog knows it) or not. Times are aware, in UTC; sizes are bytes."""

    session_file: str
    session_id: str
    started_at: datetime | None
    ended_at: datetime | None
    active_seconds: int | None
    wall_seconds: int | None
    tool_calls: int | None
    tool_errors: int | None
    primary_model: str | None
    processed: bool
    size_bytes: int | None
    available: bool


class ProcessedSessions:
    """The usage table as lists need it: a table that cannot be read makes every session an unprocessed one."""

    def __init__(self, usage: Usage) -> None:
        self._usage = usage
        self.failures = 0  # since the start

    async def page(self, user: User, limit: int, offset: int) -> tuple[frozenset[str], list[UsageRow]]:
        """All names that the catalog knows for the user, and a page of their rows; none if it cannot be read."""
        names = (email_local(user.email) or None, user.email or None)
        try:
            return await self._usage.page(user.id, names, limit, offset)
        except CatalogError as error:
            self.failures += 1
            log.error(  # noqa: TRY400 - the database's own sentence says all
                "usage cannot be read, sessions are listed as unprocessed (failure %d since the start): %s",
                self.failures,
                error,
            )
            return frozenset(), []


class Sessions:
    """All users' sessions; `of` narrows them to one user's."""

    def __init__(self, users: Users, usage: Usage, store: SessionStore, pool: Pool, layouts: tuple[str, ...]) -> None:
        """`pool` is the one for file work."""
        self._users = users
        self._processed = ProcessedSessions(usage)
        self._store = store
        self._pool = pool
        self._layouts = layouts

    @property
    def usage_failures(self) -> int:
        """How often the usage table could not be read since the start."""
        return self._processed.failures

    @asynccontextmanager
    async def of(self, user_id: str) -> AsyncIterator["UserSessions"]:
        """The user's sessions, closed at the end. Raises UserNotFound or CatalogError."""
        user = await self._users.find(user_id)
        if user is None:
            raise UserNotFound
        directories = user_directories(self._layouts, user.id, user.email)
        open_files = partial(self._store.user_files, directories)
        sessions = UserSessions(user, open_files, self._processed, self._pool)
        try:
            yield sessions
        finally:
            sessions.close()


class UserSessions:
    """One user's sessions. Made by `Sessions.of`. What works on files raises StoreUnavailable."""

    def __init__(
        self, user: User, open_files: Callable[[], UserFiles], processed: ProcessedSessions, pool: Pool
    ) -> None:
        """`open_files` opens this user's directories and no others."""
        self.user = user
        self.open_files = open_files
        self._processed = processed
        self._pool = pool
        self._opened: UserFiles | None = None

    @property
    def username(self) -> str:
        """What the user is called in file names and the audit log: the e-mail's local part, else the id."""
        return email_local(self.user.email) or self.user.id

    async def exist(self) -> bool:
        """Whether any of the user's directories exists."""
        return await self._on_files(lambda files: files.exists)

    async def listing(self) -> Listing:
        """Every session file, and the files that are skipped though they look like one."""
        return await self._on_files(lambda files: files.list())

    async def open(self, name: str) -> OpenFile:
        """Open a session file; see `UserFiles.open`."""
        return await self._pool.run_to_end(self.open_blocking, lambda file: file.close(), name)

    def open_blocking(self, name: str) -> OpenFile:
        """The same for code that runs in a thread."""
        return self._files().open(name)

    def close(self) -> None:
        """Close the directories, until they are needed again."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    async def page(self, limit: int, offset: int) -> tuple[list[Session], int]:
        """A page of the sessions and their number: processed first, each newest first, ties by name."""
        names, rows = await self._processed.page(self.user, limit, offset)
        return await self._on_files(lambda files: _merged(files, names, rows, limit, offset))

    async def _on_files(self, work: Callable[[UserFiles], T]) -> T:
        # To its end: directories that it opens after `close` would stay open for ever.
        return await self._pool.run_to_end(lambda: work(self._files()), lambda _: None)

    def _files(self) -> UserFiles:
        """The directories, opened at the first use: in a thread, and once, as requests go one step after another."""
        if self._opened is None:
            self._opened = self.open_files()
        return self._opened


def _merged(
    files: UserFiles, names: frozenset[str], rows: list[UsageRow], limit: int, offset: int
) -> tuple[list[Session], int]:
    others = files.names() - names
    page = [_processed(row, files.stat_file(row.session_file)) for row in rows]
    if others and len(page) < limit:  # only now their order matters, and for that each must be looked at
        unprocessed = [file for name in others if (file := files.stat_file(name))]
        unprocessed.sort(key=lambda file: (-file.mtime_ns, file.name))
        first = max(offset - len(names), 0)
        page += [_unprocessed(file) for file in unprocessed[first : first + limit - len(page)]]
    return page, len(names) + len(others)


def _processed(row: UsageRow, file: SessionFile | None) -> Session:
    return Session(
        session_file=row.session_file,
        session_id=row.session_id,
        started_at=row.started_at,
        ended_at=row.ended_at,
        active_seconds=row.active_seconds,
        wall_seconds=row.wall_seconds,
        tool_calls=row.tool_calls,
        tool_errors=row.tool_errors,
        primary_model=row.primary_model,
        processed=True,
        size_bytes=file.size if file else None,
        available=file is not None,
    )


def _unprocessed(file: SessionFile) -> Session:
    return Session(
        session_file=file.name,
        session_id=file.name.removesuffix(".jsonl"),
        started_at=utc(file.mtime_ns // 1000),
        ended_at=None,
        active_seconds=None,
        wall_seconds=None,
        tool_calls=0,
        tool_errors=0,
        primary_model=None,
        processed=False,
        size_bytes=file.size,
        available=True,
    )
