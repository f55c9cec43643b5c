"""The plan of an archive: which members it will have, decided once, before its first byte.

A plan is data: the same one serves the whole archive, its ranges and HEAD, and can be kept after the request that made
it. Two archives of the same plan are the same bytes, so its digest is a strong entity tag (RFC 9110 section 8.8.3).
"""

import hashlib
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate, chain
from struct import Struct
from typing import NamedTuple

from service.archive.codec import BLOCK, CODECS, Codec, Compression
from service.archive.figures import has_sha256
from service.archive.framing import Framing
from service.store import Listing, Read, Skipped

VERSION = Struct("=qq")  # size in bytes, modification time in nanoseconds
SETTLED = 10  # seconds without a change after which a file is taken to be complete
TAG = 32  # hexadecimal digits: 128 bits of SHA-256


class Listed(NamedTuple):
    """One session file of a plan, as it was listed."""

    row: int
    folder: int
    name: str
    size: int
    mtime_ns: int
    identity: bytes


@dataclass(frozen=True, slots=True)
class Folder:
    """One user's files. `path` is their folder in the archive: empty, or a name with a trailing slash; plain ASCII.
    The other fields are for the manifest."""

    path: str
    listing: Listing
    user_id: str = ""
    email: str = ""


@dataclass(frozen=True, slots=True)
class Origin:
    """The request, as the manifest describes it."""

    selection: Mapping[str, object]
    unassigned: Sequence[Mapping[str, object]] = ()


@dataclass(frozen=True)
class Plan:
    """The rows of the plan are the files of `folders`, in order, counted from 0.

    `dialect` is that of the codec; see dialect.py. With an `origin`, the archive has a manifest. `recent` has the rows
    of files that were changed moments before they were listed. `salt` gives a plan of the same files another tag.
    """

    folders: Sequence[Folder]
    compression: Compression
    dialect: bytes
    origin: Origin | None = None
    recent: frozenset[int] = frozenset()
    salt: int = 0

    @cached_property
    def tag(self) -> str:
        """The entity tag, without quotes. Takes some milliseconds with 10,000 files."""
        digest = hashlib.sha256(repr((self.dialect, self.salt, self.origin, sorted(self.recent))).encode())
        for folder in self.folders:
            listing = folder.listing
            skipped = [(item.name, item.reason) for item in listing.skipped]
            identities = b"".join(listing.identities)
            digest.update(
                repr((folder.path, folder.user_id, folder.email, len(listing.names), len(identities), skipped)).encode()
            )
            digest.update("/".join(listing.names).encode())
            digest.update(listing.sizes.tobytes() + listing.mtimes_ns.tobytes() + identities)
        return digest.hexdigest()[:TAG]

    @property
    def codec(self) -> Codec:
        return CODECS[self.compression]

    @property
    def framing(self) -> Framing:
        return Framing(self.compression is Compression.STORE)

    @cached_property
    def file_count(self) -> int:
        """Session files, as listed."""
        return sum(len(folder.listing.names) for folder in self.folders)

    @cached_property
    def total_bytes(self) -> int:
        """The uncompressed bytes of all session files, as listed."""
        return sum(folder.listing.total_bytes for folder in self.folders)

    @cached_property
    def skipped(self) -> list[Skipped]:
        """The files that were skipped when listing, under the names that they would have in the archive."""
        return [
            Skipped(folder.path + item.name, item.reason) for folder in self.folders for item in folder.listing.skipped
        ]

    @cached_property
    def sizes(self) -> Sequence[int]:
        """The size of each row, in bytes."""
        return _joined([folder.listing.sizes for folder in self.folders])

    @cached_property
    def mtimes_ns(self) -> Sequence[int]:
        """The modification time of each row, in nanoseconds since the epoch."""
        return _joined([folder.listing.mtimes_ns for folder in self.folders])

    def is_known(self, figures: bytes | None) -> bool:
        """Whether the figures of a row suffice for this archive: a manifest needs a SHA-256 too."""
        return figures is not None and (self.origin is None or has_sha256(figures))

    def rows(self, wanted: Iterable[int]) -> Iterator[Listed]:
        """The files of these rows, which ascend."""
        ends = self._ends
        folder = 0
        for row in wanted:
            if row >= ends[folder]:
                folder = bisect_right(ends, row, folder)
            listing = self.folders[folder].listing
            at = row - ends[folder] + len(listing.names)
            yield Listed(
                row, folder, listing.names[at], listing.sizes[at], listing.mtimes_ns[at], listing.identities[at]
            )

    def reads(self, rows: Iterable[int], begin: int) -> Iterator[Read]:
        """The reads that the blocks of these rows make. The first row is read from byte `begin`."""
        for _, folder, name, size, _, identity in self.rows(rows):
            for offset in range(begin, max(size, 1), BLOCK):
                yield Read(folder, name, offset, min(BLOCK, size - offset), identity)
            begin = 0

    def keys(self) -> Iterator[bytes]:
        """The key of the figures of each row; see `key_of`."""
        return chain.from_iterable(map(self.keys_of, self.folders))

    def keys_of(self, folder: Folder) -> list[bytes]:
        """The keys of one folder's rows."""
        listing, dialect = folder.listing, self.dialect
        versions = map(VERSION.pack, listing.sizes, listing.mtimes_ns)
        return [identity + version + dialect for identity, version in zip(listing.identities, versions, strict=True)]

    def rows_of(self, folder: int) -> range:
        """The rows of one folder, which is given by its index."""
        end = self._ends[folder]
        return range(end - len(self.folders[folder].listing.names), end)

    def names(self) -> Iterator[str]:
        """The name in the archive of each row."""
        for folder in self.folders:
            path = folder.path
            yield from [path + name for name in folder.listing.names] if path else folder.listing.names

    def continues_in(self, current: "Plan") -> bool:
        """Whether all of its bytes can still be read: its files exist in `current`, and have only grown."""
        folders = {folder.path: folder.listing for folder in current.folders}
        return all(
            folder.path in folders and _continues(folder.listing, folders[folder.path]) for folder in self.folders
        )

    def salted(self) -> "Plan":
        """The same plan with another tag."""
        return replace(self, salt=self.salt + 1)

    @cached_property
    def _ends(self) -> list[int]:
        """The end of each folder: the index after its last row."""
        return list(accumulate(len(folder.listing.names) for folder in self.folders))


def _continues(before: Listing, now: Listing) -> bool:
    rows = {name: row for row, name in enumerate(now.names)}
    for name, size, identity in zip(before.names, before.sizes, before.identities, strict=True):
        row = rows.get(name)
        if row is None or now.identities[row] != identity or now.sizes[row] < size:
            return False
    return True


def is_recent(mtime_ns: int, now_ns: int) -> bool:
    """Whether a file with this modification time may still be growing."""
    return abs(now_ns - mtime_ns) <= SETTLED * 10**9


def key_of(identity: bytes, size: int, mtime_ns: int, dialect: bytes) -> bytes:
    """The key of the figures of one version of a file."""
    return identity + VERSION.pack(size, mtime_ns) + dialect


def _joined(columns: "Sequence[array[int]]") -> "array[int]":
    if len(columns) == 1:
        return columns[0]
    whole = array("q")
    for column in columns:
        whole.extend(column)
    return whole
