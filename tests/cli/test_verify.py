"""`session-export verify`."""

from pathlib import Path

import pytest

from tests.cli.process import Done, run
from tests.client.archives import archive_of, line_of, manifested

NOWHERE = "http://127.0.0.1:1"
FILES = {"alice/a.jsonl": b"x" * 1000, "bob/b.jsonl": b"y" * 500}


async def verify(here: Path, **archives: bytes) -> Done:
    for name, data in archives.items():
        (here / f"{name}.zip").write_bytes(data)
    return await run("verify", *(f"{name}.zip" for name in archives), cwd=here, url=NOWHERE)


async def test_exit_0_every_archive_is_whole(here: Path) -> None:
    done = await verify(here, a=archive_of(manifested(FILES)), b=archive_of(manifested({})))
    assert done.code == 0
    assert [line.rpartition(",")[0] for line in done.out.splitlines()] == [
        "a.zip: whole, 2 files",
        "b.zip: whole, 0 files",
    ]


async def test_exit_1_a_file_cannot_be_read(here: Path) -> None:
    done = await run("verify", "none.zip", cwd=here, url=NOWHERE)
    assert done == Done(1, "", "none.zip: No such file or directory\n")


async def test_exit_2_without_a_file(here: Path) -> None:
    assert (await run("verify", cwd=here, url=NOWHERE)).code == 2


async def test_exit_3_files_were_skipped_or_still_being_written(here: Path) -> None:
    lines = [line_of(name, data, still_written=name.startswith("bob")) for name, data in FILES.items()]
    skipped = [{"name": "bob/c.jsonl", "reason": "Not readable."}]
    done = await verify(here, a=archive_of(manifested(FILES, lines, {"skipped": skipped})))
    assert done.code == 3
    assert done.out.splitlines()[1:] == [
        "a.zip: still being written: bob/b.jsonl",
        "a.zip: skipped bob/c.jsonl: Not readable.",
    ]


async def test_exit_7_an_archive_is_not_whole(here: Path) -> None:
    whole = archive_of(manifested(FILES))
    removed = {name: data for name, data in manifested(FILES).items() if name != "bob/b.jsonl"}
    changed = manifested(FILES) | {"bob/b.jsonl": b"z" * 500}
    done = await verify(here, cut=whole[:-1000], good=whole, removed=archive_of(removed), changed=archive_of(changed))
    assert done.code == 7
    assert "cut.zip: not whole: The archive is cut short." in done.out
    assert "good.zip: whole" in done.out
    assert "removed.zip: missing: bob/b.jsonl" in done.out
    assert "changed.zip: changed: bob/b.jsonl" in done.out


async def test_exit_10_an_archive_without_a_manifest(here: Path) -> None:
    done = await verify(here, a=archive_of(FILES))
    assert done == Done(10, "a.zip: whole, 2 files, 1.5 kB; it has no manifest\n", "")


@pytest.mark.parametrize("name", ["a\x1b[2Jb", "ä"])
async def test_an_archives_name_cannot_move_the_cursor(here: Path, name: str) -> None:
    done = await verify(here, **{name: archive_of(FILES)})
    assert "\x1b" not in done.out
