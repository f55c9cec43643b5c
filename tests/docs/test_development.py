"""docs/development.md shows the rooms that there are."""

import re

from tests.command import TOP
from tests.docs.pages import code, page, tables


def test_the_table_of_rooms_has_every_room() -> None:
    shown = [name.strip("`/") for cells in tables(page("development"), "room") for name in code(cells[0])]
    rooms = {path.name for path in (TOP / "service").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert len(shown) == len(set(shown))
    assert set(shown) == rooms


def test_every_file_that_it_names_is_there() -> None:
    for name in re.findall(r"`((?:service|tests)/[\w./]+)`", page("development")):
        assert (TOP / name).exists(), name
