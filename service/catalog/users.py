"""The table `users`."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace

from service.catalog.audit import AuditLog, Event
from service.catalog.database import CatalogError, Cursor, Database, Row, now
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
# Changes when any user does.
MARK = """
    SELECT count(*) AS total, CAST(bit_xor(hash_record_extended(ROW(id, email, name, active), 0)) AS VARCHAR) AS mark
    FROM users
"""
SOME = f"SELECT {USER.columns} FROM users WHERE id IN (SELECT unnest(string_to_array($1, chr(31)))) ORDER BY id"
MATCHES = "$1 = '' OR strpos(lower(concat_ws(chr(10), id, email, name)), lower($1)) > 0"
PAGE = f"""
    SELECT {USER.columns} FROM users WHERE {MATCHES} ORDER BY email COLLATE "C", id COLLATE "C" LIMIT $2 OFFSET $3
"""
COUNT = f"SELECT count(*) AS total FROM users WHERE {MATCHES}"
BY_EMAIL = "SELECT id FROM users WHERE email = $1"
ADD = "INSERT INTO users (id, email, name, active, created_at) VALUES ($1, $2, $3, TRUE, CAST($4 AS TIMESTAMP))"
CHANGE = "UPDATE users SET email = $2, name = $3, active = $4 WHERE id = $1"
INSERT = "INSERT INTO users (id, email, name, active, created_at) VALUES ($1, $2, $3, $4, CAST($5 AS TIMESTAMP))"


class EmailTaken(Exception):
    """The e-mail belongs to another user."""


class Users:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._all: tuple[Row | None, list[User]] = (None, [])  # with the mark that was there before they were read

    async def find(self, user_id: str) -> User | None:
        """The user with this id, active or not. Raises CatalogError."""
        rows = await self._database.query(BY_ID, [user_id])
        return USER.decode(rows[0]) if rows else None

    async def all(self) -> list[User]:
        """Every user, by id; cached until one changes. Raises CatalogError."""
        (mark,) = await self._database.query(MARK)
        before, users = self._all
        if mark != before:
            users = [USER.decode(row) for row in await self._database.query(ALL)]
            self._all = mark, users
        return list(users)

    async def some(self, user_ids: Iterable[str]) -> list[User]:
        """The users with these ids, sorted by id; unknown ids are left out. Raises CatalogError."""
        return [USER.decode(row) for row in await self._database.query(SOME, ["\x1f".join(user_ids)])]

    async def page(self, q: str, limit: int, offset: int) -> tuple[list[User], int]:
        """A page of the users with that text in id, e-mail or name, sorted by e-mail; and how many there are.

        Raises CatalogError.
        """

        def work(cursor: Cursor) -> tuple[list[User], int]:
            rows = cursor.query(PAGE, [q, limit, offset])
            return [USER.decode(row) for row in rows], cursor.query(COUNT, [q])[0]["total"]

        return await self._database.run(work)

    async def save(self, user: User, audit: AuditLog, event: Event) -> User | None:
        """Create or change a user, together with the audit row. Returns the previous user, which the row has too.

        Raises EmailTaken or CatalogError.
        """
        created_at = now()

        def work(cursor: Cursor) -> User | None:
            with cursor.transaction():
                before = next((USER.decode(row) for row in cursor.query(BY_ID, [user.id])), None)
                if any(row["id"] != user.id for row in cursor.query(BY_EMAIL, [user.email])):
                    raise EmailTaken
                if before is None:
                    cursor.insert(INSERT, [user.id, user.email, user.name, user.active, created_at])
                elif before != user:
                    cursor.query(CHANGE, [user.id, user.email, user.name, user.active])
                audit.add(cursor, replace(event, params_before=asdict(before) if before else None))
            return before

        return await audit.run_to_end(work)

    async def add(self, users: Iterable[User]) -> tuple[int, int]:
        """Add the users whose id is new, all or none; returns how many were added and how many existed.

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
