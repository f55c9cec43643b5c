"""From a blocking iterator in a thread to an async one on the event loop."""

import asyncio
from collections.abc import AsyncGenerator

from service.archive.archive import Archive
from service.archive.part import Part
from service.pools import Pool, settle


async def streamed(archive: Archive | Part, pool: Pool) -> AsyncGenerator[bytes, None]:
    """The archive's chunks; one is made in the pool while the one before is sent.

    Closing this waits for the step under way and closes the archive's files.
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
