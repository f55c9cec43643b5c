"""Verifying an archive in the browser: nothing but a whole one is called whole."""

from pathlib import Path
from uuid import uuid4

import pytest
from playwright.async_api import expect

from tests.client.archives import archive_of, line_of, manifested
from tests.console.reader import Reader

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.long]

FILES = {f"a{number}.jsonl": b'{"n": 1}\n' * number for number in range(1, 20)}
WHOLE = archive_of(manifested(FILES))


async def verdict(reader: Reader, directory: Path, archive: bytes) -> str:
    file = directory / f"{uuid4()}.zip"  # the same name again would be no new choice
    file.write_bytes(archive)
    await reader.page.get_by_label("Archive").set_input_files(file)
    heading = reader.results.get_by_role("heading")
    await expect(heading).to_be_visible()
    text = await reader.results.inner_text()
    await reader.page.evaluate("document.querySelector('.results').replaceChildren()")
    return text


@pytest.mark.parametrize("method", ["zip32", "zip64", "store32", "store64"])
async def test_a_whole_archive_is_called_whole(reader: Reader, tmp_path: Path, method: str) -> None:
    await reader.open("verify")
    text = await verdict(reader, tmp_path, archive_of(manifested(FILES), method))
    assert ".zip is whole." in text
    assert "19 sessions, 1.7 kB" in text


async def test_what_is_changed_missing_or_not_listed_is_named(reader: Reader, tmp_path: Path) -> None:
    await reader.open("verify")
    lines = [line_of(name, data) for name, data in FILES.items()]
    cases = {
        "a2.jsonl is not as it was sent.": manifested(FILES | {"a2.jsonl": b"{}\n"}, lines),
        "a2.jsonl is missing.": manifested({name: data for name, data in FILES.items() if name != "a2.jsonl"}, lines),
        "new.jsonl is not in the list.": manifested(FILES | {"new.jsonl": b""}, lines),
        "not complete": manifested(FILES, result={"complete": False}),
        "not the one": manifested(FILES, result={"members_sha256": "0" * 64}),
        "no manifest": FILES,
    }
    for sentence, members in cases.items():
        text = await verdict(reader, tmp_path, archive_of(members))
        assert "is not proved whole" in text
        assert sentence in text


async def test_an_archive_that_was_cut_is_never_called_whole(reader: Reader, tmp_path: Path) -> None:
    await reader.open("verify")
    for length in range(0, len(WHOLE), 1000):
        assert "is not proved whole" in await verdict(reader, tmp_path, WHOLE[:length]), length


async def test_what_was_left_out_or_still_written_is_said(reader: Reader, tmp_path: Path) -> None:
    await reader.open("verify")
    lines = [line_of(name, data, still_written=True) for name, data in FILES.items()]
    skipped = [{"name": "x.jsonl", "reason": "a symbolic link"}]
    text = await verdict(reader, tmp_path, archive_of(manifested(FILES, lines, {"skipped": skipped})))
    assert "x.jsonl: a symbolic link" in text
    assert "Still being written when they were taken:" in text
