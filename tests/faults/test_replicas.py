"""Many exports at once from three replicas, of which one is killed: real processes, nginx, PostgreSQL and S3."""

import asyncio
import io
import signal
import socket
import zipfile
from collections import Counter
from pathlib import Path

import aiohttp
import pytest

from tests.proxies import needs_nginx
from tests.s3 import send
from tests.soak.load import SESSIONS
from tests.soak.replicas import OUTCOMES_WITHIN, Replicas, replicas
from tests.world import noise

pytestmark = [
    pytest.mark.long,
    needs_nginx,
    pytest.mark.parametrize("catalog_url", ["postgres"], indirect=True),
]

EXPORTS = 32
# 44 MB, more than all buffers on the way hold: the kernel lets nginx's grow to 32. No object is above a MiB: moto reads
# all of it for each range.
FILES = {f"{number:02}.jsonl": noise(800_000) for number in range(55)}
OUTCOMES = "SELECT correlation_id, result FROM audit_log WHERE action LIKE 'session_bulk_download%'"


def small_socket(address: aiohttp.AddrInfoType) -> socket.socket:
    """A client's, which receives little in advance: else the kernel alone would take a whole export."""
    family, kind, protocol, *_ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**16)
    return made


class Client:
    """An export that begins, and goes on once `go` is set."""

    def __init__(self, name: str, url: str, headers: dict[str, str], go: asyncio.Event) -> None:
        self.name = name
        self.began = asyncio.Event()
        self._url = url + SESSIONS + "/download-all"
        self._headers = headers | {"X-Request-ID": name}
        self._go = go

    async def export(self, session: aiohttp.ClientSession) -> bytes | None:
        """The archive, or None if the connection broke before its end."""
        async with session.get(self._url, headers=self._headers) as response:
            assert response.status == 200
            first = await response.content.readexactly(1000)
            self.began.set()
            await self._go.wait()
            try:
                return first + await response.read()
            except aiohttp.ClientPayloadError:
                return None


async def all_running(serving: Replicas) -> Counter[str]:
    """How many exports each replica has, once all have begun."""
    while True:
        rows = await serving.query("SELECT replica_id FROM running")
        if len(rows) == EXPORTS:
            return Counter(row["replica_id"] for row in rows)
        await asyncio.sleep(0.2)


async def outcomes(serving: Replicas) -> dict[str, list[str]]:
    """Of each request: what its rows say, but for `started`."""
    found: dict[str, list[str]] = {}
    for row in await serving.query(OUTCOMES):
        found.setdefault(row["correlation_id"], []).append(row["result"])
    return {name: sorted(results) for name, results in found.items()}


@pytest.mark.timeout(300)
async def test_exports_of_the_other_replicas_go_on_when_one_is_killed(
    tmp_path: Path, catalog_url: str, credentials: None
) -> None:
    limits = {"max_concurrent": EXPORTS, "max_per_caller": EXPORTS}
    go = asyncio.Event()
    connector = aiohttp.TCPConnector(limit=0, socket_factory=small_socket)
    async with (
        replicas(tmp_path, catalog_url, exports=limits) as serving,
        aiohttp.ClientSession(connector=connector, read_bufsize=2**14) as session,
        asyncio.TaskGroup() as group,
    ):
        for name, data in FILES.items():
            send("PUT", f"{serving.objects}/{name}", data)
        clients = [Client(f"export-{number}", serving.url, serving.headers, go) for number in range(EXPORTS)]
        exports = [group.create_task(client.export(session)) for client in clients]
        await asyncio.gather(*(client.began.wait() for client in clients))
        of_each = await all_running(serving)
        assert len(of_each) == 3 and min(of_each.values()) >= 8, "least_conn spreads them"
        await serving.services[0].stop(signal.SIGKILL)
        try:
            go.set()
            archives = dict(zip((client.name for client in clients), await asyncio.gather(*exports), strict=True))
            broken = {name for name, archive in archives.items() if archive is None}
            assert len(broken) in of_each.values(), "those of the killed one, and no other"
            for archive in filter(None, archives.values()):
                with zipfile.ZipFile(io.BytesIO(archive)) as opened:
                    assert {name: opened.read(name) for name in opened.namelist()} == FILES
            async with asyncio.timeout(OUTCOMES_WITHIN):
                while await serving.query("SELECT id FROM running"):
                    await asyncio.sleep(1)
            expected = {name: ["interrupted" if name in broken else "success", "started"] for name in archives}
            assert await outcomes(serving) == {name: sorted(results) for name, results in expected.items()}
        finally:
            await serving.services[0].start()
