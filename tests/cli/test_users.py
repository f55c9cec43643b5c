"""`session-export users` against a running service. (Without one: test_main.py.)"""

import json
from pathlib import Path

import pytest

from service.catalog import User
from tests.cli.process import Done, run
from tests.world import World

pytestmark = pytest.mark.long


async def imported(service: World, here: Path, text: str) -> Done:
    (here / "users.csv").write_text(text)
    return await run("users", "import", "users.csv", "--url", service.url("/"), cwd=here, url="")


async def listed(service: World, here: Path, *arguments: str) -> list[dict[str, object]]:
    done = await run("users", "list", "--json", *arguments, cwd=here, url=service.url("/"))
    assert done.code == 0, done.err
    return [json.loads(line) for line in done.out.splitlines()]


async def test_users_are_listed_by_email_with_their_sessions(service: World, here: Path) -> None:
    await service.add_users(User("u-0", "zoe@example.com", "Zoe\x1b"))
    service.file("a.jsonl", b"x" * 1500, mtime=1_700_000_000)
    done = await run("users", "list", cwd=here, url=service.url("/"))
    assert done.code == 0, done.err
    assert [line.split() for line in done.out.splitlines()] == [
        ["ID", "E-MAIL", "SESSIONS", "SIZE", "LAST", "SESSION", "(UTC)", "NAME"],
        ["u-1", "alice@example.com", "1", "1.5", "kB", "2023-11-14", "22:13:20", "Alice"],
        ["u-0", "zoe@example.com", "0", "0", "B", "-", r"Zoe\x1b"],
    ]
    assert [row["user_id"] for row in await listed(service, here, "-q", "ZOE")] == ["u-0"]


async def test_users_are_imported_through_the_service(service: World, here: Path) -> None:
    text = "id,email,name\nu-1,other@example.com,\nu-2,bob@example.com,Bob\nu-3,carol@example.com,\n"
    assert await imported(service, here, text) == Done(0, "2 added, 1 already there\n", "")
    assert await imported(service, here, text) == Done(0, "0 added, 3 already there\n", "")
    rows = await listed(service, here)
    assert [(row["user_id"], row["email"], row["name"]) for row in rows] == [
        ("u-1", "alice@example.com", "Alice"),
        ("u-2", "bob@example.com", "Bob"),
        ("u-3", "carol@example.com", None),
    ]
    assert len(await service.audit("admin.user_saved")) == 2


@pytest.mark.parametrize(
    ("lines", "word"),
    [
        ("u-2,,Bob", "line 3: a user needs an id and an e-mail"),
        ("u-2,bob,Bob", "line 3: 'bob' is no e-mail"),
        ("..,bob@example.com,Bob", "line 3: this id and e-mail cannot be names of directories"),
        ("u-2,bob@example.com,B\tb", "line 3: 'B\\tb' is longer than 200 characters or cannot be printed"),
        ("u-2,alice@example.com,Bob", "line 3: the e-mail 'alice@example.com' belongs to 'u-1'"),
        ("u-2,x@example.com,Bob", "line 3: the e-mail 'x@example.com' belongs to 'u-5'"),
        ("u-5,y@example.com,Bob", "line 3: the id 'u-5' is also that of line 2"),
    ],
)
async def test_a_wrong_line_is_named_and_nothing_is_changed(service: World, here: Path, lines: str, word: str) -> None:
    done = await imported(service, here, f"id,email,name\nu-5,x@example.com,\n{lines}\nu-6,z@example.com,\n")
    assert (done.code, done.out) == (1, "")
    assert done.err == f"Error: users.csv, {word}\n"
    assert [row["user_id"] for row in await listed(service, here)] == ["u-1"]


async def test_the_url_of_the_environment_alone_does_not_import_into_a_service(service: World, here: Path) -> None:
    (here / "users.csv").write_text("id,email,name\nu-2,bob@example.com,\n")
    done = await run("users", "import", "users.csv", cwd=here, url=service.url("/"))
    assert done.code == 0, done.err
    assert (here / "data" / "catalog.duckdb").is_file()
    assert [row["user_id"] for row in await listed(service, here)] == ["u-1"]
