"""`session-export activity`."""

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
