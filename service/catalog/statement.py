"""SQL statements about sessions: their text and their parameters."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from service.catalog.database import naive, utc
from service.catalog.index import LINE, SEPARATOR
from service.catalog.merged import sessions_sql
from service.catalog.selection import Selection

TIME_KEY = "span_begin"  # the sort key of sessions that are sorted by time


@dataclass(frozen=True, slots=True)
class After:
    """Where a page begins: after this session, the last one of the previous page. `key` is its sort key; a time is in
    microseconds since the epoch."""

    key: int
    user_id: str
    session_file: str

    def value(self, key: str) -> object:
        """The sort key as a parameter that is compared with the column `key`."""
        return utc(self.key) if key == TIME_KEY else self.key

    def values(self) -> tuple[int, str, str]:
        return self.key, self.user_id, self.session_file


class Parameters:
    """The parameters of a statement, in the order in which its text is made."""

    def __init__(self) -> None:
        self.values: list[object] = []

    def bind(self, value: object) -> str:
        """How the value is written in the text."""
        if isinstance(value, datetime):
            self.values.append(naive(value) if value.tzinfo else value)
            return f"CAST(${len(self.values)} AS TIMESTAMP)"
        self.values.append(value)
        return f"${len(self.values)}"


class Statement(Parameters):
    """Builds a statement about sessions."""

    def __init__(self, *, with_usage: bool) -> None:
        super().__init__()
        self._with_usage = with_usage

    def sessions(self, user_ids: Sequence[str]) -> str:
        """All sessions of these users, or of all users."""
        if not user_ids:
            return sessions_sql(lambda _: "TRUE", with_usage=self._with_usage)
        ids = self.bind(SEPARATOR.join(user_ids))
        return sessions_sql(lambda column: _is_any(column, ids), with_usage=self._with_usage)

    def condition(self, selection: Selection, after: After | None = None, key: str = "") -> str:
        """The condition for a selected session, and, if `after` is given, for one that is sorted after it."""
        return " AND ".join(["TRUE", *_conditions(selection, self.bind), *_after(after, key, self.bind)])


def _conditions(selection: Selection, bind: Callable[[object], str]) -> Iterator[str]:
    if selection.session_files:
        yield _is_any("session_file", bind(SEPARATOR.join(selection.session_files)))
    if selection.since:
        yield f"span_end >= {bind(selection.since)}"
    if selection.until:
        yield f"span_begin < {bind(selection.until)}"
    if selection.models:
        # Not by `_is_any`: a subquery next to an OR makes DuckDB read all columns of all rows first.
        answered = [f"strpos(models, {bind(f'{LINE}{model}{LINE}')}) > 0" for model in selection.models]
        yield f"({' OR '.join(answered)} OR primary_model IN ({', '.join(map(bind, selection.models))}))"
    if selection.errors:
        yield "tool_errors > 0"
    if selection.q:
        q = bind(selection.q)
        searched = ("session_file", "session_id", "title", "project")
        yield f"({' OR '.join(f'strpos(lower({column}), lower({q})) > 0' for column in searched)})"


def _after(after: After | None, key: str, bind: Callable[[object], str]) -> Iterator[str]:
    if after is not None:
        last = bind(after.value(key))
        user, name = bind(after.user_id), bind(after.session_file)
        later = f'(user_id > {user} COLLATE "C" OR (user_id = {user} AND session_file > {name} COLLATE "C"))'
        yield f"{key} <= {last} AND ({key} < {last} OR {later})"


def _is_any(column: str, values: str) -> str:
    """The condition that the column has one of the values, which are one parameter."""
    return f"{column} IN (SELECT unnest(string_to_array({values}, chr(31))))"
