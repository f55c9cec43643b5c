"""Thread pools: one for each kind of blocking work, so that none can starve another.

The event loop's default executor is never used: work that waits for other work in the same pool hangs for ever
once the pool is full. A pool here runs one kind of work, which never waits for its own pool.
"""

import asyncio
import contextlib
import contextvars
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def settle(future: asyncio.Future[Any]) -> None:
    """Wait until the future is done, even if the waiting task is cancelled. For clean-up: it raises nothing."""
    while not future.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait([future])
    if not future.cancelled():
        future.exception()  # retrieved, so that asyncio does not log it


def run_in_new_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
    """Run a rare call that may hang in a new thread. It blocks no pool, and neither a cancelled caller nor the exit of
    the process waits for it."""
    future: Future[T] = Future()
    future.set_running_or_notify_cancel()

    def work() -> None:
        try:
            future.set_result(function(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001 - raised where the future is awaited
            future.set_exception(error)

    threading.Thread(target=work, name="apart", daemon=True).start()
    return asyncio.wrap_future(future)


class Pool:
    """A bounded thread pool; its threads have its name. `executor` is for libraries that need one (aiofiles)."""

    def __init__(self, name: str, threads: int, done: Callable[[float, float], None] | None = None) -> None:
        """`done`, if given, is called in the thread after each piece of work, with the seconds that the work waited for
        a thread and the seconds that it took."""
        self.threads = threads
        self.executor = _Watched(threads, name, done) if done else ThreadPoolExecutor(threads, thread_name_prefix=name)

    @property
    def busy(self) -> int:
        """Threads that are working; 0 if the pool has no `done` callback."""
        return self.executor.busy if isinstance(self.executor, _Watched) else 0

    @property
    def queued(self) -> int:
        """Pieces of work that wait for a thread; 0 if the pool has no `done` callback."""
        return self.executor.queued if isinstance(self.executor, _Watched) else 0

    def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
        """Run a blocking function in a thread of this pool; await the returned future for its result.

        Cancelling the future has an effect only before a thread begins the work.
        """
        # With the caller's context, as asyncio.to_thread does: log lines of the thread have the request's id.
        context = contextvars.copy_context()
        return asyncio.wrap_future(self.executor.submit(lambda: context.run(function, *args, **kwargs)))

    async def run_to_end(
        self, function: Callable[P, T], give_back: Callable[[T], object], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """The same for work that opens a resource. If the caller is cancelled, wait for the work first, and pass its
        unused result to `give_back`."""
        work = self.run(function, *args, **kwargs)
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            await settle(work)
            if work.exception() is None:
                give_back(work.result())
            raise

    def close(self) -> None:
        """Wait for all submitted work, then end the threads. Blocks; may be called twice."""
        self.executor.shutdown(wait=True)


class _Watched(ThreadPoolExecutor):
    """Counts waiting and running work, and reports the times of each piece to `done`."""

    def __init__(self, threads: int, name: str, done: Callable[[float, float], None]) -> None:
        super().__init__(threads, thread_name_prefix=name)
        self._done = done
        self._count = threading.Lock()
        self.queued = 0
        self.busy = 0

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        submitted = time.perf_counter()

        def work() -> T:
            began = time.perf_counter()
            self._change(queued=-1, busy=1)
            try:
                return fn(*args, **kwargs)
            finally:
                self._change(busy=-1)
                self._done(began - submitted, time.perf_counter() - began)

        self._change(queued=1)
        try:
            future = super().submit(work)
        except RuntimeError:  # the pool is closed
            self._change(queued=-1)
            raise
        future.add_done_callback(self._forget_cancelled)
        return future

    def _forget_cancelled(self, future: Future[Any]) -> None:
        if future.cancelled():
            self._change(queued=-1)

    def _change(self, queued: int = 0, busy: int = 0) -> None:
        with self._count:
            self.queued += queued
            self.busy += busy
