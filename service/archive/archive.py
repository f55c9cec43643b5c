"""One export: the files of a listing as a ZIP, made while it is sent, on all cores.

The trick: stream-zip makes the archive, but what it takes for its compressor only hands over what was deflated
already. The blocks of the files are read and deflated ahead in a pool (blocks.py), apart from each other, as deflate
allows (RFC 1951, see codec.py), and framed in order. ZIP lets sizes and checksum follow the data (APPNOTE 4.3.9,
https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT), so nothing has to be known of a file before it is read.

A member is the file as it was when it was opened: as many bytes as it had then. Two archives of the same unchanged
files are the same bytes.
"""

import json
import stat
from collections.abc import Callable, Generator, Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from stream_zip import NO_COMPRESSION_32, NO_COMPRESSION_64, ZIP_32, ZIP_64, MemberFile, Method, stream_zip

from service.archive.blocks import Block, Blocks
from service.archive.codec import CODECS, Compression, crc32
from service.pools import Pool
from service.store import Listing, OpenFile, Skipped

CHUNK = 512 * 1024  # bytes; twice that is no faster and takes a third more memory

MODE = stat.S_IFREG | 0o600
# The earliest time that MS-DOS fields hold (APPNOTE 4.4.6), and the latest of a signed 32-bit Unix time, which the
# extended timestamp extra field holds.
EARLIEST = int(datetime(1980, 1, 1, tzinfo=UTC).timestamp())
LATEST = 2**31 - 1

# Without ZIP64, an archive holds at most 65,535 members and 4 GiB (APPNOTE 4.4.1.4). The margin is for headers, for
# what deflate adds to data that does not compress, and for files that grow between listing and opening.
MOST_MEMBERS = 0xFFFF
MOST_BYTES = 0xFFFF_FFFF
MARGIN = 64 * 1024 * 1024
HEADERS = 1024  # bytes at most for a member, local and central, with the longest name; a report's row has fewer

SKIPPED = "_skipped.json"


class Archive:
    """A ZIP of a listing's files. While `chunks` runs, the counts say what went in so far."""

    def __init__(
        self,
        listing: Listing,
        open_file: Callable[[str], OpenFile],
        pool: Pool,
        compression: Compression = Compression.FAST,
    ) -> None:
        """`open_file` is the store's door; it and the deflating run in `pool`, which all archives may share.

        A file that the door refuses is skipped; only StoreUnavailable ends the archive.
        """
        codec = CODECS[compression]
        self._blocks = Blocks(listing, open_file, pool, codec)
        self._codec = codec
        self._zip64 = _needs_zip64(listing)
        self._handed_over = b""
        self.file_count = 0
        self.total_bytes = 0
        self.skipped = list(listing.skipped)

    def chunks(self) -> Generator[bytes, None, None]:
        """The archive, in chunks of up to 1.5 MiB. Blocks; close it to give back what is open.

        Raises StoreError when a file cannot be read to its end: the archive is broken then, and must not end well.
        """
        try:
            yield from _gathered(stream_zip(self._members(), chunk_size=CHUNK, get_compressobj=self._compressor))
        finally:
            self._blocks.close()

    def stop(self) -> None:
        """Make whoever is in `chunks`, in another thread, come back soon, so that it can be closed."""
        self._blocks.stop()

    def _compressor(self) -> Any:
        """What stream-zip calls once a member: not a compressor, but one who hands over what is deflated already."""
        return self

    def compress(self, _text: bytes) -> bytes:
        """For stream-zip: the deflated form of the text that it has just been given."""
        return self._handed_over

    def flush(self) -> bytes:
        """For stream-zip: nothing, as the last block's form has the stream's end."""
        return b""

    def _members(self) -> Iterator[MemberFile]:
        blocks = iter(self._blocks)
        for block in blocks:
            if isinstance(block, Skipped):
                self.skipped.append(block)
            else:
                yield self._member(block, blocks)
                self.file_count += 1
        if self.skipped:
            yield self._report()

    def _member(self, first: Block, following: Iterator[Block | Skipped]) -> MemberFile:
        head = first.head
        assert head is not None  # noqa: S101 - a member's first block has it
        return (
            head.name,
            zip_time(head.mtime_ns),
            MODE,
            self._method(head.size, head.crc),
            self._texts(first, following),
        )

    def _texts(self, block: Block, following: Iterator[Block | Skipped]) -> Iterator[bytes]:
        while True:
            self._handed_over = block.deflated
            self.total_bytes += len(block.text)
            yield block.text
            if block.is_last:
                return
            follower = next(following)
            assert isinstance(follower, Block)  # noqa: S101 - up to the last one, a member's blocks stand together
            block = follower

    def _method(self, size: int, crc: int | None) -> Method:
        if crc is None:
            return ZIP_64 if self._zip64 else ZIP_32
        return (NO_COMPRESSION_64 if self._zip64 else NO_COMPRESSION_32)(size, crc)

    def _report(self) -> MemberFile:
        """The last member, which tells what was left out."""
        rows = [{"name": item.name, "reason": item.reason} for item in self.skipped]
        text = json.dumps(rows, indent=1, ensure_ascii=False).encode() + b"\n"
        crc = crc32(text) if self._codec.needs_crc else None
        self._handed_over = self._codec.deflate(text, b"", True)
        return SKIPPED, zip_time(0), MODE, self._method(len(text), crc), [text]


def _gathered(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The first piece at once, then as many together as make a chunk: stream-zip ends a piece at each member, and a
    piece costs a hop between threads and a write to the client."""
    pieces = iter(pieces)
    yield from islice(pieces, 1)
    kept: list[bytes] = []
    size = 0
    for piece in pieces:
        kept.append(piece)
        size += len(piece)
        if size >= CHUNK:
            yield b"".join(kept)
            kept, size = [], 0
    if kept:
        yield b"".join(kept)


def zip_time(mtime_ns: int) -> datetime:
    """The nearest time that a ZIP can hold, in UTC."""
    return datetime.fromtimestamp(min(max(mtime_ns // 10**9, EARLIEST), LATEST), UTC)


def _needs_zip64(listing: Listing) -> bool:
    members = len(listing.sizes) + 1
    size = listing.total_bytes + HEADERS * (members + 2 * len(listing.skipped))
    return members > MOST_MEMBERS or size > MOST_BYTES - MARGIN
