"""GET /api/admin/audit: the audit log searched."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from service.api.parts import AUDIT
from service.catalog import Event, Result
from service.catalog.actions import ACTIVITY_READ, DOWNLOAD, EXPORT
from tests.engines import both_engines_if_long
from tests.world import World, assert_problem

pytestmark = both_engines_if_long
LOG = "/api/admin/audit"
NOON = datetime(2026, 5, 10, 12)


@pytest.fixture
async def log(service: World) -> World:
    """Five rows, a minute apart: what two admins did to two users whose ids begin alike."""
    events = [
        Event("ann", EXPORT, "users/u-1/sessions", {}, Result.STARTED, "r1"),
        Event("ann", EXPORT, "users/u-1/sessions", {}, Result.ABORTED, "r1"),
        Event("ben", DOWNLOAD, "users/u-1/sessions/a.jsonl", {"bytes": 1}, Result.SUCCESS, "r2"),
        Event("ben", DOWNLOAD, "users/u-11/sessions/a.jsonl", {}, Result.SUCCESS, "r3"),
        Event("ben", ACTIVITY_READ, "users/u-1/activity", {}, Result.SUCCESS, "r4"),
    ]
    for number, event in enumerate(events):
        object.__setattr__(event, "timestamp", NOON + timedelta(minutes=number))
    await service.app[AUDIT].write_all(events)
    return service


async def found(world: World, query: str) -> list[str]:
    answer = await world.get(f"{LOG}?{query}")
    assert answer.status == 200, answer.body
    assert answer.json["total"] == len(answer.json["rows"])
    return [row["correlation_id"] for row in answer.json["rows"]]


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("actor=ann", ["r1", "r1"]),
        ("about=u-1", ["r4", "r2", "r1", "r1"]),
        ("about=u-11", ["r3"]),
        ("about=u-", []),
        ("about=%25", []),
        ("action=session_download", ["r3", "r2"]),
        ("action=session_bulk_download_started", ["r1"]),
        ("result=aborted", ["r1"]),
        ("correlation_id=r1", ["r1", "r1"]),
        ("correlation_id=r", []),
        ("about=u-1&actor=ben&result=success", ["r4", "r2"]),
        ("until=2026-05-11&since=2026-05-10T12:02:30Z", ["r4", "r3"]),
        ("until=2026-05-10T12:00:30Z", ["r1"]),
        ("until=2026-05-10", []),
    ],
)
async def test_rows_are_found_newest_first(log: World, query: str, ids: list[str]) -> None:
    assert await found(log, query) == ids


async def test_a_row_is_that_of_the_activity(log: World) -> None:
    (row,) = (await log.get(f"{LOG}?actor=ann&result=aborted")).json["rows"]
    assert row in (await log.get("ann/activity")).json["rows"]


async def test_pages_join_without_a_gap_or_a_double_while_rows_are_added(log: World) -> None:
    rows: list[Any] = []
    cursor = ""
    while cursor is not None:  # each page adds a row, for having been read
        answer = await log.get(f"{LOG}?limit=2&until=2100-01-01{cursor and f'&cursor={cursor}'}")
        rows += answer.json["rows"]
        cursor = answer.json["next"]
    assert [row["correlation_id"] for row in rows] == ["r4", "r3", "r2", "r1", "r1"]


async def test_reading_is_audited_itself(log: World) -> None:
    await found(log, "about=u-1&limit=7")
    (row,) = (await log.get(f"{LOG}?action=admin.audit_read")).json["rows"]
    assert (row["user_id"], row["resource"], row["result"]) == ("admin1", "audit", "success")
    assert row["params"] == {"about": "u-1", "limit": 7, "row_count": 4}
    assert datetime.now(UTC) - datetime.fromisoformat(row["timestamp"]) < timedelta(minutes=1)


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=201",
        "actor=",
        "about=a%00b",
        "since=x",
        "since=2026-05-11&until=2026-05-10",
        "cursor=x",
        "actor=a&actor=b",
    ],
)
async def test_what_does_not_validate_is_422(service: World, query: str) -> None:
    assert_problem(await service.get(f"{LOG}?{query}"), 422)


async def test_a_cursor_of_another_query_is_422(log: World) -> None:
    cursor = (await log.get(f"{LOG}?limit=1&about=u-1")).json["next"]
    assert_problem(await log.get(f"{LOG}?limit=1&about=u-11&cursor={cursor}"), 422, "Not valid: cursor.")
    assert (await log.get(f"{LOG}?about=u-1&cursor={cursor}")).json["rows"]
