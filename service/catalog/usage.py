"""The table `usage_session_summary`: what a processor found out about each session. Only read here.

`session_file` may stand as `<dir>/<name>` or `<name>`; both mean the session `<name>`, which counts once: where
several rows do, the one of the newest processor, then of the latest start, speaks for it.
"""

from dataclasses import dataclass
from datetime import datetime

from service.catalog.database import Database, microseconds, utc

# The parameters of both: the user's id, and two names the user goes by.
NAMES = """
    SELECT DISTINCT parse_filename(session_file, false, 'forward_slash') AS session_file
    FROM usage_session_summary
    WHERE user_id = ? OR username = ? OR username = ?
"""
PAGE = """
    SELECT parse_filename(session_file, false, 'forward_slash') AS name, session_id,
           epoch_us(started_at) AS started_us, epoch_us(ended_at) AS ended_us,
           active_seconds, wall_seconds, tool_calls, tool_errors, primary_model
    FROM usage_session_summary
    WHERE user_id = ? OR username = ? OR username = ?
    QUALIFY row_number() OVER (
        PARTITION BY name ORDER BY processor_version DESC, started_at DESC NULLS LAST, session_file
    ) = 1
    ORDER BY started_at DESC NULLS LAST, name
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


class Usage:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def names(self, user_id: str, usernames: tuple[str | None, str | None]) -> set[str]:
        """The file names of all the user's processed sessions. Raises CatalogError."""
        rows = await self._database.query(NAMES, [user_id, *usernames])
        return {row["session_file"] for row in rows}

    async def page(
        self, user_id: str, usernames: tuple[str | None, str | None], limit: int, offset: int
    ) -> list[UsageRow]:
        """A page of the user's processed sessions: newest start first, then by name. Raises CatalogError."""
        rows = await self._database.query(PAGE, [user_id, *usernames, limit, offset])
        return [
            UsageRow(
                session_file=row["name"],
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

    async def add(self, row: UsageRow, *, username: str, user_id: str | None, processor_version: int) -> None:
        """Write down a processed session: a processor's work, here for samples and tests. Raises CatalogError."""
        times = [microseconds(row.started_at), microseconds(row.ended_at)]
        numbers = [row.active_seconds, row.wall_seconds, row.tool_calls, row.tool_errors]
        names = [row.session_file, row.session_id, username, user_id]
        await self._database.query(ADD, [*names, *times, *numbers, row.primary_model, processor_version])
