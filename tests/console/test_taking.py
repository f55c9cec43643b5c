"""Taking sessions: what is announced is what comes, through the browser's own download."""

import io
import json
import zipfile
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.console.furniture import furnish
from tests.console.reader import Reader

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.long]


async def downloaded(reader: Reader) -> tuple[str, bytes]:
    """What the browser saves when the dialog's button is clicked: its name and its bytes."""
    async with reader.page.expect_download() as download:
        await reader.page.get_by_role("dialog").get_by_role("button", name="Download").click()
    file = await download.value
    return file.suggested_filename, Path(await file.path()).read_bytes()


async def test_all_that_the_filter_finds_is_taken_with_a_manifest(reader: Reader) -> None:
    await furnish(reader.world)
    await reader.open("users/u-1?since=2026-10-01&until=2026-11-01&errors=true")
    await reader.page.get_by_role("button", name="Take all 2 found…").click()
    dialog = reader.page.get_by_role("dialog", name="Take from 1 Oct 2026 to 31 Oct 2026 (UTC) with errors")
    sizes = [(reader.world.root / "alice" / name).stat().st_size for name in ("a1.jsonl", "a3.jsonl")]
    await expect(dialog).to_contain_text(f"2 files, {sum(sizes) / 1000:.1f} kB before compression")
    name, archive = await downloaded(reader)
    assert name.startswith("alice-sessions-selected-")
    with zipfile.ZipFile(io.BytesIO(archive)) as file:
        assert file.namelist() == ["_manifest.json", "a1.jsonl", "a3.jsonl", "_members.jsonl", "_result.json"]
        assert json.loads(file.read("_result.json"))["complete"] is True
    (row,) = await reader.world.audit("session_bulk_download")
    assert (row["user_id"], row["result"]) == ("admin1", "success")


async def test_one_session_is_taken_as_it_is(reader: Reader) -> None:
    await furnish(reader.world)
    await reader.open("users/u-1/sessions/a1.jsonl")
    await reader.page.get_by_role("button", name="Take it…").click()
    name, content = await downloaded(reader)
    assert (name, content) == ("a1.jsonl", (reader.world.root / "alice" / "a1.jsonl").read_bytes())


async def test_ticked_sessions_are_taken_without_a_manifest_where_that_is_chosen(reader: Reader) -> None:
    await furnish(reader.world)
    await reader.open("users/u-1")
    for title in ("Fix the checkout", "Tidy the tests"):
        await reader.page.get_by_role("checkbox", name=f"Tick {title}").check()
    await reader.page.get_by_role("button", name="Take the 2 ticked…").click()
    await expect(reader.page.get_by_role("dialog")).to_contain_text("2 files")
    await reader.page.get_by_label("With a manifest").uncheck()
    await reader.page.get_by_label("Compression").select_option("None")
    _, archive = await downloaded(reader)
    with zipfile.ZipFile(io.BytesIO(archive)) as file:
        assert file.namelist() == ["a1.jsonl", "a4.jsonl"]
        assert {member.compress_type for member in file.infolist()} == {zipfile.ZIP_STORED}


async def test_ticked_sessions_of_several_users_come_as_an_archive_each(reader: Reader) -> None:
    await furnish(reader.world)
    await reader.open("sessions")
    await reader.page.get_by_role("checkbox", name="Tick all on this page").check()
    await reader.page.get_by_role("button", name="Take the 5 ticked…").click()
    dialog = reader.page.get_by_role("dialog")
    await expect(dialog).to_contain_text("5 files")
    await expect(dialog).to_contain_text("They come as 2 archives: each has sessions of one user")
    await dialog.get_by_role("button", name="Make links to 2 archives").click()
    await expect(dialog.get_by_role("listitem")).to_have_count(2)
    async with reader.page.expect_download() as download:
        await dialog.get_by_role("link", name="u-2").click()
    file = await download.value
    archive = await file.path()
    assert zipfile.ZipFile(archive).namelist()[1:-2] == ["b1.jsonl"]
    await dialog.get_by_role("link", name="Verify the archive").click()
    await reader.page.get_by_label("Archive").set_input_files(archive)
    await expect(reader.results).to_contain_text("Asked for: 1 session by name, of u-2.")
    await expect(reader.results.get_by_role("link")).to_have_count(0)


async def test_a_selection_across_users_always_has_its_manifest(reader: Reader, tmp_path: Path) -> None:
    await furnish(reader.world)
    await reader.open("sessions")
    await reader.page.get_by_role("button", name="Take all 5 found…").click()
    await expect(reader.page.get_by_label("With a manifest")).to_be_disabled()
    _, archive = await downloaded(reader)
    assert "u-2/b1.jsonl" in zipfile.ZipFile(io.BytesIO(archive)).namelist()
    file = tmp_path / "all.zip"
    file.write_bytes(archive)
    await reader.page.get_by_role("link", name="Verify the archive").click()
    await reader.page.get_by_label("Archive").set_input_files(file)
    await expect(reader.results).to_contain_text("Asked for: all of them, of all users, found of 2.")
    await reader.page.get_by_role("link", name="What the service finds for this now").click()
    await expect(reader.results).to_contain_text("5 sessions found: all of them")


async def test_the_dialog_closes_with_escape_and_gives_the_focus_back(reader: Reader) -> None:
    await furnish(reader.world)
    await reader.open("sessions")
    button = reader.page.get_by_role("button", name="Take all 5 found…")
    await button.click()
    await expect(reader.page.get_by_role("dialog")).to_be_visible()
    await reader.page.keyboard.press("Escape")
    await expect(reader.page.get_by_role("dialog")).to_have_count(0)
    await expect(button).to_be_focused()
