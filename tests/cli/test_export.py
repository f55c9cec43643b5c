"""`session-export export`."""

from pathlib import Path

from tests.cli.process import Done, names, run
from tests.world import NOISE, World


async def test_extract_makes_a_directory_for_each_user(service: World, here: Path) -> None:
    service.file("a.jsonl", NOISE)
    done = await run("export", "--user", "u-1", "--extract", "out", cwd=here, url=service.url("/"))
    assert done == Done(0, "u-1: 1 file, 3 MB, out/u-1\n", "")
    assert (here / "out" / "u-1" / "a.jsonl").read_bytes() == NOISE
    assert names(here / "out") == ["u-1"]
