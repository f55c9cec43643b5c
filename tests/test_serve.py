"""How the service stops, as a process: what becomes of transfers, of who comes meanwhile, and its exit code."""

import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import duckdb
import pytest

from service.catalog import User
from tests.soak.server import Service

SESSIONS = "/api/admin/users/u-1/sessions"
BIG = 40_000_000  # more than all the buffers on the way to a client that does not read

both = pytest.mark.parametrize("path", [f"{SESSIONS}/download-all", f"{SESSIONS}/a.jsonl/download"])


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def started(directory: Path, shutdown_timeout: float) -> Service:
    service = Service(directory, server={"port": 0, "shutdown_timeout": shutdown_timeout})
    (service.root / "alice").mkdir()
    (service.root / "alice" / "a.jsonl").write_bytes(os.urandom(BIG))
    await service.add_users(User("u-1", "alice@example.com", None))
    await service.start()
    return service


def results(service: Service) -> list[Any]:
    """Of the audit log, which nobody holds any more."""
    with duckdb.connect(service.catalog, read_only=True) as catalog:
        return [row[0] for row in catalog.execute("SELECT result FROM audit_log ORDER BY timestamp").fetchall()]


@both
async def test_sigterm_lets_a_transfer_end_and_refuses_who_comes_meanwhile(
    tmp_path: Path, client: aiohttp.ClientSession, path: str
) -> None:
    service = await started(tmp_path, 3600)
    async with client.get(service.url + path, headers=service.headers) as response:
        received = len(await response.content.readexactly(1000))
        service.send_signal(signal.SIGTERM)
        await service.says("letting running transfers end")
        async with client.get(service.url + SESSIONS, headers=service.headers) as refused:
            assert refused.status == 503
            assert refused.headers["Retry-After"]
        async with client.get(f"{service.url}/readyz") as ready:
            assert ready.status == 503
            assert "stopping" in await ready.text()
        async with client.get(f"{service.url}/healthz") as healthy:
            assert healthy.status == 200
        while piece := await response.content.readany():
            received += len(piece)
    assert received >= BIG
    assert await service.wait() == 0
    assert results(service) == ["started", "success"]


@both
@pytest.mark.parametrize("how", ["deadline", "second signal"])
async def test_what_does_not_end_is_broken_off_with_its_row(
    tmp_path: Path, client: aiohttp.ClientSession, path: str, how: str
) -> None:
    service = await started(tmp_path, 0.1 if how == "deadline" else 3600)
    async with client.get(service.url + path, headers=service.headers) as response:
        await response.content.readexactly(1000)
        service.send_signal(signal.SIGTERM)
        if how == "second signal":
            await service.says("letting running transfers end")
            service.send_signal(signal.SIGINT)
        assert await service.wait() == 0
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()
    assert results(service) == ["started", "interrupted"]
    assert not any("Traceback" in line for line in service.lines)


async def test_an_idle_service_ends_at_once(tmp_path: Path) -> None:
    """With an hour for transfers that there are none of."""
    service = await started(tmp_path, 3600)
    assert await service.stop() == 0
    assert "stopped" in service.lines[-1]
