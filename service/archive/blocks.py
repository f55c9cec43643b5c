"""The work in the pool: files are opened, read and deflated, in jobs of about the same size.

A big file is split into a job for each block; small files are batched, since each job costs a thread switch. The jobs
run ahead of the consumer, also across users. Their results, taken in order, are the blocks of all files in order.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial

from service.archive.codec import BLOCK, crc32, crc32_joined
from service.archive.figures import Tally
from service.archive.members import Changed, Member, Opener
from service.archive.plan import Listed, key_of
from service.archive.prefetch import Prefetch
from service.archive.remembered import Remembered
from service.pools import Pool
from service.store import OpenFile, Skipped

BATCH_FILES = 256
BATCH_FOLDERS = 4  # whose directories a batch holds open
EXTRA_JOBS = 2  # submitted beyond one for each thread, so that no thread waits for its next job


@dataclass(eq=False, slots=True)
class Block:
    """A piece of a member: its text, its bytes in the archive (`data`), and the CRC-32 of each."""

    member: Member
    text: bytes
    data: bytes
    crc: int
    data_crc: int
    is_first: bool
    is_last: bool
    figures: bytes | None = None  # of the member; set on its last block if figures are to be remembered


@dataclass(eq=False, slots=True)
class TooBig:
    """A file that was small when it was listed, and has been replaced by one that is too big for its batch."""

    listed: Listed


def most_open_files(threads: int) -> int:
    """How many files one archive has open at most, in a pool with this many threads: one for each of its jobs, and the
    one whose blocks are being framed."""
    return threads + EXTRA_JOBS + 1


def most_open_folders(threads: int) -> int:
    """How many folders one archive of many has open at most."""
    return most_open_files(threads) * BATCH_FOLDERS


class Stopped(Exception):
    """The archive was stopped: its blocks are no longer needed."""


Result = Block | TooBig | Skipped
Job = Callable[[], tuple[int, list[Result]]]  # it returns the number of its first file's folder, and its results


class Blocks:
    """The blocks of a plan's rows, and the figures of their files. Close it to stop its jobs and close its files."""

    def __init__(
        self,
        opener: Opener,
        rows: Sequence[int],
        pool: Pool,
        remembered: Remembered | None,
        begin: int = 0,
    ) -> None:
        """`rows` are rows of the opener's plan, ascending. The first file is read from byte `begin`, a multiple of
        BLOCK. If `remembered` is given, figures are put into it. With a strict opener, the first file is then read from
        where an earlier export or measurement broke off.

        The pool may be shared. At most `pool.threads` + EXTRA_JOBS of these jobs are submitted and not taken yet, so
        memory is bounded and every archive gets its turn.
        """
        self._opener = opener
        self._rows = rows
        self._codec = opener.plan.codec
        self._pool = pool
        self._remembered = remembered
        self._hashed = opener.plan.origin is not None
        self._crc_first = self._codec.needs_crc and not opener.strict  # otherwise it is known before
        self._depth = pool.threads + EXTRA_JOBS
        self._open: set[OpenFile] = set()
        self._folder = 0
        self._tallied = b""  # the key of the member whose blocks are in the tally
        self._tally = self._unfinished()
        self._begin = self._tally.size if self._tally else begin
        opener.will_read(rows, self._begin)
        self._stopped = False
        self._prefetch = Prefetch(self._jobs(), pool.executor, self._depth)

    def __iter__(self) -> Iterator[Block | Skipped]:
        """Blocks and skipped files, in the order of the rows.

        Raises StoreError if a file cannot be read to its end or has changed since the plan, and StoreUnavailable.
        """
        for folder, results in self._prefetch:
            self._close_folders_before(folder)
            for result in results:
                if isinstance(result, TooBig):
                    yield from map(self._take, self._make_blocks(result.listed))
                else:
                    yield self._take(result)

    def stop(self) -> None:
        """Stop computing the checksum of a large file. May be called from any thread."""
        self._stopped = True

    def close(self) -> None:
        self._prefetch.close()
        if self._tally is not None and self._remembered is not None:
            self._remembered.put_unfinished(self._tallied, self._tally)
        for file in list(self._open):
            self._close(file)
        self._opener.close()

    def _close_folders_before(self, folder: int) -> None:
        """Close the directories of the folders before this one. As results are taken in order, no job needs them."""
        for done in range(self._folder, folder):
            self._opener.close_folder(done)
        self._folder = folder

    def _take(self, result: Block | Skipped) -> Block | Skipped:
        """Note the figures of a file with several blocks, and close the file after its last block."""
        if isinstance(result, Skipped):
            return result
        member = result.member
        if self._remembered is not None and result.figures is None:
            self._add_to_tally(result, self._remembered)
        if result.is_last:
            self._close(member.file)
        return result

    def _unfinished(self) -> Tally | None:
        """The figures of the first blocks of the first file, if an export or a measurement broke off within it."""
        if self._remembered is None or not self._opener.strict or not self._rows:
            return None
        (listed,) = self._opener.plan.rows(self._rows[:1])
        self._tallied = key_of(listed.identity, listed.size, listed.mtime_ns, self._opener.plan.dialect)
        return self._remembered.take_unfinished(self._tallied, hashed=self._hashed)

    def _add_to_tally(self, block: Block, remembered: Remembered) -> None:
        """Add a block of a big file; its blocks arrive in order."""
        if block.is_first:
            self._tally = Tally(self._hashed)
        if self._tally is not None:
            self._tallied = block.member.key
            self._tally.add(block.text, block.crc, len(block.data), block.data_crc)
            if block.is_last:
                finished, self._tally = self._tally, None
                self._finish(block, finished, remembered)

    def _finish(self, block: Block, tally: Tally, remembered: Remembered) -> None:
        """Remember the figures of a member. A strict opener raises Changed if the file has changed since it was listed:
        a manifest sent earlier may not mark the file as changed."""
        member = block.member
        changed = self._hashed and member.was_changed()
        if changed and self._opener.strict:
            raise Changed(member.name, member.key)
        block.figures = tally.figures(changed)
        remembered.put(member.key, block.figures)

    def _jobs(self) -> Iterator[Job]:
        """The jobs in order. They are made in the consumer's thread, whenever the pool has room for them."""
        batch: list[Listed] = []
        room = 0  # the first batch is one file, so that the first byte does not wait for more
        begin = self._begin
        for listed in self._opener.plan.rows(self._rows):
            is_small = listed.size <= BLOCK and not begin
            if is_small:
                batch.append(listed)
                room -= listed.size
            if batch and (room <= 0 or not is_small or _is_full(batch)):
                yield partial(self._small_files, batch)
                batch, room = [], BLOCK
            if not is_small:
                yield from self._big_file_jobs(listed, begin)
                begin = 0
        if batch:
            yield partial(self._small_files, batch)

    def _big_file_jobs(self, listed: Listed, begin: int) -> Iterator[Job]:
        member = self._opened(listed)
        if isinstance(member, Skipped):
            yield lambda: (listed.folder, [member])
            return
        for offset in _offsets(member, begin):
            yield partial(self._one_block, member, offset)

    def _small_files(self, batch: list[Listed]) -> tuple[int, list[Result]]:
        room = 2 * BLOCK  # twice the listed bytes; no batch holds more in memory
        results: list[Result] = []
        for listed in batch:
            result = self._small_file(listed, min(room, BLOCK))
            room -= len(result.text) if isinstance(result, Block) else 0
            results.append(result)
        return batch[0].folder, results

    def _small_file(self, listed: Listed, most: int) -> Result:
        member = self._opener.open(listed)
        if isinstance(member, Skipped):
            return member
        if member.size > most:
            member.file.close()
            return TooBig(listed)
        try:
            text = member.file.read_at(0, member.size)
            block = self._block_of(member, text, b"", is_first=True, is_last=True)
            member.crc = block.crc
            if self._remembered is not None:
                tally = Tally(self._hashed)
                tally.add(text, block.crc, len(block.data), block.data_crc)
                self._finish(block, tally, self._remembered)
        finally:
            member.file.close()
        return block

    def _one_block(self, member: Member, offset: int) -> tuple[int, list[Result]]:
        return member.folder, [self._block(member, offset)]

    def _block(self, member: Member, offset: int) -> Block:
        text = _text(member, offset)
        window = min(self._codec.window, offset)
        before = member.file.read_at(offset - window, window) if window else b""
        is_last = offset + len(text) == member.size
        return self._block_of(member, text, before, is_first=not offset, is_last=is_last)

    def _block_of(self, member: Member, text: bytes, before: bytes, *, is_first: bool, is_last: bool) -> Block:
        data = self._codec.deflate(text, before, is_last)
        crc = crc32(text)
        data_crc = crc if data is text else crc32(data)
        return Block(member, text, data, crc, data_crc, is_first, is_last)

    def _make_blocks(self, listed: Listed) -> Iterator[Block | Skipped]:
        """Make the blocks of a file in this thread: rare, and simpler than changing the order of the jobs."""
        member = self._opened(listed)
        if isinstance(member, Skipped):
            yield member
            return
        for offset in _offsets(member):
            yield self._block(member, offset)

    def _opened(self, listed: Listed) -> Member | Skipped:
        member = self._opener.open(listed)
        if isinstance(member, Member):
            self._open.add(member.file)
            if self._crc_first:
                member.crc = self._checksum(member)
        return member

    def _checksum(self, member: Member) -> int:
        """The checksum of the whole file. It is in the header before the data, so the file is read twice."""
        jobs = (partial(_text_checksum, member, offset) for offset in _offsets(member))
        total = 0
        with closing(Prefetch(jobs, self._pool.executor, self._depth)) as checksums:
            for crc, length in checksums:
                if self._stopped:
                    raise Stopped
                total = crc32_joined(total, crc, length)
        return total

    def _close(self, file: OpenFile) -> None:
        self._open.discard(file)
        file.close()


def _is_full(batch: list[Listed]) -> bool:
    return len(batch) == BATCH_FILES or batch[-1].folder - batch[0].folder >= BATCH_FOLDERS - 1


def _offsets(member: Member, begin: int = 0) -> range:
    """The offsets of the blocks; an empty file also has one block."""
    return range(begin, max(member.size, 1), BLOCK)


def _text(member: Member, offset: int) -> bytes:
    return member.file.read_at(offset, min(BLOCK, member.size - offset))


def _text_checksum(member: Member, offset: int) -> tuple[int, int]:
    text = _text(member, offset)
    return crc32(text), len(text)
