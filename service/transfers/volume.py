"""The counted files and bytes of one transfer, or of all."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Volume:
    """Files put into an archive, bytes of session files that were read, files skipped, and bytes of bodies sent.

    The names are those of the audit rows' parameters.
    """

    file_count: int = 0
    total_bytes: int = 0
    skipped: int = 0
    bytes_sent: int = 0

    def __add__(self, other: "Volume") -> "Volume":
        return Volume(
            self.file_count + other.file_count,
            self.total_bytes + other.total_bytes,
            self.skipped + other.skipped,
            self.bytes_sent + other.bytes_sent,
        )

    def progress(self, announced: "Volume", seconds: float) -> str:
        """The progress relative to the announced volume, for the log."""
        files = f" and {self.file_count} of {announced.file_count} files" if announced.file_count else ""
        rate = self.bytes_sent / seconds / 1e6
        return (
            f"{self.total_bytes} of {announced.total_bytes} bytes{files} read, {self.bytes_sent} sent, {rate:.1f} MB/s"
        )
