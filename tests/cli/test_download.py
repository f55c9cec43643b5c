"""`session-export download`."""

from pathlib import Path

from tests.cli.process import Done, run
from tests.world import NOISE, World


async def test_download_saves_and_leaves_alone_what_is_there(service: World, here: Path) -> None:
    service.file("a.jsonl", b"new")
    service.file("b.jsonl", NOISE)
    (here / "a.jsonl").write_text("old")
    arguments = ("download", "--user", "u-1", "a.jsonl", "b.jsonl", "b.jsonl")
    done = await run(*arguments, cwd=here, url=service.url("/"))
    assert done == Done(0, "a.jsonl: already there, a.jsonl\nb.jsonl: 3 MB, b.jsonl\n", "")
    assert ((here / "a.jsonl").read_bytes(), (here / "b.jsonl").read_bytes()) == (b"old", NOISE)
    done = await run(*arguments, "--force", "--to", "there", cwd=here, url=service.url("/"))
    assert (done.code, (here / "there" / "a.jsonl").read_bytes()) == (0, b"new")
