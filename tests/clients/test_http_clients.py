"""Exports that break off, in the programs and libraries that fetch them: none takes a part for the whole."""

import asyncio
import errno
import os
import shutil
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp
import httpx
import pytest
import requests

from tests.proxies import needs_nginx, nginx
from tests.world import ADMIN, World

pytestmark = pytest.mark.long

EXPORT = "/api/admin/users/u-1/sessions/download-all"
AUTHORIZATION = {"Authorization": f"Bearer {ADMIN}"}
SIZE = 6_000_000  # bytes of the only session
FAULT = 4_000_000  # from this byte on it cannot be read

Client = Callable[[str, Path], Awaitable[None]]


class Incomplete(Exception):
    """The client says that it did not get all."""


async def curl(url: str, target: Path) -> None:
    await _run({18}, "curl", "-sfH", f"Authorization: Bearer {ADMIN}", "-o", target, url)


async def wget(url: str, target: Path) -> None:
    """It tries a broken transfer again, twenty times unless told otherwise, and then gives up."""
    await _run({4}, "wget", "-q", "--tries=1", f"--header=Authorization: Bearer {ADMIN}", "-O", target, url)


async def python_aiohttp(url: str, target: Path) -> None:
    async with aiohttp.ClientSession(headers=AUTHORIZATION) as session, session.get(url) as response:
        response.raise_for_status()
        try:
            target.write_bytes(await response.read())
        except aiohttp.ClientPayloadError as error:
            raise Incomplete from error


async def python_httpx(url: str, target: Path) -> None:
    async with httpx.AsyncClient(headers=AUTHORIZATION) as client:
        try:
            response = await client.get(url)
        except httpx.RemoteProtocolError as error:
            raise Incomplete from error
        target.write_bytes(response.raise_for_status().content)


async def python_requests(url: str, target: Path) -> None:
    def fetch() -> None:
        try:
            response = requests.get(url, headers=AUTHORIZATION, timeout=30)
        except requests.exceptions.ChunkedEncodingError as error:
            raise Incomplete from error
        response.raise_for_status()
        target.write_bytes(response.content)

    await asyncio.to_thread(fetch)


async def _run(incomplete: set[int], *command: str | Path) -> None:
    process = await asyncio.create_subprocess_exec(*command)
    code = await process.wait()
    if code in incomplete:
        raise Incomplete
    assert code == 0


def _needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


each_client = pytest.mark.parametrize(
    "client",
    [
        pytest.param(curl, marks=_needs("curl")),
        pytest.param(wget, marks=_needs("wget")),
        python_aiohttp,
        python_httpx,
        python_requests,
    ],
)
each_way = pytest.mark.parametrize("way", ["directly", pytest.param("through nginx", marks=needs_nginx)])


@pytest.fixture
async def url(service: World, tmp_path: Path, way: str) -> AsyncIterator[str]:
    """Where the export is to be had."""
    if way == "directly":
        yield service.url(EXPORT)
    else:
        async with nginx(tmp_path, service.running.port or 0) as address:
            yield address + EXPORT


@each_client
@each_way
async def test_a_whole_export_is_taken(service: World, tmp_path: Path, url: str, client: Client) -> None:
    service.file("a.jsonl", os.urandom(SIZE))
    await client(url, tmp_path / "export.zip")
    assert zipfile.is_zipfile(tmp_path / "export.zip")
    assert await outcomes(service) == ["success"]


@each_client
@each_way
async def test_a_broken_export_is_refused(
    service: World, tmp_path: Path, url: str, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk fails in the middle of the file, injected where it is read."""
    service.file("a.jsonl", os.urandom(SIZE))
    read = os.pread

    def failing(fd: int, count: int, offset: int) -> bytes:
        if offset + count > FAULT:
            raise OSError(errno.EIO, "Input/output error")
        return read(fd, count, offset)

    monkeypatch.setattr("service.store.local.os.pread", failing)
    with pytest.raises(Incomplete):
        await client(url, tmp_path / "export.zip")
    assert await outcomes(service) == ["error"]


async def outcomes(service: World) -> list[str]:
    return [row["result"] for row in await service.audit("session_bulk_download")]
