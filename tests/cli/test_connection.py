"""The options of the commands that call a service."""

from pathlib import Path

from tests.cli.process import run
from tests.world import ADMIN, World


async def test_the_token_may_stand_in_a_file_or_come_in(service: World, here: Path) -> None:
    service.file("a.jsonl")
    (here / "token").write_text(f"{ADMIN}\n")
    arguments = ("list", "--user", "u-1", "--token-file")
    assert (await run(*arguments, "token", cwd=here, url=service.url("/"), token="wrong")).code == 0
    with (here / "token").open() as file:
        assert (await run(*arguments, "-", cwd=here, url=service.url("/"), token="", stdin=file)).code == 0
