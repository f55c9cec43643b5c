"""Exports of several users."""

import re
import zipfile
from pathlib import Path

from service.catalog import User
from service.cli.batch import file_name
from tests.cli.process import names, run
from tests.world import World


async def test_several_users_and_a_second_run_takes_only_what_is_missing(service: World, here: Path) -> None:
    await service.add_users(*(User(f"n-{number}", f"n{number}@example.com", None) for number in range(5)))
    for number in range(4):
        service.file("a.jsonl", b"x" * 10, folder=f"n{number}")
    (here / "users").write_text("# ids\nn-0\n\nn-1\n n-2 \nn-3\nn-4\nn-0\n")
    arguments = ("export", "--user", "n-1", "--users-from", "users", "--to", "out", "--parallel", "2")
    done = await run(*arguments, cwd=here, url=service.url("/"))
    assert (done.code, names(here / "out")) == (5, ["n-0.zip", "n-1.zip", "n-2.zip", "n-3.zip"])
    *lines, summary = done.out.splitlines()
    assert sorted(lines) == [f"n-{number}: 1 file, 10 B, out/n-{number}.zip" for number in range(4)]
    assert summary == "4 exported, 0 already there, 1 failed"
    assert re.fullmatch(r"n-4: The user has no sessions directory\. \(404, request \w+\)\n", done.err)
    assert len(await service.audit("session_bulk_download")) == 4

    (here / "out" / "n-2.zip").unlink()
    service.file("b.jsonl", b"y", folder="n-4")
    done = await run(*arguments, cwd=here, url=service.url("/"))
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[-1] == "2 exported, 3 already there, 0 failed"
    assert len(await service.audit("session_bulk_download")) == 6
    assert all(zipfile.ZipFile(archive).testzip() is None for archive in (here / "out").iterdir())


def test_every_user_has_a_file_name_of_their_own() -> None:
    ids = ["u-1", "alice@example.com", "a/b", "a%2Fb", "..", ".", ".hidden", "%2E.", "ü", "a\nb", "\0"]
    found = [file_name(user_id) for user_id in ids]
    assert found[:2] == ids[:2]
    assert len(set(found)) == len(ids)
    assert all(re.fullmatch(r"[^/\0\n.][^/\0\n]*", name) for name in found)
