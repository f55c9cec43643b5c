"""Directories beside pytest's own. A killed run leaves its own behind; the next run removes them."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

TEMPORARY = Path(tempfile.gettempdir())
MEMORY = Path("/dev/shm")


def in_memory() -> Path:
    """Where small files are written without a disk's fsync, if this machine has such a place."""
    return MEMORY if os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > 2**28 else TEMPORARY


def new_directory(kind: str, parent: Path = TEMPORARY) -> Path:
    """The caller removes it."""
    return Path(tempfile.mkdtemp(prefix=f"session-export-{kind}-{os.getpid()}-", dir=parent))


def abandoned(kind: str, parent: Path = TEMPORARY) -> Iterator[Path]:
    """The directories of this kind whose processes have ended."""
    for directory in parent.glob(f"session-export-{kind}-*-*"):
        if not Path("/proc", directory.name.split("-")[-2]).exists():
            yield directory
