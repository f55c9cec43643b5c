"""The background thread that maintains the index, and how it yields to transfers."""

import time
from collections.abc import Callable

from service.pools import Pool

SHARE = 50  # while transfers run, it sleeps this many times as long as it worked
LONGEST_REST = 0.1  # seconds


class Stopped(Exception):
    """The service is stopping."""


class Background:
    """Work of the lowest priority: while transfers run, it uses a fiftieth of a core at most."""

    def __init__(self, pool: Pool, is_busy: Callable[[], bool]) -> None:
        """`pool` has one thread and no other work. `is_busy` returns whether transfers run."""
        self.pool = pool
        self.waiting = 0  # requests that wait for files to be indexed
        self._is_busy = is_busy
        self._stopped = False
        self._rested = time.perf_counter()

    def rest(self) -> None:
        """Sleep while transfers run. Called in the thread after each small piece of work. Raises Stopped."""
        if self._stopped:
            raise Stopped
        if self._is_busy() and not self.waiting:
            time.sleep(min(SHARE * (time.perf_counter() - self._rested), LONGEST_REST))
        self._rested = time.perf_counter()

    def stop(self) -> None:
        """Make the thread end after its current piece of work."""
        self._stopped = True
