"""A copy has what the source has, whatever the engines, and can be run again."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from service.catalog import AuditLog, CatalogError, Event, Replica, Result, Usage, UsageRow, User, Users
from service.catalog.actions import EXPORT
from service.catalog.copy import copy_catalog
from tests.catalog.opened import opened
from tests.postgres import Postgres

DAY = datetime(2026, 5, 10, 12, 30, 1, 123456, tzinfo=UTC)
USERS = [User("u-1", "ann@example.com", "Ann"), User("ü 2", "o'neil@example.com", None)]


async def fill(url: str) -> None:
    """With a transfer that a dead server left."""
    database = await opened(url)
    await Users(database).add(USERS)
    await database.query("INSERT INTO users (id, email, active) VALUES ('old', 'old@example.com', FALSE)")
    row = UsageRow("a.jsonl", "s", DAY, None, 61, None, 5, 1, "claude")
    await Usage(database).add(row, username="ann", user_id="u-1", processor_version=1)
    audit = AuditLog(database)
    for number in range(5):
        params = {"text": 'ü "quoted"\n\x00', "n": number}
        await audit.write(Event("admin", EXPORT, "users/u-1/sessions", params, Result.SUCCESS, None, duration_ms=7))
    replica = Replica(database, audit)
    await replica.register()
    await replica.begin(Event("admin", EXPORT, "users/u-1/sessions", {}, Result.STARTED, "left"))
    database.close()


@pytest.mark.parametrize(("source", "target"), [("duckdb", "postgres"), ("postgres", "duckdb"), ("duckdb", "duckdb")])
async def test_a_copy_is_the_same_and_can_be_run_again(
    request: pytest.FixtureRequest, tmp_path: Path, source: str, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.catalog.copy.BATCH", 2)

    def new_url(engine: str, name: str) -> str:
        server = request.getfixturevalue("postgres") if engine == "postgres" else None
        return server.new_url() if isinstance(server, Postgres) else str(tmp_path / name)

    source_url, target_url = new_url(source, "source.duckdb"), new_url(target, "target.duckdb")
    await fill(source_url)
    origin, destination = await opened(source_url), await opened(target_url)
    await Users(destination).add([User("u-1", "renamed@example.com", "stays")])
    rows = 7 if source == "duckdb" else 6  # where the source is held alone, what was left has its outcome
    tables = [(copied.table, copied.copied, copied.present) async for copied in copy_catalog(origin, destination)]
    assert tables == [("users", 2, 1), ("usage_session_summary", 1, 0), ("audit_log", rows, 0)]
    again = [(copied.copied, copied.present, copied.total) async for copied in copy_catalog(origin, destination)]
    assert again == [(0, 3, 3), (0, 1, 1), (0, rows, rows)]
    assert (await Users(destination).find("u-1")) == User("u-1", "renamed@example.com", "stays")
    assert (await Users(destination).find("old")) == User("old", "old@example.com", None, active=False)
    pages = [await AuditLog(database).page("admin", 50, 0) for database in (origin, destination)]
    assert pages[0] == pages[1]
    (used,) = await destination.query("SELECT started_at, active_seconds, wall_seconds FROM usage_session_summary")
    assert used == {"started_at": DAY.replace(tzinfo=None), "active_seconds": 61, "wall_seconds": None}
    origin.close()
    destination.close()


async def test_an_email_of_two_users_stops_the_copy(tmp_path: Path) -> None:
    urls = [str(tmp_path / name) for name in ("source.duckdb", "target.duckdb")]
    await fill(urls[0])
    origin, destination = await opened(urls[0]), await opened(urls[1])
    await Users(destination).add([User("another", USERS[0].email, None)])
    with pytest.raises(CatalogError, match=USERS[0].email):
        _ = [copied async for copied in copy_catalog(origin, destination)]
    origin.close()
    destination.close()
