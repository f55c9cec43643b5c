import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from service.catalog import AuditLog, CatalogError, CatalogUnusable, Database, Event, Result, Usage, User, Users
from service.catalog.actions import ACTIVITY_READ, DOWNLOAD, EXPORT
from service.pools import Pool

FOREIGN_TABLES = """
    CREATE TABLE users (extra INT, id VARCHAR PRIMARY KEY, email VARCHAR UNIQUE NOT NULL, name VARCHAR,
        team VARCHAR DEFAULT 'x', active BOOLEAN NOT NULL DEFAULT TRUE, created_at TIMESTAMPTZ);
    CREATE TABLE usage_session_summary (cost DOUBLE, name VARCHAR DEFAULT 'n', bare_name VARCHAR,
        session_file VARCHAR PRIMARY KEY, session_id VARCHAR, username VARCHAR, user_id VARCHAR,
        started_at TIMESTAMPTZ, ended_at TIMESTAMP, active_seconds INT, wall_seconds INT, tool_calls INT,
        tool_errors INT, primary_model VARCHAR, processor_version INT);
    CREATE TABLE audit_log (id VARCHAR, timestamp TIMESTAMPTZ, user_id VARCHAR, action VARCHAR, resource VARCHAR,
        params JSON, result VARCHAR, duration_ms INT, params_before JSON, client_ip VARCHAR, client_kind VARCHAR,
        correlation_id VARCHAR, tenant VARCHAR, request VARCHAR DEFAULT 'r', is_start BOOLEAN, outcomes INT DEFAULT 9);
    INSERT INTO audit_log (id, timestamp, user_id, action, params)
        VALUES ('1', '2026-05-10 14:00:00+02', 'user9', 'session_download_started', '{}');
    INSERT INTO usage_session_summary (session_file, username, started_at)
        VALUES ('a.jsonl', 'u', '2026-05-10 14:00:00+02'), ('d/a.jsonl', 'u', NULL), ('b.jsonl', 'u', '12000-01-01');
"""


async def opened(path: Path, threads: int = 4) -> Database:
    pool = Pool("catalog", threads)
    return await pool.run(Database, path, pool, "256MB")


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    made = await opened(tmp_path / "new" / "catalog.duckdb")
    yield made
    made.close()


def event(number: int = 0) -> Event:
    return Event(f"user{number}", ACTIVITY_READ, "resource", {"n": number}, Result.SUCCESS, f"id{number}")


async def test_the_schema_is_made_at_the_first_start_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "new" / "catalog.duckdb"
    first = await opened(path)
    await Users(first).add([User("u", "u@example.com", None)])
    first.close()
    first.close()  # may be called twice
    second = await opened(path)
    assert await Users(second).find("u") == User("u", "u@example.com", None)
    second.close()


async def test_memory_and_threads_are_set_and_nothing_outside_can_be_read(database: Database) -> None:
    rows = await database.query(
        "SELECT name, value FROM duckdb_settings() WHERE name IN ('memory_limit', 'threads', 'enable_external_access')"
    )
    settings = {row["name"]: row["value"] for row in rows}
    assert settings == {"memory_limit": "244.1 MiB", "threads": "1", "enable_external_access": "false"}
    for sql in (
        "SELECT * FROM read_text('/etc/passwd')",
        "ATTACH '/tmp/x.duckdb'",
        "SET threads = 8",
        "INSTALL httpfs",
    ):
        with pytest.raises(CatalogError):
            await database.query(sql)


async def test_tables_with_more_columns_work(tmp_path: Path) -> None:
    path = tmp_path / "catalog.duckdb"
    with duckdb.connect(path) as foreign:
        foreign.execute(FOREIGN_TABLES)
    database = await opened(path)
    await Users(database).add([User("u", "u@example.com", "U")])
    names, (late, row) = await Usage(database).page("u", ("u", None), 10, 0)
    assert names == {"a.jsonl", "b.jsonl"}
    assert (row.started_at or late.started_at) == datetime(2026, 5, 10, 12, tzinfo=UTC)
    assert late.started_at == datetime.max.replace(tzinfo=UTC), "DuckDB holds times that Python does not"
    audit = AuditLog(database)
    await audit.write(event())
    (written,) = await audit.page("user0", 10, 0)
    assert written.params == {"n": 0}
    assert await audit.close_unfinished() == 1
    database.close()


@pytest.mark.parametrize("host_zone", ["America/New_York", "Asia/Tokyo"])
async def test_times_do_not_depend_on_the_hosts_zone(tmp_path: Path, host_zone: str) -> None:
    program = (
        "import asyncio, sys\nfrom pathlib import Path\nfrom datetime import *\n"
        "from tests.catalog.test_catalog import *\n"
        "async def main():\n"
        "    database = await opened(Path(sys.argv[1]))\n"
        "    await AuditLog(database).write(event())\n"
        "    (row,) = await AuditLog(database).page('user0', 1, 0)\n"
        "    print(abs((datetime.now(timezone.utc) - row.timestamp).total_seconds()) < 60)\n"
        "    database.close()\n"
        "asyncio.run(main())\n"
    )
    done = await run_python(program, str(tmp_path / "c.duckdb"), TZ=host_zone)
    assert done.stdout.strip() == "True", done.stderr


async def run_python(program: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environment,
        cwd=Path(__file__).parents[2],
    )


async def test_writes_from_many_tasks_are_all_kept(database: Database) -> None:
    audit = AuditLog(database)
    await asyncio.gather(*(audit.write(event(number % 7)) for number in range(200)))
    counts = [await audit.count(f"user{number}") for number in range(7)]
    assert sum(counts) == 200
    found = await asyncio.gather(*(audit.page(f"user{number % 7}", 200, 0) for number in range(70)))
    for number, rows in enumerate(found):
        assert {row.params["n"] for row in rows} == {number % 7}
        assert len(rows) == counts[number % 7]


async def test_several_rows_are_written_all_or_none(database: Database) -> None:
    audit = AuditLog(database)
    params = {"username": "a"}
    events = [Event("u", EXPORT, f"users/{n}/sessions", params, Result.SUCCESS, "id") for n in range(50)]
    await audit.write_all(events)
    rows = await audit.page("u", 100, 0)
    assert {row.resource for row in rows} == {event.resource for event in events}
    assert len({row.timestamp for row in rows}) == 1
    with pytest.raises(CatalogError):
        await audit.write_all([*events, Event("u", EXPORT, "\ud800", params, Result.SUCCESS, "id")])
    assert await audit.count("u") == 50
    assert audit.failures == 1


async def test_pending_rows_come_with_the_next_write(database: Database) -> None:
    audit = AuditLog(database)
    audit.keep_pending([event(1), event(2)])
    await audit.write(event(3))
    assert [await audit.count(f"user{number}") for number in (1, 2, 3)] == [1, 1, 1]
    assert await audit.write_pending() == 0


async def test_a_write_outlives_the_cancellation_of_who_asked_for_it(tmp_path: Path) -> None:
    database = await opened(tmp_path / "c.duckdb", threads=1)
    release = threading.Event()
    holding = database.run(lambda _: release.wait(30))
    writing = asyncio.create_task(AuditLog(database).write(event()))
    await asyncio.sleep(0)
    writing.cancel()
    await asyncio.sleep(0)
    release.set()
    with pytest.raises(asyncio.CancelledError):
        await writing
    await holding
    assert await AuditLog(database).count("user0") == 1
    database.close()


async def test_closing_lets_what_was_handed_in_end(tmp_path: Path) -> None:
    path = tmp_path / "c.duckdb"
    database = await opened(path, threads=1)
    writes = [asyncio.create_task(AuditLog(database).write(event())) for _ in range(20)]
    await asyncio.sleep(0)
    database.close()
    await asyncio.gather(*writes)
    with pytest.raises(CatalogError, match="closed"):
        await AuditLog(database).write(event())
    again = await opened(path)
    assert await AuditLog(again).count("user0") == 20
    again.close()


async def test_users_are_added_all_or_none(database: Database) -> None:
    users = Users(database)
    assert await users.add([User("a", "a@x", None), User("b", "b@x", "B")]) == (2, 0)
    assert await users.add([User("a", "new@x", None), User("c", "c@x", None)]) == (1, 1)
    with pytest.raises(CatalogError, match="'b@x' is that of 'b'"):
        await users.add([User("d", "d@x", None), User("e", "b@x", None)])
    assert await users.find("d") is None
    assert await users.find("a") == User("a", "a@x", None)


async def test_a_catalog_that_another_process_holds_is_named_with_that_process(database: Database) -> None:
    program = (
        "import sys\nfrom pathlib import Path\nfrom service.catalog import *\nfrom service.pools import Pool\n"
        "try:\n    Database(Path(sys.argv[1]), Pool('catalog', 1), '256MB')\n"
        "except CatalogUnusable as error:\n    print(error)\n"
    )
    (row,) = await database.query("SELECT path FROM duckdb_databases() WHERE path IS NOT NULL")
    done = await run_python(program, row["path"])
    assert f"another process holds it: PID {os.getpid()}" in done.stdout, done.stderr
    assert done.stdout.count("\n") == 1


# Requests as pairs of (correlation id, what was written for it: s a start, o an outcome), and who gets an outcome.
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
async def test_starts_without_an_outcome_are_closed_and_no_others(
    database: Database, requests: list[tuple[str | None, str]], interrupted: list[str | None]
) -> None:
    audit = AuditLog(database)
    for correlation_id, written in requests:
        for kind in written:
            result = Result.SUCCESS if kind == "o" else Result.STARTED
            await audit.write(Event("u", DOWNLOAD, "r", {}, result, correlation_id))
    assert await audit.close_unfinished() == len(interrupted)
    rows = await database.query("SELECT correlation_id FROM audit_log WHERE result = 'interrupted' ORDER BY timestamp")
    assert [row["correlation_id"] for row in rows] == interrupted
    assert await audit.close_unfinished() == 0, "each gets one outcome"


async def test_what_was_not_yet_merged_into_the_file_stays_small(database: Database) -> None:
    """After a kill the start plays it back, at 0.2 ms a row."""
    rows = await database.query("SELECT value FROM duckdb_settings() WHERE name = 'checkpoint_threshold'")
    assert rows == [{"value": "1.9 MiB"}]


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
        await opened(path)
    assert str(unusable.value).startswith(f"catalog {path}: ")
    assert "\n" not in str(unusable.value)
