"""The table `usage_session_summary`: what a processor found out about each session. Only read here.

`session_file` may stand as `<dir>/<name>` or `<name>`; both mean the session `<name>`, which counts once: where
several rows do, the one of the newest processor, then of the latest start, speaks for it.
"""

from dataclasses import dataclass, field
from datetime import datetime

from cachetools import LRUCache

from service.catalog.database import Cursor, Database, microseconds, utc

# The parameters of all: the user's id, and two names the user goes by.

# What changes when any of the rows does. A tenth of the time that reading them takes.
MARK = """
    SELECT count(*) AS total,
           bit_xor(hash(session_file, session_id, started_at, ended_at, active_seconds, wall_seconds, tool_calls,
                        tool_errors, primary_model, processor_version)) AS mark
    FROM usage_session_summary
    WHERE user_id = ? OR username = ? OR username = ?
"""
# One text instead of a row a session, at a third of the time. No name holds the separator.
NAMES = """
    SELECT string_agg(split_part(session_file, '/', -1), '/') AS names
    FROM usage_session_summary
    WHERE user_id = ? OR username = ? OR username = ?
"""
PAGE = """
    SELECT split_part(session_file, '/', -1) AS bare_name, session_id,
           epoch_us(started_at) AS started_us, epoch_us(ended_at) AS ended_us,
           active_seconds, wall_seconds, tool_calls, tool_errors, primary_model
    FROM usage_session_summary
    WHERE user_id = ? OR username = ? OR username = ?
    ORDER BY started_at DESC NULLS LAST, split_part(session_file, '/', -1)
    LIMIT ? OFFSET ?
"""
# The same where several rows mean one session; the window takes five times as long.
PAGE_OF_DOUBLES = """
    SELECT split_part(session_file, '/', -1) AS bare_name, session_id,
           epoch_us(started_at) AS started_us, epoch_us(ended_at) AS ended_us,
           active_seconds, wall_seconds, tool_calls, tool_errors, primary_model
    FROM usage_session_summary
    WHERE user_id = ? OR username = ? OR username = ?
    QUALIFY row_number() OVER (
        PARTITION BY split_part(session_file, '/', -1)
        ORDER BY processor_version DESC, started_at DESC NULLS LAST, session_file
    ) = 1
    ORDER BY started_at DESC NULLS LAST, split_part(session_file, '/', -1)
    LIMIT ? OFFSET ?
"""
ADD = """
    INSERT INTO usage_session_summary (session_file, session_id, username, user_id, started_at, ended_at,
        active_seconds, wall_seconds, tool_calls, tool_errors, primary_model, processor_version)
    VALUES (?, ?, ?, ?, make_timestamp(?), make_timestamp(?), ?, ?, ?, ?, ?, ?)
"""


@dataclass(frozen=True, slots=True)
class UsageRow:
    """One processed session. Times are aware, in UTC; `active_seconds` and `wall_seconds` are seconds."""

    session_file: str
    session_id: str
    started_at: datetime | None
    ended_at: datetime | None
    active_seconds: int | None
    wall_seconds: int | None
    tool_calls: int | None
    tool_errors: int | None
    primary_model: str | None


@dataclass(slots=True)
class Known:
    """What was read while the rows had this mark."""

    mark: tuple[int, int | None]
    names: frozenset[str]
    pages: dict[tuple[int, int], list[UsageRow]] = field(default_factory=dict)


MOST_NAMES = 500_000  # that are kept, of all users together: some 50 MB
MOST_PAGES = 20  # that are kept of a user


class Usage:
    """Keeps what it read of a user's rows as long as they have not changed."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: LRUCache[tuple[str | None, ...], Known] = LRUCache(MOST_NAMES, lambda known: len(known.names) + 1)

    async def page(
        self, user_id: str, usernames: tuple[str | None, str | None], limit: int, offset: int
    ) -> tuple[frozenset[str], list[UsageRow]]:
        """The file names of all the user's processed sessions, and a page of those: newest start first, then by name.

        Raises CatalogError.
        """
        who = (user_id, *usernames)
        known = self._known.get(who)

        def work(cursor: Cursor) -> tuple[Known, list[UsageRow]]:
            current = _current(cursor, who, known)
            rows = current.pages.get((limit, offset))
            return current, _page(cursor, who, current, limit, offset) if rows is None else rows

        current, rows = await self._database.run(work)
        if len(current.pages) < MOST_PAGES:
            current.pages[limit, offset] = rows
        if len(current.names) < MOST_NAMES:
            self._known[who] = current
        return current.names, rows

    async def add(self, row: UsageRow, *, username: str, user_id: str | None, processor_version: int) -> None:
        """Write down a processed session: a processor's work, here for samples and tests. Raises CatalogError."""
        times = [microseconds(row.started_at), microseconds(row.ended_at)]
        numbers = [row.active_seconds, row.wall_seconds, row.tool_calls, row.tool_errors]
        names = [row.session_file, row.session_id, username, user_id]
        await self._database.query(ADD, [*names, *times, *numbers, row.primary_model, processor_version])


def _current(cursor: Cursor, who: tuple[str | None, ...], known: Known | None) -> Known:
    """What is known, read anew if it is no longer so."""
    if known is not None and known.mark == _mark(cursor, who):
        return known
    with cursor.transaction():  # so that the mark is that of the names
        mark = _mark(cursor, who)
        (row,) = cursor.query(NAMES, who)
    return Known(mark, frozenset() if row["names"] is None else frozenset(row["names"].split("/")))


def _mark(cursor: Cursor, who: tuple[str | None, ...]) -> tuple[int, int | None]:
    (row,) = cursor.query(MARK, who)
    return row["total"], row["mark"]


def _page(cursor: Cursor, who: tuple[str | None, ...], known: Known, limit: int, offset: int) -> list[UsageRow]:
    if offset >= len(known.names):
        return []
    parameters = [*who, limit, offset]
    doubles = known.mark[0] != len(known.names)
    rows = cursor.query(PAGE_OF_DOUBLES, parameters) if doubles else cursor.query(PAGE, parameters)
    return [
        UsageRow(
            session_file=row["bare_name"],
            session_id=row["session_id"],
            started_at=utc(row["started_us"]),
            ended_at=utc(row["ended_us"]),
            active_seconds=row["active_seconds"],
            wall_seconds=row["wall_seconds"],
            tool_calls=row["tool_calls"],
            tool_errors=row["tool_errors"],
            primary_model=row["primary_model"],
        )
        for row in rows
    ]
