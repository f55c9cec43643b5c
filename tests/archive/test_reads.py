"""The reads that a plan announces are those that its blocks make."""

import pytest

from service.archive import Folder, Plan
from service.archive.codec import BLOCK, Compression
from tests.archive.memory import listing_of

FILES = {"a": 0, "b": 5, "c": BLOCK, "d": 2 * BLOCK + 1}
PLAN = Plan(
    (Folder("x/", listing_of(FILES)), Folder("y/", listing_of({"b": 7, "e": 1}))), Compression.FAST, b"dialect."
)
D = [("d", 0, BLOCK), ("d", BLOCK, BLOCK), ("d", 2 * BLOCK, 1)]


@pytest.mark.parametrize(
    ("rows", "folder", "begin", "expected"),
    [
        (range(6), 0, 0, [("a", 0, 0), ("b", 0, 5), ("c", 0, BLOCK), *D]),
        (range(6), 1, 0, [("b", 0, 7), ("e", 0, 1)]),
        ([1, 3, 5], 0, 0, [("b", 0, 5), *D]),
        ([1, 3, 5], 1, 0, [("e", 0, 1)]),
        (range(3, 5), 0, BLOCK, D[1:]),
        (range(3, 5), 1, BLOCK, [("b", 0, 7)]),
        (range(3), 1, 0, []),
    ],
)
def test_reads_of_a_folder(rows: list[int], folder: int, begin: int, expected: list[tuple[str, int, int]]) -> None:
    found = list(PLAN.reads(rows, folder, begin))
    assert [(read.name, read.offset, read.size) for read in found] == expected
    assert all(read.identity == read.name.encode() for read in found)
