"""A fixture for commands that write files."""

from pathlib import Path

import pytest


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """An empty directory to run commands in."""
    (tmp_path / "here").mkdir()
    return tmp_path / "here"
