"""The console below a path prefix, behind the proxies that `deploy/` is for."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests import proxies
from tests.console.furniture import furnish
from tests.console.reader import Reader
from tests.proxies import CADDYFILE, LOCATIONS, caddy, caddy_of, needs_nginx, nginx

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.long]


def below_a_prefix(text: str, instead: str, *lines: str) -> str:
    """A shipped file with the lines changed as its comment says."""
    for line in lines:
        assert line in text
    assert instead in text, "the comment shows it"
    for line in lines[1:]:
        text = text.replace(line, "")
    return text.replace(lines[0], instead)


@asynccontextmanager
async def nginx_below_a_prefix(directory: Path, port: int, _: pytest.MonkeyPatch) -> AsyncIterator[str]:
    instead = "location /sessions/ { rewrite ^/sessions(/.*)$ $1 break;"
    async with nginx(
        directory, port, below_a_prefix(LOCATIONS, instead, "location ~ ^/(api/(admin|links)/|console/|$) {")
    ) as url:
        yield url


@asynccontextmanager
async def caddy_below_a_prefix(directory: Path, port: int, patch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    changed = below_a_prefix(
        CADDYFILE,
        "handle_path /sessions/*",
        "handle @service",
        "@service path / /console/* /api/admin/* /api/links/*\n",
    )
    patch.setattr(proxies, "CADDYFILE", changed)
    async with caddy(directory, port, caddy_of((2, 8))) as url:
        yield url


Start = Callable[[Path, int, pytest.MonkeyPatch], AbstractAsyncContextManager[str]]


@pytest.mark.parametrize(
    "start",
    [pytest.param(nginx_below_a_prefix, marks=needs_nginx, id="nginx"), pytest.param(caddy_below_a_prefix, id="caddy")],
)
async def test_from_the_sign_in_to_the_audit_log_below_a_path_prefix(
    reader: Reader, tmp_path: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    await furnish(reader.world)
    page = reader.page
    async with start(tmp_path, reader.world.running.port or 0, monkeypatch) as url:
        await reader.open(base=f"{url}/sessions/")
        await page.get_by_role("link", name="alice@example.com").click()
        await expect(page.get_by_role("figure")).to_be_visible()
        await page.get_by_role("link", name="Fix the checkout").click()
        await page.get_by_role("button", name="Next error").click()
        await expect(reader.results.locator("[aria-current]")).to_contain_text("Error")
        await page.get_by_role("button", name="Take it…").click()
        dialog = page.get_by_role("dialog")
        async with page.expect_download() as download:
            await dialog.get_by_role("button", name="Download").click()
        file = await download.value
        assert Path(await file.path()).read_bytes() == (reader.world.root / "alice" / "a1.jsonl").read_bytes()
        assert file.url.startswith(f"{url}/sessions/api/links/")
        await dialog.get_by_role("button", name="Close").click()
        await page.get_by_role("link", name="Who took what").click()
        await expect(reader.results.get_by_role("row").filter(has_text="Took a session")).to_contain_text("success")
        await page.get_by_role("link", name="The API behind this page").click()
        await page.wait_for_url(f"{url}/sessions/docs")
        (row,) = await reader.world.audit("session_download")
        assert row["result"] == "success"
