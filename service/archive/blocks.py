"""The work in the pool: files are opened, read and deflated, in jobs of about the same size.

A big file makes a job for each block; small files go in batches, since each job costs a hop between threads. The jobs
are prefetched, and their results in order are the blocks of all files in order.
"""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial

from service.archive.codec import Codec, crc32, crc32_joined
from service.archive.prefetch import Prefetch
from service.pools import Pool
from service.store import Listing, OpenFile, Skipped, StoreError, StoreUnavailable

# Bytes. A block keeps a core busy for 3 ms; smaller ones lose more to the hops between threads, and compress less.
BLOCK = 1024 * 1024
BATCH_FILES = 256
EXTRA_JOBS = 2  # submitted beyond one for each thread, so that no thread waits for its next job


@dataclass(slots=True)
class Head:
    """What is known of a member when it begins; `crc` only where it is stored, not compressed."""

    name: str
    mtime_ns: int
    size: int
    crc: int | None


@dataclass(slots=True)
class Block:
    """A piece of a member: its text, and the piece of deflate's stream for it. The first block has a head."""

    text: bytes
    deflated: bytes
    is_last: bool
    head: Head | None = None
    file: OpenFile | None = None


@dataclass(slots=True)
class TooBig:
    """A file that was small when it was listed, and has grown too big for its batch."""

    name: str


def most_open_files(threads: int) -> int:
    """How many files one archive has open at most, in a pool of so many threads: one for each of its jobs, and the
    one whose blocks are framed."""
    return threads + EXTRA_JOBS + 1


class Stopped(Exception):
    """The archive was stopped: its blocks are no longer needed."""


Result = Block | TooBig | Skipped
Job = Callable[[], list[Result]]


class Blocks:
    """The blocks of a listing's files. Close it to stop its jobs and close its files."""

    def __init__(self, listing: Listing, open_file: Callable[[str], OpenFile], pool: Pool, codec: Codec) -> None:
        """The pool may be shared: at most as many of these jobs as it has threads, and EXTRA_JOBS more, are submitted
        and not taken yet, so memory is flat and every archive gets its turn."""
        self._listing = listing
        self._open_file = open_file
        self._pool = pool
        self._codec = codec
        self._depth = pool.threads + EXTRA_JOBS
        self._open: set[OpenFile] = set()
        self._stopped = False
        self._prefetch = Prefetch(self._jobs(), pool.executor, self._depth)

    def __iter__(self) -> Iterator[Block | Skipped]:
        """Blocks and files that are skipped, in the order of the listing.

        Raises StoreError when a file cannot be read to its end, and StoreUnavailable.
        """
        for results in self._prefetch:
            for result in results:
                if isinstance(result, TooBig):
                    yield from self._blocks_here(result.name)
                else:
                    yield result
                    if isinstance(result, Block) and result.is_last and result.file:
                        self._close(result.file)

    def stop(self) -> None:
        """End a checksum that takes long. May be called from any thread."""
        self._stopped = True

    def close(self) -> None:
        self._prefetch.close()
        for file in list(self._open):
            self._close(file)

    def _jobs(self) -> Iterator[Job]:
        """The jobs in order. They are made in the thread that reads the blocks, as the pool has room for them."""
        batch: list[str] = []
        room = 0  # the first batch is one file, so that the first byte does not wait for more
        for name, size in zip(self._listing.names, self._listing.sizes, strict=True):
            if size <= BLOCK:
                batch.append(name)
                room -= size
            if batch and (room <= 0 or size > BLOCK or len(batch) == BATCH_FILES):
                yield partial(self._small_files, batch)
                batch, room = [], BLOCK
            if size > BLOCK:
                yield from self._big_file_jobs(name)
        if batch:
            yield partial(self._small_files, batch)

    def _big_file_jobs(self, name: str) -> Iterator[Job]:
        file = self._opened(name)
        if isinstance(file, Skipped):
            yield lambda: [file]
            return
        crc = self._checksum(file) if self._codec.needs_crc else None
        for offset in _offsets(file):
            yield partial(self._one_block, file, offset, crc)

    def _small_files(self, names: list[str]) -> list[Result]:
        room = 2 * BLOCK  # twice what was listed; no batch holds more in memory
        results = []
        for name in names:
            result = self._small_file(name, min(room, BLOCK))
            room -= len(result.text) if isinstance(result, Block) else 0
            results.append(result)
        return results

    def _small_file(self, name: str, most: int) -> Result:
        file = self._opened(name)
        if isinstance(file, Skipped):
            return file
        if file.size > most:
            self._close(file)
            return TooBig(name)
        text = file.read_at(0, file.size)
        self._close(file)
        crc = crc32(text) if self._codec.needs_crc else None
        return Block(text, self._codec.deflate(text, b"", True), True, Head(name, file.mtime_ns, file.size, crc))

    def _one_block(self, file: OpenFile, offset: int, crc: int | None) -> list[Result]:
        return [self._block(file, offset, crc)]

    def _block(self, file: OpenFile, offset: int, crc: int | None) -> Block:
        text = _text(file, offset)
        window = min(self._codec.window, offset)
        before = file.read_at(offset - window, window) if window else b""
        is_last = offset + len(text) == file.size
        head = None if offset else Head(file.name, file.mtime_ns, file.size, crc)
        return Block(text, self._codec.deflate(text, before, is_last), is_last, head, file)

    def _blocks_here(self, name: str) -> Iterator[Block | Skipped]:
        """The blocks of a file, made in this thread: rare, and simpler than to change the order of the jobs."""
        file = self._opened(name)
        if isinstance(file, Skipped):
            yield file
            return
        crc = self._checksum(file) if self._codec.needs_crc else None
        for offset in _offsets(file):
            yield self._block(file, offset, crc)
        self._close(file)

    def _checksum(self, file: OpenFile) -> int:
        """The whole file's. It stands before the data, so the file is read once for it and again for the blocks."""
        jobs = (partial(_text_checksum, file, offset) for offset in _offsets(file))
        total = 0
        with closing(Prefetch(jobs, self._pool.executor, self._depth)) as checksums:
            for crc, length in checksums:
                if self._stopped:
                    raise Stopped
                total = crc32_joined(total, crc, length)
        return total

    def _opened(self, name: str) -> OpenFile | Skipped:
        try:
            file = self._open_file(name)
        except StoreUnavailable:
            raise
        except StoreError as error:
            return Skipped(name, str(error))
        self._open.add(file)
        return file

    def _close(self, file: OpenFile) -> None:
        self._open.discard(file)
        file.close()


def _offsets(file: OpenFile) -> range:
    """Where blocks begin; an empty file has one block, too."""
    return range(0, max(file.size, 1), BLOCK)


def _text(file: OpenFile, offset: int) -> bytes:
    return file.read_at(offset, min(BLOCK, file.size - offset))


def _text_checksum(file: OpenFile, offset: int) -> tuple[int, int]:
    text = _text(file, offset)
    return crc32(text), len(text)
