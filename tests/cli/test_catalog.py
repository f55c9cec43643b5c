"""`session-export catalog copy`."""

from pathlib import Path

import pytest

from service.catalog import CatalogError, User, Users
from service.cli.catalog_copy import copy_between
from tests.catalog.opened import opened
from tests.command import run
from tests.postgres import Postgres


async def test_the_command_copies_and_says_what_it_did(tmp_path: Path, postgres: Postgres) -> None:
    database = await opened(str(tmp_path / "c.duckdb"))
    await Users(database).add(User(name, f"{name}@example.com", None) for name in ("ann", "bob"))
    database.close()
    target = postgres.new_url()
    assert run("catalog", "copy", "--from", "c.duckdb", "--to", target, cwd=tmp_path).stdout.splitlines() == [
        "users: 2 copied, 0 already there, 2 in the target",
        "usage_session_summary: 0 copied, 0 already there, 0 in the target",
        "audit_log: 0 copied, 0 already there, 0 in the target",
    ]
    again = run("catalog", "copy", "--from", "c.duckdb", "--to", target, cwd=tmp_path)
    assert again.stdout.startswith("users: 0 copied, 2 already there, 2 in the target\n"), again.stderr


@pytest.mark.parametrize(
    ("source", "target", "told"),
    [
        ("c.duckdb", "c.duckdb", "the same catalog"),
        ("missing.duckdb", "e.duckdb", "there is no catalog"),
        ("c.duckdb", "mysql://x", "--to: expected a path"),
    ],
)
async def test_a_copy_that_cannot_be_meant_is_refused(tmp_path: Path, source: str, target: str, told: str) -> None:
    (tmp_path / "c.duckdb").touch()
    with pytest.raises(CatalogError, match=told):
        await copy_between(str(tmp_path / source), target if "://" in target else str(tmp_path / target), print)
    assert not (tmp_path / "e.duckdb").exists()
