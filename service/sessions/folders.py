"""The directories of each user in the store."""

from collections.abc import Generator, Iterator, Sequence
from typing import TypeVar

from service.catalog import User, Users
from service.sessions.unprocessed import Unprocessed
from service.store import Listing, SessionStore, UserFiles, user_directories

T = TypeVar("T")
TOGETHER = 50  # users whose files are listed in one call in a thread


class Folders:
    """All users with their directories."""

    def __init__(self, users: Users, store: SessionStore, layouts: tuple[str, ...]) -> None:
        self._users = users
        self._store = store
        self._layouts = layouts
        self._unprocessed = Unprocessed()
        # By id and e-mail; cached, since each call logs layouts that give no directory.
        self._names: dict[tuple[str, str], tuple[str, ...]] = {}

    async def users(self, user_ids: Sequence[str] = ()) -> list[User]:
        """Every user, or those with these ids, sorted by id. Raises CatalogError."""
        return await (self._users.some(user_ids) if user_ids else self._users.all())

    def names(self, user: User) -> tuple[str, ...]:
        """The names of a user's directories, in order of priority, whether or not they exist."""
        owner = user.id, user.email
        if owner not in self._names:
            self._names[owner] = user_directories(self._layouts, *owner)
        return self._names[owner]

    def open(self, user: User) -> UserFiles:
        """Open a user's directories. Blocks; the caller closes it. Raises StoreUnavailable."""
        return self._store.user_files(self.names(user))

    def state(self, user: User) -> tuple[object, ...] | None:
        """A value that equals an earlier one only if none of the user's files has changed since; None if unknown.

        Blocks.
        """
        states = tuple(self._store.state(name) for name in self.names(user))
        return None if None in states else states

    def unprocessed(self, user: User, files: UserFiles, processed: frozenset[str]) -> frozenset[str]:
        """The names of the user's files that are not in `processed`. Blocks. Raises StoreUnavailable."""
        return self._unprocessed.names(user.id, files.names(), processed)

    def list(self, user: User) -> Listing:
        """List a user's files. Blocks. Raises StoreUnavailable."""
        files = self.open(user)
        try:
            return files.list()
        finally:
            files.close()

    def list_directories(self, names: Sequence[str]) -> Generator[Listing, None, None]:
        """List the files of any directories; see `SessionStore.list_all`. Blocks. Raises StoreUnavailable."""
        return self._store.list_all([(name,) for name in names])

    def directories(self) -> Sequence[str]:
        """The names of all directories. Blocks. Raises StoreUnavailable."""
        return self._store.directories()

    def list_all(self, users: Sequence[User]) -> Generator[Listing, None, None]:
        """List the files of each of these users; see `SessionStore.list_all`. Blocks. Raises StoreUnavailable."""
        return self._store.list_all([self.names(user) for user in users])


def batches(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """The items in slices of `size`."""
    return (items[start : start + size] for start in range(0, len(items), size))
