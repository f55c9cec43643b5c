"""What an export gave."""

from dataclasses import dataclass
from pathlib import Path

from service.client.manifest import Skipped


@dataclass(frozen=True, slots=True)
class Exported:
    """A complete export: its session files, the bytes of its members, the bytes of the archive, and the names of files
    that the service skipped or that were being written (which only a manifest tells)."""

    path: Path
    files: int
    text_bytes: int
    received: int
    skipped: tuple[Skipped, ...]
    still_written: tuple[str, ...]
    seconds: float
