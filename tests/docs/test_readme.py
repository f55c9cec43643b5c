"""The README: short, and what it names is there."""

from tests.docs.pages import README, code, tables
from tests.document import operations

MOST_LINES = 130
VENV = "    python3 -m venv .venv && .venv/bin/pip install -q -e "


def test_it_is_short() -> None:
    assert len(README.read_text().splitlines()) <= MOST_LINES


def test_its_two_command_lines_set_up_everything() -> None:
    assert f"{VENV}. && .venv/bin/session-export demo\n" in README.read_text()
    assert f"{VENV}'.[test]' && .venv/bin/pytest\n" in README.read_text()


def test_its_table_has_every_endpoint() -> None:
    """But for those of the doctor, and the files of the two pages."""
    shown = {path.strip("`") for cells in tables(README.read_text(), "path") for path in code(cells[0])}
    paths = {path for _, path in operations()}
    assert shown == {path for path in paths if not path.startswith(("/api/admin/doctor/", "/docs/", "/console/"))}
