"""Fixtures: few, and real."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

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
