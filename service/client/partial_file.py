"""A partial file: the bytes of a broken transfer, kept so that the next transfer resumes it."""

import fcntl
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from service.client.disk import PART, disk_errors, short_name, write_all
from service.client.errors import CannotSave

RESUMABLE = re.compile(r"[A-Za-z0-9._-]{1,120}")  # an entity tag that can be kept in a file's name


class PartialFile:
    """Its name contains the entity tag of the resource, so that bytes of two versions are never mixed.

    A lock keeps other processes from writing to it. It is readable by its owner alone.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._part: Path | None = None
        self.tag = ""
        self.size = 0
        with disk_errors(path):
            for found in self._parts():
                self._open(found)
                self.tag = found.name[len(self._prefix) : -len(PART)]
                break

    @property
    def text_bytes(self) -> int:
        return self.size

    def restore(self) -> bool:
        """Nothing to verify: a session file has no checksum."""
        return False

    def restart(self, tag: str) -> None:
        """Empty it. `tag` is an entity tag without its quotes, or "" if it is weak or unknown: then the file cannot be
        resumed."""
        with disk_errors(self._path):
            self.discard()
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self.tag = tag if RESUMABLE.fullmatch(tag) else ""
            self._open(self._path.parent / f"{self._prefix}{self.tag}{PART}")
            assert self._file is not None  # noqa: S101 - just opened
            self._file.truncate(0)
            self.size = 0

    def read_at(self, offset: int, count: int) -> bytes:
        """Up to `count` bytes from `offset`; none at the end."""
        if self._file is None:
            return b""
        with disk_errors(self._path):
            return os.pread(self._file.fileno(), count, offset)

    def write(self, chunk: bytes) -> None:
        assert self._file is not None  # noqa: S101 - `restart` or an old part came first
        with disk_errors(self._path):
            write_all(self._file, chunk)
        self.size += len(chunk)

    def finish(self) -> None:
        """Give it its final name."""
        assert self._part is not None  # noqa: S101 - as for `write`
        with disk_errors(self._path):
            self._part.replace(self._path)
            self._part = None
            self.close()

    def discard(self) -> None:
        """Close and remove it."""
        self.tag, self.size = "", 0
        self.close()

    def close(self) -> None:
        """Close the file; remove it if it cannot be resumed."""
        if self._part is not None and not self.tag:
            self._part.unlink(missing_ok=True)
        if self._file is not None:
            self._file.close()
        self._file = self._part = None

    @property
    def _prefix(self) -> str:
        """The prefix of this file's partial files. It is unique, as a tag has no tilde."""
        return f".{short_name(self._path.name)}~"

    def _parts(self) -> Iterator[Path]:
        if not self._path.parent.is_dir():
            return
        for path in sorted(self._path.parent.iterdir()):
            tag = path.name.removeprefix(self._prefix).removesuffix(PART)
            if path.name == f"{self._prefix}{tag}{PART}" and RESUMABLE.fullmatch(tag) and path.is_file():
                yield path

    def _open(self, part: Path) -> None:
        descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        self._file = os.fdopen(descriptor, "wb", buffering=0)
        self._part = part
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise self._is_in_use() from None
        if not os.path.samestat(os.fstat(descriptor), part.stat()):  # complete and renamed by another process just now
            raise self._is_in_use()
        self.size = os.fstat(descriptor).st_size

    def _is_in_use(self) -> CannotSave:
        assert self._file is not None  # noqa: S101 - it was just opened
        self._file.close()
        self._file = self._part = None
        return CannotSave(f"{self._path}: another process is saving it.")
