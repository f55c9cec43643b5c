"""Each page on each screen: for screen readers, with enough contrast, no wider than the screen, and by keyboard."""

from typing import Literal

import pytest
from playwright.async_api import expect

from tests.console.furniture import furnish
from tests.console.reader import Reader

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.long]

PAGES = ["users", "unassigned", "sessions", "users/u-1", "users/u-1/sessions/a1.jsonl", "audit", "verify", "nothing"]


@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing_on_any_page(reader: Reader, width: int, scheme: Literal["light", "dark"]) -> None:
    await furnish(reader.world)
    await reader.page.emulate_media(color_scheme=scheme)
    await reader.page.set_viewport_size({"width": width, "height": 900})
    await reader.open("users", token=None)
    await expect(reader.page.get_by_label("Token")).to_be_visible()
    await reader.assert_accessible()
    await reader.open("users")
    for address in PAGES:
        await reader.go(address)
        await expect(reader.page.locator("[aria-busy]")).to_have_count(0)
        await reader.assert_accessible()
    await reader.go("sessions")
    await reader.page.get_by_role("button", name="Take all 5 found…").click()
    await expect(reader.page.get_by_role("dialog")).to_contain_text("5 files")
    await reader.assert_accessible()


async def test_from_the_sign_in_to_a_download_by_keyboard_alone(reader: Reader) -> None:
    await furnish(reader.world)
    await reader.open(token=None)
    keys = reader.page.keyboard
    await expect(reader.page.get_by_label("Token")).to_be_focused()
    await keys.type("admin-token")
    await keys.press("Enter")
    await reader.sees("alice@example.com")
    await to(reader, "alice@example.com")
    await keys.press("Enter")
    await reader.sees("4 sessions found")
    await to(reader, "Take all 4 found…")
    await keys.press("Enter")
    await expect(reader.page.get_by_role("dialog")).to_contain_text("4 files")
    await to(reader, "Download")
    async with reader.page.expect_download():
        await keys.press("Enter")


async def to(reader: Reader, text: str) -> None:
    """Press Tab until what has this text has the focus, which is visible."""
    for _ in range(60):
        await reader.page.keyboard.press("Tab")
        if await reader.page.evaluate("document.activeElement.textContent") == text:
            outline = await reader.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert outline != "none"
            return
    pytest.fail(f"Tab does not lead to {text!r}")


async def test_times_are_the_readers_own_and_utc(reader: Reader) -> None:
    await furnish(reader.world)
    await reader.open("users/u-1")
    row = reader.results.get_by_role("row").filter(has_text="Fix the checkout")
    await expect(row).to_contain_text("5 Oct 2026, 11:00")
    await expect(row).to_contain_text("2026-10-05 09:00 UTC")
