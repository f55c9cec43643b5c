"""The table `users`."""

from collections.abc import Iterable
from dataclasses import dataclass

from service.catalog.database import CatalogError, Cursor, Database, now
from service.catalog.shape import Shape


@dataclass(frozen=True, slots=True)
class User:
    id: str
    email: str
    name: str | None
    active: bool = True


USER = Shape(User)

BY_ID = f"SELECT {USER.columns} FROM users WHERE id = $1"
ALL = f"SELECT {USER.columns} FROM users ORDER BY id"
BY_EMAIL = "SELECT id FROM users WHERE email = $1"
ADD = "INSERT INTO users (id, email, name, active, created_at) VALUES ($1, $2, $3, TRUE, CAST($4 AS TIMESTAMP))"


class Users:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, user_id: str) -> User | None:
        """The user with this id, active or not. Raises CatalogError."""
        rows = await self._database.query(BY_ID, [user_id])
        return USER.decode(rows[0]) if rows else None

    async def all(self) -> list[User]:
        """Every user, by id. Raises CatalogError."""
        return [USER.decode(row) for row in await self._database.query(ALL)]

    async def add(self, users: Iterable[User]) -> tuple[int, int]:
        """Add those whose id is not there yet, all or none; returns how many were added and how many were there.

        Raises CatalogError where an e-mail belongs to another user.
        """
        created_at = now()
        users = list(users)

        def work(cursor: Cursor) -> tuple[int, int]:
            added = present = 0
            with cursor.transaction():
                for user in users:
                    if cursor.query(BY_ID, [user.id]):
                        present += 1
                        continue
                    if owner := cursor.query(BY_EMAIL, [user.email]):
                        raise CatalogError(f"user {user.id!r}: the e-mail {user.email!r} belongs to {owner[0]['id']!r}")
                    cursor.query(ADD, [user.id, user.email, user.name, created_at])
                    added += 1
            return added, present

        return await self._database.run(work)
