"""Reading a session: as a conversation, from any place of the file."""

from datetime import timedelta

import pytest
from playwright.async_api import expect

from tests.console.furniture import OCTOBER, index, line, transcript
from tests.console.reader import Reader

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.long]

SESSION = "users/u-1/sessions/a.jsonl"


async def test_a_conversation_is_shown_with_calls_folded_and_errors_marked(reader: Reader) -> None:
    reader.world.file("a.jsonl", transcript("Fix the checkout", errors=1))
    await index(reader.world)
    await reader.open(SESSION)
    entries = reader.results.get_by_role("article")
    await expect(entries).to_have_count(5)
    await expect(reader.page.get_by_role("heading", level=1)).to_have_text("Fix the checkout")
    await expect(entries.nth(0)).to_contain_text("User")
    await expect(entries.nth(1)).to_contain_text("Assistant claude-sonnet-4")
    call = entries.nth(1).get_by_text("Tool call: Bash: make step-0")
    await expect(entries.nth(1).get_by_text('"command": "make step-0"')).to_be_hidden()
    await call.click()
    await expect(entries.nth(1).get_by_text('"command": "make step-0"')).to_be_visible()
    await expect(entries.nth(4).get_by_role("strong").first).to_have_text("Error")
    await expect(entries.nth(4).get_by_text("output 1").last).to_be_visible()


async def test_the_next_and_the_previous_error_are_found_across_pages(reader: Reader) -> None:
    quiet = transcript("Quiet", calls=200)
    failing = transcript("Failing", OCTOBER + timedelta(hours=5), errors=1, calls=1)
    data = quiet + failing + quiet + failing
    reader.world.file("a.jsonl", data)
    first = len(quiet) + failing.index(b"\n", failing.index(b"\n") + 1) + 1
    second = first + len(failing) + len(quiet)
    await reader.open(SESSION)
    await expect(reader.results.get_by_role("article")).to_have_count(100)
    current = reader.results.locator("[aria-current]")
    for button, offset in (("Next", first), ("Next", second), ("Previous", first)):
        await reader.page.get_by_role("button", name=f"{button} error").click()
        await expect(current).to_have_attribute("data-offset", str(offset))
        await expect(current).to_be_in_viewport()
        await expect(current).to_be_focused()
        assert f"at={offset}" in reader.page.url
    await reader.page.get_by_role("button", name="Previous error").click()
    await reader.sees("There is none.")


async def test_a_time_is_jumped_to(reader: Reader) -> None:
    reader.world.file("a.jsonl", transcript("Long", calls=3000))
    await reader.open(SESSION)
    await expect(reader.results.get_by_role("article")).to_have_count(100)
    # 1,500 minutes after 9:00 UTC on 5 October, as a clock in Berlin shows it.
    await reader.page.get_by_label("Time").fill("2026-10-06T12:00:00")
    await reader.page.get_by_role("button", name="Jump").click()
    current = reader.results.locator("[aria-current]")
    await expect(current).to_contain_text("Step 1499.")
    await expect(current).to_contain_text("6 Oct 2026, 12:00 2026-10-06 10:00 UTC")


async def test_a_session_of_100_mb_is_read_from_any_place_as_quickly_as_a_small_one(reader: Reader) -> None:
    block = transcript("Block", calls=2000)
    count = 100_000_000 // len(block) + 1
    reader.world.file("a.jsonl", block * count)
    await reader.open(SESSION)
    await reader.sees("lines, 0 byte to")
    await reader.page.get_by_role("button", name="End", exact=True).click()
    await expect(reader.results.get_by_role("article").last).to_contain_text("output 1999")
    await reader.page.get_by_label("Position").fill("500")
    await reader.sees("50")
    quickest = await reader.page.evaluate("""async () => {
        const begin = performance.now();
        [...document.querySelectorAll("button")].find((button) => button.textContent === "Later").click();
        const before = document.querySelector("[data-offset]");
        while (document.contains(before)) await new Promise(requestAnimationFrame);
        return performance.now() - begin;
    }""")
    assert quickest < 1000, "milliseconds, on a machine that has other work"


async def test_earlier_and_later_pages_join_without_a_gap(reader: Reader) -> None:
    reader.world.file("a.jsonl", transcript("Long", calls=120))
    await reader.open(SESSION)
    entries = reader.results.get_by_role("article")
    await expect(entries).to_have_count(100)
    await reader.page.get_by_role("button", name="Later").click()
    await expect(entries.first).to_contain_text("output 49")
    await reader.page.get_by_role("button", name="Earlier").click()
    await expect(entries.first).to_contain_text("Long")


async def test_the_raw_line_is_the_files_own_bytes(reader: Reader) -> None:
    raw = '{"type": "user",  "n": 12345678901234567890, "n": 1.0, "message": {"content": "spaced"}}'
    reader.world.file("a.jsonl", raw.encode() + b"\n")
    await reader.open(SESSION)
    await reader.page.get_by_role("button", name="Raw").click()
    await expect(reader.results.locator("pre")).to_have_text(raw)
    (row,) = await reader.world.audit("session_download")
    assert row["result"] == "success"


async def test_lines_that_are_no_conversation_are_shown_as_they_are(reader: Reader) -> None:
    reader.world.file(
        "a.jsonl", b'42\n["list"]\nnot json\n{"silly": "this"}\n{"type": "summary", "summary": "Done."}\n'
    )
    await reader.open(SESSION)
    entries = reader.results.get_by_role("article")
    await expect(entries).to_have_count(5)
    await expect(entries.nth(2)).to_contain_text("not json")
    await expect(entries.nth(4)).to_contain_text("Done.")
    await entries.nth(3).get_by_text("As JSON").click()
    await expect(entries.nth(3)).to_contain_text('"silly": "this"')


async def test_a_line_of_2_mb_is_cut_and_says_so(reader: Reader) -> None:
    reader.world.file("a.jsonl", line("user", "x" * 2_000_000, OCTOBER))
    await reader.open(SESSION)
    await reader.sees("A line of 2 MB; its beginning:")
    await reader.page.get_by_role("button", name="Show all of it").click()
    await reader.assert_accessible()
