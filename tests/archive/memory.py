"""Session files in memory, for archives: they keep a record of what is done with them."""

from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from service.archive import Archive, Compression, Folder, Plan, Remembered, Source
from service.pools import Pool
from service.store import Announced, Listing, NotFound, OpenFile, Read, Truncated, UserFiles

MTIME = 1_760_000_000_000_000_000


@dataclass(eq=False)
class MemoryFile:
    """An open file that keeps a record of what is done with it."""

    name: str
    data: bytes
    record: list[str]
    mtime_ns: int = MTIME
    claimed: int | None = None
    closed: bool = False
    changed: bool = False
    replaced: bytes = b""

    @property
    def identity(self) -> bytes:
        return self.replaced or self.name.encode()

    @property
    def size(self) -> int:
        return len(self.data) if self.claimed is None else self.claimed

    def read_at(self, offset: int, count: int) -> bytes:
        assert not self.closed
        self.record.append(f"read {self.name} {offset}")
        data = self.data[offset : offset + count]
        if len(data) < count:
            raise Truncated
        return data

    def has_changed(self) -> bool:
        return self.changed

    def close(self) -> None:
        self.record.append(f"close {self.name}")
        self.closed = True


class EndlessFile(MemoryFile):
    """The same block again and again."""

    def read_at(self, offset: int, count: int) -> bytes:
        self.record.append(f"read {offset}")
        return self.data[:count]


class GrowingFile(MemoryFile):
    """One that is appended to whenever it is read."""

    def read_at(self, offset: int, count: int) -> bytes:
        found = super().read_at(offset, count)
        self.data += b"more"
        return found


def listing_of(sizes: dict[str, int]) -> Listing:
    """Files of these sizes, in sorted order."""
    return Listing(
        list(sizes), array("q", sizes.values()), array("q", [MTIME] * len(sizes)), [name.encode() for name in sizes]
    )


@dataclass
class MemoryFiles:
    """A user's files. `identities` are those of files that replaced another."""

    contents: dict[str, bytes]
    record: list[str] = field(default_factory=list)
    opened: list[MemoryFile] = field(default_factory=list)
    identities: dict[str, bytes] = field(default_factory=dict)

    def open(self, name: str) -> OpenFile:
        if name not in self.contents:
            raise NotFound
        file = MemoryFile(name, self.contents[name], self.record, replaced=self.identities.get(name, b""))
        self.opened.append(file)
        return file  # type: ignore[return-value]

    def close(self) -> None:
        self.record.append("close directories")

    def listing(self) -> Listing:
        return listing_of({name: len(data) for name, data in sorted(self.contents.items())})

    def archive(self, pool: Pool, compression: Compression = Compression.FAST) -> Archive:
        return archive_of(self.listing(), self.open, pool, compression)


class OnlyOpen:
    """A user's files, of which only `open` is used."""

    def __init__(self, open_file: Callable[[str], OpenFile]) -> None:
        self._open_file = open_file

    def open(self, name: str, announced: Announced | None = None) -> OpenFile:
        return self._open_file(name)

    def prefetch(self, reads: Iterator[tuple[UserFiles, Read]]) -> None:
        """Nothing is read in advance, as in a local directory."""

    def close(self) -> None:
        """Nothing is open."""


def source_of(open_file: Callable[[str], OpenFile]) -> Source:
    return Source(lambda: OnlyOpen(open_file))  # type: ignore[arg-type, return-value]


def plan_of(listing: Listing, compression: Compression = Compression.FAST) -> Plan:
    return Plan((Folder("", listing),), compression, dialect=b"dialect.")


def archive_of(
    listing: Listing,
    open_file: Callable[[str], OpenFile],
    pool: Pool,
    compression: Compression = Compression.FAST,
    remembered: Remembered | None = None,
) -> Archive:
    """One user's files, without a folder."""
    return Archive(plan_of(listing, compression), {"": source_of(open_file)}, pool, remembered or Remembered())
