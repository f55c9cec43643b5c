"""`session-export list`."""

import json
from pathlib import Path

from tests.cli.process import run
from tests.world import World


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
