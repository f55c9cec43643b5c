"""A whole archive whose length is not known yet: the files of a plan as a ZIP, made while it is sent, on all cores.

stream-zip makes the archive, but its compressor only returns blocks that are deflated already. A pool reads and
deflates the blocks before they are needed (blocks.py), each independently of the others, as deflate allows (RFC 1951,
see codec.py); they are framed in order. In a ZIP, sizes and checksum may follow the data (APPNOTE 4.3.9,
https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT), so a file need not be read before its header is sent.
The figures of the members (sizes and checksums) are remembered, so that the length of the next archive with them is
known (part.py).
"""

from collections.abc import Generator, Iterator, Mapping
from typing import Any

from stream_zip import MemberFile, stream_zip

from service.archive.blocks import Block, Blocks
from service.archive.counts import Counts
from service.archive.figures import Hashed
from service.archive.framing import MODE, zip_time
from service.archive.gather import CHUNK, gathered
from service.archive.manifest import Written, first_reports, last_reports
from service.archive.members import Opener, Source
from service.archive.methods import MemberMethod
from service.archive.plan import Plan
from service.archive.remembered import Remembered
from service.archive.reports import MTIME_NS, Report
from service.pools import Pool
from service.store import Skipped


class Archive:
    """While `chunks` runs, `counts` has the files and bytes written so far.

    `kept_to_plan` becomes false if a file is skipped, or was replaced since the listing: the plan's tag does not
    identify this archive then.
    """

    def __init__(self, plan: Plan, sources: Mapping[str, Source], pool: Pool, remembered: Remembered) -> None:
        """`sources` maps each folder's path to its source. All archives may share `pool`, in which blocks are deflated.

        A file that cannot be opened is skipped; only StoreUnavailable ends the archive.
        """
        self.plan = plan
        self._codec = plan.codec
        opener = Opener(plan, sources, strict=False)
        self._blocks = Blocks(opener, range(plan.file_count), pool, remembered)
        self._data = b""
        self.kept_to_plan = True
        self.counts = Counts(len(plan.folders))
        self.skipped = list(plan.skipped)
        self._hashed = Hashed(plan.file_count) if plan.origin else None  # for the manifest
        self._replaced: dict[int, tuple[int, int]] = {}

    def chunks(self) -> Generator[bytes, None, None]:
        """The archive, in chunks of up to 1.5 MiB. Blocks; close it to close the files.

        Raises StoreError when a file cannot be read to its end: the archive is broken then, and the response must break
        off.
        """
        try:
            yield from gathered(stream_zip(self._members(), chunk_size=CHUNK, get_compressobj=self._compressor))
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
        return self._data

    def flush(self) -> bytes:
        """For stream-zip: nothing, as the last block's deflated form ends the stream."""
        return b""

    def _members(self) -> Iterator[MemberFile]:
        yield from map(self._report, first_reports(self.plan))
        blocks = iter(self._blocks)
        for block in blocks:
            if isinstance(block, Skipped):
                self.kept_to_plan = False
                self.skipped.append(block)
            else:
                yield self._member(block, blocks)
                self.counts.add_file(block.member.folder)
        yield from map(self._report, last_reports(self.plan, self._written()))

    def _member(self, first: Block, following: Iterator[Block | Skipped]) -> MemberFile:
        member = first.member
        if not member.as_planned:
            self.kept_to_plan = False
            self._replaced[member.row] = (member.size, member.mtime_ns)
        crc = member.crc if self._codec.needs_crc else None
        return (
            member.name,
            zip_time(member.mtime_ns),
            MODE,
            MemberMethod(member.size, crc),
            self._texts(first, following),
        )

    def _texts(self, block: Block, following: Iterator[Block | Skipped]) -> Iterator[bytes]:
        while True:
            self._data = block.data
            self.counts.add_bytes(block.member.folder, len(block.text))
            yield block.text
            if block.is_last:
                if self._hashed is not None and block.figures is not None:
                    self._hashed.put(block.member.row, block.figures)
                return
            follower = next(following)
            assert isinstance(follower, Block)  # noqa: S101 - the blocks of a member are consecutive
            block = follower

    def _report(self, report: Report) -> MemberFile:
        method = MemberMethod(report.size, report.measure.crc if self._codec.needs_crc else None)
        return report.name, zip_time(MTIME_NS), MODE, method, self._report_texts(report)

    def _report_texts(self, report: Report) -> Iterator[bytes]:
        for text, data in report.pieces(stored=self._codec.needs_crc):
            self._data = data
            yield text

    def _written(self) -> Written:
        counts = self.counts
        return Written(self._hashed or (), self.skipped, counts.file_count, counts.total_bytes, self._replaced)
