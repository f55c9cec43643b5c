"""The archive room by itself: what goes in, what comes out, and when."""

import io
import os
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.archive import Archive, streamed
from service.archive.archive import BLOCK, zip_time
from service.pools import Pool
from service.store import Listing, NotFound, OpenFile, SessionFile, Skipped, StoreUnavailable, Truncated

MTIME = 1_760_000_000_000_000_000


@dataclass
class MemoryFile:
    """An open file that keeps a record of what is done with it."""

    name: str
    data: bytes
    record: list[str]
    mtime_ns: int = MTIME
    inode: int = 1
    claimed: int | None = None
    closed: bool = False

    @property
    def size(self) -> int:
        return len(self.data) if self.claimed is None else self.claimed

    def fileno(self) -> int:
        raise NotImplementedError

    def read_at(self, offset: int, count: int) -> bytes:
        assert not self.closed
        self.record.append(f"read {self.name} {offset}")
        data = self.data[offset : offset + count]
        if len(data) < count:
            raise Truncated
        return data

    def close(self) -> None:
        self.record.append(f"close {self.name}")
        self.closed = True


@dataclass
class MemoryFiles:
    contents: dict[str, bytes]
    record: list[str] = field(default_factory=list)
    opened: list[MemoryFile] = field(default_factory=list)

    def open(self, name: str) -> OpenFile:
        if name not in self.contents:
            raise NotFound
        file = MemoryFile(name, self.contents[name], self.record)
        self.opened.append(file)
        return file  # type: ignore[return-value]

    def listing(self) -> Listing:
        return Listing([SessionFile(name, len(data), MTIME) for name, data in sorted(self.contents.items())])

    def archive(self) -> Archive:
        return Archive(self.listing(), self.open)


def read(archive: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


sizes = st.sampled_from([0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK])
contents = st.one_of(
    sizes.map(lambda size: b"\0" * size), sizes.map(os.urandom), st.binary(max_size=100)
)  # extremely compressible, not at all, and small


@given(st.dictionaries(st.from_regex(r"[A-Za-z0-9._-]{1,20}\.jsonl", fullmatch=True), contents, max_size=6))
def test_every_file_comes_back_byte_for_byte_in_order(files: dict[str, bytes]) -> None:
    source = MemoryFiles(files)
    archive = source.archive()
    data = b"".join(archive.chunks())
    assert list(read(data).items()) == sorted(files.items())
    assert (archive.file_count, archive.total_bytes) == (len(files), sum(map(len, files.values())))
    assert all(file.closed for file in source.opened)
    assert b"".join(MemoryFiles(files).archive().chunks()) == data, "the same files are the same bytes"


def test_the_archive_streams() -> None:
    """Bytes leave before the first file has been read to its end, and one block is read at a time."""
    source = MemoryFiles({"a.jsonl": os.urandom(8 * BLOCK), "b.jsonl": os.urandom(BLOCK)})
    record = source.record
    for chunk in source.archive().chunks():
        record.append(f"out {len(chunk)}")
    first_out = next(at for at, entry in enumerate(record) if entry.startswith("out"))
    assert first_out < record.index(f"read a.jsonl {BLOCK}")
    reads_between_outs = "".join("r" if entry.startswith("read") else "o" for entry in record if "close" not in entry)
    assert "rrrr" not in reads_between_outs


def test_a_chunk_is_small_whatever_the_files_are() -> None:
    chunks = list(MemoryFiles({"a.jsonl": os.urandom(20 * BLOCK)}).archive().chunks())
    assert max(map(len, chunks)) <= 256 * 1024


def test_a_file_cut_short_ends_the_archive_in_an_error() -> None:
    source = MemoryFiles({"a.jsonl": b"x" * 100})

    def short(name: str) -> OpenFile:
        file = MemoryFile(name, b"x" * 50, source.record, claimed=100)
        source.opened.append(file)
        return file  # type: ignore[return-value]

    with pytest.raises(Truncated):
        list(Archive(source.listing(), short).chunks())
    assert all(file.closed for file in source.opened)


def test_an_unavailable_store_ends_the_archive_and_other_refusals_do_not() -> None:
    source = MemoryFiles({"a.jsonl": b"a", "b.jsonl": b"b"})

    def refuse(error: Exception) -> Callable[[str], OpenFile]:
        def door(name: str) -> OpenFile:
            if name == "a.jsonl":
                raise error
            return source.open(name)

        return door

    with pytest.raises(StoreUnavailable):
        list(Archive(source.listing(), refuse(StoreUnavailable())).chunks())
    archive = Archive(source.listing(), refuse(NotFound()))
    assert list(read(b"".join(archive.chunks()))) == ["b.jsonl", "_skipped.json"]
    assert archive.skipped == [Skipped("a.jsonl", "No such session file.")]


@pytest.mark.parametrize("steps", [0, 1, 2, 5])
def test_closing_it_at_any_point_closes_what_is_open(steps: int) -> None:
    source = MemoryFiles({f"{n}.jsonl": os.urandom(3 * BLOCK) for n in range(3)})
    chunks = source.archive().chunks()
    for _ in range(steps):
        next(chunks)
    chunks.close()
    assert all(file.closed for file in source.opened)


async def test_streaming_it_and_leaving_closes_what_is_open() -> None:
    source = MemoryFiles({"a.jsonl": os.urandom(20 * BLOCK)})
    pool = Pool("export", 1)
    stream = streamed(source.archive().chunks(), pool)
    assert await anext(stream)
    await stream.aclose()
    assert [file.closed for file in source.opened] == [True]
    pool.close()


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, datetime(1980, 1, 1, tzinfo=UTC)),
        (-1, datetime(1980, 1, 1, tzinfo=UTC)),
        (1_760_000_000, datetime(2025, 10, 9, 8, 53, 20, tzinfo=UTC)),
        (2_208_988_800, datetime(2038, 1, 19, 3, 14, 7, tzinfo=UTC)),
        (7_258_118_400, datetime(2038, 1, 19, 3, 14, 7, tzinfo=UTC)),
        (2**60, datetime(2038, 1, 19, 3, 14, 7, tzinfo=UTC)),
    ],
)
def test_a_time_that_zip_cannot_hold_is_moved_to_the_nearest(seconds: int, expected: datetime) -> None:
    assert zip_time(seconds * 10**9) == expected


def is_zip64(listing: Listing) -> bool:
    """By the version that the first local header needs: 4.5 for ZIP64 (APPNOTE 4.4.3)."""
    source = MemoryFiles({file.name: b"x" for file in listing.files[:1]})
    first = next(Archive(listing, source.open).chunks())
    version: int = struct.unpack("<H", first[4:6])[0]
    return version == 45


def sized(count: int, size: int) -> Listing:
    return Listing([SessionFile(f"{n:07}.jsonl", size, MTIME) for n in range(count)])


@pytest.mark.parametrize(
    ("listing", "expected"),
    [
        (sized(1, 1), False),
        (sized(65_534, 1), False),
        (sized(65_535, 1), True),
        (sized(4, 1_000_000_000), False),
        (sized(1, 4_294_967_296), True),
        (sized(5, 1_000_000_000), True),
    ],
    ids=["one", "65,534", "65,535 and a report", "4 GB", "4 GiB", "5 GB"],
)
def test_zip64_only_where_it_may_be_needed(listing: Listing, expected: bool) -> None:
    assert is_zip64(listing) == expected


def test_more_members_than_fit_without_zip64() -> None:
    files = {f"{n:06}.jsonl": b"%d\n" % n for n in range(70_000)}
    with zipfile.ZipFile(io.BytesIO(b"".join(MemoryFiles(files).archive().chunks()))) as opened:
        assert opened.namelist() == sorted(files)
        assert opened.read("069999.jsonl") == b"69999\n"
