"""Prefetches reads from object storage, so that their latencies overlap.

Each reader (an export, or a round of the index) announces its reads in order. A limited number of them is in flight or
waiting to be taken; their memory comes from a budget that all readers share.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from typing import Generic, TypeAlias, TypeVar

from service.store.files import Read, UserFiles

T = TypeVar("T")
Key: TypeAlias = tuple[int, str]  # a file: the number of its folder, and its name

# Limits for the reads of one reader that are in flight or wait to be taken.
DEPTH = 384  # reads; small files are taken in batches of up to 256, several batches at a time
MOST_BYTES = 12 * 1024 * 1024
LEAST_BYTES = 1024 * 1024  # even if the budget is used up, so that each reader can always make progress


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

    Reads are announced sorted by folder, name and offset; they may be taken in another order, or not at all.
    """

    def __init__(
        self,
        reads: Iterator[tuple[UserFiles, Read]],
        run: Callable[[UserFiles, Read], T],
        executor: Executor,
        budget: Budget,
    ) -> None:
        """`reads` is iterated in the threads that call `take` or `drop`, by one at a time."""
        self._reads = reads
        self._run = run
        self._executor = executor
        self._share = Share(budget)
        self._lock = threading.Lock()
        self._begun: dict[Key, dict[int, tuple[Read, Future[T]]]] = {}  # by file and offset
        self._count = 0  # of the begun ones
        self._next: tuple[UserFiles, Read] | None = None
        self._last: tuple[Key, int] = (-1, ""), -1  # the last read that was begun or left out
        # Announced reads that come after it and are no longer needed.
        self._left_out: set[tuple[Key, int]] = set()
        self._left_out_files: set[Key] = set()
        with self._lock:
            self._next = next(reads, None)
            self._begin()

    def take(self, folder: int, name: str, offset: int) -> T | None:
        """The result of the read, or None if the caller has to read it: it was not announced, or has not begun.

        Waits for a read that has begun. Raises what it raised.
        """
        key = folder, name
        with self._lock:
            found = self._begun.get(key, {}).pop(offset, None)
            if found is None:
                if (key, offset) > self._last:
                    self._left_out.add((key, offset))
                return None
        read, future = found
        try:
            # A read that still waits for a thread would make the caller wait for the reads of others.
            return None if future.cancel() else future.result()
        finally:
            with self._lock:
                self._forget(read)
                self._begin()

    def drop(self, folder: int, name: str) -> None:
        """No more reads of the file will be taken."""
        key = folder, name
        with self._lock:
            for read, future in self._begun.pop(key, {}).values():
                future.cancel()
                self._forget(read)
            if key >= self._last[0]:
                self._left_out_files.add(key)
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
        """Begin as many reads as one reader may have. As for all below, the caller holds the lock."""
        while self._next is not None:
            files, read = self._next
            key = read.folder, read.name
            if not self._is_left_out(key, read.offset):
                if self._count >= DEPTH or not self._share.take(read.size):
                    return
                self._count += 1
                future = self._executor.submit(self._run, files, read)
                self._begun.setdefault(key, {})[read.offset] = read, future
            self._last = key, read.offset
            self._next = next(self._reads, None)

    def _is_left_out(self, key: Key, offset: int) -> bool:
        if key > self._last[0]:
            self._left_out_files.discard(self._last[0])
        if (key, offset) in self._left_out:
            self._left_out.remove((key, offset))
            return True
        return key in self._left_out_files

    def _forget(self, read: Read) -> None:
        self._count -= 1
        self._share.give_back(read.size)
