"""What a plan says of its files: which reads they need, which tag they have, whether they can still be read."""

from dataclasses import replace

import pytest

from service.archive import Folder, Origin, Plan
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


def listed(**sizes: int) -> Plan:
    return Plan((Folder("x/", listing_of(sizes)),), Compression.FAST, b"dialect.")


def test_the_same_files_have_the_same_tag_and_whatever_changes_the_archive_changes_it() -> None:
    plan = listed(a=1, b=2)
    others = [
        listed(a=1),
        listed(a=1, b=3),
        listed(a=1, c=2),
        replace(plan, folders=(Folder("y/", plan.folders[0].listing),)),
        replace(plan, compression=Compression.STORE, dialect=b"another."),
        replace(plan, recent=frozenset({1})),
        replace(plan, origin=Origin({})),
        plan.salted(),
        plan.salted().salted(),
    ]
    assert listed(a=1, b=2).tag == plan.tag
    assert len({plan.tag, *(other.tag for other in others)}) == 1 + len(others)


def test_a_plan_continues_while_its_files_are_there_and_have_only_grown() -> None:
    plan = listed(a=1, b=2)
    assert plan.continues_in(listed(a=1, b=200, c=1))
    assert not plan.continues_in(listed(a=1, b=1))
    assert not plan.continues_in(listed(a=1))
    replaced = listed(a=1, b=2)
    replaced.folders[0].listing.identities[1] = b"another"
    assert not plan.continues_in(replaced)
    assert not plan.continues_in(replace(plan, folders=(Folder("y/", plan.folders[0].listing),)))
