"""What every store offers: names, errors and duties. The local directory is one; an object store can be another."""

import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple, Protocol

SESSION_FILE = re.compile(r"[A-Za-z0-9._-]+\.jsonl")


class StoreError(Exception):
    """A file cannot be given. The text is one plain sentence without a path; it may reach a client."""


class InvalidName(StoreError):
    """The name is not one that a session file can have."""

    def __init__(self) -> None:
        super().__init__("The name is not that of a session file.")


class NotFound(StoreError):
    """No such file, or no longer."""

    def __init__(self) -> None:
        super().__init__("No such session file.")


class NotRegular(StoreError):
    """A link, directory, FIFO, socket or device has the name."""

    def __init__(self) -> None:
        super().__init__("Not a regular file.")


class Unreadable(StoreError):
    """The file is there, but the service may not read it or the disk fails. `name` is the file's, for the log."""

    def __init__(self, name: str | None = None) -> None:
        super().__init__("The file cannot be read.")
        self.name = name


class Truncated(StoreError):
    """The file was cut short while it was read, so that what was announced cannot be sent. `name` is the file's."""

    def __init__(self, name: str | None = None) -> None:
        super().__init__("The file was cut short while it was read.")
        self.name = name


class StoreUnavailable(StoreError):
    """The whole store does not answer; nothing can be said of any file."""

    def __init__(self) -> None:
        super().__init__("The session store does not answer.")


class SessionFile(NamedTuple):
    """A regular file as a listing saw it: `size` in bytes, `mtime_ns` since the epoch."""

    name: str
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Skipped:
    """A `*.jsonl` that is not given, and the sentence that says why. `name` is printable."""

    name: str
    reason: str


@dataclass
class Listing:
    """A user's session files, the size in bytes by the name and in the names' order, and what else looked like one.

    Text and numbers alone: an object a file would make the garbage collector stop the whole process for them all.
    """

    sizes: dict[str, int] = field(default_factory=dict)
    skipped: list[Skipped] = field(default_factory=list)

    @cached_property
    def total_bytes(self) -> int:
        """Of all files."""
        return sum(self.sizes.values())


class OpenFile(Protocol):
    """A session file that passed the door. Whoever asked for it closes it. Size and time are those at opening."""

    name: str
    size: int
    mtime_ns: int
    inode: int

    def fileno(self) -> int:
        """The descriptor, for readers that want one; it stays owned by this object."""

    def read_at(self, offset: int, count: int) -> bytes:
        """Exactly `count` bytes from `offset`, from any thread. Raises Truncated or Unreadable."""

    def close(self) -> None:
        """Give the descriptor back; may be called twice."""


class UserFiles(Protocol):
    """The session files of one user. Whoever asked for it closes it."""

    @property
    def exists(self) -> bool:
        """Whether any of the user's directories exists."""

    def list(self) -> Listing:
        """Every session file, each looked at."""

    def names(self) -> frozenset[str]:
        """The names of the regular session files, without looking at each."""

    def look(self, name: str) -> SessionFile | None:
        """Size and time of one session file, or None when there is none of that name."""

    def open(self, name: str) -> OpenFile:
        """The one door. Raises InvalidName, NotFound, NotRegular, Unreadable or StoreUnavailable."""

    def close(self) -> None:
        """Give the directories back; may be called twice. Files that were opened stay open."""


class SessionStore(Protocol):
    """All users' session files."""

    def check(self) -> None:
        """Raises StoreUnavailable unless the store answers."""

    def user_files(self, directories: tuple[str, ...]) -> UserFiles:
        """The files in these directories of the store, the first taking precedence. Raises StoreUnavailable."""
