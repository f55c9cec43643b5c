"""`session-export export`."""

import asyncio
import json
import zipfile
from itertools import repeat
from pathlib import Path

import pytest

from service.catalog import User
from tests.cli.process import Done, names, run, started
from tests.wire import Wire
from tests.world import NOISE, World

pytestmark = pytest.mark.long


async def test_extract_makes_a_directory_for_each_user(service: World, here: Path) -> None:
    service.file("a.jsonl", NOISE)
    done = await run("export", "--user", "u-1", "--extract", "out", cwd=here, url=service.url("/"))
    assert done == Done(0, "u-1: 1 file, 3 MB, out/u-1\n", "")
    assert (here / "out" / "u-1" / "a.jsonl").read_bytes() == NOISE
    assert names(here / "out") == ["u-1"]


async def test_an_export_that_was_killed_is_resumed_by_the_same_command(service: World, here: Path) -> None:
    service.file("a.jsonl", NOISE)
    command = ("export", "--user", "u-1")
    async with (
        Wire(service.running.port, repeat(1_000_000), hold=True) as wire,
        started(*command, cwd=here, url=wire.url) as process,
    ):
        await wire.held.wait()
        while not any(path.stat().st_size > 900_000 for path in here.iterdir()):
            await asyncio.sleep(0.01)
        process.kill()
        await process.wait()
    (part,) = here.iterdir()
    there = part.stat().st_size
    done = await run(*command, cwd=here, url=service.url("/"))
    assert done == Done(0, "u-1: 1 file, 3 MB, u-1.zip\n", "")
    assert names(here) == ["u-1.zip"]
    assert (here / "u-1.zip").read_bytes() == (await service.get("u-1/sessions/download-all")).body
    ranges = [json.loads(row["params"]).get("range", "") for row in await service.audit("session_bulk_download")]
    assert any(asked.startswith(f"bytes {there}-") for asked in ranges)


async def test_selected_sessions_are_exported_with_a_manifest_and_verified(service: World, here: Path) -> None:
    service.file("old.jsonl", b"{}\n", mtime=1_600_000_000)
    service.file("new.jsonl", b"{}\n", mtime=1_700_000_000)
    done = await run(
        "export", "--user", "u-1", "--since", "2023-01-01", "--manifest", cwd=here, url=service.url("/")
    )  # fmt: skip
    assert (done.code, done.err) == (0, "")
    with zipfile.ZipFile(here / "u-1.zip") as archive:
        assert archive.namelist() == ["_manifest.json", "new.jsonl", "_members.jsonl", "_result.json"]
    done = await run("verify", "u-1.zip", cwd=here, url="http://127.0.0.1:1")
    assert (done.code, done.out.partition(",")[0]) == (0, "u-1.zip: whole")


async def test_a_session_that_was_being_written_is_named(service: World, here: Path) -> None:
    service.file("a.jsonl", b"{}\n", mtime=1_600_000_000)
    service.file("b.jsonl", b"{}\n")
    done = await run("export", "--user", "u-1", "--manifest", cwd=here, url=service.url("/"))
    assert (done.code, done.err) == (3, "u-1: still being written: b.jsonl\n")
    done = await run("verify", "u-1.zip", cwd=here, url="http://127.0.0.1:1")
    assert (done.code, done.out.splitlines()[1:]) == (3, ["u-1.zip: still being written: b.jsonl"])


async def test_a_session_with_the_name_of_the_manifests_list_is_skipped(service: World, here: Path) -> None:
    for name in ("_members.jsonl", "_result.jsonl", "a.jsonl"):
        service.file(name, b"{}\n", mtime=1_600_000_000)
    done = await run("export", "--user", "u-1", "--manifest", cwd=here, url=service.url("/"))
    reason = "It has the name of the archive's own list of members."
    assert (done.code, done.err) == (3, f"u-1: skipped _members.jsonl: {reason}\n")
    done = await run("export", "--user", "u-1", "--into", "one.zip", cwd=here, url=service.url("/"))
    assert (done.code, done.out.partition(",")[0]) == (0, "one.zip: 3 files"), "in a folder it is like any other"


async def test_users_are_exported_into_one_archive(service: World, here: Path) -> None:
    await service.add_users(*(User(f"n-{number}", f"n{number}@example.com", None) for number in range(3)))
    for number in range(3):
        service.file(f"{number}.jsonl", b"{}\n", folder=f"n{number}", mtime=1_600_000_000)
    arguments = ("export", "--user", "n-0", "--user", "n-2", "--into", "new/two.zip")
    done = await run(*arguments, cwd=here, url=service.url("/"))
    assert done == Done(0, done.out, "")
    assert done.out.startswith("two.zip: 2 files, ")
    done = await run("export", "--all-users", "--into", "all.zip", cwd=here, url=service.url("/"))
    assert done.code == 0, done.err
    for name, members in (("new/two.zip", ["n-0/0", "n-2/2"]), ("all.zip", ["n-0/0", "n-1/1", "n-2/2"])):
        with zipfile.ZipFile(here / name) as archive:
            assert archive.namelist()[1:-2] == [f"{member}.jsonl" for member in members]
    done = await run("verify", "all.zip", "new/two.zip", cwd=here, url="http://127.0.0.1:1")
    assert done.code == 0, done.out
    assert (await run(*arguments, cwd=here, url=service.url("/"))).out == "two.zip: already there, new/two.zip\n"


async def test_an_export_across_users_that_finds_nothing_says_so(service: World, here: Path) -> None:
    service.file("a.jsonl", b"{}\n", mtime=1_600_000_000)
    arguments = ("export", "--all-users", "--since", "2026-01-01", "--into", "all.zip")
    done = await run(*arguments, cwd=here, url=service.url("/"))
    assert done.code == 0, done.err
    assert (await run("verify", "all.zip", cwd=here, url="")).out.startswith("all.zip: whole, 0 files, ")


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--all-users",), "give --into FILE"),
        (("--all-users", "--user", "u-1", "--into", "x.zip"), "give no --user with it"),
        (("--into", "x.zip"), "Whose sessions?"),
        (("--user", "u-1", "--into", "x.zip", "--extract", "x"), "give one of them"),
        (("--user", "u-1", "--into", "x.zip", "--session-file", "a.jsonl"), "give no --into with it"),
        (("--user", "u-1", "--since", "yesterday"), "is no date or time"),
    ],
)
async def test_an_export_of_nothing_or_to_two_places_is_a_wrong_command_line(
    here: Path, arguments: tuple[str, ...], word: str
) -> None:
    done = await run("export", *arguments, cwd=here, url="http://127.0.0.1:1")
    assert done.code == 2
    assert word in done.err
