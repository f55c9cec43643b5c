"""Exports that break off and are resumed: by the same call, or by a later one with what an earlier one left."""

import asyncio
import json
from collections.abc import AsyncIterator
from itertools import repeat
from pathlib import Path
from random import Random

import pytest

from service.cli.transcripts import Writer
from service.client import BrokenOff, Client, ExportOptions, Progress
from tests.proxies import needs_nginx, nginx
from tests.wire import Wire, flipped
from tests.world import ADMIN, NOISE, World

pytestmark = pytest.mark.long

EXPORT = "u-1/sessions/download-all"
CUT = 2_000_000  # bytes; more than the buffer of the client, which is lost when the connection breaks


async def no_wait(_seconds: float) -> None:
    """Instead of a sleep."""


@pytest.fixture
async def whole(service: World) -> bytes:
    """The export of 2.6 MB in 21 sessions, of which the service knows everything by then."""
    for number in range(20):
        service.file(f"{number:02}.jsonl", b"".join(Writer(seed=number).session(200_000)))
    service.file("noise.jsonl", NOISE[:1_500_000])
    return (await service.get(EXPORT)).body


@pytest.fixture
async def client(service: World) -> AsyncIterator[Client]:
    async with Client(service.url("/"), ADMIN, retries=0) as client:
        yield client


async def broken_off(service: World, path: Path) -> Path:
    """The partial file of an export that broke off after CUT bytes of the response."""
    async with Wire(service.running.port, iter([CUT])) as wire, Client(wire.url, ADMIN, retries=0) as client:
        with pytest.raises(BrokenOff):
            await client.export("u-1", path)
    (part,) = path.parent.glob(f".{path.name}~*.part")
    return part


async def ranges(service: World) -> list[str | None]:
    """Of each export so far, the range that was asked for."""
    return [json.loads(row["params"]).get("range") for row in await service.audit("session_bulk_download")]


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.long)])
@pytest.mark.parametrize("kind", ["export", "extract"])
async def test_an_export_that_breaks_off_20_times_is_that_of_one_request(
    service: World, whole: bytes, tmp_path: Path, kind: str, seed: int
) -> None:
    chance = Random(seed)
    cuts = [chance.randrange(1500, len(whole) // 20) for _ in range(20)]
    seen: list[Progress] = []
    async with (
        Wire(service.running.port, iter(cuts), reset=seed == 1) as wire,
        Client(wire.url, ADMIN, sleep=no_wait) as client,
    ):
        exported = await getattr(client, kind)("u-1", tmp_path / "out" / "x", progress=seen.append)
    assert (wire.connections, exported.files) == (21, 21)
    if kind == "export":
        assert (tmp_path / "out" / "x").read_bytes() == whole
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["x"]
    received = [progress.received for progress in seen]
    assert received == sorted(received), "nothing was received twice"


@needs_nginx
async def test_an_export_that_breaks_off_behind_nginx_is_that_of_one_request(
    service: World, whole: bytes, tmp_path: Path
) -> None:
    """Between the client and nginx."""
    async with nginx(tmp_path, service.running.port or 0) as url:
        cuts = iter([len(whole) // 6] * 5)
        async with (
            Wire(int(url.rpartition(":")[2]), cuts) as wire,
            Client(wire.url, ADMIN, sleep=no_wait) as client,
        ):
            await client.export("u-1", tmp_path / "out.zip")
    assert wire.connections == 6
    assert (tmp_path / "out.zip").read_bytes() == whole


async def test_a_later_call_resumes_what_an_earlier_one_left(
    service: World, whole: bytes, client: Client, tmp_path: Path
) -> None:
    part = await broken_off(service, tmp_path / "out.zip")
    there = part.stat().st_size
    assert 0 < there < CUT
    exported = await client.export("u-1", tmp_path / "out.zip")
    assert exported.path.read_bytes() == whole
    assert exported.files == 21
    assert f"bytes {there}-{len(whole) - 1}/{len(whole)}" in await ranges(service)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


async def test_a_first_export_of_unknown_length_is_resumed_too(service: World, client: Client, tmp_path: Path) -> None:
    service.file("a.jsonl", NOISE)
    await broken_off(service, tmp_path / "out.zip")
    await client.export("u-1", tmp_path / "out.zip")
    assert any(await ranges(service))
    assert (tmp_path / "out.zip").read_bytes() == (await service.get(EXPORT)).body


async def test_sessions_that_grew_meanwhile_break_no_resume(
    service: World, whole: bytes, client: Client, tmp_path: Path
) -> None:
    await broken_off(service, tmp_path / "out.zip")
    with (service.root / "alice" / "19.jsonl").open("ab") as file:
        file.write(b"{}\n")
    await client.export("u-1", tmp_path / "out.zip")
    assert (tmp_path / "out.zip").read_bytes() == whole


async def test_sessions_that_were_replaced_are_exported_anew(
    service: World, whole: bytes, client: Client, tmp_path: Path
) -> None:
    part = await broken_off(service, tmp_path / "out.zip")
    service.file("new", b"another\n").rename(service.root / "alice" / "19.jsonl")
    await client.export("u-1", tmp_path / "out.zip")
    anew = (tmp_path / "out.zip").read_bytes()
    assert anew == (await service.get(EXPORT)).body != whole
    assert not part.exists()


async def test_another_compression_is_another_export(
    service: World, whole: bytes, client: Client, tmp_path: Path
) -> None:
    await broken_off(service, tmp_path / "out.zip")
    await client.export("u-1", tmp_path / "out.zip", ExportOptions("store"))
    assert (tmp_path / "out.zip").read_bytes() == (await service.get(f"{EXPORT}?compression=store")).body


@pytest.mark.parametrize(
    "damage", ["a byte", *(pytest.param(how, marks=pytest.mark.long) for how in ("the end", "too long", "empty"))]
)
async def test_a_damaged_partial_file_is_not_resumed(
    service: World, whole: bytes, client: Client, tmp_path: Path, damage: str
) -> None:
    """As after a crash of the machine."""
    part = await broken_off(service, tmp_path / "out.zip")
    data = whole[:900_000]
    changed = {
        "a byte": data[:5000] + bytes([data[5000] ^ 1]) + data[5001:],
        "the end": data[:-40_000] + bytes(40_000),
        "too long": whole + b"x",
        "empty": b"",
    }
    part.write_bytes(changed[damage])
    await client.export("u-1", tmp_path / "out.zip")
    assert (tmp_path / "out.zip").read_bytes() == whole


async def test_damage_on_the_way_before_a_break_is_found_and_repaired(
    service: World, whole: bytes, tmp_path: Path
) -> None:
    """In the noise, which has no structure: only the checksum at its end shows it, in the second request."""
    at = len(whole) - 1_000_000
    connection = 0

    def damage(place: int, data: bytes) -> bytes:
        nonlocal connection
        connection += place == 0
        return flipped(at)(place, data) if connection == 1 else data

    async with (
        Wire(service.running.port, iter([at + 1000]), damage=damage) as wire,
        Client(wire.url, ADMIN, retries=1, sleep=no_wait) as client,
    ):
        await client.export("u-1", tmp_path / "out.zip")
    assert (tmp_path / "out.zip").read_bytes() == whole
    assert len(await ranges(service)) == 4, "the fixture's, the broken one, the resumed one, and the whole"


async def test_a_complete_partial_file_gets_its_name_without_another_byte(
    service: World, whole: bytes, client: Client, tmp_path: Path
) -> None:
    part = await broken_off(service, tmp_path / "out.zip")
    part.write_bytes(whole)
    before = len(await ranges(service))
    exported = await client.export("u-1", tmp_path / "out.zip")
    assert (exported.files, exported.path.read_bytes()) == (21, whole)
    assert len(await ranges(service)) == before


async def test_two_exports_to_one_path_do_not_write_into_each_other(
    service: World, whole: bytes, client: Client, tmp_path: Path
) -> None:
    async with (
        Wire(service.running.port, repeat(1_000_000), hold=True) as wire,
        Client(wire.url, ADMIN) as slow,
    ):
        first = asyncio.create_task(slow.export("u-1", tmp_path / "out.zip"))
        await wire.held.wait()
        while not list(tmp_path.glob(".out.zip~*")):
            await asyncio.sleep(0.01)
        with pytest.raises(Exception, match="another process is saving it"):
            await client.export("u-1", tmp_path / "out.zip")
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
    await client.export("u-1", tmp_path / "out.zip")
    assert (tmp_path / "out.zip").read_bytes() == whole
