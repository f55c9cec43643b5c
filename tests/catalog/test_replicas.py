"""Each transfer gets exactly one outcome, from its own replica or from the one that finds it dead."""

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import pytest

from service.catalog import AuditLog, CatalogError, Database, Event, Replica, Result, Superseded
from service.catalog.actions import EXPORT
from service.catalog.database import now
from tests.catalog.opened import opened
from tests.engines import both_engines

only_postgres = pytest.mark.parametrize("catalog_url", ["postgres"], indirect=True)


def event(result: Result, correlation_id: str = "id") -> Event:
    params = {"username": "alice", "file_count": 3}
    return Event("admin", EXPORT, "users/u/sessions", params, result, correlation_id)


async def registered(database: Database) -> Replica:
    replica = Replica(database, AuditLog(database))
    await replica.register()
    return replica


async def results(database: Database) -> list[str]:
    return [row["result"] for row in await database.query("SELECT result FROM audit_log ORDER BY timestamp")]


async def count(database: Database, table: str) -> int:
    tables = {"running": "SELECT count(*) AS n FROM running", "replicas": "SELECT count(*) AS n FROM replicas"}
    return int((await database.query(tables[table]))[0]["n"])


@only_postgres
async def test_a_transfer_has_a_running_row_until_its_outcome(database: Database) -> None:
    replica = await registered(database)
    started = event(Result.STARTED)
    await replica.begin(started)
    assert await count(database, "running") == 1
    await replica.end(started.id, [event(Result.SUCCESS), event(Result.SUCCESS)])
    assert await results(database) == ["started", "success", "success"]
    with pytest.raises(Superseded):
        await replica.end(started.id, [event(Result.ERROR)])
    assert await count(database, "running") == 0
    await replica.leave()
    assert await count(database, "replicas") == 0


@only_postgres
@pytest.mark.parametrize("minutes", [-10, 10])
async def test_a_replica_whose_clock_is_off_neither_dies_nor_declares_others_dead(
    database: Database, monkeypatch: pytest.MonkeyPatch, minutes: int
) -> None:
    right = await registered(database)
    for module in ("audit", "replicas"):
        monkeypatch.setattr(f"service.catalog.{module}.now", lambda: now() + timedelta(minutes=minutes))
    wrong = await registered(database)
    await right.begin(event(Result.STARTED, "of right"))
    await wrong.begin(event(Result.STARTED, "of wrong"))
    await database.query("UPDATE replicas SET steady_since = steady_since - INTERVAL '31 seconds'")
    for replica in (wrong, right):
        await replica.beat()
    assert await count(database, "replicas") == 2
    assert await results(database) == ["started", "started"]


@both_engines
async def test_work_that_runs_twice_writes_once(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit took place, and its answer was lost: then the work runs again."""
    replica = await registered(database)
    run = type(database).run

    def twice(self: Database, work: Callable[..., object]) -> object:
        return run(self, lambda cursor: (work(cursor), work(cursor))[1])

    started, ended = event(Result.STARTED), event(Result.SUCCESS)
    if not database.exclusive:  # DuckDB's work never runs twice
        monkeypatch.setattr(type(database), "run", twice)
    await replica.begin(started)
    await replica.end(started.id, [ended])
    monkeypatch.undo()
    assert await results(database) == ["started", "success"]


@both_engines
async def test_pending_outcomes_come_with_the_next_write(database: Database) -> None:
    replica = await registered(database)
    first, second = event(Result.STARTED), event(Result.STARTED)
    await replica.begin(first)
    replica.keep_pending(first.id, [event(Result.ERROR)])
    await replica.begin(second)
    assert sorted(await results(database)) == ["error", "started", "started"]
    assert await replica.write_pending() == 0
    if not database.exclusive:  # DuckDB knows whether a row was written
        replica.keep_pending("never begun", [event(Result.ERROR)])
        assert await replica.write_pending() == 0
        assert len(await results(database)) == 3


async def next_process(catalog_url: str, started: Event) -> Database:
    """The catalog of the process that comes after one which died with this transfer."""
    dead = await opened(catalog_url)
    await (await registered(dead)).begin(started)
    if not dead.exclusive:
        await dead.query("UPDATE replicas SET seen_at = seen_at - INTERVAL '31 seconds'")
    dead.close()
    database = await opened(catalog_url)
    replica = await registered(database)
    if not database.exclusive:
        await database.query("UPDATE replicas SET steady_since = steady_since - INTERVAL '31 seconds'")
        await replica.beat()
    return database


@both_engines
async def test_what_a_dead_process_left_is_interrupted_once(catalog_url: str) -> None:
    """On DuckDB the next process knows at once that the one before is dead."""
    database = await next_process(catalog_url, event(Result.STARTED, "left"))
    (row,) = await AuditLog(database).page("admin", 1, 0)
    assert (row.result, row.action, row.correlation_id) == ("interrupted", EXPORT.name, "left")
    unknown = {"file_count": None, "total_bytes": None, "bytes_sent": None, "skipped": None}
    assert row.params == {"username": "alice"} | unknown
    assert row.duration_ms is not None and row.duration_ms >= 0
    await registered(database)
    assert await results(database) == ["started", "interrupted"]
    database.close()


def across(result: Result, resource: str = "sessions", **params: object) -> Event:
    return Event("admin", EXPORT, resource, {"archive": "tag"} | params, result, "id")


@both_engines
async def test_an_export_across_users_that_a_dead_process_left_is_interrupted_for_each_user(catalog_url: str) -> None:
    database = await next_process(catalog_url, across(Result.STARTED, users=["u-1", "u-2"]))
    await registered(database)
    rows = await AuditLog(database).page("admin", 9, 0)
    interrupted = {row.resource: row.params for row in rows if row.result == "interrupted"}
    unknown = {"file_count": None, "total_bytes": None, "bytes_sent": None, "skipped": None}
    assert interrupted == dict.fromkeys(["users/u-1/sessions", "users/u-2/sessions"], {"archive": "tag"} | unknown)
    assert len(rows) == 3
    database.close()


@both_engines
async def test_an_export_across_users_that_ended_stays_as_it_ended(catalog_url: str) -> None:
    """Its outcomes have other resources than its started row."""
    database = await opened(catalog_url)
    replica = await registered(database)
    started = across(Result.STARTED, users=["u-1", "u-2"])
    await replica.begin(started)
    await replica.end(started.id, [across(Result.SUCCESS, f"users/u-{n}/sessions") for n in (1, 2)])
    await replica.leave()
    database.close()
    database = await opened(catalog_url)
    await registered(database)
    assert await results(database) == ["started", "success", "success"]
    database.close()


@only_postgres
async def test_the_living_are_not_judged(database: Database) -> None:
    await (await registered(database)).begin(event(Result.STARTED))
    judge = await registered(database)
    await database.query("UPDATE replicas SET steady_since = steady_since - INTERVAL '31 seconds'")
    await judge.beat()
    assert await results(database) == ["started"]
    assert await count(database, "replicas") == 2


@only_postgres
async def test_after_an_outage_nobody_is_judged(database: Database) -> None:
    """All rows are old then, the judge's too, who has not been seen without a gap."""
    other = await registered(database)
    await other.begin(event(Result.STARTED))
    judge = await registered(database)
    await database.query(
        "UPDATE replicas SET seen_at = seen_at - INTERVAL '40 seconds', steady_since = seen_at - INTERVAL '1 hour'"
    )
    await judge.beat()
    assert await results(database) == ["started"]
    await other.beat()
    assert await count(database, "replicas") == 2


@only_postgres
async def test_a_replica_taken_for_dead_writes_no_success_and_goes_on_under_a_new_id(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    away = await registered(database)
    started = event(Result.STARTED)
    await away.begin(started)
    await database.query("UPDATE replicas SET seen_at = seen_at - INTERVAL '31 seconds'")
    judge = await registered(database)
    await database.query("UPDATE replicas SET steady_since = steady_since - INTERVAL '31 seconds'")
    await judge.beat()
    with pytest.raises(Superseded):
        await away.end(started.id, [event(Result.SUCCESS)])
    with pytest.raises(CatalogError):
        await away.begin(event(Result.STARTED))
    await away.beat()
    assert "taken for dead" in caplog.text
    again = event(Result.STARTED)
    await away.begin(again)
    await away.end(again.id, [event(Result.SUCCESS)])
    assert await results(database) == ["started", "interrupted", "started", "success"]


@only_postgres
async def test_of_a_replica_and_its_judges_exactly_one_writes_the_outcome(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Replicas that count as dead at once, against judges, hundreds of times."""
    monkeypatch.setattr("service.catalog.replicas.DEAD_AFTER", 0)
    outcomes: Counter[str] = Counter()

    async def transfers() -> None:
        for _ in range(40):
            replica, started = await registered(database), event(Result.STARTED)
            try:
                await replica.begin(started)
                await replica.end(started.id, [event(Result.SUCCESS)])
                outcomes["success"] += 1
            except (Superseded, CatalogError):
                outcomes["late"] += 1

    async def judging() -> None:
        judge = await registered(database)
        while True:
            await judge.beat()
            await asyncio.sleep(0)

    judges = [asyncio.create_task(judging()) for _ in range(2)]
    await asyncio.gather(*(transfers() for _ in range(4)))
    for judge in judges:
        judge.cancel()
    await asyncio.gather(*judges, return_exceptions=True)
    await (await registered(database)).beat()
    found = Counter(await results(database))
    assert found["started"] == found["success"] + found["interrupted"]
    assert found["success"] == outcomes["success"] > 0
    assert found["interrupted"] > 0
    assert await count(database, "running") == 0
