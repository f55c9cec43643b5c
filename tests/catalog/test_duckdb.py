"""The DuckDB file: its settings, who holds it, what cannot be opened, and what a dead server left."""

import asyncio
import os
import subprocess
import sys
import threading
from pathlib import Path

import duckdb
import pytest

from service.catalog import AuditLog, CatalogError, CatalogUnusable, Database, Event, Replica, Result
from service.catalog.actions import DOWNLOAD
from service.catalog.database import Cursor
from tests.catalog.opened import opened


async def test_memory_and_threads_are_set_and_nothing_outside_can_be_read(database: Database) -> None:
    rows = await database.query(
        "SELECT name, value FROM duckdb_settings() WHERE name IN ('memory_limit', 'threads', 'enable_external_access')"
    )
    settings = {row["name"]: row["value"] for row in rows}
    assert settings == {"memory_limit": "122.0 MiB", "threads": "1", "enable_external_access": "false"}
    for sql in (
        "SELECT * FROM read_text('/etc/passwd')",
        "ATTACH '/tmp/x.duckdb'",
        "SET threads = 8",
        "INSTALL httpfs",
    ):
        with pytest.raises(CatalogError):
            await database.query(sql)


TOO_LARGE = "SELECT string_agg(repeat('x', 1000), '') AS text FROM range(200_000)"


async def test_work_that_runs_out_of_memory_runs_again_once_no_other_work_runs(database: Database) -> None:
    second = threading.Event()
    attempts = []

    def other(cursor: Cursor) -> bool:
        return second.wait(0.3)

    def hungry(cursor: Cursor) -> None:
        attempts.append("")
        if len(attempts) == 1:
            cursor.query(TOO_LARGE)
        second.set()

    started_beside, _ = await asyncio.gather(database.run(other), database.run(hungry))
    assert len(attempts) == 2
    assert not started_beside


async def test_work_that_is_too_large_even_alone_fails_and_names_the_setting(database: Database) -> None:
    with pytest.raises(CatalogError, match=r"raise catalog\.memory_limit"):
        await database.query(TOO_LARGE)
    assert await database.query("SELECT 1 AS one") == [{"one": 1}]


async def run_python(program: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environment,
        cwd=Path(__file__).parents[2],
    )


async def test_a_catalog_that_another_process_holds_is_named_with_that_process(database: Database) -> None:
    program = (
        "import asyncio, sys\nfrom service.catalog import *\nfrom service.pools import Pool\n"
        "from service.config import Catalog\n"
        "try:\n    asyncio.run(open_catalog(Catalog(url=sys.argv[1]), Pool('catalog', 1)))\n"
        "except CatalogUnusable as error:\n    print(error)\n"
    )
    (row,) = await database.query("SELECT path FROM duckdb_databases() WHERE path IS NOT NULL")
    done = await run_python(program, row["path"])
    assert f"another process holds it: PID {os.getpid()}" in done.stdout, done.stderr
    assert done.stdout.count("\n") == 1


async def test_what_was_not_yet_merged_into_the_file_stays_small(database: Database) -> None:
    """After a kill the start plays it back, at 0.2 ms a row."""
    rows = await database.query("SELECT value FROM duckdb_settings() WHERE name = 'checkpoint_threshold'")
    assert rows == [{"value": "1.9 MiB"}]


# Requests as pairs of (correlation id, its rows: s for a start, o for an outcome), and which get an outcome.
@pytest.mark.parametrize(
    ("requests", "interrupted"),
    [
        ([("a", "so"), ("b", "so")], []),
        ([("a", "so"), ("b", "s")], ["b"]),
        ([("a", "ssoo")], []),
        ([("a", "sso")], ["a"]),
        ([("a", "ss"), ("b", "so"), ("c", "s")], ["a", "a", "c"]),
        ([("a", "o"), ("b", "s")], ["b"]),
        ([(None, "s"), (None, "o")], []),
        ([(None, "s")], [None]),
    ],
)
async def test_starts_without_an_outcome_are_interrupted_and_no_others(
    database: Database, catalog_url: str, requests: list[tuple[str | None, str]], interrupted: list[str | None]
) -> None:
    audit = AuditLog(database)
    for correlation_id, written in requests:
        for kind in written:
            result = Result.SUCCESS if kind == "o" else Result.STARTED
            await audit.write(Event("u", DOWNLOAD, "r", {}, result, correlation_id))
    await database.query("DROP TABLE schema_version")
    database.close()
    for expected in (interrupted, interrupted):  # each gets one outcome
        again = await opened(catalog_url)
        await Replica(again, AuditLog(again)).register()
        rows = await again.query("SELECT correlation_id FROM audit_log WHERE result = 'interrupted'")
        assert sorted(str(row["correlation_id"]) for row in rows) == list(map(str, expected))
        again.close()


async def test_a_catalog_of_a_newer_duckdb_is_told_apart_from_a_broken_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what 1.5.6 says of a catalog that 2.0.1 made."""

    def refusing(*_: object, **__: object) -> None:
        raise duckdb.IOException(
            "IO Error: Trying to read a database file with version number 69, but we can only read versions between 64 "
            "and 68. The database file was created with a newer version of DuckDB."
        )

    monkeypatch.setattr("service.catalog.duckdb.duckdb.connect", refusing)
    with pytest.raises(CatalogUnusable, match=f"made by a newer DuckDB than {duckdb.__version__}"):
        await opened(str(tmp_path / "catalog.duckdb"))


@pytest.mark.parametrize("kind", ["text", "empty", "directory", "under a file"])
async def test_a_catalog_that_cannot_be_used_is_one_clear_line(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "catalog.duckdb"
    if kind == "text":
        path.write_text("this is no database\n" * 500)
    elif kind == "empty":
        path.touch()
    elif kind == "directory":
        path.mkdir()
    else:
        path.touch()
        path = path / "deeper" / "catalog.duckdb"
    with pytest.raises(CatalogUnusable) as unusable:
        await opened(str(path))
    assert str(unusable.value).startswith(f"catalog {path}: ")
    assert "\n" not in str(unusable.value)
