"""The documents, as text, and what can be read from them."""

import re
from pathlib import Path

from tests.command import TOP

README = TOP / "README.md"
PAGES = [README, *sorted((TOP / "docs").glob("*.md"))]  # what is for users; each command in them is run
ALL = [*PAGES, TOP / "SECURITY.md", TOP / "CHANGELOG.md", *sorted(TOP.glob("*/**/README.md"))]
ALL = [path for path in ALL if ".venv" not in path.parts]


def page(name: str) -> str:
    return (TOP / "docs" / f"{name}.md").read_text()


def name(path: Path) -> str:
    return str(path.relative_to(TOP))


def commands(text: str, prompt: str) -> list[str]:
    """Lines of the indented blocks that begin so, without what stands behind a #."""
    return [line.partition("  #")[0].strip() for line in re.findall(rf"^    {prompt}(.*)$", text, re.MULTILINE)]


def tables(text: str, first: str) -> list[list[str]]:
    """The cells of all rows of the tables whose first column has that heading."""
    found = re.findall(rf"^\| {re.escape(first)} \|.*\n\| ---.*\n((?:\|.*\n)+)", text, re.MULTILINE)
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for lines in found for line in lines.splitlines()]


def code(cell: str) -> list[str]:
    """What is in backticks, or none."""
    return re.findall(r"`[^`]+`|none", cell)
