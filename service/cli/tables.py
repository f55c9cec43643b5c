"""The tables that commands print, and how sizes and times are written in them."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from service.client import Activity, Session

Row = TypeVar("Row", Session, Activity)

UNITS = ("B", "kB", "MB", "GB", "TB")
NOTHING = "-"


@dataclass(frozen=True, slots=True)
class Column:
    """`form` is a format specification (alignment and width); `cell` gives a row's text."""

    heading: str
    form: str
    cell: Callable[[Any], str]


class Table:
    """Columns that are as wide as their format says, so that rows can be printed as they come."""

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


SESSIONS = Table(
    Column("STARTED (UTC)", "<19", lambda row: format_time(row.started_at)),
    Column("SIZE", ">8", lambda row: format_size(row.size_bytes) if row.available else "gone"),
    Column("TOOLS", ">6", lambda row: _text(row.tool_calls) if row.processed else NOTHING),
    Column("ERRORS", ">6", lambda row: _text(row.tool_errors) if row.processed else NOTHING),
    Column("MODEL", "<26", lambda row: _text(row.primary_model)),
    Column("SESSION FILE", "", lambda row: row.session_file),
)
ACTIVITY = Table(
    Column("TIME (UTC)", "<19", lambda row: format_time(row.timestamp)),
    Column("ACTION", "<29", lambda row: row.action),
    Column("RESULT", "<11", lambda row: _text(row.result)),
    Column("MS", ">7", lambda row: _text(row.duration_ms)),
    Column("FROM", "<15", lambda row: _text(row.client_ip)),
    Column("RESOURCE", "", lambda row: _text(row.resource)),
)
