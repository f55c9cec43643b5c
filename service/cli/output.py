"""What a command prints: results to standard output; errors, and progress bars for terminals, to standard error."""

import dataclasses
import json
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

from tqdm import tqdm

from service.cli import exit_codes
from service.cli.tables import Row, Table, format_size
from service.client import (
    BrokenOff,
    CannotSave,
    ClientError,
    Damaged,
    NotAllowed,
    NotFound,
    Progress,
    Unavailable,
)

EXIT_CODES: dict[type[ClientError], int] = {
    NotAllowed: exit_codes.NOT_ALLOWED,
    NotFound: exit_codes.NOT_FOUND,
    Unavailable: exit_codes.UNAVAILABLE,
    BrokenOff: exit_codes.BROKEN,
    Damaged: exit_codes.BROKEN,
    CannotSave: exit_codes.CANNOT_SAVE,
}
BAR = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} {rate_fmt}{postfix}"


def exit_code(error: ClientError) -> int:
    return EXIT_CODES.get(type(error), exit_codes.FAILED)


class Output:
    """Lines, rows and progress bars."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        tqdm.monitor_interval = 0  # no thread that watches for stalled bars

    def line(self, text: str) -> None:
        """Print a result."""
        tqdm.write(printable(text), file=sys.stdout)

    def error(self, text: str) -> None:
        """Print an error or a skipped file."""
        tqdm.write(printable(text), file=sys.stderr)

    def retry(self, error: ClientError, seconds: float) -> None:
        """Print why a transfer pauses, on a terminal only; scripts see only the outcome."""
        if self._terminal:
            self.error(f"{error} Trying again in {seconds:.0f} s.")

    @contextmanager
    def bar(self, name: str) -> Iterator[Callable[[Progress], None]]:
        """Show a bar during a transfer; call what is yielded with each progress."""
        with tqdm(
            desc=printable(name), unit="B", unit_scale=True, leave=False, disable=not self._terminal, bar_format=BAR
        ) as bar:

            def move(progress: Progress) -> None:
                bar.total = progress.total
                if progress.received != progress.done:
                    bar.set_postfix_str(f"{format_size(progress.received)} received", refresh=False)
                bar.update(min(progress.done, progress.total or progress.done) - bar.n)

            yield move
            bar.refresh()  # a short transfer ends before tqdm draws

    async def rows(self, rows: AsyncIterator[Row], table: Table | None, limit: int | None) -> None:
        """Print rows as they come, as a table or, without one, as JSON lines.

        The heading waits for the first row, as the request may fail instead.
        """
        heading = table.heading if table else None
        printed = 0
        async for row in rows:
            if heading is not None:
                self.line(heading)
                heading = None
            self.line(table.line(row) if table else to_json(row))
            printed += 1
            if printed == limit:
                return
        if heading is not None:
            self.line(heading)


def printable(text: str) -> str:
    """The text without characters that move a terminal's cursor or hide other text."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def to_json(row: Row) -> str:
    """One line."""
    return json.dumps(dataclasses.asdict(row), default=datetime.isoformat)
