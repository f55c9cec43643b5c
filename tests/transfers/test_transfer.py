"""The two promises of the audit log, and clients that disconnect or stall, and a server that stops."""

import asyncio
import json
import logging
import os
import socket
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from service.api.parts import DATABASE
from service.catalog import CatalogUncertain, Event, Replica, Result
from service.config import Exports
from service.transfers.admission import ADMISSION
from service.transfers.stall import INTERVAL
from service.transfers.transfer import TRANSFERS
from tests.engines import both_engines_if_long
from tests.world import ADMIN, BIG, World, assert_problem, noise

pytestmark = both_engines_if_long

EXPORT = "u-1/sessions/download-all"
DOWNLOAD = "u-1/sessions/a.jsonl/download"

both = pytest.mark.parametrize("path", [EXPORT, DOWNLOAD])


@contextmanager
def reading_begun(service: World, path: str) -> Iterator[socket.socket]:
    """A client that has asked and read a little, and does not read on."""
    with socket.create_connection(("127.0.0.1", service.running.port or 0)) as raw:
        raw.setblocking(False)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # close with a reset
        yield raw


async def send_request(raw: socket.socket, path: str) -> None:
    request = f"GET /api/admin/users/{path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {ADMIN}\r\n\r\n"
    await asyncio.get_running_loop().sock_sendall(raw, request.encode())


async def ask(raw: socket.socket, path: str) -> bytes:
    await send_request(raw, path)
    return await asyncio.get_running_loop().sock_recv(raw, 1000)


async def outcome(service: World) -> str:
    """The result of the last row; the rows are written when this returns."""
    rows = await service.audit("session%download")
    return str(rows[-1]["result"])


@both
async def test_no_row_no_bytes(service: World, path: str) -> None:
    service.file("a.jsonl", b"x" * 1000)
    await service.sql("DROP TABLE audit_log")
    answer = await service.get(path)
    assert_problem(answer, 503, "The catalog does not answer.")
    assert "Retry-After" in answer.headers


@both
async def test_no_whole_response_without_its_row(service: World, path: str) -> None:
    """The log stops taking rows while the body is on its way."""
    service.file("a.jsonl", noise(BIG))
    async with service.request(path) as response:
        received = bytearray(await response.content.readexactly(1000))
        await service.sql("DROP TABLE audit_log")
        with pytest.raises(aiohttp.ClientPayloadError):
            while piece := await response.content.readany():
                received += piece
    assert len(received) > BIG - 2000, "only the end was held back"
    assert path == EXPORT or len(received) < BIG
    assert b"PK\x05\x06" not in received[-100:], "so that the archive cannot be opened"


@both
@pytest.mark.parametrize("size", [0, 1, 100_000, 3_000_000])
async def test_a_client_with_a_complete_response_finds_its_row(service: World, path: str, size: int) -> None:
    """Asked on a second connection, in the moment when the last byte is there."""
    service.file("a.jsonl", os.urandom(size))
    async with service.request(path) as response:
        await response.read()
        rows = await service.sql("SELECT result FROM audit_log ORDER BY timestamp")
    assert [row["result"] for row in rows] == ["started", "success"]


@both
@pytest.mark.parametrize("cancelling", [True, False])
async def test_a_client_that_disconnects_is_audited_as_aborted(world: World, path: str, cancelling: bool) -> None:
    service = await world.start(cancelling=cancelling)
    service.file("a.jsonl", noise(BIG))
    with reading_begun(service, path) as raw:
        await ask(raw, path)
    assert await outcome(service) == "aborted"
    (row,) = await service.audit("session%download")
    assert 0 < json.loads(row["params"])["bytes_sent"] < BIG
    assert service.app[ADMISSION].waiting == 0
    while open_files(service):  # else the test's limit of time is hit
        await asyncio.sleep(0.01)


@both
@pytest.mark.parametrize("cancelling", [True, False])
async def test_a_client_that_takes_no_byte_is_cut_off(
    world: World, path: str, cancelling: bool, caplog: pytest.LogCaptureFixture
) -> None:
    world.exports = Exports(stall_timeout=0.2)
    service = await world.start(cancelling=cancelling)
    service.file("a.jsonl", noise(BIG))
    with reading_begun(service, path) as raw:
        await ask(raw, path)
        assert await outcome(service) == "aborted"
    assert "took no byte for 0.2 s and is cut off" in caplog.text


async def test_a_slow_client_is_not_cut_off(world: World) -> None:
    """It takes many times the stall timeout, but never without taking a byte for that long."""
    world.exports = Exports(stall_timeout=0.5)
    service = await world.start()
    service.file("a.jsonl", os.urandom(12_000_000))
    loop = asyncio.get_running_loop()
    received = 0
    with reading_begun(service, DOWNLOAD) as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        received += len(await ask(raw, DOWNLOAD))
        for _ in range(15):
            await asyncio.sleep(0.1)  # this is what the test is about: a client that takes its time
            received += len(await loop.sock_recv(raw, 200_000))
        while received < 12_000_000:
            received += len(await loop.sock_recv(raw, 1_000_000))
    assert await outcome(service) == "success"


@both
async def test_a_stopping_server_lets_a_transfer_end(service: World, path: str) -> None:
    service.file("a.jsonl", noise(BIG))
    async with service.request(path) as response:
        await response.content.readexactly(1000)
        stopping = asyncio.create_task(service.app[TRANSFERS].stop(30))
        await response.read()
        await stopping
    assert await outcome(service) == "success"


async def test_a_stopping_server_waits_until_the_client_has_what_the_kernel_holds(service: World) -> None:
    """When a container stops, its network ends with the process, and with it what the kernel still holds."""
    service.file("a.jsonl", os.urandom(600_000))
    loop, transfers = asyncio.get_running_loop(), service.app[TRANSFERS]
    with reading_begun(service, DOWNLOAD) as raw:
        received = len(await ask(raw, DOWNLOAD))
        await transfers.idle()
        stopping = asyncio.create_task(transfers.stop(30))
        for _ in range(3):
            await asyncio.sleep(INTERVAL)
        assert not stopping.done()
        while received < 600_000:
            received += len(await loop.sock_recv(raw, 1_000_000))
        await stopping
    assert await outcome(service) == "success"


@pytest.mark.parametrize("how", ["deadline", "second signal"])
async def test_a_stopping_server_does_not_wait_for_a_client_that_reads_nothing(
    service: World, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    service.file("a.jsonl", os.urandom(600_000))
    transfers = service.app[TRANSFERS]
    with reading_begun(service, DOWNLOAD) as raw:
        await ask(raw, DOWNLOAD)
        await transfers.idle()
        if how == "second signal":
            transfers.hurry()
        await transfers.stop(0 if how == "deadline" else 3600)
    assert "clients have not received all that was sent to them" in caplog.text


@both
@pytest.mark.parametrize("how", ["deadline", "second signal"])
async def test_a_stopping_server_breaks_off_what_does_not_end(service: World, path: str, how: str) -> None:
    service.file("a.jsonl", noise(BIG))
    async with service.request(path) as response:
        await response.content.readexactly(1000)
        stopping = asyncio.create_task(service.app[TRANSFERS].stop(0 if how == "deadline" else 3600))
        if how == "second signal":
            service.app[TRANSFERS].hurry()
        await stopping
        assert await outcome(service) == "interrupted"
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()


async def test_an_export_that_waits_for_a_slot_is_refused_once_the_server_stops(world: World) -> None:
    world.exports = Exports(max_concurrent=1, queue_timeout=60)
    service = await world.start()
    service.file("a.jsonl", noise(BIG))
    async with service.request(EXPORT) as response:
        waiting = asyncio.create_task(service.get(EXPORT))
        while not service.app[ADMISSION].waiting:
            await asyncio.sleep(0)
        stopping = asyncio.create_task(service.app[TRANSFERS].stop(30))
        await response.read()
        await stopping
    assert_problem(await waiting, 503)
    assert [row["result"] for row in await service.audit("session%")] == ["started", "success"]


@pytest.mark.parametrize(
    ("path", "at"),
    [("u-1/sessions", "open"), ("u-1/sessions", "scandir"), ("u-1/sessions", "stat"), (DOWNLOAD, "open"),
     (DOWNLOAD, "stat"), (EXPORT, "open"), (EXPORT, "listdir"), (EXPORT, "stat"), (EXPORT, "pread")],
)  # fmt: skip
async def test_a_client_that_disconnects_while_a_thread_opens_its_files_leaves_nothing_open(
    world: World, monkeypatch: pytest.MonkeyPatch, path: str, at: str
) -> None:
    """The thread is held in a call of the system, and let go once the client has disconnected."""
    service = await world.start(cancelling=True)
    service.file("a.jsonl", os.urandom(3_000_000))
    await service.get(path)  # over a connection that stays open
    connections = len(connected(service))
    reached, release = threading.Event(), threading.Event()
    real = getattr(os, at)

    def held(*arguments: Any, **keywords: Any) -> Any:
        reached.set()
        assert release.wait(30)
        return real(*arguments, **keywords)

    with monkeypatch.context() as patched:
        patched.setattr(f"service.store.local.os.{at}", held)
        with reading_begun(service, path) as raw:
            await send_request(raw, path)
            while not reached.is_set():
                await asyncio.sleep(0.001)
        while len(connected(service)) > connections:
            await asyncio.sleep(0.001)
        release.set()
        while open_files(service):
            await asyncio.sleep(0.001)
    assert (await service.get(path)).status == 200


def open_files(service: World) -> list[Path]:
    """The files and directories below the root that this process has open. Not a count of all descriptors: the
    catalog's threads open connections of their own whenever they are first needed."""
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # closed by now
            found.append(descriptor.readlink())
    return [path for path in found if path.is_relative_to(service.root)]


def connected(service: World) -> list[Any]:
    """The connections that the server has and that are not closing."""
    assert service.running.runner is not None
    server = service.running.runner.server
    assert server is not None
    return [connection for connection in server.connections if connection.transport is not None]


@asynccontextmanager
async def held_at(service: World, monkeypatch: pytest.MonkeyPatch, row: str) -> AsyncIterator[asyncio.Event]:
    """From the moment on at which `Replica.<row>` is called, which sets the event, the catalog's threads are held; they
    go on at the end of the block."""
    reached, release = asyncio.Event(), threading.Event()
    held: list[asyncio.Future[bool]] = []
    write = getattr(Replica, row)

    def noticed(*arguments: Any, **named: Any) -> Any:
        reached.set()
        held.extend(service.app[DATABASE].run(lambda _: release.wait(30)) for _ in range(4))
        return write(*arguments, **named)

    monkeypatch.setattr(Replica, row, noticed)
    try:
        yield reached
    finally:
        release.set()
        await asyncio.gather(*held)


async def disconnected_when(service: World, path: str, reached: asyncio.Event) -> None:
    """A client asks, and disconnects at that moment. Returns once the server has noticed."""
    connections = len(connected(service))
    with reading_begun(service, path) as raw:
        await send_request(raw, path)
        await reached.wait()
    while len(connected(service)) > connections:
        await asyncio.sleep(0.001)


async def test_a_cancelled_announcement_is_given_its_outcome(service: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first row is certainly not written yet when the client disconnects."""
    service.file("a.jsonl", b"x" * 1000)
    async with held_at(service, monkeypatch, "begin") as announced:
        await disconnected_when(service, DOWNLOAD, announced)
    rows = await service.audit("session%")
    assert [row["result"] for row in rows] == ["started", "aborted"]


@both
async def test_a_success_that_is_on_disk_gets_no_second_outcome(
    service: World, monkeypatch: pytest.MonkeyPatch, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The client disconnects, and the handler is cancelled, while the row with the success is written. The log says
    the same as the row."""
    service.file("a.jsonl", b"x" * 1000)
    with caplog.at_level(logging.INFO, "service.http.access"):
        async with held_at(service, monkeypatch, "end") as written:
            await disconnected_when(service, path, written)
        assert [row["result"] for row in await service.audit("session%")] == ["started", "success"]
        while not (lines := [line for line in caplog.messages if path in line]):
            await asyncio.sleep(0.001)
    assert lines[0].endswith("ms success")


@both
async def test_a_stopping_server_sends_the_end_of_what_its_row_calls_a_success(
    service: World, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    service.file("a.jsonl", b"x" * 1000)
    async with held_at(service, monkeypatch, "end") as written:
        reading = asyncio.create_task(service.get(path))
        await written.wait()
        (transfer,) = service.app[TRANSFERS]._running
        stopping = asyncio.create_task(service.app[TRANSFERS].stop(0))
        while not transfer.interrupted:
            await asyncio.sleep(0)
    assert (await reading).status == 200, "and whole: else to read it would have failed"
    await stopping
    assert await outcome(service) == "success"


async def test_a_stop_ends_the_attempts_to_write_a_success(service: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The catalog has hung, so that the cancelled write ends with an error of the catalog."""
    monkeypatch.setattr("service.transfers.transfer.TAIL_TIMEOUT", 0)
    service.file("a.jsonl", b"x" * 1000)
    written, results = asyncio.Event(), []

    async def hang(_replica: Replica, _started_id: str, outcomes: Sequence[Event]) -> None:
        results.append(outcomes[0].result)
        written.set()
        if len(results) == 1:
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
        raise CatalogUncertain("the server does not answer")

    monkeypatch.setattr(Replica, "end", hang)
    reading = asyncio.create_task(service.get(DOWNLOAD))
    await written.wait()
    await service.app[TRANSFERS].stop(0)
    with pytest.raises(aiohttp.ClientPayloadError):
        await reading
    assert results == [Result.SUCCESS, Result.INTERRUPTED]
