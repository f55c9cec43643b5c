"""The result of an export."""

from dataclasses import dataclass
from pathlib import Path

from service.client.manifest import Skipped


@dataclass(frozen=True, slots=True)
class Exported:
    """A complete export: the number of its session files, the bytes of its members, the bytes of the archive, and the
    files that the service skipped or that were still being written (the latter only with a manifest)."""

    path: Path
    files: int
    text_bytes: int
    received: int
    skipped: tuple[Skipped, ...]
    still_written: tuple[str, ...]
    seconds: float
