"""`session-export activity` and `audit`."""

import json
import re
from pathlib import Path

from tests.cli.process import run
from tests.world import World


async def test_activity_is_shown(service: World, here: Path) -> None:
    service.file("a.jsonl")
    await service.get("u-1/sessions/a.jsonl/download")
    done = await run("activity", "--user", "admin1", "--limit", "2", cwd=here, url=service.url("/"))
    lines = done.out.splitlines()
    assert (done.code, len(lines)) == (0, 3)
    assert re.search(r"session_download +success +\d+  127\.0\.0\.1 +users/u-1/sessions/a\.jsonl$", lines[1])
    done = await run("activity", "--user", "admin1", "--json", cwd=here, url=service.url("/"))
    assert json.loads(done.out.splitlines()[-1])["action"] == "session_download_started"


async def test_the_audit_log_is_searched(service: World, here: Path) -> None:
    service.file("a.jsonl")
    await service.get("u-1/sessions/a.jsonl/download")
    await service.get("u-1/sessions/download-all")
    await service.get("admin1/activity")
    done = await run("audit", "--about", "u-1", "--action", "session_download", cwd=here, url=service.url("/"))
    heading, line = done.out.splitlines()
    assert heading.split() == ["TIME", "(UTC)", "WHO", "ACTION", "RESULT", "FROM", "RESOURCE"]
    assert re.search(r"admin1 +session_download +success +127\.0\.0\.1 +users/u-1/sessions/a\.jsonl$", line)
    done = await run("audit", "--actor", "admin1", "--result", "started", "--json", cwd=here, url=service.url("/"))
    actions = [json.loads(line)["action"] for line in done.out.splitlines()]
    assert actions == ["session_bulk_download_started", "session_download_started"]
    done = await run("audit", "--until", "2000-01-01", cwd=here, url=service.url("/"))
    assert (done.code, done.out.count("\n")) == (0, 1), "the heading alone"
