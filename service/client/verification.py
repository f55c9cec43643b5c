"""Compares an archive on this machine's disk with its own checksums and its manifest. Needs no service."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from service.client.errors import CannotRead, Damaged
from service.client.manifest import Findings, Skipped
from service.client.progress import OnProgress, Progress, no_progress
from service.client.reader import Reader
from service.client.steps import finish_step
from service.pools import Pool

CHUNK = 1024 * 1024  # bytes read at a time; beside these, memory holds some 150 bytes a member


@dataclass(frozen=True, slots=True)
class Verification:
    """`damage` says why the archive is not whole, and is None if it is whole. Without a manifest, whole means that it
    is not cut short and that each member matches its checksum; whether members are missing is unknown."""

    path: Path
    damage: str | None
    has_manifest: bool
    files: int
    text_bytes: int
    skipped: tuple[Skipped, ...]
    findings: Findings


async def verify_archive(path: Path, *, progress: OnProgress = no_progress) -> Verification:
    """Read and verify a whole archive. `progress` counts the archive's compressed bytes. Raises CannotRead."""
    pool = Pool("verify", 1)
    try:
        archive = await pool.run_to_end(_Archive, lambda archive: archive.close(), path)
        try:
            while await finish_step(pool.run(archive.read)):
                progress(Progress(archive.read_bytes, archive.read_bytes, archive.size))
            return await finish_step(pool.run(archive.verify))
        finally:
            archive.close()
    finally:
        pool.close()


class _Archive:
    """An open archive. Its methods block."""

    def __init__(self, path: Path) -> None:
        self.read_bytes = 0
        self._path = path
        self._reader = Reader()
        self._damage: str | None = None
        with _read_errors(path):
            self._file = path.open("rb", buffering=0)
            self.size = os.fstat(self._file.fileno()).st_size

    def read(self) -> bool:
        """Read and verify the next chunk; return whether there may be another one."""
        with _read_errors(self._path):
            chunk = self._file.read(CHUNK)
        self.read_bytes += len(chunk)
        try:
            self._reader.feed(chunk) if chunk else self._reader.close()
        except Damaged as error:
            self._damage = str(error)
        return bool(chunk) and self._damage is None

    def verify(self) -> Verification:
        """The result, after the last chunk."""
        reader = self._reader
        return Verification(
            self._path,
            self._damage,
            reader.has_manifest,
            reader.files,
            reader.text_bytes,
            tuple(reader.skipped),
            reader.findings,
        )

    def close(self) -> None:
        self._file.close()


@contextmanager
def _read_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CannotRead(f"{path}: {error.strerror or error}") from error
