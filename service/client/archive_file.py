"""An export as one ZIP file. What has arrived of it stays when the transfer breaks off, so that the next one resumes
it, whatever ended the process."""

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
        """The reader goes on from the end of what is read back, as if it had just arrived."""
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
