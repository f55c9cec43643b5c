"""The table `usage_session_summary`: what a processor found out about each session. Only read here.

`session_file` may be `<dir>/<name>` or `<name>`. Both mean the session `<name>`, which counts once: of several rows
the one of the newest processor, then of the latest start, is used.
"""

from dataclasses import dataclass, field
from datetime import datetime

from cachetools import LRUCache

from service.catalog.database import Cursor, Database, naive
from service.catalog.shape import Shape


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


USAGE_ROW = Shape(UsageRow)

# The parameters of all: the user's id, and two names the user goes by.

# Changes when any of the rows does. Takes a tenth of the time that reading them takes.
MARK = """
    SELECT count(*) AS total,
           CAST(bit_xor(hash_record_extended(ROW(session_file, session_id, started_at, ended_at, active_seconds,
                wall_seconds, tool_calls, tool_errors, primary_model, processor_version), 0)) AS VARCHAR) AS mark
    FROM usage_session_summary
    WHERE user_id = $1 OR username = $2 OR username = $3
"""
# One text instead of a row for each session takes a third of the time. No name contains the separator.
NAMES = """
    SELECT string_agg(split_part(session_file, '/', -1), '/') AS names
    FROM usage_session_summary
    WHERE user_id = $1 OR username = $2 OR username = $3
"""
# Sorted and limited first, then converted: only the rows of the page cost a conversion.
PAGE = f"""
    SELECT {USAGE_ROW.columns}
    FROM (
        SELECT split_part(usage.session_file, '/', -1) AS session_file, session_id, started_at, ended_at,
               active_seconds, wall_seconds, tool_calls, tool_errors, primary_model
        FROM usage_session_summary AS usage
        WHERE user_id = $1 OR username = $2 OR username = $3
        ORDER BY started_at DESC NULLS LAST, split_part(usage.session_file, '/', -1) COLLATE "C"
        LIMIT $4 OFFSET $5
    ) AS page
    ORDER BY page.started_at DESC NULLS LAST, page.session_file COLLATE "C"
"""
# The same where several rows mean one session; the window takes five times as long.
PAGE_OF_DOUBLES = f"""
    SELECT {USAGE_ROW.columns}
    FROM (
        SELECT split_part(usage.session_file, '/', -1) AS session_file, session_id, started_at, ended_at,
               active_seconds, wall_seconds, tool_calls, tool_errors, primary_model, row_number() OVER (
                   PARTITION BY split_part(usage.session_file, '/', -1)
                   ORDER BY processor_version DESC, started_at DESC NULLS LAST, usage.session_file COLLATE "C"
               ) AS nth
        FROM usage_session_summary AS usage
        WHERE user_id = $1 OR username = $2 OR username = $3
    ) AS numbered
    WHERE nth = 1
    ORDER BY numbered.started_at DESC NULLS LAST, numbered.session_file COLLATE "C"
    LIMIT $4 OFFSET $5
"""
ADD = """
    INSERT INTO usage_session_summary (session_file, session_id, username, user_id, started_at, ended_at,
        active_seconds, wall_seconds, tool_calls, tool_errors, primary_model, processor_version)
    VALUES ($1, $2, $3, $4, CAST($5 AS TIMESTAMP), CAST($6 AS TIMESTAMP), $7, $8, $9, $10, $11, $12)
"""


@dataclass(slots=True)
class Known:
    """What was read while the user's rows had this mark."""

    mark: tuple[int, str | None]
    names: frozenset[str]
    pages: dict[tuple[int, int], list[UsageRow]] = field(default_factory=dict)


MOST_NAMES = 500_000  # kept of all users together: some 50 MB
MOST_PAGES = 20  # kept of one user


class Usage:
    """Remembers what it read of a user's rows until they change."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: LRUCache[tuple[str | None, ...], Known] = LRUCache(MOST_NAMES, lambda known: len(known.names) + 1)

    async def page(
        self, user_id: str, usernames: tuple[str | None, str | None], limit: int, offset: int
    ) -> tuple[frozenset[str], list[UsageRow]]:
        """The file names of all the user's processed sessions, and a page of those: newest start first, then by name.

        Raises CatalogError.
        """
        owner = (user_id, *usernames)
        known = self._known.get(owner)

        def work(cursor: Cursor) -> tuple[Known, list[UsageRow]]:
            current = _current(cursor, owner, known)
            rows = current.pages.get((limit, offset))
            return current, _page(cursor, owner, current, limit, offset) if rows is None else rows

        current, rows = await self._database.run(work)
        if len(current.pages) < MOST_PAGES:
            current.pages[limit, offset] = rows
        if len(current.names) < MOST_NAMES:
            self._known[owner] = current
        return current.names, rows

    async def add(self, row: UsageRow, *, username: str, user_id: str | None, processor_version: int) -> None:
        """Add a row, as a processor does; here for samples and tests. Raises CatalogError."""
        times = [naive(row.started_at), naive(row.ended_at)]
        numbers = [row.active_seconds, row.wall_seconds, row.tool_calls, row.tool_errors]
        names = [row.session_file, row.session_id, username, user_id]
        await self._database.query(ADD, [*names, *times, *numbers, row.primary_model, processor_version])


def _current(cursor: Cursor, owner: tuple[str | None, ...], known: Known | None) -> Known:
    """What is known if it is still true, else what is read now."""
    if known is not None and known.mark == _mark(cursor, owner):
        return known
    with cursor.snapshot():  # the mark must be that of the names
        mark = _mark(cursor, owner)
        (row,) = cursor.query(NAMES, owner)
    return Known(mark, frozenset() if row["names"] is None else frozenset(row["names"].split("/")))


def _mark(cursor: Cursor, owner: tuple[str | None, ...]) -> tuple[int, str | None]:
    (row,) = cursor.query(MARK, owner)
    return row["total"], row["mark"]


def _page(cursor: Cursor, owner: tuple[str | None, ...], known: Known, limit: int, offset: int) -> list[UsageRow]:
    if offset >= len(known.names):
        return []
    parameters = [*owner, limit, offset]
    doubles = known.mark[0] != len(known.names)
    rows = cursor.query(PAGE_OF_DOUBLES, parameters) if doubles else cursor.query(PAGE, parameters)
    return [USAGE_ROW.decode(row) for row in rows]
