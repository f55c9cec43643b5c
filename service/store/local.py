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
    Truncated,
    Unreadable,
)

OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class LocalFile:
    """An open session file; see `OpenFile`."""

    __slots__ = ("_fd", "inode", "mtime_ns", "name", "size")

    def __init__(self, name: str, fd: int, status: os.stat_result) -> None:
        self._fd = fd
        self.name = name
        self.size = status.st_size
        self.mtime_ns = status.st_mtime_ns
        self.inode = status.st_ino

    def fileno(self) -> int:
        return self._fd

    def read_at(self, offset: int, count: int) -> bytes:
        try:
            data = os.pread(self._fd, count, offset)
            while len(data) < count:  # a signal or a network file system may give less than is there
                more = os.pread(self._fd, count - len(data), offset + len(data))
                if not more:
                    raise Truncated(self.name)
                data += more
        except OSError as error:
            raise Unreadable(self.name) from error
        return data

    def close(self) -> None:
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)


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

    def __init__(self, directories: Sequence[int], names: Names) -> None:
        self._directories = list(directories)
        self._names = names

    @property
    def exists(self) -> bool:
        return bool(self._directories)

    def names(self) -> frozenset[str]:
        # Not `frozenset().union(...)`: with one directory that would copy what is kept.
        first, *others = [self._names.of(directory) for directory in self._directories] or [frozenset[str]()]
        return first.union(*others) if others else first

    def list(self) -> Listing:
        sizes: dict[str, int] = {}
        refused: dict[str, StoreError] = {}
        for directory in self._directories:
            with _answering():
                names = os.listdir(directory)
            _look_at_all(names, directory, sizes, refused)
        skipped = [Skipped(_printable(name), str(refused[name])) for name in sorted(refused.keys() - sizes.keys())]
        return Listing({name: sizes[name] for name in sorted(sizes)}, skipped)

    def look(self, name: str) -> SessionFile | None:
        for directory in self._directories:
            if found := _look(name, directory):
                return found
        return None

    def open(self, name: str) -> LocalFile:
        if not SESSION_FILE.fullmatch(name):
            raise InvalidName
        failure: StoreError = NotFound()
        for directory in self._directories:
            try:
                return _open_regular(name, directory)
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

    def __init__(self, root: Path) -> None:
        self._root = root
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
            LocalUserFiles(opened, self._names).close()
            raise
        finally:
            os.close(root)
        return LocalUserFiles(opened, self._names)

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


def _look_at_all(names: Iterable[str], directory: int, sizes: dict[str, int], refused: dict[str, StoreError]) -> None:
    """`_look` for many, without what a call costs: with 100,000 files, a microsecond each is a tenth of a second."""
    matches, status_of, is_regular = SESSION_FILE.fullmatch, os.stat, stat.S_ISREG
    for name in names:
        if name in sizes or not name.endswith(".jsonl"):
            continue
        if matches(name):
            try:
                status = status_of(name, dir_fd=directory, follow_symlinks=False)
            except OSError as error:
                refused[name] = _named(error)
            else:
                if is_regular(status.st_mode):
                    sizes[name] = status.st_size
                else:
                    refused[name] = NotRegular()
        else:
            refused[name] = InvalidName()


def _look(name: str, directory: int) -> SessionFile | None:
    """The session file of that name, if there is one."""
    if not SESSION_FILE.fullmatch(name):
        return None
    try:
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except OSError:
        return None
    return SessionFile(name, status.st_size, status.st_mtime_ns) if stat.S_ISREG(status.st_mode) else None


def _open_regular(name: str, directory: int) -> LocalFile:
    """Open `name` in `directory` if it is a regular file: looked at before, so that no FIFO or device is opened,
    and again once it is open, because it may have been swapped in between."""
    fd = -1
    try:
        if not stat.S_ISREG(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
            raise NotRegular
        fd = os.open(name, OPEN_FILE, dir_fd=directory)
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise NotRegular
        return LocalFile(name, fd, status)
    except BaseException as error:
        if fd >= 0:
            os.close(fd)
        if isinstance(error, OSError):
            raise _named(error) from error
        raise


def _named(error: OSError) -> StoreError:
    if error.errno in (errno.ENOENT, errno.ENAMETOOLONG):
        return NotFound()
    if error.errno in (errno.ELOOP, errno.ENXIO):  # swapped for a link, or for a socket
        return NotRegular()
    if error.errno in (errno.EMFILE, errno.ENFILE):  # the service is at its limit; the file is not to blame
        return StoreUnavailable()
    return Unreadable()


def _printable(name: str) -> str:
    """A name from the disk as text that can be printed: what is no character of UTF-8, or none to print, as `\\xNN`."""
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
