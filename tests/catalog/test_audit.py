"""The audit log: rows are written all or none, and to their end."""

import asyncio
import threading
from dataclasses import replace

import pytest

from service.catalog import AuditLog, CatalogError, Database, Event, Result
from service.catalog.actions import ACTIVITY_READ, EXPORT
from tests.catalog.opened import opened
from tests.engines import both_engines

pytestmark = both_engines


def event(number: int = 0) -> Event:
    return Event(f"user{number}", ACTIVITY_READ, "resource", {"n": number}, Result.SUCCESS, f"id{number}")


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
    with pytest.raises(CatalogError):
        await audit.write_all([*events, Event("u", EXPORT, "\ud800", params, Result.SUCCESS, "id")])
    assert await audit.count("u") == 50
    assert audit.failures == 1


AWKWARD = ["", "\x1d", "\x1e", "\x1f", "\x1da\x1db\x1dc\x1dd", "'; --", "ü\n\t\U0001f600", "a" * 5000]


async def test_texts_come_back_as_they_were(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also those that mean something where many rows are handed over as columns."""
    monkeypatch.setattr("service.catalog.audit.BATCH", 5)
    audit = AuditLog(database)
    events = [Event("u", EXPORT, text, {"text": text}, Result.SUCCESS, text, text, None) for text in AWKWARD]
    await audit.write_all([replace(event, id=f"{event.id}-many") for event in events])
    await audit.write_all([replace(events[0], id="one")])
    for event in events:
        await audit.write(event)
    found = await audit.page("u", 50, 0)
    for text in AWKWARD:
        same = [row for row in found if row.resource == text]
        assert len(same) == (2 if text else 3)
        assert {(row.params["text"], row.correlation_id, row.client_ip, row.client_kind) for row in same} == {
            (text, text, text, None)
        }


async def test_rows_of_several_users_are_counted_whoever_wrote_them(database: Database) -> None:
    """A processor of another kind writes the table itself."""
    await database.query(
        "INSERT INTO audit_log (id, timestamp, user_id, action) "
        "SELECT concat('x', n), CAST('2026-01-01' AS TIMESTAMP), "
        "CASE WHEN n < 3 THEN 'a' WHEN n < 8 THEN 'b' END, 'x' FROM generate_series(1, 10) AS numbers(n)"
    )
    audit = AuditLog(database)
    assert [await audit.count(user) for user in ("a", "b", "c")] == [2, 5, 0]


async def test_a_write_outlives_the_cancellation_of_who_asked_for_it(catalog_url: str) -> None:
    database = await opened(catalog_url, threads=1)
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


async def test_closing_lets_what_was_handed_in_end(catalog_url: str) -> None:
    database = await opened(catalog_url, threads=1)
    writes = [asyncio.create_task(AuditLog(database).write(event())) for _ in range(20)]
    await asyncio.sleep(0)
    database.close()
    await asyncio.gather(*writes)
    with pytest.raises(CatalogError, match="closed"):
        await AuditLog(database).write(event())
    again = await opened(catalog_url)
    assert await AuditLog(again).count("user0") == 20
    again.close()
