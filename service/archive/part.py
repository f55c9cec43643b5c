"""Any part of an archive whose figures are all known, made without the parts before it.

Making a part begins with the block that contains its first byte, so at most one block is deflated in vain. Each block
is compared with its remembered figures before any of it is sent.
"""

from bisect import bisect_right
from collections.abc import Generator, Iterator, Mapping, Sequence

from service.archive.blocks import Block, Blocks
from service.archive.codec import BLOCK
from service.archive.counts import Counts
from service.archive.figures import BLOCK_FIGURES, blocks_of
from service.archive.gather import gathered
from service.archive.layout import Layout
from service.archive.members import Changed, Opener, Source
from service.archive.remembered import Remembered
from service.pools import Pool
from service.store import Skipped


class Part:
    """The bytes `wanted` of an archive. While `chunks` runs, `counts` has the files and bytes read so far."""

    def __init__(
        self, layout: Layout, wanted: range, sources: Mapping[str, Source], pool: Pool, remembered: Remembered
    ) -> None:
        """`wanted` is not empty, and within the layout's size."""
        self._layout = layout
        self._wanted = wanted
        plan, offsets = layout.plan, layout.offsets
        first = max(bisect_right(offsets, wanted.start) - 1, 0)
        last = min(bisect_right(offsets, wanted.stop - 1), plan.file_count)
        self._rows = range(first, max(first, last))
        self._at, self._block = self._beginning()
        opener = Opener(plan, sources, strict=True)
        self._blocks = Blocks(opener, self._rows, pool, None, begin=self._block * BLOCK)
        self._remembered = remembered
        self.skipped: Sequence[Skipped] = plan.skipped
        self.counts = Counts(len(plan.folders))

    @property
    def files(self) -> int:
        """How many session files will be read."""
        return len(self._rows)

    @property
    def text_bytes(self) -> int:
        """How many bytes of session files will be read, at most."""
        return sum(self._layout.plan.sizes[self._rows.start : self._rows.stop]) - self._block * BLOCK

    def chunks(self) -> Generator[bytes, None, None]:
        """The part, in chunks of up to 1.5 MiB. Blocks; close it to close the files.

        Raises Changed if a file does not match its remembered figures, which are then dropped, and StoreError if it
        cannot be read.
        """
        try:
            yield from gathered(self._clipped())
        except Changed as error:
            self._remembered.forget(error.key)
            raise
        finally:
            self._blocks.close()

    def stop(self) -> None:
        """Make `chunks`, which runs in another thread, return soon, so that it can be closed."""
        self._blocks.stop()

    def _beginning(self) -> tuple[int, int]:
        """Where to start: the offset in the archive, and the index of the block in the first row."""
        layout = self._layout
        if self._wanted.start < layout.offsets[0]:
            return 0, 0
        if not self._rows:
            return layout.offsets[-1], 0
        (entry,) = layout.entries(self._rows[:1])
        at = entry.offset + layout.plan.framing.before(len(entry.name), entry.zip64)
        sizes = [packed for packed, _ in BLOCK_FIGURES.iter_unpack(blocks_of(layout.figures[self._rows.start]))]
        number = 0
        for size in sizes[:-1]:  # the descriptor, which follows the last block, is made together with it
            if self._wanted.start < at + size:
                break
            at += size
            number += 1
        return (at, number) if number else (entry.offset, 0)

    def _clipped(self) -> Iterator[bytes]:
        at, start, stop = self._at, self._wanted.start, self._wanted.stop
        for piece in self._pieces():
            end = at + len(piece)
            if piece and end > start:
                yield piece[max(start - at, 0) : stop - at] if at < start or end > stop else piece
            at = end
            if at >= stop:
                return

    def _pieces(self) -> Iterator[bytes]:
        """The archive from `_at` to its end; the caller stops when it has enough."""
        layout, framing = self._layout, self._layout.plan.framing
        blocks = iter(self._blocks)
        number = self._block
        if not self._at:
            yield from layout.head()
        for row, entry in zip(self._rows, layout.entries(self._rows), strict=True):
            if not number:
                yield framing.local(entry)
            folder = yield from self._data(blocks, row, number)
            yield framing.descriptor(entry)
            self.counts.add_file(folder)
            number = 0
        yield from layout.tail()
        yield from layout.directory()

    def _data(self, blocks: Iterator[Block | Skipped], row: int, first: int) -> Generator[bytes, None, int]:
        """A member's data from block `first` on; returns its folder."""
        folder = 0
        expected = blocks_of(self._layout.figures[row])[first * BLOCK_FIGURES.size :]
        for figures in BLOCK_FIGURES.iter_unpack(expected):
            block = next(blocks)
            assert isinstance(block, Block)  # noqa: S101 - a strict opener skips nothing
            if figures != (len(block.data), block.data_crc):
                raise Changed(block.member.name, block.member.key)
            folder = block.member.folder
            self.counts.add_bytes(folder, len(block.text))
            yield block.data
        return folder
