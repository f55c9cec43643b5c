"""Queries for sessions in the catalog: of one user, or a selection of all users' sessions."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeVar

from cachetools import LRUCache

from service.catalog.database import EPOCH, CatalogError, Cursor, Database, utc
from service.catalog.merged import SESSION_ROW, SessionRow
from service.catalog.selection import Selection
from service.catalog.statement import TIME_KEY, After, Statement
from service.catalog.usage import usage_mark

T = TypeVar("T")
log = logging.getLogger(__name__)

MOST_NAMES = 500_000  # cached of all users together: some 50 MB
MOST_PAGES = 20  # kept of one user

HAS_USAGE = "SELECT 1 FROM usage_session_summary LIMIT 1"
# Changes when any row of the user does: one that replaces another has a later revision.
INDEX_MARK = "SELECT count(*) AS total, max(revision) AS mark FROM session_index WHERE user_id = $1"
# One text instead of a row for each session takes a third of the time. No name contains the separator.
NAMES = "SELECT string_agg(session_file, '/') AS names FROM ({sessions}) AS sessions WHERE processed"
PAGE = f"""
    SELECT {SESSION_ROW.columns}
    FROM (
        SELECT {SESSION_ROW.stored} FROM ({{sessions}}) AS sessions
        WHERE {{condition}}
        ORDER BY processed DESC, started_at DESC NULLS LAST, session_file COLLATE "C"
        LIMIT {{limit}} OFFSET {{offset}}
    ) AS page
    ORDER BY page.processed DESC, page.started_at DESC NULLS LAST, page.session_file COLLATE "C"
"""
COUNT = "SELECT count(*) AS total FROM ({sessions}) AS sessions WHERE {condition}"
# A page is found in two steps, since to sort whole rows takes ten times as long: first the sort key of its last row,
# then the rows down to that key. The first step leaves out rows that share the sort key of the previous page's last
# row; the second compares their users and names as well. A filter, or the join with usage rows, takes most of the time,
# so it is evaluated once for count and key (MATERIALIZED); the count of the index alone is quick.
COUNT_AND_END_OF_PAGE = """
    WITH matched AS {materialized} (SELECT {key} AS sort_key FROM ({sessions}) AS sessions WHERE {condition})
    SELECT (SELECT count(*) FROM matched) AS total,
           (SELECT min(sort_key)
            FROM (SELECT sort_key FROM matched WHERE {later} ORDER BY sort_key DESC LIMIT {limit}) AS page) AS sort_key
"""
ACROSS = f"""
    SELECT {SESSION_ROW.columns}
    FROM (
        SELECT {SESSION_ROW.stored} FROM ({{sessions}}) AS sessions
        WHERE {{condition}} AND {{key}} >= {{end}}
        ORDER BY {{key}} DESC, user_id COLLATE "C", session_file COLLATE "C"
        LIMIT {{limit}}
    ) AS page
"""
SELECTED = """
    SELECT user_id, string_agg(session_file, '/') AS names
    FROM ({sessions}) AS sessions
    WHERE {condition} AND size_bytes IS NOT NULL
    GROUP BY user_id
"""
TOTALS = """
    SELECT user_id, count(*) AS sessions, CAST(coalesce(sum(size_bytes), 0) AS BIGINT) AS size_bytes,
           CAST(round(extract(epoch FROM max(span_end)) * 1000000) AS BIGINT) AS last_us
    FROM ({sessions}) AS sessions
    GROUP BY user_id
"""

DAYS = f"""
    SELECT CAST(counted.day AS VARCHAR) AS day, model, sessions, with_errors
    FROM (
        SELECT CAST({TIME_KEY} AS DATE) AS day, primary_model AS model, count(*) AS sessions,
               count(CASE WHEN tool_errors > 0 THEN 1 END) AS with_errors
        FROM ({{sessions}}) AS sessions
        WHERE {{condition}}
        GROUP BY 1, 2
    ) AS counted
    ORDER BY counted.day, model
"""


class Sort(StrEnum):
    """The sort keys of a list across users, descending."""

    STARTED_AT = "started_at"
    SIZE_BYTES = "size_bytes"
    TOOL_ERRORS = "tool_errors"


KEYS = {
    Sort.STARTED_AT: TIME_KEY,
    Sort.SIZE_BYTES: "coalesce(size_bytes, 0)",
    Sort.TOOL_ERRORS: "coalesce(tool_errors, 0)",
}


@dataclass(frozen=True, slots=True)
class Totals:
    """A user's sessions: how many, their bytes, and when the last one ended."""

    sessions: int
    size_bytes: int
    last_session_at: datetime | None


@dataclass(frozen=True, slots=True)
class DayCount:
    """How many sessions began on a day in UTC (ISO 8601) with this primary model, and how many of them had errors."""

    day: str
    model: str | None
    sessions: int
    with_errors: int


@dataclass(slots=True)
class Known:
    """Cached results, valid while the user's rows have this mark."""

    mark: tuple[object, ...]
    names: frozenset[str]
    pages: dict[tuple[int, int], list[SessionRow]] = field(default_factory=dict)


class SessionSearch:
    """Caches the results for a user until the user's rows change. All methods raise CatalogError."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: LRUCache[str, Known] = LRUCache(MOST_NAMES, lambda known: len(known.names) + 1)
        self.usage_failures = 0  # since the start

    async def page(
        self, user_id: str, usernames: tuple[str | None, str | None], limit: int, offset: int
    ) -> tuple[frozenset[str], list[SessionRow]]:
        """The file names of all the user's processed sessions, and a page of these sessions: newest start first, then
        by name.

        `usernames` are the names that usage rows may have for the user.
        """
        known = self._known.get(user_id)

        def work(cursor: Cursor, with_usage: bool) -> tuple[Known, list[SessionRow]]:
            (indexed,) = cursor.query(INDEX_MARK, [user_id])
            usage = usage_mark(cursor, (user_id, *usernames)) if with_usage else ()
            mark = (indexed["total"], indexed["mark"], *usage)
            current = known if known and known.mark == mark else Known(mark, _names(cursor, user_id, with_usage))
            rows = current.pages.get((limit, offset))
            if rows is None:
                rows = _processed(cursor, user_id, limit, offset, with_usage) if offset < len(current.names) else []
            return current, rows

        current, rows = await self._run(work)
        if len(current.pages) < MOST_PAGES:
            current.pages[limit, offset] = rows
        if len(current.names) < MOST_NAMES:
            self._known[user_id] = current
        return current.names, rows

    async def selected_page(
        self, user_id: str, selection: Selection, limit: int, offset: int
    ) -> tuple[list[SessionRow], int]:
        """A page of the user's sessions that are selected, in the order of the list, and their number."""

        def work(cursor: Cursor, with_usage: bool) -> tuple[list[SessionRow], int]:
            count = Statement(with_usage=with_usage)
            sql = COUNT.format(sessions=count.sessions([user_id]), condition=count.condition(selection))
            total = cursor.query(sql, count.values)[0]["total"]
            page = Statement(with_usage=with_usage)
            sql = PAGE.format(
                sessions=page.sessions([user_id]),
                condition=page.condition(selection),
                limit=page.bind(limit),
                offset=page.bind(offset),
            )
            return [SESSION_ROW.decode(row) for row in cursor.query(sql, page.values)], total

        return await self._run(work)

    async def across(
        self, selection: Selection, sort: Sort, after: After | None, limit: int
    ) -> tuple[list[SessionRow], After | None, int]:
        """A page of the sessions selected, of all users; what the next page comes after; how many there are."""
        rows, total = await self._across(selection, KEYS[sort], after, limit + 1)
        following = _position(rows[limit - 1], sort) if len(rows) > limit else None
        return rows[:limit], following, total

    async def _across(
        self, selection: Selection, key: str, after: After | None, limit: int
    ) -> tuple[list[SessionRow], int]:

        def work(cursor: Cursor, with_usage: bool) -> tuple[list[SessionRow], int]:
            end = Statement(with_usage=with_usage)
            sql = COUNT_AND_END_OF_PAGE.format(
                materialized="MATERIALIZED" if with_usage or selection.needs_facts else "NOT MATERIALIZED",
                sessions=end.sessions(selection.user_ids),
                condition=end.condition(selection),
                later=f"sort_key < {end.bind(after.value(key))}" if after else "TRUE",
                key=key,
                limit=end.bind(limit),
            )
            (found,) = cursor.query(sql, end.values)
            total, last = found["total"], found["sort_key"]
            if last is None and after is None:
                return [], total
            page = Statement(with_usage=with_usage)
            sql = ACROSS.format(
                sessions=page.sessions(selection.user_ids),
                condition=page.condition(selection, after, key),
                key=key,
                end=page.bind(after.value(key) if last is None and after else last),
                limit=page.bind(limit),
            )
            return [SESSION_ROW.decode(row) for row in cursor.query(sql, page.values)], total

        return await self._run(work)

    async def selected_files(self, selection: Selection) -> dict[str, frozenset[str]]:
        """The names of the files that are selected, by user's id."""

        def work(cursor: Cursor, with_usage: bool) -> dict[str, frozenset[str]]:
            statement = Statement(with_usage=with_usage)
            sql = SELECTED.format(
                sessions=statement.sessions(selection.user_ids), condition=statement.condition(selection)
            )
            rows = cursor.query(sql, statement.values)
            return {row["user_id"]: frozenset(row["names"].split("/")) for row in rows}

        return await self._run(work)

    async def by_day(self, selection: Selection) -> list[DayCount]:
        """The sessions that are selected, of all users, counted by day and primary model; in the order of days."""

        def work(cursor: Cursor, with_usage: bool) -> list[DayCount]:
            statement = Statement(with_usage=with_usage)
            sql = DAYS.format(sessions=statement.sessions(selection.user_ids), condition=statement.condition(selection))
            return [DayCount(**row) for row in cursor.query(sql, statement.values)]

        return await self._run(work)

    async def totals(self, user_ids: Sequence[str]) -> dict[str, Totals]:
        """How many sessions each of these users has, by user's id; a user without any is left out."""

        def work(cursor: Cursor, with_usage: bool) -> dict[str, Totals]:
            statement = Statement(with_usage=with_usage)
            sql = TOTALS.format(sessions=statement.sessions(user_ids))
            rows = cursor.query(sql, statement.values)
            return {row["user_id"]: Totals(row["sessions"], row["size_bytes"], utc(row["last_us"])) for row in rows}

        return await self._run(work)

    async def _run(self, work: Callable[[Cursor, bool], T]) -> T:
        """Do the work with usage rows, if there are any. If they cannot be read, log that and do it without them."""

        def with_usage_if_any(cursor: Cursor) -> T:
            with cursor.snapshot():
                return work(cursor, bool(cursor.query(HAS_USAGE)))

        def without_usage(cursor: Cursor) -> T:
            with cursor.snapshot():
                return work(cursor, False)

        try:
            return await self._database.run(with_usage_if_any)
        except CatalogError as error:
            self.usage_failures += 1
            log.error(  # noqa: TRY400 - the database's own sentence says all
                "usage cannot be read, sessions are listed without it (failure %d since the start): %s",
                self.usage_failures,
                error,
            )
            return await self._database.run(without_usage)


def _names(cursor: Cursor, user_id: str, with_usage: bool) -> frozenset[str]:
    statement = Statement(with_usage=with_usage)
    sql = NAMES.format(sessions=statement.sessions([user_id]))
    (row,) = cursor.query(sql, statement.values)
    return frozenset() if row["names"] is None else frozenset(row["names"].split("/"))


def _processed(cursor: Cursor, user_id: str, limit: int, offset: int, with_usage: bool) -> list[SessionRow]:
    page = Statement(with_usage=with_usage)
    sql = PAGE.format(
        sessions=page.sessions([user_id]), condition="processed", limit=page.bind(limit), offset=page.bind(offset)
    )
    return [SESSION_ROW.decode(row) for row in cursor.query(sql, page.values)]


def _position(row: SessionRow, sort: Sort) -> After:
    match sort:
        case Sort.STARTED_AT:
            key = (row.span_begin - EPOCH) // timedelta(microseconds=1)
        case Sort.SIZE_BYTES:
            key = row.size_bytes or 0
        case Sort.TOOL_ERRORS:
            key = row.tool_errors or 0
    return After(key, row.user_id, row.session_file)
