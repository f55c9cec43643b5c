"""Tables in Markdown, and how numbers stand in them."""

from collections.abc import Sequence
from dataclasses import dataclass

NOTHING = "—"


@dataclass(frozen=True, slots=True)
class Table:
    """What one group found: a heading, a sentence on what was done, and rows of cells."""

    title: str
    about: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self) -> str:
        alignment = ["---", *["---:"] * (len(self.columns) - 1)]
        lines = [_line(self.columns), _line(alignment), *map(_line, self.rows)]
        return f"### {self.title}\n\n{self.about}\n\n" + "\n".join(lines) + "\n"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def time(seconds: float) -> str:
    """In the unit that suits."""
    return f"{digits(seconds)} s" if seconds >= 1 else f"{digits(seconds * 1000)} ms"


def size(count: float) -> str:
    return f"{digits(count / 1e9)} GB" if count >= 999.5e6 else f"{digits(count / 1e6)} MB"


def digits(value: float) -> str:
    """Three of them, and none lost before the point."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
