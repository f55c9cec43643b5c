"""Exports that broke off, resumed by the programs that people resume with: each ends with the bytes of the whole."""

import asyncio
import json
import os
import shutil
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from itertools import product
from pathlib import Path
from random import Random

import pytest
from yarl import URL

from service.cli.transcripts import Writer
from service.client import Client as SessionExport
from service.client import ExportOptions
from tests.proxies import needs_nginx, nginx
from tests.world import ADMIN, NOISE, World

pytestmark = pytest.mark.long

EXPORT = "/api/admin/users/u-1/sessions/download-all"
AUTHORIZATION = f"Authorization: Bearer {ADMIN}"

NOTHING_LEFT = 22  # what curl says of a whole file: it is answered with 416 (curl 7.88)

Client = Callable[[str, Path], Awaitable[int]]


async def curl(url: str, target: Path) -> int:
    return await _run("curl", "-sf", "-C", "-", "-H", AUTHORIZATION, "-o", target, url)


async def wget(url: str, target: Path) -> int:
    return await _run("wget", "-q", "-c", "--tries=1", f"--header={AUTHORIZATION}", "-O", target, url)


async def aria2(url: str, target: Path) -> int:
    """With 8 connections: what is there of the file is one part of many to it."""
    options = ["-q", "-c", "-x8", "-s8", "-k1M", "--allow-overwrite=true", f"--header={AUTHORIZATION}"]
    return await _run("aria2c", *options, "-d", target.parent, "-o", target.name, url)


async def session_export(url: str, target: Path) -> int:
    """The project's own client. It resumes a partial file whose name has the plan's tag."""
    pinned = URL(url)
    target.rename(target.with_name(f".{target.name}~{pinned.query['snapshot']}.part"))
    options = ExportOptions(compression=pinned.query.get("compression"))
    async with SessionExport(str(pinned.origin()), ADMIN, retries=0) as client:
        await client.export("u-1", target, options)
    return 0


async def _run(*command: str | Path) -> int:
    """Its exit code; killed where the task is cancelled."""
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL)
    try:
        return await process.wait()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise


def _needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


each_client = pytest.mark.parametrize(
    "client",
    [
        pytest.param(curl, marks=_needs("curl")),
        pytest.param(wget, marks=[_needs("wget"), pytest.mark.long]),
        pytest.param(aria2, marks=_needs("aria2c")),
    ],
)
each_way = pytest.mark.parametrize(
    "way", ["directly", pytest.param("through nginx", marks=[needs_nginx, pytest.mark.long])]
)


@pytest.fixture
async def base(service: World, tmp_path: Path, way: str) -> AsyncIterator[str]:
    """Where the service is, with some 10 MB of sessions of all sizes in it."""
    for number in range(40):
        service.file(f"{number}.jsonl", b"".join(Writer(seed=number).session(20_000)))
    for number in range(3):
        service.file(f"noise{number}.jsonl", NOISE)
    if way == "directly":
        yield service.url("/").rstrip("/")
    else:
        async with nginx(tmp_path, service.running.port or 0) as address:
            yield address


@each_client
@each_way
async def test_a_partial_file_is_completed_from_the_pinned_url(
    service: World, tmp_path: Path, base: str, client: Client
) -> None:
    whole = await service.get(EXPORT)
    pinned = base + whole.headers["Content-Location"]
    target = tmp_path / "export.zip"
    for size in (0, 1, 100_000, len(whole.body) - 1):
        target.write_bytes(whole.body[:size])
        assert await client(pinned, target) == 0
        assert target.read_bytes() == whole.body


@each_client
@each_way
async def test_a_plan_that_changed_is_never_joined_to_another(
    service: World, tmp_path: Path, base: str, client: Client
) -> None:
    whole = await service.get(EXPORT)
    service.file("noise1.jsonl", NOISE[::-1]).rename(service.root / "alice" / "0.jsonl")
    target = tmp_path / "export.zip"
    target.write_bytes(begin := whole.body[:100_000])
    assert await client(base + whole.headers["Content-Location"], target) != 0
    assert target.read_bytes() == begin


@_needs("curl")
async def test_curl_refuses_to_resume_without_a_pinned_plan(service: World, tmp_path: Path) -> None:
    """Exit code 33: it asked for a range and is answered with the whole."""
    service.file("a.jsonl", NOISE)
    whole = await service.get(EXPORT)
    target = tmp_path / "export.zip"
    target.write_bytes(begin := whole.body[:1000])
    assert await curl(service.url(EXPORT), target) == 33
    assert target.read_bytes() == begin


@pytest.mark.long
@pytest.mark.timeout(600)
@each_client
@each_way
async def test_killed_at_50_random_places_it_ends_with_the_bytes_of_the_whole(
    service: World, tmp_path: Path, base: str, client: Client
) -> None:
    for number in range(20):
        service.file(f"more{number}.jsonl", NOISE)
    whole = await service.get(EXPORT)
    pinned = base + whole.headers["Content-Location"]
    target, chance = tmp_path / "export.zip", Random(4)
    # aria2 allocates the whole file before it writes its control file. Without that it takes the zeros for the archive.
    control = tmp_path / "export.zip.aria2"
    for _ in range(50):
        await _killed(client, pinned, target, chance.random() * 0.3)
        if chance.random() < 0.2 or (client is aria2 and not control.exists()):
            target.unlink(missing_ok=True)
            control.unlink(missing_ok=True)
    is_whole = target.exists() and target.read_bytes() == whole.body
    assert await client(pinned, target) in ({0, NOTHING_LEFT} if is_whole else {0})
    assert target.read_bytes() == whole.body


@pytest.mark.timeout(900)
@needs_nginx
async def test_an_archive_above_4_gib_is_resumed_though_its_length_was_not_known(
    service: World, tmp_path: Path
) -> None:
    """Most of the file that a client resumes is a hole: the archive's bytes there are those of a sparse session."""
    with service.file("a.jsonl").open("wb") as sparse:
        sparse.truncate(4_400_000_000)
    service.file("z.jsonl", b"behind 4 GiB\n")
    begin, pinned = await _broken_off(service, f"{EXPORT}?compression=store", 50_000_000)
    target, ends = tmp_path / "export.zip", set[bytes]()
    async with _each_client_each_way(service, tmp_path) as ways:
        for client, base in ways:
            target.write_bytes(begin)
            os.truncate(target, 4_390_000_000)
            assert await client(base + pinned, target) == 0
            with target.open("rb") as file, zipfile.ZipFile(file) as archive:
                assert [info.file_size for info in archive.infolist()] == [4_400_000_000, 13]
                assert archive.read("z.jsonl") == b"behind 4 GiB\n"
                file.seek(4_390_000_000)
                ends.add(file.read())
    assert len(ends) == 1
    assert await _resumed_at(service, 4_390_000_000) == 6, "all but aria2, which asks for many parts"


@pytest.mark.timeout(900)
@needs_nginx
async def test_an_archive_of_100_000_files_is_resumed_though_its_length_was_not_known(
    service: World, tmp_path: Path
) -> None:
    """The first client resumes it near its beginning, the others near its end."""
    for number in range(100_000):
        service.file(f"{number:06d}.jsonl", b'{"n": %d}\n' % number)
    begin, pinned = await _broken_off(service, EXPORT, 5_000_000)
    target, whole = tmp_path / "export.zip", b""
    async with _each_client_each_way(service, tmp_path) as ways:
        for client, base in ways:
            target.write_bytes(begin)
            assert await client(base + pinned, target) == 0
            whole = whole or (await service.get(pinned)).body
            assert target.read_bytes() == whole, f"{client.__name__}, {base}"
            begin = whole[: len(whole) * 9 // 10]
    assert await _resumed_at(service, 5_000_000) == 1
    assert await _resumed_at(service, len(begin)) == 5, "all others but aria2, which asks for many parts"


@asynccontextmanager
async def _each_client_each_way(service: World, tmp_path: Path) -> AsyncIterator[Iterable[tuple[Client, str]]]:
    """Each client, and where the service is: directly, and through nginx."""
    async with nginx(tmp_path, service.running.port or 0) as proxy:
        yield product((curl, wget, aria2, session_export), (service.url("/").rstrip("/"), proxy))


async def _resumed_at(service: World, offset: int) -> int:
    """How many exports so far were sent from this byte on."""
    ranges = [json.loads(row["params"]).get("range", "") for row in await service.audit("session_bulk_download")]
    return sum(found.startswith(f"bytes {offset}-") for found in ranges)


async def _broken_off(service: World, path: str, size: int) -> tuple[bytes, str]:
    """The first bytes of an export whose client disconnects then, and the path that pins its plan."""
    async with service.request(path) as response:
        assert "Content-Length" not in response.headers
        begin = await response.content.readexactly(size)
        response.close()
        return begin, response.headers["Content-Location"]


async def _killed(client: Client, url: str, target: Path, seconds: float) -> None:
    """The client, which is killed after a while unless it is done before."""
    running = asyncio.ensure_future(client(url, target))
    await asyncio.wait([running], timeout=seconds)
    running.cancel()
    await asyncio.wait([running])
