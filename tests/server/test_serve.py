"""How the service stops, as a process: what becomes of transfers, of who comes meanwhile, and its exit code."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import duckdb
import pytest
from aiohttp import web

from service.catalog import User
from tests.issuer import ec_key, jwk, jwks, jwt_settings, key_server
from tests.soak.server import Service
from tests.world import BIG, noise

pytestmark = pytest.mark.long

SESSIONS = "/api/admin/users/u-1/sessions"

both = pytest.mark.parametrize("path", [f"{SESSIONS}/download-all", f"{SESSIONS}/a.jsonl/download"])


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def started(directory: Path, shutdown_timeout: float) -> Service:
    service = Service(directory, server={"port": 0, "shutdown_timeout": shutdown_timeout})
    (service.root / "alice").mkdir()
    (service.root / "alice" / "a.jsonl").write_bytes(noise(BIG))
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
@pytest.mark.parametrize("how", ["second signal", pytest.param("deadline", marks=pytest.mark.long)])
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


@asynccontextmanager
async def starting(directory: Path) -> AsyncIterator[tuple[Service, asyncio.Task[None], asyncio.Event]]:
    """A service in the middle of its start: it waits for keys, until the event."""
    go_on = asyncio.Event()
    keys = jwks(jwk(ec_key(), "a"))

    async def answer(_request: web.Request) -> web.StreamResponse:
        await go_on.wait()
        return web.Response(body=keys)

    async with key_server(keys) as server:
        server.answering = answer
        way = jwt_settings(algorithms=["ES256"], jwks_url=server.url).model_dump(mode="json", exclude_none=True)
        service = Service(directory)
        service.configure(auth={"jwt": way})
        start = asyncio.create_task(service.start())
        while not server.asked:
            await asyncio.sleep(0.01)
        yield service, start, go_on


async def test_sigterm_during_the_start_ends_it_in_order(tmp_path: Path) -> None:
    async with starting(tmp_path) as (service, start, go_on):
        service.send_signal(signal.SIGTERM)
        await service.says("stopping:")
        service.send_signal(signal.SIGTERM)
        go_on.set()
        with pytest.raises(RuntimeError, match="ended without saying 'listening"):
            await start
        assert await service.wait() == 0
    assert "stopped" in service.lines[-1]
    assert not any("Traceback" in line for line in service.lines)
    assert not service.catalog.with_name("catalog.duckdb.wal").exists(), "the catalog was closed"


@pytest.mark.parametrize("told", [True, False])
async def test_a_change_during_the_start_is_taken_over(
    tmp_path: Path, client: aiohttp.ClientSession, told: bool
) -> None:
    """At once where SIGHUP tells of it, which ends nothing; else with the first looks."""
    async with starting(tmp_path) as (service, start, go_on):
        service.configure()
        if told:
            service.send_signal(signal.SIGHUP)
        go_on.set()
        await start
        await service.says("configuration read again")
        async with client.get(service.url + SESSIONS, headers=service.headers) as response:
            assert response.status == 404, "the token is known"
        assert await service.stop() == 0
