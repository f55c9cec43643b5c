"""One export: the files of a listing, framed as a ZIP while they are read.

stream-zip makes the archive; igzip deflates it, through stream-zip's hook `get_compressobj`. One block of one file is
in memory at a time. A member is the file as it was when it was opened: as many bytes as it had then. Two archives of
the same unchanged files are the same bytes.
"""

import json
import stat
from collections.abc import Callable, Generator, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from isal import isal_zlib
from stream_zip import ZIP_32, ZIP_64, MemberFile, stream_zip

from service.store import Listing, OpenFile, Skipped, StoreError, StoreUnavailable

BLOCK = 256 * 1024
CHUNK = 256 * 1024
# igzip's level 2: 410 MB/s a core at a ratio of 3.3 on transcripts, where zlib's level 6 does 35 MB/s at 3.8.
IGZIP_LEVEL = 2

MODE = stat.S_IFREG | 0o600
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# The earliest time that MS-DOS fields hold (APPNOTE 4.4.6), and the latest of a signed 32-bit Unix time, which the
# extended timestamp extra field holds: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
EARLIEST = datetime(1980, 1, 1, tzinfo=UTC)
LATEST = datetime(2038, 1, 19, 3, 14, 7, tzinfo=UTC)

# Without ZIP64, an archive holds at most 65,535 members and 4 GiB (APPNOTE 4.4.1.4). The margin is for headers, for
# what deflate adds to data that does not compress, and for files that grow between listing and opening.
MOST_MEMBERS = 0xFFFF
MOST_BYTES = 0xFFFF_FFFF
MARGIN = 64 * 1024 * 1024
HEADERS = 512  # bytes at most for a member, local and central, beside its name

SKIPPED = "_skipped.json"


class Archive:
    """A ZIP of a listing's files. While `chunks` runs, the counts say what went in so far."""

    def __init__(self, listing: Listing, open_file: Callable[[str], OpenFile]) -> None:
        """`open_file` is the store's door. A file it refuses is skipped; only StoreUnavailable ends the archive."""
        self._listing = listing
        self._open_file = open_file
        self.file_count = 0
        self.total_bytes = 0
        self.skipped = list(listing.skipped)

    def chunks(self) -> Generator[bytes, None, None]:
        """The archive, in chunks of at most 256 KiB. Blocks; close it to give back what is open.

        Raises StoreError when a file cannot be read to its end: the archive is broken then, and must not end well.
        """
        members = self._members()
        try:
            yield from stream_zip(
                members,
                chunk_size=CHUNK,
                get_compressobj=_deflater,
            )
        finally:
            members.close()

    def _members(self) -> Generator[MemberFile, None, None]:
        method = ZIP_64 if _needs_zip64(self._listing) else ZIP_32
        for listed in self._listing.files:
            try:
                file = self._open_file(listed.name)
            except StoreUnavailable:
                raise
            except StoreError as error:
                self.skipped.append(Skipped(listed.name, str(error)))
                continue
            try:
                yield file.name, zip_time(file.mtime_ns), MODE, method, self._blocks(file)
            finally:
                file.close()
            self.file_count += 1
        if self.skipped:
            yield SKIPPED, EARLIEST, MODE, method, [_report(self.skipped)]

    def _blocks(self, file: OpenFile) -> Iterator[bytes]:
        for offset in range(0, file.size, BLOCK):
            block = file.read_at(offset, min(BLOCK, file.size - offset))
            self.total_bytes += len(block)
            yield block


def _deflater() -> Any:
    """Raw deflate (RFC 1951), with the two methods of zlib's compressor that stream-zip calls."""
    return isal_zlib.compressobj(IGZIP_LEVEL, isal_zlib.DEFLATED, -isal_zlib.MAX_WBITS)


def zip_time(mtime_ns: int) -> datetime:
    """The nearest time that a ZIP can hold, in UTC."""
    earliest, latest = EARLIEST.timestamp(), LATEST.timestamp()
    return EPOCH + timedelta(seconds=int(min(max(mtime_ns / 1e9, earliest), latest)))


def _needs_zip64(listing: Listing) -> bool:
    members = len(listing.files) + 1
    size = sum(file.size + HEADERS + 2 * len(file.name) for file in listing.files)
    size += sum(len(skipped.name) * 6 + HEADERS for skipped in listing.skipped)
    return members > MOST_MEMBERS or size > MOST_BYTES - MARGIN


def _report(skipped: Iterable[Skipped]) -> bytes:
    rows = [{"name": item.name, "reason": item.reason} for item in skipped]
    return json.dumps(rows, indent=1, ensure_ascii=False).encode() + b"\n"
