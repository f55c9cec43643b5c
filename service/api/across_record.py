"""The audit rows of an export across users: one row when it begins, and one for each user when it ends."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from service.archive import Archive, Folder, Part
from service.catalog.actions import EXPORT, USERS
from service.sessions import username
from service.transfers.record import Entry
from service.transfers.volume import Volume

RESOURCE = "sessions"


@dataclass(frozen=True, slots=True)
class AcrossRecord:
    """`params` are in all rows."""

    folders: Sequence[Folder]
    archive: Archive | Part
    announced: Volume
    params: dict[str, Any]

    action = EXPORT

    def volume(self, bytes_sent: int) -> Volume:
        counts = self.archive.counts
        return Volume(counts.file_count, counts.total_bytes, len(self.archive.skipped), bytes_sent)

    def started(self) -> Entry:
        announced = {"file_count": self.announced.file_count, "total_bytes": self.announced.total_bytes}
        return Entry(RESOURCE, self.params | {USERS: [folder.user_id for folder in self.folders]} | announced)

    def ended(self, volume: Volume) -> list[Entry]:
        """An entry for each user with files in the archive or skipped files, so that a search for a user finds every
        export of their sessions. `bytes_sent` is that of the whole transfer. If there is no such user, one entry."""
        skipped = self._skipped_by_path()
        entries = [
            self._entry(folder, files, total_bytes, skipped.get(folder.path, 0), volume.bytes_sent)
            for index, folder in enumerate(self.folders)
            for files, total_bytes in [self.archive.counts.of(index)]
            if files or total_bytes or folder.path in skipped
        ]
        return entries or [Entry(RESOURCE, self.params | _numbers(0, 0, 0, volume.bytes_sent))]

    def _entry(self, folder: Folder, files: int, total_bytes: int, skipped: int, bytes_sent: int) -> Entry:
        params = {"username": username(folder.user_id, folder.email)} | self.params
        return Entry(f"users/{folder.user_id}/sessions", params | _numbers(files, total_bytes, skipped, bytes_sent))

    def _skipped_by_path(self) -> dict[str, int]:
        counts: dict[str, int] = {}
        for item in self.archive.skipped:
            path = f"{item.name.partition('/')[0]}/"
            counts[path] = counts.get(path, 0) + 1
        return counts


def _numbers(files: int, total_bytes: int, skipped: int, bytes_sent: int) -> dict[str, int]:
    return {"file_count": files, "total_bytes": total_bytes, "skipped": skipped, "bytes_sent": bytes_sent}
