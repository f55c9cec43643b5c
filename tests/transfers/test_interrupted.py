"""What becomes of transfers whose server died."""

import json

from service.api.parts import REPLICA
from service.catalog import Event, Result
from service.catalog.actions import DOWNLOAD, EXPORT
from tests.world import World


async def test_a_download_that_a_dead_server_left_open_is_interrupted_at_the_next_start(world: World) -> None:
    service = await world.start()
    service.file("a.jsonl", b"x")
    await service.get("u-1/sessions/a.jsonl/download", headers={"X-Request-ID": "same"})
    await service.get("u-1/sessions/download-all")
    for action in (DOWNLOAD, EXPORT):
        event = Event("admin1", action, "users/u-1/sessions", {"username": "alice"}, Result.STARTED, "same")
        await service.app[REPLICA].begin(event)
    await service.stop()
    again = await world.start()
    rows = await again.audit("session%download")
    assert [row["result"] for row in rows] == ["success", "success", "interrupted", "interrupted"]
    bulk, one = sorted(rows[2:], key=lambda row: str(row["action"]))
    assert json.loads(one["params"]) == {"username": "alice", "bytes_sent": None}
    assert json.loads(bulk["params"]) == {
        "username": "alice",
        "bytes_sent": None,
        "file_count": None,
        "total_bytes": None,
        "skipped": None,
    }
    for row in (one, bulk):
        assert (row["user_id"], row["correlation_id"]) == ("admin1", "same")
        assert row["duration_ms"] >= 0
    await again.stop()
    once_more = await world.start()
    assert len(await once_more.audit("session%download")) == 4
