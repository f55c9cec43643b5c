"""Fixtures: few, and real."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from service.config import Server
from tests.proxies import TRUSTING
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
    """A world whose service knows that a proxy stands before it."""
    more: dict[str, Any] = {"trusted_proxies": ("127.0.0.1/32",)} if TRUSTING else {}
    world.server = Server(shutdown_timeout=1, **more)
    return await world.start()
