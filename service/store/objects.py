"""Session files as objects in a bucket, `<prefix><directory>/<session>.jsonl`.

Objects have neither links nor permissions of their own, and a directory exists while a key begins with its name. Only
keys right under a user's directory are session files. Sizes and times come from the listing, never from a request for
each object.
"""

from collections.abc import Generator, Iterator, Sequence

from service.pools import Pool
from service.store.bucket import Bucket, Stat
from service.store.files import (
    SESSION_FILE,
    Announced,
    InvalidName,
    Listing,
    NotFound,
    Prefetched,
    Read,
    SessionFile,
    Skipped,
    UserFiles,
    printable,
)
from service.store.object_file import FIRST, Access, ObjectFile, Piece
from service.store.prefetch import Budget, Prefetch
from service.store.root import BucketRoot


class ObjectUserFiles:
    """One user's directories; see `UserFiles`. They are listed at most once."""

    def __init__(self, access: Access, prefixes: Sequence[str]) -> None:
        """`prefixes` are those of the user's directories, each with its slash."""
        self._access = access
        self._prefixes = prefixes
        self._listed: Listing | None = None
        self._has_keys = False  # by the listing, any key: not only those of session files
        self._row_of: dict[str, int] | None = None

    @property
    def exists(self) -> bool:
        self.list()  # which an export needs anyway
        return self._has_keys

    def list(self) -> Listing:
        return self._listing

    def names(self) -> frozenset[str]:
        return frozenset(self._rows)

    def stat_file(self, name: str) -> SessionFile | None:
        if not SESSION_FILE.fullmatch(name):
            return None
        listing = self._listing
        row = self._rows.get(name)
        return None if row is None else SessionFile(name, listing.sizes[row], listing.mtimes_ns[row])

    def prefetch(self, reads: Iterator[tuple[UserFiles, Read]]) -> Prefetched:
        return Prefetch(reads, _run_read, self._access.pool.executor, self._access.budget)

    def open(self, name: str, announced: Announced | None = None) -> ObjectFile:
        if not SESSION_FILE.fullmatch(name):
            raise InvalidName
        try:
            file = announced.reads.take(announced.folder, name, 0) if announced else None
            if not isinstance(file, ObjectFile):
                file = self._open(name, range(len(self._prefixes)))
        except BaseException:
            if announced:
                announced.reads.drop(announced.folder, name)
            raise
        file.announced = announced
        return file

    def run_read(self, read: Read) -> ObjectFile | Piece:
        """Run an announced read. The listing says which directory has the file, so no request is for a missing key."""
        number, _, etag = read.identity.decode().partition(":")
        if not read.offset:
            others = [other for other in range(len(self._prefixes)) if str(other) != number]
            return self._open(read.name, [int(number), *others])
        key = self._prefixes[int(number)] + read.name
        return Piece(read.identity, self._access.bucket.get_range(key, read.offset, read.size, etag, read.name))

    def close(self) -> None:
        """Nothing is open."""

    @property
    def _listing(self) -> Listing:
        # No cached_property: in Python 3.11 it has one lock for all objects, so listings would wait for each other.
        if self._listed is None:
            self._listed = self._list()
        return self._listed

    @property
    def _rows(self) -> dict[str, int]:
        if self._row_of is None:
            self._row_of = {name: row for row, name in enumerate(self._listing.names)}
        return self._row_of

    def _list(self) -> Listing:
        listing = Listing()
        rejected: set[str] = set()
        for number, prefix in enumerate(self._prefixes):
            known = set(listing.names)
            for name, stat in self._entries(prefix):
                if name in known:
                    continue
                if not SESSION_FILE.fullmatch(name):
                    rejected.add(name)
                    continue
                listing.names.append(name)
                listing.sizes.append(stat.size)
                listing.mtimes_ns.append(stat.mtime_ns)
                listing.identities.append(_identity(number, stat))
        listing.sort()
        listing.fit()
        listing.skipped = tuple(Skipped(printable(name), str(InvalidName())) for name in sorted(rejected))
        return listing

    def _entries(self, prefix: str) -> Iterator[tuple[str, Stat]]:
        for page in self._access.bucket.pages(prefix):
            self._has_keys = self._has_keys or bool(page.objects or page.prefixes)
            for key, stat in page.objects:
                if key.endswith(".jsonl"):
                    yield key.removeprefix(prefix), stat

    def _open(self, name: str, numbers: Sequence[int]) -> ObjectFile:
        """Open the file in the first of these directories, given by their indices, that has it."""
        for number in numbers:
            key = self._prefixes[number] + name
            try:
                stat, first = self._access.bucket.get_first(key, FIRST, name)
            except NotFound:
                continue
            return ObjectFile(self._access, key, name, stat, _identity(number, stat), first)
        raise NotFound


class ObjectStore:
    """All directories under a prefix of a bucket; see `SessionStore`."""

    def __init__(self, root: BucketRoot, bucket: Bucket, pool: Pool, budget: Budget) -> None:
        """`pool` is this store's own, for requests to the bucket; the store closes it and the bucket."""
        self._root = root
        self._access = Access(bucket, pool, budget)

    def check(self) -> None:
        self._access.bucket.check()

    def user_files(self, directories: tuple[str, ...]) -> ObjectUserFiles:
        return ObjectUserFiles(self._access, [f"{self._root.prefix}{name}/" for name in directories])

    def list_all(self, users: Sequence[tuple[str, ...]]) -> Generator[Listing, None, None]:
        yield from self._access.pool.executor.map(lambda names: self.user_files(names).list(), users)

    def directories(self) -> list[str]:
        prefix = self._root.prefix
        found = {
            name.removeprefix(prefix).removesuffix("/")
            for page in self._access.bucket.pages(prefix)
            for name in page.prefixes
        }
        return sorted(found - {""})

    def state(self, directory: str) -> None:
        """Always None: a bucket does not report changes."""

    def close(self) -> None:
        self._access.pool.close()
        self._access.bucket.close()


def _run_read(files: UserFiles, read: Read) -> ObjectFile | Piece:
    assert isinstance(files, ObjectUserFiles)  # noqa: S101 - a reader reads from one store
    return files.run_read(read)


def _identity(number: int, stat: Stat) -> bytes:
    """The identity of an object; `number` is the index of its directory among the user's."""
    return f"{number}:{stat.etag}".encode()
