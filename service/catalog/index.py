"""The table `session_index`: what the service found in each user's session files.

Rows are passed to SQL as columns, each a text with a separator that no value contains: a parameter that is a list, or
one statement per row, takes DuckDB a hundred times as long.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime

from service.catalog.database import Cursor, Database, Row, utc

SEPARATOR = "\x1f"  # in SQL chr(31)
LINE = "\n"  # before and after each of several models
AT_ONCE = 500  # rows of one statement
FACTS_VERSION = 1  # raise it when the same file gives other facts, so that all files are read again

# Without the lock, two replicas that replace a row at once would insert it twice. A DuckDB file belongs to one process,
# so there this does nothing.
LOCK = "SELECT pg_advisory_xact_lock(hash_record_extended(ROW(CAST($1 AS VARCHAR)), 0))"
KNOWN = """
    SELECT session_file, size_bytes, modified_ns, identity, facts_version
    FROM session_index
    WHERE user_id = $1
"""
OF_FILES = "AND session_file IN (SELECT unnest(string_to_array($2, chr(31))))"
REMOVE = f"DELETE FROM session_index WHERE user_id = $1 {OF_FILES}"
USERS = "SELECT DISTINCT user_id FROM session_index"
MISSING_USERS = """
    SELECT user_id FROM session_index
    WHERE NOT EXISTS (SELECT 1 FROM users WHERE users.id = session_index.user_id)
    UNION
    SELECT user_id FROM export_figures
    WHERE NOT EXISTS (SELECT 1 FROM users WHERE users.id = export_figures.user_id)
"""
REMOVE_USERS = "DELETE FROM session_index WHERE user_id IN (SELECT unnest(string_to_array($1, chr(31))))"
REMOVE_FIGURES = "DELETE FROM export_figures WHERE user_id IN (SELECT unnest(string_to_array($1, chr(31))))"


@dataclass(frozen=True, slots=True)
class Facts:
    """The facts found in a session file. Times are aware, in UTC. Texts have no control characters.

    `session_id` is None if no line has one. `tool_calls` counts neither `mcp_calls` nor `subagents`; `tool_errors`
    counts the failures of all three.
    """

    session_id: str | None
    started_at: datetime | None
    ended_at: datetime | None
    active_seconds: int
    wall_seconds: int | None
    user_messages: int
    assistant_messages: int
    tool_calls: int
    mcp_calls: int
    subagents: int
    tool_errors: int
    primary_model: str | None
    models: tuple[str, ...]
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_creation_tokens: int
    title: str | None
    project: str | None
    bad_lines: int


@dataclass(frozen=True, slots=True)
class FileState:
    """The version of a file: size in bytes, modification time in nanoseconds since the epoch, `identity` in hex."""

    size_bytes: int
    modified_ns: int
    identity: str


@dataclass(frozen=True, slots=True)
class IndexRow:
    """A session file of a user. `facts` is None until the file is read."""

    session_file: str
    state: FileState
    facts: Facts | None


TEXTS = {"session_file", "identity", "session_id", "primary_model", "models", "title", "project"}
TIMES = {"modified_at", "span_begin", "span_end", "started_at", "ended_at"}  # all else are numbers
COLUMNS = (
    *("session_file", "size_bytes", "modified_ns", "modified_at", "identity", "span_begin", "span_end"),
    "facts_version",
    *(field.name for field in fields(Facts)),
)


def _column(number: int, name: str) -> str:
    """The values of a column, from the parameter of that number."""
    kind = "VARCHAR" if name in TEXTS else "TIMESTAMP" if name in TIMES else "BIGINT"
    return f"CAST(nullif(unnest(string_to_array(${number}, chr(31))), '') AS {kind})"


ADD = f"""
    INSERT INTO session_index (user_id, revision, {", ".join(COLUMNS)})
    SELECT $1, CAST($2 AS BIGINT), {", ".join(_column(number, name) for number, name in enumerate(COLUMNS, 3))}
"""


class RowsChanged(Exception):
    """Another replica has written some of these rows since they were read."""


class Index:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def known(self, user_id: str) -> dict[str, tuple[FileState, bool]]:
        """The indexed versions of the user's files, by name, and whether each was read for its facts.

        Raises CatalogError.
        """
        return _known(await self._database.query(KNOWN, [user_id]))

    async def replace(self, user_id: str, rows: Sequence[IndexRow], before: Mapping[str, FileState]) -> None:
        """Replace the rows of these files, and delete those of the other files in `before`, all in one transaction.

        `before` has the versions that the table has of these files. Raises RowsChanged, after the other rows are
        written, if it has another version of some: those rows stay. Raises CatalogError.
        """
        files = {row.session_file for row in rows} | before.keys()
        revision = time.time_ns()

        def work(cursor: Cursor) -> bool:
            with cursor.transaction():
                cursor.query(LOCK, [user_id])
                known = _known(cursor.query(f"{KNOWN} {OF_FILES}", [user_id, SEPARATOR.join(files)]))
                kept = {name for name in files if known.get(name, (None,))[0] != before.get(name)}
                cursor.query(REMOVE, [user_id, SEPARATOR.join(files - kept)])
                written = [row for row in rows if row.session_file not in kept]
                for start in range(0, len(written), AT_ONCE):
                    columns = zip(*map(_texts, written[start : start + AT_ONCE]), strict=True)
                    cursor.query(ADD, [user_id, revision, *map(SEPARATOR.join, columns)])
            return not kept

        if not await self._database.run(work):
            raise RowsChanged

    async def user_ids(self) -> set[str]:
        """The ids of the users who have rows. Raises CatalogError."""
        return {row["user_id"] for row in await self._database.query(USERS)}

    async def forget_missing_users(self) -> set[str]:
        """Delete the rows of users who no longer exist, and the figures of their exports; returns their ids.

        Raises CatalogError.
        """
        missing = {row["user_id"] for row in await self._database.query(MISSING_USERS)}
        if missing:
            await self._database.query(REMOVE_USERS, [SEPARATOR.join(missing)])
            await self._database.query(REMOVE_FIGURES, [SEPARATOR.join(missing)])
        return missing


def _known(rows: Sequence[Row]) -> dict[str, tuple[FileState, bool]]:
    """From rows of KNOWN: the version of each file, and whether it was read for its facts."""
    return {
        row["session_file"]: (
            FileState(row["size_bytes"], row["modified_ns"], row["identity"]),
            row["facts_version"] == FACTS_VERSION,
        )
        for row in rows
    }


def _texts(row: IndexRow) -> list[str]:
    """A row's values in the order of COLUMNS, as text; an empty text is NULL."""
    state, facts = row.state, row.facts
    modified_at = utc(state.modified_ns // 1000)
    values: list[object] = [row.session_file, state.size_bytes, state.modified_ns, modified_at, state.identity]
    if facts is None:
        unread = {"tool_calls": 0, "tool_errors": 0}
        values += [modified_at, modified_at, None, *(unread.get(field.name) for field in fields(Facts))]
    else:
        if row.session_file == f"{facts.session_id}.jsonl":  # nearly always; to hold both costs 20 MB a million rows
            facts = replace(facts, session_id=None)
        span = [facts.started_at or modified_at, facts.ended_at or modified_at]
        values += [*span, FACTS_VERSION, *(getattr(facts, field.name) for field in fields(Facts))]
    return [_text(value) for value in values]


def _text(value: object) -> str:
    match value:
        case None:
            return ""
        case datetime():
            return value.astimezone(UTC).replace(tzinfo=None).isoformat(" ")
        case tuple():  # so that a model is found as a whole, between two line ends
            return "".join([LINE, *(f"{model}{LINE}" for model in value)]) if value else ""
        case _:
            return str(value)
