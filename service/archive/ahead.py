"""Work done ahead in a pool, its results taken in order."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Generic, TypeVar

T = TypeVar("T")


class Ahead(Generic[T]):
    """An iterator over the results of jobs, of which at most `depth` are begun and not taken yet.

    The pool may be shared: it takes jobs as they are handed in, and as nobody hands in more than `depth`, everybody
    gets their turn. The first job is handed in alone, so that nothing delays the first result. `jobs` is read in the
    caller's thread. Close it, and no job is running or waiting any more.
    """

    def __init__(self, jobs: Iterator[Callable[[], T]], executor: ThreadPoolExecutor, depth: int) -> None:
        self._jobs = jobs
        self._executor = executor
        self._depth = depth
        self._allowed = 1
        self._handed_in: deque[Future[T]] = deque()

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        """The next result; waits for it. Raises what its job raised."""
        self._hand_in()
        if not self._handed_in:
            raise StopIteration
        self._allowed = self._depth
        return self._handed_in.popleft().result()

    def close(self) -> None:
        """Take back what has not begun, and wait for what has."""
        for future in self._handed_in:
            future.cancel()
        wait(self._handed_in)
        self._handed_in.clear()

    def _hand_in(self) -> None:
        while len(self._handed_in) < self._allowed:
            job = next(self._jobs, None)
            if job is None:
                return
            self._handed_in.append(self._executor.submit(job))
