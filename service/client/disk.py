"""Access to this machine's disk, for saving files. Errors are raised as CannotSave; all functions block."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from service.client.errors import CannotSave

PART = ".part"  # the end of a temporary name
MOST_NAME = 255 - 160  # bytes of a file's name that go into a temporary one, beside an entity tag


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Raise the system's errors as CannotSave, a sentence that names the path."""
    try:
        yield
    except OSError as error:
        raise CannotSave(f"{path}: {error.strerror or error}") from error


def write_all(file: BinaryIO, data: bytes) -> None:
    """Write to an unbuffered file, which takes only part of the data when the disk is nearly full."""
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]


def short_name(name: str) -> str:
    """A name that leaves room for a suffix: a long one (the limit is 255 bytes) is cut, and stays unique."""
    encoded = os.fsencode(name)
    if len(encoded) <= MOST_NAME:
        return name
    return f"{name[:8]}-{hashlib.sha256(encoded).hexdigest()}"
