"""What a person sees: bars and notes on standard error where that is a terminal, results on standard output."""

import dataclasses
import json
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, TypeAlias, TypeVar

from tqdm import tqdm

from service.cli import exits
from service.client import (
    Activity,
    BrokenOff,
    CannotSave,
    ClientError,
    Damaged,
    NotAllowed,
    NotFound,
    Progress,
    Session,
    Unavailable,
)

Row = TypeVar("Row", Session, Activity)
Column: TypeAlias = tuple[str, str, Callable[[Any], str]]  # heading, its format, and a row's cell

EXIT_CODES: dict[type[ClientError], int] = {
    NotAllowed: exits.NOT_ALLOWED,
    NotFound: exits.NOT_FOUND,
    Unavailable: exits.UNAVAILABLE,
    BrokenOff: exits.BROKEN,
    Damaged: exits.BROKEN,
    CannotSave: exits.CANNOT_SAVE,
}
BAR = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} {rate_fmt}{postfix}"
UNITS = ("B", "kB", "MB", "GB", "TB")
NOTHING = "-"


def exit_code(error: ClientError) -> int:
    return EXIT_CODES.get(type(error), exits.FAILED)


class Show:
    """Lines, rows and bars."""

    def __init__(self) -> None:
        self._bars = sys.stderr.isatty()
        tqdm.monitor_interval = 0  # no thread that watches for bars that stand still

    def line(self, text: str) -> None:
        """A result."""
        tqdm.write(printable(text), file=sys.stdout)

    def error(self, text: str) -> None:
        """What went wrong, or was left out."""
        tqdm.write(printable(text), file=sys.stderr)

    def note(self, text: str) -> None:
        """For who watches."""
        if self._bars:
            self.error(text)

    def retry(self, error: ClientError, seconds: float) -> None:
        self.note(f"{error} Trying again in {seconds:.0f} s.")

    @contextmanager
    def bar(self, name: str) -> Iterator[Callable[[Progress], None]]:
        """A bar while something is transferred; call what is given as it goes on."""
        with tqdm(
            desc=printable(name), unit="B", unit_scale=True, leave=False, disable=not self._bars, bar_format=BAR
        ) as bar:

            def move(progress: Progress) -> None:
                bar.total = progress.total
                if progress.received != progress.done:
                    bar.set_postfix_str(f"{size(progress.received)} received", refresh=False)
                bar.update(min(progress.done, progress.total or progress.done) - bar.n)

            yield move
            bar.refresh()  # a short transfer is over before the bar would have moved

    async def rows(self, rows: AsyncIterator[Row], columns: Sequence[Column] | None, limit: int | None) -> None:
        """As a table, or as JSON where there are no columns; line by line, as the pages come. The heading waits for
        the first page, as there may be an error instead."""
        heading = _cells(columns, [heading for heading, _, _ in columns]) if columns else None
        left = limit
        async for row in rows:
            if heading is not None:
                self.line(heading)
                heading = None
            self.line(_cells(columns, [cell(row) for _, _, cell in columns]) if columns else _json(row))
            if left is not None and (left := left - 1) == 0:
                return
        if heading is not None:
            self.line(heading)


def size(count: float) -> str:
    """Bytes for people, in powers of 1000."""
    unit = 0
    while count >= 999.5 and unit < len(UNITS) - 1:
        count, unit = count / 1000, unit + 1
    return f"{count:.3g} {UNITS[unit]}"


def printable(text: str) -> str:
    """Nothing that moves a terminal's cursor or hides what stands there."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def _json(row: Session | Activity) -> str:
    return json.dumps(dataclasses.asdict(row), default=datetime.isoformat)


def _cells(columns: Sequence[Column], cells: Sequence[str]) -> str:
    return "  ".join(format(cell, form) for (_, form, _), cell in zip(columns, cells, strict=True)).rstrip()


def _time(time: datetime | None) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S}" if time else NOTHING


def _text(value: object) -> str:
    return NOTHING if value is None else str(value)


SESSIONS: tuple[Column, ...] = (
    ("STARTED (UTC)", "<19", lambda row: _time(row.started_at)),
    ("SIZE", ">8", lambda row: size(row.size_bytes) if row.available else "gone"),
    ("TOOLS", ">6", lambda row: _text(row.tool_calls) if row.processed else NOTHING),
    ("ERRORS", ">6", lambda row: _text(row.tool_errors) if row.processed else NOTHING),
    ("MODEL", "<26", lambda row: _text(row.primary_model)),
    ("SESSION FILE", "", lambda row: row.session_file),
)
ACTIVITY: tuple[Column, ...] = (
    ("TIME (UTC)", "<19", lambda row: _time(row.timestamp)),
    ("ACTION", "<29", lambda row: row.action),
    ("RESULT", "<11", lambda row: _text(row.result)),
    ("MS", ">7", lambda row: _text(row.duration_ms)),
    ("FROM", "<15", lambda row: _text(row.client_ip)),
    ("RESOURCE", "", lambda row: _text(row.resource)),
)
