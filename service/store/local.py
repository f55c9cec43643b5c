"""Session files in a local directory tree, `<root>/<directory>/<session>.jsonl`.

Rules this module keeps, each against a race or a link that leads out:

- Directories and files are opened relative to an open descriptor, never by a path that was checked before.
- No link is followed for a file. A directory may be a link only to something under the root, and is then opened
  one component at a time, so that nothing can be swapped in between.
- What was opened is looked at, and what was looked at is what is sent.
- Nothing but a regular file is opened for reading, and opening never blocks: not on a FIFO either.
"""

import errno
import os
import stat
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cachetools import LRUCache

from service.pools import Pool
from service.store.files import (
    SESSION_FILE,
    InvalidName,
    Listing,
    NotFound,
    NotRegular,
    SessionFile,
    Skipped,
    StoreError,
    StoreUnavailable,
)
from service.store.local_file import IDENTITY, LocalFile, open_regular, store_error

OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Names:
    """The names of the session files in directories, kept as long as a directory has not changed.

    A file that comes, goes or is replaced changes its directory's times, the change time even where the modification
    time is set back. Both tick coarsely, so that a directory which changed a moment ago may change again unseen.
    """

    MOST = 500_000  # names that are kept, of all directories together: some 50 MB
    SETTLED = 2  # seconds since the last change

    def __init__(self) -> None:
        self._kept: LRUCache[tuple[int, int], tuple[tuple[int, int], frozenset[str]]] = LRUCache(
            self.MOST, lambda kept: len(kept[1]) + 1
        )
        self._lock = threading.Lock()

    def of(self, directory: int) -> frozenset[str]:
        """Raises StoreUnavailable."""
        with _answering():
            status = os.fstat(directory)
        identity, state = (status.st_dev, status.st_ino), (status.st_mtime_ns, status.st_ctime_ns)
        with self._lock:
            kept = self._kept.get(identity)
        if kept is not None and kept[0] == state:
            return kept[1]
        settled = time.time() - max(state) / 1e9 > self.SETTLED
        names = self._read(directory)
        if settled and len(names) < self.MOST:
            with self._lock:
                self._kept[identity] = (state, names)
        return names

    def _read(self, directory: int) -> frozenset[str]:
        with _answering(), os.scandir(directory) as entries:
            return frozenset(
                entry.name
                for entry in entries
                if SESSION_FILE.fullmatch(entry.name) and entry.is_file(follow_symlinks=False)
            )


class LocalUserFiles:
    """One user's directories, held open; see `UserFiles`."""

    def __init__(self, directories: Sequence[int], names: Names, pool: Pool) -> None:
        self._directories = list(directories)
        self._names = names
        self._pool = pool

    @property
    def exists(self) -> bool:
        return bool(self._directories)

    def names(self) -> frozenset[str]:
        # Not `frozenset().union(...)`: with one directory that would copy what is kept.
        first, *others = [self._names.of(directory) for directory in self._directories] or [frozenset[str]()]
        return first.union(*others) if others else first

    def list(self) -> Listing:
        listing = Listing()
        rejected: dict[str, StoreError] = {}
        for directory in self._directories:
            with _answering():
                names = os.listdir(directory)
            _stat_all(sorted(_others(names, listing.names)), directory, listing, rejected)
        if len(self._directories) > 1:
            listing.sort()
        left_out = rejected.keys() - set(listing.names)
        listing.skipped = [Skipped(_printable(name), str(rejected[name])) for name in sorted(left_out)]
        return listing

    def stat_file(self, name: str) -> SessionFile | None:
        for directory in self._directories:
            if found := _stat_file(name, directory):
                return found
        return None

    def open(self, name: str) -> LocalFile:
        if not SESSION_FILE.fullmatch(name):
            raise InvalidName
        failure: StoreError = NotFound()
        for directory in self._directories:
            try:
                return open_regular(name, directory, self._pool.executor)
            except NotFound:
                continue
            except NotRegular as error:  # a later layout may hold the session under this name
                failure = error
        raise failure

    def close(self) -> None:
        while self._directories:
            os.close(self._directories.pop())


class LocalStore:
    """The tree under `root`; see `SessionStore`."""

    def __init__(self, root: Path, pool: Pool) -> None:
        """`pool` is the one for file work; single downloads read in it."""
        self._root = root
        self._pool = pool
        self._names = Names()

    def check(self) -> None:
        root = self._open_root()
        try:
            with _answering(), os.scandir(root) as entries:
                next(entries, None)
        finally:
            os.close(root)

    def user_files(self, directories: tuple[str, ...]) -> LocalUserFiles:
        root = self._open_root()
        opened: list[int] = []
        try:
            for name in directories:
                directory = self._open_directory(name, root)
                if directory is not None:
                    opened.append(directory)
        except BaseException:
            LocalUserFiles(opened, self._names, self._pool).close()
            raise
        finally:
            os.close(root)
        return LocalUserFiles(opened, self._names, self._pool)

    def directories(self) -> list[str]:
        with _answering(), os.scandir(self._root) as entries:
            return sorted(entry.name for entry in entries if self._is_directory(entry))

    def _is_directory(self, entry: "os.DirEntry[str]") -> bool:
        """Links count as `user_files` follows them."""
        if not entry.is_symlink():
            return entry.is_dir()
        root = self._open_root()
        directory = self._open_linked(entry.name, root)
        os.close(root)
        if directory is None:
            return False
        os.close(directory)
        return True

    def _open_root(self) -> int:
        with _answering():
            return os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def _open_directory(self, name: str, root: int) -> int | None:
        """A user's directory, or None when there is none that may be used."""
        try:
            return os.open(name, OPEN_DIRECTORY, dir_fd=root)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENAMETOOLONG):
                return None
            if error.errno in (errno.ELOOP, errno.ENOTDIR):
                return self._open_linked(name, root)
            raise StoreUnavailable from error

    def _open_linked(self, name: str, root: int) -> int | None:
        """A directory that is a link, if what it resolves to is under the root."""
        base = os.path.realpath(self._root)
        try:
            target = os.path.realpath(os.path.join(base, name))
        except OSError:  # the link went while it was read
            return None
        inside = os.path.relpath(target, base).split(os.sep)
        if inside[0] in (os.curdir, os.pardir):
            return None
        directory = os.dup(root)
        try:
            for part in inside:
                parent, directory = directory, os.open(part, OPEN_DIRECTORY, dir_fd=directory)
                os.close(parent)
        except OSError:  # what it leads to is gone, no directory, or was swapped for a link meanwhile
            os.close(directory)
            return None
        return directory


@contextmanager
def _answering() -> Iterator[None]:
    """A directory that cannot be read leaves open which sessions there are."""
    try:
        yield
    except OSError as error:
        raise StoreUnavailable from error


def _others(names: list[str], known: list[str]) -> Iterable[str]:
    """What no directory before this one had."""
    return set(names).difference(known) if known else names


def _stat_all(names: Iterable[str], directory: int, listing: Listing, rejected: dict[str, StoreError]) -> None:
    """A stat of many files in one function: with 100,000 files, a call each would cost a tenth of a second."""
    matches, status_of, is_regular, identity = SESSION_FILE.fullmatch, os.stat, stat.S_ISREG, IDENTITY.pack
    add_name, add_size, add_mtime = listing.names.append, listing.sizes.append, listing.mtimes_ns.append
    add_identity = listing.identities.append
    for name in names:
        if not name.endswith(".jsonl"):
            continue
        if not matches(name):
            rejected[name] = InvalidName()
            continue
        try:
            status = status_of(name, dir_fd=directory, follow_symlinks=False)
        except OSError as error:
            rejected[name] = store_error(error)
            continue
        if not is_regular(status.st_mode):
            rejected[name] = NotRegular()
            continue
        add_name(name)
        add_size(status.st_size)
        add_mtime(status.st_mtime_ns)
        add_identity(identity(status.st_dev, status.st_ino))


def _stat_file(name: str, directory: int) -> SessionFile | None:
    """The session file of that name, if there is one."""
    if not SESSION_FILE.fullmatch(name):
        return None
    try:
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except OSError:
        return None
    return SessionFile(name, status.st_size, status.st_mtime_ns) if stat.S_ISREG(status.st_mode) else None


def _printable(name: str) -> str:
    """A name from the disk as text that can be printed: what is no character of UTF-8, or none to print, as `\\xNN`."""
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
