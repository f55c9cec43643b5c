"""How long a reader waits: the time from a click to the rows on the screen."""

import pytest
from playwright.async_api import expect

from tests.console.furniture import OCTOBER, index, transcript
from tests.console.reader import Reader

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.long]

WANTED = 300  # milliseconds
TRIES = 20  # as the machine may have other work
CLICK = """async (name) => {
  const link = [...document.querySelectorAll("a")].find((link) => link.textContent === name);
  const before = document.querySelector(".results table");
  const begin = performance.now();
  link.click();
  while (document.contains(before)) await new Promise(requestAnimationFrame);
  return performance.now() - begin;
}"""


async def test_a_page_of_200_sessions_is_there_within_300_ms_of_the_click(reader: Reader) -> None:
    for number in range(500):
        reader.world.file(f"s{number:03}.jsonl", transcript(f"Session {number}", OCTOBER, calls=1))
    await index(reader.world)
    await reader.open("sessions")
    await expect(reader.results).to_contain_text("1 to 200 of 500")
    for _ in range(TRIES):
        took = await reader.page.evaluate(CLICK, "Next page")
        await expect(reader.results).to_contain_text("201 to 400 of 500")
        if took < WANTED:
            return
        await reader.page.evaluate(CLICK, "First page")
        await expect(reader.results).to_contain_text("1 to 200 of 500")
    pytest.fail(f"{took:.0f} ms at the last of {TRIES} tries")
