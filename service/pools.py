"""Thread pools: one for each kind of blocking work, so that none can starve another.

The event loop's default executor is never used: work that waits for other work in the same pool hangs for ever
once the pool is full. A pool here runs one kind of work, which never waits for its own pool.
"""

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def settle(future: asyncio.Future[Any]) -> None:
    """Wait until it is done, however often who waits is cancelled meanwhile. For clean-up: it raises nothing."""
    while not future.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait([future])
    if not future.cancelled():
        future.exception()  # concerns nobody any more


class Pool:
    """A bounded thread pool; its threads bear its name. `executor` is for libraries that want one (aiofiles)."""

    def __init__(self, name: str, threads: int) -> None:
        self.threads = threads
        self.executor = ThreadPoolExecutor(threads, thread_name_prefix=name)

    def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
        """Run a blocking function in a thread of this pool; await what is returned for its result.

        Cancelling the future takes the work back only while no thread has begun it.
        """
        return asyncio.wrap_future(self.executor.submit(function, *args, **kwargs))

    async def run_to_end(
        self, function: Callable[P, T], give_back: Callable[[T], object], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """The same for work that opens something: who is cancelled meanwhile waits for its end, and `give_back` gets
        the result that nobody wants any more."""
        work = self.run(function, *args, **kwargs)
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            await settle(work)
            if work.exception() is None:
                give_back(work.result())
            raise

    def close(self) -> None:
        """Wait for the work that was handed in, then end the threads. Blocks; may be called twice."""
        self.executor.shutdown(wait=True)
