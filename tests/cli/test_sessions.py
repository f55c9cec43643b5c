"""`session-export list` and `find`."""

import json
from pathlib import Path

import pytest

from service.catalog import User
from tests.cli.process import run
from tests.world import World

pytestmark = pytest.mark.long


async def test_list_is_a_table_for_people_and_json_lines_for_scripts(service: World, here: Path) -> None:
    for number in range(201):
        service.file(f"{number:03}.jsonl", b"x" * 48_211, mtime=1_700_000_000 + number)
    await service.add_usage("gone.jsonl", primary_model="claude\x1b[2J")
    done = await run("list", "--user", "u-1", cwd=here, url=service.url("/"))
    lines = done.out.splitlines()
    assert (done.code, done.err, len(lines)) == (0, "", 203)
    assert lines[0].split() == ["STARTED", "(UTC)", "SIZE", "TOOLS", "ERRORS", "MODEL", "SESSION", "FILE"]
    assert lines[1].split() == ["2026-05-10", "12:00:00", "gone", "5", "1", r"claude\x1b[2J", "gone.jsonl"]
    assert lines[2].split() == ["2023-11-14", "22:16:40", "48.2", "kB", "-", "-", "-", "200.jsonl"]

    done = await run("list", "--user", "u-1", "--json", cwd=here, url=service.url("/"))
    rows = [json.loads(line) for line in done.out.splitlines()]
    assert rows[:200] == (await service.get("u-1/sessions?limit=200")).json["rows"]
    assert len(rows) == 202
    done = await run("list", "--user", "u-1", "--json", "--limit", "2", cwd=here, url=service.url("/"))
    assert [json.loads(line) for line in done.out.splitlines()] == rows[:2]


CALL = {
    "type": "assistant",
    "timestamp": "2026-11-18T10:00:00Z",
    "cwd": "/home/dev/billing",
    "message": {
        "role": "assistant",
        "model": "claude-x",
        "content": [{"type": "tool_use", "id": "t1", "name": "Bash", "input": {}}],
    },
}
RESULT = {
    "type": "user",
    "timestamp": "2026-11-18T10:00:05Z",
    "message": {
        "role": "user",
        "content": [{"type": "tool_result", "tool_use_id": "t1", "is_error": True, "content": "no"}],
    },
}
FAILED = "".join(f"{json.dumps(line)}\n" for line in (CALL, RESULT)).encode()


async def test_a_list_can_be_narrowed(service: World, here: Path) -> None:
    service.file("a.jsonl", FAILED)
    service.file("b.jsonl", b"{}\n", mtime=1_700_000_000)
    for arguments, names in (
        (("--errors",), ["a.jsonl"]),
        (("--until", "2026-01-01"), ["b.jsonl"]),
        (("--session-file", "b.jsonl"), ["b.jsonl"]),
        (("--model", "claude-x", "-q", "BILLING"), ["a.jsonl"]),
        (("--model", "claude-y"), []),
    ):
        done = await run("list", "--user", "u-1", "--json", *arguments, cwd=here, url=service.url("/"))
        assert [json.loads(line)["session_file"] for line in done.out.splitlines()] == names, arguments


async def test_sessions_of_all_users_are_found(service: World, here: Path) -> None:
    await service.add_users(User("u-2", "bob@example.com", None))
    service.file("a.jsonl", FAILED)
    for number in range(250):
        service.file(f"{number:03}.jsonl", b"{}\n", folder="bob", mtime=1_700_000_000 + number)
    done = await run(
        "find", "--errors", "--since", "2026-11-18", "--until", "2026-11-19", cwd=here, url=service.url("/")
    )
    heading, line = done.out.splitlines()
    assert heading.split() == ["STARTED", "(UTC)", "USER", "SIZE", "ERRORS", "SESSION", "FILE", "TITLE"]
    assert line.split()[:3] == ["2026-11-18", "10:00:00", "u-1"]
    done = await run("find", "--json", cwd=here, url=service.url("/"))
    rows = [json.loads(line) for line in done.out.splitlines()]
    assert [row["session_file"] for row in rows] == [
        "a.jsonl",
        *(f"{number:03}.jsonl" for number in range(249, -1, -1)),
    ]
    assert (rows[0]["user_id"], rows[0]["email"], rows[0]["models"]) == ("u-1", "alice@example.com", ["claude-x"])
    done = await run("find", "--user", "u-2", "--limit", "3", "--json", cwd=here, url=service.url("/"))
    assert len(done.out.splitlines()) == 3


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (("--since", "last Wednesday"), 2, "is no date or time, such as 2026-10-01"),
        (("--sort", "title"), 2, "--sort"),
        (("--since", "2026-10-02", "--until", "2026-10-01"), 1, "since should not be after until"),
        (("-q", ""), 1, "q:"),
    ],
)
async def test_a_wrong_selection_is_named(
    service: World, here: Path, arguments: tuple[str, ...], code: int, word: str
) -> None:
    done = await run("find", *arguments, cwd=here, url=service.url("/"))
    assert (done.code, done.out) == (code, "")
    assert word in done.err
