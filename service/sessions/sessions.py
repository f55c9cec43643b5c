"""The sessions of users: the catalog's rows merged with the store's files.

A `UserSessions` is bound to one user: code that holds one can neither name another user nor reach their files.
"""

import logging
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple, TypeVar

from service.catalog import After, CatalogError, DayCount, Selection, SessionRow, SessionSearch, Sort, User, Users, utc
from service.pools import Pool
from service.sessions.directory import UserNotFound
from service.sessions.folders import Folders, batches
from service.sessions.indexer import Indexer
from service.store import Listing, OpenFile, SessionFile, UserFiles
from service.store.layout import email_local

T = TypeVar("T")
SELECTED_TOGETHER = 250  # users whose selected files are found with one query and one call in a thread
log = logging.getLogger(__name__)


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
    title: str | None
    project: str | None
    models: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UsersSession(Session):
    """A session with its user."""

    user_id: str
    email: str | None


class SelectedUser(NamedTuple):
    """A user with selected files. `open_files` opens this user's directories and no others; the caller closes them."""

    user: User
    listing: Listing
    open_files: Callable[[], UserFiles]


def username(user_id: str, email: str) -> str:
    """The user's name in file names and the audit log: the e-mail's local part, else the id."""
    return email_local(email) or user_id


class Sessions:
    """All users' sessions; `of` narrows them to one user's."""

    def __init__(self, users: Users, folders: Folders, search: SessionSearch, indexer: Indexer, pool: Pool) -> None:
        """`pool` is the one for file work."""
        self._users = users
        self._folders = folders
        self._search = search
        self._indexer = indexer
        self._pool = pool

    @property
    def usage_failures(self) -> int:
        """How often the usage table could not be read since the start."""
        return self._search.usage_failures

    @asynccontextmanager
    async def of(self, user_id: str) -> AsyncIterator["UserSessions"]:
        """The user's sessions, closed at the end. Raises UserNotFound or CatalogError."""
        user = await self._users.find(user_id)
        if user is None:
            raise UserNotFound
        sessions = UserSessions(user, self._folders, self._search, self._indexer, self._pool)
        try:
            yield sessions
        finally:
            sessions.close()

    async def across(
        self, selection: Selection, sort: Sort, after: After | None, limit: int
    ) -> tuple[list[UsersSession], After | None, int]:
        """A page of the selected sessions of all users, the position of the next page, and the number of all.

        Raises NotIndexedInTime, StoreUnavailable or CatalogError.
        """
        await self._refresh(selection)
        rows, following, total = await self._search.across(selection, sort, after, limit)
        emails = {user.id: user.email for user in await self._users.some({row.user_id for row in rows})}
        return [_users_session(row, emails.get(row.user_id)) for row in rows], following, total

    async def by_day(self, selection: Selection) -> list[DayCount]:
        """The sessions that are selected, of all users, counted by the day on which they began. Raises as `across`."""
        await self._refresh(selection)
        return await self._search.by_day(selection)

    async def _refresh(self, selection: Selection) -> None:
        """Index what a list of this selection needs."""
        users = await self._folders.users(selection.user_ids)
        if selection.needs_facts:
            await self._indexer.refresh(users, facts=True)
        else:
            await self._indexer.refresh_list(users)

    async def select(self, selection: Selection) -> AsyncIterator[SelectedUser]:
        """Each user with selected files, sorted by id.

        Raises NotIndexedInTime before the first, StoreUnavailable and CatalogError.
        """
        users = await self._folders.users(selection.user_ids)
        if selection.needs_facts:
            await self._indexer.refresh(users, facts=True)
        open_files = self._folders.open  # one object for all users
        for batch in batches(users, SELECTED_TOGETHER):
            for user, listing in await self._selected_of(batch, selection):
                if listing.names or listing.skipped:
                    yield SelectedUser(user, listing, partial(open_files, user))

    async def _selected_of(self, users: Sequence[User], selection: Selection) -> Iterable[tuple[User, Listing]]:
        """The listings of the selected files of these users, who are few enough to keep all names in memory."""
        if not selection.needs_facts:
            return zip(users, await self._list_all(users), strict=True)
        names = await self._search.selected_files(replace(selection, user_ids=tuple(user.id for user in users)))
        users = [user for user in users if user.id in names]
        listings = await self._list_all(users)
        return [(user, listing.narrowed(names[user.id])) for user, listing in zip(users, listings, strict=True)]

    async def _list_all(self, users: Sequence[User]) -> list[Listing]:
        return await self._pool.run(lambda: list(self._folders.list_all(users)))


class UserSessions:
    """One user's sessions. Made by `Sessions.of`. Methods that use files raise StoreUnavailable."""

    def __init__(self, user: User, folders: Folders, search: SessionSearch, indexer: Indexer, pool: Pool) -> None:
        self.user = user
        self.open_files = partial(folders.open, user)  # opens this user's directories and no others; the caller closes
        self._refresh = partial(indexer.refresh, [user])
        self._search = search
        self._unprocessed = partial(folders.unprocessed, user)
        self._pool = pool
        self._opened: UserFiles | None = None

    @property
    def username(self) -> str:
        return username(self.user.id, self.user.email)

    async def exist(self) -> bool:
        """Whether any of the user's directories exists."""
        return await self._on_files(lambda files: files.exists)

    async def listing(self) -> Listing:
        """Every session file, and the skipped files that have such a name."""
        return await self._on_files(lambda files: files.list())

    async def open(self, name: str) -> OpenFile:
        """Open a session file; see `UserFiles.open`."""
        return await self._pool.run_to_end(self.open_blocking, lambda file: file.close(), name)

    def open_blocking(self, name: str) -> OpenFile:
        """The same for code that runs in a thread."""
        return self._files().open(name)

    def close(self) -> None:
        """Close the directories; the next access opens them again."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    async def page(self, limit: int, offset: int) -> tuple[list[Session], int]:
        """A page of the sessions and their number: processed first, each newest first, ties by name."""
        usernames = (email_local(self.user.email) or None, self.user.email or None)
        try:
            names, rows = await self._search.page(self.user.id, usernames, limit, offset)
        except CatalogError as error:
            log.error("sessions are listed as unprocessed: %s", error)  # noqa: TRY400 - the database's sentence says all
            names, rows = frozenset[str](), []
        return await self._on_files(lambda files: self._merged(files, names, rows, limit, offset))

    async def selected_page(self, selection: Selection, limit: int, offset: int) -> tuple[list[Session], int]:
        """The same of the sessions that are selected. Raises NotIndexedInTime."""
        await self._refresh(facts=selection.needs_facts)
        rows, total = await self._search.selected_page(self.user.id, selection, limit, offset)
        return await self._on_files(
            lambda files: [_session(row, files.stat_file(row.session_file)) for row in rows]
        ), total

    async def selected(self, selection: Selection) -> Listing:
        """The session files that are selected. Raises NotIndexedInTime."""
        if not selection.needs_facts:
            listing = await self.listing()
            return listing.narrowed(frozenset(selection.session_files)) if selection.session_files else listing
        await self._refresh(facts=True)
        names = await self._search.selected_files(replace(selection, user_ids=(self.user.id,)))
        return (await self.listing()).narrowed(names.get(self.user.id, frozenset()))

    def _merged(
        self, files: UserFiles, names: frozenset[str], rows: list[SessionRow], limit: int, offset: int
    ) -> tuple[list[Session], int]:
        others = self._unprocessed(files, names)
        page = [_session(row, files.stat_file(row.session_file)) for row in rows]
        if others and len(page) < limit:  # to sort them takes a stat of each, so only for a page that shows some
            unprocessed = [file for name in others if (file := files.stat_file(name))]
            unprocessed.sort(key=lambda file: (-file.mtime_ns, file.name))
            first = max(offset - len(names), 0)
            page += [_unprocessed(file) for file in unprocessed[first : first + limit - len(page)]]
        return page, len(names) + len(others)

    async def _on_files(self, work: Callable[[UserFiles], T]) -> T:
        # To its end: if the caller were cancelled and closed, directories that are opened later would stay open.
        return await self._pool.run_to_end(lambda: work(self._files()), lambda _: None)

    def _files(self) -> UserFiles:
        """The directories, opened in a thread at the first use. No lock: a request makes one call at a time."""
        if self._opened is None:
            self._opened = self.open_files()
        return self._opened


def _session(row: SessionRow, file: SessionFile | None) -> Session:
    return Session(
        **_facts(row),
        size_bytes=file.size if file else None,
        available=file is not None,
    )


def _users_session(row: SessionRow, email: str | None) -> UsersSession:
    return UsersSession(
        **_facts(row),
        size_bytes=row.size_bytes,
        available=row.size_bytes is not None,
        user_id=row.user_id,
        email=email,
    )


def _facts(row: SessionRow) -> dict[str, Any]:
    """The fields that a session has from the catalog."""
    return {
        "session_file": row.session_file,
        "session_id": row.session_id or row.session_file.removesuffix(".jsonl"),
        "started_at": row.started_at,
        "ended_at": row.ended_at,
        "active_seconds": row.active_seconds,
        "wall_seconds": row.wall_seconds,
        "tool_calls": row.tool_calls,
        "tool_errors": row.tool_errors,
        "primary_model": row.primary_model,
        "processed": row.processed,
        "title": row.title,
        "project": row.project,
        "models": row.answered_by,
    }


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
        title=None,
        project=None,
        models=(),
    )
