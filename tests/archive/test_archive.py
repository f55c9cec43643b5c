"""The archive room by itself: what goes in, what comes out, and when."""

import asyncio
import io
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.archive import Archive, Compression, Folder, Plan, Remembered, Source, most_open_folders, streamed
from service.archive.blocks import BATCH_FILES
from service.archive.codec import BLOCK
from service.archive.framing import zip_time
from service.archive.prefetch import Prefetch
from service.cli.transcripts import Writer
from service.pools import Pool
from service.store import LocalStore, NotFound, OpenFile, Skipped, StoreUnavailable, Truncated
from tests.archive.memory import EndlessFile, GrowingFile, MemoryFile, MemoryFiles, OnlyOpen, archive_of, listing_of


def read(archive: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    made = Pool("deflate", 2)
    yield made
    made.close()


def random(size: int) -> bytes:
    """Text that does not compress, the same for each size."""
    return Random(size).randbytes(size)


sizes = st.sampled_from([0, 1, 1000, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 2 * BLOCK + 1, 4 * BLOCK])
contents = st.one_of(sizes.map(lambda size: b"\0" * size), sizes.map(random), st.binary(max_size=100))
trees = st.dictionaries(st.from_regex(r"[A-Za-z0-9._-]{1,20}\.jsonl", fullmatch=True), contents, max_size=8)


@pytest.mark.parametrize("compression", Compression)
@given(files=trees)
def test_every_file_comes_back_byte_for_byte_in_order(
    pool: Pool, compression: Compression, files: dict[str, bytes]
) -> None:
    """Extremely compressible, not at all, and small, with sizes around every border of blocks."""
    source = MemoryFiles(files)
    archive = source.archive(pool, compression)
    data = b"".join(archive.chunks())
    assert list(read(data).items()) == sorted(files.items())
    assert (archive.counts.file_count, archive.counts.total_bytes) == (len(files), sum(map(len, files.values())))
    assert all(file.closed for file in source.opened)
    again = b"".join(MemoryFiles(files).archive(pool, compression).chunks())
    assert again == data, "the same files are the same bytes"


@pytest.mark.parametrize("compression", Compression)
def test_many_small_files_around_the_borders_of_batches(pool: Pool, compression: Compression) -> None:
    files = {f"{n:04}.jsonl": b"%d\n" % n for n in range(2 * BATCH_FILES + 2)}
    files |= {f"x{n}.jsonl": random(BLOCK // 3) for n in range(7)}
    files |= {"y.jsonl": random(BLOCK), "z.jsonl": b""}
    archive = MemoryFiles(files).archive(pool, compression)
    assert read(b"".join(archive.chunks())) == files


def test_small_is_no_larger_than_zlib_at_level_6_and_store_does_not_deflate(pool: Pool) -> None:
    text = b"".join(Writer(seed=5).session(3_000_000))
    sizes = {}
    for compression in Compression:
        data = b"".join(MemoryFiles({"a.jsonl": text}).archive(pool, compression).chunks())
        with zipfile.ZipFile(io.BytesIO(data)) as opened:
            (info,) = opened.infolist()
        sizes[compression] = info.compress_size
        assert info.compress_type == (0 if compression == Compression.STORE else 8)
    reference = zlib.compressobj(6, wbits=-15)
    assert sizes[Compression.SMALL] <= len(reference.compress(text) + reference.flush())
    assert sizes[Compression.SMALL] < sizes[Compression.FAST] < sizes[Compression.STORE] == len(text)


@pytest.mark.parametrize("compression", Compression)
@pytest.mark.parametrize("size", [1000, 3 * BLOCK])
def test_a_file_that_is_appended_to_meanwhile_is_as_it_was_when_opened(
    pool: Pool, compression: Compression, size: int
) -> None:
    """`store` tells size and checksum before the data, which is read a second time: both of what was there first."""
    source = MemoryFiles({"a.jsonl": random(size)})

    def growing(name: str) -> OpenFile:
        return GrowingFile(name, source.contents[name], source.record, claimed=size)  # type: ignore[return-value]

    archive = archive_of(source.listing(), growing, pool, compression)
    assert read(b"".join(archive.chunks())) == source.contents


@pytest.mark.parametrize("compression", Compression)
def test_a_file_that_has_grown_since_the_listing_is_as_it_was_listed(pool: Pool, compression: Compression) -> None:
    source = MemoryFiles({"a.jsonl": b"small", "b.jsonl": random(2 * BLOCK)})
    listing = source.listing()
    listed = dict(source.contents)
    source.contents = {name: data + b"more" * BLOCK for name, data in listed.items()}
    archive = archive_of(listing, source.open, pool, compression)
    assert read(b"".join(archive.chunks())) == listed
    assert archive.kept_to_plan


@pytest.mark.parametrize("compression", Compression)
def test_a_small_file_that_was_replaced_by_a_big_one_since_the_listing_is_whole(
    pool: Pool, compression: Compression
) -> None:
    source = MemoryFiles({"a.jsonl": b"small", "b.jsonl": b"next"}, identities={"a.jsonl": b"2"})
    listing = source.listing()
    source.contents["a.jsonl"] = random(3 * BLOCK + 5)
    archive = archive_of(listing, source.open, pool, compression)
    assert read(b"".join(archive.chunks())) == source.contents
    assert not archive.kept_to_plan
    assert all(file.closed for file in source.opened)


@pytest.mark.parametrize("compression", Compression)
def test_small_files_that_were_all_replaced_are_whole_and_are_not_held_all_at_once(
    pool: Pool, compression: Compression
) -> None:
    source = MemoryFiles({f"{n}.jsonl": b"small" for n in range(8)})
    listing = source.listing()
    for number, name in enumerate(source.contents):
        source.contents[name] = random(BLOCK - number)
        source.identities[name] = b"2"
    chunks = archive_of(listing, source.open, pool, compression).chunks()
    first = [next(chunks), next(chunks)]
    assert sum(entry.startswith("read") for entry in list(source.record)) <= 4
    assert read(b"".join([*first, *chunks])) == source.contents
    assert all(file.closed for file in source.opened)


async def test_a_checksum_that_takes_long_ends_soon_when_nobody_wants_it(pool: Pool) -> None:
    """`store` reads a big file to its end before its first byte; here it would never end."""
    source = MemoryFiles({"a.jsonl": b""})
    endless = EndlessFile("a.jsonl", bytes(BLOCK), source.record, claimed=2**60)
    listing = listing_of({"a.jsonl": 2**60})
    framing = Pool("export", 1)
    archive = archive_of(listing, lambda _: endless, pool, Compression.STORE)  # type: ignore[arg-type, return-value]
    stream = streamed(archive, framing)
    reading = asyncio.ensure_future(anext(stream))
    while len(source.record) < 10:
        await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert endless.closed
    framing.close()


def test_the_archive_streams(pool: Pool) -> None:
    """Bytes leave before the first file has been read to its end, and only so many blocks are read ahead."""
    source = MemoryFiles({"a.jsonl": random(40 * BLOCK), "b.jsonl": random(BLOCK)})
    taken = 0
    for chunk in source.archive(pool).chunks():
        taken += len(chunk)
        reads = sum(entry.startswith("read") for entry in list(source.record))
        assert reads * BLOCK <= taken + (pool.threads + 4) * BLOCK
    assert taken > 40 * BLOCK


def test_a_chunk_is_small_whatever_the_files_are(pool: Pool) -> None:
    chunks = list(MemoryFiles({"a.jsonl": random(9 * BLOCK)}).archive(pool).chunks())
    assert max(map(len, chunks)) <= 2 * 1024 * 1024


@pytest.mark.parametrize("size", [100, 3 * BLOCK])
@pytest.mark.parametrize("compression", Compression)
def test_a_file_cut_short_ends_the_archive_in_an_error(pool: Pool, size: int, compression: Compression) -> None:
    source = MemoryFiles({"a.jsonl": b"x" * size})

    def short(name: str) -> OpenFile:
        file = MemoryFile(name, b"x" * (size // 2), source.record, claimed=size)
        source.opened.append(file)
        return file  # type: ignore[return-value]

    with pytest.raises(Truncated):
        list(archive_of(source.listing(), short, pool, compression).chunks())
    assert all(file.closed for file in source.opened)


@pytest.mark.parametrize("size", [1, 2 * BLOCK])
def test_an_unavailable_store_ends_the_archive_and_other_refusals_do_not(pool: Pool, size: int) -> None:
    source = MemoryFiles({"a.jsonl": b"a" * size, "b.jsonl": b"b"})

    def refuse(error: Exception) -> Callable[[str], OpenFile]:
        def door(name: str) -> OpenFile:
            if name == "a.jsonl":
                raise error
            return source.open(name)

        return door

    with pytest.raises(StoreUnavailable):
        list(archive_of(source.listing(), refuse(StoreUnavailable()), pool).chunks())
    for compression in Compression:
        archive = archive_of(source.listing(), refuse(NotFound()), pool, compression)
        assert list(read(b"".join(archive.chunks()))) == ["b.jsonl", "_skipped.json"]
        assert archive.skipped == [Skipped("a.jsonl", "No such session file.")]


@pytest.mark.parametrize("compression", Compression)
@pytest.mark.parametrize("steps", [0, 1, 2, 5])
def test_closing_it_at_any_point_leaves_nothing_open_and_nothing_running(
    pool: Pool, steps: int, compression: Compression
) -> None:
    source = MemoryFiles({f"{n}.jsonl": random(size) for n, size in enumerate((10, 3 * BLOCK, BLOCK, 7 * BLOCK))})
    chunks = source.archive(pool, compression).chunks()
    for _ in range(steps):
        next(chunks)
    chunks.close()
    record = list(source.record)
    assert all(file.closed for file in source.opened)
    pool.executor.submit(lambda: None).result()
    assert source.record == record, "no job runs on"


async def test_streaming_it_and_leaving_closes_what_is_open(pool: Pool) -> None:
    source = MemoryFiles({"a.jsonl": random(20 * BLOCK)})
    framing = Pool("export", 1)
    stream = streamed(source.archive(pool), framing)
    assert await anext(stream)
    await stream.aclose()
    assert [file.closed for file in source.opened] == [True]
    framing.close()


async def test_cancelling_it_while_a_thread_is_in_it_closes_what_is_open(pool: Pool) -> None:
    reached, release = threading.Event(), threading.Event()
    source = MemoryFiles({"a.jsonl": random(20 * BLOCK)})

    def door(name: str) -> OpenFile:
        reached.set()
        assert release.wait(30)
        return source.open(name)

    framing = Pool("export", 1)
    stream = streamed(archive_of(source.listing(), door, pool), framing)
    reading = asyncio.ensure_future(anext(stream))
    while not reached.is_set():
        await asyncio.sleep(0)
    reading.cancel()
    release.set()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert [file.closed for file in source.opened] == [True]
    framing.close()


def test_two_archives_share_the_pool_by_turns() -> None:
    """Counted, with one thread: while both want it, neither gets more than what it may have handed in at once."""
    pool = Pool("deflate", 1)
    turns: list[str] = []
    depth = 3
    first, second = (
        Prefetch(iter([lambda name=name: turns.append(name)] * 20), pool.executor, depth)  # type: ignore[misc]
        for name in "ab"
    )
    for _ in range(20):
        next(first)
        next(second)
    pool.close()
    assert len(turns) == 40
    for at in range(len(turns) - 2 * depth + 1):
        window = turns[at : at + 2 * depth]
        assert abs(window.count("a") - window.count("b")) <= depth, turns


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


@pytest.mark.long
def test_more_members_than_fit_without_zip64(pool: Pool) -> None:
    files = {f"{n:06}.jsonl": b"%d\n" % n if n else b"" for n in range(70_000)}
    with zipfile.ZipFile(io.BytesIO(b"".join(MemoryFiles(files).archive(pool).chunks()))) as opened:
        assert opened.namelist() == sorted(files)
        assert opened.read("069999.jsonl") == b"69999\n"
        assert {info.extract_version for info in opened.infolist()} == {20}


@pytest.mark.long
@pytest.mark.timeout(300)
def test_more_than_4_gib_in_one_file(pool: Pool, tmp_path: Path) -> None:
    """A hole of the file system, through the real store."""
    size = 2**32 + 12_345
    (tmp_path / "root" / "u").mkdir(parents=True)
    with (tmp_path / "root" / "u" / "huge.jsonl").open("wb") as file:
        file.truncate(size)
    (tmp_path / "root" / "u" / "small.jsonl").write_bytes(b"small")
    files = LocalStore(tmp_path / "root", pool).user_files(("u",))
    target = tmp_path / "huge.zip"
    with target.open("wb") as archive:
        archive.writelines(archive_of(files.list(), files.open, pool).chunks())
    with zipfile.ZipFile(target) as opened:
        sizes = [(info.filename, info.file_size) for info in opened.infolist()]
        assert sizes == [("huge.jsonl", size), ("small.jsonl", 5)]
        assert [info.extract_version for info in opened.infolist()] == [45, 20]
        assert opened.read("small.jsonl") == b"small"
    files.close()


def test_directories_of_users_whose_files_are_all_gone_do_not_stay_open(pool: Pool) -> None:
    opened, most = 0, 0

    class Counted(OnlyOpen):
        def close(self) -> None:
            nonlocal opened
            opened -= 1

    def open_files(files: MemoryFiles) -> Counted:
        nonlocal opened, most
        opened += 1
        most = max(most, opened)
        return Counted(files.open)

    count = 20 * most_open_folders(2)
    users = [MemoryFiles({"a.jsonl": b"a"}) for _ in range(count)]
    folders = [Folder(f"{number}/", files.listing()) for number, files in enumerate(users)]
    for files in users[1:-1]:
        files.contents.clear()
    sources = {
        folder.path: Source(partial(open_files, files))  # type: ignore[arg-type]
        for folder, files in zip(folders, users, strict=True)
    }
    archive = Archive(Plan(folders, Compression.FAST, b"dialect."), sources, pool, Remembered())
    for _ in archive.chunks():
        pass
    assert opened == 0
    assert most <= most_open_folders(2)
