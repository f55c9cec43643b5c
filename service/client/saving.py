"""Where what arrives is put: under a name that nobody takes for the whole, until it is whole.

A final name appears by renaming alone. Everything here blocks and belongs in a thread; the system's errors leave as
CannotSave. Files are the owner's alone: what is in them is other people's.
"""

import fcntl
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from service.client.errors import CannotSave
from service.client.members import Reader

PART = ".part"
MOST_NAME = 255 - 160  # bytes of a name that go into a temporary one, beside the tag
RESUMABLE = re.compile(r"[A-Za-z0-9._-]{1,120}")  # an entity tag that can be kept in a file's name


class Sink(Protocol):
    """One export on its way. `finish` or `abandon` ends it; both may block for a while."""

    reader: Reader

    def write(self, chunk: bytes) -> None:
        """Save and verify. Raises Damaged or CannotSave."""

    def finish(self) -> None:
        """Verify the end, and give it its final name. Raises Damaged or CannotSave."""

    def abandon(self) -> None:
        """Leave nothing behind; does nothing after `finish`."""


class ArchiveFile:
    """An export as one ZIP file."""

    def __init__(self, path: Path) -> None:
        self.reader = Reader()
        self._path = path
        with _told(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(PART, f".{_short(path.name)}.", path.parent)
        self._part = Path(name)
        self._file = os.fdopen(descriptor, "wb", buffering=0)

    def write(self, chunk: bytes) -> None:
        with _told(self._path):
            _write_all(self._file, chunk)
        self.reader.feed(chunk)

    def finish(self) -> None:
        self.reader.close()
        with _told(self._path):
            self._file.close()
            self._part.replace(self._path)

    def abandon(self) -> None:
        self._file.close()
        self._part.unlink(missing_ok=True)


class ExtractedFiles:
    """An export as a directory of its files; they are written while they arrive, into a directory beside it."""

    def __init__(self, path: Path) -> None:
        self.reader = Reader(self)
        self._path = path
        self._file: BinaryIO | None = None
        self._mtime = 0.0
        with _told(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._part = Path(tempfile.mkdtemp(PART, f".{_short(path.name)}.", path.parent))

    def write(self, chunk: bytes) -> None:
        with _told(self._path):
            self.reader.feed(chunk)

    def begin(self, name: str, mtime: float) -> None:
        """For the reader, which lets bare names pass alone. What has the name already is not written to, be it a link,
        the same name again, or another one to a file system that knows no case."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        self._file = os.fdopen(os.open(self._part / name, flags, 0o600), "wb", buffering=0)
        self._mtime = mtime

    def take(self, text: bytes) -> None:
        assert self._file is not None  # noqa: S101 - a member begins before its text
        _write_all(self._file, text)

    def end(self) -> None:
        assert self._file is not None  # noqa: S101 - as above
        os.utime(self._file.fileno(), (self._mtime, self._mtime))
        self._file.close()

    def finish(self) -> None:
        self.reader.close()
        with _told(self._path):
            if not self._path.exists():
                self._part.rename(self._path)
                return
            old = Path(tempfile.mkdtemp(PART, f".{_short(self._path.name)}.", self._path.parent))
            self._path.rename(old)  # onto an empty directory, which a rename may replace
            self._part.rename(self._path)
            shutil.rmtree(old)

    def abandon(self) -> None:
        if self._file is not None:
            self._file.close()
        shutil.rmtree(self._part, ignore_errors=True)


class PartialFile:
    """One session file, as far as it has come. It stays when the transfer breaks off, so that the next one goes on.

    Its name holds the entity tag of what it is a part of: bytes of two versions never come together.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._part: Path | None = None
        self.tag = ""
        self.size = 0
        with _told(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            for found in self._parts():
                self._open(found)
                self.tag = found.name[len(self._prefix) : -len(PART)]
                break

    def restart(self, tag: str) -> None:
        """Begin again with the first byte; `tag` is an entity tag without its quotes, or "" for one that is not
        strong or not known, which cannot be gone on with."""
        with _told(self._path):
            self.discard()
            self.tag = tag if RESUMABLE.fullmatch(tag) else ""
            self._open(self._path.parent / f"{self._prefix}{self.tag}{PART}")
            assert self._file is not None  # noqa: S101 - just opened
            self._file.truncate(0)
            self.size = 0

    def write(self, chunk: bytes) -> None:
        assert self._file is not None  # noqa: S101 - `restart` or an old part came first
        with _told(self._path):
            _write_all(self._file, chunk)
        self.size += len(chunk)

    def finish(self) -> None:
        """Give it its final name."""
        assert self._part is not None  # noqa: S101 - as for `write`
        with _told(self._path):
            self._part.replace(self._path)
            self._part = None
            self.close()

    def discard(self) -> None:
        """Forget what has come so far."""
        self.close()
        if self._part is not None:
            self._part.unlink(missing_ok=True)

    def close(self) -> None:
        """Give the file back; what has come stays, unless nothing could go on with it."""
        if self._file is not None:
            self._file.close()
            self._file = None
            if self._part is not None and not self.tag:
                self._part.unlink(missing_ok=True)

    @property
    def _prefix(self) -> str:
        """What no other session file's part begins with: their names have no tilde."""
        return f".{_short(self._path.name)}~"

    def _parts(self) -> Iterator[Path]:
        for path in sorted(self._path.parent.iterdir()):
            tag = path.name.removeprefix(self._prefix).removesuffix(PART)
            if path.name == f"{self._prefix}{tag}{PART}" and RESUMABLE.fullmatch(tag) and path.is_file():
                yield path

    def _open(self, part: Path) -> None:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        self._file = os.fdopen(descriptor, "wb", buffering=0)
        self._part = part
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            raise CannotSave(f"{self._path}: another process is downloading it.") from None
        self.size = os.fstat(descriptor).st_size


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """The system's errors as a sentence."""
    try:
        yield
    except OSError as error:
        raise CannotSave(f"{path}: {error.strerror or error}") from error


def _write_all(file: BinaryIO, data: bytes) -> None:
    """A disk that is nearly full takes a part of what it is given."""
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]


def _short(name: str) -> str:
    """A name to which more can be put: a long one (255 bytes are the most) is cut, and stays one of its own."""
    encoded = os.fsencode(name)
    if len(encoded) <= MOST_NAME:
        return name
    return f"{name[:8]}-{hashlib.sha256(encoded).hexdigest()}"
