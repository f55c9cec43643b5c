"""Who took what: the audit log, as an auditor asks for it."""

import pytest
from playwright.async_api import expect

from tests.console.furniture import furnish
from tests.console.reader import Reader

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.long]


async def test_from_a_user_to_who_looked_and_to_all_of_a_request(reader: Reader) -> None:
    await furnish(reader.world)
    await reader.world.get("u-1/sessions/download-all", headers={"X-Request-ID": "first-1"})
    await reader.world.get("u-1/sessions/a1.jsonl/download", headers={"X-Request-ID": "second-2"})
    await reader.world.get("u-2/sessions/download-all", headers={"X-Request-ID": "third-3"})
    await reader.open("users/u-1")
    await reader.page.get_by_role("link", name="Who looked at this person's sessions").click()
    rows = reader.results.locator("tbody tr")
    await expect(rows.filter(has_text="Took an archive")).to_have_count(1)
    await expect(rows.filter(has_text="users/u-2")).to_have_count(0)
    await rows.filter(has_text="Took an archive").get_by_role("link", name="first-1").click()
    await expect(reader.results).to_contain_text("2 entries")
    assert await rows.locator("td:nth-child(3)").all_inner_texts() == ["Took an archive", "Began to take an archive"]


async def test_the_log_is_filtered_and_the_address_says_how(reader: Reader) -> None:
    await furnish(reader.world)
    await reader.world.get("u-1/sessions/download-all")
    await reader.world.get("u-1/sessions/a1.jsonl/download")
    await reader.open("audit")
    await reader.page.get_by_label("What", exact=True).select_option("Took a session")
    await expect(reader.results).to_contain_text("1 entry")
    await reader.page.get_by_label("Result", exact=True).select_option("aborted")
    await expect(reader.results).to_contain_text("0 entries")
    assert reader.page.url.endswith("#/audit?action=session_download&result=aborted")
    await reader.page.go_back()
    await expect(reader.results).to_contain_text("1 entry")
    await reader.results.locator("summary").click()
    await expect(reader.results.locator("pre")).to_contain_text('"session_file": "a1.jsonl"')
