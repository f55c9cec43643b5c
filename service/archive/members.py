"""The members of an archive: session files, opened and compared with the plan."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

from service.archive.plan import Listed, Plan, is_recent, key_of
from service.store import (
    Announced,
    OpenFile,
    Prefetched,
    Read,
    Skipped,
    StoreError,
    StoreUnavailable,
    UserFiles,
)


class Changed(StoreError):
    """A file has changed since the plan was made. `name` is the member's; `key` is the key of its figures."""

    def __init__(self, name: str, key: bytes) -> None:
        super().__init__("A session file is no longer what it was when the export was announced.")
        self.name = name
        self.key = key


class Source:
    """The files of one folder. Its directories are opened when they are first needed, in any thread."""

    __slots__ = ("_files", "_lock", "_open_files")

    def __init__(self, open_files: Callable[[], UserFiles]) -> None:
        self._open_files = open_files
        self._files: UserFiles | None = None
        self._lock = threading.Lock()

    def files(self) -> UserFiles:
        """The same until `close`. Raises StoreUnavailable."""
        with self._lock:
            if self._files is None:
                self._files = self._open_files()
            return self._files

    def close(self) -> None:
        """Close the directories; `files` opens them again. No thread may use the files."""
        if self._files is not None:
            self._files.close()
            self._files = None


@dataclass(eq=False, slots=True)
class Member:
    """An open file. `size` and `mtime_ns` are those that the archive will have; `key` is the key of its figures.

    `as_planned` is false if the file was replaced since the plan was made. `crc` is set before the data is read only if
    the local header needs it.
    """

    name: str
    folder: int
    file: OpenFile
    size: int
    mtime_ns: int
    key: bytes
    as_planned: bool
    row: int
    crc: int | None = None

    def was_changed(self) -> bool:
        """Whether the file has changed since it was listed; for a replaced file, since moments before it was opened.
        Blocks."""
        if self.as_planned:
            return (self.file.size, self.file.mtime_ns) != (self.size, self.mtime_ns) or self.file.has_changed()
        return is_recent(self.mtime_ns, time.time_ns()) or self.file.has_changed()


class Opener:
    """Opens the files of a plan. A file that has only grown since it was listed is cut at its listed size.

    If `strict`, a file that was replaced or cannot be opened raises Changed. Otherwise the replacing file is used, and
    a file that cannot be opened is skipped.
    """

    def __init__(self, plan: Plan, sources: Mapping[str, Source], *, strict: bool) -> None:
        """`sources` maps the path of each folder of the plan to its source."""
        self.plan = plan
        self._sources = sources
        self.strict = strict
        self._reads: Iterator[Read] | None = None  # until they are announced
        self._prefetched: Prefetched | None = None
        self._lock = threading.Lock()

    def will_read(self, rows: Sequence[int], begin: int) -> None:
        """Which rows will be opened, the first of them to be read from byte `begin`. Call it before `open`."""
        self._reads = self.plan.reads(rows, begin)

    def open(self, listed: Listed) -> Member | Skipped:
        """Raises StoreUnavailable, and Changed."""
        path = self.plan.folders[listed.folder].path
        name = path + listed.name
        key = key_of(listed.identity, listed.size, listed.mtime_ns, self.plan.dialect)
        try:
            file = self._open(listed)
        except StoreUnavailable:
            raise
        except StoreError as error:
            if self.strict:
                raise Changed(name, key) from error
            return Skipped(name, str(error))
        if file.identity == listed.identity and file.size >= listed.size:
            return Member(name, listed.folder, file, listed.size, listed.mtime_ns, key, True, listed.row)
        if self.strict:
            file.close()
            raise Changed(name, key)
        key = key_of(file.identity, file.size, file.mtime_ns, self.plan.dialect)
        return Member(name, listed.folder, file, file.size, file.mtime_ns, key, False, listed.row)

    def close_folder(self, folder: int) -> None:
        self._source(folder).close()

    def close(self) -> None:
        """Close the directories of all folders."""
        if self._prefetched:
            self._prefetched.close()
        for source in self._sources.values():
            source.close()

    def _open(self, listed: Listed) -> OpenFile:
        files = self._source(listed.folder).files()
        with self._lock:
            if self._reads is not None:
                self._prefetched = files.prefetch(self._with_files(self._reads))
                self._reads = None
        return files.open(listed.name, Announced(self._prefetched, listed.folder) if self._prefetched else None)

    def _with_files(self, reads: Iterator[Read]) -> Iterator[tuple[UserFiles, Read]]:
        for folder, of_folder in groupby(reads, attrgetter("folder")):
            files = self._source(folder).files()
            yield from ((files, read) for read in of_folder)

    def _source(self, folder: int) -> Source:
        return self._sources[self.plan.folders[folder].path]
