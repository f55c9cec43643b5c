"""An export saved as a directory of files. The directory has a temporary name until it is complete."""

import os
import shutil
import tempfile
from pathlib import Path
from typing import BinaryIO

from service.client.disk import PART, disk_errors, short_name, write_all
from service.client.reader import Reader


class ExtractedFiles:
    """A destination of an export, and the target of its reader: files are written while they arrive, into a directory
    beside `path`, which replaces it at the end. Files are readable by their owner alone.

    Only this object can resume a broken transfer, not a later process: `close` removes an incomplete directory.
    """

    def __init__(self, path: Path) -> None:
        self.tag = ""
        self.size = 0
        self.reader = Reader(self)
        self._path = path
        self._part: Path | None = None
        self._file: BinaryIO | None = None
        self._mtime = 0.0

    @property
    def text_bytes(self) -> int:
        return self.reader.text_bytes

    def restore(self) -> bool:
        """Nothing to restore: an incomplete directory is not kept."""
        return False

    def restart(self, tag: str) -> None:
        self.discard()
        self.tag = tag
        self.reader = Reader(self)
        with disk_errors(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._part = self._new_directory()

    def write(self, chunk: bytes) -> None:
        with disk_errors(self._path):
            self.reader.feed(chunk)
        self.size += len(chunk)

    def begin(self, name: str, mtime: float) -> None:
        """Open a new file. The reader has checked the name. An existing entry is never written to: it could be a link,
        the same name again, or a name that differs only by case on a case-insensitive file system."""
        assert self._part is not None  # noqa: S101 - `restart` comes first
        path = self._part / name
        path.parent.mkdir(mode=0o700, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        self._file = os.fdopen(os.open(path, flags, 0o600), "wb", buffering=0)
        self._mtime = mtime

    def take(self, text: bytes) -> None:
        assert self._file is not None  # noqa: S101 - `begin` comes first
        write_all(self._file, text)

    def end(self) -> None:
        assert self._file is not None  # noqa: S101 - `begin` comes first
        os.utime(self._file.fileno(), (self._mtime, self._mtime))
        self._file.close()

    def finish(self) -> None:
        assert self._part is not None  # noqa: S101 - `restart` comes first
        self.reader.close()
        with disk_errors(self._path):
            if self._path.exists():
                old = self._new_directory()
                self._path.rename(old)  # a rename may replace an empty directory
                self._part.rename(self._path)
                shutil.rmtree(old)
            else:
                self._part.rename(self._path)
        self._part = None

    def discard(self) -> None:
        self.tag, self.size = "", 0
        self.close()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        if self._part is not None:
            shutil.rmtree(self._part, ignore_errors=True)
        self._file = self._part = None

    def _new_directory(self) -> Path:
        return Path(tempfile.mkdtemp(PART, f".{short_name(self._path.name)}.", self._path.parent))
