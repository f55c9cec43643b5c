"""One export: the files of a listing as a ZIP, made while it is sent, on all cores.

stream-zip makes the archive, but its compressor only returns what was deflated already. The blocks of the files are
read and deflated in a pool before they are needed (blocks.py), each apart from the others, as deflate allows (RFC 1951,
see codec.py), and are framed in order. In a ZIP, sizes and checksum may follow the data (APPNOTE 4.3.9,
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

from stream_zip import MemberFile, stream_zip

from service.archive.blocks import Block, Blocks
from service.archive.codec import CODECS, Compression, crc32
from service.archive.methods import MemberMethod
from service.pools import Pool
from service.store import Listing, OpenFile, Skipped

CHUNK = 512 * 1024  # bytes; twice that is no faster and takes a third more memory

MODE = stat.S_IFREG | 0o600
# The earliest time that MS-DOS fields hold (APPNOTE 4.4.6), and the latest of a signed 32-bit Unix time, which the
# extended timestamp extra field holds.
EARLIEST = int(datetime(1980, 1, 1, tzinfo=UTC).timestamp())
LATEST = 2**31 - 1

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
        """Files are opened with `open_file` and deflated in `pool`, which all archives may share.

        A file that cannot be opened is skipped; only StoreUnavailable ends the archive.
        """
        codec = CODECS[compression]
        self._blocks = Blocks(listing, open_file, pool, codec)
        self._codec = codec
        self._deflated = b""
        self.file_count = 0
        self.total_bytes = 0
        self.skipped = list(listing.skipped)

    def chunks(self) -> Generator[bytes, None, None]:
        """The archive, in chunks of up to 1.5 MiB. Blocks; close it to close the files.

        Raises StoreError when a file cannot be read to its end: the archive is broken then, and must not end well.
        """
        try:
            yield from _gathered(stream_zip(self._members(), chunk_size=CHUNK, get_compressobj=self._compressor))
        finally:
            self._blocks.close()

    def stop(self) -> None:
        """Make `chunks`, which runs in another thread, return soon, so that it can be closed."""
        self._blocks.stop()

    def _compressor(self) -> Any:
        """For stream-zip, once a member: an object that, as a compressor, returns what is deflated already."""
        return self

    def compress(self, _text: bytes) -> bytes:
        """For stream-zip: the deflated form of the text that it was given by `_texts`."""
        return self._deflated

    def flush(self) -> bytes:
        """For stream-zip: nothing, as the last block's deflated form ends the stream."""
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
            MemberMethod(head.size, head.crc),
            self._texts(first, following),
        )

    def _texts(self, block: Block, following: Iterator[Block | Skipped]) -> Iterator[bytes]:
        while True:
            self._deflated = block.deflated
            self.total_bytes += len(block.text)
            yield block.text
            if block.is_last:
                return
            follower = next(following)
            assert isinstance(follower, Block)  # noqa: S101 - up to the last one, a member's blocks stand together
            block = follower

    def _report(self) -> MemberFile:
        """The last member, which names the files that were skipped."""
        rows = [{"name": item.name, "reason": item.reason} for item in self.skipped]
        text = json.dumps(rows, indent=1, ensure_ascii=False).encode() + b"\n"
        crc = crc32(text) if self._codec.needs_crc else None
        self._deflated = self._codec.deflate(text, b"", True)
        return SKIPPED, zip_time(0), MODE, MemberMethod(len(text), crc), [text]


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
