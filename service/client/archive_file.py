"""An export as one ZIP file. It has a temporary name until it is complete, and is readable by its owner alone."""

import os
import tempfile
from pathlib import Path

from service.client.disk import PART, disk_errors, short_name, write_all
from service.client.reader import Reader


class ArchiveFile:
    """A destination of an export; `path` is replaced."""

    def __init__(self, path: Path) -> None:
        self.reader = Reader()
        self._path = path
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(PART, f".{short_name(path.name)}.", path.parent)
        self._part = Path(name)
        self._file = os.fdopen(descriptor, "wb", buffering=0)

    def write(self, chunk: bytes) -> None:
        with disk_errors(self._path):
            write_all(self._file, chunk)
        self.reader.feed(chunk)

    def finish(self) -> None:
        self.reader.close()
        with disk_errors(self._path):
            self._file.close()
            self._part.replace(self._path)

    def abandon(self) -> None:
        self._file.close()
        self._part.unlink(missing_ok=True)
