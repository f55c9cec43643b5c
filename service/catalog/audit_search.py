"""Search in the audit log, over the rows of all users, newest first."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from service.catalog.audit import AUDIT_ROW, AuditRow
from service.catalog.database import EPOCH, Cursor, Database, utc
from service.catalog.statement import Parameters

COUNT = "SELECT count(*) AS total FROM audit_log WHERE {condition}"
# Sorting whole rows takes ten times as long as finding where the page ends.
END_OF_PAGE = """
    SELECT min(timestamp) AS earliest
    FROM (
        SELECT timestamp FROM audit_log WHERE {condition}
        ORDER BY timestamp DESC
        LIMIT {limit}
    ) AS page
"""
PAGE = f"""
    SELECT {AUDIT_ROW.columns}
    FROM (
        SELECT {AUDIT_ROW.stored} FROM audit_log
        WHERE {{condition}} AND timestamp >= {{earliest}}
        ORDER BY timestamp DESC, id DESC
        LIMIT {{limit}}
    ) AS page
    ORDER BY page.timestamp DESC, page.id DESC
"""


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """Filters; a row must match all that are given. `about` is the user whose sessions or catalog entry a row concerns.

    Times are aware and mean the half-open time [since, until).
    """

    actor: str | None = None
    about: str | None = None
    action: str | None = None
    result: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    correlation_id: str | None = None

    def params(self) -> dict[str, object]:
        """The filters as parameters of the API."""
        given: dict[str, object] = {
            "about": self.about,
            "action": self.action,
            "actor": self.actor,
            "correlation_id": self.correlation_id,
            "result": self.result,
            "since": self.since and self.since.isoformat(),
            "until": self.until and self.until.isoformat(),
        }
        return {name: value for name, value in given.items() if value}


@dataclass(frozen=True, slots=True)
class AfterRow:
    """The position after which a page begins: the last row of the previous page. The time is in microseconds."""

    timestamp: int
    id: str

    def values(self) -> tuple[int, str]:
        return self.timestamp, self.id


class AuditSearch:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(
        self, query: AuditQuery, after: AfterRow | None, limit: int
    ) -> tuple[list[AuditRow], AfterRow | None, int]:
        """A page of the rows, the position of the next page, and the number of all rows. Raises CatalogError."""

        def work(cursor: Cursor) -> tuple[list[AuditRow], int]:
            with cursor.snapshot():
                count = Parameters()
                sql = COUNT.format(condition=_condition(query, None, count))
                total = cursor.query(sql, count.values)[0]["total"]
                return _rows(cursor, query, after, limit + 1), total

        rows, total = await self._database.run(work)
        following = _position(rows[limit - 1]) if len(rows) > limit else None
        return rows[:limit], following, total


def _rows(cursor: Cursor, query: AuditQuery, after: AfterRow | None, limit: int) -> list[AuditRow]:
    end = Parameters()
    sql = END_OF_PAGE.format(condition=_condition(query, after, end), limit=end.bind(limit))
    earliest = cursor.query(sql, end.values)[0]["earliest"]
    if earliest is None:
        return []
    page = Parameters()
    sql = PAGE.format(condition=_condition(query, after, page), earliest=page.bind(earliest), limit=page.bind(limit))
    return [AUDIT_ROW.decode(row) for row in cursor.query(sql, page.values)]


def _condition(query: AuditQuery, after: AfterRow | None, parameters: Parameters) -> str:
    return " AND ".join(["TRUE", *_conditions(query, after, parameters)])


def _conditions(query: AuditQuery, after: AfterRow | None, parameters: Parameters) -> Iterator[str]:
    bind = parameters.bind
    if query.actor:
        yield f"user_id = {bind(query.actor)}"
    if query.about:
        yield f"(resource = {bind(f'users/{query.about}')} OR starts_with(resource, {bind(f'users/{query.about}/')}))"
    if query.action:
        yield f"action = {bind(query.action)}"
    if query.result:
        yield f"result = {bind(query.result)}"
    if query.correlation_id:
        yield f"correlation_id = {bind(query.correlation_id)}"
    if query.since:
        yield f"timestamp >= {bind(query.since)}"
    if query.until:
        yield f"timestamp < {bind(query.until)}"
    if after:
        moment = bind(utc(after.timestamp))
        yield f"timestamp <= {moment} AND (timestamp < {moment} OR id < {bind(after.id)})"


def _position(row: AuditRow) -> AfterRow:
    return AfterRow((row.timestamp - EPOCH) // timedelta(microseconds=1), row.id)
