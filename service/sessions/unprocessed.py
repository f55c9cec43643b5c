"""The names of a user's files that the catalog does not know."""

import threading

from cachetools import LRUCache

MOST_NAMES = 500_000  # cached of all users together


class Unprocessed:
    """Caches the names: to compare 100,000 takes as long as the rest of a list's request. Any thread may use it.

    The caller caches both sets too, so as long as they are the same objects, the result is the same.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cache: LRUCache[str, tuple[frozenset[str], frozenset[str], frozenset[str]]] = LRUCache(
            MOST_NAMES, lambda cached: sum(map(len, cached)) + 1
        )

    def names(self, user_id: str, files: frozenset[str], processed: frozenset[str]) -> frozenset[str]:
        """The names in `files` that are not in `processed`."""
        with self._lock:
            cached = self._cache.get(user_id)
        if cached is not None and cached[0] is files and cached[1] is processed:
            return cached[2]
        names = files - processed
        if len(files) + len(processed) + len(names) < MOST_NAMES:
            with self._lock:
                self._cache[user_id] = (files, processed, names)
        return names
