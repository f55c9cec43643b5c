"""Waits for work in a thread, even if the caller is cancelled."""

import asyncio
from typing import TypeVar

from service.pools import settle

T = TypeVar("T")


async def finish_step(step: asyncio.Future[T]) -> T:
    """A step's result. If the caller is cancelled, wait for the step first: its file must not be closed meanwhile."""
    try:
        return await asyncio.shield(step)
    finally:
        await settle(step)
