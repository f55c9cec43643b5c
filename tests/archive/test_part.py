"""Own framing against stream-zip's, byte for byte: whole archives, and parts from anywhere on."""

import random
from collections.abc import Iterator
from contextlib import closing
from random import Random

import pytest

from service.archive import Archive, Changed, Compression, Folder, Layout, Part, Plan, Remembered, Source
from service.archive import framing as framing_module
from service.archive.codec import BLOCK
from service.archive.sizing import Sizing
from service.pools import Pool
from service.store import Read, Skipped, UserFiles
from tests.archive.memory import MemoryFiles, OnlyOpen, plan_of, source_of

TIMES = (0, -5, 10**18, 315_532_800 * 10**9, 315_532_799 * 10**9, 2**31 * 10**9, 2**62, 1_760_000_000_123_456_789)


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    made = Pool("deflate", 2)
    yield made
    made.close()


class Sample:
    """A random archive: the plan of one or more folders, and its files."""

    def __init__(self, chance: Random, compression: Compression) -> None:
        self.files = [_files(chance) for _ in range(chance.choice([1, 1, 3]))]
        listings = [files.listing() for files in self.files]
        for listing in listings:
            for at in range(len(listing.names)):
                listing.mtimes_ns[at] = chance.choice(TIMES)
        skipped = [Skipped(f"ä{n}.jsonl", "Not a regular file.") for n in range(chance.choice([0, 0, 3]))]
        listings[0].skipped = (*listings[0].skipped, *skipped)
        paths = [""] if len(listings) == 1 else ["a/", "b/", "c/"]
        self.plan = Plan([*map(Folder, paths, listings)], compression, b"dialect.")
        self.sources = {path: source_of(files.open) for path, files in zip(paths, self.files, strict=True)}
        self.remembered = Remembered()

    def whole(self, pool: Pool) -> bytes:
        return b"".join(Archive(self.plan, self.sources, pool, self.remembered).chunks())

    def layout(self) -> Layout:
        return Layout(self.plan, [found for found in self.remembered.all_of(self.plan.keys()) if found is not None])

    def part(self, layout: Layout, wanted: range, pool: Pool) -> bytes:
        chunks = list(Part(layout, wanted, self.sources, pool, self.remembered).chunks())
        assert all(chunks), "no chunk is empty"
        return b"".join(chunks)


def _files(chance: Random) -> MemoryFiles:
    contents = {}
    for number in range(chance.randrange(0, 10)):
        name = "".join(chance.choices("abcXYZ019-_.", k=chance.randrange(1, 60))) + f"{number}.jsonl"
        size = chance.choice([0, 1, 100, 5000, BLOCK, BLOCK + 1, 2_500_000, *[chance.randrange(20_000)] * 7])
        contents[name] = (bytes(chance.choices(b"abcd{}\n", k=4000)) * (size // 4000 + 1))[:size]
    return MemoryFiles(contents)


def places(chance: Random, layout: Layout) -> Iterator[range]:
    """The whole, each border of a member, and random places."""
    size = layout.size
    yield range(size)
    for border in {*list(layout.offsets)[:5], layout.offsets[-1], size - 1}:
        for at in (border - 1, border, border + 1):
            if 0 <= at < size:
                yield range(at, chance.choice([at + 1, size]))
    for _ in range(10):
        at = chance.randrange(size)
        yield range(at, chance.randrange(at + 1, size + 1))


@pytest.mark.parametrize("zip64_from", [None, 30_000], ids=["", "ZIP64 from 30 KB on"])
@pytest.mark.parametrize("compression", Compression)
@pytest.mark.parametrize("seed", range(6))
def test_every_part_is_that_of_the_whole_archive(
    pool: Pool, seed: int, compression: Compression, zip64_from: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ZIP64 is tried without 4 GiB: its border is lowered for stream-zip's methods and for our own framing alike."""
    if zip64_from is not None:
        lower_zip64(monkeypatch, zip64_from)
    chance = Random(seed)
    sample = Sample(chance, compression)
    whole = sample.whole(pool)
    layout = sample.layout()
    assert layout.size == len(whole)
    for wanted in places(chance, layout):
        assert sample.part(layout, wanted, pool) == whole[wanted.start : wanted.stop], wanted


def lower_zip64(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    monkeypatch.setattr(framing_module, "needs_zip64", lambda size, offset: size > most or offset > most)
    monkeypatch.setattr("service.archive.methods.needs_zip64", framing_module.needs_zip64)
    monkeypatch.setattr("service.archive.layout.LARGEST_32", most)
    monkeypatch.setattr("service.archive.layout.MOST_32", most)


@pytest.mark.parametrize("compression", Compression)
def test_sizing_makes_all_known_and_only_what_is_not(pool: Pool, compression: Compression) -> None:
    sample = Sample(Random(5), compression)
    whole = sample.whole(pool)
    first = next(sample.plan.keys())
    sample.remembered.forget(first)
    for files in sample.files:
        files.record.clear()
    Sizing(sample.plan, sample.sources, pool, sample.remembered).run()
    read = {entry.split()[1] for files in sample.files for entry in files.record if entry.startswith("read")}
    assert [next(sample.plan.names()).endswith(name) for name in read] == [True]
    layout = sample.layout()
    assert sample.part(layout, range(layout.size), pool) == whole


@pytest.mark.parametrize("compression", Compression)
def test_measuring_goes_on_within_the_file_in_which_an_export_broke_off(pool: Pool, compression: Compression) -> None:
    files = MemoryFiles({"a.jsonl": random.Random(1).randbytes(40 * BLOCK + 5)})
    announced: list[int] = []  # the offset of the first read of each archive

    class Announcing(OnlyOpen):
        def prefetch(self, reads: Iterator[tuple[UserFiles, Read]]) -> None:
            announced.append(next(reads)[1].offset)

    sources = {"": Source(lambda: Announcing(files.open))}  # type: ignore[arg-type, return-value]
    plan, remembered = plan_of(files.listing(), compression), Remembered()
    with closing(Archive(plan, sources, pool, remembered).chunks()) as broken:
        assert sum(len(next(broken)) for _ in range(20)) < 30 * BLOCK
    files.record.clear()
    stopped = Sizing(plan, sources, pool, remembered)
    stopped.stop()
    stopped.run()
    Sizing(plan, sources, pool, remembered).run()
    assert "read a.jsonl 0" not in files.record
    assert announced[0] == 0 < min(announced[1:])
    layout = Layout(plan, [found for found in remembered.all_of(plan.keys()) if found])
    whole = b"".join(Archive(plan, sources, pool, Remembered()).chunks())
    assert layout.size == len(whole)
    assert b"".join(Part(layout, range(layout.size), sources, pool, remembered).chunks()) == whole


def test_at_most_one_block_is_made_to_be_thrown_away(pool: Pool) -> None:
    files = MemoryFiles({"a.jsonl": random.Random(1).randbytes(9 * BLOCK), "b.jsonl": b"b"})
    plan, remembered = plan_of(files.listing()), Remembered()
    whole = b"".join(Archive(plan, {"": source_of(files.open)}, pool, remembered).chunks())
    layout = Layout(plan, [found for found in remembered.all_of(plan.keys()) if found])
    files.record.clear()
    wanted = range(7 * BLOCK + BLOCK // 2, 7 * BLOCK + BLOCK // 2 + 10)
    part = Part(layout, wanted, {"": source_of(files.open)}, pool, remembered)
    assert b"".join(part.chunks()) == whole[wanted.start : wanted.stop]
    reads = [int(entry.split()[2]) for entry in files.record if entry.startswith("read a")]
    assert min(reads) == 7 * BLOCK
    assert (part.files, part.counts.file_count) == (1, 0)


@pytest.mark.parametrize("size", [1000, 3 * BLOCK])
@pytest.mark.parametrize("compression", Compression)
def test_what_does_not_come_to_its_figures_breaks_off_before_it_is_sent_and_is_forgotten(
    pool: Pool, size: int, compression: Compression
) -> None:
    files = MemoryFiles({"a.jsonl": b"a" * 10, "b.jsonl": random.Random(2).randbytes(size), "c.jsonl": b"c"})
    plan, remembered = plan_of(files.listing(), compression), Remembered()
    whole = b"".join(Archive(plan, {"": source_of(files.open)}, pool, remembered).chunks())
    layout = Layout(plan, [found for found in remembered.all_of(plan.keys()) if found])
    rewritten = bytearray(files.contents["b.jsonl"])
    rewritten[-5] ^= 1
    files.contents["b.jsonl"] = bytes(rewritten)
    got = bytearray()
    with pytest.raises(Changed) as raised:
        for chunk in Part(layout, range(layout.size), {"": source_of(files.open)}, pool, remembered).chunks():
            got += chunk
    assert raised.value.name == "b.jsonl"
    assert whole.startswith(bytes(got)), "nothing of the changed block was sent"
    assert [found is None for found in remembered.all_of(plan.keys())] == [False, True, False]
    assert all(file.closed for file in files.opened)


@pytest.mark.parametrize("change", ["gone", "replaced", "shorter"])
def test_a_file_that_cannot_be_had_as_planned_breaks_a_part_off(pool: Pool, change: str) -> None:
    files = MemoryFiles({"a.jsonl": b"a", "b.jsonl": b"b" * 100})
    plan, remembered = plan_of(files.listing()), Remembered()
    list(Archive(plan, {"": source_of(files.open)}, pool, remembered).chunks())
    layout = Layout(plan, [found for found in remembered.all_of(plan.keys()) if found])
    match change:
        case "gone":
            del files.contents["b.jsonl"]
        case "replaced":
            files.identities["b.jsonl"] = b"2"
        case "shorter":
            files.contents["b.jsonl"] = b"b" * 99
    with pytest.raises(Changed):
        list(Part(layout, range(layout.size), {"": source_of(files.open)}, pool, remembered).chunks())
    assert remembered.all_of(plan.keys())[1] is None


def test_a_file_that_only_grew_is_cut_at_its_listed_size(pool: Pool) -> None:
    files = MemoryFiles({"a.jsonl": b"a" * 100, "b.jsonl": random.Random(2).randbytes(2 * BLOCK)})
    plan, remembered = plan_of(files.listing()), Remembered()
    whole = b"".join(Archive(plan, {"": source_of(files.open)}, pool, remembered).chunks())
    layout = Layout(plan, [found for found in remembered.all_of(plan.keys()) if found])
    for name in files.contents:
        files.contents[name] += b"more" * 1000
    assert b"".join(Part(layout, range(layout.size), {"": source_of(files.open)}, pool, remembered).chunks()) == whole
