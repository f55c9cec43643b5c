"""How much went through: of one transfer, or of all."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Volume:
    """Bytes of sessions that were read, bytes of bodies that were sent, files put into archives and left out."""

    bytes_read: int = 0
    bytes_sent: int = 0
    members: int = 0
    skipped: int = 0

    def __add__(self, other: "Volume") -> "Volume":
        return Volume(
            self.bytes_read + other.bytes_read,
            self.bytes_sent + other.bytes_sent,
            self.members + other.members,
            self.skipped + other.skipped,
        )

    def progress(self, announced: Mapping[str, Any], seconds: float) -> str:
        """How far it is, of what was announced for the audit log."""
        total = announced.get("total_bytes", announced.get("bytes", 0))
        files = f" and {self.members} of {announced['file_count']} files" if "file_count" in announced else ""
        rate = self.bytes_sent / seconds / 1e6
        return f"{self.bytes_read} of {total} bytes{files} read, {self.bytes_sent} sent, {rate:.1f} MB/s"
