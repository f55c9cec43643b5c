"""`session-export export`."""

import asyncio
import json
from itertools import repeat
from pathlib import Path

from tests.cli.process import Done, names, run, started
from tests.wire import Wire
from tests.world import NOISE, World


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
