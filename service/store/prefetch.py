"""Prefetches reads from object storage, so that their latencies overlap.

Each reader (an export of one user's files, or a single download) announces its reads in order. A limited number of them
is in flight or waiting to be taken; their memory comes from a budget that all readers share.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from typing import Generic, TypeVar

from service.store.files import Read

T = TypeVar("T")

DEPTH = 512  # reads of one reader; small files are taken in batches of up to 256, two or more at the same time
MOST_BYTES = 12 * 1024 * 1024  # of one reader
LEAST_BYTES = 1024 * 1024  # of one reader, even if the budget is used up: each reader can always make progress


class Budget:
    """Bytes that all readers together may hold, beyond LEAST_BYTES of each."""

    def __init__(self, size: int) -> None:
        self._left = size
        self._lock = threading.Lock()

    def take(self, count: int) -> bool:
        """Take bytes from the budget; return whether it had enough."""
        with self._lock:
            if count > self._left:
                return False
            self._left -= count
            return True

    def give_back(self, count: int) -> None:
        with self._lock:
            self._left += count


class Share:
    """The bytes that one reader holds of a budget."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._held = 0
        self._borrowed = 0

    def take(self, count: int) -> bool:
        """Take bytes; return whether the reader may hold that many more. The caller holds a lock."""
        if self._held + count > MOST_BYTES and self._held:
            return False
        if self._held and self._held + count > LEAST_BYTES:
            if not self._budget.take(count):
                return False
            self._borrowed += count
        self._held += count
        return True

    def give_back(self, count: int) -> None:
        self._held -= count
        returned = min(self._borrowed, count)
        self._borrowed -= returned
        self._budget.give_back(returned)

    def close(self) -> None:
        """Give everything back."""
        self.give_back(self._held)


class Prefetch(Generic[T]):
    """Runs announced reads in an executor before they are needed. Any thread may take their results.

    Reads are announced sorted by name and offset; they may be taken in another order, or not at all.
    """

    def __init__(self, reads: Iterator[Read], run: Callable[[Read], T], executor: Executor, budget: Budget) -> None:
        self._reads = reads
        self._run = run
        self._executor = executor
        self._share = Share(budget)
        self._lock = threading.Lock()
        self._begun: dict[str, dict[int, tuple[Read, Future[T]]]] = {}
        self._count = 0
        self._next: Read | None = None
        self._last = ("", -1)  # where the reads are that were begun or left out
        self._left_out: set[tuple[str, int]] = set()  # beyond that: no longer needed
        self._left_out_names: set[str] = set()
        with self._lock:
            self._next = next(reads, None)
            self._begin()

    def take(self, name: str, offset: int) -> T | None:
        """The result of the read, or None if the caller has to read it: it was not announced, or has not begun.

        Waits for a read that has begun. Raises what it raised.
        """
        with self._lock:
            found = self._begun.get(name, {}).pop(offset, None)
            if found is None:
                if (name, offset) > self._last:
                    self._left_out.add((name, offset))
                return None
        read, future = found
        # A read that still waits for a thread would make the caller wait for the reads of others.
        result = None if future.cancel() else future.result()
        with self._lock:
            self._forget(read)
            self._begin()
        return result

    def drop(self, name: str) -> None:
        """No more reads of the file will be taken."""
        with self._lock:
            for read, future in self._begun.pop(name, {}).values():
                future.cancel()
                self._forget(read)
            if (name,) >= self._last[:1]:
                self._left_out_names.add(name)
            self._begin()

    def close(self) -> None:
        """Begin no more reads; does not wait for those in flight."""
        with self._lock:
            self._next = None
            for reads in self._begun.values():
                for read, future in reads.values():
                    future.cancel()
                    self._forget(read)
            self._begun.clear()

    def _begin(self) -> None:
        while self._next is not None:
            read = self._next
            if not self._is_left_out(read):
                if self._count >= DEPTH or not self._share.take(read.size):
                    return
                self._count += 1
                future = self._executor.submit(self._run, read)
                self._begun.setdefault(read.name, {})[read.offset] = read, future
            self._last = read.name, read.offset
            self._next = next(self._reads, None)

    def _is_left_out(self, read: Read) -> bool:
        if read.name > self._last[0]:
            self._left_out_names.discard(self._last[0])
        if (read.name, read.offset) in self._left_out:
            self._left_out.remove((read.name, read.offset))
            return True
        return read.name in self._left_out_names

    def _forget(self, read: Read) -> None:
        self._count -= 1
        self._share.give_back(read.size)
