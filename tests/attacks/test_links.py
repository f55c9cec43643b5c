"""Links in the hands of somebody who wants more than they were given, or longer."""

import logging
from urllib.parse import quote

import pytest

from service.config import Links as LinkSettings
from service.http.links import LINKS, Link, Links
from tests.linking import DOWNLOAD, EXPORT, SECRET, link_to, take
from tests.raw import wire
from tests.world import ADMIN, World, assert_problem

NO_LINK = "No such link, or it has expired."


@pytest.fixture
async def shared(world: World) -> World:
    world.links = LinkSettings(secret=SECRET)
    service = await world.start()
    service.file("a.jsonl", b"0123456789")
    service.file("b.jsonl", b"secret")
    return service


async def forged(service: World, link: Link, secret: str = SECRET) -> str:
    return f"/api/links/{Links(secret.encode()).token(link)}"


def lasting(path: str, user_id: str = "admin1") -> Link:
    return Link("id", path, user_id, 2**40)


async def test_a_token_changed_anywhere_gives_nothing(shared: World) -> None:
    link = await link_to(shared, DOWNLOAD)
    assert (await take(shared, link)).status == 200
    token = link.rpartition("/")[2]
    for at in range(0, len(token), 7):
        changed = token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :]
        assert_problem(await take(shared, f"/api/links/{changed}"), 404, NO_LINK)
    for other in (token[:-1], token + "A", token[1:], token.swapcase(), "A", "x" * 7000):
        assert_problem(await take(shared, f"/api/links/{other}"), 404, NO_LINK)


async def test_a_token_is_taken_as_it_was_made_and_not_in_any_other_encoding(shared: World) -> None:
    link = await link_to(shared, DOWNLOAD)
    token = link.rpartition("/")[2]
    first = f"%{ord(token[0]):02X}{token[1:]}"
    for spelled in (first, quote(first, safe=""), quote(quote(first, safe=""), safe=""), f"{token}%00", f"{token}="):
        assert_problem(await take(shared, f"/api/links/{spelled}"), 404, NO_LINK)
    for path in (
        f"{link}/",
        f"{link}/..",
        f"/api//links/{token}",
        f"/api/admin/../links/{token}",
        f"/api/links/x/{token}",
    ):
        assert (await take(shared, path)).status == 401, path
    async with wire(shared.running.port) as line:
        assert (await line.ask(f"http://evil.example{link}", token="")).body == b"0123456789", "the absolute form"


async def test_a_link_that_ended_a_second_ago_gives_nothing(shared: World) -> None:
    now = shared.app[LINKS].now()
    for ends, status in ((now - 1, 404), (now + 60, 200)):
        assert (await take(shared, await forged(shared, Link("id", DOWNLOAD, "admin1", ends)))).status == status


async def test_a_link_signed_with_another_secret_gives_nothing(shared: World) -> None:
    assert_problem(await take(shared, await forged(shared, lasting(DOWNLOAD), SECRET[::-1])), 404, NO_LINK)


@pytest.mark.parametrize(
    "path",
    ["/api/admin/users/u-1/sessions", "/api/admin/users/u-1/activity", "/api/admin/me", "/api/admin/links", "/healthz",
     "/nothing", "/api/admin/doctor/echo", "/api/links/x", "/docs", f"{EXPORT}/", "/"],
)  # fmt: skip
async def test_even_a_signed_link_gives_nothing_but_downloads_and_exports(shared: World, path: str) -> None:
    """As if an older version, or another program with the same secret, had signed it."""
    for method in ("GET", "HEAD", "POST"):
        answer = await take(shared, await forged(shared, lasting(path)), method)
        assert answer.status == 404, (path, method)
    shared.violations.clear()  # of those paths, which never answer so by themselves


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
async def test_a_link_has_no_method_but_get_and_head(shared: World, method: str) -> None:
    answer = await take(shared, await link_to(shared, DOWNLOAD), method)
    assert answer.status == 404
    assert b"0123456789" not in answer.body


async def test_a_link_reaches_no_other_file_of_the_user(shared: World) -> None:
    link = await link_to(shared, DOWNLOAD)
    for more in ("?session_file=b.jsonl", "/../b.jsonl/download", f"?path={DOWNLOAD.replace('a.', 'b.')}"):
        assert b"secret" not in (await take(shared, link + more)).body


async def test_a_link_whose_maker_has_become_inactive_gives_nothing(shared: World) -> None:
    link = await link_to(shared, DOWNLOAD)
    await shared.sql("INSERT INTO users (id, email, active) VALUES ('admin1', 'admin@example.com', FALSE)")
    assert_problem(await take(shared, link), 404, NO_LINK)


async def test_a_link_and_a_token_together_are_the_link(shared: World) -> None:
    """A browser that is signed in takes a link as its maker, as everybody does."""
    link = await forged(shared, lasting(DOWNLOAD, "maker"))
    assert (await shared.get(link, token=ADMIN)).status == 200
    assert {row["user_id"] for row in await shared.audit()} == {"maker"}


async def test_no_log_line_has_a_token_of_a_link_that_is_good(shared: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    link = await link_to(shared, DOWNLOAD)
    for method in ("GET", "HEAD", "POST"):
        await take(shared, link, method)
    await take(shared, await link_to(shared, "/api/admin/users/u-1/sessions/gone.jsonl/download"))
    assert link.rpartition("/")[2] not in caplog.text
    assert "'admin1' (link) GET /api/admin/users/u-1/sessions/a.jsonl/download 200 10B" in caplog.text
