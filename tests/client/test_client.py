"""The client from Python, against the real service, over wires that break."""

import asyncio
import json
import random
import shutil
import subprocess
from collections.abc import AsyncIterator
from itertools import cycle, repeat
from pathlib import Path

import pytest

from service.catalog import User
from service.client import (
    BrokenOff,
    CannotSave,
    Client,
    Damaged,
    NotAllowed,
    NotFound,
    Progress,
    Skipped,
    Unavailable,
)
from service.client.errors import TemporaryError
from service.client.responses import parse_retry_after
from service.config import Exports
from tests.wire import Wire, flipped
from tests.world import ADMIN, NOISE, World


@pytest.fixture
async def waits() -> list[float]:
    """The seconds that the client below has waited for another try."""
    return []


@pytest.fixture
async def client(service: World, waits: list[float]) -> AsyncIterator[Client]:
    async with connected(service.url("/"), waits) as client:
        yield client


def connected(url: str, waits: list[float], *, token: str = ADMIN, retries: int = 4) -> Client:
    """A client that waits for nothing, and writes down how long it would have."""

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    return Client(url, token, retries=retries, sleep=sleep)


def whole(archive: Path) -> bool:
    return subprocess.run(["unzip", "-tq", archive], capture_output=True, check=False).returncode == 0


async def test_an_export_is_saved_as_the_service_sends_it(service: World, client: Client, tmp_path: Path) -> None:
    service.file("a.jsonl", b"x" * 1000)
    service.file("b.jsonl", NOISE)
    (service.root / "alice" / "link.jsonl").symlink_to("a.jsonl")
    seen: list[Progress] = []
    exported = await client.export("u-1", tmp_path / "new" / "out.zip", progress=seen.append)
    assert exported.path.read_bytes() == (await service.get("u-1/sessions/download-all")).body
    assert whole(exported.path)
    assert (exported.files, exported.skipped) == (2, (Skipped("link.jsonl", "Not a regular file."),))
    assert exported.received == exported.path.stat().st_size == seen[-1].received
    assert exported.text_bytes == seen[-1].done > 3_001_000, "the report of what was skipped is text, too"
    assert {progress.total for progress in seen} == {3_001_000}
    assert [path.name for path in exported.path.parent.iterdir()] == ["out.zip"]
    assert exported.path.stat().st_mode & 0o777 == 0o600


async def test_head_tells_what_an_export_would_hold(service: World) -> None:
    service.file("a.jsonl", b"x" * 1000)
    answer = await service.get("u-1/sessions/download-all", "HEAD")
    assert (answer.headers["X-Export-Files"], answer.headers["X-Export-Bytes"]) == ("1", "1000")


async def test_files_are_extracted_with_their_times_and_no_archive_is_kept(
    service: World, client: Client, tmp_path: Path
) -> None:
    service.file("a.jsonl", b"x" * 1000, mtime=1_700_000_000)
    service.file("b.jsonl", NOISE, mtime=1_800_000_000)
    (service.root / "alice" / "c.jsonl").mkdir()
    await client.extract("u-1", tmp_path / "out" / "u-1")
    files = {path.name: path for path in (tmp_path / "out" / "u-1").iterdir()}
    assert files.keys() == {"a.jsonl", "b.jsonl", "_skipped.json"}
    assert files["b.jsonl"].read_bytes() == NOISE
    assert [files[name].stat().st_mtime for name in ("a.jsonl", "b.jsonl")] == [1_700_000_000, 1_800_000_000]
    assert json.loads(files["_skipped.json"].read_text()) == [{"name": "c.jsonl", "reason": "Not a regular file."}]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["u-1"]


async def test_extracting_again_leaves_the_new_files_alone(service: World, client: Client, tmp_path: Path) -> None:
    old = service.file("old.jsonl")
    await client.extract("u-1", tmp_path / "out" / "u-1")
    old.unlink()
    service.file("new.jsonl")
    await client.extract("u-1", tmp_path / "out" / "u-1")
    assert [path.name for path in (tmp_path / "out").rglob("*")] == ["u-1", "new.jsonl"]


async def test_files_are_there_while_the_rest_still_arrives(service: World, tmp_path: Path, waits: list[float]) -> None:
    service.file("a.jsonl", b"x" * 1000)
    service.file("b.jsonl", NOISE)
    async with (
        Wire(service.running.port, repeat(1_000_000), hold=True) as wire,
        connected(wire.url, waits) as client,
    ):
        extracting = asyncio.create_task(client.extract("u-1", tmp_path / "out" / "u-1"))
        await wire.held.wait()
        while not (found := list((tmp_path / "out").glob("*/b.jsonl"))) or not found[0].stat().st_size:
            await asyncio.sleep(0.01)
        assert (found[0].parent / "a.jsonl").stat().st_size == 1000
        assert not (tmp_path / "out" / "u-1").exists()
        extracting.cancel()
        await asyncio.gather(extracting, return_exceptions=True)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("seed", range(3))
async def test_an_export_through_a_wire_that_breaks_anywhere_ends_whole(
    service: World, tmp_path: Path, waits: list[float], seed: int
) -> None:
    for number in range(10):
        service.file(f"{number}.jsonl", NOISE[: number * 10_000])
    whole_size = len((await service.get("u-1/sessions/download-all")).body)
    chance = random.Random(seed)
    cuts = [chance.randrange(whole_size // 5) for _ in range(4)]  # together less than the whole
    async with (
        Wire(service.running.port, iter(cuts), reset=seed % 2 == 1) as wire,
        connected(wire.url, waits) as client,
    ):
        exported = await client.export("u-1", tmp_path / "out.zip")
    assert wire.connections == len(waits) + 1 <= 5, "each goes on where the one before broke off"
    assert whole(exported.path)
    assert exported.files == 10
    assert [path.name for path in tmp_path.glob("*.*z*")] == ["out.zip"]
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("kind", ["export", "extract"])
async def test_a_wire_that_always_breaks_leaves_what_was_there(
    service: World, tmp_path: Path, waits: list[float], kind: str
) -> None:
    """Here the service's entity tag is lost on the way, so that nothing can be resumed."""
    service.file("a.jsonl", NOISE)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "u-1").write_text("what was there")

    def without_tag(_place: int, data: bytes) -> bytes:
        return data.replace(b"ETag:", b"X-Tg:")

    async with (
        Wire(service.running.port, repeat(1_000_000), damage=without_tag) as wire,
        connected(wire.url, waits) as client,
    ):
        with pytest.raises(BrokenOff, match="broke off"):
            await getattr(client, kind)("u-1", tmp_path / "out" / "u-1")
    assert waits == [1, 2, 4, 8]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["u-1"]
    assert (tmp_path / "out" / "u-1").read_text() == "what was there"


@pytest.mark.parametrize("kind", ["export", "extract"])
async def test_an_export_that_was_damaged_on_the_way_is_not_saved(
    service: World, tmp_path: Path, waits: list[float], kind: str
) -> None:
    service.file("a.jsonl", NOISE)
    async with (
        Wire(service.running.port, damage=flipped(1_500_000)) as wire,
        connected(wire.url, waits) as client,
    ):
        with pytest.raises(Damaged, match=r"a\.jsonl"):
            await getattr(client, kind)("u-1", tmp_path / "out" / "u-1")
    assert not waits, "it would come no better"
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("seed", range(4))
async def test_a_download_is_resumed_where_it_broke_off(
    service: World, tmp_path: Path, waits: list[float], seed: int
) -> None:
    service.file("a.jsonl", NOISE)
    chance = random.Random(seed)
    cuts = [chance.randrange(300, len(NOISE) // 4) for _ in range(4)]  # together less than the whole
    seen: list[Progress] = []
    async with (
        Wire(service.running.port, iter(cuts), reset=seed % 2 == 1) as wire,
        connected(wire.url, waits) as client,
    ):
        assert await client.download("u-1", "a.jsonl", tmp_path / "a.jsonl", progress=seen.append) == len(NOISE)
    assert (tmp_path / "a.jsonl").read_bytes() == NOISE
    assert wire.connections == 5
    done = [progress.done for progress in seen]
    assert done == sorted(done), "what was there has stayed"
    assert seen[-1] == Progress(len(NOISE), len(NOISE), len(NOISE))
    assert not list(tmp_path.glob(".*"))


async def test_only_what_is_missing_is_asked_for(service: World, client: Client, tmp_path: Path) -> None:
    service.file("a.jsonl", NOISE)
    part = await broken_off(service, tmp_path / "a.jsonl")
    there = part.stat().st_size
    await client.download("u-1", "a.jsonl", tmp_path / "a.jsonl")
    *_, last = await service.audit("session_download")
    params = json.loads(last["params"])
    assert (params["range"], params["bytes_sent"]) == (f"bytes={there}-", len(NOISE) - there)
    assert (tmp_path / "a.jsonl").read_bytes() == NOISE


async def broken_off(service: World, path: Path) -> Path:
    """What a download leaves that ended in its middle."""
    async with (
        Wire(service.running.port, repeat(1_000_000), hold=True) as wire,
        connected(wire.url, []) as client,
    ):
        downloading = asyncio.create_task(client.download("u-1", path.name, path))
        while not (parts := list(path.parent.glob(".*.part"))) or parts[0].stat().st_size < 900_000:
            await asyncio.sleep(0.01)
        downloading.cancel()
        await asyncio.gather(downloading, return_exceptions=True)
    assert not path.exists()
    return parts[0]


async def test_a_session_that_changed_meanwhile_is_downloaded_from_its_beginning(
    service: World, client: Client, tmp_path: Path
) -> None:
    service.file("a.jsonl", NOISE)
    part = await broken_off(service, tmp_path / "a.jsonl")
    service.file("a.jsonl", NOISE[::-1])
    await client.download("u-1", "a.jsonl", tmp_path / "a.jsonl")
    assert (tmp_path / "a.jsonl").read_bytes() == NOISE[::-1]
    assert not part.exists()


async def test_a_complete_partial_file_gets_its_name(service: World, client: Client, tmp_path: Path) -> None:
    service.file("a.jsonl", NOISE)
    part = await broken_off(service, tmp_path / "a.jsonl")
    part.write_bytes(NOISE)
    await client.download("u-1", "a.jsonl", tmp_path / "a.jsonl")
    assert (tmp_path / "a.jsonl").read_bytes() == NOISE


async def test_a_part_that_is_longer_than_the_session_is_thrown_away(
    service: World, client: Client, tmp_path: Path, waits: list[float]
) -> None:
    service.file("a.jsonl", NOISE)
    part = await broken_off(service, tmp_path / "a.jsonl")
    part.write_bytes(NOISE + b"x")
    await client.download("u-1", "a.jsonl", tmp_path / "a.jsonl")
    assert (tmp_path / "a.jsonl").read_bytes() == NOISE
    assert not waits, "nothing is wrong with the service"


async def test_the_part_of_a_longer_name_is_another_sessions(service: World, client: Client, tmp_path: Path) -> None:
    service.file("a.jsonl", b"short")
    service.file("a.jsonl.b.jsonl", NOISE)
    service.file(f"{'l' * 249}.jsonl", b"long")
    part = await broken_off(service, tmp_path / "a.jsonl.b.jsonl")
    for name, text in (("a.jsonl", b"short"), (f"{'l' * 249}.jsonl", b"long")):
        await client.download("u-1", name, tmp_path / name)
        assert (tmp_path / name).read_bytes() == text
    assert part.exists()


async def test_two_downloads_of_one_session_do_not_write_into_each_other(
    service: World, client: Client, tmp_path: Path, waits: list[float]
) -> None:
    service.file("a.jsonl", NOISE)
    async with (
        Wire(service.running.port, repeat(1_000_000), hold=True) as wire,
        connected(wire.url, waits) as slow,
    ):
        first = asyncio.create_task(slow.download("u-1", "a.jsonl", tmp_path / "a.jsonl"))
        await wire.held.wait()
        while not list(tmp_path.glob(".*.part")):
            await asyncio.sleep(0.01)
        with pytest.raises(CannotSave, match="another process"):
            await client.download("u-1", "a.jsonl", tmp_path / "a.jsonl")
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)


async def test_an_empty_session_is_downloaded(service: World, client: Client, tmp_path: Path) -> None:
    service.file("a.jsonl", b"")
    assert await client.download("u-1", "a.jsonl", tmp_path / "a.jsonl") == 0
    assert (tmp_path / "a.jsonl").read_bytes() == b""


async def test_the_client_waits_for_a_busy_service_as_long_as_it_asks(world: World, tmp_path: Path) -> None:
    world.exports = Exports(max_concurrent=1, queue_timeout=0)
    await world.start()
    world.file("a.jsonl", NOISE * 5)
    retried: list[tuple[TemporaryError, float]] = []
    async with world.request("u-1/sessions/download-all") as other:
        await other.content.readany()

        async def sleep(seconds: float) -> None:
            if len(retried) == 2:
                await other.read()

        client = Client(world.url("/"), ADMIN, sleep=sleep, on_retry=lambda *why: retried.append(why))
        async with client:
            exported = await client.export("u-1", tmp_path / "out.zip")
    assert whole(exported.path)
    assert [seconds for _, seconds in retried] == [1, 1], "Retry-After, not the client's own 1, 2, 4"
    assert all(isinstance(error, Unavailable) for error, _ in retried)


async def test_a_client_does_not_wait_for_hours(world: World, tmp_path: Path) -> None:
    world.exports = Exports(max_concurrent=1, queue_timeout=3600)
    await world.start()
    world.file("a.jsonl")
    waits: list[float] = []

    def busy_for_hours(place: int, data: bytes) -> bytes:
        return b"HTTP/1.1 503 Busy\r\nRetry-After: 7200\r\nContent-Length: 0\r\n\r\n" if place == 0 else b""

    async with Wire(world.running.port, damage=busy_for_hours) as wire, connected(wire.url, waits) as client:
        with pytest.raises(Unavailable, match="503"):
            await client.export("u-1", tmp_path / "out.zip")
    assert not waits


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0),
        ("10", 10),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 0),
        (None, None),
        ("soon", None),
        ("-1", None),
        ("1.5", None),
    ],
)
def test_retry_after_is_a_number_of_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    assert parse_retry_after(header) == seconds


async def test_the_services_own_words_are_in_the_error(service: World, tmp_path: Path) -> None:
    service.file("a.jsonl")
    async with connected(service.url("/"), []) as client:
        with pytest.raises(NotFound, match=r"^User not found \(404, request [0-9a-f]{32}\)$"):
            await client.export("../x y/%2e", tmp_path / "out.zip")
        with pytest.raises(NotFound, match="No such session file"):
            await client.download("u-1", "b.jsonl", tmp_path / "b.jsonl")
    async with connected(service.url("/"), [], token="wrong") as client:
        with pytest.raises(NotAllowed, match="401"):
            await anext(client.sessions("u-1"))
    async with connected("http://127.0.0.1:1", [], retries=0) as client:
        with pytest.raises(Unavailable, match="does not answer"):
            await anext(client.activity("u-1"))


async def test_an_answer_that_is_no_page_is_an_error(service: World) -> None:
    async def answered(text: bytes) -> None:
        def sign_in(at: int, _data: bytes) -> bytes:
            return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(text), text) if at == 0 else b""

        async with Wire(service.running.port, damage=sign_in) as wire, connected(wire.url, []) as client:
            with pytest.raises(Damaged, match="The server's answer"):
                await anext(client.sessions("u-1"))

    for text in (b"<html>", b"[]", b'{"rows": [{"a": 1}], "pagination": {"total": 1}}'):
        await answered(text)


async def test_all_pages_of_a_list(service: World, client: Client) -> None:
    for number in range(450):
        service.file(f"{number:03}.jsonl", b"x" * number, mtime=1_700_000_000 + number)
    await service.add_usage("gone.jsonl")
    rows = [row async for row in client.sessions("u-1")]
    assert [row.session_file for row in rows] == [
        "gone.jsonl",
        *(f"{number:03}.jsonl" for number in range(449, -1, -1)),
    ]
    assert (rows[0].available, rows[0].size_bytes, rows[0].processed, rows[0].tool_calls) == (False, None, True, 5)
    assert (rows[1].size_bytes, rows[1].started_at and rows[1].started_at.timestamp()) == (449, 1_700_000_449)


async def test_activity_has_each_row_once_though_reading_adds_to_it(service: World, client: Client) -> None:
    await service.sql(
        "INSERT INTO audit_log (id, timestamp, user_id, action, params) "
        "SELECT i, TIMESTAMP '2026-01-01' + to_seconds(i), 'admin1', 'old', '{\"a\": 1}' FROM range(450) AS numbers(i)"
    )
    rows = [row async for row in client.activity("admin1")]
    assert len({row.id for row in rows}) == len(rows)
    assert [row.id for row in rows if row.action == "old"] == [str(number) for number in range(449, -1, -1)]
    assert (rows[-1].params, rows[-1].timestamp.isoformat()) == ({"a": 1}, "2026-01-01T00:00:00+00:00")
    reads = await service.audit("admin.user_activity_read")
    assert len(reads) == 3
    assert {row["client_kind"] for row in reads} == {"session-export"}


async def test_whatever_a_users_id_is_it_is_one_segment(service: World, client: Client, tmp_path: Path) -> None:
    await service.add_users(User("ü 1?x=%41#", "zoe@example.com", None))
    service.file("a.jsonl", folder="zoe")
    assert (await client.export("ü 1?x=%41#", tmp_path / "out.zip")).files == 1


async def test_a_path_that_cannot_be_written_to_is_an_error(service: World, client: Client, tmp_path: Path) -> None:
    service.file("a.jsonl", NOISE)
    (tmp_path / "file").write_text("no directory")
    with pytest.raises(CannotSave, match="file"):
        await client.export("u-1", tmp_path / "file" / "out.zip")
    (tmp_path / "directory" / "x").mkdir(parents=True)
    with pytest.raises(CannotSave, match="directory"):
        await client.export("u-1", tmp_path / "directory")
    shutil.rmtree(tmp_path / "directory")
    await client.export("u-1", tmp_path / "directory")
    assert not list(tmp_path.glob(".*"))


async def test_many_exports_at_once_are_each_their_own(service: World, client: Client, tmp_path: Path) -> None:
    await service.add_users(*(User(f"n-{number}", f"n{number}@example.com", None) for number in range(12)))
    for number in range(12):
        service.file("a.jsonl", NOISE[: 1000 * number], folder=f"n{number}")
    await asyncio.gather(*(client.extract(f"n-{number}", tmp_path / f"{number}") for number in range(12)))
    for number, size in zip(range(12), cycle(range(0, 12_000, 1000)), strict=False):
        assert (tmp_path / f"{number}" / "a.jsonl").read_bytes() == NOISE[:size]
