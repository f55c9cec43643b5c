"""What every store promises, for the local directory and for a bucket on a real S3 server."""

import gc
import os
import sys
from array import array
from collections.abc import Iterable

import pytest

from service.store import (
    Announced,
    InvalidName,
    Listing,
    NotFound,
    OpenFile,
    Read,
    Replaced,
    Skipped,
    StoreError,
    Truncated,
)
from tests.store.stores import Content

MIB = 1024 * 1024
BIG = os.urandom(3 * MIB + 5)


def read_all(file: OpenFile) -> bytes:
    data = b"".join(file.read_at(offset, min(MIB, file.size - offset)) for offset in range(0, file.size, MIB))
    file.close()
    return data


def columns(listing: Listing) -> tuple[Iterable[str], Iterable[int], Iterable[bytes]]:
    return listing.names, listing.sizes, listing.identities


def test_a_listing_is_sorted_columns_of_the_first_directory_that_has_a_name(content: Content) -> None:
    for path, size in {"a/z.jsonl": 1, "a/m.jsonl": 2, "b/m.jsonl": 3, "b/c.jsonl": 4, "a/empty.jsonl": 0}.items():
        content.put(path, b"x" * size)
    files = content.store.user_files(("a", "b"))
    listing = files.list()
    assert listing.names == ["c.jsonl", "empty.jsonl", "m.jsonl", "z.jsonl"]
    assert list(listing.sizes) == [4, 0, 2, 1]
    assert listing.total_bytes == 7
    assert files.names() == set(listing.names)
    for row, name in enumerate(listing.names):
        file = files.open(name)
        found = (file.name, file.size, file.identity)
        assert found == (name, listing.sizes[row], listing.identities[row])
        stat = files.stat_file(name)
        assert stat == (name, file.size, file.mtime_ns)
        assert stat.mtime_ns == listing.mtimes_ns[row]
        assert read_all(file) == b"x" * file.size
    files.close()


def test_what_is_no_session_file_is_not_listed(content: Content) -> None:
    for name in ("ok.jsonl", "notes.txt", "x.jsonl.gz", ".jsonl", "a b.jsonl", "é.jsonl", "x.JSONL"):
        content.put(f"alice/{name}", b"x")
    files = content.store.user_files(("alice",))
    listing = files.list()
    assert listing.names == ["ok.jsonl"]
    assert [file.name for file in listing.skipped] == [".jsonl", "a b.jsonl", "é.jsonl"]
    files.close()


def test_names_that_differ_by_case_are_different_files(content: Content) -> None:
    content.put("alice/a.jsonl", b"small")
    content.put("alice/A.jsonl", b"capital")
    files = content.store.user_files(("alice",))
    assert [read_all(files.open(name)) for name in files.list().names] == [b"capital", b"small"]
    files.close()


def test_a_directory_that_is_not_there_has_no_files(content: Content) -> None:
    content.put("alice/a.jsonl", b"x")
    files = content.store.user_files(("ali", "alice2", "nobody"))
    assert not files.exists
    assert (files.list().names, files.names(), files.stat_file("a.jsonl")) == ([], frozenset(), None)
    with pytest.raises(NotFound):
        files.open("a.jsonl")
    files.close()


@pytest.mark.parametrize("name", ["", ".", "..", "../bob/b.jsonl", "x/b.jsonl", "a.jsonl\n", "a\0.jsonl", "é.jsonl"])
def test_open_checks_the_name_itself(content: Content, name: str) -> None:
    content.put("alice/a.jsonl", b"x")
    content.put("bob/b.jsonl", b"secret")
    files = content.store.user_files(("alice",))
    with pytest.raises(InvalidName):
        files.open(name)
    assert files.stat_file(name) is None
    files.close()


def test_a_directory_whose_name_is_special_in_urls(content: Content) -> None:
    directory = "a+b@example.com %41&x=é#?"
    content.put(f"{directory}/a.jsonl", b"found")
    files = content.store.user_files((directory,))
    assert files.exists
    assert files.list().names == ["a.jsonl"]
    assert read_all(files.open("a.jsonl")) == b"found"
    assert content.store.directories() == [directory]
    files.close()


def test_a_file_that_vanishes_after_it_was_listed_is_not_found(content: Content) -> None:
    content.put("alice/a.jsonl", b"x")
    content.put("alice/b.jsonl", b"y")
    files = content.store.user_files(("alice",))
    assert files.list().names == ["a.jsonl", "b.jsonl"]
    content.delete("alice/a.jsonl")
    with pytest.raises(NotFound):
        files.open("a.jsonl")
    assert read_all(files.open("b.jsonl")) == b"y"
    files.close()


def test_no_byte_of_another_version_is_read(content: Content) -> None:
    """The local store keeps the version that was opened; a bucket has it no longer, and says so."""
    content.put("alice/a.jsonl", BIG)
    files = content.store.user_files(("alice",))
    file = files.open("a.jsonl")
    identity = file.identity
    content.put("alice/a.jsonl", bytes(len(BIG)))
    try:
        assert file.read_at(2 * MIB, MIB) == BIG[2 * MIB : 3 * MIB]
    except Replaced:
        assert content.store.__class__.__name__ == "ObjectStore"
    file.close()
    again = content.store.user_files(("alice",)).open("a.jsonl")
    assert again.identity != identity
    again.close()
    files.close()


def test_more_than_there_is_cannot_be_read(content: Content) -> None:
    content.put("alice/a.jsonl", b"12345")
    files = content.store.user_files(("alice",))
    file = files.open("a.jsonl")
    assert file.read_at(1, 4) == b"2345"
    assert file.read_at(5, 0) == b""
    with pytest.raises(Truncated):
        file.read_at(1, 5)
    file.close()
    file.close()
    files.close()
    files.close()


@pytest.mark.parametrize("wanted", [range(len(BIG)), range(5, 2_500_001), range(len(BIG) - 1, len(BIG)), range(7, 7)])
async def test_chunks_are_the_wanted_bytes(content: Content, wanted: range) -> None:
    content.put("alice/a.jsonl", BIG)
    files = content.store.user_files(("alice",))
    file = files.open("a.jsonl")
    assert b"".join([chunk async for chunk in file.chunks(wanted)]) == BIG[wanted.start : wanted.stop]
    file.close()
    files.close()


async def test_chunks_may_be_left_before_their_end(content: Content) -> None:
    content.put("alice/a.jsonl", BIG)
    files = content.store.user_files(("alice",))
    file = files.open("a.jsonl")
    chunks = file.chunks(range(file.size))
    assert BIG.startswith(await anext(chunks))
    await chunks.aclose()
    file.close()
    files.close()


@pytest.mark.parametrize("order", ["as announced", "backwards"])
def test_announced_reads_give_the_same_bytes(content: Content, order: str) -> None:
    bodies = {f"{number:03}.jsonl": BIG[: number * 30_011] for number in range(0, 70, 3)}  # from empty to two blocks
    for name, body in bodies.items():
        content.put(f"alice/{name}", body)
    files = content.store.user_files(("alice",))
    listing = files.list()
    rows = list(zip(*columns(listing), strict=True))
    reads = files.prefetch(
        (files, Read(0, name, offset, min(MIB, size - offset), identity))
        for name, size, identity in rows
        for offset in range(0, max(size, 1), MIB)
    )
    names = listing.names if order == "as announced" else listing.names[::-1]
    announced = Announced(reads, 0) if reads else None
    assert {name: read_all(files.open(name, announced)) for name in names} == bodies
    if reads:
        reads.close()
    files.close()


def test_one_reader_reads_ahead_over_many_users_whose_files_have_the_same_names(content: Content) -> None:
    users = [f"user{number:03}" for number in range(30)]
    for user in users:
        for number in range(2):
            content.put(f"{user}/{number}.jsonl", f"{user} {number}".encode())
    everybody = [content.store.user_files((user,)) for user in users]
    reads = everybody[0].prefetch(
        (files, Read(folder, name, 0, size, identity))
        for folder, files in enumerate(everybody)
        for name, size, identity in zip(*columns(files.list()), strict=True)
    )
    for folder, (user, files) in enumerate(zip(users, everybody, strict=True)):
        announced = Announced(reads, folder) if reads else None
        for name in files.list().names:
            assert read_all(files.open(name, announced)) == f"{user} {name[0]}".encode()
        files.close()
    if reads:
        reads.close()


def test_a_file_that_changes_after_its_reads_were_announced_is_read_as_it_is_then(content: Content) -> None:
    content.put("alice/a.jsonl", BIG)
    content.put("alice/gone.jsonl", BIG)
    content.put("alice/z.jsonl", b"x")
    files = content.store.user_files(("alice",))
    reads = [Read(0, name, offset, MIB, b'0:"outdated"') for name in files.list().names for offset in (0, MIB, 2 * MIB)]
    content.delete("alice/gone.jsonl")
    prefetched = files.prefetch((files, read) for read in reads)
    announced = Announced(prefetched, 0) if prefetched else None
    assert read_all(files.open("a.jsonl", announced)) == BIG
    with pytest.raises(NotFound):
        files.open("gone.jsonl", announced)
    assert read_all(files.open("z.jsonl", announced)) == b"x"
    if prefetched:
        prefetched.close()
    files.close()


def test_directories_are_all_that_have_files(content: Content) -> None:
    for path in ("b/x.jsonl", "a/x.jsonl", "c/notes.txt"):
        content.put(path, b"x")
    assert content.store.directories() == ["a", "b", "c"]


def test_many_users_are_listed_in_their_order(content: Content) -> None:
    for number in range(20):
        content.put(f"user{number}/{number}.jsonl", b"x")
    users = [(f"user{number}", "none") for number in range(25)]
    expected = [[f"{number}.jsonl"] for number in range(20)] + [[]] * 5
    assert [listing.names for listing in content.store.list_all(users)] == expected


@pytest.mark.parametrize("count", [10, 20])
def test_columns_keep_no_room_for_more_rows_and_nothing_that_the_garbage_collector_tracks(
    content: Content, count: int
) -> None:
    for number in range(count):
        content.put(f"alice/{number}.jsonl", b"x")
    files = content.store.user_files(("alice",))
    listing = files.list()
    for column in (listing.names, listing.sizes, listing.mtimes_ns, listing.identities):
        assert len(column) == count
        assert sys.getsizeof(column) <= sys.getsizeof(column[:])
        assert not any(map(gc.is_tracked, column))
    files.close()


def test_a_store_that_answers_passes_the_check(content: Content) -> None:
    content.put("alice/a.jsonl", b"x")
    content.store.check()


def test_errors_carry_no_path(content: Content) -> None:
    content.put("alice/a.jsonl", b"x")
    files = content.store.user_files(("alice",))
    for name in ("b.jsonl", "b"):
        with pytest.raises(StoreError) as raised:
            files.open(name)
        assert "/" not in str(raised.value)
    files.close()


def test_a_narrowed_listing_keeps_whole_rows() -> None:
    listing = Listing(
        ["a", "b", "c"],
        array("q", [1, 2, 3]),
        array("q", [4, 5, 6]),
        [b"7", b"8", b"9"],
        (Skipped("d", "why"), Skipped("e", "why")),
    )
    assert listing.narrowed({"c", "a", "e", "none"}) == Listing(
        ["a", "c"], array("q", [1, 3]), array("q", [4, 6]), [b"7", b"9"], (Skipped("e", "why"),)
    )
