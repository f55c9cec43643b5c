"""Connections that are held for nothing: idle, half a request, never reading. None of them stops anybody else."""

import asyncio
import contextlib
import io
import resource
import socket
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.config import Server
from service.http.protocol import MAX_HEAD, Connection
from service.server.descriptors import raise_descriptors, room_for_connections
from tests.raw import wire
from tests.serving import prepare, serving
from tests.world import World

pytestmark = pytest.mark.long

BIG = 32 * 1024 * 1024  # bytes; more than the kernel takes for a client that does not read
HALF = b"GET /healthz HTTP/1.1\r\nHost: a\r\nX-Half: "


async def opened(service: World, **options: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", service.running.port, **options)


async def download(service: World) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """One that has begun, and of which nothing more is read for now."""
    reader, writer = await opened(service, limit=1024)
    path = "/api/admin/users/u-1/sessions/big.jsonl/download"
    writer.write(f"GET {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer admin-token\r\n\r\n".encode())
    assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
    return reader, writer


def connections(service: World) -> list[Connection]:
    """The server's."""
    runner = service.running.runner
    assert runner is not None and runner.server is not None
    return [one for one in runner.server.connections if isinstance(one, Connection)]


async def rest_of(reader: asyncio.StreamReader) -> int:
    """How long the body is, read to its announced end."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    left = length
    while left:
        left -= len(await reader.readexactly(min(left, 65536)))
    return length


@pytest.mark.parametrize("sent", [b"", HALF, b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"])
async def test_who_waits_too_long_is_closed(world: World, sent: bytes) -> None:
    """Before the first request, in the middle of one, and after one."""
    world.server = Server(idle_timeout=0.2)
    service = await world.start()
    reader, writer = await opened(service)
    writer.write(sent)
    answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 200") == sent.endswith(b"\r\n\r\n")


async def test_a_request_that_comes_byte_by_byte_is_closed_all_the_same(world: World) -> None:
    world.server = Server(idle_timeout=0.3)
    service = await world.start()
    reader, writer = await opened(service)
    writer.write(HALF)
    with contextlib.suppress(ConnectionError):
        while not reader.at_eof():
            writer.write(b"x")
            with contextlib.suppress(TimeoutError):
                assert await asyncio.wait_for(reader.read(1), 0.02) == b""
    writer.close()


@pytest.mark.parametrize("path", [b"/api/admin", b"/docs/swagger-ui-bundle.js"])
async def test_who_asks_and_never_reads_the_answers_is_cut_off(
    world: World, caplog: pytest.LogCaptureFixture, path: bytes
) -> None:
    world.server = Server(idle_timeout=0.3)
    service = await world.start()
    _, writer = await opened(service, limit=1024)
    with pytest.raises(ConnectionError):
        while True:
            writer.write(b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n" % path * 100)
            await writer.drain()
    assert "client 127.0.0.1 does not read its responses: closing the connection" in caplog.text


async def test_a_client_who_is_slow_with_a_transfer_is_not_idle(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    looked = asyncio.Event()
    look = Connection._close_if_unread

    def look_and_say(connection: Connection) -> None:
        look(connection)
        looked.set()

    monkeypatch.setattr(Connection, "_close_if_unread", look_and_say)
    world.server = Server(idle_timeout=0.1)
    service = await world.start()
    service.file("big.jsonl", bytes(BIG))
    reader, writer = await download(service)
    await looked.wait()
    assert await rest_of(reader) == BIG
    writer.close()


async def test_beyond_the_limit_the_connection_that_was_idle_longest_makes_room(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.server = Server(max_connections=3)
    service = await world.start()
    await service.get("/healthz")  # the test's client keeps that connection; it is the oldest, and was used last
    lines = [await opened(service) for _ in range(2)]
    lines[0][1].write(HALF)
    await service.get("/healthz")
    async with wire(service.running.port) as line:
        assert (await line.ask("/healthz")).status == 200
        assert await lines[0][0].read() == b"", "half a request is idle"
    assert not lines[1][0].at_eof()
    assert (await service.get("/healthz")).status == 200
    assert "more than server.max_connections (3) at once, the last from 127.0.0.1" in caplog.text
    for _, writer in lines:
        writer.close()


async def test_who_does_not_read_makes_room_at_once(world: World) -> None:
    """Their connections do not stay until what they do not read has left."""
    world.server = Server(max_connections=4)
    service = await world.start()
    deaf = [await opened(service, limit=1024) for _ in range(3)]
    for _, writer in deaf:
        writer.write(b"GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n" * 500)
    while sum(one.writing_paused for one in connections(service)) < 3:
        await asyncio.sleep(0.01)
    newcomers = [await opened(service) for _ in range(4)]
    while any(one.writing_paused for one in connections(service)):
        await asyncio.sleep(0.01)
    assert len(connections(service)) <= 4
    for _, writer in (*deaf, *newcomers):
        writer.close()


async def test_where_all_are_at_work_the_newcomer_is_closed_and_the_work_goes_on(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.server = Server(max_connections=3)
    service = await world.start()
    service.file("big.jsonl", bytes(BIG))
    downloads = [await download(service) for _ in range(3)]
    reader, newcomer = await opened(service)
    assert await reader.read() == b""
    assert "closing it, as no other is idle" in caplog.text
    for reader, writer in downloads:
        assert await rest_of(reader) == BIG
        writer.close()
    newcomer.close()


async def test_a_flood_of_connections_does_not_flood_the_log(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.server = Server(max_connections=2)
    service = await world.start()
    for _ in range(50):
        _, writer = await opened(service)
        writer.close()
    lines = [await opened(service) for _ in range(20)]
    assert (await service.get("/healthz")).status == 200
    assert caplog.text.count("max_connections") == 1
    for _, writer in lines:
        writer.close()


async def test_a_head_that_never_ends_is_not_kept(service: World, caplog: pytest.LogCaptureFixture) -> None:
    reader, writer = await opened(service)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: a\r\n")
    with contextlib.suppress(ConnectionError):
        for number in range(2 * MAX_HEAD // 4000):
            writer.write(b"X-%d: %s\r\n" % (number, b"x" * 4000))
            await writer.drain()
    with contextlib.suppress(ConnectionError):
        assert await reader.read() == b""
    writer.close()
    assert "its head is too long" in caplog.text


def test_the_limit_of_descriptors_is_raised_as_far_as_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = [1024, 524288]
    monkeypatch.setattr(resource, "getrlimit", lambda _: tuple(limits))
    monkeypatch.setattr(resource, "setrlimit", lambda _, new: limits.__setitem__(slice(None), new))
    assert raise_descriptors(4256) == 4256
    assert limits == [4256, 524288]
    assert raise_descriptors(100) == 4256, "never lowered"
    limits[:] = [256, 1024]
    assert raise_descriptors(4256) == 1024
    assert limits == [1024, 1024]
    limits[:] = [1024, resource.RLIM_INFINITY]
    assert raise_descriptors(4256) == 4256
    limits[:] = [resource.RLIM_INFINITY, resource.RLIM_INFINITY]
    assert raise_descriptors(4256) > 4256
    assert limits[0] == resource.RLIM_INFINITY


@pytest.mark.parametrize(("descriptors", "room"), [(4256, 1000), (1 << 62, 1000), (4255, 999), (1024, 192), (64, 1)])
def test_there_are_no_more_connections_than_descriptors_for_them(descriptors: int, room: int) -> None:
    assert room_for_connections(descriptors, 1000) == room


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 4096:
        pytest.skip(f"the hard limit of open files, {hard}, is too low to play 2,000 clients")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4096), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_descriptors")
@pytest.mark.parametrize(
    ("limit", "warned", "sent"),
    [
        pytest.param("ulimit -Sn 256", False, HALF, id="half a request, soft limit low"),
        pytest.param("ulimit -n 1500", True, b"", id="silent, hard limit low", marks=pytest.mark.long),
    ],
)
def test_two_thousand_idle_connections_do_not_stop_an_export(
    tmp_path: Path, limit: str, warned: bool, sent: bytes
) -> None:
    prepare(tmp_path)
    with serving(tmp_path, "bash", "-c", f'{limit}; exec "$@"', "--") as service, contextlib.ExitStack() as stack:
        for _ in range(2000):
            idle = stack.enter_context(socket.create_connection(("127.0.0.1", service.port), timeout=30))
            idle.sendall(sent)
        status, body = service.get("u-1001/sessions/download-all")
        assert status == 200
        assert zipfile.ZipFile(io.BytesIO(body)).namelist() == ["a.jsonl"]
        assert service.get("/readyz")[0] == 200
        log = service.stop()
    assert ("may need 4256; there is room for" in log) == warned
    assert "out of system resource" not in log
    assert log.count("more than server.max_connections") == 1
