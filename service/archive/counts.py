"""The files and bytes written to an archive so far."""

from array import array


class Counts:
    """Session files and their uncompressed bytes, in all and by a folder's index in the plan. One thread writes; any
    thread may read. `folder` is the index of the folder that is being written."""

    def __init__(self, folders: int) -> None:
        self._files = array("Q", bytes(8 * folders))
        self._bytes = array("Q", bytes(8 * folders))
        self.folder = 0
        self.file_count = 0
        self.total_bytes = 0

    def add_bytes(self, folder: int, count: int) -> None:
        self.folder = folder
        self._bytes[folder] += count
        self.total_bytes += count

    def add_file(self, folder: int) -> None:
        self._files[folder] += 1
        self.file_count += 1

    def of(self, folder: int) -> tuple[int, int]:
        """Files and bytes."""
        return self._files[folder], self._bytes[folder]
