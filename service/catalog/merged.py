"""All sessions as one relation: the index, overridden by the rows of `usage_session_summary`.

`session_file` of a usage row may be `<dir>/<name>` or `<name>`, and its user may be given by id, by e-mail or by the
e-mail's local part. If several rows mean the same session, the row of the newest processor is used, then the one with
the latest start.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from service.catalog.index import LINE
from service.catalog.shape import Shape


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A session as the catalog knows it. Times are aware, in UTC. `size_bytes` is None if its file is gone.

    `processed`: its facts are known, from usage or from the file. Otherwise `started_at` is the file's modification
    time.
    """

    user_id: str
    session_file: str
    session_id: str | None
    started_at: datetime | None
    ended_at: datetime | None
    active_seconds: int | None
    wall_seconds: int | None
    tool_calls: int | None
    tool_errors: int | None
    primary_model: str | None
    processed: bool
    size_bytes: int | None
    title: str | None
    project: str | None
    models: str | None  # as the table holds them; see `answered_by`
    span_begin: datetime

    @property
    def answered_by(self) -> tuple[str, ...]:
        """All models, in the order in which they came."""
        return tuple(self.models.strip(LINE).split(LINE)) if self.models else ()


SESSION_ROW = Shape(SessionRow)

# The columns that come from the usage row if there is one, even where they are NULL there.
FROM_USAGE = (
    *("session_id", "started_at", "ended_at", "active_seconds", "wall_seconds"),
    *("tool_calls", "tool_errors", "primary_model"),
)

NEVER = "TIMESTAMP '1970-01-01'"  # for a session without any time whose file is gone


def sessions_sql(of_users: Callable[[str], str], *, with_usage: bool) -> str:
    """A SELECT of all sessions of some users. `of_users` makes the condition for a column that holds a user's id.

    It has the columns of `SessionRow`, and `span_end`. If a file's content has no time, `wall_seconds` is NULL and the
    span is the modification time. Times are taken from the span: DuckDB keeps every column in memory that was read.
    `with_usage` is false if the usage table is empty: the index alone is several times as fast.
    """
    indexed = f"""
        SELECT user_id, session_file, session_id,
               CASE WHEN facts_version IS NULL OR wall_seconds IS NOT NULL THEN span_begin END AS started_at,
               CASE WHEN wall_seconds IS NOT NULL THEN span_end END AS ended_at,
               active_seconds, wall_seconds, tool_calls, tool_errors, primary_model,
               facts_version IS NOT NULL AS processed, size_bytes, title, project, models, span_begin, span_end
        FROM session_index
        WHERE {of_users("user_id")}
    """
    if not with_usage:
        return indexed
    decided = ", ".join(
        f"CASE WHEN usage.user_id IS NULL THEN indexed.{name} ELSE usage.{name} END AS {name}" for name in FROM_USAGE
    )
    return f"""
        SELECT coalesce(usage.user_id, indexed.user_id) AS user_id,
               coalesce(usage.session_file, indexed.session_file) AS session_file, {decided},
               usage.user_id IS NOT NULL OR indexed.processed AS processed,
               indexed.size_bytes, indexed.title, indexed.project, indexed.models,
               CASE WHEN usage.user_id IS NULL THEN indexed.span_begin
                    ELSE coalesce(usage.started_at, usage.ended_at, indexed.span_begin, {NEVER}) END AS span_begin,
               CASE WHEN usage.user_id IS NULL THEN indexed.span_end
                    ELSE coalesce(usage.ended_at, usage.started_at, indexed.span_end, {NEVER}) END AS span_end
        FROM (SELECT * FROM ({_usage_sql(of_users)}) AS numbered WHERE nth = 1) AS usage
        FULL JOIN ({indexed}) AS indexed
            ON usage.user_id = indexed.user_id AND usage.session_file = indexed.session_file
    """


def _usage_sql(of_users: Callable[[str], str]) -> str:
    """Usage rows with the ids of their users. There is a join for each of the three names: for one join with OR, the
    engines compare all rows with all users."""
    columns = """users.id AS user_id, split_part(usage.session_file, '/', -1) AS session_file, usage.session_id,
               CAST(usage.started_at AS TIMESTAMP) AS started_at, CAST(usage.ended_at AS TIMESTAMP) AS ended_at,
               usage.active_seconds, usage.wall_seconds, usage.tool_calls, usage.tool_errors, usage.primary_model,
               usage.processor_version, usage.session_file AS stored_name"""
    names = (
        "usage.user_id = users.id",
        "usage.username = users.email AND usage.user_id IS DISTINCT FROM users.id",
        "usage.username = users.local_part AND usage.user_id IS DISTINCT FROM users.id",
    )
    joins = " UNION ALL ".join(
        f"""
        SELECT {columns}
        FROM usage_session_summary AS usage
        JOIN (SELECT id, email, regexp_replace(email, '@[^@]*$', '') AS local_part FROM users) AS users ON {name}
        WHERE {of_users("users.id")} AND usage.username <> ''
        """
        for name in names
    )
    return f"""
        SELECT *, row_number() OVER (
            PARTITION BY user_id, session_file
            ORDER BY processor_version DESC, started_at DESC NULLS LAST, stored_name COLLATE "C"
        ) AS nth
        FROM ({joins}) AS owned
    """
