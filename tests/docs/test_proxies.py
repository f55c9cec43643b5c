"""The lines for nginx in docs/proxies.md, in a real nginx."""

import asyncio
import io
import os
import re
import zipfile
from pathlib import Path

import pytest
from aiohttp import encode_basic_auth

from tests.docs.pages import page
from tests.proxies import LOCATIONS, needs_nginx, nginx
from tests.world import ADMIN, World

pytestmark = pytest.mark.long

EXPORT = "/api/admin/users/u-1/sessions/download-all"


def location() -> str:
    """The page's block, before the service of a test."""
    (block,) = re.findall(r"^    (location .*?^    \})$", page("proxies"), re.MULTILINE | re.DOTALL)
    return str(block).replace("http://127.0.0.1:8080", "http://session_export")


def directives(config: str) -> set[str]:
    """Without comments, however they are set out."""
    plain = re.sub(r"#.*", "", config)
    return {" ".join(directive.split()) for directive in re.split(r"[;{}]", plain)}


def test_its_lines_are_those_that_are_shipped() -> None:
    assert directives(location()) == directives(LOCATIONS)


async def curl(url: str, output: Path, *more: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        "curl", "-s", "-o", output, "-w", "%{http_code}", "-H", f"Authorization: Bearer {ADMIN}", *more, url,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await process.communicate()
    return process.returncode or 0, out.decode()


@needs_nginx
async def test_a_whole_export_comes_through_nginx(service: World, tmp_path: Path) -> None:
    service.file("a.jsonl", b"x" * 1_000_000)
    async with nginx(tmp_path, service.running.port or 0, location()) as url:
        assert await curl(url + EXPORT, tmp_path / "out.zip") == (0, "200")
    judge = await asyncio.create_subprocess_exec("unzip", "-tq", tmp_path / "out.zip", stdout=asyncio.subprocess.PIPE)
    await judge.communicate()
    assert judge.returncode == 0


@needs_nginx
@pytest.mark.parametrize("path", [EXPORT, "/api/admin/users/u-1/sessions/a.jsonl/download"])
async def test_a_broken_transfer_is_seen_as_broken_through_nginx(service: World, tmp_path: Path, path: str) -> None:
    file = service.file("a.jsonl", os.urandom(40_000_000))
    output = tmp_path / "out"
    async with nginx(tmp_path, service.running.port or 0, location()) as url:
        reading = asyncio.create_task(curl(url + path, output, "--limit-rate", "4M"))
        while not output.exists() or output.stat().st_size < 100_000:
            await asyncio.sleep(0.01)
        os.truncate(file, 1000)
        code, _ = await reading
    assert code == 18, "curl: transfer closed with outstanding data remaining"
    assert [row["result"] for row in await service.audit("session%download")] == ["error"]


@needs_nginx
async def test_without_http_1_1_to_the_service_exports_are_refused(service: World, tmp_path: Path) -> None:
    service.file("a.jsonl")
    block = re.sub(r"proxy_http_version.*", "proxy_http_version 1.0;", location())
    async with nginx(tmp_path, service.running.port or 0, block) as url:
        assert await curl(url + EXPORT, tmp_path / "out") == (0, "505")
    assert "proxy_http_version 1.1" in (tmp_path / "out").read_text()


@needs_nginx
async def test_a_browsers_link_to_an_export_works_where_the_proxy_authenticates(service: World, tmp_path: Path) -> None:
    service.file("a.jsonl", b"{}\n")
    passwords = tmp_path / "passwords"
    passwords.write_text("ada:{PLAIN}secret\n")
    mine = f'auth_basic "staff"; auth_basic_user_file {passwords}; proxy_set_header Authorization "Bearer {ADMIN}"; '
    browser = {"Accept": "text/html,*/*;q=0.8", "Accept-Encoding": "gzip, deflate, br", "Sec-Fetch-Mode": "navigate"}
    async with nginx(tmp_path, service.running.port or 0, location().replace("{", "{ " + mine, 1)) as url:
        async with service.client.get(url + EXPORT, headers=browser) as refused:
            assert refused.status == 401
        async with service.client.get(
            url + EXPORT, headers=browser | {"Authorization": encode_basic_auth("ada", "secret")}
        ) as answer:
            assert answer.status == 200
            assert re.fullmatch(
                r'attachment; filename="alice-sessions-[0-9-]{10}\.zip"', answer.headers["Content-Disposition"]
            )
            assert "Content-Encoding" not in answer.headers
            assert zipfile.ZipFile(io.BytesIO(await answer.read())).namelist() == ["a.jsonl"]
