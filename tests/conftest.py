"""Fixtures: few, and real."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from service.config import ProxyHeaders, Server
from tests.world import World


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A world that is not started yet, for tests that change it first."""
    async with AsyncExitStack() as stack:
        world = World(tmp_path, stack)
        yield world
    assert not world.violations


@pytest.fixture
async def service(world: World) -> World:
    """A world whose service runs."""
    return await world.start()


@pytest.fixture
async def behind(world: World) -> World:
    """A world whose service knows that a proxy stands before it, and that it may say who calls."""
    world.server = Server.model_validate({"shutdown_timeout": 1, "trusted_proxies": ["127.0.0.1/32"]})
    headers = {"user_header": "X-Auth-Request-User", "groups_header": "X-Auth-Request-Groups", "admin_group": "admins"}
    world.proxy = ProxyHeaders.model_validate(headers)
    return await world.start()
