"""What Prometheus is told: read as it reads it, from the address of its own."""

import asyncio
import os
import re
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from service.api.parts import FILES_POOL
from service.config import Exports, Metrics, Server
from service.server.metrics import LAG_INTERVAL, METRICS
from service.server.metrics import Metrics as Measured
from tests.world import PLAIN, World, noise

EXPORT = "u-1/sessions/download-all"
EXPORT_ROUTE = "/api/admin/users/{user_id}/sessions/download-all"
Samples = dict[str, dict[tuple[str, ...], float]]


@pytest.fixture
async def measured(world: World) -> World:
    """A service whose metrics are on, at a free port."""
    world.metrics = Metrics(port=0)
    return await world.start()


@pytest.fixture(autouse=True)
def _log_level(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "service.server.app")


async def fetched(service: World, caplog: pytest.LogCaptureFixture) -> Samples:
    """Each metric's samples by the values of their labels."""
    said = [record.getMessage() for phase in ("setup", "call") for record in caplog.get_records(phase)]
    url = re.findall(r"metrics at (\S+)", "\n".join(said))[-1]
    async with aiohttp.ClientSession() as prometheus, prometheus.get(url) as response:
        assert response.status == 200
        assert response.headers["Content-Type"].startswith("text/plain")
        text = await response.text()
    samples: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            samples.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return samples


async def test_a_part_that_does_not_answer_is_seen(measured: World, caplog: pytest.LogCaptureFixture) -> None:
    measured.root.rmdir()
    await measured.get("/readyz", token=None)
    parts = (await fetched(measured, caplog))["session_export_part_answers"]
    assert parts == {("catalog",): 1, ("store",): 0}


async def test_requests_are_counted_by_route_and_status(measured: World, caplog: pytest.LogCaptureFixture) -> None:
    measured.file("a.jsonl")
    await measured.get("/healthz")
    for _ in range(2):
        await measured.get("u-1/sessions")
    await measured.get("nobody/sessions")
    await measured.get("u-1/sessions", token=PLAIN)
    await measured.get("u-1/sessions/a.jsonl/download", "HEAD")
    await measured.get("/no/such/path")
    counts = (await fetched(measured, caplog))["session_export_request_seconds_count"]
    assert counts == {
        ("/healthz", "200"): 1,
        ("/api/admin/users/{user_id}/sessions", "200"): 2,
        ("/api/admin/users/{user_id}/sessions", "404"): 1,
        ("/api/admin/users/{user_id}/sessions", "403"): 1,
        ("/api/admin/users/{user_id}/sessions/{session_file}/download", "200"): 1,
        ("none", "404"): 1,
    }


async def test_what_is_no_request_is_counted_too(measured: World, caplog: pytest.LogCaptureFixture) -> None:
    assert (await measured.get("/healthz", headers={"X": "x" * 9000})).status == 400
    assert (await fetched(measured, caplog))["session_export_request_seconds_count"] == {("none", "400"): 1}


async def test_connections_are_counted_and_those_that_had_no_room(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.metrics = Metrics(port=0)
    world.server = Server(max_connections=2)
    service = await world.start()
    lines = [await asyncio.open_connection("127.0.0.1", service.running.port) for _ in range(3)]
    assert await lines[0][0].read() == b"", "idle longest"
    samples = await fetched(service, caplog)
    assert samples["session_export_connections"] == {(): 2}
    assert samples["session_export_connections_closed_total"] == {(): 1}
    for _, writer in lines:
        writer.close()


def test_the_times_of_requests_are_a_histogram() -> None:
    metrics = Measured()
    for seconds in (0.0005, 0.001, 0.0011, 0.3, 60):
        metrics.request("/x", 200, seconds)
    text = generate_latest(metrics.registry).decode()
    (family,) = [
        family for family in text_string_to_metric_families(text) if family.name == "session_export_request_seconds"
    ]
    buckets = {sample.labels["le"]: sample.value for sample in family.samples if "le" in sample.labels}
    assert family.type == "histogram"
    assert list(buckets.values()) == sorted(buckets.values())
    assert {bound: buckets[bound] for bound in ("0.001", "0.0025", "0.25", "0.5", "10.0", "+Inf")} == {
        "0.001": 2, "0.0025": 3, "0.25": 3, "0.5": 4, "10.0": 4, "+Inf": 5,
    }  # fmt: skip
    values = {sample.name: sample.value for sample in family.samples if "le" not in sample.labels}
    assert values["session_export_request_seconds_count"] == 5
    assert values["session_export_request_seconds_sum"] == pytest.approx(60.3026)


async def test_an_export_is_counted_with_all_that_went_through(
    measured: World, caplog: pytest.LogCaptureFixture
) -> None:
    measured.file("a.jsonl", b"x" * 1000)
    measured.file("b.jsonl", b"y" * 500)
    (measured.root / "alice" / "link.jsonl").symlink_to("a.jsonl")
    answer = await measured.get(EXPORT)
    samples = await fetched(measured, caplog)
    assert samples["session_export_read_bytes_total"] == {(): 1500}
    assert samples["session_export_sent_bytes_total"] == {(): len(answer.body)}
    assert samples["session_export_members_total"] == {(): 2}
    assert samples["session_export_skipped_files_total"] == {(): 1}
    ended = samples["session_export_transfers_total"]
    assert {labels for labels, count in ended.items() if count} == {("export", "success")}
    for histogram in ("transfer_seconds", "first_byte_seconds", "transfer_bytes_per_second"):
        assert samples[f"session_export_{histogram}_count"] == {("export",): 1}, histogram
    first, whole = (samples[f"session_export_{name}_seconds_sum"]["export",] for name in ("first_byte", "transfer"))
    assert 0 < first <= whole
    assert samples["session_export_exports_running"] == {(): 0}


async def test_a_download_counts_as_one(measured: World, caplog: pytest.LogCaptureFixture) -> None:
    measured.file("a.jsonl", b"x" * 1000)
    await measured.get("u-1/sessions/a.jsonl/download", headers={"Range": "bytes=0-99"})
    samples = await fetched(measured, caplog)
    assert samples["session_export_sent_bytes_total"] == {(): 100}
    assert samples["session_export_transfers_total"]["download", "success"] == 1
    assert samples["session_export_members_total"] == {(): 0}


@asynccontextmanager
async def export_under_way(service: World) -> AsyncIterator[aiohttp.ClientResponse]:
    """One whose client has read a little; it is left at the end."""
    service.file("a.jsonl", noise(40_000_000))
    async with service.request(EXPORT) as response:
        await response.content.readexactly(1000)
        yield response
        response.close()


async def test_exports_that_run_and_wait_are_seen(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.metrics = Metrics(port=0)
    world.exports = Exports(max_concurrent=1, queue_timeout=60)
    service = await world.start()
    async with export_under_way(service):
        waiting = asyncio.create_task(service.get(EXPORT))
        while (samples := await fetched(service, caplog))["session_export_exports_waiting"] != {(): 1}:
            await asyncio.sleep(0.01)
        assert samples["session_export_exports_running"] == {(): 1}
        assert samples["session_export_exports_limit"] == {(): 1}
        assert samples["session_export_sent_bytes_total"][()] > 1000, "bytes count while they are sent"
    assert (await waiting).status == 200
    samples = await fetched(service, caplog)
    ended = samples["session_export_transfers_total"]
    assert (ended["export", "aborted"], ended["export", "success"]) == (1, 1)
    assert samples["session_export_request_seconds_count"][EXPORT_ROUTE, "200"] == 2
    assert samples["session_export_transfer_bytes_per_second_count"] == {("export",): 1}, "only of what succeeded"


async def test_exports_that_are_refused_are_counted(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.metrics = Metrics(port=0)
    world.exports = Exports(max_concurrent=1, queue_timeout=0)
    service = await world.start()
    async with export_under_way(service):
        assert (await service.get(EXPORT)).status == 503
        assert (await fetched(service, caplog))["session_export_exports_refused_total"] == {(): 1}


async def test_an_export_that_breaks_is_counted_as_an_error(measured: World, caplog: pytest.LogCaptureFixture) -> None:
    async with export_under_way(measured) as response:
        os.truncate(measured.root / "alice" / "a.jsonl", 1000)
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()
    await measured.audit()
    assert (await fetched(measured, caplog))["session_export_transfers_total"]["export", "error"] == 1


async def test_pools_are_seen_with_what_works_and_what_waits(measured: World, caplog: pytest.LogCaptureFixture) -> None:
    pool, release = measured.app[FILES_POOL], threading.Event()
    before = await fetched(measured, caplog)
    work = [pool.run(release.wait, 30) for _ in range(pool.threads + 2)]
    work.pop().cancel()
    while (samples := await fetched(measured, caplog))["session_export_pool_busy"]["files",] < pool.threads:
        await asyncio.sleep(0.01)
    assert samples["session_export_pool_threads"]["files",] == pool.threads
    assert samples["session_export_pool_queued"]["files",] == 1, "what was taken back does not wait"
    release.set()
    await asyncio.gather(*work)
    samples = await fetched(measured, caplog)
    assert (samples["session_export_pool_busy"]["files",], samples["session_export_pool_queued"]["files",]) == (0, 0)
    for name in ("pool_work_seconds_count", "pool_wait_seconds_count"):
        done = samples[f"session_export_{name}"]["files",] - before[f"session_export_{name}"]["files",]
        assert done == pool.threads + 1, name
    pools = {labels[0] for labels in samples["session_export_pool_threads"]}
    assert pools == {"config", "files", "index", "deflate", "export", "catalog"}


async def test_catalog_queries_and_audit_rows_that_fail_are_counted(
    measured: World, caplog: pytest.LogCaptureFixture
) -> None:
    measured.file("a.jsonl")
    before = (await fetched(measured, caplog))["session_export_pool_work_seconds_count"]["catalog",]
    await measured.sql("DROP TABLE audit_log")
    await measured.sql("DROP TABLE usage_session_summary")
    assert (await measured.get(EXPORT)).status == 503
    await measured.get("u-1/sessions")
    samples = await fetched(measured, caplog)
    assert samples["session_export_pool_work_seconds_count"]["catalog",] > before + 2
    assert samples["session_export_audit_failures_total"] == {(): 1}
    assert samples["session_export_usage_failures_total"] == {(): 1}
    assert not any(samples["session_export_transfers_total"].values()), "what was refused is no transfer"


async def test_a_loop_that_was_held_up_is_seen(measured: World, caplog: pytest.LogCaptureFixture) -> None:
    held_up = threading.Event()
    while True:  # until the loop's watch happened to be due
        held_up.wait(2 * LAG_INTERVAL)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        if (await fetched(measured, caplog))["session_export_event_loop_lag_seconds_sum"][()] > LAG_INTERVAL / 2:
            break


async def test_no_label_holds_what_a_caller_sends(measured: World, caplog: pytest.LogCaptureFixture) -> None:
    """Else anybody could fill Prometheus, and read there who was asked for."""
    measured.file("secret-name.jsonl")
    for path in (EXPORT, "u-1/sessions/secret-name.jsonl/download", "secret-name/activity", "/secret-name", "/%2e/x"):
        await measured.get(path, headers={"X-Request-ID": "secret-name", "User-Agent": "secret-name"})
    async with measured.request("/healthz", "SECRETNAME"):
        pass
    text = str(await fetched(measured, caplog))
    for word in ("secret-name", "SECRETNAME", "alice", "u-1", "admin1", "127.0.0.1"):
        assert word not in text


async def test_metrics_are_off_by_default_and_never_on_the_public_address(service: World) -> None:
    assert service.app[METRICS] is None
    assert (await service.get("/metrics")).status == 404


async def test_metrics_that_are_on_are_not_on_the_public_address(measured: World) -> None:
    assert (await measured.get("/metrics")).status == 404
