"""Which directories of the store are whose."""

from service.catalog import User, Users
from service.store import SessionStore, UserFiles, user_directories


class Folders:
    """All users with their directories."""

    def __init__(self, users: Users, store: SessionStore, layouts: tuple[str, ...]) -> None:
        self._users = users
        self._store = store
        self._layouts = layouts
        self._names: dict[User, tuple[str, ...]] = {}  # kept, as a layout without a directory is logged each time

    async def users(self) -> list[User]:
        """Every user, by id. Raises CatalogError."""
        return await self._users.all()

    def names(self, user: User) -> tuple[str, ...]:
        """The names of a user's directories, in order of priority, whether or not they exist."""
        if user not in self._names:
            self._names[user] = user_directories(self._layouts, user.id, user.email)
        return self._names[user]

    def open(self, user: User) -> UserFiles:
        """Open a user's directories. Blocks; the caller closes it. Raises StoreUnavailable."""
        return self._store.user_files(self.names(user))
