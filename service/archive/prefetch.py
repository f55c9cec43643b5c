"""Jobs that run in a pool before their results are needed; the results are taken in order."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Generic, TypeVar

T = TypeVar("T")


class Prefetch(Generic[T]):
    """An iterator over the results of jobs. At most `depth` jobs are submitted and not taken yet.

    The pool may be shared: it runs jobs in the order of submission, and each user of it submits at most `depth`, so all
    get their turn. The first job is submitted alone, so that nothing delays the first result.
    `jobs` is read in the caller's thread. After `close` no job is running or waiting.
    """

    def __init__(self, jobs: Iterator[Callable[[], T]], executor: ThreadPoolExecutor, depth: int) -> None:
        self._jobs = jobs
        self._executor = executor
        self._depth = depth
        self._allowed = 1
        self._submitted: deque[Future[T]] = deque()

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        """The next result; waits for it. Raises what its job raised."""
        self._submit()
        if not self._submitted:
            raise StopIteration
        self._allowed = self._depth
        return self._submitted.popleft().result()

    def close(self) -> None:
        """Cancel the jobs that have not begun, and wait for those that have."""
        for future in self._submitted:
            future.cancel()
        wait(self._submitted)
        self._submitted.clear()

    def _submit(self) -> None:
        while len(self._submitted) < self._allowed:
            job = next(self._jobs, None)
            if job is None:
                return
            self._submitted.append(self._executor.submit(job))
