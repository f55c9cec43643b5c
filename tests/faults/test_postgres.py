"""PostgreSQL that stops, hangs or loses connections under the service, and replicas that die or are frozen."""

import asyncio
import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import ExitStack, suppress
from pathlib import Path

import aiohttp
import psycopg
import pytest

from service.catalog import CatalogError
from service.transfers.transfer import TRANSFERS
from tests.catalog.opened import opened
from tests.faults.states import DOWNLOAD, EXPORT, assert_down, assert_up
from tests.postgres import Postgres
from tests.serving import Serving, prepare, serving
from tests.world import BIG, World, noise

pytestmark = [pytest.mark.long, pytest.mark.parametrize("catalog_url", ["postgres"], indirect=True)]


async def kill_connections(service: World) -> None:
    """All that the service has."""
    with pytest.raises(CatalogError):  # this very one too
        await service.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'postgres'")


async def test_connections_that_are_killed_go_unnoticed(service: World) -> None:
    service.file("a.jsonl", noise(BIG))
    for path in (EXPORT, DOWNLOAD):
        await kill_connections(service)
        async with service.request(path) as response:
            await response.content.readexactly(1000)
            await kill_connections(service)
            await response.read()
    outcomes = Counter(row["result"] for row in await service.audit("session%"))
    assert outcomes == {"started": 2, "success": 2}


async def test_a_server_that_stops_is_told_and_found_again(
    service: World, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was under way meanwhile breaks off, and its outcome comes later."""
    monkeypatch.setattr("service.catalog.postgres.FRESH", 0)
    monkeypatch.setattr("service.transfers.transfer.DEAD_AFTER", 0.1)
    service.file("a.jsonl", noise(BIG))
    async with service.request(DOWNLOAD) as response:
        await response.content.readexactly(1000)
        postgres.stop()
        try:
            with pytest.raises(aiohttp.ClientPayloadError):
                await response.read()
            await service.app[TRANSFERS].idle()
            await assert_down(service)
        finally:
            postgres.start()
    service.file("a.jsonl")
    await assert_up(service)
    (first, *_) = await service.audit("session_download")
    assert first["result"] == "error", "not interrupted: the service knows how it ended"


async def test_a_role_without_connections_left_is_reported_and_they_are_used_again_once_there_are_some(
    world: World, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another program has taken all that the role may have."""
    monkeypatch.setattr("service.catalog.postgres.FRESH", 0)
    schema = world.catalog_url.rpartition("%3D")[2]
    postgres.sql("CREATE ROLE few LOGIN CONNECTION LIMIT 3", f"GRANT ALL ON SCHEMA {schema} TO few")
    world.catalog_url = world.catalog_url.replace("postgres@", "few@")
    service = await world.start()
    service.file("a.jsonl")
    await assert_up(service)
    with ExitStack() as taken:
        while True:
            postgres.sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'session-export'"
            )
            try:
                taken.enter_context(psycopg.connect(world.catalog_url, application_name="another"))
            except psycopg.OperationalError as error:
                assert "too many connections" in str(error)
                if not postgres.rows("SELECT 1 FROM pg_stat_activity WHERE application_name = 'session-export'"):
                    break
        await assert_down(service)
    await assert_up(service)
    await service.stop()
    postgres.sql("DROP OWNED BY few", "DROP ROLE few")


@pytest.mark.timeout(120)
async def test_the_standby_that_became_primary_is_found(
    world: World, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.catalog.postgres.FRESH", 0)
    primary = Postgres()
    standby = Postgres(primary=primary)
    try:
        hosts = f"127.0.0.1:{primary.port},127.0.0.1:{standby.port}"
        world.catalog_url = f"postgresql://postgres@{hosts}/postgres?target_session_attrs=read-write"
        service = await world.start()
        service.file("a.jsonl")
        await assert_up(service)
        primary.stop("fast")  # which waits until the standby has all
        await assert_down(service)
        standby.promote()
        await assert_up(service)
        assert len(await service.audit("session_download")) == 2, "of before and after"
        await service.stop()
    finally:
        standby.close()
        primary.start()
        primary.close()


class LosingAnswers:
    """Relays connections to PostgreSQL. The answers to the next `count` commits are lost with their connections."""

    def __init__(self, port: int) -> None:
        self.count = 0
        self.relays: set[asyncio.Task[None] | None] = set()
        self._port = port

    async def relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.relays.add(asyncio.current_task())
        answers, to_server = await asyncio.open_connection("127.0.0.1", self._port)
        is_lost = asyncio.Event()

        async def relay_answers() -> None:
            with suppress(ConnectionError):
                while (answer := await answers.read(65536)) and not is_lost.is_set():
                    writer.write(answer)
            writer.close()

        async def relay_queries() -> None:
            with suppress(ConnectionError):
                while data := await reader.read(65536):
                    if self.count and b"COMMIT" in data:
                        self.count -= 1
                        is_lost.set()
                    to_server.write(data)
            to_server.close()

        await asyncio.gather(relay_answers(), relay_queries())
        with suppress(ConnectionError):
            await asyncio.gather(writer.wait_closed(), to_server.wait_closed())


async def test_a_success_whose_commit_was_not_answered_is_written_again_until_it_is(
    world: World, postgres: Postgres
) -> None:
    """The catalog itself tries twice; all its answers are lost, though the first commit took place."""
    losing = LosingAnswers(postgres.port)
    async with await asyncio.start_server(losing.relay, "127.0.0.1") as server:
        world.catalog_url = world.catalog_url.replace(f":{postgres.port}/", f":{server.sockets[0].getsockname()[1]}/")
        service = await world.start()
        service.file("a.jsonl", noise(BIG))
        async with service.request(DOWNLOAD) as response:
            await response.content.readexactly(1000)
            losing.count = 3
            assert len(await response.read()) == BIG - 1000
        assert losing.count == 0
        assert [row["result"] for row in await service.audit("session%")] == ["started", "success"]
        await service.stop()
        await asyncio.gather(*filter(None, losing.relays))


@pytest.mark.long
@pytest.mark.timeout(120)
async def test_a_server_that_is_frozen_holds_nobody_for_ever(
    service: World, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.catalog.postgres.FRESH", 0)
    service.file("a.jsonl")
    await assert_up(service)
    postgres.signal(signal.SIGSTOP)
    try:
        began = time.monotonic()
        assert (await service.get("/readyz", token=None)).status == 503
        assert time.monotonic() - began < 4
        answers = await asyncio.gather(*(service.get(DOWNLOAD) for _ in range(3)))
        assert [answer.status for answer in answers] == [503] * 3
        assert time.monotonic() - began < 25
    finally:
        postgres.signal(signal.SIGCONT)
    while (await service.get("/readyz", token=None)).status != 200:
        await asyncio.sleep(0.1)
    assert (await service.get(DOWNLOAD)).body == b"{}\n"


def start_export(replica: Serving, request_id: str, rate: str) -> subprocess.Popen[bytes]:
    """A client that takes its time."""
    path = "/api/admin/users/u-1001/sessions/download-all"
    headers = ["-H", f"Authorization: Bearer {replica.token}", "-H", f"X-Request-ID: {request_id}"]
    return subprocess.Popen(["curl", "-sN", "--limit-rate", rate, *headers, "-o", "/dev/null", f"{replica.url}{path}"])


@pytest.mark.long
@pytest.mark.timeout(240)
async def test_replicas_that_die_or_are_frozen_leave_each_transfer_exactly_one_outcome(
    tmp_path: Path, catalog_url: str
) -> None:
    """Three processes: one is killed, one is frozen for longer than the dead are silent, one goes on."""
    prepare(tmp_path, catalog={"url": catalog_url})
    (tmp_path / "data/user_sessions/alice/big.jsonl").write_bytes(noise(120_000_000))
    with ExitStack() as stack:
        replicas = [stack.enter_context(serving(tmp_path)) for _ in range(3)]
        database = await opened(catalog_url, threads=1)
        stack.callback(database.close)
        clients = [
            stack.enter_context(start_export(replica, name, "2500k"))
            for replica, name in zip(replicas, ("killed", "frozen", "lives"), strict=True)
        ]

        async def results(name: str) -> list[str]:
            rows = await database.query(
                "SELECT result FROM audit_log WHERE correlation_id = $1 ORDER BY timestamp, id", [name]
            )
            return [row["result"] for row in rows]

        async def until(condition: Callable[[], Awaitable[bool]], seconds: float) -> None:
            async with asyncio.timeout(seconds):
                while not await condition():
                    await asyncio.sleep(0.2)

        async def all_begun() -> bool:
            return [await results(name) for name in ("killed", "frozen", "lives")] == [["started"]] * 3

        async def both_judged() -> bool:
            return "interrupted" in await results("killed") and "interrupted" in await results("frozen")

        await until(all_begun, 20)
        replicas[0].process.send_signal(signal.SIGKILL)
        replicas[1].process.send_signal(signal.SIGSTOP)
        await until(both_judged, 60)
        replicas[1].process.send_signal(signal.SIGCONT)
        codes = [await asyncio.to_thread(client.wait, 150) for client in clients]
        assert codes[0] in (18, 56), "its client knows that it broke off"
        assert codes[1] in (18, 56), "and so does this one, though it got nearly all"
        assert codes[2] == 0
        assert await results("killed") == ["started", "interrupted"]
        assert await results("frozen") == ["started", "interrupted"]
        assert await results("lives") == ["started", "success"]
        assert replicas[1].get("/readyz")[0] == 200, "it goes on under a new id"
        assert replicas[1].get("u-1001/sessions/a.jsonl/download", **{"X-Request-ID": "again"})[0] == 200
        assert await results("again") == ["started", "success"]
        log = replicas[1].stop()
        assert "this replica was taken for dead" in log
        assert re.search(r"is broken off: another replica took this one for dead", log)
