"""The tables that commands print, and the formats of sizes and times in them."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from service.client import Activity, FoundSession, Link, Session, User

Row = TypeVar("Row", Session, FoundSession, User, Activity, Link)

UNITS = ("B", "kB", "MB", "GB", "TB")
NOTHING = "-"


@dataclass(frozen=True, slots=True)
class Column:
    """`form` is a format specification (alignment and width); `cell` gives a row's text."""

    heading: str
    form: str
    cell: Callable[[Any], str]


class Table:
    """Columns of fixed width, so that rows can be printed as they arrive."""

    def __init__(self, *columns: Column) -> None:
        self._columns = columns

    @property
    def heading(self) -> str:
        return self._joined([column.heading for column in self._columns])

    def line(self, row: object) -> str:
        return self._joined([column.cell(row) for column in self._columns])

    def _joined(self, cells: list[str]) -> str:
        pairs = zip(self._columns, cells, strict=True)
        return "  ".join(format(cell, column.form) for column, cell in pairs).rstrip()


def format_size(count: float) -> str:
    """Bytes in three digits, in powers of 1000."""
    unit = 0
    while count >= 999.5 and unit < len(UNITS) - 1:
        count, unit = count / 1000, unit + 1
    return f"{count:.3g} {UNITS[unit]}"


def format_count(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def format_time(time: datetime | None) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S}" if time else NOTHING


def _text(value: object) -> str:
    return NOTHING if value is None else str(value)


STARTED = Column("STARTED (UTC)", "<19", lambda row: format_time(row.started_at))
SIZE = Column("SIZE", ">8", lambda row: format_size(row.size_bytes) if row.available else "gone")
TOOLS = Column("TOOLS", ">6", lambda row: _text(row.tool_calls) if row.processed else NOTHING)
ERRORS = Column("ERRORS", ">6", lambda row: _text(row.tool_errors) if row.processed else NOTHING)
MODEL = Column("MODEL", "<26", lambda row: _text(row.primary_model))
SESSION_FILE = Column("SESSION FILE", "", lambda row: row.session_file)
TIME = Column("TIME (UTC)", "<19", lambda row: format_time(row.timestamp))
ACTION = Column("ACTION", "<29", lambda row: row.action)
RESULT = Column("RESULT", "<11", lambda row: _text(row.result))
DURATION = Column("MS", ">7", lambda row: _text(row.duration_ms))
ADDRESS = Column("FROM", "<15", lambda row: _text(row.client_ip))
RESOURCE = Column("RESOURCE", "", lambda row: _text(row.resource))

SESSIONS = Table(STARTED, SIZE, TOOLS, ERRORS, MODEL, SESSION_FILE)
FOUND_SESSIONS = Table(
    STARTED,
    Column("USER", "<12", lambda row: row.user_id),
    SIZE,
    ERRORS,
    Column("SESSION FILE", "<42", lambda row: row.session_file),
    Column("TITLE", "", lambda row: _text(row.title)),
)
USERS = Table(
    Column("ID", "<12", lambda row: row.user_id),
    Column("E-MAIL", "<28", lambda row: row.email),
    Column("SESSIONS", ">8", lambda row: str(row.sessions)),
    Column("SIZE", ">8", lambda row: format_size(row.size_bytes)),
    Column("LAST SESSION (UTC)", "<19", lambda row: format_time(row.last_session_at)),
    Column("NAME", "", lambda row: _text(row.name) if row.active else f"{_text(row.name)} (not active)"),
)
ACTIVITY = Table(TIME, ACTION, RESULT, DURATION, ADDRESS, RESOURCE)
AUDIT = Table(TIME, Column("WHO", "<12", lambda row: _text(row.user_id)), ACTION, RESULT, ADDRESS, RESOURCE)
