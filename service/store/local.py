"""Session files in a local directory tree, `<root>/<directory>/<session>.jsonl`.

Each of these rules prevents a race, or a link that leads out of the root:

- Directories and files are opened relative to an open descriptor, never by a path that was checked before.
- Links to files are not followed. A link to a directory is followed only if its target is under the root; the target
  is then opened one component at a time, so that nothing can be swapped in between.
- The stat that decides is that of the open file, and the bytes are read from the same descriptor.
- Only regular files are opened for reading. Opening never blocks, not even on a FIFO.
"""

import errno
import os
import stat
import threading
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cachetools import LRUCache

from service.pools import Pool
from service.store.files import (
    SESSION_FILE,
    Announced,
    InvalidName,
    Listing,
    NotFound,
    NotRegular,
    Read,
    SessionFile,
    Skipped,
    StoreError,
    StoreUnavailable,
    UserFiles,
    printable,
)
from service.store.local_file import IDENTITY, LocalFile, open_regular, store_error
from service.store.watch import Watch

OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
NO_DIRECTORY = (errno.ENOENT, errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR)


class Names:
    """A cache of the names of the session files in a directory, valid while the directory does not change.

    A file that is created, deleted or replaced changes its directory's times; the change time moves even if the
    modification time is set back. The clock of both is coarse: a directory that changed less than SETTLED ago may
    change again without another time, so its names are not cached.
    """

    MOST = 500_000  # cached names of all directories together: some 50 MB
    SETTLED = 2  # seconds

    def __init__(self) -> None:
        self._cache: LRUCache[tuple[int, int], tuple[tuple[int, int], frozenset[str]]] = LRUCache(
            self.MOST, lambda cached: len(cached[1]) + 1
        )
        self._lock = threading.Lock()

    def read(self, directory: int) -> frozenset[str]:
        """The names in an open directory. Raises StoreUnavailable."""
        with _store_unavailable():
            status = os.fstat(directory)
        identity, state = (status.st_dev, status.st_ino), (status.st_mtime_ns, status.st_ctime_ns)
        with self._lock:
            cached = self._cache.get(identity)
        if cached is not None and cached[0] == state:
            return cached[1]
        settled = time.time() - max(state) / 1e9 > self.SETTLED
        names = self._read_entries(directory)
        if settled and len(names) < self.MOST:
            with self._lock:
                self._cache[identity] = (state, names)
        return names

    def _read_entries(self, directory: int) -> frozenset[str]:
        with _store_unavailable(), os.scandir(directory) as entries:
            return frozenset(
                entry.name
                for entry in entries
                if SESSION_FILE.fullmatch(entry.name) and entry.is_file(follow_symlinks=False)
            )


class LocalUserFiles:
    """One user's directories, held open; see `UserFiles`."""

    def __init__(self, directories: list[int], names: Names, pool: Pool) -> None:
        self._directories = directories
        self._names = names
        self._pool = pool

    @property
    def exists(self) -> bool:
        return bool(self._directories)

    def names(self) -> frozenset[str]:
        # Not `frozenset().union(...)`: with one directory that would copy the cached set.
        first, *others = [self._names.read(directory) for directory in self._directories] or [frozenset[str]()]
        return first.union(*others) if others else first

    def list(self) -> Listing:
        return _list_directories(self._directories)

    def stat_file(self, name: str) -> SessionFile | None:
        for directory in self._directories:
            if found := _stat_file(name, directory):
                return found
        return None

    def open(self, name: str, announced: Announced | None = None) -> LocalFile:
        if not SESSION_FILE.fullmatch(name):
            raise InvalidName
        failure: StoreError | None = None
        for directory in self._directories:
            try:
                return open_regular(name, directory, self._pool.executor)
            except NotFound:
                continue
            except NotRegular as error:  # a later directory may have the session under this name
                failure = error
        raise failure or NotFound()

    def prefetch(self, reads: Iterator[tuple[UserFiles, Read]]) -> None:
        """Returns None: the system reads ahead."""

    def close(self) -> None:
        _close_all(self._directories)


class LocalStore:
    """The tree under `root`; see `SessionStore`."""

    def __init__(self, root: Path, pool: Pool) -> None:
        """`pool` is the one for file work; single downloads read in it."""
        self._root = root
        self._pool = pool
        self._names = Names()
        self._watch = Watch(root, self._open_named)

    def check(self) -> None:
        root = self._open_root()
        try:
            with _store_unavailable(), os.scandir(root) as entries:
                next(entries, None)
        finally:
            os.close(root)

    def user_files(self, directories: tuple[str, ...]) -> LocalUserFiles:
        root = self._open_root()
        try:
            return LocalUserFiles(self._open_directories(directories, root), self._names, self._pool)
        finally:
            os.close(root)

    def list_all(self, users: Sequence[tuple[str, ...]]) -> Generator[Listing, None, None]:
        root = self._open_root()
        try:
            for directories in users:
                yield self._list(directories, root)
        finally:
            os.close(root)

    def _list(self, directories: tuple[str, ...], root: int) -> Listing:
        opened = self._open_directories(directories, root)
        try:
            return _list_directories(opened)
        finally:
            _close_all(opened)

    def _open_directories(self, names: tuple[str, ...], root: int) -> list[int]:
        """The descriptors of those directories that exist; the caller closes them."""
        opened: list[int] = []
        try:
            for name in names:
                directory = self._open_directory(name, root)
                if directory is not None:
                    opened.append(directory)
        except BaseException:
            _close_all(opened)
            raise
        return opened

    def directories(self) -> list[str]:
        with _store_unavailable(), os.scandir(self._root) as entries:
            return sorted(entry.name for entry in entries if self._is_directory(entry))

    def close(self) -> None:
        self._watch.close()

    def state(self, directory: str) -> object | None:
        return self._watch.state(directory)

    def _open_named(self, name: str) -> int | None:
        """Open a directory by its name; the caller closes it. Raises StoreUnavailable."""
        root = self._open_root()
        try:
            return self._open_directory(name, root)
        finally:
            os.close(root)

    def _is_directory(self, entry: "os.DirEntry[str]") -> bool:
        """Whether it is a directory, or a link that `user_files` follows to one."""
        if not entry.is_symlink():
            return entry.is_dir()
        try:
            directory = self._open_named(entry.name)
        except StoreUnavailable:  # it is a directory that cannot be opened
            return True
        if directory is None:
            return False
        os.close(directory)
        return True

    def _open_root(self) -> int:
        with _store_unavailable():
            return os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def _open_directory(self, name: str, root: int) -> int | None:
        """The descriptor of a user's directory, or None if there is none that may be used."""
        try:
            return os.open(name, OPEN_DIRECTORY, dir_fd=root)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENAMETOOLONG):
                return None
            if error.errno in (errno.ELOOP, errno.ENOTDIR):
                return self._open_linked(name, root)
            raise StoreUnavailable from error

    def _open_linked(self, name: str, root: int) -> int | None:
        """The descriptor of the directory that a link leads to; None if there is none, or it is not under the root."""
        base = os.path.realpath(self._root)
        try:
            target = os.path.realpath(os.path.join(base, name))
        except OSError:  # the link was deleted meanwhile
            return None
        inside = os.path.relpath(target, base).split(os.sep)
        if inside[0] in (os.curdir, os.pardir):
            return None
        with _store_unavailable():
            directory = os.dup(root)
        try:
            for part in inside:
                parent, directory = directory, os.open(part, OPEN_DIRECTORY, dir_fd=directory)
                os.close(parent)
        except OSError as error:
            os.close(directory)
            if error.errno in NO_DIRECTORY:  # the target is missing, or was swapped for a link meanwhile
                return None
            raise StoreUnavailable from error
        return directory


@contextmanager
def _store_unavailable() -> Iterator[None]:
    """If a directory cannot be read, which sessions exist is unknown."""
    try:
        yield
    except OSError as error:
        raise StoreUnavailable from error


def _close_all(directories: list[int]) -> None:
    while directories:
        os.close(directories.pop())


def _list_directories(directories: Sequence[int]) -> Listing:
    """The files of one user, whose directories are given in order of priority."""
    listing = Listing()
    rejected: dict[str, StoreError] = {}
    for directory in directories:
        try:
            names = os.listdir(directory)
        except OSError as error:
            raise StoreUnavailable from error
        if listing.names:
            names = list(set(names).difference(listing.names))
        names.sort()
        _stat_all(names, directory, listing, rejected)
    if len(directories) > 1:
        listing.sort()
    listing.fit()
    if rejected:
        skipped = rejected.keys() - set(listing.names)
        listing.skipped = tuple(Skipped(printable(name), str(rejected[name])) for name in sorted(skipped))
    return listing


def _stat_all(names: Iterable[str], directory: int, listing: Listing, rejected: dict[str, StoreError]) -> None:
    """A stat of many files in one function: with 100,000 files, a call each would cost a tenth of a second."""
    matches, status_of, is_regular, identity = SESSION_FILE.fullmatch, os.lstat, stat.S_ISREG, IDENTITY.pack
    add_name, add_size, add_mtime = listing.names.append, listing.sizes.append, listing.mtimes_ns.append
    add_identity = listing.identities.append
    for name in names:
        if not matches(name):
            if name.endswith(".jsonl"):
                rejected[name] = InvalidName()
            continue
        try:
            status = status_of(name, dir_fd=directory)
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
    """The stat of the session file of that name, or None if there is none."""
    if not SESSION_FILE.fullmatch(name):
        return None
    try:
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except OSError:
        return None
    return SessionFile(name, status.st_size, status.st_mtime_ns) if stat.S_ISREG(status.st_mode) else None
