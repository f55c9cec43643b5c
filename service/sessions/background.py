"""The background's thread, in which the index is kept, and how it gives way."""

import time
from collections.abc import Callable

from service.pools import Pool

SHARE = 20  # while transfers run, it rests for so many times as long as it worked
LONGEST_REST = 0.1  # seconds


class Stopped(Exception):
    """The service ends."""


class Background:
    """Has the lowest claim on the machine: while transfers run, it takes a twentieth of a core at most."""

    def __init__(self, pool: Pool, is_busy: Callable[[], bool]) -> None:
        """`pool` has one thread, for this alone. `is_busy` says whether transfers run."""
        self.pool = pool
        self.waiting = 0  # requests that wait for what is done here, or like here
        self._is_busy = is_busy
        self._stopped = False
        self._rested = time.perf_counter()

    def rest(self) -> None:
        """Called in the thread after each little piece of work. Raises Stopped."""
        if self._stopped:
            raise Stopped
        if self._is_busy() and not self.waiting:
            time.sleep(min(SHARE * (time.perf_counter() - self._rested), LONGEST_REST))
        self._rested = time.perf_counter()

    def stop(self) -> None:
        """Let the thread end with the piece of work that it is at."""
        self._stopped = True
