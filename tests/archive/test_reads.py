"""The reads that a plan announces are those that its blocks make."""

import pytest

from service.archive import Folder, Plan
from service.archive.codec import BLOCK, Compression
from tests.archive.memory import listing_of

FILES = {"a": 0, "b": 5, "c": BLOCK, "d": 2 * BLOCK + 1}
PLAN = Plan(
    (Folder("x/", listing_of(FILES)), Folder("y/", listing_of({"b": 7, "e": 1}))), Compression.FAST, b"dialect."
)
D = [(0, "d", 0, BLOCK), (0, "d", BLOCK, BLOCK), (0, "d", 2 * BLOCK, 1)]
C = [(0, "c", 0, BLOCK)]
Y = [(1, "b", 0, 7), (1, "e", 0, 1)]


@pytest.mark.parametrize(
    ("rows", "begin", "expected"),
    [
        (range(6), 0, [(0, "a", 0, 0), (0, "b", 0, 5), *C, *D, *Y]),
        ([1, 3, 5], 0, [(0, "b", 0, 5), *D, Y[1]]),
        (range(3, 5), BLOCK, [*D[1:], Y[0]]),
        (range(3), 0, [(0, "a", 0, 0), (0, "b", 0, 5), *C]),
        ([], 0, []),
    ],
)
def test_reads_of_rows(rows: list[int], begin: int, expected: list[tuple[int, str, int, int]]) -> None:
    found = list(PLAN.reads(rows, begin))
    assert [read[:4] for read in found] == expected
    assert all(read.identity == read.name.encode() for read in found)
