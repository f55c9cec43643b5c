"""Pictures of the console, to look at and for the README: `python -m tests.console.screenshots DIRECTORY`.

Each page is taken at 390 and 1440 pixels, light and dark; `console.png` is the README's. They need Chromium, and no
network.
"""

import asyncio
import random
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from playwright.async_api import Browser, async_playwright, expect

from service.catalog import User
from tests.console.furniture import index, transcript
from tests.console.reader import Reader
from tests.world import World

PAGES = {
    "users": "users",
    "unassigned": "unassigned",
    "sessions": "sessions",
    "user": "users/u-1?since=2026-10-01&until=2026-11-01&errors=true",
    "session": "users/u-1/sessions/alice-000.jsonl",
    "audit": "audit",
    "verify": "verify",
}
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
NAMES = ("alice", "bob", "carol", "dan", "erin")
MODELS = ("claude-sonnet-4", "claude-opus-4", "claude-haiku-4")
TITLES = (
    "Fix the checkout when the cart is empty",
    "Why does the nightly build fail?",
    "Speed up the search for long queries",
    "Write the release notes",
    "Review the migration of the orders table",
    "Add a test for the discount rules",
)


async def furnish(world: World) -> None:
    """Two months of sessions of five users."""
    chance = random.Random(5)
    users = [User(f"u-{number}", f"{name}@example.com", name.title()) for number, name in enumerate(NAMES, 1)]
    await world.add_users(*users[1:])
    for user in users:
        name = user.email.partition("@")[0]
        for number in range(chance.randrange(30, 80)):
            begin = datetime(2026, 9, 20, tzinfo=UTC) + timedelta(minutes=chance.randrange(60 * 24 * 60))
            errors = chance.choice((0, 0, 0, 1, 3))
            calls = chance.randrange(3, 40)
            data = transcript(chance.choice(TITLES), begin, model=chance.choice(MODELS), errors=errors, calls=calls)
            world.file(f"{name}-{number:03}.jsonl", data, folder=name)
    world.file("left.jsonl", transcript("Left behind"), folder="former-employee")
    await index(world)
    await world.get("u-1/sessions/download-all")
    await world.get("u-1/sessions/alice-000.jsonl/download")


@asynccontextmanager
async def reading(world: World, browser: Browser, width: int, height: int, scheme: str) -> AsyncIterator[Reader]:
    size = {"width": width, "height": height}
    context = await browser.new_context(viewport=size, locale="en-GB", timezone_id="Europe/Berlin")  # type: ignore[arg-type]
    reader = Reader(world, await context.new_page())
    await reader.page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    await reader.open()
    await reader.sees("alice@example.com")
    yield reader
    await context.close()


async def take(reader: Reader, address: str, file: Path) -> None:
    await reader.go(address)
    await expect(reader.page.locator("[aria-busy]")).to_have_count(0)
    await reader.page.screenshot(path=file)


async def main(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    async with AsyncExitStack() as stack, async_playwright() as playwright:
        world = World(Path(stack.enter_context(tempfile.TemporaryDirectory())), stack)
        await world.start()
        await furnish(world)
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        async with reading(world, browser, 1440, 900, "light") as reader:
            await take(reader, "sessions", directory / "console.png")
        for width in (390, 1440):
            for scheme in SCHEMES:
                async with reading(world, browser, width, 900, scheme) as reader:
                    for name, address in PAGES.items():
                        await take(reader, address, directory / f"{name}-{width}-{scheme}.png")
        await browser.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
