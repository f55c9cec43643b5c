from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from service.api.routes import HEALTH, LINK_ROUTES, OPEN_ROUTES
from service.console import OPEN_ROUTES as CONSOLE_ROUTES
from tests.raw import wire
from tests.world import ADMIN, PLAIN, World

NO_TOKEN = {"/healthz", "/readyz", "/openapi.json", "/docs", "/docs/{asset}", "/api/links/{token}"}
NO_TOKEN |= {"/", "/console/{file}"}


@pytest.fixture
async def probed(world: World) -> AsyncIterator[World]:
    """A service with a route that a careless developer added."""

    async def probe(_request: web.Request) -> web.Response:
        return web.Response(text="report")

    world.before_start = lambda app: app.router.add_get("/api/reports/all", probe)
    yield await world.start()
    world.violations.clear()  # the document does not have that route


def test_the_open_routes_are_these_and_no_more() -> None:
    assert OPEN_ROUTES | CONSOLE_ROUTES == NO_TOKEN
    assert HEALTH < OPEN_ROUTES


async def test_every_open_route_exists(service: World) -> None:
    assert {resource.canonical for resource in service.app.router.resources()} >= NO_TOKEN | LINK_ROUTES


async def test_every_other_route_and_method_is_closed(service: World) -> None:
    for route in service.app.router.routes():
        if route.resource and route.resource.canonical not in NO_TOKEN:
            path = str(route.resource.canonical).replace("{user_id}", "u-1").replace("{session_file}", "a.jsonl")
            assert (await service.get(path, route.method, token=None)).status == 401, path
            assert (await service.get(path, route.method, token=PLAIN)).status == 403, path


@pytest.mark.parametrize(("token", "status"), [(None, 401), (PLAIN, 403), ("wrong", 401), (ADMIN, 200)])
async def test_a_new_route_is_closed_wherever_it_lies(probed: World, token: str | None, status: int) -> None:
    assert (await probed.get("/api/reports/all", token=token)).status == status


@pytest.mark.parametrize("token", ["", PLAIN])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE"])
async def test_without_the_right_an_unknown_path_does_not_differ_from_a_guarded_one(
    probed: World, token: str, method: str
) -> None:
    async with wire(probed.running.port) as line:
        status, headers, body = (await line.ask("/api/reports/all", method=method, token=token)).visible()
        for path in (
            "/api/reports/any",
            "/api/admin/reprt",
            "/healthz/reports",
            "/docs/a/of/users",
            "/reports/of/anne",
        ):
            unknown = (await line.ask(path, method=method, token=token)).visible()
            assert unknown == (status, headers, body.replace(b"/api/reports/all", path.encode()))


@pytest.mark.parametrize(
    ("path", "method", "statuses"),
    [("/nothing", "GET", [401, 403, 404]), ("u-1/sessions", "POST", [401, 403, 405]),
     ("/docs/page.js", "POST", [405] * 3), ("/healthz", "TRACE", [405] * 3)],
)  # fmt: skip
async def test_only_an_admin_learns_which_closed_paths_and_methods_there_are(
    service: World, path: str, method: str, statuses: list[int]
) -> None:
    assert [(await service.get(path, method, token=token)).status for token in (None, PLAIN, ADMIN)] == statuses
