"""`session-export link`."""

import io
import json
import zipfile
from pathlib import Path

import pytest

from tests.cli.process import run
from tests.world import World


async def taken(service: World, url: str) -> list[str]:
    """The members of the archive that a link gives without a token."""
    async with service.client.get(url) as response:
        assert response.status == 200, await response.text()
        return zipfile.ZipFile(io.BytesIO(await response.read())).namelist()


async def test_a_link_gives_a_users_export_without_a_token(service: World, here: Path) -> None:
    service.file("a.jsonl")
    service.file("b.jsonl")
    done = await run("link", "--user", "u-1", cwd=here, url=service.url("/"))
    assert (done.code, done.err) == (0, "")
    assert await taken(service, done.out.strip()) == ["a.jsonl", "b.jsonl"]


async def test_a_link_as_json_says_until_when_it_is_good(service: World, here: Path) -> None:
    service.file("a.jsonl")
    done = await run("link", "--user", "u-1", "--expires-in", "60", "--json", cwd=here, url=service.url("/"))
    assert json.loads(done.out).keys() == {"url", "expires_at", "id"}
    assert [row["user_id"] for row in await service.audit("admin.link_made")] == ["admin1"]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ((), "Whose sessions?"),
        (("--user", "u-1", "--all-users"), "Whose sessions?"),
        (("--all-users", "--session-file", "a.jsonl"), "--session-file is for one user's sessions"),
        (("--user", "u-1", "--expires-in", "0"), "--expires-in"),
    ],
)
async def test_a_link_to_nothing_is_a_wrong_command_line(
    service: World, here: Path, arguments: tuple[str, ...], word: str
) -> None:
    done = await run("link", *arguments, cwd=here, url=service.url("/"))
    assert done.code == 2
    assert word in done.err


async def test_a_link_that_would_last_too_long_is_refused(service: World, here: Path) -> None:
    done = await run("link", "--user", "u-1", "--expires-in", "1000000", cwd=here, url=service.url("/"))
    assert (done.code, done.out) == (1, "")
    assert "expires_in" in done.err
