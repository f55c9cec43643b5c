"""A session file in a bucket: one version of an object, read with range requests that require its entity tag."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import NamedTuple

from service.pools import Pool
from service.store.bucket import Bucket, Stat
from service.store.files import Announced, StoreError
from service.store.prefetch import Budget, Share

FIRST = 1024 * 1024  # bytes that are read on opening: small files need no other request
CHUNK = 1024 * 1024  # bytes of a request of a single download; as many are in flight as one reader may hold
TAIL = 32 * 1024  # bytes: deflate's window, which is read again before the next block
TAILS = 8


class Piece(NamedTuple):
    """Bytes of the version with this identity."""

    identity: bytes
    data: memoryview


@dataclass(frozen=True, slots=True)
class Access:
    """Shared by all objects of a bucket: `pool` runs the requests, `budget` bounds the bytes that are prefetched."""

    bucket: Bucket
    pool: Pool
    budget: Budget


class ObjectFile:
    """See `OpenFile`. Its version does not change: if the object is replaced, reading raises Replaced.

    No response stays open between two reads, so a client may take hours for a download.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what one GET gives
        self, access: Access, key: str, name: str, stat: Stat, identity: bytes, first: memoryview
    ) -> None:
        self._access = access
        self._key = key
        self._etag = stat.etag
        self._first = first
        self._tails: dict[int, bytes] = {}  # the ends of the last reads, by the offset at which each ends
        self.announced: Announced | None = None
        self.name = name
        self.size = stat.size
        self.mtime_ns = stat.mtime_ns
        self.identity = identity

    def read_at(self, offset: int, count: int) -> bytes:
        end = offset + count
        tail = self._tails.get(end)
        if tail is not None and count <= len(tail):
            return tail[len(tail) - count :]
        data = self._read(offset, count).tobytes()
        if end > len(self._first):
            self._keep_tail(end, data)
        return data

    async def chunks(self, wanted: range) -> AsyncGenerator[memoryview, None]:
        offsets = iter(range(wanted.start, wanted.stop, CHUNK))
        reads: deque[asyncio.Future[memoryview]] = deque()
        share = Share(self._access.budget)
        try:
            offset = next(offsets, None)
            while offset is not None or reads:
                while offset is not None and share.take(CHUNK):
                    reads.append(self._access.pool.run(self._read, offset, min(CHUNK, wanted.stop - offset)))
                    offset = next(offsets, None)
                yield await reads.popleft()
                share.give_back(CHUNK)
        finally:
            for read in reads:
                read.cancel()
            share.close()

    def has_changed(self) -> bool:
        return False  # a version of an object is never written to

    def close(self) -> None:
        self._first = memoryview(b"")
        self._tails.clear()
        if self.announced:
            self.announced.reads.drop(self.announced.folder, self.name)

    def _read(self, offset: int, count: int) -> memoryview:
        """The bytes where the response has them, without a copy."""
        if offset + count <= len(self._first):
            return self._first[offset : offset + count]
        found = self._prefetched(offset)
        if found is None or len(found) != count:
            found = self._access.bucket.get_range(self._key, offset, count, self._etag, self.name)
        return found

    def _prefetched(self, offset: int) -> memoryview | None:
        """The bytes of an announced read, unless it failed or was of another version."""
        if self.announced is None:
            return None
        try:
            piece = self.announced.reads.take(self.announced.folder, self.name, offset)
        except StoreError:
            return None
        return piece.data if isinstance(piece, Piece) and piece.identity == self.identity else None

    def _keep_tail(self, end: int, data: bytes) -> None:
        self._tails[end] = data[-TAIL:]
        if len(self._tails) > TAILS:
            self._tails.pop(next(iter(self._tails)), None)
