"""Where a request came from, behind proxies that are trusted and others, and through a real nginx."""

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from yarl import URL

from service.config import ProxyHeaders, Server
from service.http.proxies import parse_address
from tests.proxies import LOCATIONS, needs_nginx, nginx
from tests.world import ADMIN, World

PATH = "/api/admin/users/u-1/activity"
X_FOR, X_PROTO, FORWARDED = "X-Forwarded-For", "X-Forwarded-Proto", "Forwarded"


def trusting(*proxies: str, header: str = X_FOR) -> Server:
    fields = {"shutdown_timeout": 1, "trusted_proxies": proxies, "forwarded_header": header}
    return Server.model_validate(fields)


async def client_ip(service: World, headers: list[tuple[str, str]]) -> str:
    """What the audit log says of a request with these headers."""
    given = [("Authorization", f"Bearer {ADMIN}"), *headers]
    async with service.client.get(service.url(PATH), headers=given) as response:
        assert response.status == 200
    return str((await service.audit())[-1]["client_ip"])


# Headers that come from 127.0.0.1, and the client behind it; 127.0.0.1 and 10.0.0.0/30 are trusted.
CAME_FROM = [
    ([], "127.0.0.1"),
    ([(X_FOR, "203.0.113.7")], "203.0.113.7"),
    ([(X_FOR, "1.2.3.4, 203.0.113.7")], "203.0.113.7"),
    ([(X_FOR, "203.0.113.7, 10.0.0.1")], "203.0.113.7"),
    ([(X_FOR, "1.2.3.4, 203.0.113.7, 10.0.0.2, 10.0.0.1")], "203.0.113.7"),
    ([(X_FOR, "10.0.0.1, 203.0.113.7")], "203.0.113.7"),
    ([(X_FOR, "10.0.0.2, 10.0.0.1")], "10.0.0.2"),
    ([(X_FOR, "10.0.0.4, 10.0.0.1")], "10.0.0.4"),
    ([(X_FOR, "1.2.3.4"), (X_FOR, "203.0.113.7")], "203.0.113.7"),
    ([(X_FOR, "203.0.113.7:4711")], "203.0.113.7"),
    ([(X_FOR, "2001:db8::7")], "2001:db8::7"),
    ([(X_FOR, "[2001:db8::7]:4711")], "2001:db8::7"),
    ([(X_FOR, "::ffff:203.0.113.7")], "203.0.113.7"),
    ([(X_FOR, "203.0.113.7, ::ffff:10.0.0.1")], "203.0.113.7"),
    ([(X_FOR, " , 203.0.113.7 , ")], "203.0.113.7"),
    ([(X_FOR, "1.2.3.4, unknown")], "127.0.0.1"),
    ([(X_FOR, "1.2.3.4, rubbish, 10.0.0.1")], "10.0.0.1"),
    ([(X_FOR, "127.0.0.1.example.com")], "127.0.0.1"),
    ([(X_FOR, "")], "127.0.0.1"),
    ([(X_FOR, "1.2.3.4," * 900 + "203.0.113.7")], "203.0.113.7"),
    ([(FORWARDED, "for=1.2.3.4")], "127.0.0.1"),
    ([(X_FOR, "203.0.113.7"), (FORWARDED, "for=1.2.3.4")], "203.0.113.7"),
    ([("X-Real-IP", "1.2.3.4")], "127.0.0.1"),
]  # fmt: skip


async def test_the_client_is_the_first_address_from_the_right_that_is_no_trusted_proxy(world: World) -> None:
    world.server = trusting("127.0.0.1", "10.0.0.0/30")
    service = await world.start()
    for headers, expected in CAME_FROM:
        assert await client_ip(service, headers) == expected, headers


FORWARDED_FROM = [
    ([(FORWARDED, "for=203.0.113.7")], "203.0.113.7"),
    ([(FORWARDED, 'for=1.2.3.4, for="203.0.113.7:80";proto=https;by=10.0.0.1')], "203.0.113.7"),
    ([(FORWARDED, 'For="[2001:db8::7]:4711"')], "2001:db8::7"),
    ([(FORWARDED, "for=203.0.113.7"), (FORWARDED, "proto=http;for=10.0.0.1")], "203.0.113.7"),
    ([(FORWARDED, "for=1.2.3.4, for=_hidden")], "127.0.0.1"),
    ([(FORWARDED, "for=1.2.3.4, proto=https")], "127.0.0.1"),
    ([(FORWARDED, "for=1.2.3.4, rubbish")], "127.0.0.1"),
    ([(FORWARDED, 'for="1.2.3.4')], "127.0.0.1"),
    ([(FORWARDED, "for=203.0.113.7"), (X_FOR, "1.2.3.4")], "203.0.113.7"),
    ([(X_FOR, "1.2.3.4")], "127.0.0.1"),
]  # fmt: skip


async def test_the_same_with_the_header_forwarded(world: World) -> None:
    world.server = trusting("127.0.0.1", "10.0.0.0/30", header=FORWARDED)
    service = await world.start()
    for headers, expected in FORWARDED_FROM:
        assert await client_ip(service, headers) == expected, headers


@pytest.mark.parametrize("proxies", [(), ("192.0.2.1",)])
@pytest.mark.parametrize("header", [X_FOR, FORWARDED])
async def test_who_is_no_trusted_proxy_can_claim_nothing(world: World, proxies: tuple[str, ...], header: str) -> None:
    world.server = trusting(*proxies, header=header)
    service = await world.start()
    for claim in ([(X_FOR, "1.2.3.4")], [(X_FOR, "192.0.2.1")], [(FORWARDED, "for=1.2.3.4")]):
        assert await client_ip(service, claim) == "127.0.0.1"


@pytest.mark.parametrize(
    ("headers", "plain"),
    [
        ([(X_FOR, "203.0.113.7"), (X_PROTO, "http")], True),
        ([(X_FOR, "203.0.113.7"), (X_PROTO, "https")], False),
        ([(X_FOR, "203.0.113.7, 10.0.0.1"), (X_PROTO, "http")], True),
        ([(X_FOR, "203.0.113.7, 10.0.0.1"), (X_PROTO, "http, https")], True),
        ([(X_FOR, "203.0.113.7, 10.0.0.1"), (X_PROTO, "https, http")], False),
        ([(X_FOR, "203.0.113.7"), (X_PROTO, "rubbish")], False),
        ([(X_PROTO, "http")], False),
    ],
)
async def test_the_access_log_has_the_clients_address_and_says_when_it_came_in_plain_text(
    world: World, headers: list[tuple[str, str]], plain: bool, caplog: pytest.LogCaptureFixture
) -> None:
    world.server = trusting("127.0.0.1", "10.0.0.0/30")
    service = await world.start()
    with caplog.at_level(logging.INFO):
        ip = await client_ip(service, headers)
        while not (lines := [r.getMessage() for r in caplog.records if r.name == "service.http.access"]):
            await asyncio.sleep(0)
    assert lines[0].startswith(f"{ip} 'admin1' (admin1) GET {PATH} 200 ")
    assert ("(over plain HTTP)" in lines[0]) == plain


@pytest.mark.parametrize(
    "text",
    [None, "", " ", "unknown", "_x", "1.2.3", "1.2.3.4.5", "01.2.3.4", "::1]:80", ":", "a" * 8000, "1:2"],
)
def test_what_is_no_address_is_none(text: str | None) -> None:
    assert parse_address(text) is None


async def curl(url: str, *more: str) -> str:
    """The status, for a client at 127.0.0.9."""
    process = await asyncio.create_subprocess_exec(
        "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--interface", "127.0.0.9", *more, url + PATH,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await process.communicate()
    return out.decode()


TOKEN = ("-H", f"Authorization: Bearer {ADMIN}")


@needs_nginx
async def test_behind_one_nginx_the_client_is_known_and_cannot_claim_to_be_another(
    world: World, tmp_path: Path
) -> None:
    world.server = trusting("127.0.0.1")
    service = await world.start()
    forged = ("-H", f"{X_FOR}: 1.2.3.4", "-H", "Forwarded: for=1.2.3.4", "-H", f"{X_PROTO}: https")
    async with nginx(tmp_path, service.running.port or 0) as url:
        for more in ((), forged):
            assert await curl(url, *TOKEN, *more) == "200"
    assert [row["client_ip"] for row in await service.audit()] == ["127.0.0.9"] * 2


@needs_nginx
async def test_behind_two_nginx_the_same(world: World, tmp_path: Path) -> None:
    world.server = trusting("127.0.0.2", "127.0.0.3")
    service = await world.start()
    inner_lines = LOCATIONS.replace("$remote_addr", "$proxy_add_x_forwarded_for")  # it is not the outermost
    for directory in ("inner", "outer"):
        (tmp_path / directory).mkdir()
    async with nginx(tmp_path / "inner", service.running.port or 0, inner_lines, "proxy_bind 127.0.0.3;") as inner:
        inner_port = URL(inner).port or 0
        async with nginx(tmp_path / "outer", inner_port, more="proxy_bind 127.0.0.2;") as outer:
            for more in ((), ("-H", f"{X_FOR}: 1.2.3.4"), ("-H", f"{X_FOR}: 127.0.0.2")):
                assert await curl(outer, *TOKEN, *more) == "200"
    assert [row["client_ip"] for row in await service.audit()] == ["127.0.0.9"] * 3


@asynccontextmanager
async def oauth2_proxy(users: dict[str, tuple[str, str]]) -> AsyncIterator[str]:
    """What nginx asks who calls: by the cookie, 202 with the user and their groups, or 401."""

    async def auth(request: web.Request) -> web.Response:
        known = users.get(request.cookies.get("session", ""))
        if known is None:
            return web.Response(status=401)
        return web.Response(status=202, headers={"X-Auth-Request-User": known[0], "X-Auth-Request-Groups": known[1]})

    app = web.Application()
    app.router.add_get("/oauth2/auth", auth)
    async with TestServer(app, host="127.0.0.1") as server:
        yield f"http://127.0.0.1:{server.port}"


def authenticating(asked: str) -> str:
    """The lines for nginx, with those for a program that it asks who calls."""
    ask = f'location = /auth {{ internal; proxy_pass {asked}/oauth2/auth; proxy_set_header Content-Length ""; }}'
    lines = """
        auth_request /auth;
        auth_request_set $user $upstream_http_x_auth_request_user;
        auth_request_set $groups $upstream_http_x_auth_request_groups;
        proxy_set_header X-Auth-Request-User $user;
        proxy_set_header X-Auth-Request-Groups $groups;
    """
    ours = re.sub(r"proxy_set_header X-Auth-Request-(User|Groups) .*", "", LOCATIONS)
    return ask + re.sub(r"^location .*{$", rf"\g<0>{lines}", ours, count=1, flags=re.MULTILINE)


FORGED = ("-H", "X-Auth-Request-User: root", "-H", "X-Auth-Request-Groups: session-admins")


@needs_nginx
async def test_an_authenticating_proxy_says_who_calls_and_nobody_else_can(world: World, tmp_path: Path) -> None:
    world.server = trusting("127.0.0.1")
    world.proxy = ProxyHeaders(
        user_header="X-Auth-Request-User", groups_header="X-Auth-Request-Groups", admin_group="session-admins"
    )
    service = await world.start()
    users = {"a": ("ann", "all,session-admins"), "b": ("bob", "all"), "n": ("", "")}
    async with AsyncExitStack() as stack:
        asked = await stack.enter_async_context(oauth2_proxy(users))
        url = await stack.enter_async_context(nginx(tmp_path, service.running.port or 0, authenticating(asked)))
        for cookie, status in (("a", "200"), ("b", "403"), ("n", "401"), ("x", "401")):
            for forged in ((), FORGED):
                assert await curl(url, "-b", f"session={cookie}", *forged) == status, (cookie, forged)
    rows = await service.audit()
    assert {(row["user_id"], row["client_ip"]) for row in rows} == {("ann", "127.0.0.9")}


async def test_past_the_proxy_the_same_headers_let_nobody_in(world: World) -> None:
    world.server = trusting("127.0.0.1")
    world.proxy = ProxyHeaders(
        user_header="X-Auth-Request-User", groups_header="X-Auth-Request-Groups", admin_group="session-admins"
    )
    service = await world.start()
    url = f"http://127.0.0.1:{service.running.port}"
    assert await curl(url, *FORGED) == "401"
    assert await curl(url, *FORGED, "--interface", "127.0.0.1") == "200", "the proxy itself may"
