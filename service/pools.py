"""Thread pools: one for each kind of blocking work, so that none can starve another.

The event loop's default executor is never used: work that waits for other work in the same pool hangs for ever
once the pool is full. A pool here runs one kind of work, which never waits for its own pool.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Pool:
    """A named, bounded thread pool. `executor` is for libraries that want one (aiofiles)."""

    def __init__(self, name: str, threads: int) -> None:
        self.name = name
        self.threads = threads
        self.executor = ThreadPoolExecutor(threads, thread_name_prefix=name)

    def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
        """Run a blocking function in a thread of this pool; await what is returned for its result.

        Cancelling the future takes the work back only while no thread has begun it.
        """
        return asyncio.wrap_future(self.executor.submit(function, *args, **kwargs))

    def close(self) -> None:
        """Wait for the work that was handed in, then end the threads. Blocks; may be called twice."""
        self.executor.shutdown(wait=True)
