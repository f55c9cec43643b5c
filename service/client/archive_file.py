"""An export saved as one ZIP file. If the transfer breaks off, the partial file is kept, so that the next transfer
resumes it, even in another process."""

from pathlib import Path

from service.client.partial_file import PartialFile
from service.client.reader import Reader

CHUNK = 1024 * 1024  # bytes read back at a time


class ArchiveFile(PartialFile):
    """A partial file that is verified while it is written."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.reader = Reader()
        self._restored = 0

    @property
    def text_bytes(self) -> int:
        return self.reader.text_bytes

    def restore(self) -> bool:
        """Feed the next chunk of the partial file to the reader, as if it had just arrived."""
        chunk = self.read_at(self._restored, CHUNK)
        self.reader.feed(chunk)
        self._restored += len(chunk)
        return bool(chunk)

    def restart(self, tag: str) -> None:
        super().restart(tag)
        self.reader = Reader()

    def write(self, chunk: bytes) -> None:
        super().write(chunk)
        self.reader.feed(chunk)

    def finish(self) -> None:
        self.reader.close()
        super().finish()
