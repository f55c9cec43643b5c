"""The interface of a store: names, errors and protocols."""

import os
import re
from array import array
from collections.abc import AsyncGenerator, Container, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import compress
from typing import NamedTuple, Protocol

SESSION_FILE = re.compile(r"[A-Za-z0-9._-]+\.jsonl")


class StoreError(Exception):
    """A file cannot be read. The text is one plain sentence without a path, as clients may see it."""


class StoreUnusable(Exception):
    """The store cannot be opened as configured; the text says what to do."""


class InvalidName(StoreError):
    """No session file can have this name."""

    def __init__(self) -> None:
        super().__init__("The name is not that of a session file.")


class NotFound(StoreError):
    """There is no such file, or it was deleted."""

    def __init__(self) -> None:
        super().__init__("No such session file.")


class NotRegular(StoreError):
    """The name belongs to a link, directory, FIFO, socket or device."""

    def __init__(self) -> None:
        super().__init__("Not a regular file.")


class Unreadable(StoreError):
    """The file exists, but the service may not read it, or the disk fails. `name` is the file's, for the log."""

    def __init__(self, name: str | None = None) -> None:
        super().__init__("The file cannot be read.")
        self.name = name


class Truncated(StoreError):
    """The file was cut short while it was read: it cannot be sent as announced. `name` is the file's, for the log."""

    def __init__(self, name: str | None = None) -> None:
        super().__init__("The file was cut short while it was read.")
        self.name = name


class Replaced(StoreError):
    """Another version took the file's place while it was read. `name` is the file's, for the log."""

    def __init__(self, name: str | None = None) -> None:
        super().__init__("The file was replaced while it was read.")
        self.name = name


class StoreUnavailable(StoreError):
    """The whole store does not answer; whether a file exists is unknown."""

    def __init__(self) -> None:
        super().__init__("The session store does not answer.")


class SessionFile(NamedTuple):
    """The stat of a regular file: `size` in bytes, `mtime_ns` since the epoch."""

    name: str
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Skipped:
    """A `*.jsonl` file that an export leaves out. `reason` is a sentence; `name` is printable."""

    name: str
    reason: str


def printable(name: str) -> str:
    """A file name as printable text; bytes that are not UTF-8 and unprintable characters become `\\xNN`."""
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def _numbers() -> "array[int]":
    return array("q")


@dataclass(slots=True)
class Listing:
    """A user's session files as parallel columns, sorted by name, and the files that were skipped.

    Sizes are in bytes, times in nanoseconds since the epoch; see `OpenFile` for identities. A column holds only
    text, bytes and numbers: the garbage collector would stop the process to traverse one object for each file.
    """

    names: list[str] = field(default_factory=list)
    sizes: "array[int]" = field(default_factory=_numbers)
    mtimes_ns: "array[int]" = field(default_factory=_numbers)
    identities: list[bytes] = field(default_factory=list)
    skipped: Sequence[Skipped] = ()

    @property
    def total_bytes(self) -> int:
        """The sum of all sizes."""
        return sum(self.sizes)

    def sort(self) -> None:
        """Sort all columns by name, after rows were appended."""
        order = sorted(range(len(self.names)), key=self.names.__getitem__)
        self.names = [self.names[row] for row in order]
        self.sizes = array("q", [self.sizes[row] for row in order])
        self.mtimes_ns = array("q", [self.mtimes_ns[row] for row in order])
        self.identities = [self.identities[row] for row in order]

    def fit(self) -> None:
        """Free the room that columns keep for more rows: with 10,000 users of 10 files each, 2 MB."""
        self.names, self.identities = self.names[:], self.identities[:]
        self.sizes, self.mtimes_ns = self.sizes[:], self.mtimes_ns[:]

    def narrowed(self, keep: Container[str]) -> "Listing":
        """The listing of the files whose names are in `keep`; that applies to skipped files too."""
        kept = [name in keep for name in self.names]
        return Listing(
            list(compress(self.names, kept)),
            array("q", compress(self.sizes, kept)),
            array("q", compress(self.mtimes_ns, kept)),
            list(compress(self.identities, kept)),
            tuple(file for file in self.skipped if file.name in keep),
        )


class Read(NamedTuple):
    """An announced read: `size` bytes from `offset` of the version with this identity. `folder` is the number of its
    user among those whose files one reader reads."""

    folder: int
    name: str
    offset: int
    size: int
    identity: bytes


class Prefetched(Protocol):
    """The announced reads of one reader."""

    def take(self, folder: int, name: str, offset: int) -> object | None:
        """The result of a read, or None if the caller has to read it. Raises what the read raised."""

    def drop(self, folder: int, name: str) -> None:
        """No more reads of the file will be taken."""

    def close(self) -> None:
        """Begin no more reads; does not wait for those in flight."""


class Announced(NamedTuple):
    """A reader's announced reads, and the number among them of the user whose file is opened."""

    reads: Prefetched
    folder: int


class OpenFile(Protocol):
    """An open session file. The caller closes it. Size and modification time are those at opening.

    `identity` is opaque. A file that only grows keeps its identity; a file that replaces another has a different one.
    On a disk it is the inode, which a new file can have from one that was removed a moment ago.
    """

    name: str
    size: int
    mtime_ns: int
    identity: bytes

    def read_at(self, offset: int, count: int) -> bytes:
        """Exactly `count` bytes from `offset`. Blocks; any thread may call it.

        Raises Truncated, Replaced or Unreadable.
        """

    def chunks(self, wanted: range) -> AsyncGenerator[bytes | memoryview, None]:
        """The wanted bytes, for a download on the event loop. Close it before the file.

        Raises Truncated, Replaced or Unreadable.
        """

    def has_changed(self) -> bool:
        """Whether the file was written to since it was opened. Blocks."""

    def close(self) -> None:
        """Release what is held open; may be called twice."""


class UserFiles(Protocol):
    """The session files of one user. The caller closes it."""

    @property
    def exists(self) -> bool:
        """Whether any of the user's directories exists."""

    def list(self) -> Listing:
        """Every session file, with a stat of each."""

    def names(self) -> frozenset[str]:
        """The names of the regular session files, without a stat of each."""

    def stat_file(self, name: str) -> SessionFile | None:
        """Size and modification time of one session file, or None if there is none of that name."""

    def prefetch(self, reads: "Iterator[tuple[UserFiles, Read]]") -> "Prefetched | None":
        """Announce all reads of one reader, each with the files of its user, sorted by folder, name and offset.

        A store with latency begins them before they are needed. The caller passes the result to `open`, and closes it
        before the files. Other stores return None, and do not consume `reads`.
        """

    def open(self, name: str, announced: "Announced | None" = None) -> OpenFile:
        """Open one session file. Raises InvalidName, NotFound, NotRegular, Unreadable or StoreUnavailable."""

    def close(self) -> None:
        """Close the directories; may be called twice. Open files stay open."""


class SessionStore(Protocol):
    """All users' session files."""

    def check(self) -> None:
        """Raises StoreUnavailable unless the store answers."""

    def user_files(self, directories: tuple[str, ...]) -> UserFiles:
        """The files in these directories of the store, the first taking precedence. Raises StoreUnavailable."""

    def list_all(self, users: Sequence[tuple[str, ...]]) -> Generator[Listing, None, None]:
        """The files of each user; a user is given as a tuple of directories. Raises StoreUnavailable.

        A store with latency lists many at once. Other stores list each one when it is taken. Close it unless all are
        taken.
        """

    def directories(self) -> list[str]:
        """The names of all directories, sorted, whether or not a user has them. Raises StoreUnavailable."""

    def close(self) -> None:
        """End its threads and connections, after the last use; may be called twice."""

    def state(self, directory: str) -> object | None:
        """A value that equals an earlier one only if nothing in the directory has changed since; None if unknown."""
