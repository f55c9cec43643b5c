"""The directory of users: all users, the totals of their sessions, and the directories that belong to no user."""

from dataclasses import dataclass
from datetime import datetime

from service.catalog import SessionSearch, Totals, User, Users, utc
from service.pools import Pool
from service.sessions.folders import Folders
from service.sessions.indexer import Indexer
from service.store import Listing

NOTHING = Totals(0, 0, None)


class UserNotFound(Exception):
    """The catalog has no such user."""


@dataclass(frozen=True, slots=True)
class DirectoryRow:
    """A user with their sessions: how many, their bytes, and when the last one ended."""

    user_id: str
    email: str
    name: str | None
    active: bool
    sessions: int
    size_bytes: int
    last_session_at: datetime | None


@dataclass(frozen=True, slots=True)
class UnassignedRow:
    """A directory of the store that belongs to no user. `last_session_at` is when a file in it was last modified."""

    directory: str
    sessions: int
    size_bytes: int
    last_session_at: datetime | None


class Directory:
    """All methods raise CatalogError; those that access files also raise StoreUnavailable and NotIndexedInTime."""

    def __init__(self, users: Users, folders: Folders, search: SessionSearch, indexer: Indexer, pool: Pool) -> None:
        """`pool` is the one for file work."""
        self._users = users
        self._folders = folders
        self._search = search
        self._indexer = indexer
        self._pool = pool

    async def page(self, q: str | None, limit: int, offset: int) -> tuple[list[DirectoryRow], int]:
        """A page of the users with that text in id, e-mail or name, sorted by e-mail; and how many there are."""
        users, total = await self._users.page(q or "", limit, offset)
        return await self._rows(users), total

    async def find(self, user_id: str) -> DirectoryRow:
        """One user. Raises UserNotFound."""
        user = await self._users.find(user_id)
        if user is None:
            raise UserNotFound
        (row,) = await self._rows([user])
        return row

    async def unassigned(self, limit: int, offset: int) -> tuple[list[UnassignedRow], int]:
        """A page of the directories that belong to no user, sorted by name; and how many there are."""
        names = await self._unassigned_names()
        some = names[offset : offset + limit]
        listings = await self._pool.run(lambda: list(self._folders.list_directories(some)))
        return [_unassigned(name, listing) for name, listing in zip(some, listings, strict=True)], len(names)

    async def count_unassigned(self) -> int:
        return len(await self._unassigned_names())

    async def _unassigned_names(self) -> list[str]:
        taken = {name for user in await self._folders.users() for name in self._folders.names(user)}
        return [name for name in await self._pool.run(self._folders.directories) if name not in taken]

    async def _rows(self, users: list[User]) -> list[DirectoryRow]:
        if not users:
            return []
        await self._indexer.refresh(users, facts=False)
        totals = await self._search.totals([user.id for user in users])
        return [_row(user, totals.get(user.id, NOTHING)) for user in users]


def _row(user: User, totals: Totals) -> DirectoryRow:
    return DirectoryRow(
        user_id=user.id,
        email=user.email,
        name=user.name,
        active=user.active,
        sessions=totals.sessions,
        size_bytes=totals.size_bytes,
        last_session_at=totals.last_session_at,
    )


def _unassigned(name: str, listing: Listing) -> UnassignedRow:
    return UnassignedRow(
        directory=name.encode("utf-8", "backslashreplace").decode(),
        sessions=len(listing.names),
        size_bytes=listing.total_bytes,
        last_session_at=utc(max(listing.mtimes_ns) // 1000) if listing.names else None,
    )
