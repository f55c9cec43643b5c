"""What the console is made of, as HTTP sees it."""

import re

from service.config import Console
from service.console.console import STATIC
from tests.world import World, assert_problem


async def test_each_file_is_served_to_anyone(service: World) -> None:
    for path in STATIC.iterdir():
        for method, body in (("GET", path.read_bytes()), ("HEAD", b"")):
            answer = await service.get(f"/console/{path.name}", method, token=None)
            assert (answer.status, answer.body) == (200, body)
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert "Set-Cookie" not in answer.headers


async def test_the_page_is_at_the_top_and_names_only_files_that_exist(service: World) -> None:
    page = (await service.get("/", token=None)).body.decode()
    references = re.findall(r'(?:href|src)="([^"#]+)"', page)
    assert references
    for reference in references:
        assert (await service.get(f"/{reference}", token=None)).status == 200


async def test_the_policy_allows_the_service_alone_and_nothing_inline(service: World) -> None:
    answer = await service.get("/", token=None)
    policy = dict(part.split(maxsplit=1) for part in answer.headers["Content-Security-Policy"].split("; "))
    assert policy.pop("default-src") == policy.pop("trusted-types") == "'none'"
    assert policy.pop("require-trusted-types-for") == "'script'"
    assert set(policy.values()) == {"'self'", "'none'"}
    assert not re.search(r"<script>|<style|style=|\son\w+=", answer.body.decode())
    assert answer.headers["Referrer-Policy"] == "no-referrer"


def test_no_script_turns_text_into_markup_or_code() -> None:
    forbidden = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|DOMParser|setHTML"
    for file in STATIC.glob("*.js"):
        assert not re.search(forbidden, file.read_text()), file.name


async def test_a_file_that_the_browser_has_is_not_sent_again(service: World) -> None:
    first = await service.get("/console/main.js", token=None)
    again = await service.get("/console/main.js", token=None, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status, again.body) == (304, b"")
    assert again.headers["Cache-Control"] == "no-cache"
    changed = await service.get("/console/main.js", token=None, headers={"If-Match": '"another"'})
    assert_problem(changed, 412)


async def test_nothing_else_is_served(service: World) -> None:
    for name in ("nothing.js", "..%2Fconsole.py", "%2e%2e/console.py", "static/main.js", "%00", ""):
        assert (await service.get(f"/console/{name}", token=None)).status in {401, 404}, name


async def test_the_reference_links_to_the_console(service: World) -> None:
    assert '<a href="./">' in (await service.get("/docs", token=None)).body.decode()


async def test_it_can_be_turned_off(world: World) -> None:
    world.console = Console(enabled=False)
    service = await world.start()
    for path in ("/", "/console/main.js"):
        assert_problem(await service.get(path), 404)
    assert '<a href="./">' not in (await service.get("/docs", token=None)).body.decode()
