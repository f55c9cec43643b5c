"""A bounded cache of the figures of recently made members, in memory.

Correctness never depends on it: missing figures are measured again, and wrong ones break the transfer.

New figures are appended to a log, which is indexed when figures are next looked up. Otherwise an export of many files
would create small objects that stay, among those of its central directory, and the memory of the latter could not be
used for anything else after the export.
"""

import threading
from collections.abc import Iterable, Mapping
from struct import Struct

from cachetools import LRUCache

from service.archive.figures import Tally

LENGTHS = Struct("<HI")  # of a key and of its figures, in the log
MOST = 250_000  # members in a generation: some 50 MB
MOST_WRONG = 10_000  # keys whose figures were wrong
MOST_UNFINISHED = 100  # large members within which an export or a measurement broke off: 0.8 MB for each 100 GB


class Remembered:
    """Figures by a member's key: the version of its file, and the dialect of its codec.

    Two generations approximate least-recently-used order. When the young generation is full, it becomes the old one;
    an old entry that is used becomes young again. So the last `most` entries that were used are kept. Any thread may
    call it; the private methods need the lock.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._young: dict[bytes, bytes] = {}
        self._old: dict[bytes, bytes] = {}
        self._wrong: LRUCache[bytes, bool] = LRUCache(MOST_WRONG)
        self._unfinished: LRUCache[bytes, Tally] = LRUCache(MOST_UNFINISHED)
        self._log = bytearray()
        self._logged = 0  # entries in the log
        self._lock = threading.Lock()

    def __len__(self) -> int:
        with self._lock:
            self._index_log()
            return len(self._young) + len(self._old)

    def put(self, key: bytes, figures: bytes) -> None:
        """Add figures. Figures with a SHA-256, which are longer, are not replaced by the same without."""
        with self._lock:
            self._log += LENGTHS.pack(len(key), len(figures)) + key + figures
            self._logged += 1
            if self._logged >= self._most:
                self._index_log()

    def get(self, key: bytes) -> bytes | None:
        return self.all_of([key])[0]

    def all_of(self, keys: Iterable[bytes]) -> list[bytes | None]:
        """The figures of each key."""
        with self._lock:
            self._index_log()
            return list(map(self._find if self._old else self._young.get, keys))

    def put_unfinished(self, key: bytes, tally: Tally) -> None:
        """Keep the figures of the first blocks of a member within which an export or a measurement broke off."""
        with self._lock:
            self._unfinished[key] = tally

    def take_unfinished(self, key: bytes, *, hashed: bool) -> Tally | None:
        """Remove and return these figures, for the caller to continue; with `hashed`, only if they have a SHA-256."""
        with self._lock:
            tally = self._unfinished.pop(key, None)
        return tally if tally and (tally.hashed or not hashed) else None

    def forget(self, key: bytes) -> None:
        """Drop wrong figures. Saved figures of the key are ignored too, until the member is made again."""
        with self._lock:
            self._index_log()
            self._young.pop(key, None)
            self._old.pop(key, None)
            self._wrong[key] = True

    def add_saved(self, saved: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
        """Add saved figures, except those of keys that were wrong; returns the figures that were added."""
        with self._lock:
            self._index_log()
            believed = {key: figures for key, figures in saved.items() if key not in self._wrong}
            for key, figures in believed.items():
                self._add(key, figures)
        return believed

    def _find(self, key: bytes) -> bytes | None:
        figures = self._young.get(key)
        if figures is None and (figures := self._old.get(key)) is not None:
            self._add(key, figures)
        return figures

    def _index_log(self) -> None:
        log, self._log, self._logged = self._log, bytearray(), 0
        at = 0
        with memoryview(log) as view:
            while at < len(log):
                key_length, length = LENGTHS.unpack_from(view, at)
                middle = at + LENGTHS.size + key_length
                end = middle + length
                self._add(bytes(view[at + LENGTHS.size : middle]), bytes(view[middle:end]))
                at = end

    def _add(self, key: bytes, figures: bytes) -> None:
        if len(self._young.get(key, b"")) > len(figures):
            return
        self._wrong.pop(key, None)
        if len(self._young) >= self._most:
            self._old, self._young = self._young, {}
        self._young[key] = figures
