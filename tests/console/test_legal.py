"""All of Alice's sessions of October in which errors happened, and the proof that it is all of them; no terminal."""

from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.console.furniture import furnish
from tests.console.reader import Reader

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.long]


async def test_from_the_sign_in_to_the_verified_archive(reader: Reader, tmp_path: Path) -> None:
    await furnish(reader.world)
    page = reader.page
    await reader.open()
    await page.get_by_label("E-mail, name or id").press_sequentially("alice")
    await page.get_by_role("link", name="alice@example.com").click()
    await page.get_by_label("From (UTC)").fill("2026-10-01")
    await page.get_by_label("To, inclusive (UTC)").fill("2026-10-31")
    await page.get_by_label("Only with errors").check()
    await page.get_by_role("button", name="Take all 2 found…").click()
    async with page.expect_download() as download:
        await page.get_by_role("dialog").get_by_role("button", name="Download").click()
    archive = tmp_path / (await download.value).suggested_filename
    await (await download.value).save_as(archive)
    await page.get_by_role("dialog").get_by_role("link", name="Verify the archive").click()
    await page.get_by_label("Archive").set_input_files(archive)
    await expect(reader.results).to_contain_text("is whole.")
    await expect(reader.results).to_contain_text("2 sessions")
    await expect(reader.results).to_contain_text("from 1 Oct 2026 to 31 Oct 2026 (UTC) with errors, of u-1")
    await page.get_by_role("link", name="What the service finds for this now").click()
    await expect(reader.results).to_contain_text("2 sessions found: from 1 Oct 2026 to 31 Oct 2026 (UTC) with errors")
    await page.get_by_role("link", name="Who looked at this person's sessions").click()
    row = reader.results.get_by_role("row").filter(has_text="Took an archive")
    await expect(row).to_contain_text("admin1")
    await expect(row).to_contain_text("success")
