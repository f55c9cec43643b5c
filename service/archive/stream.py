"""Turns the blocking iterator of an archive into an async one for the event loop."""

import asyncio
from collections.abc import AsyncGenerator

from service.archive.archive import Archive
from service.archive.part import Part
from service.pools import Pool, settle


async def streamed(archive: Archive | Part, pool: Pool) -> AsyncGenerator[bytes, None]:
    """The archive's chunks; each is made in the pool while the previous one is sent.

    Closing this waits for the running step and closes the archive's files.
    """
    chunks = archive.chunks()
    step = pool.run(next, chunks, None)
    try:
        while (chunk := await asyncio.shield(step)) is not None:
            step = pool.run(next, chunks, None)
            yield chunk
    finally:
        archive.stop()
        await settle(step)  # a generator cannot be closed while a thread is in it
        await settle(pool.run(chunks.close))
