"""The plan of an archive: which members it will have, decided once, before its first byte.

A plan is data: the same one serves the whole archive, its ranges and HEAD, and can be kept after the request that made
it. Two archives of the same plan are the same bytes, so its digest is a strong entity tag (RFC 9110 section 8.8.3).
"""

import hashlib
import json
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate
from struct import Struct
from typing import NamedTuple

from service.archive.codec import CODECS, Codec, Compression
from service.archive.framing import Framing
from service.archive.reports import Report
from service.store import Listing, Skipped

SKIPPED = "_skipped.json"
VERSION = Struct("=qq")  # size in bytes, modification time in nanoseconds
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
    """One user's files. `path` is where they are in the archive: empty, or a name with a slash at its end."""

    path: str
    listing: Listing


@dataclass(frozen=True)
class Plan:
    """The files of `folders` in order are the rows of the plan, counted from 0.

    `dialect` is that of the codec; see dialect.py. `salt` gives the same files another tag.
    """

    folders: Sequence[Folder]
    compression: Compression
    dialect: bytes
    salt: int = 0

    @cached_property
    def tag(self) -> str:
        """The entity tag, without quotes. Takes some milliseconds with 10,000 files."""
        digest = hashlib.sha256(repr((self.dialect, self.salt)).encode())
        for path, listing in ((folder.path, folder.listing) for folder in self.folders):
            skipped = [(item.name, item.reason) for item in listing.skipped]
            identities = b"".join(listing.identities)
            digest.update(repr((path, len(listing.names), len(identities), skipped)).encode())
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
        """Of all session files, uncompressed, as listed."""
        return sum(folder.listing.total_bytes for folder in self.folders)

    @cached_property
    def skipped(self) -> list[Skipped]:
        """What the listings skipped, by the names that the files would have in the archive."""
        return [
            Skipped(folder.path + item.name, item.reason) for folder in self.folders for item in folder.listing.skipped
        ]

    @property
    def reports(self) -> list[Report]:
        """The members behind the session files."""
        return [skipped_report(self.skipped)] if self.skipped else []

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

    def keys(self) -> Iterator[bytes]:
        """Under which the figures of all rows are remembered; see `key_of`."""
        pack, dialect = VERSION.pack, self.dialect
        for folder in self.folders:
            listing = folder.listing
            versions = map(pack, listing.sizes, listing.mtimes_ns)
            yield from (
                identity + version + dialect for identity, version in zip(listing.identities, versions, strict=True)
            )

    def names(self) -> Iterator[str]:
        """Of all rows, as they are in the archive."""
        for folder in self.folders:
            path = folder.path
            yield from (path + name for name in folder.listing.names) if path else folder.listing.names

    def continues_in(self, current: "Plan") -> bool:
        """Whether all of its bytes can still be had: its files are there, and have at most grown."""
        folders = {folder.path: folder.listing for folder in current.folders}
        return all(
            folder.path in folders and _continues(folder.listing, folders[folder.path]) for folder in self.folders
        )

    def salted(self) -> "Plan":
        """The same plan with another tag."""
        return replace(self, salt=self.salt + 1)

    @cached_property
    def _ends(self) -> list[int]:
        """Behind the last row of each folder."""
        return list(accumulate(len(folder.listing.names) for folder in self.folders))


def _continues(before: Listing, now: Listing) -> bool:
    rows = {name: row for row, name in enumerate(now.names)}
    for name, size, identity in zip(before.names, before.sizes, before.identities, strict=True):
        row = rows.get(name)
        if row is None or now.identities[row] != identity or now.sizes[row] < size:
            return False
    return True


def key_of(identity: bytes, size: int, mtime_ns: int, dialect: bytes) -> bytes:
    """Under which the figures of a file's version are remembered."""
    return identity + VERSION.pack(size, mtime_ns) + dialect


def skipped_report(skipped: Iterable[Skipped]) -> Report:
    """The member that names the files which were skipped."""
    rows = [{"name": item.name, "reason": item.reason} for item in skipped]
    return Report(SKIPPED, json.dumps(rows, indent=1, ensure_ascii=False).encode() + b"\n")
