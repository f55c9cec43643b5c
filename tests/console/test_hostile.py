"""What others wrote is only ever text, and breaks no layout."""

import json

import pytest
from playwright.async_api import expect

from service.catalog import User
from tests.console.furniture import HOSTILE, OCTOBER, index, line, transcript
from tests.console.reader import Reader

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.long]

EVE = User("u-<b>eve</b>/..\u202e", "<i>eve</i>@example.com", HOSTILE)


@pytest.mark.parametrize("width", [390, 1440])
async def test_hostile_content_runs_nowhere_and_fits(reader: Reader, width: int) -> None:
    """That nothing ran and no policy was violated is what the fixture asserts at the end."""
    await reader.page.set_viewport_size({"width": width, "height": 900})
    await reader.world.add_users(EVE)
    data = transcript(f"See: {HOSTILE}", model=HOSTILE) + line("user", "x" * 1_000_000, OCTOBER)
    data += line(
        "user",
        [{"type": HOSTILE, "text": HOSTILE}, {"type": "tool_result", "content": HOSTILE, "is_error": True}],
        OCTOBER,
    )
    data += json.dumps({"type": HOSTILE, HOSTILE: HOSTILE}).encode() + b"\n" + HOSTILE.encode() + b"\n"
    reader.world.file("a.jsonl", data)
    await index(reader.world)
    await reader.open("users")
    for address, shown in (
        ("users", "<i>eve</i>@example.com"),
        ("users?q=%3Cb%3E", "<i>eve</i>@example.com"),
        ("sessions", "<script>alert(1)</script>"),
        ("users/u-1", "<script>alert(1)</script>"),
        ("users/u-1/sessions/a.jsonl", "<script>alert(1)</script>"),
        ("sessions?q=%3Cscript%3Ealert(1)%3C/script%3E", "<script>alert(1)</script>"),
        ("audit?actor=%3Cscript%3Ealert(1)%3C/script%3E", "0 entries"),
        ("%3Cscript%3Ealert(1)%3C/script%3E", "No such page"),
    ):
        await reader.go(address)
        await reader.sees(shown)
        await reader.page.evaluate("for (const fold of document.querySelectorAll('details')) fold.open = true")
        await reader.assert_accessible()
    assert "javascript:" not in await reader.page.evaluate("[...document.links].map((link) => link.protocol).join()")


async def test_controls_and_marks_of_direction_are_shown_as_what_they_are(reader: Reader) -> None:
    reader.world.file("a.jsonl", transcript(f"See: {HOSTILE}"))
    await reader.open("users/u-1/sessions/a.jsonl")
    await expect(reader.results.get_by_role("article").first).to_contain_text("\u241b[31mred\u241b[0m [U+202E]gpj.exe")


async def test_a_user_whose_id_is_a_relative_path_leads_nowhere_else(reader: Reader) -> None:
    await reader.world.add_users(User("..", "dots@example.com", "Dots"))
    await reader.open("users/..")
    await expect(reader.page.get_by_role("alert").first).to_contain_text("relative path")
