import json

import pytest

from tests.engines import both_engines
from tests.world import PLAIN, World, assert_problem

pytestmark = both_engines


async def test_activity_shows_what_a_user_did_newest_first(service: World) -> None:
    service.file("a.jsonl", b"12345")
    await service.get("u-1/sessions/a.jsonl/download", headers={"X-Request-ID": "r1", "User-Agent": "curl/8"})
    answer = await service.get("admin1/activity")
    assert answer.json["pagination"] == {"limit": 50, "offset": 0, "total": 2}
    newest, oldest = answer.json["rows"]
    assert (newest["action"], oldest["action"]) == ("session_download", "session_download_started")
    assert newest["timestamp"] >= oldest["timestamp"]
    assert newest["timestamp"].endswith("+00:00")
    assert {key: newest[key] for key in newest if key not in ("id", "timestamp", "duration_ms")} == {
        "user_id": "admin1",
        "action": "session_download",
        "resource": "users/u-1/sessions/a.jsonl",
        "params": {"username": "alice", "session_file": "a.jsonl", "bytes": 5, "bytes_sent": 5},
        "result": "success",
        "params_before": None,
        "client_ip": "127.0.0.1",
        "client_kind": "curl",
        "correlation_id": "r1",
    }


async def test_reading_activity_is_audited_itself(service: World) -> None:
    await service.get("u-1/activity?limit=7&offset=3")
    (row,) = await service.audit()
    assert (row["action"], row["resource"], row["result"]) == (
        "admin.user_activity_read",
        "users/u-1/activity",
        "success",
    )
    assert json.loads(row["params"]) == {"target_user_id": "u-1", "limit": 7, "offset": 3, "row_count": 0}
    assert row["user_id"] == "admin1"


async def test_activity_pages(service: World) -> None:
    for _ in range(5):
        await service.get("u-1/activity")
    first = (await service.get("admin1/activity?limit=2")).json
    second = (await service.get("admin1/activity?limit=2&offset=3")).json  # one row more by now
    assert (first["pagination"]["total"], second["pagination"]["total"]) == (5, 6)
    ids = [row["id"] for row in first["rows"] + second["rows"]]
    assert len(set(ids)) == 4
    times = [row["timestamp"] for row in first["rows"] + second["rows"]]
    assert times == sorted(times, reverse=True)


async def test_rows_of_one_moment_are_ordered_by_id(service: World) -> None:
    for number in (2, 1, 3):
        await service.sql(
            "INSERT INTO audit_log (id, timestamp, user_id, action) VALUES ($1, '2026-01-01', 'u-1', 'x')",
            [str(number)],
        )
    rows = (await service.get("u-1/activity")).json["rows"]
    assert [row["id"] for row in rows] == ["3", "2", "1"]
    assert rows[0]["timestamp"] == "2026-01-01T00:00:00+00:00"


async def test_an_unknown_user_is_404_but_who_acted_with_a_token_alone_is_known(service: World) -> None:
    assert_problem(await service.get("admin1/activity"), 404, "User not found")
    await service.get("u-1/activity")
    assert (await service.get("admin1/activity")).status == 200


@pytest.mark.parametrize("query", ["limit=0", "limit=201", "offset=-1", "limit=abc"])
async def test_the_page_is_validated(service: World, query: str) -> None:
    assert_problem(await service.get(f"u-1/activity?{query}"), 422)


async def test_rows_are_answered_even_when_the_reading_cannot_be_written_down(
    service: World, caplog: pytest.LogCaptureFixture
) -> None:
    """A log that only accepts reading: a view in the table's place."""
    await service.get("u-1/activity")
    await service.sql("ALTER TABLE audit_log RENAME TO kept")
    await service.sql("CREATE VIEW audit_log AS SELECT * FROM kept LIMIT 1000")
    answer = await service.get("admin1/activity")
    assert (answer.status, len(answer.json["rows"])) == (200, 1)
    assert "not in the audit log" in caplog.text


async def test_activity_is_for_admins(service: World) -> None:
    assert_problem(await service.get("u-1/activity", token=PLAIN), 403)
    assert await service.audit() == []
