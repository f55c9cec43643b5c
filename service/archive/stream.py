"""From a blocking iterator in a thread to an async one on the event loop."""

import asyncio
from collections.abc import AsyncGenerator, Generator

from service.pools import Pool


async def streamed(chunks: Generator[bytes, None, None], pool: Pool) -> AsyncGenerator[bytes, None]:
    """Give what the iterator gives, one chunk made ahead in the pool while the last one is being sent.

    Closing this closes `chunks`, in the pool as well, once the step that is under way has ended.
    """
    step = pool.run(next, chunks, None)
    try:
        while (chunk := await asyncio.shield(step)) is not None:
            step = pool.run(next, chunks, None)
            yield chunk
    finally:
        await asyncio.wait([step])  # a generator cannot be closed while a thread is in it
        if not step.cancelled():
            step.exception()  # has been raised above, or concerns nobody any more
        await pool.run(chunks.close)
