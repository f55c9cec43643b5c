"""Finding users and sessions: every choice is in the address, and the address alone brings it back."""

import asyncio

import pytest
from playwright.async_api import Route, expect

from tests.console.furniture import OCTOBER, furnish, index, transcript
from tests.console.reader import Reader

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.long]


async def titles(reader: Reader) -> list[str]:
    """The sessions that are listed, also those below the edge of the screen."""
    return await reader.results.locator("tbody th").all_text_contents()


async def test_users_are_searched_as_one_types(reader: Reader) -> None:
    await furnish(reader.world)
    await reader.open()
    await expect(reader.results).to_contain_text("2 users")
    await reader.page.get_by_label("E-mail, name or id").press_sequentially("BO")
    await expect(reader.results).to_contain_text("1 user")
    await expect(reader.results.get_by_role("row").nth(1)).to_contain_text("bob@example.com")
    assert reader.page.url.endswith("#/users?q=BO")
    await reader.page.reload()
    await expect(reader.results).to_contain_text("1 user")


async def test_directories_of_nobody_are_shown(reader: Reader) -> None:
    await furnish(reader.world)
    await reader.open()
    await reader.page.get_by_role("link", name="Directories that belong to nobody").click()
    await expect(reader.results.get_by_role("row").nth(1)).to_contain_text("nobody")


async def test_a_users_sessions_are_filtered_and_the_address_says_how(reader: Reader) -> None:
    await furnish(reader.world)
    await reader.open()
    await reader.page.get_by_role("link", name="alice@example.com").click()
    await expect(reader.results).to_contain_text("4 sessions found")
    await reader.page.get_by_label("From (UTC)").fill("2026-10-01")
    await reader.page.get_by_label("To, inclusive (UTC)").fill("2026-10-31")
    await expect(reader.results).to_contain_text("3 sessions found")
    await reader.page.get_by_label("Only with errors").check()
    await expect(reader.results).to_contain_text("2 sessions found")
    assert await titles(reader) == ["Why does the build fail?", "Fix the checkout"]
    assert reader.page.url.endswith("#/users/u-1?since=2026-10-01&until=2026-11-01&errors=true")
    await reader.page.reload()
    await expect(reader.results).to_contain_text("2 sessions found: from 1 Oct 2026 to 31 Oct 2026 (UTC) with errors")
    await expect(reader.page.get_by_label("To, inclusive (UTC)")).to_have_value("2026-10-31")


async def test_text_model_user_and_order_select_as_well(reader: Reader) -> None:
    await furnish(reader.world)
    await reader.open("sessions")
    await expect(reader.results).to_contain_text("5 sessions found")
    await reader.page.get_by_label("Title, project, file or session").press_sequentially("search")
    await expect(reader.results.locator("tbody th")).to_have_text(["Speed up the search"])
    await reader.page.get_by_role("button", name="Show all").click()
    await expect(reader.results).to_contain_text("5 sessions found")
    await reader.page.get_by_label("Model").fill("claude-opus-4")
    await reader.page.get_by_label("Model").press("Enter")
    await expect(reader.results).to_contain_text("1 session found")
    await reader.page.get_by_role("button", name="claude-opus-4 remove").click()
    await reader.page.get_by_label("User id").fill("u-2")
    await reader.page.get_by_label("User id").press("Enter")
    await expect(reader.results.locator("tbody th")).to_have_text(["Write the release notes"])
    await reader.page.go_back()
    await expect(reader.results).to_contain_text("5 sessions found")
    await reader.page.get_by_role("link", name="Errors").click()
    await expect(reader.results.locator("tbody th").first).to_have_text("Why does the build fail?")
    assert reader.page.url.endswith("#/sessions?sort=tool_errors")


async def test_pages_come_one_after_the_other_and_back_leads_to_the_same_place(reader: Reader) -> None:
    for number in range(450):
        reader.world.file(f"s{number:03}.jsonl", transcript(f"Session {number}", OCTOBER, calls=0))
    await index(reader.world)
    await reader.open("users/u-1")
    await expect(reader.results).to_contain_text("1 to 200 of 450")
    seen = await titles(reader)
    for rest in ("201 to 400 of 450", "401 to 450 of 450"):
        await reader.page.get_by_role("link", name="Next page").click()
        await expect(reader.results).to_contain_text(rest)
        seen += await titles(reader)
    assert sorted(seen) == sorted(f"Session {number}" for number in range(450))
    await reader.page.go_back()
    await expect(reader.results).to_contain_text("201 to 400 of 450")
    link = reader.results.locator("tbody th a").nth(150)
    await link.scroll_into_view_if_needed()
    await reader.until("history.state?.position === scrollY && scrollY > 0")
    position = await reader.page.evaluate("scrollY")
    place = await link.bounding_box()
    await link.click()
    await expect(reader.page.get_by_role("button", name="Next error")).to_be_visible()
    await reader.page.go_back()
    await expect(reader.results).to_contain_text("201 to 400 of 450")
    await reader.until(f"scrollY === {position}")
    assert await link.bounding_box() == place


async def test_the_list_is_there_before_the_picture_which_moves_nothing(reader: Reader) -> None:
    await furnish(reader.world)
    drawing = asyncio.Event()

    async def later(route: Route) -> None:
        await drawing.wait()
        await route.continue_()

    await reader.page.route("**/sessions/days*", later)
    await reader.open("users/u-1")
    await expect(reader.results.locator("tbody tr")).to_have_count(4)
    await expect(reader.page.get_by_role("heading", level=1)).to_have_text("alice@example.com")
    before = await reader.results.bounding_box()
    drawing.set()
    await expect(reader.page.get_by_role("figure")).to_be_visible()
    assert await reader.results.bounding_box() == before


async def test_dragging_over_the_picture_selects_its_days(reader: Reader) -> None:
    await furnish(reader.world)
    await reader.open("users/u-1?until=2026-11-01")
    chart = reader.page.get_by_role("img", name="3 sessions from 5 Oct 2026 to 14 Oct 2026")
    box = await chart.bounding_box()
    assert box
    day = box["width"] / 10
    await reader.page.mouse.move(box["x"] + day / 2, box["y"] + 20)
    await reader.page.mouse.down()
    await reader.page.mouse.move(box["x"] + 3.5 * day, box["y"] + 20, steps=5)
    await reader.page.mouse.up()
    await expect(reader.results).to_contain_text("2 sessions found: from 5 Oct 2026 to 8 Oct 2026 (UTC)")


async def test_the_picture_is_a_table_too_and_stacks_by_errors(reader: Reader) -> None:
    await furnish(reader.world)
    await reader.open("sessions")
    await expect(reader.page.get_by_role("list").filter(has_text="claude-opus-4")).to_be_visible()
    await reader.page.get_by_label("Stacked by").select_option("errors")
    await reader.page.get_by_text("The same as a table").click()
    table = reader.page.get_by_role("group", name="Sessions over time").get_by_role("table")
    assert await table.get_by_role("columnheader").all_inner_texts() == ["Time (UTC)", "without errors", "with errors"]
    await table.get_by_role("button", name="14 Oct 2026").click()
    await expect(reader.results).to_contain_text("1 session found: from 14 Oct 2026 to 14 Oct 2026 (UTC)")
