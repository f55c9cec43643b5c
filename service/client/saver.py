"""Saves bytes in a thread: it writes one piece while more bytes arrive."""

import asyncio
from collections.abc import Callable

from service.pools import Pool, settle


class Saver:
    """`write` runs in the pool, never twice at once. End with `drain`, or with `stop` after an error."""

    def __init__(self, pool: Pool, write: Callable[[bytes], None]) -> None:
        self._pool = pool
        self._write = write
        self._waiting = bytearray()
        self._step: asyncio.Future[None] | None = None

    def add(self, data: bytes) -> None:
        """Add bytes to be written. Raises the error of an earlier write."""
        self._waiting += data
        if self._step is None or self._step.done():
            self._begin_step(self._step)

    async def drain(self, limit: int = 0) -> None:
        """Wait until at most `limit` bytes are pending; with 0, until all are written. Raises the error of a write."""
        while self._step is not None and (len(self._waiting) > limit or not (limit or self._step.done())):
            if self._step.done():
                self._begin_step(self._step)
            else:
                await asyncio.shield(self._step)

    async def stop(self) -> None:
        """Wait for the running write, and discard the pending bytes. Nothing uses the destination afterwards."""
        self._waiting.clear()
        if self._step is not None:
            await settle(self._step)

    def _begin_step(self, before: asyncio.Future[None] | None) -> None:
        if before is not None:
            before.result()
        if self._waiting:
            self._step = self._pool.run(self._write, bytes(self._waiting))
            self._waiting.clear()
            self._step.add_done_callback(self._continue)

    def _continue(self, step: asyncio.Future[None]) -> None:
        if step is self._step and step.exception() is None:
            self._begin_step(step)
