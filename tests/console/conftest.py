"""A browser for each test session, and in it a reader who is signed in for each test."""

import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright

from tests.console.reader import Reader
from tests.world import World

OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium() -> AsyncIterator[Browser]:
    executable = shutil.which("chromium")
    if executable is None:
        pytest.skip("chromium is not installed")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable, args=OPTIONS)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def unstarted(tmp_path: Path) -> AsyncIterator[World]:
    """As `world`, in the browser's event loop."""
    async with AsyncExitStack() as stack:
        world = World(tmp_path, stack)
        yield world
    assert not world.violations


@pytest_asyncio.fixture(loop_scope="session")
async def reader(unstarted: World, chromium: Browser) -> AsyncIterator[Reader]:
    """Somebody at the console of a service that runs. No page may raise an error or violate its policy."""
    context = await chromium.new_context(
        locale="en-GB", timezone_id="Europe/Berlin", viewport={"width": 1440, "height": 900}
    )
    reader = Reader(await unstarted.start(), await context.new_page())
    await reader.watch()
    yield reader
    await context.close()
    assert not reader.faults
